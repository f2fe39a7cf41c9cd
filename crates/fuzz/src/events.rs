//! Events: what clients want to send, and what other servers will.

use haechi_matrix::{
    RoomVersion, SigningKey,
    auth::{JoinRules, Membership, Visibility, auth_types},
    client_event::{ClientEvent, CommonUnsigned, UserUnsigned, stripped},
    pdu::{Pdu, PduBuilder, Place},
    relations::{Mentions, Relates, new_content_of, searchable},
};
use ruma::{event_id, room_id, user_id};

use crate::texts;

/// A key of no one.
const KEY: &str = "ed25519 1 MC4CAQAwBQYDK2VwBCIEIGCSQwPV569rFalw/VY+11VJ5hWXGa5cPDHe5DFvt1wN";

fn version(text: &str) -> RoomVersion {
    text.parse().unwrap_or(RoomVersion::V12)
}

/// What we build reads back, is redacted and is shown.
pub(crate) fn event(input: &[u8]) {
    let Some([number, kind, key, content]) = texts(input) else { return };
    let version = version(number);
    let state_key = key.strip_prefix('=');
    let sender = user_id!("@u:d");
    let builder = PduBuilder {
        version,
        room_id: Some(room_id!("!r:d").to_owned()),
        sender: sender.to_owned(),
        kind: kind.into(),
        state_key: state_key.map(Into::into),
        content,
        redacts: None,
        origin_server_ts: 1,
    };
    let Ok(prepared) = builder.prepare() else { return };
    let _ = auth_types(version, prepared.kind(), sender, state_key, prepared.content());
    let key = SigningKey::from_text(KEY).expect("a key");
    let Ok(pdu) = prepared.sign(&Place::default(), &key) else { return };
    let read = Pdu::parse(version, pdu.event_id().to_owned(), pdu.json().clone()).expect("ours");
    assert_eq!(read.content(), pdu.content());
    show(version, &read);
    read_content(content);
}

/// What can be read at all is redacted and shown.
pub(crate) fn pdu(input: &[u8]) {
    let Some([number, json]) = texts(input) else { return };
    let version = version(number);
    let Ok(pdu) = Pdu::parse(version, event_id!("$x").to_owned(), json.to_owned()) else { return };
    show(version, &pdu);
    read_content(pdu.content());
}

fn show(version: RoomVersion, pdu: &Pdu) {
    let common = CommonUnsigned::default();
    let Ok(redacted) = pdu.redacted(version) else {
        ClientEvent::new(version, pdu, common);
        return;
    };
    let redaction = ClientEvent::new(version, &redacted, common);
    let common = CommonUnsigned { replaces: Some(&redacted), redacted_because: Some(&redaction) };
    let event = ClientEvent::new(version, pdu, common);
    let unsigned = UserUnsigned { transaction_id: Some("t"), ..UserUnsigned::MEMBER };
    for text in [event.with_room(pdu.room_id(), &unsigned).get(), stripped(pdu).get()] {
        let shown: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(shown["sender"], pdu.sender().as_str());
    }
    let _ = searchable(pdu);
}

fn read_content(content: &str) {
    let _ = Relates::of_content(content);
    let _ = Mentions::of_content(content);
    let _ = new_content_of(content);
    let _ = Membership::of_content(content);
    let _ = Visibility::of_content(content);
    let _ = JoinRules::of_content(content);
}
