//! The public directory.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_rooms::{DirectoryPage, DirectoryQuery};
use ruma::{
    ServerName, UInt,
    api::client::{
        directory::{
            get_public_rooms::v3 as get_rooms, get_public_rooms_filtered::v3 as find_rooms,
            get_room_visibility::v3 as get_visibility, set_room_visibility::v3 as set_visibility,
        },
        room::Visibility,
    },
    directory::{PublicRoomsChunk, RoomNetwork},
};

use super::actor;
use crate::{App, Result};

/// Rooms in a page when the client does not say.
const PAGE_ROOMS: usize = 50;
/// Most rooms in a page.
const PAGE_ROOMS_MAX: usize = 500;
/// Longest text to search for, in bytes.
const TERM_BYTES_MAX: usize = 255;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(list).endpoint(find).endpoint(visibility).endpoint(change_visibility)
}

async fn page(
    app: &App,
    server: Option<&ServerName>,
    limit: Option<UInt>,
    since: Option<String>,
    mut query: DirectoryQuery,
) -> Result<DirectoryPage> {
    if server.is_some_and(|server| server != app.rooms.server_name()) {
        return Err(ApiError::not_found("This server knows only its own rooms").into());
    }
    let limit = limit.map_or(PAGE_ROOMS, |limit| limit.try_into().unwrap_or(PAGE_ROOMS_MAX));
    query.limit = limit.clamp(1, PAGE_ROOMS_MAX);
    query.from = since.map(|token| token.parse()).transpose()?;
    Ok(app.rooms.directory(&query).await?)
}

fn chunk(page: &DirectoryPage) -> Vec<PublicRoomsChunk> {
    page.rooms.iter().cloned().map(Into::into).collect()
}

async fn list(app: App, call: Call<get_rooms::Request>) -> Result<get_rooms::Response> {
    let get_rooms::Request { limit, since, server, .. } = call.request;
    let page = page(&app, server.as_deref(), limit, since, DirectoryQuery::default()).await?;
    let mut response = get_rooms::Response::new(chunk(&page));
    response.next_batch = page.next.map(|token| token.to_string());
    response.prev_batch = page.previous.map(|token| token.to_string());
    response.total_room_count_estimate = UInt::try_from(page.total).ok();
    Ok(response)
}

async fn find(app: App, call: Call<find_rooms::Request>) -> Result<find_rooms::Response> {
    let find_rooms::Request { server, limit, since, filter, room_network, .. } = call.request;
    let mut response = find_rooms::Response::new();
    if matches!(room_network, RoomNetwork::ThirdParty(_)) {
        // No other network is bridged here.
        return Ok(response);
    }
    let term = filter.generic_search_term;
    if term.as_ref().is_some_and(|term| term.len() > TERM_BYTES_MAX) {
        return Err(ApiError::invalid_param("`generic_search_term` is too long").into());
    }
    let types = filter.room_types.iter().map(|kind| kind.as_str().map(str::to_owned)).collect();
    let query = DirectoryQuery { term, types, ..DirectoryQuery::default() };
    let page = page(&app, server.as_deref(), limit, since, query).await?;
    response.chunk = chunk(&page);
    response.next_batch = page.next.map(|token| token.to_string());
    response.prev_batch = page.previous.map(|token| token.to_string());
    response.total_room_count_estimate = UInt::try_from(page.total).ok();
    Ok(response)
}

async fn visibility(
    app: App,
    call: Call<get_visibility::Request>,
) -> Result<get_visibility::Response> {
    let room = app.room(&call.request.room_id).await?;
    let published = app.rooms.is_published(room.nid).await?;
    let visibility = if published { Visibility::Public } else { Visibility::Private };
    Ok(get_visibility::Response::new(visibility))
}

async fn change_visibility(
    app: App,
    call: Call<set_visibility::Request>,
) -> Result<set_visibility::Response> {
    let room = app.room(&call.request.room_id).await?;
    let published = match call.request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(ApiError::invalid_param("`visibility` is public or private").into()),
    };
    app.rooms.set_published(&room, &actor(&call.caller), published).await?;
    Ok(set_visibility::Response::new())
}
