//! What a user keeps of a room for themselves: account data, and tags among it.

use axum::Router;
use haechi_base::{RoomNid, limits::IDENTIFIER_BYTES_MAX};
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{
    RoomId,
    api::client::{
        config::{get_room_account_data::v3 as get_data, set_room_account_data::v3 as set_data},
        tag::{create_tag::v3 as set_tag, delete_tag::v3 as delete_tag, get_tags::v3 as get_tags},
    },
    serde::Raw,
};
use serde_json::{Value as Json, json};

use crate::{App, Result, account_data::refuse_managed, app::only_self};

/// The account data that holds the tags of a room.
const TAGS: &str = "m.tag";

/// Tags of one room.
const TAGS_MAX: usize = 100;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(set).endpoint(tags).endpoint(tag).endpoint(untag)
}

async fn nid(app: &App, room: &RoomId) -> Result<RoomNid> {
    Ok(app.rooms.nid_of(room).await?)
}

async fn get(app: App, call: Call<get_data::Request>) -> Result<get_data::Response> {
    let get_data::Request { user_id, room_id, event_type, .. } = call.request;
    only_self(&call.caller, &user_id)?;
    let room = Some(nid(&app, &room_id).await?);
    let kind = event_type.to_string();
    let content = app.accounts.account_data(call.caller.user, room, &kind).await?;
    let content = content.ok_or_else(|| ApiError::not_found("No such account data"))?;
    Ok(get_data::Response::new(Raw::from_json(content)))
}

async fn set(app: App, call: Call<set_data::Request>) -> Result<set_data::Response> {
    let set_data::Request { user_id, room_id, event_type, data, .. } = call.request;
    only_self(&call.caller, &user_id)?;
    let kind = event_type.to_string();
    refuse_managed(&kind)?;
    let room = Some(nid(&app, &room_id).await?);
    app.accounts.set_account_data(call.caller.user, room, &kind, data.into_json()).await?;
    Ok(set_data::Response::new())
}

async fn tags(app: App, call: Call<get_tags::Request>) -> Result<get_tags::Response> {
    let get_tags::Request { user_id, room_id, .. } = call.request;
    only_self(&call.caller, &user_id)?;
    let room = Some(nid(&app, &room_id).await?);
    let content = app.accounts.account_data(call.caller.user, room, TAGS).await?;
    // What was set as account data may have any form; what is malformed tags nothing.
    let tags = content
        .and_then(|content| serde_json::from_str::<Json>(content.get()).ok())
        .and_then(|mut content| serde_json::from_value(content["tags"].take()).ok());
    Ok(get_tags::Response::new(tags.unwrap_or_default()))
}

async fn tag(app: App, call: Call<set_tag::Request>) -> Result<set_tag::Response> {
    let set_tag::Request { user_id, room_id, tag, tag_info, .. } = call.request;
    only_self(&call.caller, &user_id)?;
    if tag.is_empty() || tag.len() > IDENTIFIER_BYTES_MAX {
        return Err(ApiError::invalid_param("A tag has 1 to 255 bytes").into());
    }
    let info = serde_json::to_value(&tag_info).map_err(ApiError::internal)?;
    let room = Some(nid(&app, &room_id).await?);
    let edit = move |content: Option<Json>| {
        let mut content = well_formed(content);
        let tags = content["tags"].as_object_mut()?;
        if !tags.contains_key(&tag) && tags.len() >= TAGS_MAX {
            return None;
        }
        tags.insert(tag.clone(), info.clone());
        Some(content)
    };
    let set = app.accounts.edit_account_data(call.caller.user, room, TAGS, edit).await?;
    match set {
        Some(_) => Ok(set_tag::Response::new()),
        None => Err(ApiError::forbidden("The room has too many tags").into()),
    }
}

async fn untag(app: App, call: Call<delete_tag::Request>) -> Result<delete_tag::Response> {
    let delete_tag::Request { user_id, room_id, tag, .. } = call.request;
    only_self(&call.caller, &user_id)?;
    let room = Some(nid(&app, &room_id).await?);
    let edit = move |content: Option<Json>| {
        let mut content = well_formed(content);
        content["tags"].as_object_mut()?.remove(&tag).map(|_| content)
    };
    app.accounts.edit_account_data(call.caller.user, room, TAGS, edit).await?;
    Ok(delete_tag::Response::new())
}

/// The content of `m.tag` with an object of tags, whatever it was before.
fn well_formed(content: Option<Json>) -> Json {
    match content {
        Some(content) if content["tags"].is_object() => content,
        _ => json!({ "tags": {} }),
    }
}
