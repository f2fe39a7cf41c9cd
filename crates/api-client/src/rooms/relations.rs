//! What refers to an event, and the threads of a room.

use axum::Router;
use haechi_base::limits::PAGE_EVENTS_MAX;
use haechi_http::{Call, RouterExt as _, Session};
use haechi_rooms::{PageToken, Related, ThreadToken};
use ruma::{
    OwnedEventId, OwnedRoomId, UInt,
    api::{
        Direction as ApiDirection,
        client::{
            relations::{
                get_relating_events::v1 as any, get_relating_events_with_rel_type::v1 as by_type,
                get_relating_events_with_rel_type_and_event_type::v1 as by_kind,
            },
            threads::get_threads::v1::{self as get_threads, IncludeThreads},
        },
    },
    events::{AnyMessageLikeEvent, TimelineEventType},
    serde::Raw,
};

use super::{as_raw, client_event, history::direction};
use crate::{App, Result};

/// Events in a page when the client does not say.
const PAGE_EVENTS: usize = 50;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(relations)
        .endpoint(relations_by_type)
        .endpoint(relations_by_kind)
        .endpoint(threads)
}

/// What the three forms of the endpoint have in common.
struct Ask {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    kind: Option<TimelineEventType>,
    from: Option<String>,
    to: Option<String>,
    dir: ApiDirection,
    limit: Option<UInt>,
    recurse: bool,
}

struct Answer {
    chunk: Vec<Raw<AnyMessageLikeEvent>>,
    next_batch: Option<String>,
    prev_batch: Option<String>,
    recursion_depth: Option<UInt>,
}

fn page_limit(limit: Option<UInt>) -> usize {
    let limit = limit.map_or(PAGE_EVENTS, |limit| limit.try_into().unwrap_or(PAGE_EVENTS_MAX));
    limit.clamp(1, PAGE_EVENTS_MAX)
}

async fn answer(app: &App, caller: &Session, ask: Ask) -> Result<Answer> {
    let room = app.room(&ask.room_id).await?;
    let place = async |token: Option<&String>| match token {
        Some(token) => app.rooms.page_start(room.nid, token).await.map(Some),
        None => Ok(None),
    };
    let wanted = Related {
        rel_type: ask.rel_type.map(Into::into),
        kind: ask.kind,
        recurse: ask.recurse,
        direction: direction(ask.dir),
        from: place(ask.from.as_ref()).await?,
        to: place(ask.to.as_ref()).await?,
        limit: page_limit(ask.limit),
    };
    let ignored = app.accounts.ignored(caller.user).await?;
    let reader = super::reader(caller, &ignored);
    let page = app.rooms.related(&room, &reader, &ask.event_id, &wanted).await?;
    let chunk = app.client_events(caller, &room, &page.events).await?;
    Ok(Answer {
        chunk: chunk.into_iter().map(as_raw).collect(),
        next_batch: page.next.map(|seq| PageToken(seq).to_string()),
        prev_batch: ask.from,
        recursion_depth: ask
            .recurse
            .then(|| UInt::try_from(wanted.depth_max()).unwrap_or_default()),
    })
}

async fn relations(app: App, call: Call<any::Request>) -> Result<any::Response> {
    let any::Request { room_id, event_id, from, to, dir, limit, recurse, .. } = call.request;
    let ask = Ask { room_id, event_id, rel_type: None, kind: None, from, to, dir, limit, recurse };
    let answer = answer(&app, &call.caller, ask).await?;
    let mut response = any::Response::new(answer.chunk);
    response.next_batch = answer.next_batch;
    response.prev_batch = answer.prev_batch;
    response.recursion_depth = answer.recursion_depth;
    Ok(response)
}

async fn relations_by_type(app: App, call: Call<by_type::Request>) -> Result<by_type::Response> {
    let by_type::Request { room_id, event_id, rel_type, from, to, dir, limit, recurse, .. } =
        call.request;
    let rel_type = Some(rel_type.to_string());
    let ask = Ask { room_id, event_id, rel_type, kind: None, from, to, dir, limit, recurse };
    let answer = answer(&app, &call.caller, ask).await?;
    let mut response = by_type::Response::new(answer.chunk);
    response.next_batch = answer.next_batch;
    response.prev_batch = answer.prev_batch;
    response.recursion_depth = answer.recursion_depth;
    Ok(response)
}

async fn relations_by_kind(app: App, call: Call<by_kind::Request>) -> Result<by_kind::Response> {
    let by_kind::Request {
        room_id,
        event_id,
        rel_type,
        event_type,
        from,
        to,
        dir,
        limit,
        recurse,
        ..
    } = call.request;
    let (rel_type, kind) = (Some(rel_type.to_string()), Some(event_type));
    let ask = Ask { room_id, event_id, rel_type, kind, from, to, dir, limit, recurse };
    let answer = answer(&app, &call.caller, ask).await?;
    let mut response = by_kind::Response::new(answer.chunk);
    response.next_batch = answer.next_batch;
    response.prev_batch = answer.prev_batch;
    response.recursion_depth = answer.recursion_depth;
    Ok(response)
}

async fn threads(app: App, call: Call<get_threads::Request>) -> Result<get_threads::Response> {
    let request = call.request;
    let room = app.room(&request.room_id).await?;
    let from: Option<ThreadToken> = request.from.map(|token| token.parse()).transpose()?;
    let limit = page_limit(request.limit);
    let only_own = request.include == IncludeThreads::Participated;
    let ignored = app.accounts.ignored(call.caller.user).await?;
    let reader = super::reader(&call.caller, &ignored);
    let wanted = |takes_part: bool| takes_part || !only_own;
    let page = app.rooms.threads(&room, &reader, from, limit, wanted).await?;
    let chunk = page.roots.iter().map(|(root, bundle)| {
        as_raw(client_event(&call.caller, &room.room_id, root, Some(bundle)))
    });
    let mut response = get_threads::Response::new(chunk.collect());
    response.next_batch = page.next.map(|next| next.to_string());
    Ok(response)
}
