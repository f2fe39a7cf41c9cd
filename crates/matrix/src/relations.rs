//! What an event says of other events, and what of it can be searched (spec, "Forming
//! relationships between events", "Server-side aggregation").
//!
//! Contents come from clients and may be anything; what has not the form it should have counts
//! as absent.

use ruma::{EventId, OwnedEventId, events::TimelineEventType};

use crate::{
    json::{Json, Object},
    pdu::Pdu,
};

/// The `rel_type` of edits.
pub const REPLACE: &str = "m.replace";
/// The `rel_type` of reactions.
pub const ANNOTATION: &str = "m.annotation";
/// The `rel_type` of events in threads.
pub const THREAD: &str = "m.thread";
/// The `rel_type` of events that refer to another, as answers to polls do.
pub const REFERENCE: &str = "m.reference";

/// What `m.relates_to` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relates {
    /// The relation, if it has both type and target.
    pub relation: Option<Relation>,
    /// The event it replies to.
    pub in_reply_to: Option<OwnedEventId>,
    /// Whether the reply is only there for clients that do not know threads.
    pub is_falling_back: bool,
}

/// A relation to another event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its kind, such as [`THREAD`].
    pub rel_type: Box<str>,
    /// The event it points to.
    pub event_id: OwnedEventId,
    /// With [`ANNOTATION`]: the reaction.
    pub key: Option<Box<str>>,
}

impl Relates {
    /// Reads the content of an event.
    pub fn of_content(content: &str) -> Self {
        // Most events relate to nothing, which shows without reading them.
        if !content.contains("m.relates_to") {
            return Self::default();
        }
        Object::parse(content).map(|content| Self::of_object(&content)).unwrap_or_default()
    }

    /// Reads the content of an event which was parsed already.
    pub fn of_object(content: &Object<'_>) -> Self {
        let Some(relates) = content.get("m.relates_to").and_then(Json::as_object) else {
            return Self::default();
        };
        let id_in = |object: &Object<'_>| object.get_str("event_id")?.try_into().ok();
        let relation = relates.get_str("rel_type").zip(id_in(relates)).map(
            |(rel_type, event_id): (_, OwnedEventId)| Relation {
                rel_type: rel_type.into(),
                event_id,
                key: relates.get_str("key").map(Into::into),
            },
        );
        Self {
            relation,
            in_reply_to: relates.get("m.in_reply_to").and_then(Json::as_object).and_then(id_in),
            is_falling_back: relates.get("is_falling_back") == Some(&Json::Bool(true)),
        }
    }

    /// The event its thread began with, if it is in one.
    pub fn thread_root(&self) -> Option<&EventId> {
        self.target(THREAD)
    }

    /// The event it points to by a relation of type `rel_type`.
    pub fn target(&self, rel_type: &str) -> Option<&EventId> {
        let relation = self.relation.as_ref()?;
        (*relation.rel_type == *rel_type).then_some(&relation.event_id)
    }
}

/// Whom an event mentions (spec, "User and room mentions").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The users' ids as they are written; not all need be users.
    pub user_ids: Vec<String>,
    /// Whether it mentions the whole room.
    pub room: bool,
}

impl Mentions {
    /// Reads the content of an event; nothing if it has no `m.mentions`.
    pub fn of_content(content: &str) -> Option<Self> {
        if !content.contains("m.mentions") {
            return None;
        }
        Self::of_object(&Object::parse(content).ok()?)
    }

    /// Reads the content of an event which was parsed already.
    pub fn of_object(content: &Object<'_>) -> Option<Self> {
        let mentions = content.get("m.mentions")?.as_object()?;
        let user_ids = match mentions.get("user_ids") {
            Some(Json::Array(users)) => {
                users.iter().filter_map(Json::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Some(Self { user_ids, room: mentions.get("room") == Some(&Json::Bool(true)) })
    }
}

/// Is `edit` a valid replacement of `original` (spec, "Validity of replacement events")?
pub fn replaces(edit: &Pdu, original: &Pdu) -> bool {
    let is_encrypted = *edit.kind() == TimelineEventType::RoomEncrypted;
    Relates::of_content(edit.content()).target(REPLACE) == Some(original.event_id())
        && edit.room_id() == original.room_id()
        && edit.sender() == original.sender()
        && edit.kind() == original.kind()
        && edit.state_key().is_none()
        && original.state_key().is_none()
        && Relates::of_content(original.content()).target(REPLACE).is_none()
        && (is_encrypted || new_content_of(edit.content()).is_some())
}

/// The `m.new_content` of an edit, in canonical JSON.
pub fn new_content_of(content: &str) -> Option<String> {
    let content = Object::parse(content).ok()?;
    let mut text = String::new();
    content.get("m.new_content")?.as_object()?.write(&mut text);
    Some(text)
}

/// A field that can be searched (spec, "Server-side search").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchField {
    /// `content.body` of messages.
    Body,
    /// `content.name` of room names.
    Name,
    /// `content.topic` of room topics.
    Topic,
}

impl SearchField {
    /// Its name in a search request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "content.body",
            Self::Name => "content.name",
            Self::Topic => "content.topic",
        }
    }
}

/// The text of an event that a search may find. An edit is found by its new text.
pub fn searchable(pdu: &Pdu) -> Option<(SearchField, String)> {
    let (field, key) = match (pdu.kind(), pdu.state_key()) {
        (TimelineEventType::RoomMessage, None) => (SearchField::Body, "body"),
        (TimelineEventType::RoomName, Some("")) => (SearchField::Name, "name"),
        (TimelineEventType::RoomTopic, Some("")) => (SearchField::Topic, "topic"),
        _ => return None,
    };
    let content = Object::parse(pdu.content()).ok()?;
    let new_content = content
        .get("m.new_content")
        .and_then(Json::as_object)
        .filter(|_| Relates::of_object(&content).target(REPLACE).is_some());
    let text = new_content.unwrap_or(&content).get_str(key)?;
    (!text.is_empty()).then(|| (field, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::RoomVersion;

    fn relates(relates_to: &Value) -> Relates {
        Relates::of_content(&json!({"body": "x", "m.relates_to": relates_to}).to_string())
    }

    fn pdu(fields: &Value) -> Pdu {
        let mut event = json!({
            "auth_events": [], "prev_events": [], "depth": 1, "origin_server_ts": 17,
            "hashes": {}, "signatures": {}, "room_id": "!r:d", "sender": "@u:d",
            "type": "m.room.message",
        });
        for (key, value) in fields.as_object().unwrap() {
            event[key] = value.clone();
        }
        Pdu::parse(RoomVersion::V12, "$id".try_into().unwrap(), event.to_string()).unwrap()
    }

    #[test]
    fn relations_are_read() {
        let thread = relates(&json!({
            "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
            "m.in_reply_to": {"event_id": "$last"},
        }));
        assert_eq!(thread.thread_root().unwrap(), "$root");
        assert_eq!(thread.in_reply_to.as_deref().unwrap(), "$last");
        assert!(thread.is_falling_back);

        let reaction = relates(&json!({"rel_type": "m.annotation", "event_id": "$x", "key": "👍"}));
        assert_eq!(reaction.target(ANNOTATION).unwrap(), "$x");
        assert_eq!(reaction.relation.as_ref().unwrap().key.as_deref(), Some("👍"));
        assert_eq!(reaction.thread_root(), None);

        let reply = relates(&json!({"m.in_reply_to": {"event_id": "$x"}}));
        assert_eq!((reply.relation, reply.in_reply_to.is_some()), (None, true));
    }

    #[test]
    fn what_is_malformed_is_absent() {
        for value in [
            json!(null),
            json!("m.relates_to"),
            json!([]),
            json!({"rel_type": "m.thread"}),
            json!({"rel_type": 5, "event_id": "$x"}),
            json!({"rel_type": "m.thread", "event_id": "no id"}),
            json!({"m.in_reply_to": "$x", "is_falling_back": "true"}),
        ] {
            assert_eq!(relates(&value), Relates::default(), "{value}");
        }
        assert_eq!(Relates::of_content("m.relates_to"), Relates::default());
    }

    #[test]
    fn mentions_are_read() {
        let mentions =
            |value: Value| Mentions::of_content(&json!({"m.mentions": value}).to_string());
        let both = mentions(json!({"user_ids": ["@a:d", 5], "room": true})).unwrap();
        assert_eq!(both, Mentions { user_ids: vec!["@a:d".to_owned()], room: true });
        assert_eq!(mentions(json!({"user_ids": "x", "room": 1})), Some(Mentions::default()));
        assert_eq!(mentions(json!(5)), None);
        assert_eq!(Mentions::of_content("{}"), None);
    }

    #[test]
    fn only_ones_own_events_are_edited() {
        let original = pdu(&json!({"content": {"body": "old"}}));
        let edit = json!({
            "content": {
                "body": "* new", "m.new_content": {"body": "new", "a": 1},
                "m.relates_to": {"rel_type": "m.replace", "event_id": "$id"},
            },
        });
        assert!(replaces(&pdu(&edit), &original));
        assert_eq!(new_content_of(pdu(&edit).content()).unwrap(), r#"{"a":1,"body":"new"}"#);
        for (key, value) in [
            ("sender", json!("@v:d")),
            ("room_id", json!("!s:d")),
            ("type", json!("m.sticker")),
            ("state_key", json!("")),
            ("content", json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$id"}})),
            ("content", json!({"m.new_content": {}})),
        ] {
            let mut wrong = edit.clone();
            wrong[key] = value;
            assert!(!replaces(&pdu(&wrong), &original), "{key}");
        }
        assert!(!replaces(&pdu(&edit), &pdu(&edit)), "an edit of an edit");
        let encrypted = pdu(&json!({
            "type": "m.room.encrypted",
            "content": {"m.relates_to": {"rel_type": "m.replace", "event_id": "$id"}},
        }));
        let original = pdu(&json!({"type": "m.room.encrypted", "content": {}}));
        assert!(replaces(&encrypted, &original));
    }

    #[test]
    fn texts_are_found_where_searches_look() {
        let edit = json!({
            "body": "* new", "m.new_content": {"body": "new"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$id"},
        });
        for (event, expected) in [
            (json!({"content": {"body": "hi"}}), Some((SearchField::Body, "hi"))),
            (json!({"content": edit}), Some((SearchField::Body, "new"))),
            (json!({"content": {"body": ""}}), None),
            (json!({"content": {"body": 5}}), None),
            (
                json!({"type": "m.room.name", "state_key": "", "content": {"name": "n"}}),
                Some((SearchField::Name, "n")),
            ),
            (
                json!({"type": "m.room.topic", "state_key": "", "content": {"topic": "t"}}),
                Some((SearchField::Topic, "t")),
            ),
            (json!({"type": "m.room.name", "content": {"name": "n"}}), None),
            (json!({"type": "m.room.encrypted", "content": {"body": "n"}}), None),
        ] {
            let found = searchable(&pdu(&event));
            assert_eq!(found.as_ref().map(|(field, text)| (*field, &**text)), expected, "{event}");
        }
    }
}
