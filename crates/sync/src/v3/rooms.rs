//! The rooms of a `/sync` answer.

use std::{collections::BTreeSet, sync::Arc};

use haechi_base::{Positions, RoomNid, limits::SYNC_TIMELINE_EVENTS_MAX};
use haechi_matrix::{
    client_event::{STRIPPED_STATE_TYPES, stripped},
    pdu::Pdu,
};
use haechi_rooms::{Membership, PageToken, Recent, Room, RoomError, Snapshot, Standing};
use serde_json::value::RawValue;

use super::{
    Pass,
    response::{
        Counts, Events, InvitedRoom, JoinedRoom, KnockedRoom, LeftRoom, RawEvent, Response,
        StrippedState, Summary, Timeline,
    },
};
use crate::{
    Inner, Result, Viewer,
    device_lists::DeviceWatch,
    news::RoomNews,
    room::{account_data_event, heroes, needs_heroes, state_event},
};

/// Timeline events when the filter does not say.
const TIMELINE_EVENTS: usize = 10;

const MEMBER: &str = "m.room.member";

impl Inner {
    pub(super) async fn add_rooms(
        &self,
        pass: &Pass<'_>,
        watch: &mut DeviceWatch,
        response: &mut Response,
    ) -> Result<()> {
        for (nid, news) in &pass.sorted.rooms {
            match self.add_room(pass, *nid, *news, watch, response).await {
                Ok(()) => {}
                // Unreadable here, readable tomorrow: one room must not take the others with it.
                Err(crate::SyncError::Room(RoomError::UnsupportedVersion(version))) => {
                    tracing::error!(room = nid.0, version, "left a room out of a sync");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn add_room(
        &self,
        pass: &Pass<'_>,
        nid: RoomNid,
        news: RoomNews,
        watch: &mut DeviceWatch,
        response: &mut Response,
    ) -> Result<()> {
        let viewer = &pass.request.viewer;
        let room = self.rooms.room(nid).await?;
        if !pass.request.filter.rooms.contains(&room.room_id) {
            return Ok(());
        }
        let joined = room.joined().contains(&viewer.user);
        if joined && !news.membership {
            let filled = self.joined(pass, &room, news, false, watch).await?;
            if let Some(filled) = filled {
                response.rooms.join.insert(room.room_id.clone(), filled);
            }
            return Ok(());
        }
        let standing = match &pass.whole {
            Some(whole) => whole.standings.get(&nid).copied(),
            None => self.rooms.standing(nid, viewer.user).await?,
        };
        let Some(standing) = standing else { return Ok(()) };
        if standing.forgotten {
            return Ok(());
        }
        let room_id = room.room_id.clone();
        match standing.membership {
            Membership::Join => {
                let is_new = pass.is_initial || self.is_new_member(pass, &room).await?;
                if is_new && !pass.is_initial {
                    watch.joined_room(&room);
                }
                if let Some(filled) = self.joined(pass, &room, news, is_new, watch).await? {
                    response.rooms.join.insert(room_id, filled);
                }
            }
            Membership::Invite if self.is_unwelcome(viewer, &room).await? => {}
            Membership::Invite => {
                let invite_state = stripped_state(&room, viewer);
                response.rooms.invite.insert(room_id, InvitedRoom { invite_state });
            }
            Membership::Knock => {
                let knock_state = stripped_state(&room, viewer);
                response.rooms.knock.insert(room_id, KnockedRoom { knock_state });
            }
            Membership::Leave | Membership::Ban => {
                if !pass.is_initial {
                    watch.left_room(&room);
                }
                let left = self.left(pass, &room, &standing).await?;
                response.rooms.leave.insert(room_id, left);
            }
        }
        Ok(())
    }

    /// Has the user come into the room since the client last asked?
    async fn is_new_member(&self, pass: &Pass<'_>, room: &Arc<Room>) -> Result<bool> {
        let seq = self.rooms.seq_at(room.nid, &pass.since.positions).await?;
        let state = self.rooms.state_before(room, seq + 1).await?;
        Ok(state.membership(pass.request.viewer.user_id.as_str()) != Membership::Join)
    }

    /// `None` when the client would learn nothing.
    async fn joined(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        news: RoomNews,
        is_new: bool,
        watch: &mut DeviceWatch,
    ) -> Result<Option<JoinedRoom>> {
        let viewer = &pass.request.viewer;
        let whole = is_new || pass.is_initial;
        let mut out = JoinedRoom::default();
        let recent = if news.event || whole || pass.request.full_state {
            self.timeline(pass, room, whole).await?
        } else {
            Recent::default()
        };
        let snapshot = room.snapshot();
        let first = recent.events.first().map_or(snapshot.seq + 1, |event| event.seq);
        let full = whole || pass.request.full_state;
        let state = self.state(pass, room, &recent, first, full).await?;
        if !pass.is_initial {
            watch.members(&viewer.user_id, recent.events.iter().map(|event| &**event));
            // Also who came and went in the gap, of which the client sees only the state.
            for pdu in state.iter().filter(|_| recent.limited) {
                watch.member(&viewer.user_id, pdu);
            }
        }
        let members_moved = recent.events.iter().any(|event| is_member(&event.pdu))
            || (recent.limited && state.iter().any(|pdu| is_member(pdu)));
        if full || members_moved {
            out.summary = summary(&snapshot, viewer);
        }
        let state = Self::lazy(pass, room, &snapshot, state, &recent, &out.summary, full);
        let state: Vec<RawEvent> = state.iter().map(|pdu| state_event(room, pdu)).collect();
        out.timeline = Timeline {
            limited: recent.limited,
            prev_batch: (!recent.events.is_empty() || recent.limited)
                .then(|| PageToken(first - 1).to_string()),
            events: self.events_for(viewer, room, &recent.events).await?,
        };
        let has_state = !state.is_empty();
        let state = Some(Events { events: state });
        if pass.request.use_state_after {
            out.state_after = state;
        } else if has_state || full {
            out.state = state;
        }
        self.add_extras(pass, room, news, whole, &mut out).await?;
        self.add_unread(pass, room, &mut out).await?;
        let learns = full
            || news.read_state
            || news.receipt
            || has_state
            || !out.timeline.events.is_empty()
            || out.timeline.limited
            || !out.account_data.events.is_empty()
            || !out.ephemeral.events.is_empty();
        Ok(learns.then_some(out))
    }

    async fn add_unread(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        out: &mut JoinedRoom,
    ) -> Result<()> {
        let unread = self.rooms.unread(room, pass.request.viewer.user).await?;
        let by_thread = pass.request.filter.timeline.thread_counts();
        let counts = |(notify, highlight): (i64, i64)| Counts {
            notification_count: notify,
            highlight_count: highlight,
        };
        if by_thread {
            out.unread_notifications = counts((unread.notify, unread.highlight));
            for (root, notify, highlight) in unread.threads {
                out.unread_thread_notifications.insert(root, counts((notify, highlight)));
            }
        } else {
            out.unread_notifications = counts(unread.overall());
        }
        Ok(())
    }

    /// Receipts, typing, account data.
    async fn add_extras(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        news: RoomNews,
        whole: bool,
        out: &mut JoinedRoom,
    ) -> Result<()> {
        let viewer = &pass.request.viewer;
        let filter = &pass.request.filter;
        let since = (!whole).then(|| pass.since.positions.ranges_to(&pass.until));
        if (news.receipt || news.read_state || whole) && filter.ephemeral.passes_kind("m.receipt") {
            let read;
            let receipts = if let Some(whole) = &pass.whole {
                whole.receipts(room.nid)
            } else {
                read = self.rooms.receipts(room.nid, since.clone()).await?;
                &read
            };
            out.ephemeral.events.extend(self.receipt_event(viewer, receipts).await?);
        }
        let types = news.typing
            && (!whole || !self.rooms.typing().users(room.nid).is_empty())
            && filter.ephemeral.passes_kind("m.typing");
        if types {
            out.ephemeral.events.push(self.typing_event(room).await?);
        }
        if news.account_data || whole {
            let read;
            let data = if let Some(whole) = &pass.whole {
                whole.account_data(Some(room.nid))
            } else {
                read = match since {
                    None => self.accounts.account_data_of_room(viewer.user, room.nid).await?,
                    Some(ranges) => self.accounts.account_data_since(viewer.user, &ranges).await?,
                };
                &read
            };
            out.account_data.events = data
                .iter()
                .filter(|datum| datum.room == Some(room.nid))
                .filter(|datum| filter.room_account_data.passes_kind(&datum.kind))
                .map(|datum| account_data_event(&datum.kind, &datum.content))
                .collect();
        }
        Ok(())
    }

    /// New events that pass the filter and that the viewer may see.
    async fn timeline(&self, pass: &Pass<'_>, room: &Arc<Room>, whole: bool) -> Result<Recent> {
        let filter = &pass.request.filter.timeline;
        let limit = filter.limit(TIMELINE_EVENTS, SYNC_TIMELINE_EVENTS_MAX);
        let beginning = Positions::default();
        let from = if whole { &beginning } else { &pass.since.positions };
        let read = if filter.passes_all() { limit } else { SYNC_TIMELINE_EVENTS_MAX };
        let mut recent = self.rooms.timeline(room, from, &pass.until, read).await?;
        let viewer = &pass.request.viewer;
        if whole {
            recent.events = self.rooms.visible(room, &viewer.user_id, recent.events).await?;
        }
        self.drop_ignored(viewer, &mut recent.events).await?;
        if !filter.passes_all() {
            recent.events.retain(|event| passes(filter, &event.pdu));
            if recent.events.len() > limit {
                recent.events.drain(..recent.events.len() - limit);
                recent.limited = true;
            }
        }
        Ok(recent)
    }

    /// The state that the client needs beside the timeline which starts with event `first`.
    async fn state(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        recent: &Recent,
        first: i64,
        full: bool,
    ) -> Result<Vec<Arc<Pdu>>> {
        let after = pass.request.use_state_after;
        let last = recent.events.last().map_or(first, |event| event.seq + 1);
        if full {
            let at = if after { last } else { first };
            let state = self.rooms.state_before(room, at).await?;
            return Ok(state.iter().map(Arc::clone).collect());
        }
        if !recent.limited && !after {
            return Ok(Vec::new());
        }
        if after
            && !recent.events.iter().any(|event| event.pdu.state_key().is_some())
            && !recent.limited
        {
            return Ok(Vec::new());
        }
        let since = self.rooms.seq_at(room.nid, &pass.since.positions).await?;
        let before = if after { last } else { first };
        Ok(self.rooms.state_changes(room, since, before).await?)
    }

    /// What of the state is sent when members are loaded lazily: of the members only those who
    /// appear, and whom the client does not know yet.
    fn lazy(
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
                wanted.extend(summary.heroes.iter().flatten().map(|user| user.as_str()));
            }
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
                let is_known = !pass.listener.send_member(&viewer.device, room.nid, user);
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
    async fn left(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        standing: &Standing,
    ) -> Result<LeftRoom> {
        let viewer = &pass.request.viewer;
        let filter = &pass.request.filter.timeline;
        let limit = filter.limit(TIMELINE_EVENTS, SYNC_TIMELINE_EVENTS_MAX);
        let mut recent = self.rooms.up_to(room, standing.seq, limit).await?;
        let before = recent.events.len();
        recent.events.retain(|event| {
            (pass.is_initial || !pass.since.positions.covers(event.pos))
                && passes(filter, &event.pdu)
        });
        recent.limited &= before == recent.events.len();
        recent.events = self.rooms.visible(room, &viewer.user_id, recent.events).await?;
        self.drop_ignored(viewer, &mut recent.events).await?;
        let first = recent.events.first().map_or(standing.seq + 1, |event| event.seq);
        let mut out = LeftRoom::default();
        if pass.is_initial || pass.request.full_state {
            let at = if pass.request.use_state_after { standing.seq + 1 } else { first };
            let state = self.rooms.visible_state_at(room, &viewer.user_id, at - 1).await?;
            let events = state
                .iter()
                .filter(|pdu| passes(&pass.request.filter.state, pdu))
                .map(|pdu| state_event(room, pdu))
                .collect();
            if pass.request.use_state_after {
                out.state_after = Some(Events { events });
            } else {
                out.state = Some(Events { events });
            }
        } else if pass.request.use_state_after {
            out.state_after = Some(Events::default());
        } else {
            // Empty, but there: matrix-nio takes an absent one for a malformed answer.
            out.state = Some(Events::default());
        }
        out.timeline = Timeline {
            limited: recent.limited,
            prev_batch: Some(PageToken(first - 1).to_string()),
            events: self.events_for(viewer, room, &recent.events).await?,
        };
        Ok(out)
    }
}

fn is_member(pdu: &Pdu) -> bool {
    *pdu.kind() == ruma::events::TimelineEventType::RoomMember
}

fn passes(filter: &haechi_matrix::filter::EventFilter, pdu: &Pdu) -> bool {
    filter.passes_all()
        || (filter.passes(&pdu.kind().to_string(), pdu.sender(), pdu.content())
            && filter.passes_room(pdu.room_id()))
}

pub(crate) fn summary(snapshot: &Snapshot, viewer: &Viewer) -> Summary {
    Summary {
        heroes: needs_heroes(snapshot).then(|| heroes(snapshot, &viewer.user_id)),
        joined: Some(snapshot.joined.len() as u64),
        invited: Some(u64::try_from(snapshot.invited).unwrap_or(0)),
    }
}

/// What somebody who is not in the room may know of it: enough to show the invitation.
pub(crate) fn stripped_state(room: &Room, viewer: &Viewer) -> StrippedState {
    let state = room.state();
    let mut events: Vec<Box<RawValue>> = STRIPPED_STATE_TYPES
        .iter()
        .filter_map(|kind| state.get(kind, ""))
        .map(|pdu| stripped(pdu))
        .collect();
    if let Some(own) = state.get(MEMBER, viewer.user_id.as_str()) {
        let inviter = own.sender().as_str();
        if inviter != viewer.user_id.as_str()
            && let Some(pdu) = state.get(MEMBER, inviter)
        {
            events.push(stripped(pdu));
        }
        events.push(stripped(own));
    }
    StrippedState { events }
}
