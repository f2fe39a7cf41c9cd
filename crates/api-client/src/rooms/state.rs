//! Reading and writing state.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_matrix::{
    client_event::{ClientEvent, CommonUnsigned, UserUnsigned},
    pdu::Pdu,
};
use haechi_rooms::{NewEvent, Room};
use ruma::{
    api::client::state::{get_state_event_for_key, get_state_events, send_state_event},
    events::TimelineEventType,
};
use serde_json::value::RawValue;

use super::{actor, as_raw};
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(all).endpoint(one).endpoint(set)
}

/// A state event as clients see it outside of sync.
pub(crate) fn state_event(room: &Room, pdu: &Pdu) -> Box<RawValue> {
    let client = ClientEvent::new(room.version, pdu, CommonUnsigned::default());
    let nothing =
        UserUnsigned { membership: None, transaction_id: None, age_ms: None, relations: None };
    client.with_room(&room.room_id, &nothing)
}

async fn all(
    app: App,
    call: Call<get_state_events::v3::Request>,
) -> Result<get_state_events::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let state = app.rooms.visible_state(&room, &call.caller.user_id).await?;
    let events = state.iter().map(|pdu| as_raw(state_event(&room, pdu))).collect();
    Ok(get_state_events::v3::Response::new(events))
}

async fn one(
    app: App,
    call: Call<get_state_event_for_key::v3::Request>,
) -> Result<get_state_event_for_key::v3::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    let state = app.rooms.visible_state(&room, &call.caller.user_id).await?;
    let pdu = state
        .get(&request.event_type.to_string(), &request.state_key)
        .ok_or_else(|| ApiError::not_found("The room has no such state event"))?;
    let content = match request.format {
        get_state_event_for_key::v3::StateEventFormat::Event => state_event(&room, pdu),
        _ => RawValue::from_string(pdu.content().to_owned()).map_err(ApiError::internal)?,
    };
    Ok(get_state_event_for_key::v3::Response::new(content))
}

async fn set(
    app: App,
    call: Call<send_state_event::v3::Request>,
) -> Result<send_state_event::v3::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    let kind = TimelineEventType::from(request.event_type);
    let content = request.body.into_json();
    if kind == TimelineEventType::RoomCanonicalAlias {
        app.rooms.check_aliases(&room, content.get()).await?;
    }
    let event = NewEvent {
        kind,
        state_key: Some(request.state_key.into()),
        content: content.get().to_owned(),
        redacts: None,
    };
    let actor = actor(&call.caller);
    let event_id = app.rooms.append(&room, &actor, event, None).await?;
    Ok(send_state_event::v3::Response::new(event_id))
}
