//! Writing events: messages, redactions.

use axum::Router;
use haechi_base::limits::TRANSACTION_ID_BYTES_MAX;
use haechi_http::{ApiError, Call, Class, LimitKey, RouterExt as _, Session};
use haechi_rooms::{NewEvent, Txn};
use ruma::{
    TransactionId,
    api::client::{message::send_message_event, redact::redact_event},
    events::TimelineEventType,
};
use serde_json::json;

use super::actor;
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(send).endpoint(redact)
}

async fn send(
    app: App,
    call: Call<send_message_event::v3::Request>,
) -> Result<send_message_event::v3::Response> {
    let request = call.request;
    app.limiter.check(Class::Messages, LimitKey::User(call.caller.user))?;
    let kind = TimelineEventType::from(request.event_type);
    if kind == TimelineEventType::RoomRedaction {
        return Err(ApiError::invalid_param("Redact by PUT /rooms/{roomId}/redact").into());
    }
    let room = app.room(&request.room_id).await?;
    let txn = txn(&call.caller, &request.txn_id)?;
    let content = request.body.into_json();
    let event = NewEvent::message(kind, content.get().to_owned());
    let actor = actor(&call.caller);
    let event_id = app.rooms.append(&room, &actor, event, Some(txn)).await?;
    Ok(send_message_event::v3::Response::new(event_id))
}

async fn redact(
    app: App,
    call: Call<redact_event::v3::Request>,
) -> Result<redact_event::v3::Response> {
    let request = call.request;
    app.limiter.check(Class::Messages, LimitKey::User(call.caller.user))?;
    let room = app.room(&request.room_id).await?;
    haechi_rooms::Rooms::ensure_joined(&room, call.caller.user)?;
    let txn = txn(&call.caller, &request.txn_id)?;
    let content = match &request.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let event = NewEvent {
        kind: TimelineEventType::RoomRedaction,
        state_key: None,
        content: content.to_string(),
        redacts: Some(request.event_id),
    };
    let actor = actor(&call.caller);
    let event_id = app.rooms.append(&room, &actor, event, Some(txn)).await?;
    Ok(redact_event::v3::Response::new(event_id))
}

fn txn(caller: &Session, id: &TransactionId) -> Result<Txn> {
    if id.as_str().len() > TRANSACTION_ID_BYTES_MAX {
        return Err(ApiError::invalid_param("The transaction id is too long").into());
    }
    Ok(Txn { device: caller.device_id.as_str().into(), id: id.as_str().into() })
}
