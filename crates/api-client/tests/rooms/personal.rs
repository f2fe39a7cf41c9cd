//! What users keep of rooms for themselves, and whom they ignore.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, ids};

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn tags_and_account_data_of_a_room_are_ones_own(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({})).await;
    let base = format!("/v3/user/{}/rooms/{room}", alice.user);
    let tags = format!("{base}/tags");
    assert_eq!(alice.get(&tags).await, json!({ "tags": {} }));
    alice.put(&format!("{tags}/m.favourite"), json!({ "order": 0.25 })).await;
    alice.put(&format!("{tags}/u.work"), json!({})).await;
    let both = json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.work": {} } });
    assert_eq!(alice.get(&tags).await, both);
    let data = format!("{base}/account_data");
    assert_eq!(alice.get(&format!("{data}/m.tag")).await, both);
    alice.delete(&format!("{tags}/u.work")).await;
    alice.delete(&format!("{tags}/u.none")).await;
    assert_eq!(alice.get(&tags).await["tags"].as_object().unwrap().len(), 1);
    assert_eq!(bob.refused(Method::GET, &tags, Json::Null).await.0, 403);

    alice.put(&format!("{data}/org.example"), json!({ "a": [1] })).await;
    assert_eq!(alice.get(&format!("{data}/org.example")).await, json!({ "a": [1] }));
    let (status, code) = alice.refused(Method::GET, &format!("{data}/org.none"), Json::Null).await;
    assert_eq!((status, &*code), (404, "M_NOT_FOUND"));
    let (status, _) = alice.refused(Method::PUT, &format!("{data}/m.fully_read"), json!({})).await;
    assert_eq!(status, 405);
    alice.put(&format!("{data}/m.tag"), json!({ "tags": 5 })).await;
    assert_eq!(alice.get(&tags).await, json!({ "tags": {} }));
    alice.put(&format!("{tags}/u.again"), json!({})).await;
    assert_eq!(alice.get(&tags).await, json!({ "tags": { "u.again": {} } }));
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn sync_shows_nothing_of_those_one_ignores(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let invite = json!({ "invite": [bob.user], "name": "come" });
    let unwelcome = alice.create(invite).await;
    let first = bob.get("/v3/sync").await;
    assert!(first["rooms"]["invite"].get(&unwelcome).is_some(), "{first}");

    bob.ignore(&[&alice.user]).await;
    let since = bob.get("/v3/sync").await["next_batch"].as_str().unwrap().to_owned();
    alice.say(&room, "unheard").await;
    let own = bob.say(&room, "heard").await;
    let topic = alice.state(&room, "m.room.topic", "", json!({ "topic": "t" })).await;
    let other = alice.create(json!({ "invite": [bob.user] })).await;
    for path in ["/v3/sync".to_owned(), format!("/v3/sync?since={since}")] {
        let answer = bob.get(&path).await;
        let rooms = &answer["rooms"];
        assert!(rooms.get("invite").is_none_or(|invites| invites == &json!({})), "{answer}");
        let shown = ids(&rooms["join"][&room]["timeline"]["events"]);
        assert_eq!(&shown[shown.len() - 2..], [&*own, &*topic], "{answer}");
        let all = answer.to_string();
        assert!(!all.contains("unheard") && !all.contains(&other));
    }
    let body = json!({ "lists": { "all": {
        "ranges": [[0, 9]], "required_state": [], "timeline_limit": 3 } } });
    let path = "/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let answer = bob.post(path, body).await;
    assert_eq!(answer["lists"]["all"]["count"], 1, "{answer}");
    assert!(!answer.to_string().contains("unheard"));
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn sync_bundles_edits_of_what_it_shows(db: TestDb) {
    let server = Server::start(db).await;
    let alice = server.register("alice").await;
    let room = alice.create(json!({})).await;
    let said = alice.say(&room, "helo").await;
    let content = json!({
        "msgtype": "m.text", "body": "* hello", "m.new_content": { "body": "hello" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": said } });
    let edit = alice.send(&room, "m.room.message", content).await;
    for path in [
        "/v3/sync".to_owned(),
        r#"/v3/sync?filter={"room":{"timeline":{"limit":2}}}"#.replace('{', "%7B").replace('}', "%7D").replace('"', "%22"),
    ] {
        let answer = alice.get(&path).await;
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap();
        let shown = events.iter().find(|event| event["event_id"] == json!(said)).unwrap();
        let replace = &shown["unsigned"]["m.relations"]["m.replace"];
        assert_eq!(replace["event_id"], json!(edit), "{answer}");
        assert!(shown["unsigned"].get("transaction_id").is_some(), "{shown}");
    }
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn what_was_redacted_is_shown_nowhere(db: TestDb) {
    let server = Server::start(db).await;
    let mina = server.register("mina").await;
    let room = mina.create(json!({"name": "Old name"})).await;
    let said = mina.say(&room, "a secret").await;
    let topic = mina.state(&room, "m.room.topic", "", json!({"topic": "a secret"})).await;
    mina.state(&room, "m.room.topic", "", json!({"topic": "harmless"})).await;
    // Memory now has them as clients see them.
    assert!(mina.get("/v3/sync").await.to_string().contains("secret"));

    mina.redact(&room, &said).await;
    mina.redact(&room, &topic).await;

    let path = format!("/v3/rooms/{room}");
    for path in [
        "/v3/sync".to_owned(),
        format!("{path}/messages?dir=b&limit=100"),
        format!("{path}/context/{said}"),
        format!("{path}/event/{topic}"),
    ] {
        let page = mina.get(&path).await.to_string();
        assert!(!page.contains("secret"), "{path}: {page}");
        assert!(page.contains("redacted_because"), "{path}: {page}");
    }
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn a_new_name_is_seen_in_all_rooms(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut rooms = Vec::new();
    for _ in 0..20 {
        let room = alice.create(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        rooms.push(room);
    }
    let left = rooms.pop().unwrap();
    bob.post(&format!("/v3/rooms/{left}/leave"), json!({})).await;
    let profile = format!("/v3/profile/{}", bob.user);
    bob.put(&format!("{profile}/displayname"), json!({ "displayname": "Bobby" })).await;
    let avatar = json!({ "avatar_url": "mxc://haechi.example/b" });
    bob.put(&format!("{profile}/avatar_url"), avatar).await;
    let member = async |room: &str| {
        alice.get(&format!("/v3/rooms/{room}/state/m.room.member/{}", bob.user)).await
    };
    for room in &rooms {
        let content = member(room).await;
        assert_eq!(content["displayname"], "Bobby");
        assert_eq!(content["avatar_url"], "mxc://haechi.example/b");
        assert_eq!(content["membership"], "join");
    }
    assert_eq!(member(&left).await["membership"], "leave");
    bob.delete(&format!("{profile}/displayname")).await;
    assert_eq!(member(&rooms[0]).await.get("displayname"), None);
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn who_closes_the_account_leaves_all_rooms(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let joined = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&joined).await;
    let invited = alice.create(json!({ "invite": [bob.user] })).await;
    let auth = json!({
        "type": "m.login.password", "password": "correct horse",
        "identifier": { "type": "m.id.user", "user": bob.user } });
    bob.post("/v3/account/deactivate", json!({ "auth": auth })).await;
    for room in [joined, invited] {
        let path = format!("/v3/rooms/{room}/state/m.room.member/{}", bob.user);
        assert_eq!(alice.get(&path).await["membership"], "leave");
    }
}
