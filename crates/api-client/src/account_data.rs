//! Account data of the whole account.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use http::StatusCode;
use ruma::{
    api::client::config::{
        get_global_account_data::v3 as get_data, set_global_account_data::v3 as set_data,
    },
    serde::Raw,
};

use crate::{App, Result, app::only_self};

/// Types that have endpoints of their own (client-server API, "Client Config").
const MANAGED: &[&str] = &["m.push_rules", "m.fully_read"];

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(set)
}

async fn get(app: App, call: Call<get_data::Request>) -> Result<get_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let kind = call.request.event_type.to_string();
    let content = app.accounts.account_data(call.caller.user, None, &kind).await?;
    let content = content.ok_or_else(|| ApiError::not_found("No such account data"))?;
    Ok(get_data::Response::new(Raw::from_json(content)))
}

async fn set(app: App, call: Call<set_data::Request>) -> Result<set_data::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let kind = call.request.event_type.to_string();
    refuse_managed(&kind)?;
    let content = call.request.data.into_json();
    if !content.get().trim_start().starts_with('{') {
        return Err(ApiError::bad_json("Account data is a JSON object").into());
    }
    app.accounts.set_account_data(call.caller.user, None, &kind, content).await?;
    Ok(set_data::Response::new())
}

/// Refuses what has its own endpoint.
pub(crate) fn refuse_managed(kind: &str) -> Result<(), ApiError> {
    if !MANAGED.contains(&kind) {
        return Ok(());
    }
    let text = format!("{kind} cannot be set by this endpoint");
    Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", text))
}
