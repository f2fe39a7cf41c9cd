//! One room in memory: the head that the next event links to, and what readers see.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use haechi_base::{Millis, Positions, RoomNid, StreamPos, UserNid};
use haechi_matrix::{
    RoomVersion,
    auth::{Membership, RoomAuth, Visibility},
    pdu::Pdu,
};
use parking_lot::{Mutex, RwLock};
use ruma::{OwnedEventId, OwnedRoomId, events::TimelineEventType};

use crate::{
    PushAction,
    model::{Counts, Event, State},
    unread::Reads,
};

/// Recent events kept in memory for each room: what a woken `/sync` needs.
pub(crate) const RECENT_EVENTS_MAX: usize = 64;

/// About what a room takes in memory beside its events and members.
const ROOM_BYTES: usize = 4_096;

/// About what a member takes in memory: a place among those joined, and how far he has read.
const MEMBER_BYTES: usize = 256;

/// A room in memory. Only a cache: the tables hold the truth.
#[derive(Debug)]
pub struct Room {
    /// Its number.
    pub nid: RoomNid,
    /// Its Matrix id.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
    /// What the next event of this node builds on; runs ahead of the commits.
    pub(crate) head: Mutex<Head>,
    /// What has been committed.
    pub(crate) live: RwLock<Live>,
    /// How far users have read, for those who were asked after.
    pub(crate) reads: Mutex<Reads>,
    /// About what it takes in memory.
    pub(crate) bytes: AtomicUsize,
    /// How often it was marked stale: who reads it anew sees by this that he must do so again.
    pub(crate) marks: AtomicU64,
}

/// The end of the room as this node expects it once all it has queued is committed.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// False after a queued event failed: to be taken from the tables again.
    pub(crate) valid: bool,
    pub(crate) event: OwnedEventId,
    pub(crate) depth: i64,
    pub(crate) state_version: i64,
    pub(crate) state: State,
    /// What the rules read of `state`; empty before the create event.
    pub(crate) auth: Option<Arc<RoomAuth>>,
}

/// What has been committed, as far as this node knows.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Did another node write to the room? Then this must be read anew.
    pub(crate) stale: bool,
    /// Number of the last event that is known to be committed, though it may not be here yet.
    pub(crate) due: i64,
    pub(crate) seq: i64,
    pub(crate) head_event: OwnedEventId,
    pub(crate) depth: i64,
    pub(crate) head_pos: StreamPos,
    pub(crate) bump_at: Millis,
    pub(crate) state_version: i64,
    pub(crate) counts: Counts,
    pub(crate) state: State,
    pub(crate) recent: VecDeque<Arc<Event>>,
    /// What `recent` takes in memory.
    pub(crate) recent_bytes: usize,
    pub(crate) joined: imbl::OrdSet<UserNid>,
    pub(crate) invited: i64,
    /// The first event since which whoever is in the room may see everything that was sent.
    pub(crate) open_since: Option<i64>,
}

/// What readers need of a room at once: a cheap copy.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Number of the last event.
    pub seq: i64,
    /// Its position.
    pub head_pos: StreamPos,
    /// When the last event was sent that lifts the room in a room list.
    pub bump_at: Millis,
    /// Running counts.
    pub counts: Counts,
    /// Current state.
    pub state: State,
    /// Who is in the room.
    pub joined: imbl::OrdSet<UserNid>,
    /// How many are invited.
    pub invited: i64,
}

/// What one committed event changes in memory.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) event: Arc<Event>,
    pub(crate) member: Option<(UserNid, Membership, Membership)>,
    pub(crate) bump: bool,
    pub(crate) counted: bool,
    pub(crate) push_actions: Vec<PushAction>,
    pub(crate) redacted: Option<Redacted>,
}

/// An event that was emptied.
#[derive(Debug)]
pub(crate) struct Redacted {
    /// What is left of it.
    pub(crate) pdu: Arc<Pdu>,
    /// Its number.
    pub(crate) seq: i64,
    /// Is it one of those that the room counts outside of threads?
    pub(crate) counted: bool,
}

impl Room {
    /// Another node wrote to it: it is to be read again before it is next used.
    pub(crate) fn mark_stale(&self) {
        self.marks.fetch_add(1, Ordering::AcqRel);
        self.live.write().stale = true;
        self.head.lock().valid = false;
    }

    /// Builds upon this head from now on, unless there is a good one.
    pub(crate) fn mend(&self, with: Head) {
        let mut head = self.head.lock();
        if !head.valid {
            *head = with;
        }
    }

    /// A cheap copy of what readers need.
    pub fn snapshot(&self) -> Snapshot {
        let live = self.live.read();
        Snapshot {
            seq: live.seq,
            head_pos: live.head_pos,
            bump_at: live.bump_at,
            counts: live.counts,
            state: live.state.clone(),
            joined: live.joined.clone(),
            invited: live.invited,
        }
    }

    /// When the last event was sent that lifts the room in a room list.
    pub fn bump_at(&self) -> Millis {
        self.live.read().bump_at
    }

    /// Position of the last event.
    pub fn head_pos(&self) -> StreamPos {
        self.live.read().head_pos
    }

    /// Current state.
    pub fn state(&self) -> State {
        self.live.read().state.clone()
    }

    /// Who is in the room.
    pub fn joined(&self) -> imbl::OrdSet<UserNid> {
        self.live.read().joined.clone()
    }

    /// Are these the ones in the room now? Quick: false also for an equal set made elsewhere.
    pub fn are_joined(&self, users: &imbl::OrdSet<UserNid>) -> bool {
        self.live.read().joined.ptr_eq(users)
    }

    /// Who has which power, as of the last event queued.
    pub fn auth(&self) -> Option<Arc<RoomAuth>> {
        self.head.lock().auth.clone()
    }

    /// The event at this position, if it is among the newest.
    pub(crate) fn recent_at(&self, pos: StreamPos) -> Option<Arc<Event>> {
        let live = self.live.read();
        live.recent.iter().rev().find(|event| event.pos == pos).map(Arc::clone)
    }

    /// May whoever is in the room see all events from number `seq` on?
    pub(crate) fn is_open_since(&self, seq: i64) -> bool {
        let live = self.live.read();
        !live.stale && live.open_since.is_some_and(|since| since <= seq)
    }

    /// The state before event number `seq`; `None` when memory does not reach back far enough.
    pub(crate) fn state_before(&self, seq: i64) -> Option<State> {
        let live = self.live.read();
        let mut state = live.state.clone();
        if live.stale
            || (seq <= live.seq && live.recent.front().is_none_or(|first| first.seq > seq))
        {
            return None;
        }
        let undone = live.recent.iter().rev().take_while(|event| event.seq >= seq);
        for event in undone {
            match (&event.replaced, event.pdu.state_key()) {
                (Some(replaced), _) => state.insert(Arc::clone(replaced)),
                (None, Some(key)) => state.remove(&event.pdu.kind().to_string(), key),
                (None, None) => {}
            }
        }
        Some(state)
    }

    /// Takes over what was committed. Called in commit order.
    pub(crate) fn apply(&self, applied: &[Applied], state_version: i64) {
        let mut live = self.live.write();
        // What was read anew meanwhile may hold some of it already.
        let known = applied.partition_point(|one| one.event.seq <= live.seq);
        let new = &applied[known..];
        let (Some(first), Some(last)) = (new.first(), new.last()) else { return };
        if first.event.seq != live.seq + 1 {
            // Another node wrote in between. What is here stays whole, only old: a state without that
            // node's changes must never carry the version that counts them.
            live.stale = true;
            live.due = live.due.max(last.event.seq);
            drop(live);
            self.reads.lock().clear();
            return;
        }
        for one in new {
            live.apply(one);
        }
        live.state_version = state_version;
        self.bytes.store(live.bytes(), Ordering::Relaxed);
        drop(live);
        self.reads.lock().apply(new);
    }

    /// The newest events which `to` covers and `from` does not, oldest first, at most `limit`;
    /// `None` when memory does not reach back far enough to tell.
    pub(crate) fn recent(&self, from: &Positions, to: &Positions, limit: usize) -> Option<Recent> {
        let live = self.live.read();
        if live.stale {
            return None;
        }
        let mut events = Vec::new();
        for event in live.recent.iter().rev() {
            if !to.covers(event.pos) {
                continue;
            }
            if from.covers(event.pos) {
                events.reverse();
                return Some(Recent { events, limited: false });
            }
            if events.len() == limit {
                events.reverse();
                return Some(Recent { events, limited: true });
            }
            events.push(Arc::clone(event));
        }
        // Nothing older exists, or only memory ends here?
        let complete = live.recent.front().map_or(live.seq == 0, |first| first.seq == 1);
        complete.then(|| {
            events.reverse();
            Recent { events, limited: false }
        })
    }
}

/// A part of the timeline.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Oldest first.
    pub events: Vec<Arc<Event>>,
    /// Are there more between the starting point and the first one?
    pub limited: bool,
}

impl Live {
    fn apply(&mut self, applied: &Applied) {
        let event = &applied.event;
        self.seq = event.seq;
        self.head_event = event.pdu.event_id().to_owned();
        self.depth = i64::try_from(event.pdu.depth()).unwrap_or(i64::MAX);
        self.head_pos = event.pos;
        self.counts = event.counts;
        if applied.bump {
            self.bump_at = self.bump_at.max(Millis(event.pdu.origin_server_ts()));
        }
        if event.pdu.state_key().is_some() {
            self.state.insert(Arc::clone(&event.pdu));
            self.note_visibility(event);
        }
        if let Some((user, before, after)) = applied.member {
            if after == Membership::Join {
                self.joined.insert(user);
            } else {
                self.joined.remove(&user);
            }
            self.invited += i64::from(after == Membership::Invite);
            self.invited -= i64::from(before == Membership::Invite);
        }
        if let Some(redacted) = &applied.redacted {
            self.redact(&redacted.pdu, event);
        }
        let oldest =
            if self.recent.len() == RECENT_EVENTS_MAX { self.recent.pop_front() } else { None };
        self.recent.push_back(Arc::clone(event));
        self.recent_bytes += event.bytes();
        self.recent_bytes -= oldest.map_or(0, |event| event.bytes());
    }

    /// About what all of it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        ROOM_BYTES + self.state.bytes() + self.recent_bytes + self.joined.len() * MEMBER_BYTES
    }

    fn note_visibility(&mut self, event: &Event) {
        if *event.pdu.kind() != TimelineEventType::RoomHistoryVisibility {
            return;
        }
        self.open_since = match Visibility::of_content(event.pdu.content()) {
            Visibility::Shared | Visibility::WorldReadable => {
                self.open_since.or(Some(event.seq + 1))
            }
            Visibility::Invited | Visibility::Joined => None,
        };
    }

    fn redact(&mut self, redacted: &Arc<Pdu>, by: &Event) {
        for event in &mut self.recent {
            if event.pdu.event_id() == redacted.event_id() {
                let mut changed = Event::clone(event);
                changed.pdu = Arc::clone(redacted);
                changed.redacted_by = Some(by.pos);
                changed.redaction = Some(Arc::clone(&by.pdu));
                changed.client = OnceLock::new();
                *event = Arc::new(changed);
            }
            let is_replaced = |pdu: &Arc<Pdu>| pdu.event_id() == redacted.event_id();
            if event.replaced.as_ref().is_some_and(is_replaced) {
                let mut changed = Event::clone(event);
                changed.replaced = Some(Arc::clone(redacted));
                changed.client = OnceLock::new();
                *event = Arc::new(changed);
            }
        }
        self.recent_bytes = self.recent.iter().map(|event| event.bytes()).sum();
        let kind = redacted.kind().to_string();
        let is_current = redacted.state_key().is_some_and(|key| {
            self.state.get(&kind, key).is_some_and(|pdu| pdu.event_id() == redacted.event_id())
        });
        if is_current {
            self.state.insert(Arc::clone(redacted));
        }
    }
}
