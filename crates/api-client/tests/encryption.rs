//! Every endpoint of end-to-end encryption, through the router as clients reach it.

use std::{num::NonZeroUsize, sync::Arc};

use axum::body::{Body, to_bytes};
use haechi_accounts::{AccountSettings, Accounts, Presence};
use haechi_api_client::{App, FilterCache, Handles, RegistrationMode, Settings, router};
use haechi_base::{Clock, Positions};
use haechi_blob::Blob;
use haechi_http::{RateLimiter, Stack, StackSettings};
use haechi_keys::Keys;
use haechi_matrix::RoomVersion;
use haechi_media::{Media, MediaConfig};
use haechi_push::{Push, PushSettings};
use haechi_rooms::Rooms;
use haechi_store::{Db, DbConfig};
use haechi_sync::Sync;
use http::{Method, header};
use ruma::{
    CanonicalJsonObject, ServerName,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

struct Server {
    router: Stack,
    db: Db,
    keys: Keys,
    accounts: Accounts,
    _close: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// A logged-in device.
struct Client<'a> {
    server: &'a Server,
    user: &'static str,
    device: &'static str,
    token: String,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = DbConfig::Sqlite {
            path: folder.path().join("test.db"),
            readers: NonZeroUsize::new(2).unwrap(),
        };
        let schemas = [
            &haechi_accounts::SCHEMA,
            &haechi_keys::SCHEMA,
            &haechi_rooms::SCHEMA,
            &haechi_media::SCHEMA,
            &haechi_push::SCHEMA,
        ];
        let (db, feed) = Db::open(&config, &schemas).await.unwrap();
        let clock = Clock::System;
        let keys = Keys::new(db.clone(), clock.clone());
        let settings = AccountSettings::new(ServerName::parse("haechi.example").unwrap());
        let hooks = Some(Arc::new(keys.clone()) as Arc<_>);
        let accounts = Accounts::new(db.clone(), clock.clone(), settings, hooks);
        let users = accounts.users().clone();
        let key = haechi_rooms::signing_key(&db).await.unwrap();
        let server_name = accounts.server_name().to_owned();
        let rooms =
            Rooms::new(db.clone(), users.clone(), clock.clone(), server_name, key, 64 << 20);
        let blob = Blob::folder(&folder.path().join("media")).unwrap();
        let media = MediaConfig::new("haechi.example");
        let media = Media::new(media, db.clone(), blob, clock.clone()).unwrap();
        // Nobody waits for news here.
        let (close, closing) = watch::channel(false);
        let push = Push::start(
            db.clone(),
            clock.clone(),
            accounts.clone(),
            rooms.clone(),
            PushSettings::STANDARD,
            closing.clone(),
        )
        .await
        .unwrap();
        let presence = Presence::new(db.clone(), clock.clone(), false);
        let sync = Sync::start(
            &db,
            feed,
            rooms.clone(),
            accounts.clone(),
            presence.clone(),
            keys.clone(),
            clock.clone(),
            closing,
        );
        let app = App::new(Handles {
            settings: Settings {
                public_base_url: "https://haechi.example".to_owned(),
                registration: RegistrationMode::Open,
                default_room_version: RoomVersion::V12,
                media_without_token: false,
                relays: None,
            },
            limiter: RateLimiter::off(),
            accounts: accounts.clone(),
            presence,
            rooms,
            keys: keys.clone(),
            push,
            sync,
            media,
            filters: FilterCache::default(),
        });
        let router = Stack::new(router(app), &StackSettings::default());
        Self { router, db, keys, accounts, _close: close, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &Json) -> (u16, Json) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/_matrix/client{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn register(&self, user: &'static str, device: &'static str) -> Client<'_> {
        let localpart = user.trim_start_matches('@').split(':').next().unwrap();
        let body = json!({
            "username": localpart, "password": PASSWORD, "device_id": device,
            "initial_device_display_name": format!("{localpart}'s"),
            "auth": { "type": "m.login.dummy" },
        });
        let (status, answer) = self.ask(Method::POST, "/v3/register", "", &body).await;
        assert_eq!((status, &answer["user_id"]), (200, &json!(user)), "{answer}");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Client { server: self, user, device, token }
    }

    /// What waits for a device.
    async fn inbox(&self, client: &Client<'_>, device: &str) -> Vec<Json> {
        let nid = self.accounts.users().find(client.user.try_into().unwrap()).await.unwrap();
        let to = self.db.horizon().borrow().clone();
        let from = Positions::default();
        let batch = self.keys.to_device_since(nid.unwrap(), device, &from, &to, 100).await.unwrap();
        batch.events.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
    }
}

impl Client<'_> {
    async fn ask(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        self.server.ask(method, path, &self.token, &body).await
    }

    async fn ok(&self, method: Method, path: &str, body: Json) -> Json {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn device_keys(&self, key: &Key) -> Json {
        json!({
            "user_id": self.user, "device_id": self.device, "algorithms": ["m.olm.v1"],
            "keys": { format!("ed25519:{}", self.device): key.public }, "signatures": {}, "x": [0],
        })
    }
}

const PASSWORD: &str = "correct horse";
const MINA: &str = "@mina:haechi.example";
const JUN: &str = "@jun:haechi.example";

struct Key {
    pair: Ed25519KeyPair,
    public: String,
}

impl Key {
    /// Named after its public half where there is no name.
    fn new(name: Option<&str>) -> Self {
        let der = Ed25519KeyPair::generate();
        let public = Ed25519KeyPair::from_der(&der, String::new()).unwrap().public_key();
        let public = Base64::<Standard, _>::new(public).encode();
        let name = name.unwrap_or(&public).to_owned();
        Self { pair: Ed25519KeyPair::from_der(&der, name).unwrap(), public }
    }

    fn published(&self, user: &str, usage: &str) -> Json {
        let id = format!("ed25519:{}", self.public);
        json!({ "user_id": user, "usage": [usage], "keys": { id: self.public } })
    }

    fn sign(&self, user: &str, value: &Json) -> Json {
        let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
        sign_json(user, &self.pair, &mut object).unwrap();
        serde_json::to_value(&object).unwrap()
    }
}

#[tokio::test]
async fn keys_are_uploaded_queried_and_claimed() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let jun = server.register(JUN, "LAPTOP").await;
    let device = Key::new(Some("PHONE"));
    let one_time = json!({ "key": "k1", "signatures": { MINA: { "ed25519:PHONE": "s" } } });
    let fallback = json!({ "key": "f", "fallback": true, "signatures": {} });
    let upload = json!({
        "device_keys": mina.device_keys(&device),
        "one_time_keys": { "signed_curve25519:AAAAHg": one_time },
        "fallback_keys": { "signed_curve25519:AAAAHh": fallback },
    });
    for _ in 0..2 {
        let answer = mina.ok(Method::POST, "/v3/keys/upload", upload.clone()).await;
        assert_eq!(answer, json!({ "one_time_key_counts": { "signed_curve25519": 1 } }));
    }
    let counts = mina.ok(Method::POST, "/v3/keys/upload", json!({})).await;
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 1);

    let other = json!({ "one_time_keys": { "signed_curve25519:AAAAHg": { "key": "k2" } } });
    let (status, refused) = mina.ask(Method::POST, "/v3/keys/upload", other).await;
    assert_eq!((status, &refused["errcode"]), (400, &json!("M_UNKNOWN")));
    let message = refused["error"].as_str().unwrap();
    assert!(
        message.starts_with("One time key signed_curve25519:AAAAHg already exists. Old key: {")
    );

    let asked = json!({ "device_keys": {
        MINA: [], JUN: [], "@nobody:haechi.example": [], "@far:away.example": [] } });
    let found = jun.ok(Method::POST, "/v3/keys/query", asked).await;
    let mut expected = mina.device_keys(&device);
    expected["unsigned"] = json!({ "device_display_name": "mina's" });
    assert_eq!(found, json!({ "device_keys": { MINA: { "PHONE": expected }, JUN: {} } }));

    let claim = json!({ "one_time_keys": {
        MINA: { "PHONE": "signed_curve25519", "NONE": "signed_curve25519" },
        "@nobody:haechi.example": { "D": "signed_curve25519" } } });
    for (id, key) in [("AAAAHg", &one_time), ("AAAAHh", &fallback), ("AAAAHh", &fallback)] {
        let claimed = jun.ok(Method::POST, "/v3/keys/claim", claim.clone()).await;
        let expected = json!({ MINA: { "PHONE": { format!("signed_curve25519:{id}"): key } } });
        assert_eq!(claimed, json!({ "one_time_keys": expected }));
    }
    let bad = json!({ "device_keys": jun.device_keys(&device) });
    let (status, refused) = mina.ask(Method::POST, "/v3/keys/upload", bad).await;
    assert_eq!((status, &refused["errcode"]), (400, &json!("M_INVALID_PARAM")));
}

#[tokio::test]
async fn cross_signing_keys_are_published_signed_and_replaced() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let device = Key::new(Some("PHONE"));
    let device_keys = mina.device_keys(&device);
    mina.ok(Method::POST, "/v3/keys/upload", json!({ "device_keys": device_keys })).await;
    let [master, self_signing, user_signing] = [Key::new(None), Key::new(None), Key::new(None)];
    let upload = |master: &Key| {
        json!({
            "master_key": master.published(MINA, "master"),
            "self_signing_key":
                master.sign(MINA, &self_signing.published(MINA, "self_signing")),
            "user_signing_key":
                master.sign(MINA, &user_signing.published(MINA, "user_signing")),
        })
    };
    let path = "/v3/keys/device_signing/upload";
    for _ in 0..2 {
        assert_eq!(mina.ok(Method::POST, path, upload(&master)).await, json!({}));
    }
    let signed = json!({ MINA: {
        "PHONE": self_signing.sign(MINA, &device_keys),
        &master.public: device.sign(MINA, &master.published(MINA, "master")),
        "NONE": device_keys,
    }, "@nobody:haechi.example": { "K": {} } });
    let answer = mina.ok(Method::POST, "/v3/keys/signatures/upload", signed).await;
    assert_eq!(
        answer,
        json!({ "failures": {
            MINA: { "NONE": { "errcode": "M_NOT_FOUND", "error": "No such key" } },
            "@nobody:haechi.example": { "K": { "errcode": "M_NOT_FOUND", "error": "No such key" } },
        } })
    );
    let asked = json!({ "device_keys": { MINA: ["PHONE"] } });
    let found = mina.ok(Method::POST, "/v3/keys/query", asked).await;
    let signatures = &found["device_keys"][MINA]["PHONE"]["signatures"][MINA];
    assert!(signatures[format!("ed25519:{}", self_signing.public)].is_string());
    assert!(found["master_keys"][MINA]["signatures"][MINA]["ed25519:PHONE"].is_string());
    assert!(found["user_signing_keys"][MINA].is_object());

    let next = Key::new(None);
    let mut replacement = upload(&next);
    let (status, wanted) = mina.ask(Method::POST, path, replacement.clone()).await;
    assert_eq!((status, &wanted["flows"][0]["stages"][0]), (401, &json!("m.login.password")));
    replacement["auth"] = json!({
        "type": "m.login.password", "session": wanted["session"], "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": "mina" },
    });
    mina.ok(Method::POST, path, replacement).await;
    let forged = json!({ "self_signing_key": master.sign(
        MINA, &Key::new(None).published(MINA, "self_signing")), "auth": {
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": "mina" } } });
    let (status, refused) = mina.ask(Method::POST, path, forged).await;
    assert_eq!((status, &refused["errcode"]), (400, &json!("M_INVALID_SIGNATURE")));
}

#[tokio::test]
async fn messages_go_to_devices_once() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let jun = server.register(JUN, "LAPTOP").await;
    let path = "/v3/sendToDevice/m.room_key_request/t1";
    let body = json!({ "messages": {
        JUN: { "LAPTOP": { "n": 1 }, "NONE": { "n": 2 } }, MINA: { "*": { "n": 3 } },
        "@nobody:haechi.example": { "*": {} } } });
    for _ in 0..3 {
        assert_eq!(mina.ok(Method::PUT, path, body.clone()).await, json!({}));
    }
    let event =
        |n: u32| json!({ "type": "m.room_key_request", "sender": MINA, "content": { "n": n } });
    assert_eq!(server.inbox(&jun, "LAPTOP").await, [event(1)]);
    assert_eq!(server.inbox(&mina, "PHONE").await, [event(3)]);
    let large = json!({ "messages": { JUN: { "*": { "n": "x".repeat(70_000) } } } });
    let (status, refused) = mina.ask(Method::PUT, &path.replace("t1", "t2"), large).await;
    assert_eq!((status, &refused["errcode"]), (413, &json!("M_TOO_LARGE")));
    jun.ok(Method::POST, "/v3/logout", json!({})).await;
    assert_eq!(server.inbox(&jun, "LAPTOP").await, [Json::Null; 0]);
}

fn session(index: u32) -> Json {
    json!({
        "first_message_index": index, "forwarded_count": 0, "is_verified": false,
        "session_data": { "ephemeral": "YQ", "ciphertext": "Yg", "mac": "Yw" }, "x": 1,
    })
}

#[tokio::test]
async fn backups_are_made_filled_read_and_emptied() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let version = "/v3/room_keys/version";
    let (status, none) = mina.ask(Method::GET, version, Json::Null).await;
    assert_eq!((status, &none["errcode"]), (404, &json!("M_NOT_FOUND")));
    let auth_data = json!({ "public_key": "abc", "signatures": { MINA: { "ed25519:P": "s" } } });
    let backup = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": auth_data });
    let made = mina.ok(Method::POST, version, backup.clone()).await;
    assert_eq!(made, json!({ "version": "1" }));
    let info = mina.ok(Method::GET, version, Json::Null).await;
    assert_eq!((&info["auth_data"], &info["count"]), (&auth_data, &json!(0)));

    let put = |path: &'static str, body: Json| {
        let mina = &mina;
        async move { mina.ok(Method::PUT, path, body).await }
    };
    let one = put("/v3/room_keys/keys/!a:x/s1?version=1", session(1)).await;
    assert_eq!(one["count"], 1);
    let room = json!({ "sessions": { "s1": session(0), "s2": session(0) } });
    let two = put("/v3/room_keys/keys/!a:x?version=1", room).await;
    assert_eq!(two["count"], 2);
    assert_ne!(one["etag"], two["etag"]);
    let rooms = json!({ "rooms": {
        "!a:x": { "sessions": { "s2": session(5) } },
        "!b:x": { "sessions": { "s1": session(0) } } } });
    assert_eq!(put("/v3/room_keys/keys?version=1", rooms).await["count"], 3);

    let get = |path: &'static str| mina.ask(Method::GET, path, Json::Null);
    let all = get("/v3/room_keys/keys?version=1").await.1;
    assert_eq!(
        all,
        json!({ "rooms": {
            "!a:x": { "sessions": { "s1": session(0), "s2": session(0) } },
            "!b:x": { "sessions": { "s1": session(0) } } } })
    );
    assert_eq!(get("/v3/room_keys/keys/!a:x?version=1").await.1, all["rooms"]["!a:x"]);
    assert_eq!(get("/v3/room_keys/keys/!a:x/s1?version=1").await.1, session(0));
    assert_eq!(get("/v3/room_keys/keys/!a:x/s9?version=1").await.0, 404);
    assert_eq!(get("/v3/room_keys/keys/!c:x?version=1").await.1, json!({ "sessions": {} }));

    let delete = |path: &'static str| mina.ask(Method::DELETE, path, Json::Null);
    assert_eq!(delete("/v3/room_keys/keys/!a:x/s1?version=1").await.1["count"], 2);
    assert_eq!(delete("/v3/room_keys/keys/!a:x?version=1").await.1["count"], 1);
    assert_eq!(delete("/v3/room_keys/keys?version=1").await.1["count"], 0);
}

#[tokio::test]
async fn backup_versions_follow_one_another() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let backup = |key: &str| {
        json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data": { "public_key": key, "signatures": {} } })
    };
    for number in ["1", "2"] {
        let made = mina.ok(Method::POST, "/v3/room_keys/version", backup("a")).await;
        assert_eq!(made["version"], number);
    }
    let body = session(0);
    let late = mina.ask(Method::PUT, "/v3/room_keys/keys/!a:x/s?version=1", body).await;
    assert_eq!(late.0, 403);
    assert_eq!(late.1["errcode"], "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(late.1["current_version"], "2");

    let path = "/v3/room_keys/version/2";
    let mut update = backup("b");
    update["version"] = json!("2");
    assert_eq!(mina.ok(Method::PUT, path, update.clone()).await, json!({}));
    let info = mina.ok(Method::GET, path, Json::Null).await;
    assert_eq!(info["auth_data"]["public_key"], "b");
    update["version"] = json!("1");
    assert_eq!(mina.ask(Method::PUT, path, update).await.0, 400);
    for _ in 0..2 {
        assert_eq!(mina.ok(Method::DELETE, path, Json::Null).await, json!({}));
    }
    assert_eq!(mina.ask(Method::GET, path, Json::Null).await.0, 404);
    let latest = mina.ok(Method::GET, "/v3/room_keys/version", Json::Null).await;
    assert_eq!(latest["version"], "1");
    assert_eq!(mina.ask(Method::DELETE, "/v3/room_keys/version/9", Json::Null).await.0, 404);
}

#[tokio::test]
async fn a_dehydrated_device_is_put_read_and_deleted() {
    let server = Server::start().await;
    let mina = server.register(MINA, "PHONE").await;
    let path = "/unstable/org.matrix.msc3814.v1/dehydrated_device";
    assert_eq!(mina.ask(Method::GET, path, Json::Null).await.0, 404);
    let data = json!({ "algorithm": "org.matrix.msc3814.v2", "device_pickle": "p", "nonce": "n" });
    let device_keys = json!({
        "user_id": MINA, "device_id": "DRY", "algorithms": [], "keys": {}, "signatures": {},
        "dehydrated": true,
    });
    let device = json!({
        "device_id": "DRY", "device_data": data, "device_keys": device_keys,
        "initial_device_display_name": "Dehydrated",
        "one_time_keys": { "signed_curve25519:A": { "key": "k", "signatures": {} } },
    });
    assert_eq!(mina.ok(Method::PUT, path, device).await, json!({ "device_id": "DRY" }));
    let found = mina.ok(Method::GET, path, Json::Null).await;
    assert_eq!(found, json!({ "device_id": "DRY", "device_data": data }));

    let message = json!({ "messages": { MINA: { "DRY": { "n": 1 } } } });
    mina.ok(Method::PUT, "/v3/sendToDevice/m.test/t1", message).await;
    let events = format!("{path}/DRY/events");
    let first = mina.ok(Method::POST, &events, json!({})).await;
    let event = json!({ "type": "m.test", "sender": MINA, "content": { "n": 1 } });
    assert_eq!(first["events"], json!([event]));
    let next = json!({ "next_batch": first["next_batch"] });
    let second = mina.ok(Method::POST, &events, next).await;
    assert_eq!(second["events"], json!([]));
    let bad = json!({ "next_batch": "x" });
    assert_eq!(mina.ask(Method::POST, &events, bad).await.0, 400);
    let other = mina.ask(Method::POST, &events.replace("DRY", "PHONE"), json!({})).await;
    assert_eq!((other.0, &other.1["errcode"]), (403, &json!("M_FORBIDDEN")));
    let deleted = mina.ok(Method::DELETE, path, Json::Null).await;
    assert_eq!(deleted, json!({ "device_id": "DRY" }));
    assert_eq!(mina.ask(Method::DELETE, path, Json::Null).await.0, 404);
}
