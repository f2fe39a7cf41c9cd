use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use proptest::prelude::*;
use ruma::{
    CanonicalJsonValue,
    serde::Base64,
    signatures::{
        Ed25519KeyPair, PublicKeyMap, Verified, hash_and_sign_event, reference_hash, verify_event,
    },
    state_res::check_pdu_format,
};

use super::*;
use crate::SigningKey;

/// The key of the spec's test vectors (appendices, "Cryptographic Test Vectors").
fn spec_key() -> SigningKey {
    SigningKey::from_der(&spec_document(), "1").unwrap()
}

/// The same key for ruma's functions.
fn ruma_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_der(&spec_document(), "1".to_owned()).unwrap()
}

fn spec_document() -> Vec<u8> {
    // The spec writes the last symbol as `1`, whose two lowest bits lie beyond the 32 bytes.
    let seed = STANDARD_NO_PAD.decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0").unwrap();
    let mut document = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    document.extend(seed);
    document
}

#[test]
fn signature_of_the_spec() {
    let mut signature = String::new();
    spec_key().sign_into(b"{}", &mut signature);
    assert_eq!(
        signature,
        "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
    );
}

fn builder<'a>(version: RoomVersion, kind: &str, content: &'a str) -> PduBuilder<'a> {
    let hash = "Rr4ngtXELfqpKdqKLhAGT0MBgKg0BWXVVOCsn0Mjwt0";
    let room_id =
        if version.room_id_is_create_hash() { format!("!{hash}") } else { "!r:domain".to_owned() };
    let names_room = kind != "m.room.create" || !version.room_id_is_create_hash();
    PduBuilder {
        version,
        room_id: names_room.then(|| room_id.try_into().unwrap()),
        sender: "@u:domain".try_into().unwrap(),
        kind: kind.into(),
        state_key: None,
        content,
        redacts: None,
        origin_server_ts: 1_000_000,
    }
}

fn place() -> Place {
    Place {
        prev_events: ["$prev", "$other"].map(|id| id.try_into().unwrap()).into(),
        auth_events: ["$power", "$member"].map(|id| id.try_into().unwrap()).into(),
        depth: 7,
    }
}

fn object_of(pdu: &Pdu) -> CanonicalJsonObject {
    serde_json::from_str(pdu.json()).unwrap()
}

fn public_keys(key: &SigningKey) -> PublicKeyMap {
    let keys = BTreeMap::from([(key.id().to_owned(), Base64::new(key.public_key().to_vec()))]);
    BTreeMap::from([("domain".to_owned(), keys)])
}

/// Everything others will check of an event of ours, done with ruma's functions.
fn check_as_others_would(version: RoomVersion, pdu: &Pdu, key: &SigningKey) {
    let object = object_of(pdu);
    let rules = version.rules();
    assert_eq!(verify_event(&public_keys(key), &object, rules).unwrap(), Verified::All);
    assert_eq!(pdu.event_id().as_str()[1..], reference_hash(&object, rules).unwrap());
    check_pdu_format(&object, &rules.event_format).unwrap();
    assert_eq!(serde_json::to_string(&object).unwrap(), **pdu.json(), "not canonical");

    let mut signed = object.clone();
    signed.remove("hashes");
    signed.remove("signatures");
    hash_and_sign_event("domain", &ruma_key(), &mut signed, &rules.redaction).unwrap();
    assert_eq!(signed, object);
}

#[test]
fn events_of_every_version_verify() {
    let key = spec_key();
    for version in RoomVersion::ALL {
        for (kind, state_key, content) in [
            ("m.room.message", None, r#"{"msgtype":"m.text","body":"héllo \"you\"\n"}"#),
            ("m.room.member", Some("@u:domain"), r#"{"membership":"join","displayname":"U"}"#),
            ("m.room.power_levels", Some(""), r#"{"users":{"@u:domain":100},"invite":50}"#),
            ("m.room.redaction", None, r#"{"reason":"spam"}"#),
            ("org.example.custom", Some("ключ"), r#"{"z":[1,{"b":null,"a":true}],"a":-5}"#),
        ] {
            let mut builder = builder(version, kind, content);
            builder.state_key = state_key.map(Into::into);
            if kind == "m.room.redaction" {
                builder.redacts = Some("$target".try_into().unwrap());
            }
            let pdu = builder.prepare().unwrap().sign(&place(), &key).unwrap();
            check_as_others_would(version, &pdu, &key);
        }
    }
}

#[test]
fn create_event_gives_version_12_its_room_id() {
    let key = spec_key();
    let mut create = builder(RoomVersion::V12, "m.room.create", r#"{"room_version":"12"}"#);
    create.state_key = Some("".into());
    let pdu = create.prepare().unwrap().sign(&Place::default(), &key).unwrap();
    assert_eq!(pdu.room_id().as_str()[1..], pdu.event_id().as_str()[1..]);
    assert!(!pdu.json().contains("room_id"));
    assert_eq!(Event::room_id(&pdu), None);
    check_as_others_would(RoomVersion::V12, &pdu, &key);

    let read = Pdu::parse(RoomVersion::V12, pdu.event_id().to_owned(), pdu.json().clone()).unwrap();
    assert_eq!(read.room_id(), pdu.room_id());

    let mut named = builder(RoomVersion::V12, "m.room.create", "{}");
    named.room_id = Some("!r:domain".try_into().unwrap());
    assert_eq!(named.prepare().unwrap_err(), PduError::Field { field: "room_id" });
    let mut unnamed = builder(RoomVersion::V11, "m.room.create", "{}");
    unnamed.room_id = None;
    assert_eq!(unnamed.prepare().unwrap_err(), PduError::Field { field: "room_id" });
}

#[test]
fn known_event_keeps_its_hash_and_signature() {
    // The spec's minimal event in the shape of version 6, as ruma signs it.
    let event = builder(RoomVersion::V6, "X", "{}");
    let place = Place { depth: 3, ..Place::default() };
    let key = spec_key();
    let pdu = event.prepare().unwrap().sign(&place, &key).unwrap();
    let mut theirs: CanonicalJsonObject = serde_json::from_str(
        r#"{"auth_events":[],"content":{},"depth":3,"origin_server_ts":1000000,
            "prev_events":[],"room_id":"!r:domain","sender":"@u:domain","type":"X"}"#,
    )
    .unwrap();
    let rules = RoomVersion::V6.rules();
    hash_and_sign_event("domain", &ruma_key(), &mut theirs, &rules.redaction).unwrap();
    assert_eq!(object_of(&pdu), theirs);
    // A change of these would make rooms of old unreadable.
    assert_eq!(pdu.event_id().as_str(), "$xmuNqwtVASXjF3hsXbu2T17uvjKr9mHpSEe6GY8eC3Y");
}

#[test]
fn redactions_name_their_target_where_the_version_wants_it() {
    let key = spec_key();
    for version in RoomVersion::ALL {
        let mut event = builder(version, "m.room.redaction", r#"{"reason":"spam"}"#);
        event.redacts = Some("$target".try_into().unwrap());
        let pdu = event.prepare().unwrap().sign(&place(), &key).unwrap();
        assert_eq!(pdu.redacts().unwrap(), "$target");
        let object = object_of(&pdu);
        assert_eq!(object.contains_key("redacts"), !version.redacts_in_content());
        assert_eq!(pdu.content().contains("$target"), version.redacts_in_content());
    }
    let written = builder(RoomVersion::V11, "m.room.redaction", r#"{"redacts":"$mine"}"#);
    let pdu = written.prepare().unwrap().sign(&place(), &key).unwrap();
    assert_eq!(pdu.redacts().unwrap(), "$mine");
}

#[test]
fn redacted_events_keep_id_and_signature() {
    let key = spec_key();
    for version in RoomVersion::ALL {
        let content = r#"{"membership":"join","displayname":"secret"}"#;
        let mut event = builder(version, "m.room.member", content);
        event.state_key = Some("@u:domain".into());
        let pdu = event.prepare().unwrap().sign(&place(), &key).unwrap();
        let redacted = pdu.redacted(version).unwrap();
        assert_eq!(redacted.content(), r#"{"membership":"join"}"#);
        assert_eq!(redacted.event_id(), pdu.event_id());
        let object = object_of(&redacted);
        let verified = verify_event(&public_keys(&key), &object, version.rules()).unwrap();
        assert_eq!(verified, Verified::Signatures);
        let hash = reference_hash(&object, version.rules()).unwrap();
        assert_eq!(pdu.event_id().as_str()[1..], hash);
    }
}

#[test]
fn sizes_are_limited() {
    let key = spec_key();
    let content = |bytes: usize| format!(r#"{{"body":"{}"}}"#, "x".repeat(bytes));
    let too_large = content(65_536);
    let error = builder(RoomVersion::V12, "m.room.message", &too_large).prepare().unwrap_err();
    assert!(matches!(error, PduError::TooLarge { .. }));
    // Room for the content, but not for the rest of the event.
    let tight = content(65_500);
    let prepared = builder(RoomVersion::V12, "m.room.message", &tight).prepare().unwrap();
    assert!(matches!(prepared.sign(&place(), &key), Err(PduError::TooLarge { .. })));

    let long = "x".repeat(256);
    let error = builder(RoomVersion::V12, &long, "{}").prepare().unwrap_err();
    assert_eq!(error, PduError::FieldTooLong { field: "type" });
    let mut event = builder(RoomVersion::V12, "X", "{}");
    event.state_key = Some(long.as_str().into());
    assert_eq!(event.prepare().unwrap_err(), PduError::FieldTooLong { field: "state_key" });
}

#[test]
fn contents_that_are_no_canonical_object_are_refused() {
    for content in ["[]", "null", "", "{", r#"{"x":1.5}"#, r#"{"x":9007199254740993}"#] {
        let error = builder(RoomVersion::V12, "X", content).prepare().unwrap_err();
        assert_eq!(error, PduError::Content, "{content}");
    }
}

#[test]
fn stored_texts_that_are_no_events_are_errors() {
    let id: OwnedEventId = "$x".try_into().unwrap();
    for text in ["", "{}", r#"{"type":"X","content":[]}"#] {
        Pdu::parse(RoomVersion::V12, id.clone(), text).unwrap_err();
    }
}

fn any_content() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
    ];
    let key = "[a-z_.]{0,12}|membership|redacts|users|join_rule|creator|\\PC{0,4}";
    prop::collection::btree_map(key, leaf, 0..8)
        .prop_map(|entries| serde_json::to_string(&entries).unwrap())
}

proptest! {
    #[test]
    fn any_event_verifies_and_reads_back(
        version in prop::sample::select(RoomVersion::ALL.to_vec()),
        kind in prop::sample::select(vec![
            "m.room.message", "m.room.member", "m.room.power_levels", "m.room.join_rules",
            "m.room.history_visibility", "m.room.redaction", "m.room.topic", "m.room.aliases",
            "m.reaction",
        ]),
        state_key in prop::option::of("\\PC{0,20}"),
        content in any_content(),
        ts in 0_i64..1 << 53,
        depth in 0_u64..1 << 53,
    ) {
        let key = spec_key();
        let mut event = builder(version, kind, &content);
        event.state_key = state_key.map(Into::into);
        event.origin_server_ts = ts;
        let place = Place { depth, ..place() };
        let pdu = event.prepare().unwrap().sign(&place, &key).unwrap();
        let object = object_of(&pdu);
        let mut theirs = object.clone();
        theirs.remove("hashes");
        theirs.remove("signatures");
        let redaction = &version.rules().redaction;
        hash_and_sign_event("domain", &ruma_key(), &mut theirs, redaction).unwrap();
        prop_assert_eq!(&theirs, &object);
        prop_assert_eq!(
            &pdu.event_id().as_str()[1..], &reference_hash(&object, version.rules()).unwrap()
        );
        let content: CanonicalJsonValue = serde_json::from_str(&content).unwrap();
        prop_assert_eq!(pdu.content(), content.to_string());

        let read = Pdu::parse(version, pdu.event_id().to_owned(), pdu.json().clone()).unwrap();
        let all = |pdu: &Pdu| {
            let links = (pdu.prev_events().to_vec(), pdu.auth_events().to_vec(), pdu.depth());
            let place = (pdu.room_id().to_owned(), pdu.state_key().map(str::to_owned), links);
            let redacts = pdu.redacts().map(ToOwned::to_owned);
            let kind = (pdu.kind().clone(), redacts, pdu.content().to_owned());
            (pdu.sender().to_owned(), pdu.origin_server_ts(), kind, place)
        };
        prop_assert_eq!(all(&read), all(&pdu));
    }
}
