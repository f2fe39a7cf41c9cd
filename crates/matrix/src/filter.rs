//! Filters (spec, "Filtering"), made ready once so that asking them is cheap.

use haechi_base::limits::{FILTER_ENTRIES_MAX, PATTERN_BYTES_MAX};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::filter::{
        EventFormat, Filter, FilterDefinition, LazyLoadOptions, RoomEventFilter, RoomFilter,
        UrlFilter,
    },
};
use serde::{Deserialize, de::IgnoredAny};

use crate::glob;

/// A filter that names more than [`FILTER_ENTRIES_MAX`] things, or too long a pattern
/// (`M_INVALID_PARAM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter names too many types, senders or rooms, or too long a type")]
pub struct FilterTooLarge;

/// A whole filter, as `/sync` takes it.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// The presence events to include.
    pub presence: EventFilter,
    /// The account data outside of rooms to include.
    pub account_data: EventFilter,
    /// Whether to include rooms the user has left.
    pub include_leave: bool,
    /// The rooms to include.
    pub rooms: RoomSet,
    /// The account data inside of rooms to include.
    pub room_account_data: EventFilter,
    /// Typing and receipts.
    pub ephemeral: EventFilter,
    /// The state to include; says whether members are loaded lazily.
    pub state: EventFilter,
    /// The timeline events to include, and how many.
    pub timeline: EventFilter,
    /// Whether events are wanted as servers exchange them.
    pub federation_format: bool,
}

/// Which rooms a filter lets pass.
#[derive(Clone, Debug, Default)]
pub struct RoomSet {
    rooms: Option<Box<[OwnedRoomId]>>,
    not_rooms: Box<[OwnedRoomId]>,
}

/// Which events a filter lets pass.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    types: Option<Box<[TypePattern]>>,
    not_types: Box<[TypePattern]>,
    senders: Option<Box<[OwnedUserId]>>,
    not_senders: Box<[OwnedUserId]>,
    rooms: RoomSet,
    with_url: Option<bool>,
    limit: Option<u64>,
    lazy_members: Option<LazyMembers>,
    thread_counts: bool,
}

/// How members are loaded lazily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LazyMembers {
    /// Whether members are sent even if the client was sent them before.
    pub include_redundant: bool,
}

#[derive(Clone, Debug)]
enum TypePattern {
    Exact(Box<str>),
    Glob(Box<str>),
}

impl TypePattern {
    fn matches(&self, kind: &str) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *kind,
            Self::Glob(pattern) => glob::matches_stars(pattern, kind),
        }
    }
}

impl SyncFilter {
    /// Makes `filter` ready.
    pub fn new(filter: FilterDefinition) -> Result<Self, FilterTooLarge> {
        let RoomFilter {
            include_leave,
            account_data,
            timeline,
            ephemeral,
            state,
            not_rooms,
            rooms,
            ..
        } = filter.room;
        Ok(Self {
            presence: EventFilter::of_other(filter.presence)?,
            account_data: EventFilter::of_other(filter.account_data)?,
            include_leave,
            rooms: RoomSet::new(rooms, not_rooms)?,
            room_account_data: EventFilter::of_room(account_data)?,
            ephemeral: EventFilter::of_room(ephemeral)?,
            state: EventFilter::of_room(state)?,
            timeline: EventFilter::of_room(timeline)?,
            federation_format: filter.event_format == EventFormat::Federation,
        })
    }
}

impl RoomSet {
    fn new(
        rooms: Option<Vec<OwnedRoomId>>,
        not_rooms: Vec<OwnedRoomId>,
    ) -> Result<Self, FilterTooLarge> {
        Ok(Self { rooms: rooms.map(sorted).transpose()?, not_rooms: sorted(not_rooms)? })
    }

    /// Does the filter let `room` pass?
    pub fn contains(&self, room: &RoomId) -> bool {
        let is_in = |rooms: &[OwnedRoomId]| {
            rooms.binary_search_by(|have| have.as_str().cmp(room.as_str())).is_ok()
        };
        !is_in(&self.not_rooms) && self.rooms.as_deref().is_none_or(is_in)
    }
}

impl EventFilter {
    /// Makes a filter for events of rooms ready.
    pub fn of_room(filter: RoomEventFilter) -> Result<Self, FilterTooLarge> {
        let lazy_members = match filter.lazy_load_options {
            LazyLoadOptions::Disabled => None,
            LazyLoadOptions::Enabled { include_redundant_members } => {
                Some(LazyMembers { include_redundant: include_redundant_members })
            }
        };
        Ok(Self {
            types: filter.types.map(patterns).transpose()?,
            not_types: patterns(filter.not_types)?,
            senders: filter.senders.map(sorted).transpose()?,
            not_senders: sorted(filter.not_senders)?,
            rooms: RoomSet::new(filter.rooms, filter.not_rooms)?,
            with_url: filter.url_filter.map(|filter| filter == UrlFilter::EventsWithUrl),
            limit: filter.limit.map(Into::into),
            lazy_members,
            thread_counts: filter.unread_thread_notifications,
        })
    }

    /// Makes a filter for events outside of rooms ready.
    pub fn of_other(filter: Filter) -> Result<Self, FilterTooLarge> {
        Ok(Self {
            types: filter.types.map(patterns).transpose()?,
            not_types: patterns(filter.not_types)?,
            senders: filter.senders.map(sorted).transpose()?,
            not_senders: sorted(filter.not_senders)?,
            limit: filter.limit.map(Into::into),
            ..Self::default()
        })
    }

    /// Do all events of all rooms pass? Then nothing need be asked event by event.
    pub fn passes_all(&self) -> bool {
        self.types.is_none()
            && self.not_types.is_empty()
            && self.senders.is_none()
            && self.not_senders.is_empty()
            && self.rooms.rooms.is_none()
            && self.rooms.not_rooms.is_empty()
            && self.with_url.is_none()
    }

    /// Does no event pass? Then nothing need be read.
    pub fn passes_none(&self) -> bool {
        let is_empty_list = |length: Option<usize>| length == Some(0);
        is_empty_list(self.types.as_ref().map(|types| types.len()))
            || is_empty_list(self.senders.as_ref().map(|senders| senders.len()))
            || is_empty_list(self.rooms.rooms.as_ref().map(|rooms| rooms.len()))
    }

    /// Does an event pass? `content` is only read if the filter looks at it.
    pub fn passes(&self, kind: &str, sender: &UserId, content: &str) -> bool {
        self.passes_kind(kind)
            && self.passes_sender(sender)
            && self.with_url.is_none_or(|with_url| with_url == has_url(content))
    }

    /// Do events of this type pass, as far as the type decides?
    pub fn passes_kind(&self, kind: &str) -> bool {
        let is_in = |types: &[TypePattern]| types.iter().any(|pattern| pattern.matches(kind));
        !is_in(&self.not_types) && self.types.as_deref().is_none_or(is_in)
    }

    /// Do events of this sender pass, as far as the sender decides?
    pub fn passes_sender(&self, sender: &UserId) -> bool {
        let is_in = |senders: &[OwnedUserId]| {
            senders.binary_search_by(|have| have.as_str().cmp(sender.as_str())).is_ok()
        };
        !is_in(&self.not_senders) && self.senders.as_deref().is_none_or(is_in)
    }

    /// Do events of this room pass, as far as the room decides?
    pub fn passes_room(&self, room: &RoomId) -> bool {
        self.rooms.contains(room)
    }

    /// Most events to give, if the filter says so: at least 1, at most `most`; else `otherwise`.
    pub fn limit(&self, otherwise: usize, most: usize) -> usize {
        self.limit
            .map_or(otherwise, |limit| usize::try_from(limit).unwrap_or(most))
            .clamp(1, most.max(1))
    }

    /// Whether and how members are loaded lazily.
    pub fn lazy_members(&self) -> Option<LazyMembers> {
        self.lazy_members
    }

    /// Are unread counts wanted thread by thread?
    pub fn thread_counts(&self) -> bool {
        self.thread_counts
    }
}

fn has_url(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Content {
        // Present with any value, be it null.
        #[serde(default, deserialize_with = "present")]
        url: bool,
    }
    fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    content.contains("\"url\"")
        && serde_json::from_str::<Content>(content).is_ok_and(|content| content.url)
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Result<Box<[T]>, FilterTooLarge> {
    if list.len() > FILTER_ENTRIES_MAX {
        return Err(FilterTooLarge);
    }
    list.sort_unstable();
    Ok(list.into())
}

fn patterns(list: Vec<String>) -> Result<Box<[TypePattern]>, FilterTooLarge> {
    if list.len() > FILTER_ENTRIES_MAX
        || list.iter().any(|pattern| pattern.len() > PATTERN_BYTES_MAX)
    {
        return Err(FilterTooLarge);
    }
    let pattern = |text: String| {
        if text.contains('*') {
            TypePattern::Glob(text.into())
        } else {
            TypePattern::Exact(text.into())
        }
    };
    Ok(list.into_iter().map(pattern).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn filter(json: Value) -> EventFilter {
        EventFilter::of_room(serde_json::from_value(json).unwrap()).unwrap()
    }

    fn passes(filter: &EventFilter, kind: &str, sender: &str) -> bool {
        filter.passes(kind, sender.try_into().unwrap(), "{}")
    }

    #[test]
    fn types_and_senders_are_included_and_excluded() {
        let filter = filter(json!({
            "types": ["m.room.*", "org.example"], "not_types": ["m.room.m*r"],
            "not_senders": ["@spam:d", "@abuse:d"],
        }));
        assert!(passes(&filter, "m.room.message", "@u:d"));
        assert!(passes(&filter, "org.example", "@u:d"));
        assert!(!passes(&filter, "org.example.more", "@u:d"));
        assert!(!passes(&filter, "m.room.member", "@u:d"));
        assert!(!passes(&filter, "m.room.message", "@abuse:d"));
        assert!(!filter.passes_all() && !filter.passes_none());
    }

    #[test]
    fn absent_lists_pass_all_and_empty_lists_none() {
        let all = filter(json!({}));
        assert!(all.passes_all() && passes(&all, "x", "@u:d"));
        for json in [json!({"types": []}), json!({"senders": []}), json!({"rooms": []})] {
            let none = filter(json);
            assert!(none.passes_none() && !none.passes_all());
        }
        let only = filter(json!({"senders": ["@v:d", "@u:d"]}));
        assert!(passes(&only, "x", "@u:d") && !passes(&only, "x", "@w:d"));
    }

    #[test]
    fn rooms_are_included_and_excluded() {
        let room = |id: &str| OwnedRoomId::try_from(id).unwrap();
        let filter = filter(json!({"rooms": ["!b:d", "!a:d"], "not_rooms": ["!b:d"]}));
        assert!(filter.passes_room(&room("!a:d")));
        assert!(!filter.passes_room(&room("!b:d")));
        assert!(!filter.passes_room(&room("!c:d")));
    }

    #[test]
    fn contents_with_a_url() {
        let sender: &UserId = "@u:d".try_into().unwrap();
        let [with, without] = [true, false].map(|wanted| filter(json!({"contains_url": wanted})));
        for (content, has_url) in [
            (r#"{"url":"mxc://x/y"}"#, true),
            (r#"{"url":null}"#, true),
            (r#"{"info":{"url":"x"}}"#, false),
            (r#"{"body":"\"url\""}"#, false),
            ("{}", false),
        ] {
            assert_eq!(with.passes("x", sender, content), has_url, "{content}");
            assert_eq!(without.passes("x", sender, content), !has_url, "{content}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        for (limit, expected) in [(json!(5), 5), (json!(1_000_000), 100), (json!(0), 1)] {
            assert_eq!(filter(json!({"limit": limit})).limit(10, 100), expected);
        }
        assert_eq!(filter(json!({})).limit(10, 100), 10);
    }

    #[test]
    fn whole_filters() {
        let definition = serde_json::from_value(json!({
            "event_format": "federation",
            "presence": {"types": []},
            "room": {
                "include_leave": true, "not_rooms": ["!a:d"],
                "state": {"lazy_load_members": true},
                "timeline": {"limit": 3, "unread_thread_notifications": true},
                "ephemeral": {"not_types": ["*"]},
            },
        }));
        let filter = SyncFilter::new(definition.unwrap()).unwrap();
        assert!(filter.federation_format && filter.include_leave && filter.presence.passes_none());
        assert!(!filter.rooms.contains("!a:d".try_into().unwrap()));
        assert_eq!(filter.state.lazy_members(), Some(LazyMembers { include_redundant: false }));
        assert_eq!(filter.timeline.limit(10, 100), 3);
        assert!(filter.timeline.thread_counts());
        assert!(!filter.ephemeral.passes_kind("m.typing"));
    }

    #[test]
    fn too_large_filters_are_refused() {
        let parse = |json| EventFilter::of_room(serde_json::from_value(json).unwrap());
        let many = vec!["x"; FILTER_ENTRIES_MAX + 1];
        assert_eq!(parse(json!({"types": many})).unwrap_err(), FilterTooLarge);
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        assert_eq!(parse(json!({"not_types": [long]})).unwrap_err(), FilterTooLarge);
    }
}
