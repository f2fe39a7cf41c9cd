//! Each clause of the authorisation rules that the other cases leave out, once for and once against.

use ruma::{
    CanonicalJsonObject,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};

use super::*;

/// Everybody in `users` at this level; creators are named only where they may be.
fn users(version: RoomVersion, levels: &[(&str, i64)]) -> Value {
    let named = levels.iter().filter(|(user, _)| *user != ALICE || version < RoomVersion::V12);
    named.map(|(user, level)| ((*user).to_owned(), json!(level))).collect()
}

impl Room {
    /// May this event enter the room? Given as text, for what no builder makes.
    fn may_raw(&self, event: &Pdu, from: &str, to: &str) -> bool {
        let json = event.json().replacen(from, to, 1);
        assert_ne!(json.as_str(), &**event.json(), "{from} is not in the event");
        let Ok(event) = Pdu::parse(self.version, event.event_id().to_owned(), json) else {
            return false;
        };
        self.check(&event).is_ok()
    }

    fn may_levels(&self, sender: &str, content: &Value) -> bool {
        self.may(sender, "m.room.power_levels", Some(""), content)
    }

    /// Do these events do as the `auth_events` of `event`?
    fn may_name(&self, event: &Pdu, auth_events: &[&Pdu]) -> bool {
        let ids: Vec<&str> = auth_events.iter().map(|event| event.event_id().as_str()).collect();
        let named = format!(r#""auth_events":{}"#, json!(ids));
        let json = event.json().replacen(r#""auth_events":[]"#, &named, 1);
        let event = Pdu::parse(self.version, event.event_id().to_owned(), json).unwrap();
        let create = self.get("m.room.create", "");
        let known = |id: &EventId| {
            auth_events.iter().copied().chain(create).find(|event| event.event_id() == id)
        };
        check_auth_events(self.version, &event, known).is_ok()
    }
}

#[test]
fn create_events_have_the_form_of_their_version() {
    each_version(|version, room| {
        let first = |content: &Value| {
            let event = room.event("m.room.create", Some(""), ALICE, content);
            room.may_raw(&event, r#"["$prev"]"#, "[]")
        };
        assert!(first(&json!({"creator": ALICE})), "{version}");
        let needs_creator = version < RoomVersion::V11;
        assert_eq!(first(&json!({})), !needs_creator, "{version}");
        assert!(first(&json!({"creator": ALICE, "additional_creators": [BOB]})), "{version}");
        for wrong in [json!([7]), json!(["bob"]), json!({})] {
            let content = json!({"creator": ALICE, "additional_creators": wrong});
            assert_eq!(first(&content), version < RoomVersion::V12, "{wrong} in {version}");
        }
        let event = room.event("m.room.create", Some(""), ALICE, &json!({"creator": ALICE}));
        let event = event.json().replacen(r#"["$prev"]"#, "[]", 1);
        let with_room = |room_id: &str| {
            let mut event: Value = serde_json::from_str(&event).unwrap();
            event["room_id"] = room_id.into();
            let id = "$create".try_into().unwrap();
            Pdu::parse(version, id, event.to_string()).is_ok_and(|event| room.check(&event).is_ok())
        };
        let named = version < RoomVersion::V12;
        assert_eq!(with_room("!x:here"), named, "{version}");
        assert!(!with_room("!x:there"), "{version}");
        // From version 12 on no event can name its own hash.
        assert!(!named || !with_room("!create"), "{version}");
    });
}

#[test]
fn auth_events_are_the_right_ones_once_each() {
    each_version(|version, mut room| {
        room.levels(&json!({"users": users(version, &[(BOB, 50)])}));
        let get = |kind: &str, key: &str| room.get(kind, key).unwrap();
        let message = room.event("m.room.message", None, BOB, &json!({}));
        let levels = get("m.room.power_levels", "");
        let bob = get("m.room.member", BOB);
        let create = get("m.room.create", "");
        let names_create = version < RoomVersion::V12;
        let right = if names_create { vec![create, levels, bob] } else { vec![levels, bob] };
        assert!(room.may_name(&message, &right), "{version}");
        assert_eq!(room.may_name(&message, &[levels, bob]), !names_create, "{version}");
        assert_eq!(room.may_name(&message, &[create, levels, bob]), names_create, "{version}");
        let with = |event| [right.clone(), vec![event]].concat();
        assert!(!room.may_name(&message, &with(bob)), "twice, {version}");
        let alice = get("m.room.member", ALICE);
        assert!(!room.may_name(&message, &with(alice)), "not needed, {version}");
        let rules = get("m.room.join_rules", "");
        assert!(!room.may_name(&message, &with(rules)), "not needed, {version}");
        let no_state = room.event("m.room.message", None, ALICE, &json!({}));
        assert!(!room.may_name(&message, &with(&no_state)), "no state, {version}");
        let json =
            levels.json().replacen(if names_create { "!r:here" } else { "!create" }, "!o:here", 1);
        let elsewhere = Pdu::parse(version, "$other".try_into().unwrap(), json).unwrap();
        assert!(!room.may_name(&message, &with(&elsewhere)), "of another room, {version}");
        assert!(check_auth_events(version, &message, |_| None::<&Pdu>).is_err(), "{version}");
    });
}

#[test]
fn members_need_a_target_and_a_membership() {
    each_version(|version, room| {
        let join = json!({"membership": "join"});
        assert!(room.may(BOB, "m.room.member", Some(BOB), &join), "once more, {version}");
        assert!(!room.may(BOB, "m.room.member", None, &join), "{version}");
        assert!(!room.may(BOB, "m.room.member", Some("bob"), &join), "{version}");
        for content in [json!({}), json!({"membership": 7}), json!({"membership": "x"})] {
            assert!(!room.may(BOB, "m.room.member", Some(BOB), &content), "{content} {version}");
        }
    });
}

#[test]
fn the_creator_joins_first() {
    each_version(|version, mut room| {
        room.state.retain(|(kind, _), _| kind == "m.room.create");
        let create = room.get("m.room.create", "").unwrap().event_id().to_string();
        let first = |user: &str, prev: &str| {
            let event =
                room.event("m.room.member", Some(user), user, &json!({"membership": "join"}));
            room.may_raw(&event, r#"["$prev"]"#, prev)
        };
        assert!(first(ALICE, &format!(r#"["{create}"]"#)), "{version}");
        assert!(!first(BOB, &format!(r#"["{create}"]"#)), "{version}");
        assert!(!first(ALICE, r#"["$other"]"#), "{version}");
        assert!(!first(ALICE, &format!(r#"["{create}","$other"]"#)), "{version}");
    });
}

#[test]
fn each_join_rule_lets_in_whom_it_says() {
    each_version(|version, mut room| {
        let [v7, v8, v10] =
            [RoomVersion::V7, RoomVersion::V8, RoomVersion::V10].map(|since| version >= since);
        for (rule, invited, member) in [
            ("public", true, true),
            ("invite", true, true),
            ("knock", v7, v7),
            ("restricted", v8, v8),
            ("knock_restricted", v10, v10),
            ("private", false, false),
            ("org.example", false, false),
        ] {
            room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": rule}));
            room.membership(CAROL, "invite");
            assert_eq!(room.may_set_member(CAROL, CAROL, "join"), invited, "{rule} {version}");
            assert_eq!(room.may_set_member(BOB, BOB, "join"), member, "{rule} {version}");
            room.membership(CAROL, "leave");
            assert_eq!(room.may_set_member(CAROL, CAROL, "join"), rule == "public", "{version}");
            let named = json!({"membership": "join", "join_authorised_via_users_server": ALICE});
            let by_room = (rule == "restricted" && v8) || (rule == "knock_restricted" && v10);
            let may = room.may(CAROL, "m.room.member", Some(CAROL), &named);
            assert_eq!(may, by_room || rule == "public", "{rule} {version}");
            room.membership(CAROL, "ban");
            assert!(!room.may(CAROL, "m.room.member", Some(CAROL), &named), "{rule} {version}");
        }
        room.state.remove(&("m.room.join_rules".to_owned(), String::new()));
        assert!(!room.may_set_member(CAROL, CAROL, "join"), "without a rule, {version}");
    });
}

#[test]
fn leaving_and_removing() {
    each_version(|version, mut room| {
        for (membership, may) in [
            ("join", true),
            ("invite", true),
            ("knock", version >= RoomVersion::V7),
            ("leave", false),
            ("ban", false),
        ] {
            room.membership(CAROL, membership);
            assert_eq!(room.may_set_member(CAROL, CAROL, "leave"), may, "{membership} {version}");
        }
        // To remove, one needs to be there, the level, and more power than the other.
        for (membership, key) in [("leave", "kick"), ("ban", "ban")] {
            for (level, other, needed, may) in [
                (50, 49, 50, true),
                (50, 50, 50, false),
                (50, 51, 50, false),
                (50, 0, 51, false),
                (50, 0, 0, true),
            ] {
                room.membership(BOB, "join");
                room.membership(CAROL, "join");
                let users = users(version, &[(ALICE, 100), (BOB, level), (CAROL, other)]);
                let mut content = json!({"users": users});
                content[key] = needed.into();
                room.levels(&content);
                let case = format!("{membership} at {level} of {other}, {needed} in {version}");
                assert_eq!(room.may_set_member(BOB, CAROL, membership), may, "{case}");
                room.membership(CAROL, "invite");
                assert_eq!(room.may_set_member(BOB, CAROL, membership), may, "{case}");
                room.membership(BOB, "invite");
                assert!(!room.may_set_member(BOB, CAROL, membership), "not there: {case}");
            }
        }
        // To pardon, one needs the level for bans as well.
        room.membership(BOB, "join");
        room.membership(CAROL, "ban");
        for (ban, kick, may) in [(50, 50, true), (51, 50, false), (50, 51, false)] {
            let users = users(version, &[(ALICE, 100), (BOB, 50)]);
            room.levels(&json!({"users": users, "ban": ban, "kick": kick}));
            let case = format!("ban {ban}, kick {kick} in {version}");
            assert_eq!(room.may_set_member(BOB, CAROL, "leave"), may, "{case}");
        }
    });
}

#[test]
fn knocks_come_from_outside() {
    each_version(|version, mut room| {
        let known = version >= RoomVersion::V7;
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "knock"}));
        for (membership, may) in
            [("leave", true), ("knock", true), ("invite", false), ("join", false), ("ban", false)]
        {
            room.membership(CAROL, membership);
            let may = may && known;
            assert_eq!(room.may_set_member(CAROL, CAROL, "knock"), may, "{membership} {version}");
        }
        room.membership(CAROL, "leave");
        for rule in ["public", "invite", "restricted", "private"] {
            room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": rule}));
            assert!(!room.may_set_member(CAROL, CAROL, "knock"), "{rule} {version}");
        }
        room.set("m.room.join_rules", "", ALICE, &json!({"join_rule": "knock"}));
        room.membership(CAROL, "knock");
        assert!(room.may_set_member(ALICE, CAROL, "invite"), "{version}");
        assert!(room.may_set_member(ALICE, CAROL, "leave"), "{version}");
    });
}

#[test]
fn invitations_need_the_level_to_invite() {
    each_version(|version, mut room| {
        for (invite, may) in [(10, true), (11, false)] {
            let users = users(version, &[(ALICE, 100), (BOB, 10)]);
            room.levels(&json!({"users": users, "invite": invite}));
            assert_eq!(room.may_set_member(BOB, CAROL, "invite"), may, "{invite} {version}");
            let content = json!({"display_name": "c", "public_key": "x", "key_validity_url": "x"});
            let third = room.may(BOB, "m.room.third_party_invite", Some("token"), &content);
            assert_eq!(third, may, "{invite} {version}");
        }
        for (membership, may) in
            [("leave", true), ("knock", true), ("invite", true), ("join", false), ("ban", false)]
        {
            room.membership(CAROL, membership);
            assert_eq!(room.may_set_member(ALICE, CAROL, "invite"), may, "{membership} {version}");
        }
        room.membership(BOB, "leave");
        assert!(!room.may_set_member(BOB, EVE, "invite"), "{version}");
        let content = json!({"display_name": "c", "public_key": "x", "key_validity_url": "x"});
        assert!(!room.may(BOB, "m.room.third_party_invite", Some("token"), &content), "{version}");
    });
}

#[test]
fn invitations_by_third_parties_are_signed() {
    let key = Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "1".to_owned()).unwrap();
    let public = Base64::<Standard, _>::new(key.public_key()).encode();
    let signed = |mxid: &str, token: &str| -> Value {
        let object = json!({"mxid": mxid, "token": token});
        let mut object: CanonicalJsonObject = serde_json::from_value(object).unwrap();
        sign_json("id.example", &key, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    };
    each_version(|version, mut room| {
        let invite = |room: &Room, sender: &str, signed: &Value| {
            let third = json!({"display_name": "c", "signed": signed});
            let content = json!({"membership": "invite", "third_party_invite": third});
            room.may(sender, "m.room.member", Some(CAROL), &content)
        };
        let good = signed(CAROL, "token");
        assert!(!invite(&room, ALICE, &good), "nobody was asked, {version}");
        let asked = json!({"display_name": "c", "key_validity_url": "x", "public_key": public});
        room.set("m.room.third_party_invite", "token", ALICE, &asked);
        assert!(invite(&room, ALICE, &good), "{version}");
        assert!(!invite(&room, BOB, &good), "another asked, {version}");
        assert!(!invite(&room, ALICE, &signed(BOB, "token")), "somebody else, {version}");
        assert!(!invite(&room, ALICE, &signed(CAROL, "other")), "another token, {version}");
        assert!(!invite(&room, ALICE, &json!({"mxid": CAROL, "token": "token"})), "{version}");
        assert!(!invite(&room, ALICE, &json!({"mxid": CAROL})), "{version}");
        let mut forged = good.clone();
        forged["signatures"] = signed(CAROL, "x")["signatures"].clone();
        assert!(!invite(&room, ALICE, &forged), "{version}");
        let other = json!({"display_name": "c", "key_validity_url": "x", "public_key": "AAAA",
                           "public_keys": [{"public_key": public}]});
        room.set("m.room.third_party_invite", "token", ALICE, &other);
        assert!(invite(&room, ALICE, &good), "one of several keys, {version}");
        room.membership(CAROL, "ban");
        assert!(!invite(&room, ALICE, &good), "{version}");
    });
}

#[test]
fn the_first_power_levels_may_say_anything() {
    each_version(|version, room| {
        let users = users(version, &[(ALICE, 100), (BOB, 1000)]);
        let content = json!({"users": users, "ban": 2000, "events": {"x": 3000}});
        assert!(room.may_levels(ALICE, &content), "{version}");
        assert!(!room.may_levels(BOB, &content), "who may not send state, {version}");
    });
}

#[test]
fn power_levels_have_the_form_of_their_version() {
    each_version(|version, room| {
        let strict = version >= RoomVersion::V10;
        for (content, case) in [
            (json!({"users": {"bob": 1}}), "no user id"),
            (json!({"users": []}), "no map"),
            (json!({"users": {BOB: null}}), "null"),
            (json!({"ban": {}}), "an object"),
        ] {
            assert!(!room.may_levels(ALICE, &content), "{case} in {version}");
        }
        for content in [
            json!({"users": {BOB: " 50 "}}),
            json!({"users_default": "1"}),
            json!({"events": {"m.room.name": "1"}}),
            json!({"notifications": {"room": "1"}}),
        ] {
            assert_eq!(room.may_levels(ALICE, &content), !strict, "{content} in {version}");
        }
    });
}

#[test]
fn no_level_is_moved_from_or_to_above_ones_own() {
    let plain =
        ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];
    each_version(|version, mut room| {
        let base = |room: &mut Room, key: &str, inner: Option<&str>, level: Option<i64>| {
            let users = users(version, &[(ALICE, 100), (BOB, 50)]);
            let mut content = json!({"users": users, "events": {"m.room.power_levels": 50}});
            match (inner, level) {
                (None, Some(level)) => content[key] = level.into(),
                (Some(inner), Some(level)) => content[key][inner] = level.into(),
                (_, None) => {}
            }
            room.levels(&content);
            content
        };
        let inner = [("events", "m.room.name"), ("notifications", "room")];
        let keys = plain.iter().map(|key| (*key, None));
        for (key, inner) in keys.chain(inner.map(|(key, inner)| (key, Some(inner)))) {
            for (from, to, may) in [
                (Some(50), Some(10), true),
                (Some(10), Some(50), true),
                (Some(10), Some(51), false),
                (Some(51), Some(10), false),
                (Some(51), Some(51), true),
                (None, Some(50), true),
                (None, Some(51), false),
                (Some(50), None, true),
                (Some(51), None, false),
            ] {
                let wanted = base(&mut room, key, inner, to);
                base(&mut room, key, inner, from);
                let case = format!("{key} {inner:?} from {from:?} to {to:?} in {version}");
                assert_eq!(room.may_levels(BOB, &wanted), may, "{case}");
            }
        }
    });
}

#[test]
fn no_user_is_moved_from_or_to_above_ones_own() {
    each_version(|version, mut room| {
        room.membership(CAROL, "join");
        for (from, to, may) in [
            (Some(49), Some(50), true),
            (Some(49), Some(51), false),
            (Some(50), Some(49), false),
            (Some(51), Some(49), false),
            (Some(50), Some(50), true),
            (None, Some(50), true),
            (None, Some(51), false),
            (Some(49), None, true),
            (Some(50), None, false),
        ] {
            let content = |level: Option<i64>| {
                let mut levels = vec![(ALICE, 100), (BOB, 50)];
                levels.extend(level.map(|level| (CAROL, level)));
                json!({"users": users(version, &levels)})
            };
            room.levels(&content(from));
            let case = format!("Carol from {from:?} to {to:?} in {version}");
            assert_eq!(room.may_levels(BOB, &content(to)), may, "{case}");
        }
        // Oneself one may lower, not raise, and leave out.
        room.levels(&json!({"users": users(version, &[(ALICE, 100), (BOB, 50)])}));
        for (to, may) in [(Some(49), true), (Some(51), false), (None, true)] {
            let mut levels = vec![(ALICE, 100)];
            levels.extend(to.map(|level| (BOB, level)));
            let content = json!({"users": users(version, &levels)});
            assert_eq!(room.may_levels(BOB, &content), may, "Bob to {to:?} in {version}");
        }
    });
}

#[test]
fn nothing_is_special_about_aliases_and_redactions() {
    each_version(|version, mut room| {
        room.levels(&json!({"users": users(version, &[(BOB, 50)])}));
        let aliases = json!({"aliases": []});
        assert!(room.may(BOB, "m.room.aliases", Some("there"), &aliases), "{version}");
        assert!(!room.may(EVE, "m.room.aliases", Some("there"), &aliases), "{version}");
        room.membership(CAROL, "join");
        assert!(!room.may(CAROL, "m.room.aliases", Some("here"), &aliases), "{version}");
        // Whether it takes effect is another question; see `may_redact`.
        let redaction = json!({"redacts": "$x"});
        assert!(room.may(CAROL, "m.room.redaction", None, &redaction), "{version}");
        room.levels(&json!({"events": {"m.room.redaction": 1}}));
        assert!(!room.may(CAROL, "m.room.redaction", None, &redaction), "{version}");
    });
}

#[test]
fn a_room_without_a_beginning_takes_nothing() {
    each_version(|version, mut room| {
        room.state.remove(&("m.room.create".to_owned(), String::new()));
        let message = room.event("m.room.message", None, BOB, &json!({}));
        assert!(room.check(&message).is_err(), "{version}");
    });
}
