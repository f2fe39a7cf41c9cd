//! Cross-signing keys and signatures, with real ed25519 keys.

use super::*;
use crate::{
    Consent, Identities, KeysError, SignatureFailure, SignedKey, SigningKeysUpload, Wanted,
};

struct CrossSigning {
    master: TestKey,
    self_signing: TestKey,
    user_signing: TestKey,
    upload: SigningKeysUpload,
}

fn public(user: &UserRef, usage: &str, key: &TestKey) -> Json {
    let name = format!("ed25519:{}", key.public);
    json!({ "user_id": user.id, "usage": [usage], "keys": { name: key.public }, "more": true })
}

fn cross_signing(user: &UserRef) -> CrossSigning {
    let [master, self_signing, user_signing] = [TestKey::new(), TestKey::new(), TestKey::new()];
    let upload = SigningKeysUpload {
        master: Some(public(user, "master", &master).to_string()),
        self_signing: Some(master.sign(user, &public(user, "self_signing", &self_signing))),
        user_signing: Some(master.sign(user, &public(user, "user_signing", &user_signing))),
    };
    CrossSigning { master, self_signing, user_signing, upload }
}

async fn query(world: &World, viewer: &UserRef, user: &UserRef) -> Identities {
    let wanted = [Wanted { user: user.clone(), devices: Vec::new() }];
    world.keys.identities(viewer, &wanted).await.unwrap()
}

async fn add_device(world: &World, user: &UserRef, device: &str) -> TestKey {
    let key = TestKey::named(device);
    let json = device_keys(user, device, &key.public).to_string();
    let upload = KeysUpload { device_keys: Some(json), ..KeysUpload::default() };
    world.keys.upload_keys(user, device, &upload).await.unwrap();
    key
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn keys_are_published_and_the_user_signing_key_is_for_its_owner(db: TestDb) {
    let world = World::new(&db).await;
    let ari = cross_signing(&world.ari);
    world.keys.upload_signing_keys(&world.ari, &ari.upload, Consent::Unproven).await.unwrap();
    let seen = query(&world, &world.bom, &world.ari).await;
    assert_eq!(parsed(&seen.master[0].1), parsed(ari.upload.master.as_ref().unwrap()));
    assert_eq!(parsed(&seen.self_signing[0].1), parsed(ari.upload.self_signing.as_ref().unwrap()));
    assert!(seen.user_signing.is_empty());
    assert_eq!(query(&world, &world.ari, &world.ari).await.user_signing.len(), 1);
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn replacing_keys_needs_a_proof_of_identity_and_repeating_does_not(db: TestDb) {
    let world = World::new(&db).await;
    let first = cross_signing(&world.ari);
    let second = cross_signing(&world.ari);
    world.keys.upload_signing_keys(&world.ari, &first.upload, Consent::Unproven).await.unwrap();
    let after = world.now();
    world.keys.upload_signing_keys(&world.ari, &first.upload, Consent::Unproven).await.unwrap();
    assert_eq!(world.now(), after, "the same again changes nothing");
    let refused =
        world.keys.upload_signing_keys(&world.ari, &second.upload, Consent::Unproven).await;
    assert!(matches!(refused, Err(KeysError::AuthRequired)));
    let other_self_signing = TestKey::new();
    let json = public(&world.ari, "self_signing", &other_self_signing);
    let mixed = SigningKeysUpload {
        self_signing: Some(first.master.sign(&world.ari, &json)),
        ..first.upload.clone()
    };
    let refused = world.keys.upload_signing_keys(&world.ari, &mixed, Consent::Unproven).await;
    assert!(matches!(refused, Err(KeysError::AuthRequired)));
    world.keys.upload_signing_keys(&world.ari, &second.upload, Consent::Proven).await.unwrap();
    let seen = query(&world, &world.bom, &world.ari).await;
    assert_eq!(parsed(&seen.master[0].1), parsed(second.upload.master.as_ref().unwrap()));
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn keys_must_be_signed_by_the_master_key_and_not_named_like_a_device(db: TestDb) {
    let world = World::new(&db).await;
    let [ari, stranger] = [cross_signing(&world.ari), cross_signing(&world.ari)];
    let upload = |master: &Option<String>, self_signing: &Option<String>| SigningKeysUpload {
        master: master.clone(),
        self_signing: self_signing.clone(),
        user_signing: None,
    };
    let table = [
        (upload(&None, &ari.upload.self_signing), "No master signing key is available"),
        (upload(&ari.upload.master, &stranger.upload.self_signing), "Invalid signature"),
    ];
    for (upload, expected) in table {
        let refused = world.keys.upload_signing_keys(&world.ari, &upload, Consent::Proven).await;
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    let master = upload(&ari.upload.master, &None);
    world.keys.upload_signing_keys(&world.ari, &master, Consent::Unproven).await.unwrap();
    let later = upload(&None, &ari.upload.self_signing);
    world.keys.upload_signing_keys(&world.ari, &later, Consent::Proven).await.unwrap();
    let named = json!({ "user_id": "@ari:x", "usage": ["master"], "keys": { "ed25519:A1": "A1" } });
    let named = upload(&Some(named.to_string()), &None);
    let refused = world.keys.upload_signing_keys(&world.ari, &named, Consent::Proven).await;
    assert!(matches!(refused, Err(KeysError::KeyIdInUse)));
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn signatures_are_checked_stored_and_shown_to_whom_they_concern(db: TestDb) {
    let world = World::new(&db).await;
    let [ari, bom] = [cross_signing(&world.ari), cross_signing(&world.bom)];
    world.keys.upload_signing_keys(&world.ari, &ari.upload, Consent::Unproven).await.unwrap();
    world.keys.upload_signing_keys(&world.bom, &bom.upload, Consent::Unproven).await.unwrap();
    let device = add_device(&world, &world.ari, "A1").await;
    add_device(&world, &world.ari, "A2").await;
    let since = world.now();
    let device_json = device_keys(&world.ari, "A1", &device.public);
    let own_master = public(&world.ari, "master", &ari.master);
    let boms_master = public(&world.bom, "master", &bom.master);
    let signed = |target: &UserRef, key: &str, json: String| SignedKey {
        target: target.clone(),
        key: key.to_owned(),
        json,
    };
    let uploads = [
        signed(&world.ari, "A1", ari.self_signing.sign(&world.ari, &device_json)),
        signed(&world.ari, &ari.master.public, device.sign(&world.ari, &own_master)),
        signed(&world.bom, &bom.master.public, ari.user_signing.sign(&world.ari, &boms_master)),
        // From here on all are refused.
        signed(&world.ari, "A2", ari.self_signing.sign(&world.ari, &device_json)),
        signed(&world.ari, "A3", ari.self_signing.sign(&world.ari, &device_json)),
        signed(&world.ari, "A1", ari.user_signing.sign(&world.ari, &device_json)),
        signed(&world.bom, &bom.master.public, ari.self_signing.sign(&world.ari, &boms_master)),
        signed(&world.ari, "A1", "[]".to_owned()),
    ];
    let failures = world.keys.upload_signatures(&world.ari, &uploads).await.unwrap();
    assert_eq!(
        failures,
        [
            (3, SignatureFailure::DifferentKey),
            (4, SignatureFailure::UnknownKey),
            (5, SignatureFailure::InvalidSignature),
            (6, SignatureFailure::InvalidSignature),
            (7, SignatureFailure::BadJson),
        ]
    );

    let seen = query(&world, &world.bom, &world.ari).await;
    let signatures = |json: &str| parsed(json)["signatures"]["@ari:x"].clone();
    assert!(
        signatures(&seen.devices[0].2)[format!("ed25519:{}", ari.self_signing.public)].is_string()
    );
    assert!(signatures(&seen.master[0].1)["ed25519:A1"].is_string());
    let by_ari = format!("ed25519:{}", ari.user_signing.public);
    let seen = query(&world, &world.ari, &world.bom).await;
    assert!(signatures(&seen.master[0].1)[&by_ari].is_string(), "for the signer to see");
    let seen = query(&world, &world.bom, &world.bom).await;
    assert!(signatures(&seen.master[0].1).is_null(), "for nobody else");

    let both = [world.ari.nid, world.bom.nid];
    for (viewer, expected) in [(&world.ari, &both[..]), (&world.bom, &both[..1])] {
        let to = world.now();
        let changed = world.keys.device_lists_changed(viewer.nid, &since, &to, &both).await;
        assert_eq!(changed.unwrap(), expected);
    }
}

#[store_test(schemas(ACCOUNTS, SCHEMA))]
async fn a_forged_signature_is_refused(db: TestDb) {
    let world = World::new(&db).await;
    let ari = cross_signing(&world.ari);
    world.keys.upload_signing_keys(&world.ari, &ari.upload, Consent::Unproven).await.unwrap();
    let device = add_device(&world, &world.ari, "A1").await;
    let mut json = device_keys(&world.ari, "A1", &device.public);
    let signer = format!("ed25519:{}", ari.self_signing.public);
    json["signatures"] = json!({ "@ari:x": { signer: "A".repeat(86) } });
    let json = json.to_string();
    let signed = SignedKey { target: world.ari.clone(), key: "A1".to_owned(), json };
    let failures = world.keys.upload_signatures(&world.ari, &[signed]).await.unwrap();
    assert_eq!(failures, [(0, SignatureFailure::InvalidSignature)]);
}
