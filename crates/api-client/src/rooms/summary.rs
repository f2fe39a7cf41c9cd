//! What is known of a room before one joins it: its summary, the rooms of a space, and the rooms in
//! common with somebody.

use axum::Router;
use haechi_base::RoomNid;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_rooms::HierarchyQuery;
use ruma::{
    OwnedRoomId, UInt, UserId,
    api::client::{
        membership::get_mutual_rooms::{unstable as old_mutual, v1 as mutual},
        room::get_summary::v1 as get_summary,
        space::{SpaceHierarchyRoomsChunk, get_hierarchy::v1 as get_hierarchy},
    },
};

use super::as_raw;
use crate::{App, Error, Result};

/// Rooms in a page when the client does not say.
const PAGE_ROOMS: usize = 50;
/// Most rooms in a page.
const PAGE_ROOMS_MAX: usize = 500;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(summary)
        .endpoint(hierarchy)
        .endpoint(mutual_rooms)
        .endpoint(mutual_rooms_unstable)
}

async fn summary(app: App, call: Call<get_summary::Request>) -> Result<get_summary::Response> {
    // Whether there is such a room is nobody's business who may not see it.
    let hidden = || Error(ApiError::not_found("Room not found"));
    let room = app.room_or_alias(&call.request.room_id_or_alias).await.map_err(|_| hidden())?;
    let viewer = call.caller.as_ref().map(|session| (session.user, &*session.user_id));
    if !app.rooms.may_preview(&room, viewer).await? {
        return Err(hidden());
    }
    let mut response = get_summary::Response::new(room.summary());
    response.membership =
        viewer.map(|(_, user)| room.state().membership(user.as_str()).as_str().into());
    Ok(response)
}

async fn hierarchy(
    app: App,
    call: Call<get_hierarchy::Request>,
) -> Result<get_hierarchy::Response> {
    let get_hierarchy::Request { room_id, from, limit, max_depth, suggested_only, .. } =
        call.request;
    let Some(nid) = app.rooms.lookup(&room_id).await? else {
        return Err(ApiError::forbidden("You are not allowed to view this room").into());
    };
    let space = app.rooms.room(nid).await?;
    let limit = limit.map_or(PAGE_ROOMS, |limit| limit.try_into().unwrap_or(PAGE_ROOMS_MAX));
    let query = HierarchyQuery {
        suggested_only,
        max_depth: max_depth.map(|depth| depth.try_into().unwrap_or(u32::MAX)),
        limit: limit.clamp(1, PAGE_ROOMS_MAX),
    };
    let from = from.map(|token| token.parse()).transpose()?;
    let user = (call.caller.user, &*call.caller.user_id);
    let page = app.rooms.hierarchy(&space, user, query, from).await?;
    let mut response = get_hierarchy::Response::new();
    response.next_batch = page.next.map(|token| token.to_string());
    response.rooms = page
        .rooms
        .into_iter()
        .map(|room| {
            let children = room.children.into_iter().map(as_raw).collect();
            SpaceHierarchyRoomsChunk::new(room.summary, children)
        })
        .collect();
    Ok(response)
}

struct Mutual {
    joined: Vec<OwnedRoomId>,
    total: i64,
    next_batch: Option<String>,
}

async fn find_mutual(
    app: &App,
    caller: &Session,
    other: &UserId,
    from: Option<String>,
) -> Result<Mutual> {
    if caller.user_id == other {
        return Err(ApiError::invalid_param("That is you").into());
    }
    let bad_token = || ApiError::invalid_param("That is not a token of this list");
    let after = match &from {
        None => 0,
        Some(token) => {
            let number = token.strip_prefix('m').and_then(|number| number.parse().ok());
            number.ok_or_else(bad_token)?
        }
    };
    let Some(other) = app.accounts.users().find(other).await? else {
        return Ok(Mutual { joined: Vec::new(), total: 0, next_batch: None });
    };
    let after = RoomNid(after);
    let found = app.rooms.mutual_rooms(caller.user, other, after, PAGE_ROOMS_MAX).await?;
    let is_full = found.rooms.len() == PAGE_ROOMS_MAX;
    let next = found.rooms.last().filter(|_| is_full);
    let next_batch = next.map(|RoomNid(nid)| format!("m{nid}"));
    let mut joined = Vec::with_capacity(found.rooms.len());
    for nid in found.rooms {
        joined.push(app.rooms.room(nid).await?.room_id.clone());
    }
    Ok(Mutual { joined, total: found.total, next_batch })
}

async fn mutual_rooms(app: App, call: Call<mutual::Request>) -> Result<mutual::Response> {
    let mutual::Request { user_id, from, .. } = call.request;
    let found = find_mutual(&app, &call.caller, &user_id, from).await?;
    let total = UInt::try_from(found.total).unwrap_or_default();
    let mut response = mutual::Response::new(total, found.joined);
    response.next_batch = found.next_batch;
    Ok(response)
}

async fn mutual_rooms_unstable(
    app: App,
    call: Call<old_mutual::Request>,
) -> Result<old_mutual::Response> {
    let old_mutual::Request { user_id, from, .. } = call.request;
    let found = find_mutual(&app, &call.caller, &user_id, from).await?;
    let mut response = old_mutual::Response::new(found.joined);
    response.next_batch = found.next_batch;
    Ok(response)
}
