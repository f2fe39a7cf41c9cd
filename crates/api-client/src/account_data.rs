//! Account data: of the whole account, and of one room in it.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_push::{PUSH_RULES, push_rules_content};
use http::StatusCode;
use ruma::{
    api::client::config::{
        get_global_account_data::v3 as get_data, get_room_account_data::v3 as get_room_data,
        set_global_account_data::v3 as set_data, set_room_account_data::v3 as set_room_data,
    },
    serde::Raw,
};
use serde_json::value::RawValue;

use crate::{App, Result, app::only_self};

/// Types that have endpoints of their own (client-server API, "Client Config").
const MANAGED: &[&str] = &["m.push_rules", "m.fully_read"];

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(set).endpoint(get_of_room).endpoint(set_of_room)
}

async fn get(app: App, call: Call<get_data::Request>) -> Result<get_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let kind = call.request.event_type.to_string();
    let content = app.accounts.account_data(call.caller.user, None, &kind).await?;
    if kind == PUSH_RULES {
        let content = push_rules_content(&call.caller.user_id, content.as_deref());
        return Ok(get_data::Response::new(Raw::from_json(content)));
    }
    let content = content.ok_or_else(|| ApiError::not_found("No such account data"))?;
    Ok(get_data::Response::new(Raw::from_json(content)))
}

async fn set(app: App, call: Call<set_data::Request>) -> Result<set_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let kind = call.request.event_type.to_string();
    refuse_managed(&kind)?;
    let content = object(call.request.data)?;
    app.accounts.set_account_data(call.caller.user, None, &kind, content).await?;
    Ok(set_data::Response::new())
}

async fn get_of_room(
    app: App,
    call: Call<get_room_data::Request>,
) -> Result<get_room_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let room = app.room(&call.request.room_id).await?.nid;
    let kind = call.request.event_type.to_string();
    let content = app.accounts.account_data(call.caller.user, Some(room), &kind).await?;
    let content = content.ok_or_else(|| ApiError::not_found("No such account data"))?;
    Ok(get_room_data::Response::new(Raw::from_json(content)))
}

async fn set_of_room(
    app: App,
    call: Call<set_room_data::Request>,
) -> Result<set_room_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let kind = call.request.event_type.to_string();
    refuse_managed(&kind)?;
    let content = object(call.request.data)?;
    let room = app.room(&call.request.room_id).await?.nid;
    app.accounts.set_account_data(call.caller.user, Some(room), &kind, content).await?;
    Ok(set_room_data::Response::new())
}

fn object<T>(content: Raw<T>) -> Result<Box<RawValue>, ApiError> {
    let content = content.into_json();
    if content.get().trim_start().starts_with('{') {
        return Ok(content);
    }
    Err(ApiError::bad_json("Account data is a JSON object"))
}

/// Refuses what has its own endpoint.
fn refuse_managed(kind: &str) -> Result<(), ApiError> {
    if !MANAGED.contains(&kind) {
        return Ok(());
    }
    let text = format!("{kind} cannot be set by this endpoint");
    Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", text))
}
