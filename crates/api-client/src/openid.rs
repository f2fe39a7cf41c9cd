//! Telling others who one is.

use axum::{
    Json, Router,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use haechi_accounts::limits;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{
    api::client::account::request_openid_token::v3 as request_token, authentication::TokenType,
};
use serde::Deserialize;
use serde_json::json;

use crate::{App, Error, Result, app::only_self};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(make_token).route(
        "/_matrix/federation/v1/openid/userinfo",
        get(async |state, query| {
            user_info(state, query).await.unwrap_or_else(|error| error.0.into_response())
        }),
    )
}

async fn make_token(
    app: App,
    call: Call<request_token::Request>,
) -> Result<request_token::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let token = app.accounts.openid_token(call.caller.user).await?;
    let server_name = app.accounts.server_name().to_owned();
    let life = limits::OPENID_TOKEN_LIFE;
    Ok(request_token::Response::new(token, TokenType::Bearer, server_name, life))
}

#[derive(Deserialize)]
struct UserInfo {
    access_token: Option<String>,
}

/// The one endpoint of the federation API that is useful without federation: services that were
/// given an OpenID token ask here whose it is.
async fn user_info(
    State(app): State<App>,
    Query(query): Query<UserInfo>,
) -> Result<Response, Error> {
    let token = query.access_token.ok_or_else(|| ApiError::missing_token("Missing token"))?;
    let user_id = app.accounts.openid_user(&token).await?;
    let user_id = user_id.ok_or_else(|| ApiError::unknown_token(false))?;
    Ok(Json(json!({ "sub": user_id })).into_response())
}
