//! Events as clients see them (spec, client-server API, "Room event format").
//!
//! Nearly everyone who sees an event sees the same bytes. [`ClientEvent`] holds them, made once;
//! what one user alone sees of it, all in `unsigned`, is spliced in by [`ClientEvent::write`].

use std::sync::Arc;

use ruma::{RoomId, UserId, events::TimelineEventType};
use serde_json::value::RawValue;

use crate::{
    RoomVersion,
    auth::Membership,
    json::{Object, write_int, write_member, write_str},
    pdu::Pdu,
};

/// An event in client format, without `room_id`, shared by all who see it.
#[derive(Clone, Debug)]
pub struct ClientEvent {
    /// The whole event as members see it.
    shared: Arc<RawValue>,
    /// How much of it comes before `unsigned`, in bytes.
    signed_bytes: u32,
    /// How much of it, at the end, are members of `unsigned` that all users see, in bytes.
    common_bytes: u32,
}

/// What `unsigned` says of an event to all who see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommonUnsigned<'a> {
    /// The state event that this one took the place of.
    pub replaces: Option<&'a Pdu>,
    /// The redaction that took its content away.
    pub redacted_because: Option<&'a ClientEvent>,
}

/// What `unsigned` says of an event to one user.
#[derive(Clone, Copy, Debug)]
pub struct UserUnsigned<'a> {
    /// The user's membership when the event was sent; after it, if it is their own member event.
    pub membership: Option<Membership>,
    /// The transaction id it was sent with, for the device that sent it.
    pub transaction_id: Option<&'a str>,
    /// How long ago it was sent, in milliseconds.
    pub age_ms: Option<i64>,
    /// The bundled aggregations: the JSON object for `m.relations`.
    pub relations: Option<&'a str>,
}

impl UserUnsigned<'_> {
    /// What a member sees who did not send the event.
    pub const MEMBER: Self = Self {
        membership: Some(Membership::Join),
        transaction_id: None,
        age_ms: None,
        relations: None,
    };

    /// Is it the same as [`Self::MEMBER`]?
    fn is_members(&self) -> bool {
        self.membership == Some(Membership::Join)
            && self.transaction_id.is_none()
            && self.age_ms.is_none()
            && self.relations.is_none()
    }
}

/// What a text needs beside the content of its event; guessed, to allocate once.
const FRAME_BYTES: usize = 384;

impl ClientEvent {
    /// Renders `pdu`, which is of a room of `version`.
    pub fn new(version: RoomVersion, pdu: &Pdu, common: CommonUnsigned<'_>) -> Self {
        let mut text = String::with_capacity(pdu.content().len() + FRAME_BYTES);
        write_signed(&mut text, version, pdu);
        let signed_bytes = text.len();
        text.push_str(",\"unsigned\":{\"membership\":\"join\"");
        let common_start = text.len();
        write_common(&mut text, common);
        let common_bytes = text.len() - common_start;
        text.push_str("}}");
        let bytes = |count: usize| u32::try_from(count).expect("events are smaller than 4 GiB");
        Self {
            signed_bytes: bytes(signed_bytes),
            common_bytes: bytes(common_bytes),
            shared: raw(text).into(),
        }
    }

    /// The event as every member sees it in `/sync`: without `room_id`, and with what all see in
    /// `unsigned`.
    pub fn shared(&self) -> &Arc<RawValue> {
        &self.shared
    }

    /// The event as one user sees it in `/sync`. Shares the bytes where it can.
    pub fn for_user(&self, unsigned: &UserUnsigned<'_>) -> Arc<RawValue> {
        if unsigned.is_members() {
            return Arc::clone(&self.shared);
        }
        let mut text = String::with_capacity(self.shared.get().len() + FRAME_BYTES);
        self.write(&mut text, None, unsigned);
        raw(text).into()
    }

    /// The event as one user sees it outside of `/sync`, where it names its room.
    pub fn with_room(&self, room_id: &RoomId, unsigned: &UserUnsigned<'_>) -> Box<RawValue> {
        let mut text = String::with_capacity(self.shared.get().len() + FRAME_BYTES);
        self.write(&mut text, Some(room_id), unsigned);
        raw(text)
    }

    /// Appends the event to `out` as one user sees it, with `room_id` if it is given.
    pub fn write(&self, out: &mut String, room_id: Option<&RoomId>, unsigned: &UserUnsigned<'_>) {
        let text = self.shared.get();
        let common_end = text.len() - "}}".len();
        let common = &text[common_end - self.common_bytes as usize..common_end];
        out.push_str(&text[..self.signed_bytes as usize]);
        write_unsigned(out, room_id, unsigned, |out| out.push_str(common));
    }
}

/// Appends an event to `out` as [`ClientEvent::write`] does, without keeping it.
pub fn write(
    out: &mut String,
    version: RoomVersion,
    pdu: &Pdu,
    common: CommonUnsigned<'_>,
    room_id: Option<&RoomId>,
    unsigned: &UserUnsigned<'_>,
) {
    write_signed(out, version, pdu);
    write_unsigned(out, room_id, unsigned, |out| write_common(out, common));
}

/// Begins an event with what its signature covers, but for the room.
fn write_signed(out: &mut String, version: RoomVersion, pdu: &Pdu) {
    out.push_str("{\"content\":");
    write_content(out, version, pdu);
    write_member(out, "event_id", pdu.event_id().as_str());
    out.push_str(",\"origin_server_ts\":");
    write_int(out, pdu.origin_server_ts());
    if let Some(target) = pdu.redacts() {
        write_member(out, "redacts", target.as_str());
    }
    write_member(out, "sender", pdu.sender().as_str());
    if let Some(state_key) = pdu.state_key() {
        write_member(out, "state_key", state_key);
    }
    write_member(out, "type", &pdu.kind().to_string());
}

/// Ends an event with its room and `unsigned`.
fn write_unsigned(
    out: &mut String,
    room_id: Option<&RoomId>,
    unsigned: &UserUnsigned<'_>,
    write_common: impl FnOnce(&mut String),
) {
    if let Some(room_id) = room_id {
        write_member(out, "room_id", room_id.as_str());
    }
    out.push_str(",\"unsigned\":{");
    let start = out.len();
    if let Some(membership) = unsigned.membership {
        write_member(out, "membership", membership.as_str());
    }
    if let Some(transaction_id) = unsigned.transaction_id {
        write_member(out, "transaction_id", transaction_id);
    }
    if let Some(age_ms) = unsigned.age_ms {
        out.push_str(",\"age\":");
        write_int(out, age_ms);
    }
    if let Some(relations) = unsigned.relations {
        out.push_str(",\"m.relations\":");
        out.push_str(relations);
    }
    write_common(out);
    if out[start..].starts_with(',') {
        // Each member brings its comma; the first needs none.
        out.remove(start);
    }
    out.push_str("}}");
}

/// Appends the content, to which a redaction of old versions gets its target, for clients that
/// know only the new place.
fn write_content(out: &mut String, version: RoomVersion, pdu: &Pdu) {
    let content = pdu.content();
    let target = match pdu.redacts() {
        Some(target)
            if *pdu.kind() == TimelineEventType::RoomRedaction
                && !version.redacts_in_content()
                && !has_member(content, "redacts") =>
        {
            target
        }
        _ => {
            out.push_str(content);
            return;
        }
    };
    let members = &content["{".len()..];
    out.push_str("{\"redacts\":");
    write_str(out, target.as_str());
    if members != "}" {
        out.push(',');
    }
    out.push_str(members);
}

fn has_member(object: &str, key: &str) -> bool {
    Object::parse(object).is_ok_and(|object| object.get(key).is_some())
}

fn write_common(out: &mut String, common: CommonUnsigned<'_>) {
    if let Some(replaced) = common.replaces {
        out.push_str(",\"prev_content\":");
        out.push_str(replaced.content());
        write_member(out, "prev_sender", replaced.sender().as_str());
        write_member(out, "replaces_state", replaced.event_id().as_str());
    }
    if let Some(redaction) = common.redacted_because {
        out.push_str(",\"redacted_because\":");
        out.push_str(redaction.shared.get());
    }
}

/// Wraps a text which was put together from valid parts.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("JSON put together from JSON")
}

/// The stripped form of a state event, shown to those who are invited or knock (spec, "Stripped
/// state").
pub fn stripped(pdu: &Pdu) -> Box<RawValue> {
    stripped_parts(pdu.kind(), pdu.state_key().unwrap_or_default(), pdu.sender(), pdu.content())
}

/// Like [`stripped`], from the parts of an event; `content` is a JSON object.
pub fn stripped_parts(
    kind: &TimelineEventType,
    state_key: &str,
    sender: &UserId,
    content: &str,
) -> Box<RawValue> {
    let mut text = String::with_capacity(content.len() + FRAME_BYTES);
    text.push_str("{\"content\":");
    text.push_str(content);
    write_member(&mut text, "sender", sender.as_str());
    write_member(&mut text, "state_key", state_key);
    write_member(&mut text, "type", &kind.to_string());
    text.push('}');
    raw(text)
}

/// The state shown to those who are invited or knock, where the room has it: type by type, all
/// with an empty state key.
pub const STRIPPED_STATE_TYPES: [&str; 7] = [
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.encryption",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pdu(version: RoomVersion, fields: &Value) -> Pdu {
        let mut event = json!({
            "auth_events": [], "prev_events": [], "depth": 1, "origin_server_ts": 17,
            "hashes": {"sha256": "x"}, "signatures": {}, "room_id": "!r:d", "sender": "@u:d",
        });
        for (key, value) in fields.as_object().unwrap() {
            event[key] = value.clone();
        }
        Pdu::parse(version, "$id".try_into().unwrap(), event.to_string()).unwrap()
    }

    fn value(raw: &RawValue) -> Value {
        serde_json::from_str(raw.get()).unwrap()
    }

    #[test]
    fn members_share_one_form() {
        let pdu = pdu(RoomVersion::V12, &json!({"type": "X\"", "content": {"b": 1}}));
        let event = ClientEvent::new(RoomVersion::V12, &pdu, CommonUnsigned::default());
        let shared = json!({
            "content": {"b": 1}, "event_id": "$id", "origin_server_ts": 17, "sender": "@u:d",
            "type": "X\"", "unsigned": {"membership": "join"},
        });
        assert_eq!(value(event.shared()), shared);
        assert!(Arc::ptr_eq(event.shared(), &event.for_user(&UserUnsigned::MEMBER)));
        let room_id: &RoomId = "!r:d".try_into().unwrap();
        let mut with_room = shared;
        with_room["room_id"] = "!r:d".into();
        assert_eq!(value(&event.with_room(room_id, &UserUnsigned::MEMBER)), with_room);
    }

    #[test]
    fn each_user_sees_their_own_unsigned() {
        let before = pdu(
            RoomVersion::V12,
            &json!({"type": "m.room.name", "state_key": "", "content": {"name": "old"}}),
        );
        let pdu = pdu(
            RoomVersion::V12,
            &json!({"type": "m.room.name", "state_key": "", "content": {"name": "new"}}),
        );
        let common = CommonUnsigned { replaces: Some(&before), redacted_because: None };
        let event = ClientEvent::new(RoomVersion::V12, &pdu, common);
        let common = json!({
            "prev_content": {"name": "old"}, "prev_sender": "@u:d", "replaces_state": "$id",
        });
        let unsigned = |unsigned: &UserUnsigned<'_>| {
            let mut seen = value(&event.for_user(unsigned))["unsigned"].take();
            for (key, value) in common.as_object().unwrap() {
                assert_eq!(seen.as_object_mut().unwrap().remove(key).as_ref(), Some(value));
            }
            seen
        };
        let nothing = UserUnsigned { membership: None, ..UserUnsigned::MEMBER };
        assert_eq!(unsigned(&nothing), json!({}));
        let all = UserUnsigned {
            membership: Some(Membership::Leave),
            transaction_id: Some("m\"1"),
            age_ms: Some(5),
            relations: Some(r#"{"m.thread":{"count":1}}"#),
        };
        assert_eq!(
            unsigned(&all),
            json!({
                "membership": "leave", "transaction_id": "m\"1", "age": 5,
                "m.relations": {"m.thread": {"count": 1}},
            })
        );
    }

    #[test]
    fn unsigned_may_be_empty() {
        let pdu = pdu(RoomVersion::V12, &json!({"type": "X", "content": {}}));
        let event = ClientEvent::new(RoomVersion::V12, &pdu, CommonUnsigned::default());
        let nothing = UserUnsigned { membership: None, ..UserUnsigned::MEMBER };
        assert_eq!(value(&event.for_user(&nothing))["unsigned"], json!({}));
    }

    #[test]
    fn redactions_name_their_target_in_both_places() {
        let old = json!({"type": "m.room.redaction", "content": {"reason": "r"}, "redacts": "$t"});
        let bare = json!({"type": "m.room.redaction", "content": {}, "redacts": "$t"});
        let new = json!({"type": "m.room.redaction", "content": {"redacts": "$t"}});
        for (version, fields) in
            [(RoomVersion::V10, old), (RoomVersion::V6, bare), (RoomVersion::V11, new)]
        {
            let pdu = pdu(version, &fields);
            let event = ClientEvent::new(version, &pdu, CommonUnsigned::default());
            let seen = value(event.shared());
            assert_eq!(seen["redacts"], "$t");
            assert_eq!(seen["content"]["redacts"], "$t");
            assert_eq!(seen["content"]["reason"], fields["content"]["reason"]);
        }
    }

    #[test]
    fn redacted_events_say_why() {
        let redaction = pdu(
            RoomVersion::V12,
            &json!({"type": "m.room.redaction", "content": {"redacts": "$t"}}),
        );
        let redaction = ClientEvent::new(RoomVersion::V12, &redaction, CommonUnsigned::default());
        let pdu = pdu(RoomVersion::V12, &json!({"type": "m.room.message", "content": {}}));
        let common = CommonUnsigned { replaces: None, redacted_because: Some(&redaction) };
        let event = ClientEvent::new(RoomVersion::V12, &pdu, common);
        let because = &value(event.shared())["unsigned"]["redacted_because"];
        assert_eq!(because, &value(redaction.shared()));
    }

    #[test]
    fn stripped_state_has_four_members() {
        let fields = json!({"type": "m.room.name", "state_key": "", "content": {"name": "n"}});
        assert_eq!(
            value(&stripped(&pdu(RoomVersion::V12, &fields))),
            json!({
                "type": "m.room.name", "state_key": "", "content": {"name": "n"}, "sender": "@u:d",
            })
        );
    }
}
