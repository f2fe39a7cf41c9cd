//! Making rooms, and moving to new ones.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_matrix::RoomVersion;
use haechi_rooms::NewRoom;
use ruma::{
    RoomAliasId, RoomVersionId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, Response, RoomPreset},
        upgrade_room,
    },
    serde::Raw,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::actor;
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(create_room).endpoint(upgrade)
}

async fn create_room(app: App, call: Call<Request>) -> Result<Response> {
    let Request {
        creation_content,
        initial_state,
        invite,
        invite_3pid,
        is_direct,
        name,
        power_level_content_override,
        preset,
        room_alias_name,
        room_version,
        topic,
        visibility,
        ..
    } = call.request;
    if !invite_3pid.is_empty() {
        return Err(ApiError::threepid_medium_not_supported(
            "This server knows no identity server, so nobody can be invited by e-mail or phone",
        )
        .into());
    }
    let version = match room_version {
        None => app.settings.default_room_version,
        Some(id) => version(&id)?,
    };
    let alias = room_alias_name
        .map(|local| RoomAliasId::parse(format!("#{local}:{}", app.rooms.server_name())))
        .transpose()
        .map_err(|_| ApiError::invalid_param("The alias is not well-formed"))?;
    let mut invited = Vec::with_capacity(invite.len());
    for user in invite {
        let profile = app.member_profile(&user).await?;
        invited.push((user, profile));
    }
    let published = visibility == Visibility::Public;
    let new = NewRoom {
        version,
        preset: preset.unwrap_or(if published {
            RoomPreset::PublicChat
        } else {
            RoomPreset::PrivateChat
        }),
        published,
        alias,
        creation_content: object(creation_content.map(Raw::into_json))?,
        power_levels: object(power_level_content_override.map(Raw::into_json))?,
        initial_state: initial_state
            .into_iter()
            .map(|raw| state_event(raw.json()))
            .collect::<Result<_, _>>()?,
        name,
        topic,
        invite: invited,
        is_direct,
        profile: app.member_profile(&call.caller.user_id).await?,
    };
    let room = app.rooms.create(&actor(&call.caller), new).await?;
    Ok(Response::new(room.room_id.clone()))
}

fn version(id: &RoomVersionId) -> Result<RoomVersion, ApiError> {
    RoomVersion::try_from(id).map_err(|_| {
        ApiError::unsupported_room_version(format!(
            "This server does not support room version {id}"
        ))
    })
}

async fn upgrade(
    app: App,
    call: Call<upgrade_room::v3::Request>,
) -> Result<upgrade_room::v3::Response> {
    let upgrade_room::v3::Request { room_id, new_version, additional_creators, .. } = call.request;
    let version = version(&new_version)?;
    let room = app.room(&room_id).await?;
    let profile = app.member_profile(&call.caller.user_id).await?;
    let actor = actor(&call.caller);
    let new = app.rooms.upgrade(&room, &actor, profile, version, &additional_creators).await?;
    Ok(upgrade_room::v3::Response::new(new.room_id.clone()))
}

fn object(json: Option<Box<serde_json::value::RawValue>>) -> Result<Map<String, Value>> {
    match json {
        None => Ok(Map::new()),
        Some(json) => Ok(serde_json::from_str(json.get())
            .map_err(|error| ApiError::bad_json(error.to_string()))?),
    }
}

fn state_event(json: &serde_json::value::RawValue) -> Result<(String, String, Value)> {
    #[derive(serde::Deserialize)]
    struct InitialState {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        state_key: String,
        content: Map<String, Value>,
    }
    let event = InitialState::deserialize(json)
        .map_err(|error| ApiError::bad_json(format!("initial_state: {error}")))?;
    Ok((event.kind, event.state_key, Value::Object(event.content)))
}
