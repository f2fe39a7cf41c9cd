//! What clients have the server keep for them: filters, push rules, keys.

use haechi_keys::KeysUpload;
use haechi_matrix::{
    RoomVersion,
    filter::SyncFilter,
    pdu::Pdu,
    push_rules::{self, PushEvent, PushMember, PushRoom, PushRules},
};
use ruma::{
    api::client::filter::FilterDefinition,
    event_id,
    push::{NewPatternedPushRule, NewPushRule, RuleKind, Ruleset},
    room_id, user_id,
};

use crate::texts;

/// Parts of a filter do not contradict one another.
pub(crate) fn filter(input: &[u8]) {
    let Some([filter, kind, content]) = texts(input) else { return };
    let Ok(definition) = serde_json::from_str::<FilterDefinition>(filter) else { return };
    let Ok(filter) = SyncFilter::new(definition) else { return };
    let sender = user_id!("@u:d");
    for part in [&filter.presence, &filter.timeline, &filter.state, &filter.ephemeral] {
        let passes = part.passes(kind, sender, content) && part.passes_room(room_id!("!r:d"));
        assert!(!(passes && part.passes_none()));
        assert!(passes || !part.passes_all());
        assert!((1..=100).contains(&part.limit(10, 100)));
    }
}

/// Rules are evaluated and edited.
pub(crate) fn push_rules(input: &[u8]) {
    let Some([rules, id, pattern, after, before, content]) = texts(input) else { return };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (after, before) = (some(after), some(before));
    let user = user_id!("@u:d");
    let mut ruleset = serde_json::from_str(rules).unwrap_or_else(|_| Ruleset::server_default(user));
    for id in [id, "a", id] {
        let rule = NewPatternedPushRule::new(id.to_owned(), pattern.to_owned(), vec![]);
        let rule = NewPushRule::Content(rule);
        let _ = push_rules::insert(&mut ruleset, rule, after.as_deref(), before.as_deref());
    }
    let _ = push_rules::remove(&mut ruleset, RuleKind::Content, id);
    let json = format!(
        r#"{{"auth_events":[],"prev_events":[],"depth":1,"origin_server_ts":1,"sender":"@v:d",
            "type":"m.room.message","room_id":"!r:d","content":{content}}}"#
    );
    let Ok(pdu) = Pdu::parse(RoomVersion::V11, event_id!("$x").to_owned(), json) else { return };
    let event = PushEvent::new(&pdu);
    let room = PushRoom { member_count: 2, auth: None };
    let member = PushMember { user, display_name: Some(pattern) };
    PushRules::new(user, &ruleset).evaluate(&event, room, member);
}

/// What is taken as keys can be asked about.
pub(crate) fn keys(input: &[u8]) {
    let Some([id, text]) = texts(input) else { return };
    let user = user_id!("@u:d");
    haechi_keys::fuzz::signing_key(user, text);
    let upload = KeysUpload {
        device_keys: Some(text.to_owned()),
        one_time_keys: vec![(id.to_owned(), text.to_owned())],
        fallback_keys: vec![(id.to_owned(), text.to_owned())],
    };
    if haechi_keys::fuzz::is_taken(user, "D", &upload) {
        assert!(id.contains(':') && text.len() <= 65_536);
    }
}
