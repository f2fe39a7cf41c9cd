//! Two nodes on one PostgreSQL database, asked by the same users at once.

mod naive;

use std::{
    mem,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use haechi_api_client::RegistrationMode;
use haechi_store::{
    Hint,
    testing::{TestDb, on_postgres},
};
use haechi_testkit::{Client, SCHEMAS, TestServer};
use naive::Room;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

/// Who takes part, beside mina, whose room it is.
const USERS: [&str; 4] = ["bom", "jun", "ari", "seo"];
/// What each of them does, through each node.
const DEEDS: u32 = 300;

/// How the nodes hear of one another.
#[derive(Clone, Copy, PartialEq)]
enum Hearing {
    /// At once.
    Hints,
    /// Twice a second, when they look.
    Polls,
}

/// Two nodes; the databases must live as long as they do.
async fn nodes(mut one: TestDb, hearing: Hearing) -> ([TestServer; 2], [TestDb; 2]) {
    let mut two = one.other_node("two").await.expect("PostgreSQL");
    if hearing == Hearing::Hints {
        for (from, to) in [(&one, &two), (&two, &one)] {
            let (mut hints, to) = (from.hints().expect("nobody asked before"), (**to).clone());
            tokio::spawn(async move {
                while let Some(hint) = hints.recv().await {
                    let hint = Hint::decode(&hint.encode()).expect("it can be read");
                    // Some are lost, some come twice.
                    for _ in 0..rand::random_range(0..=2) {
                        to.hear(hint.clone());
                    }
                }
            });
        }
    }
    let server = async |db: &mut TestDb| {
        let feed = mem::replace(db.feed(), mpsc::channel(1).1);
        let folder = tempfile::tempdir().unwrap();
        TestServer::over((**db).clone(), feed, RegistrationMode::Open, folder).await
    };
    let servers = [server(&mut one).await, server(&mut two).await];
    (servers, [one, two])
}

/// The same user on both nodes.
async fn user(servers: &[TestServer; 2], name: &str) -> [Client; 2] {
    let login = json!({
        "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" }
    });
    let (status, login) = servers[0].anybody().post("/v3/register", login).await;
    assert_eq!(status, 200, "{login}");
    [servers[0].client(&login), servers[1].client(&login)]
}

/// One random deed; says whether it was allowed.
async fn act(rng: &mut StdRng, client: &Client, room: &str, name: &str, number: u32) -> bool {
    let whom = USERS[rng.random_range(0..USERS.len())];
    let whom = format!("@{whom}:haechi.example");
    let membership = async |action: &str| {
        client.post(&format!("/v3/rooms/{room}/{action}"), json!({ "user_id": whom })).await
    };
    let (status, answer) = match rng.random_range(0..20) {
        0..=10 => {
            let path = format!("/v3/rooms/{room}/send/m.room.message/{name}{number}");
            client.put(&path, json!({ "msgtype": "m.text", "body": format!("{number}") })).await
        }
        11 | 12 => {
            let path = format!("/v3/rooms/{room}/state/m.room.topic");
            client.put(&path, json!({ "topic": format!("{name} {number}") })).await
        }
        13..=15 => {
            let levels = naive::levels(rng, &USERS);
            client.put(&format!("/v3/rooms/{room}/state/m.room.power_levels"), levels).await
        }
        16 => membership("kick").await,
        17 => membership("ban").await,
        18 => membership("unban").await,
        _ => client.post(&format!("/v3/rooms/{room}/join"), json!({})).await,
    };
    assert!(matches!(status, 200 | 403), "{status} {answer}");
    status == 200
}

async fn history(client: &Client, room: &str) -> Vec<Json> {
    let mut events = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!("/v3/rooms/{room}/messages?dir=f&limit=500{from}");
        let (status, page) = client.get(&path).await;
        assert_eq!(status, 200, "{page}");
        events.extend(page["chunk"].as_array().expect("a list").iter().cloned());
        match page["end"].as_str() {
            Some(end) => from = format!("&from={end}"),
            None => return events,
        }
    }
}

async fn rules_hold(db: TestDb, hearing: Hearing) {
    let (servers, dbs) = nodes(db, hearing).await;
    let mina = user(&servers, "mina").await;
    let (status, made) = mina[0]
        .post("/v3/createRoom", json!({ "preset": "public_chat", "room_version": "11" }))
        .await;
    assert_eq!(status, 200, "{made}");
    let room = made["room_id"].as_str().unwrap().to_owned();
    let mut clients = vec![("mina", mina)];
    for name in USERS {
        let both = user(&servers, name).await;
        assert_eq!(both[0].post(&format!("/v3/rooms/{room}/join"), json!({})).await.0, 200);
        clients.push((name, both));
    }
    let (allowed, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let (room, allowed, refused) = (&room, &allowed, &refused);
    let all = clients.iter().flat_map(|(name, both)| {
        both.iter().enumerate().map(move |(node, client)| async move {
            let mut rng = StdRng::seed_from_u64(rand::random());
            for number in 0..DEEDS {
                let name = format!("{name}{node}");
                let count = if act(&mut rng, client, room, &name, number).await {
                    allowed
                } else {
                    refused
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    join_all(all).await;

    let here = history(&clients[0].1[0], room).await;
    // The other node shows all of it when it has heard of it.
    let there = async {
        loop {
            let there = history(&clients[0].1[1], room).await;
            if there.len() >= here.len() {
                return there;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let there = tokio::time::timeout(Duration::from_secs(30), there).await.expect("it hears");
    let ids = |events: &[Json]| -> Vec<String> {
        events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&here), ids(&there), "one order");
    let mut state = Room::default();
    for event in &here {
        state.apply(event).unwrap_or_else(|why| panic!("{why}: {event}"));
    }
    let count = |of: &AtomicU32| of.load(Ordering::Relaxed);
    let (allowed, refused) = (count(allowed), count(refused));
    assert!(allowed > 500 && refused > 100, "{allowed} allowed, {refused} refused");
    for db in dbs {
        db.close().await;
    }
}

#[test]
fn no_event_is_accepted_that_the_rules_at_its_place_forbid() {
    on_postgres(&SCHEMAS, async |db| rules_hold(db, Hearing::Hints).await);
}

#[test]
fn nor_when_nodes_hear_of_one_another_late() {
    on_postgres(&SCHEMAS, async |db| rules_hold(db, Hearing::Polls).await);
}

#[test]
fn what_ends_on_one_node_ends_on_the_other() {
    on_postgres(&SCHEMAS, async |db| {
        let (servers, dbs) = nodes(db, Hearing::Polls).await;
        let mina = user(&servers, "mina").await;
        for client in &mina {
            assert_eq!(client.get("/v3/account/whoami").await.0, 200);
        }
        assert_eq!(mina[0].post("/v3/logout", json!({})).await.0, 200);
        let ended = async {
            while mina[1].get("/v3/account/whoami").await.0 != 401 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it hears");
        for db in dbs {
            db.close().await;
        }
    });
}
