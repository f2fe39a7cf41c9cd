//! Who is there now.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{
    api::client::presence::{get_presence::v3 as get_presence, set_presence::v3 as set_presence},
    presence::PresenceState,
};

use crate::{App, Result, app::only_self};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(set)
}

async fn get(app: App, call: Call<get_presence::Request>) -> Result<get_presence::Response> {
    let user = app.accounts.users().find(&call.request.user_id).await?;
    let user = user.ok_or_else(|| ApiError::not_found("No such user"))?;
    let me = call.caller.user;
    if user != me && !app.rooms.share_a_room(me, user).await? {
        return Err(ApiError::forbidden("You share no room with this user").into());
    }
    let Some(info) = app.presence.get(user) else {
        return Ok(get_presence::Response::new(PresenceState::Offline));
    };
    let mut response = get_presence::Response::new(info.state);
    response.status_msg = info.status;
    response.currently_active = Some(info.is_active);
    response.last_active_ago = info.idle;
    Ok(response)
}

/// Where presence is switched off, what clients say of theirs is taken and forgotten.
async fn set(app: App, call: Call<set_presence::Request>) -> Result<set_presence::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let request = call.request;
    app.presence.set(call.caller.user, request.presence, request.status_msg).await?;
    Ok(set_presence::Response::new())
}
