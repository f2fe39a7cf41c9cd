//! Aliases, the public directory, spaces.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::{Value as Json, json};

use crate::server::{Client, Server};

fn room_ids(list: &Json) -> Vec<&str> {
    let rooms = list.as_array().unwrap();
    rooms.iter().map(|room| room["room_id"].as_str().unwrap()).collect()
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn an_alias_leads_to_one_room_until_it_is_taken_away(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    let path = "/v3/directory/room/#den:haechi.example";
    assert_eq!(server.anybody(path).await.0, 404);
    let body = json!({ "room_id": room });
    let (status, code) = bob.refused(Method::PUT, path, body.clone()).await;
    assert_eq!((status, &*code), (403, "M_FORBIDDEN"), "not in the room");
    alice.put(path, body.clone()).await;
    assert_eq!(server.anybody(path).await.1["room_id"], json!(room));
    let (status, code) = alice.refused(Method::PUT, path, body.clone()).await;
    assert_eq!((status, &*code), (409, "M_UNKNOWN"));
    let elsewhere = "/v3/directory/room/#den:else.example";
    let (status, code) = alice.refused(Method::PUT, elsewhere, body).await;
    assert_eq!((status, &*code), (400, "M_INVALID_PARAM"));

    let state = format!("/v3/rooms/{room}/state/m.room.canonical_alias/");
    for (alias, refused) in [
        ("#other:haechi.example", "M_BAD_ALIAS"),
        ("#den:else.example", "M_BAD_ALIAS"),
        ("den", "M_INVALID_PARAM"),
    ] {
        let content = json!({ "alt_aliases": [alias] });
        let (status, code) = alice.refused(Method::PUT, &state, content).await;
        assert_eq!((status, &*code), (400, refused), "{alias}");
    }
    let content = json!({ "alias": "#den:haechi.example", "alt_aliases": ["#den:haechi.example"] });
    alice.put(&state, content).await;
    bob.join("#den:haechi.example").await;
    let list = bob.get(&format!("/v3/rooms/{room}/aliases")).await;
    assert_eq!(list["aliases"], json!(["#den:haechi.example"]));

    let (status, _) = bob.refused(Method::DELETE, path, Json::Null).await;
    assert_eq!(status, 403);
    alice.delete(path).await;
    assert_eq!(server.anybody(path).await.0, 404);
    let left = alice.get(&state).await;
    assert_eq!(left, json!({ "alt_aliases": [] }), "the state no longer names it");
    let (status, _) = alice.refused(Method::DELETE, path, Json::Null).await;
    assert_eq!(status, 404);
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn published_rooms_are_found_the_fullest_first(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let public =
        |name: &str| json!({ "preset": "public_chat", "visibility": "public", "name": name });
    let small = alice.create(public("Small talk")).await;
    let large = alice.create(public("Large TALK")).await;
    let mut space = public("Space");
    space["creation_content"] = json!({ "type": "m.space" });
    let space = alice.create(space).await;
    let secret = alice.create(json!({ "name": "secret talk" })).await;
    bob.join(&large).await;

    let (status, all) = server.anybody("/v3/publicRooms").await;
    assert_eq!(status, 200);
    assert_eq!(room_ids(&all["chunk"]), [&*large, &*small, &*space]);
    assert_eq!(all["total_room_count_estimate"], 3);
    assert_eq!((&all["chunk"][0]["num_joined_members"], all.get("next_batch")), (&json!(2), None));

    let (_, first) = server.anybody("/v3/publicRooms?limit=2").await;
    let next = first["next_batch"].as_str().unwrap();
    let (_, second) = server.anybody(&format!("/v3/publicRooms?limit=2&since={next}")).await;
    assert_eq!(room_ids(&second["chunk"]), [&*space]);
    let back = second["prev_batch"].as_str().unwrap();
    let (_, again) = server.anybody(&format!("/v3/publicRooms?limit=2&since={back}")).await;
    assert_eq!(room_ids(&again["chunk"]), [&*large, &*small]);

    let find = async |filter: Json| bob.post("/v3/publicRooms", json!({ "filter": filter })).await;
    let found = find(json!({ "generic_search_term": "talk" })).await;
    assert_eq!(room_ids(&found["chunk"]), [&*large, &*small]);
    let found = find(json!({ "room_types": ["m.space"] })).await;
    assert_eq!(room_ids(&found["chunk"]), [&*space]);
    let found = find(json!({ "room_types": [null], "generic_search_term": "small" })).await;
    assert_eq!(room_ids(&found["chunk"]), [&*small]);

    // After a start nothing of it is in memory.
    server.rooms.mark_stale();
    let found = find(json!({ "generic_search_term": "large" })).await;
    assert_eq!(room_ids(&found["chunk"]), [&*large]);

    let listing = format!("/v3/directory/list/room/{large}");
    let body = json!({ "visibility": "private" });
    assert_eq!(bob.refused(Method::PUT, &listing, body.clone()).await.0, 403);
    alice.put(&listing, body).await;
    assert_eq!(server.anybody(&listing).await.1["visibility"], "private");
    let (_, all) = server.anybody("/v3/publicRooms").await;
    assert_eq!(room_ids(&all["chunk"]), [&*small, &*space]);
    assert!(!room_ids(&all["chunk"]).contains(&&*secret));
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn a_summary_is_for_those_who_could_come_in(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let open = alice
        .create(json!({ "preset": "public_chat", "name": "Open", "room_alias_name": "open" }))
        .await;
    let shut = alice.create(json!({ "preset": "private_chat", "name": "Shut" })).await;
    for path in [format!("/v1/room_summary/{open}"), "/v1/room_summary/#open:haechi.example".into()]
    {
        let (status, summary) = server.anybody(&path).await;
        assert_eq!((status, &summary["name"]), (200, &json!("Open")));
        assert_eq!(summary.get("membership"), None);
        assert_eq!(summary["room_version"], "12");
    }
    assert_eq!(bob.get(&format!("/v1/room_summary/{open}")).await["membership"], "leave");
    let path = format!("/v1/room_summary/{shut}");
    assert_eq!(server.anybody(&path).await.0, 404);
    let (status, code) = bob.refused(Method::GET, &path, Json::Null).await;
    assert_eq!((status, &*code), (404, "M_NOT_FOUND"));
    alice.post(&format!("/v3/rooms/{shut}/invite"), json!({ "user_id": bob.user })).await;
    let summary = bob.get(&path).await;
    assert_eq!(
        (&summary["membership"], &summary["join_rule"]),
        (&json!("invite"), &json!("invite"))
    );
    let old = bob.get(&format!("/unstable/im.nheko.summary/rooms/{shut}/summary")).await;
    assert_eq!(old, summary);
}

async fn space(by: &Client<'_>, name: &str) -> String {
    by.create(json!({
        "preset": "public_chat", "name": name, "creation_content": { "type": "m.space" } }))
        .await
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn a_space_is_walked_depth_first_in_its_own_order(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let top = space(&alice, "top").await;
    let inner = space(&alice, "inner").await;
    let open = alice.create(json!({ "preset": "public_chat" })).await;
    let deep = alice.create(json!({ "preset": "public_chat" })).await;
    let shut = alice.create(json!({ "preset": "private_chat" })).await;
    let gone = alice.create(json!({ "preset": "public_chat" })).await;
    let via = json!(["haechi.example"]);
    let child = async |of: &str, room: &str, content: Json| {
        alice.state(of, "m.space.child", room, content).await;
    };
    child(&top, &open, json!({ "via": via })).await;
    child(&top, &shut, json!({ "via": via })).await;
    child(&top, &gone, json!({})).await;
    child(&top, &inner, json!({ "via": via, "order": "a", "suggested": true })).await;
    child(&inner, &deep, json!({ "via": via, "suggested": true })).await;
    // A circle must not be walked for ever.
    child(&inner, &top, json!({ "via": via })).await;

    let path = format!("/v1/rooms/{top}/hierarchy");
    let all = bob.get(&path).await;
    assert_eq!(room_ids(&all["rooms"]), [&*top, &*inner, &*deep, &*open]);
    let named: Vec<&Json> = all["rooms"][0]["children_state"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["state_key"])
        .collect();
    assert_eq!(named, [&json!(inner), &json!(open), &json!(shut)]);
    assert!(all["rooms"][0]["children_state"][0]["origin_server_ts"].is_i64());
    assert_eq!(room_ids(&alice.get(&path).await["rooms"]).len(), 5, "its members see all");

    let some = bob.get(&format!("{path}?suggested_only=true")).await;
    assert_eq!(room_ids(&some["rooms"]), [&*top, &*inner, &*deep]);
    let some = bob.get(&format!("{path}?max_depth=1")).await;
    assert_eq!(room_ids(&some["rooms"]), [&*top, &*inner, &*open]);

    let first = bob.get(&format!("{path}?limit=3")).await;
    let next = first["next_batch"].as_str().unwrap();
    let second = bob.get(&format!("{path}?limit=3&from={next}")).await;
    assert_eq!((room_ids(&second["rooms"]), second.get("next_batch")), (vec![&*open], None));
    let changed = format!("{path}?max_depth=1&from={next}");
    assert_eq!(bob.refused(Method::GET, &changed, Json::Null).await.0, 400);
    let path = format!("/v1/rooms/{shut}/hierarchy");
    assert_eq!(bob.refused(Method::GET, &path, Json::Null).await.0, 403);
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn rooms_in_common_are_those_both_have_joined(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let both = alice.create(json!({ "preset": "public_chat" })).await;
    let _own = alice.create(json!({})).await;
    let left = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&both).await;
    bob.join(&left).await;
    bob.post(&format!("/v3/rooms/{left}/leave"), json!({})).await;
    let path = format!("/v1/mutual_rooms?user_id={}", bob.user);
    assert_eq!(alice.get(&path).await, json!({ "joined": [both], "count": 1 }));
    let (status, code) = bob.refused(Method::GET, &path, Json::Null).await;
    assert_eq!((status, &*code), (400, "M_INVALID_PARAM"));
    let path = "/v1/mutual_rooms?user_id=@nobody:haechi.example";
    assert_eq!(alice.get(path).await, json!({ "joined": [], "count": 0 }));
}
