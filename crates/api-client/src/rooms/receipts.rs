//! Receipts, read markers, typing.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_rooms::{ReceiptKind, Room, Rooms};
use http::Method;
use ruma::{
    EventId,
    api::{
        IncomingRequest, Metadata,
        client::{
            read_marker::set_read_marker,
            receipt::create_receipt::{self, v3::ReceiptType},
            typing::create_typing_event::{self, v3::Typing},
        },
        error::DeserializationError,
    },
    events::receipt::ReceiptThread,
};
use serde_json::{Map, Value as Json, json, value::to_raw_value};
use std::sync::Arc;

use super::actor;
use crate::{App, Result};

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(receipt).endpoint(read_markers).endpoint(typing)
}

async fn receipt(
    app: App,
    call: Call<create_receipt::v3::Request>,
) -> Result<create_receipt::v3::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    let thread = match &request.thread {
        ReceiptThread::Unthreaded => "",
        ReceiptThread::Main => "main",
        ReceiptThread::Thread(root) => root.as_str(),
        _ => return Err(ApiError::invalid_param("That is not a thread").into()),
    };
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Public,
        ReceiptType::ReadPrivate => ReceiptKind::Private,
        ReceiptType::FullyRead => {
            set_fully_read(&app, &call.caller, &room, &request.event_id).await?;
            return Ok(create_receipt::v3::Response::new());
        }
        _ => return Err(ApiError::invalid_param("That is not a kind of receipt").into()),
    };
    let actor = actor(&call.caller);
    app.rooms.set_receipt(&room, &actor, kind, thread, &request.event_id).await?;
    Ok(create_receipt::v3::Response::new())
}

async fn read_markers(
    app: App,
    call: Call<set_read_marker::v3::Request>,
) -> Result<set_read_marker::v3::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    if let Some(event_id) = &request.fully_read {
        set_fully_read(&app, &call.caller, &room, event_id).await?;
    }
    let actor = actor(&call.caller);
    let receipts = [
        (ReceiptKind::Public, &request.read_receipt),
        (ReceiptKind::Private, &request.private_read_receipt),
    ];
    for (kind, event_id) in receipts {
        if let Some(event_id) = event_id {
            app.rooms.set_receipt(&room, &actor, kind, "", event_id).await?;
        }
    }
    Ok(set_read_marker::v3::Response::new())
}

/// The marker is account data of the room (spec, `m.fully_read`).
async fn set_fully_read(
    app: &App,
    caller: &Session,
    room: &Arc<Room>,
    event_id: &EventId,
) -> Result<()> {
    Rooms::ensure_joined(room, caller.user)?;
    let content = to_raw_value(&json!({ "event_id": event_id })).map_err(ApiError::internal)?;
    app.accounts.set_account_data(caller.user, Some(room.nid), "m.fully_read", content).await?;
    Ok(())
}

/// ruma's request, in which the timeout may be left out.
struct Typed(create_typing_event::v3::Request);

/// How long somebody types who does not say how long.
const TYPING_MS: u32 = 30_000;

impl Metadata for Typed {
    const METHOD: Method = create_typing_event::v3::Request::METHOD;
    const RATE_LIMITED: bool = create_typing_event::v3::Request::RATE_LIMITED;
    type Authentication = <create_typing_event::v3::Request as Metadata>::Authentication;
    type PathBuilder = <create_typing_event::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = create_typing_event::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for Typed {
    type EndpointError = <create_typing_event::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = create_typing_event::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let mut fields: Map<String, Json> = serde_json::from_slice(request.body())?;
        fields.entry("timeout").or_insert_with(|| TYPING_MS.into());
        let body = serde_json::to_vec(&fields)?;
        let request = request.map(|_| &body[..]);
        IncomingRequest::try_from_http_request_inner(request, path_args).map(Self)
    }
}

async fn typing(app: App, call: Call<Typed>) -> Result<create_typing_event::v3::Response> {
    let Typed(request) = call.request;
    if request.user_id != call.caller.user_id {
        return Err(ApiError::forbidden("You can say only of yourself that you are typing").into());
    }
    let room = app.room(&request.room_id).await?;
    Rooms::ensure_joined(&room, call.caller.user)?;
    let timeout = match request.state {
        Typing::Yes(info) => Some(info.timeout),
        Typing::No => None,
    };
    app.rooms.typing().set(room.nid, call.caller.user, timeout);
    Ok(create_typing_event::v3::Response::new())
}
