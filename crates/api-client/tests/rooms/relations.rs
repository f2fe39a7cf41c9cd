//! Edits, threads, references.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::{Value as Json, json};

use crate::server::{Client, Server, ids};

async fn relate(by: &Client<'_>, room: &str, to: &str, rel_type: &str, text: &str) -> String {
    let content = json!({
        "msgtype": "m.text", "body": format!("* {text}"),
        "m.new_content": { "msgtype": "m.text", "body": text },
        "m.relates_to": { "rel_type": rel_type, "event_id": to },
    });
    by.send(room, "m.room.message", content).await
}

async fn event(by: &Client<'_>, room: &str, event: &str) -> Json {
    by.get(&format!("/v3/rooms/{room}/event/{event}")).await
}

/// Messages until memory no longer reaches back to what was before.
async fn flood(by: &Client<'_>, room: &str) {
    for number in 0..70 {
        by.say(room, &format!("{number}")).await;
    }
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn the_latest_edit_by_the_author_is_bundled(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let said = alice.say(&room, "helo").await;
    let other = alice.say(&room, "other").await;
    relate(&alice, &room, &said, "m.replace", "hello").await;
    let second = relate(&alice, &room, &said, "m.replace", "hello!").await;
    relate(&bob, &room, &said, "m.replace", "forged").await;
    for _ in 0..2 {
        let shown = event(&bob, &room, &said).await;
        let replace = &shown["unsigned"]["m.relations"]["m.replace"];
        assert_eq!(replace["event_id"], json!(second), "{shown}");
        assert_eq!(replace["content"]["m.new_content"]["body"], "hello!");
        assert_eq!(shown["content"]["body"], "helo", "the original stays");
        assert_eq!(event(&bob, &room, &other).await["unsigned"]["m.relations"], Json::Null);
        flood(&alice, &room).await;
    }
    alice.redact(&room, &second).await;
    let shown = event(&bob, &room, &said).await;
    let edit = &shown["unsigned"]["m.relations"]["m.replace"]["content"]["m.new_content"]["body"];
    assert_eq!(edit, "hello");
    alice.redact(&room, &said).await;
    let shown = event(&bob, &room, &said).await;
    assert_eq!(shown["unsigned"]["m.relations"]["m.replace"], Json::Null, "{shown}");
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn a_thread_is_counted_without_those_one_ignores(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    carol.join(&room).await;
    let root = alice.say(&room, "root").await;
    let first = relate(&bob, &room, &root, "m.thread", "one").await;
    let second = relate(&alice, &room, &root, "m.thread", "two").await;
    let edit = relate(&alice, &room, &second, "m.replace", "2").await;
    let thread = |shown: Json| shown["unsigned"]["m.relations"]["m.thread"].clone();
    let seen = thread(event(&carol, &room, &root).await);
    assert_eq!(seen["count"], 2, "{seen}");
    assert_eq!(seen["current_user_participated"], false);
    assert_eq!(seen["latest_event"]["event_id"], json!(second));
    let latest = &seen["latest_event"]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(latest["event_id"], json!(edit));
    assert_eq!(thread(event(&bob, &room, &root).await)["current_user_participated"], true);

    carol.ignore(&[&bob.user, &alice.user]).await;
    let list = carol.get(&format!("/v1/rooms/{room}/threads")).await;
    assert_eq!(list["chunk"], json!([]), "nothing of it is left");
    carol.ignore(&[&alice.user]).await;
    let list = carol.get(&format!("/v1/rooms/{room}/threads")).await;
    let shown = &list["chunk"][0];
    assert_eq!((&shown["event_id"], &shown["content"]), (&json!(root), &json!({})), "{list}");
    let seen = thread(shown.clone());
    assert_eq!((&seen["count"], &seen["latest_event"]["event_id"]), (&json!(1), &json!(first)));
    carol.ignore(&[]).await;

    alice.redact(&room, &second).await;
    let seen = thread(event(&carol, &room, &root).await);
    assert_eq!((&seen["count"], &seen["latest_event"]["event_id"]), (&json!(1), &json!(first)));
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn threads_are_listed_by_their_newest_event(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let mut roots = Vec::new();
    for number in 0..3 {
        roots.push(alice.say(&room, &format!("{number}")).await);
    }
    for root in &roots {
        relate(&alice, &room, root, "m.thread", "reply").await;
    }
    relate(&bob, &room, &roots[0], "m.thread", "again").await;
    let path = format!("/v1/rooms/{room}/threads");
    let all = bob.get(&path).await;
    assert_eq!(ids(&all["chunk"]), [&*roots[0], &*roots[2], &*roots[1]]);
    assert_eq!(all.get("next_batch"), None);
    let page = bob.get(&format!("{path}?limit=2")).await;
    assert_eq!(ids(&page["chunk"]), [&*roots[0], &*roots[2]]);
    let next = page["next_batch"].as_str().unwrap();
    let page = bob.get(&format!("{path}?limit=2&from={next}")).await;
    assert_eq!(ids(&page["chunk"]), [&*roots[1]]);
    let own = bob.get(&format!("{path}?include=participated")).await;
    assert_eq!(ids(&own["chunk"]), [&*roots[0]]);
    let (status, code) = bob.refused(Method::GET, &format!("{path}?from=x"), Json::Null).await;
    assert_eq!((status, &*code), (400, "M_INVALID_PARAM"));
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn what_refers_to_an_event_is_paged_through(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let root = alice.say(&room, "poll").await;
    let one = relate(&alice, &room, &root, "m.reference", "a").await;
    let two = relate(&bob, &room, &root, "m.reference", "b").await;
    let reaction = json!({
        "m.relates_to": { "rel_type": "m.annotation", "event_id": two, "key": "👍" } });
    let like = alice.send(&room, "m.reaction", reaction).await;
    let thread = relate(&alice, &room, &root, "m.thread", "c").await;
    let path = format!("/v1/rooms/{room}/relations/{root}");
    let all = bob.get(&path).await;
    assert_eq!(ids(&all["chunk"]), [&*thread, &*two, &*one]);
    assert_eq!(all.get("next_batch"), None);
    let some = bob.get(&format!("{path}/m.reference?dir=f")).await;
    assert_eq!(ids(&some["chunk"]), [&*one, &*two]);
    let none = bob.get(&format!("{path}/m.reference/m.reaction")).await;
    assert_eq!(none["chunk"], json!([]));
    let deep = bob.get(&format!("{path}?recurse=true")).await;
    assert_eq!(ids(&deep["chunk"]), [&*thread, &*like, &*two, &*one]);
    assert_eq!(deep["recursion_depth"], 3);
    let deep = bob.get(&format!("{path}/m.annotation/m.reaction?recurse=true")).await;
    assert_eq!(ids(&deep["chunk"]), [&*like]);

    let mut seen = Vec::new();
    let mut from = String::new();
    loop {
        let page = bob.get(&format!("{path}?limit=1{from}")).await;
        seen.extend(ids(&page["chunk"]));
        let Some(next) = page["next_batch"].as_str() else { break };
        from = format!("&from={next}");
    }
    assert_eq!(seen, [&*thread, &*two, &*one]);

    let shown = event(&bob, &room, &root).await;
    let chunk = &shown["unsigned"]["m.relations"]["m.reference"]["chunk"];
    assert_eq!(chunk, &json!([{ "event_id": one }, { "event_id": two }]));
    bob.ignore(&[&alice.user]).await;
    assert_eq!(ids(&bob.get(&path).await["chunk"]), [&*two]);
    let messages = bob.get(&format!("/v3/rooms/{room}/messages?dir=f&limit=100")).await;
    let shown = messages["chunk"].as_array().unwrap();
    let by_alice: Vec<&Json> =
        shown.iter().filter(|event| event["sender"] == json!(alice.user)).collect();
    assert!(!by_alice.is_empty() && by_alice.iter().all(|event| event.get("state_key").is_some()));

    let stranger = server.register("mallory").await;
    let (status, _) = stranger.refused(Method::GET, &path, Json::Null).await;
    assert_eq!(status, 404, "public history may be read only by members");
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn what_comes_after_a_leave_is_not_bundled(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let said = alice.say(&room, "helo").await;
    let early = relate(&alice, &room, &said, "m.replace", "hello").await;
    relate(&alice, &room, &said, "m.thread", "in time").await;
    bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await;
    relate(&alice, &room, &said, "m.replace", "secret").await;
    relate(&alice, &room, &said, "m.thread", "too late").await;
    let relations = event(&bob, &room, &said).await["unsigned"]["m.relations"].clone();
    assert_eq!(relations["m.replace"]["event_id"], json!(early));
    assert_eq!(relations["m.thread"]["count"], 1, "{relations}");
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn one_reacts_in_one_way_only_once(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    let said = alice.say(&room, "hello").await;
    let reaction = |key: &str| {
        let relation = json!({ "rel_type": "m.annotation", "event_id": said, "key": key });
        json!({ "m.relates_to": relation })
    };
    let path = |txn: &str| format!("/v3/rooms/{room}/send/m.reaction/{txn}");
    let first = alice.put(&path("t1"), reaction("👍")).await;
    let again = alice.refused(Method::PUT, &path("t2"), reaction("👍")).await;
    assert_eq!(again, (400, "M_DUPLICATE_ANNOTATION".to_owned()));
    assert_eq!(alice.put(&path("t1"), reaction("👍")).await, first, "asked again, not done again");
    alice.put(&path("t3"), reaction("👎")).await;
    bob.put(&path("t1"), reaction("👍")).await;
    alice.redact(&room, first["event_id"].as_str().unwrap()).await;
    alice.put(&path("t4"), reaction("👍")).await;
}
