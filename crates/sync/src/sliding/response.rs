//! The body of a sliding sync answer as it goes out.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::v3::response::{DeviceLists, RawEvent};

/// The whole answer.
#[derive(Debug, Default, Serialize)]
pub struct Response {
    /// What the client called its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn_id: Option<String>,
    /// Where to go on.
    pub pos: String,
    /// How long each list is.
    pub lists: BTreeMap<String, List>,
    /// Rooms with news.
    pub rooms: BTreeMap<OwnedRoomId, Room>,
    /// All that is not in a room.
    pub extensions: Extensions,
    /// Did the length of a list change?
    #[serde(skip)]
    pub lists_changed: bool,
}

impl Response {
    /// Would the client learn anything from it?
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty() && !self.lists_changed && self.extensions.is_empty()
    }
}

/// A list.
#[derive(Debug, Serialize)]
pub struct List {
    /// How many rooms it has.
    pub count: u64,
}

/// What is new in a room.
#[derive(Debug, Default, Serialize)]
pub struct Room {
    /// What the room says it is called; `null` where it says so no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
    /// Its picture; `null` where it has none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Option<String>>,
    /// Is all of it told from the beginning?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<bool>,
    /// Is it a direct chat?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_dm: Option<bool>,
    /// For invitations and knocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_state: Option<Vec<Box<RawValue>>>,
    /// Unread events that notify.
    pub notification_count: i64,
    /// Those that are highlights.
    pub highlight_count: i64,
    /// Events, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<RawEvent>,
    /// The state asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_state: Vec<RawEvent>,
    /// Where to ask for older events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// Are events missing before the timeline?
    pub limited: bool,
    /// Does the timeline begin before what the client was told, since it asks for more by now?
    #[serde(rename = "unstable_expanded_timeline", skip_serializing_if = "Option::is_none")]
    pub expanded: Option<bool>,
    /// How many are in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined_count: Option<u64>,
    /// How many are invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_count: Option<u64>,
    /// How many events at the end of the timeline are new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_live: Option<u64>,
    /// Orders rooms: the larger, the later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bump_stamp: Option<i64>,
    /// Members to name the room after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heroes: Option<Vec<Hero>>,
}

/// A member after whom a room may be named.
#[derive(Debug, Serialize)]
pub struct Hero {
    /// Matrix id.
    pub user_id: OwnedUserId,
    /// Name in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// Picture in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// All that is not in a room.
#[derive(Debug, Default, Serialize)]
pub struct Extensions {
    /// Messages to the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_device: Option<ToDevice>,
    /// Device lists and key counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2ee: Option<E2ee>,
    /// Account data.
    #[serde(skip_serializing_if = "AccountData::is_empty")]
    pub account_data: AccountData,
    /// Receipts by room.
    #[serde(skip_serializing_if = "ByRoom::is_empty")]
    pub receipts: ByRoom,
    /// Typing by room.
    #[serde(skip_serializing_if = "ByRoom::is_empty")]
    pub typing: ByRoom,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.to_device.as_ref().is_none_or(|to_device| to_device.events.is_empty())
            && self.e2ee.as_ref().is_none_or(|e2ee| !e2ee.has_news)
            && self.account_data.is_empty()
            && self.receipts.is_empty()
            && self.typing.is_empty()
    }
}

/// Messages to the device.
#[derive(Debug, Serialize)]
pub struct ToDevice {
    /// To be sent back as `since`.
    pub next_batch: String,
    /// The messages.
    pub events: Vec<RawEvent>,
}

/// Device lists and key counts.
#[derive(Debug, Serialize)]
pub struct E2ee {
    /// Whose devices changed.
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub device_lists: DeviceLists,
    /// One-time keys left, by algorithm.
    pub device_one_time_keys_count: BTreeMap<String, u64>,
    /// Algorithms with an unused fallback key.
    pub device_unused_fallback_key_types: Vec<String>,
    /// Is any of it new?
    #[serde(skip)]
    pub has_news: bool,
}

/// Account data.
#[derive(Debug, Default, Serialize)]
pub struct AccountData {
    /// Of the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub global: Vec<RawEvent>,
    /// Of rooms.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rooms: BTreeMap<OwnedRoomId, Vec<RawEvent>>,
}

impl AccountData {
    fn is_empty(&self) -> bool {
        self.global.is_empty() && self.rooms.is_empty()
    }
}

/// One event for each room.
#[derive(Debug, Default, Serialize)]
pub struct ByRoom {
    /// The events.
    pub rooms: BTreeMap<OwnedRoomId, RawEvent>,
}

impl ByRoom {
    fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}
