//! Hand-made cases: who may do what, in every room version.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod clauses;

const ALICE: &str = "@alice:here";
const BOB: &str = "@bob:here";
const CAROL: &str = "@carol:here";
const EVE: &str = "@eve:there";

/// A room as its state events, made by Alice.
struct Room {
    version: RoomVersion,
    state: BTreeMap<(String, String), Pdu>,
}

impl Room {
    /// A private room: Alice made and joined it, Bob joined it.
    fn new(version: RoomVersion) -> Self {
        let mut room = Self { version, state: BTreeMap::new() };
        let creator =
            if version < RoomVersion::V11 { json!({"creator": ALICE}) } else { json!({}) };
        room.set("m.room.create", "", ALICE, &creator);
        room.set("m.room.member", ALICE, ALICE, &json!({"membership": "join"}));
        room.set("m.room.member", BOB, BOB, &json!({"membership": "join"}));
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "invite"}));
        room
    }

    fn event(&self, kind: &str, state_key: Option<&str>, sender: &str, content: &Value) -> Pdu {
        let mut event = json!({
            "auth_events": [], "prev_events": ["$prev"], "depth": 9, "origin_server_ts": 1,
            "hashes": {}, "signatures": {}, "type": kind, "sender": sender, "content": content,
        });
        if let Some(state_key) = state_key {
            event["state_key"] = state_key.into();
        }
        let mut id = format!("${kind}.{}", state_key.unwrap_or_default());
        if self.version.room_id_is_create_hash() {
            if kind == "m.room.create" {
                id = "$create".to_owned();
            } else {
                event["room_id"] = "!create".into();
            }
        } else {
            event["room_id"] = "!r:here".into();
        }
        Pdu::parse(self.version, id.try_into().unwrap(), event.to_string()).unwrap()
    }

    fn set(&mut self, kind: &str, state_key: &str, sender: &str, content: &Value) {
        let event = self.event(kind, Some(state_key), sender, content);
        self.state.insert((kind.to_owned(), state_key.to_owned()), event);
    }

    fn levels(&mut self, content: &Value) {
        self.set("m.room.power_levels", "", ALICE, content);
    }

    fn membership(&mut self, user: &str, membership: &str) {
        self.set("m.room.member", user, user, &json!({"membership": membership}));
    }

    fn get(&self, kind: &str, state_key: &str) -> Option<&Pdu> {
        self.state.get(&(kind.to_owned(), state_key.to_owned()))
    }

    fn auth(&self) -> RoomAuth {
        let create = self.get("m.room.create", "").unwrap();
        RoomAuth::new(self.version, create, self.get("m.room.power_levels", "")).unwrap()
    }

    fn check(&self, event: &Pdu) -> Result<(), Forbidden> {
        check(self.version, event, |kind, key| self.get(&kind.to_string(), key))
    }

    /// May `sender` send it? Asked of both ways to check where both apply.
    fn may(&self, sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> bool {
        let event = self.event(kind, state_key, sender, content);
        let checked = self.check(&event).is_ok();
        if is_ordinary(event.kind()) {
            let membership = self
                .get("m.room.member", sender)
                .and_then(|member| Membership::of_content(member.content()).ok());
            let quick =
                self.auth().check_ordinary(event.sender(), membership, event.kind(), state_key);
            assert_eq!(quick.is_ok(), checked, "{sender} sends {kind}");
        }
        checked
    }

    fn may_message(&self, sender: &str) -> bool {
        self.may(sender, "m.room.message", None, &json!({"body": "hi", "msgtype": "m.text"}))
    }

    fn may_set_member(&self, sender: &str, target: &str, membership: &str) -> bool {
        self.may(sender, "m.room.member", Some(target), &json!({"membership": membership}))
    }
}

fn each_version(case: impl Fn(RoomVersion, Room)) {
    for version in RoomVersion::ALL {
        case(version, Room::new(version));
    }
}

#[test]
fn only_members_speak() {
    each_version(|version, mut room| {
        assert!(room.may_message(ALICE), "{version}");
        assert!(room.may_message(BOB), "{version}");
        for membership in ["invite", "leave", "ban", "knock"] {
            room.membership(CAROL, membership);
            assert!(!room.may_message(CAROL), "{membership} in {version}");
        }
        assert!(!room.may_message(EVE), "{version}");
    });
}

#[test]
fn without_power_levels_the_creator_rules() {
    each_version(|version, room| {
        let name = json!({"name": "n"});
        assert!(room.may(ALICE, "m.room.name", Some(""), &name), "{version}");
        assert!(!room.may(BOB, "m.room.name", Some(""), &name), "{version}");
        assert!(room.may_set_member(BOB, CAROL, "invite"), "{version}");
        assert!(!room.may_set_member(BOB, ALICE, "leave"), "{version}");
        assert!(room.may_set_member(ALICE, BOB, "leave"), "{version}");
    });
}

#[test]
fn each_type_needs_its_level() {
    each_version(|version, mut room| {
        let mut users = json!({ALICE: 100, BOB: 25});
        if version >= RoomVersion::V12 {
            users = json!({BOB: 25});
        }
        room.levels(&json!({
            "users": users, "events": {"m.room.topic": 25, "m.reaction": 26, "m.room.name": 26},
            "events_default": 25, "state_default": 50,
        }));
        assert!(room.may_message(BOB), "{version}");
        assert!(room.may(BOB, "m.room.topic", Some(""), &json!({"topic": "t"})));
        assert!(!room.may(BOB, "m.room.name", Some(""), &json!({"name": "n"})));
        assert!(!room.may(BOB, "m.room.avatar", Some(""), &json!({})));
        assert!(!room.may(BOB, "m.reaction", None, &json!({})));
        assert!(room.may(ALICE, "m.reaction", None, &json!({})));
        room.levels(&json!({"users": users, "events_default": 26}));
        assert!(!room.may_message(BOB), "{version}");
    });
}

#[test]
fn state_named_after_a_user_is_theirs_alone() {
    each_version(|version, room| {
        let custom = json!({});
        assert!(room.may(ALICE, "org.example", Some(ALICE), &custom), "{version}");
        assert!(!room.may(ALICE, "org.example", Some(BOB), &custom), "{version}");
        assert!(room.may(ALICE, "org.example", Some("bob"), &custom), "{version}");
    });
}

#[test]
fn nobody_removes_their_equals() {
    each_version(|version, mut room| {
        room.membership(CAROL, "join");
        let mut users = json!({ALICE: 100, BOB: 50, CAROL: 50});
        if version >= RoomVersion::V12 {
            users = json!({BOB: 50, CAROL: 50});
        }
        room.levels(&json!({"users": users}));
        for membership in ["leave", "ban"] {
            assert!(!room.may_set_member(BOB, CAROL, membership), "{version}");
            assert!(!room.may_set_member(BOB, ALICE, membership), "{version}");
            assert!(room.may_set_member(ALICE, CAROL, membership), "{version}");
        }
        assert!(room.may_set_member(CAROL, CAROL, "leave"), "{version}");
        let auth = room.auth();
        let [alice, bob, carol] =
            [ALICE, BOB, CAROL].map(|user| <&UserId>::try_from(user).unwrap());
        assert!(!auth.levels().user_can_ban_user(bob, carol));
        assert!(auth.levels().user_can_ban_user(alice, carol));
        assert!(!auth.levels().user_can_kick_user(bob, alice));
    });
}

#[test]
fn the_banned_stay_out_until_pardoned() {
    each_version(|version, mut room| {
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "public"}));
        assert!(room.may_set_member(CAROL, CAROL, "join"), "{version}");
        room.membership(CAROL, "ban");
        assert!(!room.may_set_member(CAROL, CAROL, "join"), "{version}");
        assert!(!room.may_set_member(CAROL, CAROL, "leave"), "{version}");
        assert!(!room.may_set_member(ALICE, CAROL, "invite"), "{version}");
        assert!(!room.may_set_member(BOB, CAROL, "leave"), "{version}");
        assert!(room.may_set_member(ALICE, CAROL, "leave"), "{version}");
    });
}

#[test]
fn nobody_joins_for_another() {
    each_version(|version, mut room| {
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "public"}));
        assert!(!room.may_set_member(ALICE, CAROL, "join"), "{version}");
        assert!(!room.may_set_member(ALICE, CAROL, "knock"), "{version}");
        assert!(!room.may_set_member(ALICE, CAROL, "org.example"), "{version}");
    });
}

#[test]
fn invitations_open_private_rooms() {
    each_version(|version, mut room| {
        assert!(!room.may_set_member(CAROL, CAROL, "join"), "{version}");
        assert!(!room.may_set_member(CAROL, EVE, "invite"), "{version}");
        assert!(!room.may_set_member(ALICE, BOB, "invite"), "{version}");
        room.membership(CAROL, "invite");
        assert!(room.may_set_member(CAROL, CAROL, "join"), "{version}");
        assert!(room.may_set_member(CAROL, CAROL, "leave"), "{version}");
        room.levels(&json!({"invite": 1}));
        assert!(!room.may_set_member(BOB, EVE, "invite"), "{version}");
    });
}

#[test]
fn knocking_since_version_7() {
    each_version(|version, mut room| {
        assert!(!room.may_set_member(CAROL, CAROL, "knock"), "{version}");
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "knock"}));
        let known = version >= RoomVersion::V7;
        assert_eq!(room.may_set_member(CAROL, CAROL, "knock"), known, "{version}");
        room.membership(CAROL, "knock");
        assert_eq!(room.may_set_member(CAROL, CAROL, "leave"), known, "{version}");
        assert!(!room.may_set_member(CAROL, CAROL, "join"), "{version}");
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "knock_restricted"}));
        room.membership(CAROL, "leave");
        let known = version >= RoomVersion::V10;
        assert_eq!(room.may_set_member(CAROL, CAROL, "knock"), known, "{version}");
    });
}

#[test]
fn restricted_joins_name_who_may_invite() {
    each_version(|version, mut room| {
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "restricted", "allow": []}));
        room.levels(&json!({"users": {BOB: 10}, "invite": 10}));
        let join = |room: &Room, via: &str| {
            let content = json!({"membership": "join", "join_authorised_via_users_server": via});
            room.may(CAROL, "m.room.member", Some(CAROL), &content)
        };
        let known = version >= RoomVersion::V8;
        assert_eq!(join(&room, BOB), known, "{version}");
        assert!(!join(&room, EVE), "not a member, {version}");
        assert!(!room.may_set_member(CAROL, CAROL, "join"), "{version}");
        let bob: &UserId = BOB.try_into().unwrap();
        assert_eq!(room.auth().authoriser([bob]), Some(bob));
        room.levels(&json!({"users": {BOB: 9}, "invite": 10}));
        assert!(!join(&room, BOB), "{version}");
        assert_eq!(room.auth().authoriser([bob]), None);
    });
}

#[test]
fn power_is_not_given_beyond_ones_own() {
    each_version(|version, mut room| {
        room.membership(CAROL, "join");
        let levels = json!({"users": {BOB: 50, CAROL: 50}, "events": {"m.room.name": 60}});
        room.levels(&levels);
        let may =
            |room: &Room, content: &Value| room.may(BOB, "m.room.power_levels", Some(""), content);
        assert!(may(&room, &levels), "no change, {version}");
        for (content, allowed, case) in [
            (json!({"users": {BOB: 50, CAROL: 50, EVE: 50}}), false, "drops a higher event level"),
            (json!({"users": {BOB: 51, CAROL: 50}}), false, "raises themselves"),
            (json!({"users": {BOB: 50, CAROL: 49}}), false, "lowers an equal"),
            (json!({"users": {BOB: 49, CAROL: 50}}), true, "lowers themselves"),
            (json!({"users": {BOB: 50, CAROL: 50, EVE: 50}}), true, "raises another to their own"),
            (json!({"users": {BOB: 50, CAROL: 50, EVE: 51}}), false, "raises another beyond"),
            (json!({"users": {BOB: 50, CAROL: 50}, "ban": 51}), false, "sets a level beyond"),
            (json!({"users": {BOB: 50, CAROL: 50}, "ban": 10}), true, "lowers a level"),
        ] {
            let mut content = content;
            if case != "drops a higher event level" {
                content["events"] = json!({"m.room.name": 60});
            }
            assert_eq!(may(&room, &content), allowed, "{case}, {version}");
        }
        room.levels(&json!({"users": {BOB: 50}, "notifications": {"room": 60}}));
        let content = json!({"users": {BOB: 50}, "notifications": {"room": 20}});
        assert!(!may(&room, &content), "{version}");
    });
}

#[test]
fn levels_as_strings_until_version_9() {
    each_version(|version, room| {
        let texts = json!({"users": {BOB: "50"}, "ban": "60"});
        let accepted = version < RoomVersion::V10;
        assert_eq!(room.may(ALICE, "m.room.power_levels", Some(""), &texts), accepted, "{version}");
        if accepted {
            let mut room = room;
            room.levels(&texts);
            let bob: &UserId = BOB.try_into().unwrap();
            assert_eq!(room.auth().levels().for_user(bob), Int::from(50));
            assert!(!room.auth().levels().user_can_ban(bob));
        }
    });
}

#[test]
fn creators_stand_above_all_since_version_12() {
    each_version(|version, mut room| {
        let since = version >= RoomVersion::V12;
        room.levels(&json!({"users": {BOB: 1000}, "events": {"m.room.tombstone": 1500}}));
        let tombstone = json!({});
        assert_eq!(room.may(ALICE, "m.room.tombstone", Some(""), &tombstone), since, "{version}");
        assert!(!room.may(BOB, "m.room.tombstone", Some(""), &tombstone), "{version}");
        assert!(!room.may_set_member(BOB, ALICE, "leave") || !since, "{version}");
        let named = json!({"users": {ALICE: 100, BOB: 1000}, "events": {"m.room.tombstone": 1500}});
        assert!(!room.may(ALICE, "m.room.power_levels", Some(""), &named), "{version}");

        let mut content = json!({"additional_creators": [CAROL]});
        content["creator"] = ALICE.into();
        room.set("m.room.create", "", ALICE, &content);
        room.membership(CAROL, "join");
        assert_eq!(room.may(CAROL, "m.room.tombstone", Some(""), &tombstone), since, "{version}");
    });
}

#[test]
fn closed_rooms_have_no_strangers() {
    each_version(|version, mut room| {
        room.set("m.room.create", "", ALICE, &json!({"creator": ALICE, "m.federate": false}));
        room.membership(EVE, "join");
        assert!(!room.may_message(EVE), "{version}");
        assert!(room.may_message(BOB), "{version}");
    });
}

#[test]
fn create_events_stand_at_the_beginning() {
    each_version(|version, room| {
        let late = room.event("m.room.create", Some(""), ALICE, &json!({"creator": ALICE}));
        assert!(room.check(&late).is_err(), "{version}");
        let first = late.json().replace(r#"["$prev"]"#, "[]");
        let first = Pdu::parse(version, late.event_id().to_owned(), first).unwrap();
        assert_eq!(room.check(&first), Ok(()), "{version}");
        let elsewhere = first.json().replace(ALICE, EVE);
        let elsewhere = Pdu::parse(version, late.event_id().to_owned(), elsewhere).unwrap();
        let named = !version.room_id_is_create_hash();
        assert_eq!(room.check(&elsewhere).is_err(), named, "{version}");
    });
}

#[test]
fn redactions_of_others_need_power() {
    each_version(|version, mut room| {
        room.levels(&json!({"users": {BOB: 10}, "redact": 10}));
        let auth = room.auth();
        let [bob, carol] = [BOB, CAROL].map(|user| <&UserId>::try_from(user).unwrap());
        assert!(auth.may_redact(bob, carol), "{version}");
        assert!(auth.may_redact(carol, carol), "{version}");
        assert!(!auth.may_redact(carol, bob), "{version}");
        room.levels(&json!({"events": {"m.room.redaction": 1}, "redact": 0}));
        assert!(!room.auth().may_redact(carol, carol), "{version}");
    });
}

#[test]
fn auth_events_are_those_the_rules_read() {
    let alice: &UserId = ALICE.try_into().unwrap();
    let types = |version, kind: &str, key: Option<&str>, content: &str| {
        let mut types: Vec<String> = auth_types(version, &kind.into(), alice, key, content)
            .unwrap()
            .into_iter()
            .map(|(kind, key)| format!("{kind}|{key}"))
            .collect();
        types.sort();
        types.join(" ")
    };
    let message = |version| types(version, "m.room.message", None, "{}");
    let ordinary = "m.room.member|@alice:here m.room.power_levels|";
    assert_eq!(message(RoomVersion::V12), ordinary);
    assert_eq!(message(RoomVersion::V11), format!("m.room.create| {ordinary}"));
    assert_eq!(types(RoomVersion::V12, "m.room.create", Some(""), "{}"), "");
    assert_eq!(
        types(RoomVersion::V12, "m.room.member", Some(BOB), r#"{"membership":"invite"}"#),
        "m.room.join_rules| m.room.member|@alice:here m.room.member|@bob:here m.room.power_levels|"
    );
    let join = r#"{"membership":"join","join_authorised_via_users_server":"@carol:here"}"#;
    assert!(types(RoomVersion::V12, "m.room.member", Some(ALICE), join).contains(CAROL));
    assert!(!types(RoomVersion::V7, "m.room.member", Some(ALICE), join).contains(CAROL));
    auth_types(RoomVersion::V12, &"m.room.member".into(), alice, Some(BOB), "{}").unwrap_err();
}

proptest! {
    /// The quick check of ordinary events and ruma's full one agree, whatever the room is like.
    #[test]
    fn quick_check_is_the_full_check(
        version in prop::sample::select(RoomVersion::ALL.to_vec()),
        membership in prop::option::of(prop::sample::select(
            vec!["join", "invite", "leave", "ban", "knock"],
        )),
        sender in prop::sample::select(vec![ALICE, BOB, EVE]),
        federate in any::<bool>(),
        with_levels in any::<bool>(),
        level in -5_i64..60,
        users_default in prop::option::of(-5_i64..60),
        events_default in prop::option::of(-5_i64..60),
        state_default in prop::option::of(-5_i64..60),
        own in prop::option::of(-5_i64..60),
        kind in prop::sample::select(vec!["m.room.message", "m.room.topic", "org.example"]),
        state_key in prop::option::of(prop::sample::select(vec!["", ALICE, BOB, "@", "x"])),
    ) {
        let mut room = Room::new(version);
        room.set("m.room.create", "", ALICE, &json!({"creator": ALICE, "m.federate": federate}));
        room.state.remove(&("m.room.member".to_owned(), sender.to_owned()));
        if let Some(membership) = membership {
            room.membership(sender, membership);
        }
        if with_levels {
            let mut levels = json!({"users": {BOB: level}});
            for (key, value) in [
                ("users_default", users_default),
                ("events_default", events_default),
                ("state_default", state_default),
            ] {
                if let Some(value) = value {
                    levels[key] = value.into();
                }
            }
            if let Some(own) = own {
                levels["events"] = json!({"m.room.topic": own});
            }
            room.levels(&levels);
        }
        // Compares both ways itself.
        room.may(sender, kind, state_key, &json!({}));
    }
}
