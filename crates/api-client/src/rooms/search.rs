//! `POST /search`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _, Session};
use haechi_matrix::{filter::EventFilter, relations::SearchField};
use haechi_rooms::{Direction, Event, Hit, PageToken, Room, SearchOrder, SearchPage, SearchQuery};
use ruma::{
    OwnedRoomId, OwnedUserId, UInt, UserId,
    api::client::search::search_events::v3::{
        Criteria, EventContext, EventContextResult, Grouping, GroupingKey, OrderBy, Request,
        Response, ResultCategories, ResultGroup, ResultGroupMap, ResultRoomEvents, SearchKeys,
        SearchResult, UserProfile,
    },
    events::AnyStateEvent,
    serde::Raw,
};

use super::{
    as_raw,
    history::{compiled, passes},
    state::state_event,
};
use crate::{App, Result};

/// Events in a page when the client does not say.
const PAGE_EVENTS: usize = 10;
/// Most events in a page: of each, others may be shown that stand around it.
const PAGE_EVENTS_MAX: usize = 50;
/// Most events shown before and after each.
const CONTEXT_EVENTS_MAX: usize = 20;
/// Longest text to search for, in bytes.
const TERM_BYTES_MAX: usize = 1_024;

pub(super) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(search)
}

async fn search(app: App, call: Call<Request>) -> Result<Response> {
    let Request { next_batch, search_categories, .. } = call.request;
    let mut categories = ResultCategories::new();
    if let Some(criteria) = search_categories.room_events {
        categories.room_events = room_events(&app, &call.caller, next_batch, criteria).await?;
    }
    Ok(Response::new(categories))
}

async fn room_events(
    app: &App,
    caller: &Session,
    from: Option<String>,
    criteria: Criteria,
) -> Result<ResultRoomEvents> {
    if criteria.search_term.len() > TERM_BYTES_MAX {
        return Err(ApiError::invalid_param("`search_term` is too long").into());
    }
    let filter: EventFilter = compiled(criteria.filter)?;
    let query = SearchQuery {
        fields: fields(criteria.keys),
        order: match criteria.order_by {
            Some(OrderBy::Recent) => SearchOrder::Recent,
            _ => SearchOrder::Rank,
        },
        from: from.map(|token| token.parse()).transpose()?,
        limit: filter.limit(PAGE_EVENTS, PAGE_EVENTS_MAX).clamp(1, PAGE_EVENTS_MAX),
        text: criteria.search_term,
    };
    let ignored = app.accounts.ignored(caller.user).await?;
    let reader = super::reader(caller, &ignored);
    let searched = |room: &Room| filter.passes_room(&room.room_id);
    let page = app.rooms.search(&reader, &query, searched, |event| passes(&filter, event)).await?;
    let mut found = ResultRoomEvents::new();
    for hit in &page.hits {
        found.results.push(result(app, caller, hit, &criteria.event_context).await?);
    }
    if criteria.include_state == Some(true) {
        found.state = states(app, caller, &page).await?;
    }
    found.groups =
        criteria.groupings.group_by.iter().filter_map(|group| grouped(&page, group)).collect();
    found.count = UInt::try_from(page.total).ok();
    found.next_batch = page.next.map(|token| token.to_string());
    found.highlights = page.highlights;
    Ok(found)
}

fn fields(keys: Option<Vec<SearchKeys>>) -> Vec<SearchField> {
    let all = [SearchField::Body, SearchField::Name, SearchField::Topic];
    match keys {
        None => all.to_vec(),
        Some(keys) => all
            .into_iter()
            .filter(|field| keys.iter().any(|key| key.as_str() == field.as_str()))
            .collect(),
    }
}

async fn result(
    app: &App,
    caller: &Session,
    hit: &Hit,
    wanted: &EventContext,
) -> Result<SearchResult> {
    let mut result = SearchResult::new();
    let shown = app.client_events(caller, &hit.room, std::slice::from_ref(&hit.event)).await?;
    result.result = shown.into_iter().next().map(as_raw);
    result.rank = Some(hit.rank);
    result.context = context(app, caller, hit, wanted).await?;
    Ok(result)
}

async fn context(
    app: &App,
    caller: &Session,
    hit: &Hit,
    wanted: &EventContext,
) -> Result<EventContextResult> {
    let Hit { room, event, .. } = hit;
    let ignored = app.accounts.ignored(caller.user).await?;
    let around = async |direction: Direction, limit: UInt| {
        let limit = usize::try_from(limit).unwrap_or(CONTEXT_EVENTS_MAX).min(CONTEXT_EVENTS_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let from = match direction {
            Direction::Backward => event.seq - 1,
            Direction::Forward => event.seq,
        };
        let shown = |event: &Event| !event.is_hidden_by(&ignored);
        let user = &caller.user_id;
        let page = app.rooms.page(room, user, direction, Some(from), limit, shown).await?;
        Ok::<_, crate::Error>(page.events)
    };
    let before = around(Direction::Backward, wanted.before_limit).await?;
    let after = around(Direction::Forward, wanted.after_limit).await?;
    let mut context = EventContextResult::new();
    let first = before.last().map_or(event.seq, |event| event.seq);
    let last = after.last().map_or(event.seq, |event| event.seq);
    context.start = Some(PageToken(first - 1).to_string());
    context.end = Some(PageToken(last).to_string());
    if wanted.include_profile {
        let all: Vec<&Arc<Event>> = before.iter().chain([event]).chain(&after).collect();
        context.profile_info = profiles(app, caller, room, &all, event.seq).await?;
    }
    let shown = app.client_events(caller, room, &before).await?;
    context.events_before = shown.into_iter().map(as_raw).collect();
    let shown = app.client_events(caller, room, &after).await?;
    context.events_after = shown.into_iter().map(as_raw).collect();
    Ok(context)
}

/// How those who sent these events appeared then.
async fn profiles(
    app: &App,
    caller: &Session,
    room: &Arc<Room>,
    events: &[&Arc<Event>],
    seq: i64,
) -> Result<BTreeMap<OwnedUserId, UserProfile>> {
    #[derive(serde::Deserialize, Default)]
    struct Shown {
        displayname: Option<String>,
        avatar_url: Option<String>,
    }
    let state = app.rooms.visible_state_at(room, &caller.user_id, seq).await?;
    let senders: BTreeSet<&UserId> = events.iter().map(|event| event.pdu.sender()).collect();
    Ok(senders
        .into_iter()
        .filter_map(|sender| {
            let member = state.get("m.room.member", sender.as_str())?;
            let shown: Shown = member.content_as().unwrap_or_default();
            let mut profile = UserProfile::new();
            profile.displayname = shown.displayname;
            profile.avatar_url = shown.avatar_url.map(Into::into);
            Some((sender.to_owned(), profile))
        })
        .collect())
}

async fn states(
    app: &App,
    caller: &Session,
    page: &SearchPage,
) -> Result<BTreeMap<OwnedRoomId, Vec<Raw<AnyStateEvent>>>> {
    let mut states = BTreeMap::new();
    for Hit { room, .. } in &page.hits {
        if !states.contains_key(&room.room_id) {
            let state = app.rooms.visible_state(room, &caller.user_id).await?;
            let events = state.iter().map(|pdu| as_raw(state_event(room, pdu))).collect();
            states.insert(room.room_id.clone(), events);
        }
    }
    Ok(states)
}

fn grouped(page: &SearchPage, by: &Grouping) -> Option<ResultGroupMap> {
    match by.key.as_ref()? {
        GroupingKey::RoomId => {
            Some(ResultGroupMap::RoomId(groups(page, |hit| hit.room.room_id.clone())))
        }
        GroupingKey::Sender => {
            Some(ResultGroupMap::Sender(groups(page, |hit| hit.event.pdu.sender().to_owned())))
        }
        _ => None,
    }
}

/// The events in groups, which are numbered in the order in which they appear.
fn groups<K: Ord>(page: &SearchPage, key: impl Fn(&Hit) -> K) -> BTreeMap<K, ResultGroup> {
    let mut groups: BTreeMap<K, ResultGroup> = BTreeMap::new();
    for hit in &page.hits {
        let order = UInt::try_from(groups.len() + 1).ok();
        let group = groups.entry(key(hit)).or_insert_with(|| {
            let mut group = ResultGroup::new();
            group.order = order;
            group
        });
        group.results.push(hit.event.pdu.event_id().to_owned());
    }
    groups
}
