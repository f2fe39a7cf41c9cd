//! What a room is made of, in memory.

use std::sync::{Arc, OnceLock};

use haechi_accounts::Ignored;
use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{
    RoomVersion,
    auth::Membership,
    client_event::{self, ClientEvent, CommonUnsigned, UserUnsigned},
    pdu::Pdu,
};
use ruma::{OwnedEventId, OwnedUserId, RoomId};

/// Who does something: always a user, and the device when there is one.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Number.
    pub nid: UserNid,
    /// Matrix id.
    pub user_id: OwnedUserId,
    /// The device the request came from.
    pub device: Option<Arc<str>>,
}

/// A client's own name for a request: asking again must give the same event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// The device that chose it.
    pub device: Arc<str>,
    /// What it chose.
    pub id: Arc<str>,
}

/// Running counts of the events in a room that notify by the default rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: i64,
    /// Those outside threads.
    pub main: i64,
}

/// An event with its place.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in a lane.
    pub pos: StreamPos,
    /// Its number in the room, from 1.
    pub seq: i64,
    /// The event itself.
    pub pdu: Arc<Pdu>,
    /// The version of its room.
    pub version: RoomVersion,
    /// The state event whose place it took.
    pub replaced: Option<Arc<Pdu>>,
    /// The redaction that emptied it.
    pub redaction: Option<Arc<Pdu>>,
    /// As clients see it, once somebody has asked.
    pub(crate) client: OnceLock<ClientEvent>,
    /// Number of its sender.
    pub sender: UserNid,
    /// The room's counts with this event included.
    pub counts: Counts,
    /// The first event of the thread it is in.
    pub thread_root: Option<OwnedEventId>,
    /// How the sender's device named the request.
    pub txn: Option<Txn>,
    /// Position of the redaction that emptied it.
    pub redacted_by: Option<StreamPos>,
}

impl Event {
    /// The event as clients see it.
    pub fn client(&self) -> &ClientEvent {
        self.client.get_or_init(|| {
            self.with_common(|common| ClientEvent::new(self.version, &self.pdu, common))
        })
    }

    /// Appends the event to `out` as one user sees it outside of sync: for events that are read once,
    /// cheaper than [`Self::client`].
    pub fn write(&self, out: &mut String, room_id: &RoomId, unsigned: &UserUnsigned<'_>) {
        if let Some(client) = self.client.get() {
            return client.write(out, Some(room_id), unsigned);
        }
        self.with_common(|common| {
            client_event::write(out, self.version, &self.pdu, common, Some(room_id), unsigned);
        });
    }

    /// Calls `write` with what all see in `unsigned`.
    fn with_common<T>(&self, write: impl FnOnce(CommonUnsigned<'_>) -> T) -> T {
        let redaction = self.redaction.as_deref();
        let redaction =
            redaction.map(|pdu| ClientEvent::new(self.version, pdu, CommonUnsigned::default()));
        write(CommonUnsigned {
            replaces: self.replaced.as_deref(),
            redacted_because: redaction.as_ref(),
        })
    }

    /// About what it takes in memory, whether or not it has been rendered: the same at all times.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.pdu) + self.pdu.content().len() + RENDERED_BYTES
    }

    /// Is it one that somebody who ignores these users is not to see? Of ignored users too,
    /// state is shown (client-server API, "Ignoring Users").
    pub fn is_hidden_by(&self, ignored: &Ignored) -> bool {
        self.pdu.state_key().is_none() && ignored.contains(self.sender)
    }
}

/// Where a user stands in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The room.
    pub room: RoomNid,
    /// The membership.
    pub membership: Membership,
    /// Number in the room of the event that made it so.
    pub seq: i64,
    /// Its position.
    pub pos: StreamPos,
    /// Did the user ask to forget the room?
    pub forgotten: bool,
}

type ByKey = imbl::OrdMap<Box<str>, Arc<Pdu>>;

/// The state of a room at one point. Cheap to clone: copies share what is equal.
#[derive(Clone, Debug, Default)]
pub struct State {
    by_kind: imbl::OrdMap<Box<str>, ByKey>,
    /// What the events take in memory.
    bytes: usize,
}

/// About what an event takes in memory beside its text: its ids, and its place in maps and lists.
const EVENT_BYTES: usize = 1_024;
/// What an event takes as clients see it, beside its content.
const RENDERED_BYTES: usize = 384;

/// About what an event takes in memory.
fn bytes_of(pdu: &Pdu) -> usize {
    EVENT_BYTES + pdu.json().len()
}

impl State {
    /// The state event of this type and key.
    pub fn get(&self, kind: &str, key: &str) -> Option<&Arc<Pdu>> {
        self.by_kind.get(kind)?.get(key)
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a state event in its place.
    pub fn insert(&mut self, pdu: Arc<Pdu>) {
        let Some(key) = pdu.state_key() else { return };
        let key: Box<str> = key.into();
        let kind: Box<str> = pdu.kind().to_string().into();
        self.bytes += bytes_of(&pdu);
        let replaced = self.by_kind.entry(kind).or_default().insert(key, pdu);
        self.bytes -= replaced.map_or(0, |pdu| bytes_of(&pdu));
    }

    /// Takes the state event of this type and key away.
    pub fn remove(&mut self, kind: &str, key: &str) {
        let removed = self.by_kind.get_mut(kind).and_then(|by_key| by_key.remove(key));
        self.bytes -= removed.map_or(0, |pdu| bytes_of(&pdu));
    }

    /// All state events, by type and key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pdu>> {
        self.by_kind.values().flat_map(|by_key| by_key.values())
    }

    /// All state events of one type with their keys.
    pub fn of_type(&self, kind: &str) -> impl Iterator<Item = (&str, &Arc<Pdu>)> {
        self.by_kind.get(kind).into_iter().flatten().map(|(key, pdu)| (&**key, pdu))
    }

    /// The membership of a user; [`Membership::Leave`] where there is none.
    pub fn membership(&self, user: &str) -> Membership {
        self.get("m.room.member", user).map_or(Membership::Leave, |pdu| membership_of(pdu))
    }
}

/// What a member event says; anything unreadable is a leave.
pub fn membership_of(pdu: &Pdu) -> Membership {
    Membership::of_content(pdu.content()).unwrap_or(Membership::Leave)
}
