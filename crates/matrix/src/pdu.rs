//! Persistent events as servers exchange them (spec, server-server API, "PDUs").
//!
//! A client's request becomes a [`PduBuilder`]; [`PduBuilder::prepare`] checks it and brings its
//! content into canonical form; [`Prepared::sign`] gives it its place in the room, its hashes, its
//! signature and so its id. Preparing is separate from signing because an event may have to be
//! signed anew when another one took its place meanwhile.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, RoomId, UserId, canonical_json::redact_in_place, events::TimelineEventType,
    state_res::Event,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::RoomVersion;

mod build;

pub use build::{PduBuilder, Place, Prepared};

/// Why an event cannot be built, or a text is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// The whole event has more than 65,536 bytes (`M_TOO_LARGE`).
    #[error("the event has {bytes} bytes, more than the 65,536 allowed")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// A field has more than 255 bytes (`M_TOO_LARGE`).
    #[error("`{field}` has more than the 255 bytes allowed")]
    FieldTooLong {
        /// Its name.
        field: &'static str,
    },
    /// The content is not an object of canonical JSON (`M_BAD_JSON`).
    #[error("the content must be an object of well-formed JSON with integers only")]
    Content,
    /// A field is missing or has the wrong type (`M_BAD_JSON`).
    #[error("the event has no valid `{field}`")]
    Field {
        /// Its name.
        field: &'static str,
    },
    /// A stored text is not an event.
    #[error("not an event: {0}")]
    Malformed(String),
}

/// A signed event with its id, parsed once and then shared.
///
/// Its JSON is kept as the one text that was hashed, and the content is a part of that text.
#[derive(Clone, Debug)]
pub struct Pdu {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    kind: TimelineEventType,
    state_key: Option<Box<str>>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    depth: u64,
    prev_events: Ids,
    auth_events: Ids,
    redacts: Option<OwnedEventId>,
    rejected: bool,
    json: Arc<str>,
    content: Range<u32>,
}

/// The ids of other events in an event, read when they are asked for: most who read an event show it
/// to a client, who has no use for them.
#[derive(Clone, Debug)]
struct Ids {
    text: Range<u32>,
    read: OnceLock<Box<[OwnedEventId]>>,
}

impl From<Box<[OwnedEventId]>> for Ids {
    fn from(ids: Box<[OwnedEventId]>) -> Self {
        Self { text: 0..0, read: ids.into() }
    }
}

impl Ids {
    fn new(event: &str, list: &RawValue) -> Result<Self, PduError> {
        if !list.get().starts_with('[') {
            return Err(PduError::Malformed("events are named in a list".to_owned()));
        }
        Ok(Self { text: part_of(event, list.get()), read: OnceLock::new() })
    }

    fn of(&self, event: &str) -> &[OwnedEventId] {
        let text = &event[self.text.start as usize..self.text.end as usize];
        self.read.get_or_init(|| serde_json::from_str(text).unwrap_or_default())
    }
}

/// The fields of an event as they are read from its text.
#[derive(Deserialize)]
struct Fields<'a> {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<Box<str>>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(default)]
    depth: u64,
    #[serde(borrow)]
    prev_events: &'a RawValue,
    #[serde(borrow)]
    auth_events: &'a RawValue,
    redacts: Option<OwnedEventId>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// The one field of the content that matters here.
#[derive(Deserialize)]
struct Redacts {
    redacts: Option<OwnedEventId>,
}

impl Pdu {
    /// Reads a stored event. Hashes and signatures are not checked: they were when it came in.
    pub fn parse(
        version: RoomVersion,
        event_id: OwnedEventId,
        json: impl Into<Arc<str>>,
    ) -> Result<Self, PduError> {
        let json = json.into();
        let fields: Fields<'_> =
            serde_json::from_str(&json).map_err(|error| PduError::Malformed(error.to_string()))?;
        let content = part_of(&json, fields.content.get());
        let room_id = match fields.room_id {
            Some(room_id) => room_id,
            None if version.room_id_is_create_hash()
                && fields.kind == TimelineEventType::RoomCreate =>
            {
                room_id_of_create(&event_id)?
            }
            None => return Err(PduError::Field { field: "room_id" }),
        };
        let redacts =
            if version.redacts_in_content() && fields.kind == TimelineEventType::RoomRedaction {
                serde_json::from_str::<Redacts>(fields.content.get())
                    .ok()
                    .and_then(|content| content.redacts)
            } else {
                fields.redacts
            };
        let prev_events = Ids::new(&json, fields.prev_events)?;
        let auth_events = Ids::new(&json, fields.auth_events)?;
        Ok(Self {
            event_id,
            room_id,
            sender: fields.sender,
            kind: fields.kind,
            state_key: fields.state_key,
            origin_server_ts: fields.origin_server_ts,
            depth: fields.depth,
            prev_events,
            auth_events,
            redacts,
            rejected: false,
            json,
            content,
        })
    }

    /// The event's id.
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The room it is in. Known for every event, though a create event of version 12 does not
    /// name it.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// Its `type`.
    pub fn kind(&self) -> &TimelineEventType {
        &self.kind
    }

    /// Its state key; events without one are not state.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// When its server says it was sent, in milliseconds since 1970.
    pub fn origin_server_ts(&self) -> i64 {
        self.origin_server_ts.get().into()
    }

    /// How far from the create event it is.
    pub fn depth(&self) -> u64 {
        self.depth
    }

    /// The events it came after.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        self.prev_events.of(&self.json)
    }

    /// The events that allow it.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        self.auth_events.of(&self.json)
    }

    /// The event that this redaction names, wherever its room version puts it.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// The whole event in canonical JSON.
    pub fn json(&self) -> &Arc<str> {
        &self.json
    }

    /// The text of its content, an object of canonical JSON.
    pub fn content(&self) -> &str {
        &self.json[self.content.start as usize..self.content.end as usize]
    }

    /// Reads the content as `T`.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.content())
    }

    /// Was it found to break the rules when it came in? See [`Self::reject`].
    pub fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// Marks it as one that broke the rules when it came in from another server.
    pub fn reject(&mut self) {
        self.rejected = true;
    }

    /// The same event without what a redaction takes away. Its id and signatures stay valid.
    pub fn redacted(&self, version: RoomVersion) -> Result<Self, PduError> {
        let malformed = |error: &dyn std::fmt::Display| PduError::Malformed(error.to_string());
        let mut object: CanonicalJsonObject =
            serde_json::from_str(&self.json).map_err(|error| malformed(&error))?;
        redact_in_place(&mut object, &version.rules().redaction, None)
            .map_err(|error| malformed(&error))?;
        let json = serde_json::to_string(&object).map_err(|error| malformed(&error))?;
        let mut redacted = Self::parse(version, self.event_id.clone(), json)?;
        redacted.rejected = self.rejected;
        Ok(redacted)
    }
}

/// The room id of version 12 that a create event with this id makes.
fn room_id_of_create(event_id: &EventId) -> Result<OwnedRoomId, PduError> {
    let hash = event_id.as_str().trim_start_matches('$');
    format!("!{hash}").try_into().map_err(|_| PduError::Field { field: "room_id" })
}

/// Where in `whole` the text `part` lies, which must have been borrowed from it.
fn part_of(whole: &str, part: &str) -> Range<u32> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    let index = |at: usize| u32::try_from(at).expect("events are smaller than 4 GiB");
    index(start)..index(start + part.len())
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        // The rules of version 12 want to see that a create event names no room.
        let named = self.kind != TimelineEventType::RoomCreate
            || self.room_id.as_str()[1..] != self.event_id.as_str()[1..];
        named.then_some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        serde_json::from_str(self.content()).expect("the content was valid when it was read")
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

#[cfg(test)]
mod tests;
