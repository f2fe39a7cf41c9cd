//! One-time keys: once and never again.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{Claim, ClaimedKey, KeysError};

fn claim(user: &UserRef, device: &str) -> Claim {
    Claim { user: user.nid, device: device.to_owned(), algorithm: "signed_curve25519".to_owned() }
}

async fn claim_one(world: &World) -> Option<ClaimedKey> {
    world.keys.claim_keys(vec![claim(&world.ari, "A1")]).await.unwrap().remove(0)
}

async fn left(world: &World) -> u64 {
    let counts = world.keys.key_counts(world.ari.nid, "A1").await.unwrap();
    counts.one_time_keys["signed_curve25519"]
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn no_key_is_handed_out_twice_however_many_ask_at_once(db: TestDb) {
    let world = World::new(&db).await;
    let names: Vec<String> = (0..200).map(|number| format!("K{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&names, "x")).await.unwrap();
    assert_eq!(left(&world).await, 200);
    // On PostgreSQL half of them ask another node.
    let other = db.other_node("other").await;
    let other = other.as_ref().map(|db| Keys::new(Db::clone(db), world.clock.clone()));
    let nodes = [world.keys.clone(), other.unwrap_or_else(|| world.keys.clone())];
    let claims: Vec<_> = (0..300)
        .map(|number| {
            let (keys, claim) = (nodes[number % 2].clone(), claim(&world.ari, "A1"));
            tokio::spawn(async move { keys.claim_keys(vec![claim]).await.unwrap().remove(0) })
        })
        .collect();
    let mut got = Vec::new();
    for claim in claims {
        got.extend(claim.await.unwrap().map(|key| key.id));
    }
    let different: BTreeSet<&String> = got.iter().collect();
    assert_eq!((got.len(), different.len()), (200, 200));
    let counts = world.restarted().key_counts(world.ari.nid, "A1").await.unwrap();
    assert_eq!(counts.one_time_keys["signed_curve25519"], 0);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn the_oldest_key_goes_first(db: TestDb) {
    let world = World::new(&db).await;
    for id in ["Z", "M", "A"] {
        world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&[id], "x")).await.unwrap();
    }
    for id in ["Z", "M", "A"] {
        let key = claim_one(&world).await.unwrap();
        assert_eq!(key.id, format!("signed_curve25519:{id}"));
        assert_eq!(parsed(&key.json), json!({ "key": format!("{id}-x"), "signatures": {} }));
    }
    assert_eq!(claim_one(&world).await, None);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn an_upload_sent_again_brings_no_claimed_key_back(db: TestDb) {
    let world = World::new(&db).await;
    let upload = one_time_keys(&["A", "B"], "x");
    world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap();
    assert_eq!(claim_one(&world).await.unwrap().id, "signed_curve25519:A");
    let counts = world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap();
    assert_eq!(counts.one_time_keys["signed_curve25519"], 1);
    assert_eq!(claim_one(&world).await.unwrap().id, "signed_curve25519:B");
    // A device that starts afresh counts from the beginning: another key under an old id.
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "y")).await.unwrap();
    assert_eq!(parsed(&claim_one(&world).await.unwrap().json)["key"], "A-y");
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "y")).await.unwrap();
    assert_eq!(claim_one(&world).await, None);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn another_key_under_the_same_id_is_refused(db: TestDb) {
    let world = World::new(&db).await;
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "x")).await.unwrap();
    let upload = one_time_keys(&["A", "B"], "y");
    let refused = world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.starts_with("One time key signed_curve25519:A already exists. Old key: {"));
    assert!(text.contains("A-x") && text.contains("; new key: {") && text.contains("A-y"));
    assert_eq!(left(&world).await, 1, "nothing of the request was stored");
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_device_can_not_hoard_keys(db: TestDb) {
    let world = World::new(&db).await;
    let names: Vec<String> = (0..1_001).map(|number| format!("K{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = one_time_keys(&names, "x");
    let refused = world.keys.upload_keys(&world.ari, "A1", &all).await;
    assert!(matches!(refused, Err(KeysError::TooLarge(_))));
    let (most, last) = names.split_at(1_000);
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(most, "x")).await.unwrap();
    let refused = world.keys.upload_keys(&world.ari, "A1", &one_time_keys(last, "x")).await;
    assert!(matches!(refused, Err(KeysError::TooLarge(_))));
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn the_fallback_key_stays_and_is_marked_used(db: TestDb) {
    let world = World::new(&db).await;
    let fallback = |id: &str| KeysUpload {
        fallback_keys: vec![(
            format!("signed_curve25519:{id}"),
            json!({ "key": id, "fallback": true, "signatures": {} }).to_string(),
        )],
        ..KeysUpload::default()
    };
    let unused = || async {
        world.keys.key_counts(world.ari.nid, "A1").await.unwrap().unused_fallback_keys.clone()
    };
    assert_eq!(unused().await, Vec::<String>::new());
    world.keys.upload_keys(&world.ari, "A1", &fallback("F")).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    for _ in 0..2 {
        assert_eq!(claim_one(&world).await.unwrap().id, "signed_curve25519:F");
        assert_eq!(unused().await, Vec::<String>::new());
    }
    world.keys.upload_keys(&world.ari, "A1", &fallback("F")).await.unwrap();
    assert_eq!(unused().await, Vec::<String>::new(), "the same key again stays used");
    world.keys.upload_keys(&world.ari, "A1", &fallback("G")).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&["A"], "x")).await.unwrap();
    assert_eq!(claim_one(&world).await.unwrap().id, "signed_curve25519:A", "one-time keys first");
    assert_eq!(unused().await, ["signed_curve25519"]);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn counts_from_memory_are_those_of_the_database(db: TestDb) {
    let world = World::new(&db).await;
    for round in 0..5 {
        let id = format!("K{round}");
        world.keys.upload_keys(&world.ari, "A1", &one_time_keys(&[&id], "x")).await.unwrap();
        if round % 2 == 0 {
            claim_one(&world).await.unwrap();
        }
        let remembered = world.keys.key_counts(world.ari.nid, "A1").await.unwrap();
        let read = world.restarted().key_counts(world.ari.nid, "A1").await.unwrap();
        assert_eq!(remembered, read);
    }
    world.delete_device(&world.ari, "A1").await;
    assert_eq!(left(&world).await, 0);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn claimed_keys_are_remembered_for_a_month(db: TestDb) {
    let world = World::new(&db).await;
    let upload = one_time_keys(&["A"], "x");
    world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap();
    claim_one(&world).await.unwrap();
    world.clock.advance(Duration::from_hours(24 * 29));
    world.keys.purge().await.unwrap();
    world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap();
    assert_eq!(left(&world).await, 0);
    world.clock.advance(Duration::from_hours(24 * 2));
    world.keys.purge().await.unwrap();
    world.keys.upload_keys(&world.ari, "A1", &upload).await.unwrap();
    assert_eq!(left(&world).await, 1);
}
