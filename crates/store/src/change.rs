//! What sync must learn of: signals without content. The content is in the tables and in the caches
//! of the domain crates; a signal says who has something new to look at.

use std::sync::Arc;

use haechi_base::{Positions, RoomNid, StreamPos, UserNid};
use serde::{Deserialize, Serialize};

/// One thing that changed and that some client, or another node, must hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The room's timeline has grown. Heard by its members.
    Event(RoomNid),
    /// The user's membership in the room changed. Heard by that user also when he is no member.
    Membership(RoomNid, UserNid),
    /// The user's read receipt or marker in the room moved. Heard by the members.
    Receipt(RoomNid, UserNid),
    /// The user's private receipt moved or his unread counts changed. Heard by that user.
    ReadState(RoomNid, UserNid),
    /// The user's account data for one room, tags among it. Heard by that user.
    RoomAccountData(RoomNid, UserNid),
    /// The user's account data, push rules among it. Heard by that user.
    AccountData(UserNid),
    /// A message waits for one of the user's devices.
    ToDevice(UserNid, Arc<str>),
    /// The user's devices or identity keys changed. Heard by all who share a room with him.
    DeviceList(UserNid),
    /// The first user signed a key of the second one. Heard by the first, whose other devices must
    /// look at the second one's keys again.
    UserSignature(UserNid, UserNid),
    /// The number of one-time keys, or the fallback keys, of the user's device changed.
    DeviceKeys(UserNid, Arc<str>),
    /// The user's presence changed. Heard by all who share a room with him.
    Presence(UserNid),
    /// Some of the user's sessions ended. Heard by no client: nodes forget the tokens that they know.
    Sessions(UserNid),
    /// The journal of this ledger has grown. Heard by no client: it moves the lane, so that reads on
    /// other nodes and on standbys show what was acknowledged.
    Ledger(u32),
}

/// A change and its place in a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where it was written.
    pub pos: StreamPos,
    /// What it was.
    pub change: Change,
}

/// What became visible at once.
#[derive(Clone, Debug)]
pub struct Commit {
    /// How far all lanes have come: one snapshot.
    pub horizon: Positions,
    /// What this node wrote, in the order of each lane.
    pub notes: Vec<Note>,
    /// What other nodes wrote, in the order of each lane. What this node keeps of it in memory is to
    /// be forgotten before anybody is told.
    pub heard: Vec<Note>,
    /// Ranges (first excluded, last included) that other nodes wrote and of which no more is known:
    /// all that is kept in memory is to be forgotten, and read from the tables again.
    pub foreign: Vec<(StreamPos, StreamPos)>,
}
