//! Moving to a room of another version.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::{Value as Json, json};

use crate::server::{Client, Server};

async fn state(by: &Client<'_>, room: &str, kind: &str) -> Json {
    let path = format!("/v3/rooms/{room}/state/{kind}/");
    by.ask(Method::GET, &path, Json::Null).await.1
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn the_new_room_takes_over_names_state_and_bans(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let old = alice
        .create(json!({
            "preset": "public_chat", "visibility": "public", "name": "Den", "topic": "t",
            "room_version": "10", "room_alias_name": "den",
            "power_level_content_override": { "users": { alice.user.clone(): 100, bob.user.clone(): 50 } },
            "initial_state": [{ "type": "m.room.history_visibility", "content": {
                "history_visibility": "joined" } }],
        }))
        .await;
    bob.join(&old).await;
    let mallory = json!({ "user_id": "@mallory:haechi.example", "reason": "spam" });
    alice.post(&format!("/v3/rooms/{old}/ban"), mallory).await;
    let path = format!("/v3/rooms/{old}/upgrade");
    let wanted = json!({ "new_version": "12" });
    let (status, code) = bob.refused(Method::POST, &path, wanted.clone()).await;
    assert_eq!((status, &*code), (403, "M_FORBIDDEN"));
    let (status, code) = alice.refused(Method::POST, &path, json!({ "new_version": "99" })).await;
    assert_eq!((status, &*code), (400, "M_UNSUPPORTED_ROOM_VERSION"));

    let new = alice.post(&path, wanted).await["replacement_room"].as_str().unwrap().to_owned();
    assert_eq!(state(&alice, &old, "m.room.tombstone").await["replacement_room"], json!(new));
    let create = state(&alice, &new, "m.room.create").await;
    assert_eq!(create["predecessor"]["room_id"], json!(old));
    assert_eq!(create["room_version"], "12");
    for (kind, field, value) in [
        ("m.room.name", "name", "Den"),
        ("m.room.topic", "topic", "t"),
        ("m.room.join_rules", "join_rule", "public"),
        ("m.room.history_visibility", "history_visibility", "joined"),
        ("m.room.canonical_alias", "alias", "#den:haechi.example"),
    ] {
        assert_eq!(state(&alice, &new, kind).await[field], value, "{kind}");
    }
    let levels = state(&alice, &new, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({ bob.user.clone(): 50 }), "creators are not named");
    let ban =
        alice.get(&format!("/v3/rooms/{new}/state/m.room.member/@mallory:haechi.example")).await;
    assert_eq!((&ban["membership"], &ban["reason"]), (&json!("ban"), &json!("spam")));

    let (_, found) = server.anybody("/v3/directory/room/#den:haechi.example").await;
    assert_eq!(found["room_id"], json!(new));
    let (_, list) = server.anybody("/v3/publicRooms").await;
    assert_eq!(
        (list["chunk"].as_array().unwrap().len(), &list["chunk"][0]["room_id"]),
        (1, &json!(new))
    );
    let levels = state(&alice, &old, "m.room.power_levels").await;
    assert_eq!((&levels["events_default"], &levels["invite"]), (&json!(50), &json!(50)));
    bob.join("#den:haechi.example").await;
    bob.say(&new, "here now").await;
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn who_upgrades_has_no_more_power_afterwards_than_before(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let old = alice
        .create(json!({
            "preset": "public_chat", "room_version": "12",
            "creation_content": { "additional_creators": [], "type": "m.space" },
            "power_level_content_override": {
                "users": { bob.user.clone(): 50 },
                "events": { "m.room.tombstone": 50, "m.room.name": 90 } },
            "name": "Space",
        }))
        .await;
    let child = json!({ "via": ["haechi.example"] });
    alice.state(&old, "m.space.child", "!child:haechi.example", child.clone()).await;
    bob.join(&old).await;
    let path = format!("/v3/rooms/{old}/upgrade");
    let answer = bob.post(&path, json!({ "new_version": "11" })).await;
    let new = answer["replacement_room"].as_str().unwrap().to_owned();
    let levels = state(&bob, &new, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({ alice.user.clone(): 100, bob.user.clone(): 50 }));
    assert_eq!(state(&bob, &new, "m.room.name").await["name"], "Space");
    assert_eq!(state(&bob, &new, "m.room.create").await["type"], "m.space");
    let path = format!("/v3/rooms/{new}/state/m.space.child/!child:haechi.example");
    assert_eq!(bob.get(&path).await, child);
    let creators = json!({ "new_version": "12", "additional_creators": [bob.user] });
    let answer = alice.post(&format!("/v3/rooms/{old}/upgrade"), creators).await;
    let newest = answer["replacement_room"].as_str().unwrap();
    let create = state(&alice, newest, "m.room.create").await;
    assert_eq!(create["additional_creators"], json!([bob.user]));
    assert_eq!(state(&alice, newest, "m.room.power_levels").await["users"], json!({}));
}
