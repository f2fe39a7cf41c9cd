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
