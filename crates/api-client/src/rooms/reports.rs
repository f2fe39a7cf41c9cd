//! Telling the operator of what should not be.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::api::client::{
    reporting::report_user::v3 as report_user,
    room::{report_content::v3 as report_event, report_room::v3 as report_room},
};

use super::actor;
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(room).endpoint(event).endpoint(user)
}

async fn room(app: App, call: Call<report_room::Request>) -> Result<report_room::Response> {
    let room = app.room(&call.request.room_id).await?;
    app.rooms.report_room(&room, &actor(&call.caller), &call.request.reason).await?;
    Ok(report_room::Response::new())
}

async fn event(app: App, call: Call<report_event::Request>) -> Result<report_event::Response> {
    let report_event::Request { room_id, event_id, reason, .. } = call.request;
    let room = app.room(&room_id).await?;
    let reason = reason.unwrap_or_default();
    app.rooms.report_event(&room, &actor(&call.caller), &event_id, &reason).await?;
    Ok(report_event::Response::new())
}

async fn user(app: App, call: Call<report_user::Request>) -> Result<report_user::Response> {
    let report_user::Request { user_id, reason, .. } = call.request;
    let user = app.accounts.users().find(&user_id).await?;
    let user = user.ok_or_else(|| ApiError::not_found("There is no such user"))?;
    app.rooms.report_user(user, &actor(&call.caller), &reason).await?;
    Ok(report_user::Response::new())
}
