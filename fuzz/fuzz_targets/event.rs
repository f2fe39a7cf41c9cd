//! Events come from clients: what we build reads back, is redacted and is shown without a panic.
#![no_main]

use haechi_matrix::{
    RoomVersion, SigningKey,
    auth::{JoinRules, Membership, Visibility, auth_types},
    client_event::{ClientEvent, CommonUnsigned, UserUnsigned},
    pdu::{Pdu, PduBuilder, Place},
    relations::{Mentions, Relates, new_content_of, searchable},
};
use libfuzzer_sys::fuzz_target;
use ruma::{room_id, user_id};

/// A key of no one.
const KEY: &str = "ed25519 1 MC4CAQAwBQYDK2VwBCIEIGCSQwPV569rFalw/VY+11VJ5hWXGa5cPDHe5DFvt1wN";

fuzz_target!(|input: (u8, &str, Option<&str>, &str)| {
    let (version, kind, state_key, content) = input;
    let version = RoomVersion::ALL[usize::from(version) % RoomVersion::ALL.len()];
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
    let key = SigningKey::from_text(KEY).unwrap();
    let Ok(pdu) = prepared.sign(&Place::default(), &key) else { return };
    let read = Pdu::parse(version, pdu.event_id().to_owned(), pdu.json().clone()).unwrap();
    assert_eq!(read.content(), pdu.content());
    let redacted = read.redacted(version).unwrap();
    let redaction = ClientEvent::new(version, &redacted, CommonUnsigned::default());
    let common = CommonUnsigned { replaces: Some(&redacted), redacted_because: Some(&redaction) };
    let event = ClientEvent::new(version, &read, common);
    let unsigned = UserUnsigned { transaction_id: Some(kind), ..UserUnsigned::MEMBER };
    event.with_room(read.room_id(), &unsigned);
    let _ = Relates::of_content(content);
    let _ = Mentions::of_content(content);
    let _ = new_content_of(content);
    let _ = searchable(&read);
    let _ = Membership::of_content(content);
    let _ = Visibility::of_content(content);
    let _ = JoinRules::of_content(content);
});
