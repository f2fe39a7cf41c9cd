//! From a client's request to a signed event.

use base64::{
    Engine, engine::general_purpose::STANDARD_NO_PAD, engine::general_purpose::URL_SAFE_NO_PAD,
};
use haechi_base::limits::{EVENT_BYTES_MAX, IDENTIFIER_BYTES_MAX};
use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, UInt, canonical_json::redact_content_in_place, events::TimelineEventType,
};
use sha2::{Digest, Sha256};

use super::{Pdu, PduError, room_id_of_create};
use crate::{
    RoomVersion, SigningKey,
    json::{Json, Object, write_int, write_member, write_str},
};

/// What an event is made of, before it has a place in its room.
#[derive(Clone, Debug)]
pub struct PduBuilder<'a> {
    /// The version of its room.
    pub version: RoomVersion,
    /// Its room; none for the create event of a room of version 12, whose id follows from it.
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its `type`.
    pub kind: TimelineEventType,
    /// Its state key, if it is a state event.
    pub state_key: Option<Box<str>>,
    /// Its content: the text of a JSON object.
    pub content: &'a str,
    /// The event it redacts; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// When it is sent, in milliseconds since 1970; at least 0.
    pub origin_server_ts: i64,
}

/// Where an event stands in its room.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The events before it; at most 20.
    pub prev_events: Box<[OwnedEventId]>,
    /// The events that allow it; at most 10. See [`crate::auth::auth_types`].
    pub auth_events: Box<[OwnedEventId]>,
    /// One more than the largest depth of the events before it.
    pub depth: u64,
}

/// An event that was checked and awaits its place.
#[derive(Clone, Debug)]
pub struct Prepared {
    version: RoomVersion,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    kind: TimelineEventType,
    state_key: Option<Box<str>>,
    redacts: Option<OwnedEventId>,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// In canonical form.
    content: Box<str>,
    /// What a redaction would leave of it, likewise.
    redacted_content: Box<str>,
}

/// The content that a redaction leaves of most events.
const EMPTY: &str = "{}";

/// What the JSON of one event needs beside the JSON itself; guessed, to allocate once.
const FRAME_BYTES: usize = 1_024;

impl PduBuilder<'_> {
    /// Checks the fields and brings the content into canonical form.
    pub fn prepare(self) -> Result<Prepared, PduError> {
        let names_room =
            self.kind != TimelineEventType::RoomCreate || !self.version.room_id_is_create_hash();
        if names_room != self.room_id.is_some() {
            return Err(PduError::Field { field: "room_id" });
        }
        check_length("sender", self.sender.as_str())?;
        check_length("room_id", self.room_id.as_ref().map_or("", |id| id.as_str()))?;
        check_length("state_key", self.state_key.as_deref().unwrap_or_default())?;
        check_length("redacts", self.redacts.as_ref().map_or("", |id| id.as_str()))?;
        let kind = self.kind.to_string();
        check_length("type", &kind)?;
        let origin_server_ts = UInt::try_from(self.origin_server_ts)
            .map_err(|_| PduError::Field { field: "origin_server_ts" })?;
        // Checked before the content is taken apart, so that no huge tree is ever built.
        if self.content.len() > EVENT_BYTES_MAX {
            return Err(PduError::TooLarge { bytes: self.content.len() });
        }
        let mut object = Object::parse(self.content).map_err(|_| PduError::Content)?;
        let mut redacts = self.redacts.clone();
        if self.version.redacts_in_content() && self.kind == TimelineEventType::RoomRedaction {
            match &self.redacts {
                Some(target) => object.insert("redacts", Json::Str(target.as_str().into())),
                // The client wrote the content itself.
                None => redacts = object.get_str("redacts").and_then(|id| id.try_into().ok()),
            }
        }
        let mut content = String::with_capacity(self.content.len() + 64);
        object.write(&mut content);
        let redacted_content = redacted_content(self.version, &kind, &content)?;
        Ok(Prepared {
            version: self.version,
            room_id: self.room_id,
            sender: self.sender,
            kind: self.kind,
            state_key: self.state_key,
            redacts,
            origin_server_ts: MilliSecondsSinceUnixEpoch(origin_server_ts),
            content: content.into(),
            redacted_content,
        })
    }
}

fn check_length(field: &'static str, text: &str) -> Result<(), PduError> {
    if text.len() <= IDENTIFIER_BYTES_MAX { Ok(()) } else { Err(PduError::FieldTooLong { field }) }
}

/// What a redaction would leave of `content`, which is canonical.
fn redacted_content(version: RoomVersion, kind: &str, content: &str) -> Result<Box<str>, PduError> {
    // All types of which redactions leave anything (spec, "Redactions") have this prefix, and the
    // one that most events have is not among them.
    if !kind.starts_with("m.room.") || kind == "m.room.message" {
        return Ok(EMPTY.into());
    }
    let mut object: CanonicalJsonObject =
        serde_json::from_str(content).map_err(|_| PduError::Content)?;
    redact_content_in_place(&mut object, &version.rules().redaction, kind);
    let text = serde_json::to_string(&object).map_err(|_| PduError::Content)?;
    Ok(text.into())
}

impl Prepared {
    /// The version of its room.
    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// Its `type`.
    pub fn kind(&self) -> &TimelineEventType {
        &self.kind
    }

    /// Who sends it.
    pub fn sender(&self) -> &OwnedUserId {
        &self.sender
    }

    /// Its state key, if it is a state event.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// The event it redacts, if it is a redaction.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// Its content in canonical JSON.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Hashes and signs it at `place`, on behalf of the sender's server, and so gives it its id.
    pub fn sign(&self, place: &Place, key: &SigningKey) -> Result<Pdu, PduError> {
        let ends = Ends::new(self, place);
        let mut buffer =
            String::with_capacity(FRAME_BYTES + ends.before_content.len() + self.content.len());

        // The content hash covers all but hashes and signatures.
        ends.write(&mut buffer, &self.content, "", true, "");
        let mut hashes = String::from(",\"hashes\":{\"sha256\":\"");
        STANDARD_NO_PAD.encode_string(Sha256::digest(&buffer), &mut hashes);
        hashes.push_str("\"}");

        // Signature and id cover what a redaction leaves.
        buffer.clear();
        ends.write(&mut buffer, &self.redacted_content, &hashes, false, "");
        let event_id = event_id_of(&buffer)?;
        let mut signatures = String::from(",\"signatures\":{");
        write_str(&mut signatures, self.sender.server_name().as_str());
        signatures.push_str(":{\"");
        signatures.push_str(key.id());
        signatures.push_str("\":\"");
        key.sign_into(buffer.as_bytes(), &mut signatures);
        signatures.push_str("\"}}");

        buffer.clear();
        let content = ends.write(&mut buffer, &self.content, &hashes, true, &signatures);
        if buffer.len() > EVENT_BYTES_MAX {
            return Err(PduError::TooLarge { bytes: buffer.len() });
        }
        let room_id = match &self.room_id {
            Some(room_id) => room_id.clone(),
            None => room_id_of_create(&event_id)?,
        };
        Ok(Pdu {
            event_id,
            room_id,
            sender: self.sender.clone(),
            kind: self.kind.clone(),
            state_key: self.state_key.clone(),
            origin_server_ts: self.origin_server_ts,
            depth: place.depth,
            prev_events: place.prev_events.clone().into(),
            auth_events: place.auth_events.clone().into(),
            redacts: self.redacts.clone(),
            rejected: false,
            json: buffer.into(),
            content,
        })
    }
}

/// The id of the event of which a redaction leaves `redacted` (its reference hash).
fn event_id_of(redacted: &str) -> Result<OwnedEventId, PduError> {
    let mut id = String::with_capacity(44);
    id.push('$');
    URL_SAFE_NO_PAD.encode_string(Sha256::digest(redacted), &mut id);
    id.try_into().map_err(|_| PduError::Field { field: "event_id" })
}

/// The parts of an event's canonical JSON which are the same in all that is hashed and signed.
struct Ends {
    /// From the start through `"content":`.
    before_content: String,
    /// `"depth"`.
    depth: String,
    /// `"origin_server_ts"` and `"prev_events"`.
    middle: String,
    /// `"redacts"`, which a redaction takes away; may be empty.
    redacts: String,
    /// `"room_id"` and `"sender"`.
    origin: String,
    /// `"state_key"` and `"type"`, to the end.
    end: String,
}

impl Ends {
    fn new(event: &Prepared, place: &Place) -> Self {
        let mut before_content = String::from("{\"auth_events\":");
        write_ids(&mut before_content, &place.auth_events);
        before_content.push_str(",\"content\":");

        let mut depth = String::from(",\"depth\":");
        write_int(&mut depth, i64::try_from(place.depth).unwrap_or(i64::MAX));

        let mut middle = String::from(",\"origin_server_ts\":");
        write_int(&mut middle, event.origin_server_ts.get().into());
        middle.push_str(",\"prev_events\":");
        write_ids(&mut middle, &place.prev_events);

        let mut redacts = String::new();
        if let Some(target) = &event.redacts
            && !event.version.redacts_in_content()
        {
            write_member(&mut redacts, "redacts", target.as_str());
        }

        let mut origin = String::new();
        if let Some(room_id) = &event.room_id {
            write_member(&mut origin, "room_id", room_id.as_str());
        }
        write_member(&mut origin, "sender", event.sender.as_str());

        let mut end = String::new();
        if let Some(state_key) = &event.state_key {
            write_member(&mut end, "state_key", state_key);
        }
        write_member(&mut end, "type", &event.kind.to_string());
        end.push('}');
        Self { before_content, depth, middle, redacts, origin, end }
    }

    /// Appends the event to `out`; gives where its content lies.
    fn write(
        &self,
        out: &mut String,
        content: &str,
        hashes: &str,
        with_redacts: bool,
        signatures: &str,
    ) -> std::ops::Range<u32> {
        out.push_str(&self.before_content);
        let start = out.len();
        out.push_str(content);
        let end = out.len();
        out.push_str(&self.depth);
        out.push_str(hashes);
        out.push_str(&self.middle);
        if with_redacts {
            out.push_str(&self.redacts);
        }
        out.push_str(&self.origin);
        out.push_str(signatures);
        out.push_str(&self.end);
        let index = |at: usize| u32::try_from(at).expect("events are smaller than 4 GiB");
        index(start)..index(end)
    }
}

fn write_ids(out: &mut String, ids: &[OwnedEventId]) {
    out.push('[');
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_str(out, id.as_str());
    }
    out.push(']');
}
