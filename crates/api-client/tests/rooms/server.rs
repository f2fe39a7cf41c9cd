//! A whole server without sockets, and clients of it.

use std::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::body::{Body, to_bytes};
use haechi_accounts::{AccountSettings, Accounts, Presence};
use haechi_api_client::{App, FilterCache, Handles, RegistrationMode, Settings, router};
use haechi_base::{Clock, Millis};
use haechi_blob::Blob;
use haechi_http::{RateLimiter, Stack, StackSettings};
use haechi_keys::Keys;
use haechi_matrix::RoomVersion;
use haechi_media::{Media, MediaConfig};
use haechi_push::{Push, PushSettings};
use haechi_rooms::Rooms;
use haechi_store::testing::TestDb;
use haechi_sync::Sync;
use http::{Method, header};
use ruma::server_name;
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

/// Rooms kept in memory, as few as can be set: tests also meet rooms that were dropped.
pub(crate) const CACHE_BYTES_MAX: u64 = 1 << 20;

/// One server.
pub(crate) struct Server {
    router: Stack,
    txns: AtomicU64,
    pub(crate) rooms: Rooms,
    _closing: watch::Sender<bool>,
    _db: TestDb,
    _folder: tempfile::TempDir,
}

/// A user who is logged in.
pub(crate) struct Client<'a> {
    server: &'a Server,
    pub(crate) user: String,
    token: String,
}

impl Server {
    pub(crate) async fn start(mut db: TestDb) -> Self {
        let clock = Clock::manual(Millis(1_700_000_000_000));
        let keys = Keys::new(db.clone(), clock.clone());
        let settings = AccountSettings::new(server_name!("haechi.example").to_owned());
        let accounts = Accounts::new(db.clone(), clock.clone(), settings, None);
        let users = accounts.users().clone();
        let key = haechi_rooms::signing_key(&db).await.unwrap();
        let name = accounts.server_name().to_owned();
        let rooms =
            Rooms::new(db.clone(), users.clone(), clock.clone(), name, key, CACHE_BYTES_MAX);
        let feed = mem::replace(db.feed(), mpsc::channel(1).1);
        let (closing, closed) = watch::channel(false);
        let push = Push::start(
            db.clone(),
            clock.clone(),
            accounts.clone(),
            rooms.clone(),
            PushSettings::STANDARD,
            closed.clone(),
        )
        .await
        .unwrap();
        tokio::spawn(rooms.clone().keep_search_index(closed.clone()));
        let presence = Presence::new(db.clone(), clock.clone(), false);
        let sync = Sync::start(
            &db,
            feed,
            rooms.clone(),
            accounts.clone(),
            presence.clone(),
            keys.clone(),
            clock.clone(),
            closed,
        );
        let folder = tempfile::tempdir().unwrap();
        let blob = Blob::folder(&folder.path().join("media")).unwrap();
        let media = Media::new(MediaConfig::new("haechi.example"), db.clone(), blob, clock.clone())
            .unwrap();
        let app = App::new(Handles {
            settings: Settings {
                public_base_url: "https://haechi.example".to_owned(),
                registration: RegistrationMode::Open,
                default_room_version: RoomVersion::V12,
                media_without_token: false,
                relays: None,
            },
            limiter: RateLimiter::off(),
            presence,
            accounts,
            rooms: rooms.clone(),
            keys,
            media,
            push,
            sync,
            filters: FilterCache::default(),
        });
        let router = Stack::new(router(app), &StackSettings::default());
        Self { router, txns: AtomicU64::new(0), rooms, _closing: closing, _db: db, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &Json) -> (u16, Json) {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("/_matrix/client{}", path.replace('#', "%23")));
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response =
            self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Asks without being logged in.
    pub(crate) async fn anybody(&self, path: &str) -> (u16, Json) {
        self.ask(Method::GET, path, "", &Json::Null).await
    }

    pub(crate) async fn register(&self, name: &str) -> Client<'_> {
        let body = json!({
            "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" },
        });
        let (status, answer) = self.ask(Method::POST, "/v3/register", "", &body).await;
        assert_eq!(status, 200, "{answer}");
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        Client { server: self, user: text("user_id"), token: text("access_token") }
    }
}

impl Client<'_> {
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        self.server.ask(method, path, &self.token, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        self.ok(Method::GET, path, Json::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Json {
        self.ok(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Json) -> Json {
        self.ok(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Json {
        self.ok(Method::DELETE, path, Json::Null).await
    }

    async fn ok(&self, method: Method, path: &str, body: Json) -> Json {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// What is refused, by status and code.
    pub(crate) async fn refused(&self, method: Method, path: &str, body: Json) -> (u16, String) {
        let (status, answer) = self.ask(method, path, body).await;
        (status, answer["errcode"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a room and returns its id.
    pub(crate) async fn create(&self, body: Json) -> String {
        let answer = self.post("/v3/createRoom", body).await;
        answer["room_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, room: &str) {
        self.post(&format!("/v3/join/{room}"), json!({})).await;
    }

    pub(crate) async fn send(&self, room: &str, kind: &str, content: Json) -> String {
        let txn = self.server.txns.fetch_add(1, Ordering::Relaxed);
        let answer = self.put(&format!("/v3/rooms/{room}/send/{kind}/{txn}"), content).await;
        answer["event_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn say(&self, room: &str, text: &str) -> String {
        self.send(room, "m.room.message", json!({ "msgtype": "m.text", "body": text })).await
    }

    pub(crate) async fn state(&self, room: &str, kind: &str, key: &str, content: Json) -> String {
        let path = format!("/v3/rooms/{room}/state/{kind}/{key}");
        let answer = self.put(&path, content).await;
        answer["event_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn redact(&self, room: &str, event: &str) {
        let txn = self.server.txns.fetch_add(1, Ordering::Relaxed);
        self.put(&format!("/v3/rooms/{room}/redact/{event}/{txn}"), json!({})).await;
    }

    pub(crate) async fn ignore(&self, users: &[&str]) {
        let ignored: serde_json::Map<String, Json> =
            users.iter().map(|user| ((*user).to_owned(), json!({}))).collect();
        let path = format!("/v3/user/{}/account_data/m.ignored_user_list", self.user);
        self.put(&path, json!({ "ignored_users": ignored })).await;
    }
}

/// The ids of a chunk of events.
pub(crate) fn ids(chunk: &Json) -> Vec<String> {
    let events = chunk.as_array().unwrap();
    events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}
