//! Finding messages by their words.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::{Value as Json, json};

use crate::server::{Client, Server};

async fn find(by: &Client<'_>, criteria: Json) -> Json {
    let body = json!({ "search_categories": { "room_events": criteria } });
    let answer = by.post("/v3/search", body).await;
    answer["search_categories"]["room_events"].clone()
}

fn found(answer: &Json) -> Vec<&str> {
    let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results.iter().map(|one| one["result"]["event_id"].as_str().unwrap()).collect()
}

fn recent(term: &str) -> Json {
    json!({ "search_term": term, "order_by": "recent" })
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn words_are_found_where_the_user_may_look(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat", "name": "Red planet" })).await;
    let secret = alice.create(json!({})).await;
    bob.join(&room).await;
    let one = alice.say(&room, "Martians and men").await;
    let two = bob.say(&room, "No men on the planet, but martians!").await;
    alice.say(&room, "martian").await;
    alice.say(&secret, "martians and men").await;
    let korean = alice.say(&room, "내일 학교에서 만나요").await;

    let answer = find(&bob, recent("MEN martians")).await;
    assert_eq!(found(&answer), [&*two, &*one], "{answer}");
    assert_eq!((&answer["count"], &answer["highlights"]), (&json!(2), &json!(["men", "martians"])));
    let answer = find(&bob, json!({ "search_term": "men martians" })).await;
    assert_eq!(found(&answer), [&*one, &*two], "by rank");
    assert!(answer["results"][0]["rank"].as_f64() > answer["results"][1]["rank"].as_f64());
    assert_eq!(found(&find(&bob, recent("학교")).await), [&*korean]);
    assert_eq!(found(&find(&bob, recent("?")).await).len(), 0);
    assert_eq!(found(&find(&alice, recent("martians")).await).len(), 3);

    let planet = find(&bob, json!({ "search_term": "planet", "keys": ["content.name"] })).await;
    assert_eq!(planet["results"][0]["result"]["content"]["name"], "Red planet");
    assert_eq!(found(&find(&bob, recent("planet")).await).len(), 2);
    let filter = json!({ "search_term": "martians", "filter": { "senders": [bob.user] } });
    assert_eq!(found(&find(&bob, filter).await), [&*two]);
    let filter = json!({ "search_term": "martians", "filter": { "rooms": [secret] } });
    assert_eq!(found(&find(&bob, filter).await).len(), 0);

    alice.redact(&room, &one).await;
    assert_eq!(found(&find(&bob, recent("men martians")).await), [&*two]);
    assert_eq!(find(&bob, recent("men martians")).await["count"], 1, "gone from the index too");
    bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await;
    let after = alice.say(&room, "martians and men came back").await;
    assert_eq!(found(&find(&bob, recent("men martians")).await), [&*two]);
    assert_eq!(found(&find(&alice, recent("came")).await), [&*after]);
}

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn results_are_paged_grouped_and_shown_with_what_is_around(db: TestDb) {
    let server = Server::start(db).await;
    let alice = server.register("alice").await;
    let rooms = [alice.create(json!({})).await, alice.create(json!({})).await];
    let mut all = Vec::new();
    for number in 0..7 {
        let room = &rooms[number % 2];
        alice.say(room, "before").await;
        all.push(alice.say(room, &format!("needle {number}")).await);
        alice.say(room, "after").await;
    }
    let criteria = json!({
        "search_term": "needle", "order_by": "recent", "filter": { "limit": 3 },
        "event_context": { "before_limit": 1, "after_limit": 2, "include_profile": true },
        "include_state": true, "groupings": { "group_by": [{ "key": "room_id" }] } });
    let mut seen = Vec::new();
    let mut path = "/v3/search".to_owned();
    for page in 0.. {
        let body = json!({ "search_categories": { "room_events": criteria } });
        let answer = alice.post(&path, body).await["search_categories"]["room_events"].clone();
        seen.extend(found(&answer).into_iter().map(str::to_owned));
        let context = &answer["results"][0]["context"];
        assert_eq!(context["events_before"][0]["content"]["body"], "before");
        assert_eq!(context["events_after"][0]["content"]["body"], "after");
        assert!(context["profile_info"].get(&alice.user).is_some(), "{answer}");
        let groups = answer["groups"]["room_id"].as_object().unwrap();
        let grouped: usize = groups.values().map(|g| g["results"].as_array().unwrap().len()).sum();
        assert_eq!(grouped, found(&answer).len());
        assert_eq!(answer["state"].as_object().unwrap().len(), groups.len());
        let Some(next) = answer["next_batch"].as_str() else { break };
        assert!(page < 3, "{answer}");
        path = format!("/v3/search?next_batch={next}");
    }
    seen.sort();
    all.sort();
    assert_eq!(seen, all);
    let body = json!({ "search_categories": { "room_events": criteria } });
    let (status, code) = alice.refused(Method::POST, "/v3/search?next_batch=x", body).await;
    assert_eq!((status, &*code), (400, "M_INVALID_PARAM"));
}
