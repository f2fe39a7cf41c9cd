//! Push rules come from clients: they are evaluated and edited without a panic.
#![no_main]

use haechi_matrix::{
    RoomVersion,
    pdu::Pdu,
    push_rules::{self, PushEvent, PushMember, PushRoom, PushRules},
};
use libfuzzer_sys::fuzz_target;
use ruma::{
    event_id,
    push::{NewPatternedPushRule, NewPushRule, RuleKind, Ruleset},
    user_id,
};

fuzz_target!(|input: (&str, &str, &str, Option<&str>, Option<&str>, &str)| {
    let (rules, id, pattern, after, before, content) = input;
    let user = user_id!("@u:d");
    let mut ruleset = serde_json::from_str(rules).unwrap_or_else(|_| Ruleset::server_default(user));
    for id in [id, "a", id] {
        let rule = NewPatternedPushRule::new(id.to_owned(), pattern.to_owned(), vec![]);
        let _ = push_rules::insert(&mut ruleset, NewPushRule::Content(rule), after, before);
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
});
