//! Aliases of rooms.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_rooms::RoomError;
use http::StatusCode;
use ruma::{
    OwnedRoomAliasId,
    api::client::{
        alias::{create_alias::v3 as create, delete_alias::v3 as delete, get_alias::v3 as get},
        room::aliases::v3 as list,
    },
};

use super::actor;
use crate::{App, Error, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(resolve).endpoint(add).endpoint(remove).endpoint(of_room)
}

async fn resolve(app: App, call: Call<get::Request>) -> Result<get::Response> {
    let nid = app.rooms.resolve_alias(&call.request.room_alias).await?;
    let nid = nid.ok_or_else(|| ApiError::not_found("There is no such alias"))?;
    let room = app.rooms.room(nid).await?;
    let servers = vec![app.rooms.server_name().clone()];
    Ok(get::Response::new(room.room_id.clone(), servers))
}

async fn add(app: App, call: Call<create::Request>) -> Result<create::Response> {
    let create::Request { room_alias, room_id, .. } = call.request;
    let room = app.room(&room_id).await?;
    match app.rooms.add_alias(&room, &actor(&call.caller), &room_alias).await {
        Ok(()) => Ok(create::Response::new()),
        // Here, and not when a room is made, the specification has this answer.
        Err(RoomError::AliasInUse) => Err(Error(ApiError::new(
            StatusCode::CONFLICT,
            "M_UNKNOWN",
            format!("Room alias {room_alias} already exists"),
        ))),
        Err(error) => Err(error.into()),
    }
}

async fn remove(app: App, call: Call<delete::Request>) -> Result<delete::Response> {
    app.rooms.remove_alias(&actor(&call.caller), &call.request.room_alias).await?;
    Ok(delete::Response::new())
}

async fn of_room(app: App, call: Call<list::Request>) -> Result<list::Response> {
    let room = app.room(&call.request.room_id).await?;
    let aliases = app.rooms.visible_aliases(&room, &call.caller.user_id).await?;
    let aliases = aliases.into_iter().map(OwnedRoomAliasId::try_from).collect::<Result<_, _>>();
    Ok(list::Response::new(aliases.map_err(ApiError::internal)?))
}
