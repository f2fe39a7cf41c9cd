use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use ruma::{
    push::{
        NewPushRule, NewSimplePushRule, PushConditionPowerLevelsCtx, PushConditionRoomCtx, RuleKind,
    },
    serde::Raw,
    uint,
};
use serde_json::{Value, json};

use super::*;
use crate::{RoomVersion, pdu::Pdu};

const USER: &str = "@me:d";

fn me() -> &'static UserId {
    USER.try_into().unwrap()
}

fn pdu(fields: &Value) -> Pdu {
    let mut event = json!({
        "auth_events": [], "prev_events": [], "depth": 1, "origin_server_ts": 17,
        "hashes": {}, "signatures": {}, "room_id": "!r:d", "sender": "@other:d",
    });
    for (key, value) in fields.as_object().unwrap() {
        event[key] = value.clone();
    }
    Pdu::parse(RoomVersion::V11, "$id".try_into().unwrap(), event.to_string()).unwrap()
}

/// A room in which `@other:d`, or nobody, may notify all.
fn auth(may_notify: bool) -> RoomAuth {
    let create = pdu(&json!({"type": "m.room.create", "state_key": "", "content": {}}));
    let level = if may_notify { 50 } else { 49 };
    let levels = pdu(&json!({
        "type": "m.room.power_levels", "state_key": "", "content": {"users": {"@other:d": level}},
    }));
    RoomAuth::new(RoomVersion::V11, &create, Some(&levels)).unwrap()
}

fn defaults() -> Ruleset {
    Ruleset::server_default(me())
}

/// What `ruleset` says of the event to me: a text such as `notify highlight default`.
fn said(ruleset: &Ruleset, fields: &Value, member_count: u64) -> String {
    let auth = auth(true);
    let room = PushRoom { member_count, auth: Some(&auth) };
    let pdu = pdu(fields);
    let event = PushEvent::new(&pdu);
    let rules = PushRules::new(me(), ruleset);
    let member = PushMember { user: me(), display_name: Some("Me Myself") };
    let outcome = rules.evaluate(&event, room, member);
    if rules.is_plain() {
        let plain = PlainOutcome::new(&event, room);
        assert_eq!(plain.for_user(me()).notify, outcome.notify);
        assert_eq!(plain.for_user(me()).highlight, outcome.highlight);
    }
    let mut words = Vec::new();
    words.extend(outcome.notify.then_some("notify"));
    words.extend(outcome.highlight.then_some("highlight"));
    words.extend(outcome.sound.as_deref());
    words.join(" ")
}

fn message(content: &Value) -> Value {
    json!({"type": "m.room.message", "content": content})
}

#[test]
fn default_rules_of_the_spec() {
    let rules = defaults();
    assert!(PushRules::new(me(), &rules).is_plain());
    let text = json!({"msgtype": "m.text", "body": "hi"});
    let mention = json!({"body": "hi", "m.mentions": {"user_ids": ["@a:d", USER]}});
    let room_mention = json!({"body": "hi", "m.mentions": {"room": true}});
    let edit = json!({"body": "*", "m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}});
    let member = |user: &str, membership: &str| json!({"type": "m.room.member", "state_key": user, "content": {"membership": membership}});
    for (event, members, expected) in [
        (message(&text), 3, "notify"),
        (message(&text), 2, "notify default"),
        (json!({"type": "m.room.encrypted", "content": {}}), 3, "notify"),
        (json!({"type": "m.room.encrypted", "content": {}}), 2, "notify default"),
        (json!({"type": "m.call.invite", "content": {}}), 2, "notify ring"),
        (message(&json!({"msgtype": "m.notice", "body": "x"})), 2, ""),
        (message(&mention), 3, "notify highlight default"),
        (message(&room_mention), 3, "notify highlight"),
        (message(&edit), 3, ""),
        (member(USER, "invite"), 3, "notify default"),
        (member("@a:d", "invite"), 3, ""),
        (member(USER, "leave"), 3, ""),
        (json!({"type": "m.reaction", "content": {}}), 2, ""),
        (
            json!({"type": "m.room.tombstone", "state_key": "", "content": {}}),
            3,
            "notify highlight",
        ),
        (json!({"type": "m.room.server_acl", "state_key": "", "content": {}}), 3, ""),
        (json!({"type": "m.room.topic", "state_key": "", "content": {}}), 2, ""),
    ] {
        assert_eq!(said(&rules, &event, members), expected, "{event}");
    }
}

#[test]
fn own_events_never_notify() {
    let mut event = message(&json!({"body": "x", "m.mentions": {"user_ids": [USER]}}));
    event["sender"] = USER.into();
    assert_eq!(said(&defaults(), &event, 2), "");
}

#[test]
fn room_mentions_need_power() {
    let pdu = pdu(&message(&json!({"body": "x", "m.mentions": {"room": true}})));
    let event = PushEvent::new(&pdu);
    for (may_notify, expected) in [(true, true), (false, false)] {
        let auth = auth(may_notify);
        let room = PushRoom { member_count: 9, auth: Some(&auth) };
        assert_eq!(PlainOutcome::new(&event, room).unnamed().highlight, expected);
    }
    let room = PushRoom { member_count: 9, auth: None };
    assert!(!PlainOutcome::new(&event, room).unnamed().highlight);
}

#[test]
fn own_rules_come_before_the_defaults() {
    let text = message(&json!({"msgtype": "m.text", "body": "there is Cake, please"}));
    let mut rules = defaults();
    let highlight = || serde_json::from_value(json!(["notify", {"set_tweak": "highlight"}]));
    let keyword: ruma::push::NewPatternedPushRule = serde_json::from_value(json!({
        "rule_id": "k", "pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}],
    }))
    .unwrap();
    insert(&mut rules, NewPushRule::Content(keyword), None, None).unwrap();
    assert!(!PushRules::new(me(), &rules).is_plain());
    assert_eq!(said(&rules, &text, 3), "notify highlight");

    set_enabled(&mut rules, RuleKind::Content, "k", false).unwrap();
    let sender = NewSimplePushRule::new("@other:d".try_into().unwrap(), highlight().unwrap());
    insert(&mut rules, NewPushRule::Sender(sender), None, None).unwrap();
    assert_eq!(said(&rules, &text, 3), "notify highlight");

    let muted = NewSimplePushRule::new("!r:d".try_into().unwrap(), vec![]);
    insert(&mut rules, NewPushRule::Room(muted), None, None).unwrap();
    assert_eq!(said(&rules, &text, 3), "");

    set_enabled(&mut rules, RuleKind::Override, ".m.rule.master", true).unwrap();
    let mention = message(&json!({"body": "x", "m.mentions": {"user_ids": [USER]}}));
    assert_eq!(said(&rules, &mention, 3), "");
}

#[test]
fn each_condition_holds_when_it_should() {
    let event = message(&json!({
        "body": "hello me myself", "number": 7, "flag": true, "nothing": null,
        "list": ["a", 5, null], "a.b": {"c\\d": "x"},
    }));
    for (condition, expected) in [
        (json!({"kind": "event_match", "key": "type", "pattern": "M.ROOM.*"}), true),
        (json!({"kind": "event_match", "key": "room_id", "pattern": "!r:d"}), true),
        (json!({"kind": "event_match", "key": "content.number", "pattern": "7"}), false),
        (json!({"kind": "event_match", "key": "content.missing", "pattern": "*"}), false),
        (json!({"kind": "event_match", "key": r"content.a\.b.c\\d", "pattern": "X"}), true),
        (json!({"kind": "event_match", "key": "content.a.b", "pattern": "*"}), false),
        (json!({"kind": "event_match", "key": "unsigned.age", "pattern": "*"}), false),
        (json!({"kind": "contains_display_name"}), true),
        (json!({"kind": "room_member_count", "is": ">=3"}), true),
        (json!({"kind": "room_member_count", "is": "<3"}), false),
        (json!({"kind": "sender_notification_permission", "key": "room"}), true),
        (json!({"kind": "sender_notification_permission", "key": "org.example"}), false),
        (json!({"kind": "event_property_is", "key": "content.number", "value": 7}), true),
        (json!({"kind": "event_property_is", "key": "content.number", "value": "7"}), false),
        (json!({"kind": "event_property_is", "key": "content.flag", "value": true}), true),
        (json!({"kind": "event_property_is", "key": "content.nothing", "value": null}), true),
        (json!({"kind": "event_property_is", "key": "content.missing", "value": null}), false),
        (json!({"kind": "event_property_is", "key": "type", "value": "m.room.message"}), true),
        (json!({"kind": "event_property_is", "key": "type", "value": "M.room.message"}), false),
        (json!({"kind": "event_property_contains", "key": "content.list", "value": 5}), true),
        (json!({"kind": "event_property_contains", "key": "content.list", "value": null}), true),
        (json!({"kind": "event_property_contains", "key": "content.list", "value": "b"}), false),
        (json!({"kind": "event_property_contains", "key": "content.body", "value": "a"}), false),
        (json!({"kind": "org.example.unknown"}), false),
    ] {
        let rule = json!({"rule_id": "o", "conditions": [condition], "actions": ["notify"],
            "default": false, "enabled": true});
        let ruleset = serde_json::from_value(json!({"override": [rule]})).unwrap();
        let expected = if expected { "notify" } else { "" };
        assert_eq!(said(&ruleset, &event, 3), expected, "{condition}");
    }
}

#[test]
fn mentions_are_found_among_many() {
    let mut users: Vec<Value> = (0..500).map(|user| format!("@u{user}:d").into()).collect();
    users.push(json!(5));
    let pdu = pdu(&message(&json!({"m.mentions": {"user_ids": users}})));
    let event = PushEvent::new(&pdu);
    assert_eq!(event.mentioned().len(), 500);
    assert!(event.mentions("@u499:d".try_into().unwrap()));
    assert!(!event.mentions("@u500:d".try_into().unwrap()));
}

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("ruma's rules do not wait"),
    }
}

/// What ruma says, by its own evaluation.
fn ruma_says(ruleset: &Ruleset, pdu: &Pdu, member_count: u64, auth: &RoomAuth) -> String {
    let levels = auth.levels();
    let context = PushConditionRoomCtx::new(
        pdu.room_id().to_owned(),
        member_count.try_into().unwrap_or(uint!(0)),
        me().to_owned(),
        "Me Myself".to_owned(),
    )
    .with_power_levels(PushConditionPowerLevelsCtx::new(
        levels.users.clone(),
        levels.users_default,
        levels.notifications.clone(),
        levels.rules.clone(),
    ));
    let raw: Raw<Value> = serde_json::from_str(pdu.json()).unwrap();
    serde_json::to_string(now(ruleset.get_actions(&raw, &context))).unwrap()
}

fn any_condition() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "type",
        "sender",
        "room_id",
        "state_key",
        "content.body",
        "content.msgtype",
        r"content.m\.mentions.room",
        r"content.m\.relates_to.rel_type",
        "content.x.y",
    ]);
    let pattern = prop::sample::select(vec![
        "m.room.message",
        "m.*",
        "m.te?t",
        "@other:d",
        USER,
        "!R:d",
        "cake",
        "c*e",
        "*",
        "",
        "me",
        "a?b",
        "?",
        "m.replace",
        "é",
    ]);
    let scalar = prop_oneof![
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(null)),
        Just(json!("m.text")),
        Just(json!(USER)),
    ];
    let list_key =
        prop::sample::select(vec![r"content.m\.mentions.user_ids", "content.list", "content.body"]);
    prop_oneof![
        (key.clone(), pattern).prop_map(
            |(key, pattern)| json!({"kind": "event_match", "key": key, "pattern": pattern})
        ),
        (key, scalar.clone()).prop_map(
            |(key, value)| json!({"kind": "event_property_is", "key": key, "value": value})
        ),
        (list_key, scalar).prop_map(
            |(key, value)| json!({"kind": "event_property_contains", "key": key, "value": value})
        ),
        prop::sample::select(vec!["2", "==3", "<3", ">2", ">=2", "<=9"])
            .prop_map(|is| json!({"kind": "room_member_count", "is": is})),
        Just(json!({"kind": "sender_notification_permission", "key": "room"})),
        Just(json!({"kind": "contains_display_name"})),
        Just(json!({"kind": "org.example"})),
    ]
}

fn any_event() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        "m.room.message",
        "m.room.encrypted",
        "m.room.member",
        "m.reaction",
        "m.room.tombstone",
    ]);
    let body = prop::option::of("(a|b|cake|Cake|me|Me Myself|é|_| |!|\\.){0,6}");
    let msgtype = prop::sample::select(vec!["m.text", "m.notice", "M.TEXT"]);
    let mentions = prop::option::of(prop_oneof![
        Just(json!({})),
        Just(json!({"room": true})),
        Just(json!({"user_ids": [USER, "@a:d"]})),
    ]);
    let state_key = prop::option::of(prop::sample::select(vec!["", USER]));
    let extra = prop::sample::select(vec![
        json!({}),
        json!({"x": {"y": "cake"}}),
        json!({"list": [1, true, USER]}),
        json!({"m.relates_to": {"rel_type": "m.replace"}}),
        json!({"membership": "invite"}),
    ]);
    let sender = prop::sample::select(vec!["@other:d", "@third:d", USER]);
    (kind, body, msgtype, mentions, state_key, extra, sender).prop_map(
        |(kind, body, msgtype, mentions, state_key, mut content, sender)| {
            content["msgtype"] = msgtype.into();
            if let Some(body) = body {
                content["body"] = body.into();
            }
            if let Some(mentions) = mentions {
                content["m.mentions"] = mentions;
            }
            let mut event = json!({"type": kind, "content": content, "sender": sender});
            if let Some(state_key) = state_key {
                event["state_key"] = state_key.into();
            }
            event
        },
    )
}

proptest! {
    /// Whatever the rules and the event, the outcome is the one ruma's own evaluation gives.
    #[test]
    fn same_outcome_as_ruma(
        overrides in prop::collection::vec(prop::collection::vec(any_condition(), 0..3), 0..4),
        keywords in prop::collection::vec("cake|c\\*e|a\\?|b|me", 0..3),
        with_defaults in any::<bool>(),
        event in any_event(),
        member_count in 1_u64..4,
        may_notify in any::<bool>(),
    ) {
        let mut ruleset = if with_defaults { defaults() } else { Ruleset::new() };
        for (index, conditions) in overrides.iter().enumerate() {
            let rule = json!({
                "rule_id": format!("o{index}"), "default": false, "enabled": true,
                "conditions": conditions,
                "actions": ["notify", {"set_tweak": "sound", "value": format!("s{index}")}],
            });
            ruleset.override_.insert(serde_json::from_value(rule).unwrap());
        }
        for pattern in keywords {
            let rule = json!({
                "rule_id": pattern, "default": false, "enabled": true, "pattern": pattern,
                "actions": ["notify", {"set_tweak": "highlight"}],
            });
            ruleset.content.insert(serde_json::from_value(rule).unwrap());
        }
        let pdu = pdu(&event);
        let auth = auth(may_notify);
        let room = PushRoom { member_count, auth: Some(&auth) };
        let event = PushEvent::new(&pdu);
        let member = PushMember { user: me(), display_name: Some("Me Myself") };
        let rules = PushRules::new(me(), &ruleset);
        let outcome = rules.evaluate(&event, room, member);
        let theirs = ruma_says(&ruleset, &pdu, member_count, &auth);
        prop_assert_eq!(serde_json::to_string(&outcome.actions).unwrap(), theirs.clone());

        if rules.is_plain() {
            let plain = PlainOutcome::new(&event, room).for_user(me());
            prop_assert_eq!(serde_json::to_string(&plain.actions).unwrap(), theirs);
        }
    }
}
