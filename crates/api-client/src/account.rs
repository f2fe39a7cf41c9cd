//! One's own account.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, change_password::v3 as change_password,
    deactivate::v3 as deactivate, whoami::v3 as whoami,
};

use crate::{App, Result, rooms::actor, uia, uia::Interactive};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(who_am_i).endpoint(set_password).endpoint(deactivate_account)
}

async fn who_am_i(_: App, call: Call<whoami::Request>) -> Result<whoami::Response> {
    let mut response = whoami::Response::new(call.caller.user_id, false);
    response.device_id = Some(call.caller.device_id);
    Ok(response)
}

/// These endpoints are open without a token for those who prove their identity by e-mail, which is
/// not possible here.
fn logged_in(caller: Option<Session>) -> Result<Session, ApiError> {
    caller.ok_or_else(|| ApiError::missing_token("Missing access token"))
}

async fn set_password(
    app: App,
    call: Call<Interactive<change_password::Request>>,
) -> Result<change_password::Response> {
    let session = logged_in(call.caller)?;
    let Interactive { inner: request, auth } = call.request;
    uia::prove_password(&app, &session, auth.as_ref(), call.ip).await?;
    let log_out_but = request.logout_devices.then(|| Some(session.device_id.to_string()));
    app.accounts.set_password(session.user, &request.new_password, log_out_but).await?;
    Ok(change_password::Response::new())
}

async fn deactivate_account(
    app: App,
    call: Call<Interactive<deactivate::Request>>,
) -> Result<deactivate::Response> {
    let session = logged_in(call.caller)?;
    let Interactive { inner: request, auth } = call.request;
    uia::prove_password(&app, &session, auth.as_ref(), call.ip).await?;
    app.accounts.deactivate(session.user, request.erase).await?;
    // Nobody can speak for the account any more; what remains is to leave, to the last room.
    let (rooms, actor) = (app.rooms.clone(), actor(&session));
    let left = tokio::spawn(async move { rooms.leave_all(&actor).await });
    left.await.map_err(ApiError::internal)??;
    tracing::info!(user = %session.user_id, erase = request.erase, "account deactivated");
    Ok(deactivate::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}
