//! Tags of rooms: one entry of account data for each room.

use axum::Router;
use haechi_base::limits::IDENTIFIER_BYTES_MAX;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::api::client::tag::{
    create_tag::v3 as create_tag, delete_tag::v3 as delete_tag, get_tags::v3 as get_tags,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{App, Result, app::only_self};

/// The type of the entry.
const KIND: &str = "m.tag";

/// Tags of one user for one room.
const TAGS_MAX: usize = 100;

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get).endpoint(set).endpoint(remove)
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    tags: ruma::events::tag::Tags,
}

async fn get(app: App, call: Call<get_tags::Request>) -> Result<get_tags::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let room = app.room(&call.request.room_id).await?.nid;
    let entry = app.accounts.account_data(call.caller.user, Some(room), KIND).await?;
    // A client may have written the entry by hand, and wrongly.
    let entry: Entry =
        entry.and_then(|content| serde_json::from_str(content.get()).ok()).unwrap_or_default();
    Ok(get_tags::Response::new(entry.tags))
}

async fn set(app: App, call: Call<create_tag::Request>) -> Result<create_tag::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let request = call.request;
    if request.tag.len() > IDENTIFIER_BYTES_MAX {
        return Err(ApiError::invalid_param("A tag has at most 255 bytes").into());
    }
    let room = app.room(&request.room_id).await?.nid;
    let info = serde_json::to_value(&request.tag_info).map_err(ApiError::internal)?;
    let add = move |before: Option<Json>| {
        let mut after = entry(before);
        let tags = after["tags"].as_object_mut()?;
        if tags.len() >= TAGS_MAX && !tags.contains_key(&request.tag) {
            return None;
        }
        tags.insert(request.tag.clone(), info.clone());
        Some(after)
    };
    let written = app.accounts.edit_account_data(call.caller.user, Some(room), KIND, add).await?;
    if written.is_none() {
        return Err(ApiError::forbidden("This room has too many tags").into());
    }
    Ok(create_tag::Response::new())
}

async fn remove(app: App, call: Call<delete_tag::Request>) -> Result<delete_tag::Response> {
    only_self(&call.caller, &call.request.user_id)?;
    let room = app.room(&call.request.room_id).await?.nid;
    let tag = call.request.tag;
    let remove = move |before: Option<Json>| {
        let mut after = entry(before);
        after["tags"].as_object_mut()?.remove(&tag)?;
        Some(after)
    };
    app.accounts.edit_account_data(call.caller.user, Some(room), KIND, remove).await?;
    Ok(delete_tag::Response::new())
}

/// The entry as it is, or an empty one where there is none or one that is no good.
fn entry(before: Option<Json>) -> Json {
    before.filter(|entry| entry["tags"].is_object()).unwrap_or_else(|| json!({ "tags": {} }))
}
