//! Reading events: pages of history, one event, what stood around it, the one nearest to a time.

use std::{collections::BTreeSet, sync::Arc};

use axum::Router;
use haechi_base::{Millis, limits::PAGE_EVENTS_MAX};
use haechi_http::{ApiError, Call, RouterExt as _};
use haechi_matrix::{filter::EventFilter, json::write_member};
use haechi_rooms::{Direction, Event, PageToken, Room, State};
use ruma::{
    api::{
        Direction as ApiDirection,
        client::{
            context::get_context,
            filter::RoomEventFilter,
            message::get_message_events,
            room::{get_event_by_timestamp, get_room_event},
        },
    },
    events::AnyStateEvent,
    serde::Raw,
};

use super::{as_raw, state::state_event};
use crate::{
    App, Result,
    own_body::{Json, OwnBody},
};

/// What an event takes in an answer; guessed, to allocate once.
const EVENT_BYTES: usize = 512;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(messages).endpoint(context).endpoint(event).endpoint(by_timestamp)
}

pub(crate) fn direction(direction: ApiDirection) -> Direction {
    match direction {
        ApiDirection::Backward => Direction::Backward,
        ApiDirection::Forward => Direction::Forward,
    }
}

pub(crate) fn compiled(filter: RoomEventFilter) -> Result<EventFilter> {
    Ok(EventFilter::of_room(filter).map_err(|error| ApiError::invalid_param(error.to_string()))?)
}

pub(crate) fn passes(filter: &EventFilter, event: &Event) -> bool {
    let pdu = &event.pdu;
    filter.passes_all() || filter.passes(&pdu.kind().to_string(), pdu.sender(), pdu.content())
}

async fn messages(app: App, call: Call<OwnBody<get_message_events::v3::Request>>) -> Result<Json> {
    let OwnBody(request) = call.request;
    let room = app.room(&request.room_id).await?;
    let filter = compiled(request.filter)?;
    let direction = direction(request.dir);
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(PAGE_EVENTS_MAX);
    let limit = filter.limit(limit, PAGE_EVENTS_MAX).min(limit).clamp(1, PAGE_EVENTS_MAX);
    let from = match &request.from {
        Some(token) => Some(app.rooms.page_start(room.nid, token).await?),
        None => None,
    };
    let until = match &request.to {
        Some(token) => Some(app.rooms.page_start(room.nid, token).await?),
        None => None,
    };
    let in_range = |event: &Event| match (until, direction) {
        (None, _) => true,
        (Some(until), Direction::Backward) => event.seq > until,
        (Some(until), Direction::Forward) => event.seq <= until,
    };
    let viewer = &call.caller;
    let ignored = app.accounts.ignored(viewer.user).await?;
    let start = from.unwrap_or(match direction {
        Direction::Backward => room.snapshot().seq,
        Direction::Forward => 0,
    });
    let page = app
        .rooms
        .page(&room, &viewer.user_id, direction, Some(start), limit, |event| {
            in_range(event) && passes(&filter, event) && !event.is_hidden_by(&ignored)
        })
        .await?;
    let reached = |next: i64| match (until, direction) {
        (None, _) => false,
        (Some(until), Direction::Backward) => next <= until,
        (Some(until), Direction::Forward) => next >= until,
    };
    let mut body = String::with_capacity(page.events.len() * EVENT_BYTES);
    body.push_str("{\"chunk\":");
    app.write_events(&mut body, viewer, &room, &page.events).await?;
    if let Some(next) = page.next.filter(|next| !reached(*next)) {
        write_member(&mut body, "end", &PageToken(next).to_string());
    }
    write_member(&mut body, "start", &PageToken(start).to_string());
    if filter.lazy_members().is_some() {
        let state = app.rooms.visible_state(&room, &viewer.user_id).await?;
        let members: Vec<Raw<AnyStateEvent>> = senders(&room, &state, &page.events);
        body.push_str(",\"state\":");
        body.push_str(&serde_json::to_string(&members).map_err(ApiError::internal)?);
    }
    body.push('}');
    Ok(Json(body.into_bytes()))
}

/// The member events of those who sent these events.
fn senders<T>(room: &Room, state: &State, events: &[Arc<Event>]) -> Vec<Raw<T>> {
    let senders: BTreeSet<&str> = events.iter().map(|event| event.pdu.sender().as_str()).collect();
    senders
        .into_iter()
        .filter_map(|user| state.get("m.room.member", user))
        .map(|pdu| as_raw(state_event(room, pdu)))
        .collect()
}

async fn context(
    app: App,
    call: Call<get_context::v3::Request>,
) -> Result<get_context::v3::Response> {
    let request = call.request;
    let viewer = &call.caller;
    let room = app.room(&request.room_id).await?;
    let filter = compiled(request.filter)?;
    let user = &viewer.user_id;
    let event = app.rooms.event(&room, user, &request.event_id).await?;
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(PAGE_EVENTS_MAX);
    let limit = filter.limit(limit, PAGE_EVENTS_MAX).min(limit).min(PAGE_EVENTS_MAX);
    let (half_before, half_after) = (limit - limit / 2, limit / 2);
    let ignored = app.accounts.ignored(viewer.user).await?;
    let wanted = |event: &Event| passes(&filter, event) && !event.is_hidden_by(&ignored);
    let before = app
        .rooms
        .page(&room, user, Direction::Backward, Some(event.seq - 1), half_before, wanted)
        .await?;
    let after = app
        .rooms
        .page(&room, user, Direction::Forward, Some(event.seq), half_after, wanted)
        .await?;
    let (mut before_events, mut after_events) = (before.events, after.events);
    before_events.truncate(half_before);
    after_events.truncate(half_after);
    let last = after_events.last().map_or(event.seq, |event| event.seq);
    let first = before_events.last().map_or(event.seq, |event| event.seq);
    let state = app.rooms.visible_state_at(&room, user, last).await?;
    let mut response = get_context::v3::Response::new();
    response.start = Some(PageToken(first - 1).to_string());
    response.end = Some(PageToken(last).to_string());
    let all: Vec<Arc<Event>> =
        before_events.iter().chain([&event]).chain(&after_events).map(Arc::clone).collect();
    response.state = match filter.lazy_members() {
        Some(_) => {
            let mut shown = senders(&room, &state, &all);
            let others = state
                .iter()
                .filter(|pdu| *pdu.kind() != ruma::events::TimelineEventType::RoomMember);
            shown.extend(others.map(|pdu| as_raw(state_event(&room, pdu))));
            shown
        }
        None => state.iter().map(|pdu| as_raw(state_event(&room, pdu))).collect(),
    };
    let mut rendered = app.client_events(viewer, &room, &all).await?.into_iter().map(as_raw);
    response.events_before = rendered.by_ref().take(before_events.len()).collect();
    response.event = rendered.next().map(Raw::cast_unchecked);
    response.events_after = rendered.collect();
    Ok(response)
}

async fn event(
    app: App,
    call: Call<get_room_event::v3::Request>,
) -> Result<get_room_event::v3::Response> {
    let room = app.room(&call.request.room_id).await?;
    let event = app.rooms.event(&room, &call.caller.user_id, &call.request.event_id).await?;
    let rendered = app.client_events(&call.caller, &room, &[event]).await?.pop();
    let event = rendered.ok_or_else(|| ApiError::not_found("There is no such event"))?;
    Ok(get_room_event::v3::Response::new(as_raw(event)))
}

async fn by_timestamp(
    app: App,
    call: Call<get_event_by_timestamp::v1::Request>,
) -> Result<get_event_by_timestamp::v1::Response> {
    let room = app.room(&call.request.room_id).await?;
    let at = Millis(call.request.ts.get().into());
    let direction = direction(call.request.dir);
    let (event_id, at) = app.rooms.event_near(&room, &call.caller.user_id, at, direction).await?;
    let ts = ruma::UInt::try_from(at.0).unwrap_or_default();
    Ok(get_event_by_timestamp::v1::Response::new(event_id, ruma::MilliSecondsSinceUnixEpoch(ts)))
}
