//! What a `/sync` answer shows of one room: a part of its timeline, and the state beside it.

use std::{collections::BTreeSet, sync::Arc};

use haechi_base::{Positions, limits::SYNC_TIMELINE_EVENTS_MAX};
use haechi_matrix::{filter::EventFilter, pdu::Pdu};
use haechi_rooms::{Event, PageToken, Recent, Room, Snapshot, Standing, State, Stay};

use super::{
    Pass,
    response::{Events, LeftRoom, Summary, Timeline},
};
use crate::{Inner, Result, room::state_event};

/// Timeline events when the filter does not say.
const TIMELINE_EVENTS: usize = 10;

const MEMBER: &str = "m.room.member";

/// A part of a timeline.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What the client is shown of it.
    pub(super) recent: Recent,
    /// Number of the last event, shown or not.
    end: i64,
    /// State in it which the filter of the timeline does not let through: it is told as state.
    unshown: Vec<Arc<Event>>,
}

impl Inner {
    /// New events that pass the filter and that the viewer may see.
    pub(super) async fn window(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        stay: Stay,
    ) -> Result<Window> {
        let beginning = Positions::default();
        let from = if stay == Stay::New { &beginning } else { &pass.since.positions };
        let recent = self.rooms.timeline(room, from, &pass.until, events_to_read(pass)).await?;
        self.shown(pass, room, stay, recent).await
    }

    /// What of these events the client is shown.
    async fn shown(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        stay: Stay,
        mut recent: Recent,
    ) -> Result<Window> {
        let viewer = &pass.request.viewer;
        let filter = &pass.request.filter.timeline;
        let end = recent.events.last().map_or(0, |event| event.seq);
        if stay != Stay::Unbroken {
            recent = self.rooms.visible_end(room, &viewer.user_id, recent).await?;
        }
        self.drop_ignored(viewer, &mut recent.events).await?;
        let mut unshown = Vec::new();
        if !filter.passes_all() {
            recent.events.retain(|event| {
                let passes = passes(filter, &event.pdu);
                if !passes && event.pdu.state_key().is_some() {
                    unshown.push(Arc::clone(event));
                }
                passes
            });
            let limit = limit(pass);
            if recent.events.len() > limit {
                recent.events.drain(..recent.events.len() - limit);
                recent.limited = true;
            }
        }
        Ok(Window { recent, end, unshown })
    }

    /// The state that the client needs beside the timeline which starts with event `first`.
    pub(super) async fn state(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        window: &Window,
        first: i64,
        full: bool,
    ) -> Result<Vec<Arc<Pdu>>> {
        let Window { recent, end, unshown } = window;
        let until = if pass.request.use_state_after { first.max(end + 1) } else { first };
        let mut state = if full {
            self.rooms.state_before(room, until).await?
        } else {
            let mut shown = recent.events.iter().chain(unshown);
            let has_state = shown.any(|event| event.pdu.state_key().is_some());
            if recent.limited || (pass.request.use_state_after && has_state) {
                let since = self.rooms.seq_at(room.nid, &pass.since.positions).await?;
                self.rooms.state_changes(room, since, until).await?
            } else {
                State::default()
            }
        };
        // Without a gap nothing was read, so it is all of them.
        let is_in = |event: &&Arc<Event>| event.seq < until && (full || recent.limited);
        for event in unshown.iter().filter(|event| !is_in(event)) {
            state.insert(Arc::clone(&event.pdu));
        }
        Ok(state.iter().map(Arc::clone).collect())
    }

    /// What of the state is sent when members are loaded lazily: of the members only those who
    /// appear, and whom the client does not know yet.
    pub(super) fn lazy(
        pass: &Pass<'_>,
        room: &Room,
        snapshot: &Snapshot,
        mut state: Vec<Arc<Pdu>>,
        recent: &Recent,
        summary: &Summary,
        full: bool,
    ) -> Vec<Arc<Pdu>> {
        let filter = &pass.request.filter.state;
        if let Some(lazy) = filter.lazy_members() {
            let viewer = &pass.request.viewer;
            let mut wanted: BTreeSet<&str> =
                recent.events.iter().map(|event| event.pdu.sender().as_str()).collect();
            if full {
                wanted.insert(viewer.user_id.as_str());
            }
            wanted.extend(summary.heroes.iter().flatten().map(|user| user.as_str()));
            let in_timeline: BTreeSet<&str> = recent
                .events
                .iter()
                .filter(|event| is_member(&event.pdu))
                .filter_map(|event| event.pdu.state_key())
                .collect();
            // Changes in a gap are always sent; of a full state only the members wanted.
            state.retain(|pdu| !full || !is_member(pdu));
            let given: BTreeSet<String> = state
                .iter()
                .filter(|pdu| is_member(pdu))
                .filter_map(|pdu| pdu.state_key().map(str::to_owned))
                .collect();
            for user in wanted {
                let got = pass.request.since.as_ref().map(|since| &since.positions);
                let (device, until) = (&viewer.device, &pass.until);
                let is_known = !pass.listener.send_member(device, room.nid, user, got, until);
                let skip = given.contains(user)
                    || (in_timeline.contains(user) && !pass.request.use_state_after)
                    || (is_known && !lazy.include_redundant && !full);
                if !skip && let Some(pdu) = snapshot.state.get(MEMBER, user) {
                    state.push(Arc::clone(pdu));
                }
            }
        }
        if !filter.passes_all() {
            state.retain(|pdu| passes(filter, pdu));
        }
        state
    }

    /// A room that the user has left, up to the leave.
    pub(super) async fn left(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        standing: &Standing,
    ) -> Result<LeftRoom> {
        let viewer = &pass.request.viewer;
        let stay = if pass.is_initial {
            Stay::New
        } else {
            let since = self.rooms.seq_at(room.nid, &pass.since.positions).await?;
            self.rooms.stay(room, &viewer.user_id, since, standing.seq - 1).await?
        };
        let mut recent = self.rooms.up_to(room, standing.seq, events_to_read(pass)).await?;
        if stay != Stay::New {
            let read = recent.events.len();
            recent.events.retain(|event| !pass.since.positions.covers(event.pos));
            recent.limited &= read == recent.events.len();
        }
        let window = self.shown(pass, room, stay, recent).await?;
        let recent = &window.recent;
        let first = recent.events.first().map_or(standing.seq + 1, |event| event.seq);
        let full = pass.is_initial || pass.request.full_state || stay != Stay::Unbroken;
        let state = if full {
            let after = pass.request.use_state_after;
            let at = if after { standing.seq } else { first - 1 };
            let state = self.rooms.state_for_left(room, &viewer.user_id, at).await?;
            state.iter().map(Arc::clone).collect()
        } else {
            self.state(pass, room, &window, first, false).await?
        };
        let shown = state.iter().filter(|pdu| passes(&pass.request.filter.state, pdu));
        let events = Events { events: shown.map(|pdu| state_event(room, pdu)).collect() };
        // Also where it is empty: matrix-nio takes an absent one for a malformed answer.
        let (state, state_after) =
            if pass.request.use_state_after { (None, Some(events)) } else { (Some(events), None) };
        let timeline = Timeline {
            limited: recent.limited,
            prev_batch: Some(PageToken(first - 1).to_string()),
            events: self.events_for(viewer, room, &recent.events).await?,
        };
        Ok(LeftRoom { timeline, state, state_after, ..LeftRoom::default() })
    }
}

fn limit(pass: &Pass<'_>) -> usize {
    pass.request.filter.timeline.limit(TIMELINE_EVENTS, SYNC_TIMELINE_EVENTS_MAX)
}

/// More than are shown where the filter may leave some out.
fn events_to_read(pass: &Pass<'_>) -> usize {
    if pass.request.filter.timeline.passes_all() { limit(pass) } else { SYNC_TIMELINE_EVENTS_MAX }
}

fn is_member(pdu: &Pdu) -> bool {
    *pdu.kind() == ruma::events::TimelineEventType::RoomMember
}

fn passes(filter: &EventFilter, pdu: &Pdu) -> bool {
    filter.passes_all()
        || (filter.passes(&pdu.kind().to_string(), pdu.sender(), pdu.content())
            && filter.passes_room(pdu.room_id()))
}
