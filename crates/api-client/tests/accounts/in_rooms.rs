//! What a user does alone and rooms hear of, and what a user keeps for a room.

use haechi_testkit::{Client, TestServer};
use serde_json::{Value as Json, json};

use crate::{password, refused};

const MINA: &str = "@mina:haechi.example";

async fn room(client: &Client, body: Json) -> String {
    let (status, answer) = client.post("/v3/createRoom", body).await;
    assert_eq!(status, 200, "{answer}");
    answer["room_id"].as_str().unwrap().to_owned()
}

async fn membership(client: &Client, room: &str, user: &str) -> Json {
    client.get(&format!("/v3/rooms/{room}/state/m.room.member/{user}")).await.1
}

#[tokio::test]
async fn rooms_show_a_new_name() {
    let (server, mina) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let public = room(&jun, json!({ "preset": "public_chat" })).await;
    assert_eq!(mina.post(&format!("/v3/join/{public}"), json!({})).await.0, 200);
    let invited = json!({ "preset": "private_chat", "invite": [MINA] });
    let private = room(&jun, invited).await;

    let name = |name: &str| json!({ "displayname": name });
    let path = format!("/v3/profile/{MINA}/displayname");
    assert_eq!(mina.put(&path, name("Mina")).await.0, 200);
    let shown = membership(&jun, &public, MINA).await;
    assert_eq!((&shown["displayname"], &shown["membership"]), (&json!("Mina"), &json!("join")));
    let invitation = membership(&jun, &private, MINA).await;
    assert_eq!(invitation["membership"], "invite", "an invitation stays one");
    assert_eq!(mina.put(&path, name("")).await.0, 200);
    assert!(membership(&jun, &public, MINA).await.get("displayname").is_none());
}

#[tokio::test]
async fn a_deactivated_account_leaves_its_rooms() {
    let (server, mina) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let public = room(&jun, json!({ "preset": "public_chat" })).await;
    assert_eq!(mina.post(&format!("/v3/join/{public}"), json!({})).await.0, 200);
    let invited = json!({ "preset": "private_chat", "invite": [MINA] });
    let private = room(&jun, invited).await;
    let body = json!({ "auth": password("correct horse") });
    assert_eq!(mina.post("/v3/account/deactivate", body).await.0, 200);
    for room in [public, private] {
        assert_eq!(membership(&jun, &room, MINA).await["membership"], "leave");
    }
}

#[tokio::test]
async fn presence_is_for_those_who_share_a_room() {
    let (server, mina) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let path = format!("/v3/presence/{MINA}/status");
    refused(403, "M_FORBIDDEN")(jun.get(&path).await);
    let public = room(&jun, json!({ "preset": "public_chat" })).await;
    assert_eq!(mina.post(&format!("/v3/join/{public}"), json!({})).await.0, 200);
    assert_eq!(jun.get(&path).await.0, 200);
}

/// The presence events of an answer: who, and what of them.
fn presence(sync: &Json) -> Vec<(&str, &Json)> {
    let events = sync["presence"]["events"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(events.iter().all(|event| event["type"] == "m.presence"), "{sync}");
    events.iter().map(|event| (event["sender"].as_str().unwrap(), &event["content"])).collect()
}

#[tokio::test]
async fn a_sync_tells_the_presence_of_those_who_share_a_room() {
    const JUN: &str = "@jun:haechi.example";
    let (server, mina) = TestServer::with_mina().await;
    let (jun, stranger) = (server.register("jun").await, server.register("stranger").await);
    let set = async |client: &Client, who: &str, body: Json| {
        let path = format!("/v3/presence/@{who}:haechi.example/status");
        assert_eq!(client.put(&path, body).await.0, 200);
    };
    let sync = async |since: &str, more: &str| {
        let (status, answer) =
            mina.get(&format!("/v3/sync?set_presence=offline{since}{more}")).await;
        assert_eq!(status, 200, "{answer}");
        let next = answer["next_batch"].as_str().unwrap().to_owned();
        (answer, format!("&since={next}"))
    };
    let public = room(&jun, json!({ "preset": "public_chat" })).await;
    set(&stranger, "stranger", json!({ "presence": "online" })).await;
    set(&jun, "jun", json!({ "presence": "unavailable", "status_msg": "lunch" })).await;
    let (first, alone) = sync("", "").await;
    assert_eq!(presence(&first), [], "not of strangers");

    // Whoever comes into a room learns of those who are there.
    assert_eq!(mina.post(&format!("/v3/join/{public}"), json!({})).await.0, 200);
    let (met, since) = sync(&alone, "").await;
    let [(JUN, content)] = presence(&met)[..] else { panic!("{met}") };
    assert_eq!(
        (&content["presence"], &content["status_msg"]),
        (&json!("unavailable"), &json!("lunch"))
    );
    assert!(content["last_active_ago"].is_u64());
    let (fresh, _) = sync("", "").await;
    assert_eq!(presence(&fresh).len(), 1);

    // Later on only of what changed, and what was asked for.
    let (nothing, _) = sync(&since, "").await;
    assert_eq!(presence(&nothing), []);
    let (own, since) = {
        set(&mina, "mina", json!({ "presence": "online" })).await;
        sync(&since, "").await
    };
    assert_eq!(presence(&own), [], "nobody is told of himself");
    assert_eq!(jun.get("/v3/sync?set_presence=online").await.0, 200);
    let (told, after) = sync(&since, "&timeout=30000").await;
    let [(JUN, content)] = presence(&told)[..] else { panic!("{told}") };
    assert_eq!(
        (&content["presence"], &content["currently_active"]),
        (&json!("online"), &json!(true))
    );
    assert_eq!(content["status_msg"], "lunch", "it is still his");
    for unwanted in [json!({ "types": [] }), json!({ "not_senders": [JUN] })] {
        let filter = json!({ "presence": unwanted }).to_string();
        let filter = filter.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let (silent, _) = sync(&since, &format!("&filter={filter}")).await;
        assert_eq!(presence(&silent), [], "{filter}");
    }

    // Who has parted is not told any more.
    assert_eq!(mina.post(&format!("/v3/rooms/{public}/leave"), json!({})).await.0, 200);
    set(&jun, "jun", json!({ "presence": "offline" })).await;
    let (parted, _) = sync(&after, "").await;
    assert_eq!(presence(&parted), []);
}

#[tokio::test]
async fn account_data_of_a_room() {
    let (server, mina) = TestServer::with_mina().await;
    let room = room(&mina, json!({})).await;
    let path = format!("/v3/user/{MINA}/rooms/{room}/account_data/org.example.x");
    refused(404, "M_NOT_FOUND")(mina.get(&path).await);
    assert_eq!(mina.put(&path, json!({ "a": 1 })).await, (200, json!({})));
    assert_eq!(mina.get(&path).await, (200, json!({ "a": 1 })));
    let global = format!("/v3/user/{MINA}/account_data/org.example.x");
    refused(404, "M_NOT_FOUND")(mina.get(&global).await);
    refused(400, "M_BAD_JSON")(mina.put(&path, json!([])).await);
    let managed = path.replace("org.example.x", "m.fully_read");
    refused(405, "M_BAD_JSON")(mina.put(&managed, json!({})).await);
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.get(&path).await);
    let nowhere = path.replace(&room, "!nowhere:haechi.example");
    refused(404, "M_NOT_FOUND")(mina.put(&nowhere, json!({})).await);
}

#[tokio::test]
async fn tags() {
    let (server, mina) = TestServer::with_mina().await;
    let room = room(&mina, json!({})).await;
    let path = format!("/v3/user/{MINA}/rooms/{room}/tags");
    assert_eq!(mina.get(&path).await, (200, json!({ "tags": {} })));
    let put = async |tag: &str, info: Json| mina.put(&format!("{path}/{tag}"), info).await.0;
    assert_eq!(put("m.favourite", json!({ "order": 0.25 })).await, 200);
    assert_eq!(put("u.work", json!({})).await, 200);
    let both = json!({ "m.favourite": { "order": 0.25 }, "u.work": {} });
    assert_eq!(mina.get(&path).await, (200, json!({ "tags": both })));
    for _ in 0..2 {
        let gone = mina.delete(&format!("{path}/m.favourite"), json!({})).await;
        assert_eq!(gone.0, 200, "also when it is gone already");
    }
    assert_eq!(mina.get(&path).await, (200, json!({ "tags": { "u.work": {} } })));
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.get(&path).await);
    refused(403, "M_FORBIDDEN")(jun.put(&format!("{path}/u.x"), json!({})).await);
}
