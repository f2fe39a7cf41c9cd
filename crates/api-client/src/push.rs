//! Push rules, pushers, and what has notified the caller.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_matrix::client_event::UserUnsigned;
use haechi_push::{NotificationKind, NotificationToken};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::push::{
        RuleKind, delete_pushrule::v3 as delete_rule, get_notifications::v3 as get_notifications,
        get_pushers::v3 as get_pushers, get_pushrule::v3 as get_rule,
        get_pushrule_actions::v3 as get_actions, get_pushrule_enabled::v3 as get_enabled,
        get_pushrules_all::v3 as get_all, get_pushrules_global_scope::v3 as get_global,
        set_pusher::v3 as set_pusher, set_pushrule::v3 as set_rule,
        set_pushrule_actions::v3 as set_actions, set_pushrule_enabled::v3 as set_enabled,
    },
    push::AnyPushRule,
    serde::Raw,
};

use crate::{App, Result};

/// Notifications on one page when the client names no number.
const NOTIFICATIONS_DEFAULT: usize = 20;

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(all)
        .endpoint(global)
        .endpoint(rule)
        .endpoint(put_rule)
        .endpoint(remove_rule)
        .endpoint(enabled)
        .endpoint(put_enabled)
        .endpoint(actions)
        .endpoint(put_actions)
        .endpoint(pushers)
        .endpoint(put_pusher)
        .endpoint(notifications)
}

async fn all(app: App, call: Call<get_all::Request>) -> Result<get_all::Response> {
    let ruleset = app.push.ruleset(call.caller.user, &call.caller.user_id).await?;
    Ok(get_all::Response::new(ruleset))
}

async fn global(app: App, call: Call<get_global::Request>) -> Result<get_global::Response> {
    let ruleset = app.push.ruleset(call.caller.user, &call.caller.user_id).await?;
    Ok(get_global::Response::new(ruleset))
}

async fn find(
    app: &App,
    caller: &haechi_http::Session,
    kind: RuleKind,
    rule_id: &str,
) -> Result<AnyPushRule> {
    Ok(app.push.rule(caller.user, &caller.user_id, kind, rule_id).await?)
}

async fn rule(app: App, call: Call<get_rule::Request>) -> Result<get_rule::Response> {
    let rule = find(&app, &call.caller, call.request.kind, &call.request.rule_id).await?;
    Ok(get_rule::Response::new(rule.into()))
}

async fn put_rule(app: App, call: Call<set_rule::Request>) -> Result<set_rule::Response> {
    let set_rule::Request { rule, before, after, .. } = call.request;
    app.push.set_rule(call.caller.user, &call.caller.user_id, rule, after, before).await?;
    Ok(set_rule::Response::new())
}

async fn remove_rule(app: App, call: Call<delete_rule::Request>) -> Result<delete_rule::Response> {
    let delete_rule::Request { kind, rule_id, .. } = call.request;
    app.push.delete_rule(call.caller.user, &call.caller.user_id, kind, rule_id).await?;
    Ok(delete_rule::Response::new())
}

async fn enabled(app: App, call: Call<get_enabled::Request>) -> Result<get_enabled::Response> {
    let rule = find(&app, &call.caller, call.request.kind, &call.request.rule_id).await?;
    Ok(get_enabled::Response::new(rule.enabled()))
}

async fn put_enabled(app: App, call: Call<set_enabled::Request>) -> Result<set_enabled::Response> {
    let set_enabled::Request { kind, rule_id, enabled, .. } = call.request;
    let caller = &call.caller;
    app.push.set_rule_enabled(caller.user, &caller.user_id, kind, rule_id, enabled).await?;
    Ok(set_enabled::Response::new())
}

async fn actions(app: App, call: Call<get_actions::Request>) -> Result<get_actions::Response> {
    let rule = find(&app, &call.caller, call.request.kind, &call.request.rule_id).await?;
    Ok(get_actions::Response::new(rule.actions().to_vec()))
}

async fn put_actions(app: App, call: Call<set_actions::Request>) -> Result<set_actions::Response> {
    let set_actions::Request { kind, rule_id, actions, .. } = call.request;
    let caller = &call.caller;
    app.push.set_rule_actions(caller.user, &caller.user_id, kind, rule_id, actions).await?;
    Ok(set_actions::Response::new())
}

async fn pushers(app: App, call: Call<get_pushers::Request>) -> Result<get_pushers::Response> {
    Ok(get_pushers::Response::new(app.push.pushers(call.caller.user).await?))
}

async fn put_pusher(app: App, call: Call<set_pusher::Request>) -> Result<set_pusher::Response> {
    let (user, device_id) = (call.caller.user, &call.caller.device_id);
    match call.request.action {
        set_pusher::PusherAction::Post(data) => {
            app.push.set_pusher(user, device_id.as_str(), data.pusher, data.append).await?;
        }
        set_pusher::PusherAction::Delete(ids) => app.push.delete_pusher(user, ids).await?,
        _ => return Err(ApiError::invalid_param("No such action").into()),
    }
    Ok(set_pusher::Response::new())
}

async fn notifications(
    app: App,
    call: Call<get_notifications::Request>,
) -> Result<get_notifications::Response> {
    let request = call.request;
    // The empty text is what some clients send at the start.
    let from = request.from.filter(|from| !from.is_empty());
    let from = from.map(|from| from.parse::<NotificationToken>()).transpose()?;
    let limit = request.limit.and_then(|limit| usize::try_from(u64::from(limit)).ok());
    let kind = match request.only.as_deref() {
        Some("highlight") => NotificationKind::Highlight,
        _ => NotificationKind::Any,
    };
    let limit = limit.unwrap_or(NOTIFICATIONS_DEFAULT);
    let (found, next) = app.push.notifications(call.caller.user, from, limit, kind).await?;
    let notifications = found.into_iter().map(|notification| {
        let notified = notification.notified;
        let at = UInt::try_from(notified.event.pdu.origin_server_ts()).unwrap_or_default();
        let json = notified.event.client().for_user(&UserUnsigned::MEMBER);
        get_notifications::Notification::new(
            notification.actions,
            Raw::from_json((*json).to_owned()),
            notified.read,
            notified.room.room_id.clone(),
            MilliSecondsSinceUnixEpoch(at),
        )
    });
    let mut response = get_notifications::Response::new(notifications.collect());
    response.next_token = next.map(|next| next.to_string());
    Ok(response)
}
