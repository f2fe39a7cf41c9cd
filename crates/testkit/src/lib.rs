//! A whole server inside a test, asked through the router as clients ask it: on an SQLite database
//! of its own, or on any other.

mod client;

use std::{num::NonZeroUsize, sync::Arc};

use haechi_accounts::{AccountSettings, Accounts, DeviceHooks, Presence, Users};
use haechi_api_client::{App, FilterCache, Handles, RegistrationMode, Settings};
use haechi_api_services::{RoomCards, Services};
use haechi_base::Clock;
use haechi_blob::Blob;
use haechi_http::{RateLimiter, Stack, StackSettings};
use haechi_keys::Keys;
use haechi_ledger::{Ledger, LedgerId};
use haechi_matrix::RoomVersion;
use haechi_media::{Media, MediaConfig};
use haechi_pay::{Currency, Limits, Pay};
use haechi_push::{Push, PushSettings, PusherHooks};
use haechi_rooms::Rooms;
use haechi_store::{Commit, Db, DbConfig, Schema};
use haechi_sync::Sync;
use ruma::server_name;
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, watch};

pub use client::{Answer, Client};

/// The name of the server of every test.
pub const SERVER_NAME: &str = "haechi.example";

/// The password of everybody whom [`TestServer::register`] makes.
pub const PASSWORD: &str = "correct horse";

/// A server without a network.
pub struct TestServer {
    /// Its endpoints with all layers around them.
    pub router: Stack,
    /// Its database.
    pub db: Db,
    /// Its users.
    pub accounts: Accounts,
    /// Its keys.
    pub keys: Keys,
    /// Its rooms.
    pub rooms: Rooms,
    /// Its pushers.
    pub push: Push,
    /// Its ledgers.
    pub ledger: Ledger,
    /// Its payments, in won.
    pub pay: Pay,
    close: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// The tables of all that the server holds.
pub const SCHEMAS: [&Schema; 7] = [
    &haechi_accounts::SCHEMA,
    &haechi_keys::SCHEMA,
    &haechi_rooms::SCHEMA,
    &haechi_media::SCHEMA,
    &haechi_push::SCHEMA,
    &haechi_ledger::SCHEMA,
    &haechi_pay::SCHEMA,
];

fn payments(db: &Db, ledger: &Ledger, clock: Clock, rooms: &Rooms, users: Users) -> Pay {
    let cards = Arc::new(RoomCards::new(rooms.clone(), users));
    Pay::new(db.clone(), ledger.clone(), clock, pay_settings(), cards)
}

fn services(pay: &Pay, accounts: &Accounts, rooms: &Rooms) -> axum::Router {
    haechi_api_services::router(Services {
        pay: pay.clone(),
        accounts: accounts.clone(),
        rooms: rooms.clone(),
        limiter: RateLimiter::off(),
    })
}

/// Won, which go back after a day.
fn pay_settings() -> haechi_pay::Settings {
    let limits =
        Limits { payment: 1_000_000, day: 2_000_000, month: 20_000_000, balance: 5_000_000 };
    let won = Currency { code: "KRW".to_owned(), ledger: LedgerId(410), digits: 0, limits };
    haechi_pay::Settings {
        currencies: vec![won],
        return_after_s: 86_400,
        pin_tries_max: 5,
        pin_lock: std::time::Duration::from_mins(30),
    }
}

impl TestServer {
    /// Starts a server on the machine's clock.
    ///
    /// # Panics
    /// When anything goes wrong.
    pub async fn start(registration: RegistrationMode) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("haechi.db");
        let config = DbConfig::Sqlite { path, readers: NonZeroUsize::MIN };
        let (db, feed) = Db::open(&config, &SCHEMAS).await.expect("a database");
        Self::over(db, feed, registration, folder).await
    }

    /// Starts a server on this database; what is no row lies in `folder`.
    ///
    /// # Panics
    /// When anything goes wrong.
    pub async fn over(
        db: Db,
        feed: mpsc::Receiver<Commit>,
        registration: RegistrationMode,
        folder: tempfile::TempDir,
    ) -> Self {
        let clock = Clock::System;
        let keys = Keys::new(db.clone(), clock.clone());
        let hooks: Arc<dyn DeviceHooks> = Arc::new(PusherHooks::beside(Arc::new(keys.clone())));
        let settings = AccountSettings::new(server_name!("haechi.example").to_owned());
        let accounts = Accounts::new(db.clone(), clock.clone(), settings, Some(hooks));
        let users = accounts.users().clone();
        let key = haechi_rooms::signing_key(&db).await.expect("a key");
        let server_name = accounts.server_name().to_owned();
        let rooms =
            Rooms::new(db.clone(), users.clone(), clock.clone(), server_name, key, 64 << 20);
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
        .expect("push");
        let blob = Blob::folder(&folder.path().join("media")).expect("a folder for media");
        let media = MediaConfig::new("haechi.example");
        let media = Media::new(media, db.clone(), blob, clock.clone()).expect("media");
        let presence = Presence::new(db.clone(), clock.clone(), true);
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
                public_base_url: "https://chat.haechi.example".to_owned(),
                registration,
                default_room_version: RoomVersion::V12,
                media_without_token: false,
                relays: None,
            },
            limiter: RateLimiter::off(),
            accounts: accounts.clone(),
            presence,
            rooms: rooms.clone(),
            keys: keys.clone(),
            media,
            push: push.clone(),
            sync,
            filters: FilterCache::default(),
        });
        let ledger = Ledger::new(db.clone(), clock.clone());
        let pay = payments(&db, &ledger, clock, &rooms, users);
        let services = services(&pay, &accounts, &rooms);
        let router = haechi_api_client::router(app).merge(services);
        let router = Stack::new(router, &StackSettings::default());
        Self { router, db, accounts, keys, rooms, push, ledger, pay, close, _folder: folder }
    }

    /// A server with open registration, and the user mina on it.
    pub async fn with_mina() -> (Self, Client) {
        let server = Self::start(RegistrationMode::Open).await;
        let mina = server.register("mina").await;
        (server, mina)
    }

    /// Makes an account and logs it in on the device `PHONE`.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn register(&self, name: &str) -> Client {
        let body = json!({ "username": name, "password": PASSWORD, "device_id": "PHONE",
                           "auth": { "type": "m.login.dummy" } });
        let (status, answer) = self.anybody().post("/v3/register", body).await;
        assert_eq!(status, 200, "{answer}");
        self.client(&answer)
    }

    /// Ends what runs in the background and answers whoever waits. The database stays open.
    pub fn close(&self) {
        self.close.send_replace(true);
    }

    /// A client that is not logged in.
    pub fn anybody(&self) -> Client {
        Client::new(self.router.clone(), None)
    }

    /// The client that got this answer from a login.
    ///
    /// # Panics
    /// When the answer holds no token.
    pub fn client(&self, login: &Json) -> Client {
        self.client_with(login["access_token"].as_str().expect("an access token"))
    }

    /// The client that holds this access token.
    pub fn client_with(&self, token: &str) -> Client {
        Client::new(self.router.clone(), Some(token.to_owned()))
    }
}
