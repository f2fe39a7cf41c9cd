//! The body of `GET /_matrix/client/v3/sync` as it goes out.
//!
//! Not ruma's type: that owns a copy of every event; here all members of a room share one.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::value::RawValue;

/// An event that several answers may share.
pub type RawEvent = Arc<RawValue>;

/// The whole answer.
#[derive(Debug, Default, Serialize)]
pub struct Response {
    /// The token to go on with.
    pub next_batch: String,
    /// By membership.
    #[serde(skip_serializing_if = "Rooms::is_empty")]
    pub rooms: Rooms,
    /// Presence events.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub presence: Events,
    /// Global account data.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
    /// Messages to this device.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub to_device: Events,
    /// Whose devices changed.
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub device_lists: DeviceLists,
    /// One-time keys left, by algorithm.
    pub device_one_time_keys_count: BTreeMap<String, u64>,
    /// Algorithms with an unused fallback key.
    pub device_unused_fallback_key_types: Vec<String>,
}

impl Response {
    /// Would the client learn anything from it?
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && self.presence.is_empty()
            && self.account_data.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }
}

/// A list of events in an object.
#[derive(Debug, Default, Serialize)]
pub struct Events {
    /// The events.
    pub events: Vec<RawEvent>,
}

impl Events {
    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Whose devices changed, and with whom no room is shared any more.
#[derive(Debug, Default, Serialize)]
pub struct DeviceLists {
    /// Their keys are to be asked for again.
    pub changed: Vec<OwnedUserId>,
    /// They need not be followed any more.
    pub left: Vec<OwnedUserId>,
}

impl DeviceLists {
    /// Nothing to tell?
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}

/// Rooms by membership.
#[derive(Debug, Default, Serialize)]
pub struct Rooms {
    /// Joined.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub join: BTreeMap<OwnedRoomId, JoinedRoom>,
    /// Invited.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub invite: BTreeMap<OwnedRoomId, InvitedRoom>,
    /// Knocking.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub knock: BTreeMap<OwnedRoomId, KnockedRoom>,
    /// Left or banned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leave: BTreeMap<OwnedRoomId, LeftRoom>,
}

impl Rooms {
    fn is_empty(&self) -> bool {
        self.join.is_empty()
            && self.invite.is_empty()
            && self.knock.is_empty()
            && self.leave.is_empty()
    }
}

/// A room the user is in.
#[derive(Debug, Default, Serialize)]
pub struct JoinedRoom {
    /// What a client needs to name the room.
    #[serde(skip_serializing_if = "Summary::is_empty")]
    pub summary: Summary,
    /// New events.
    #[serde(skip_serializing_if = "Timeline::is_empty")]
    pub timeline: Timeline,
    /// State before the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Events>,
    /// State after the timeline, for clients that asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<Events>,
    /// Account data of the room.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
    /// Typing and receipts.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub ephemeral: Events,
    /// Unread counts.
    pub unread_notifications: Counts,
    /// Unread counts of threads, for clients that asked for that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_thread_notifications: BTreeMap<OwnedEventId, Counts>,
}

/// Unread counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events that notify.
    pub notification_count: i64,
    /// Those that are highlights.
    pub highlight_count: i64,
}

/// What a client needs to name a room.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Some members to name the room after.
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub heroes: Option<Vec<OwnedUserId>>,
    /// How many are in it.
    #[serde(rename = "m.joined_member_count", skip_serializing_if = "Option::is_none")]
    pub joined: Option<u64>,
    /// How many are invited.
    #[serde(rename = "m.invited_member_count", skip_serializing_if = "Option::is_none")]
    pub invited: Option<u64>,
}

impl Summary {
    fn is_empty(&self) -> bool {
        self.heroes.is_none() && self.joined.is_none() && self.invited.is_none()
    }
}

/// New events of a room.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    /// Oldest first.
    pub events: Vec<RawEvent>,
    /// Are events missing before them?
    pub limited: bool,
    /// Where to ask for those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
}

impl Timeline {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.limited
    }
}

/// A room to which the user is invited.
#[derive(Debug, Serialize)]
pub struct InvitedRoom {
    /// Enough to show it.
    pub invite_state: StrippedState,
}

/// A room that the user asked to join.
#[derive(Debug, Serialize)]
pub struct KnockedRoom {
    /// Enough to show it.
    pub knock_state: StrippedState,
}

/// Stripped state events.
#[derive(Debug, Serialize)]
pub struct StrippedState {
    /// The events.
    pub events: Vec<Box<RawValue>>,
}

/// A room that the user left.
#[derive(Debug, Default, Serialize)]
pub struct LeftRoom {
    /// Events up to the leave. Always there, for matrix-nio.
    pub timeline: Timeline,
    /// State before the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Events>,
    /// State at the end of it, for clients that asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<Events>,
    /// Account data of the room.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
}
