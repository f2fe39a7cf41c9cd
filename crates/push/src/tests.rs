//! What holds for all of this, on a real database.

mod counts;
mod delivery;
mod gateway;
mod listing;

use std::{path::Path, sync::Arc, time::Duration};

use haechi_accounts::{AccountSettings, Accounts, DeviceWish, Registration, SCHEMA as ACCOUNTS};
use haechi_base::{Clock, Millis, UserNid};
use haechi_matrix::{RoomVersion, SigningKey};
use haechi_rooms::{Actor, MemberProfile, NewEvent, NewRoom, Room, Rooms, SCHEMA as ROOMS};
use haechi_store::{
    Db,
    testing::{TestDb, sqlite_config},
};
use ruma::{
    OwnedEventId, OwnedUserId, api::client::room::create_room::v3::RoomPreset,
    events::TimelineEventType, server_name,
};
use serde_json::{Map, Value as Json, json};
use tokio::sync::{mpsc, watch};

use crate::{Push, PushSettings, SCHEMA};

/// A server without HTTP.
pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) rooms: Rooms,
    pub(crate) push: Push,
    closing: watch::Sender<bool>,
}

impl World {
    pub(crate) async fn open(folder: &Path) -> Self {
        let schemas = [&ACCOUNTS, &ROOMS, &SCHEMA];
        Self::over(TestDb::open(sqlite_config(folder), &schemas).await.unwrap()).await
    }

    /// A server on this database.
    pub(crate) async fn over(test_db: TestDb) -> Self {
        Self::at(test_db, Clock::manual(Millis(1_700_000_000_000))).await
    }

    async fn at(mut test_db: TestDb, clock: Clock) -> Self {
        let db = Db::clone(&test_db);
        let mut feed = std::mem::replace(test_db.feed(), mpsc::channel(1).1);
        let name = server_name!("haechi.example").to_owned();
        let settings = AccountSettings::new(name.clone());
        let accounts = Accounts::new(db.clone(), clock.clone(), settings, None);
        let key = SigningKey::generate_text("1").unwrap();
        let key = Arc::new(SigningKey::from_text(&key).unwrap());
        let users = accounts.users().clone();
        let rooms = Rooms::new(db.clone(), users, clock.clone(), name, key, 64 << 20);
        let (closing, closed) = watch::channel(false);
        let settings = PushSettings {
            allow_private_addresses: true,
            retry_after: Duration::from_millis(20),
            ..PushSettings::STANDARD
        };
        let push = Push::start(
            db.clone(),
            clock.clone(),
            accounts.clone(),
            rooms.clone(),
            settings,
            closed,
        );
        let push = push.await.unwrap();
        let hearing = push.clone();
        tokio::spawn(async move {
            while let Some(commit) = feed.recv().await {
                hearing.on_commit(&commit);
            }
        });
        Self { db: test_db, clock, accounts, rooms, push, closing }
    }

    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        self.db.close().await;
    }

    /// Stops in good order and starts again.
    pub(crate) async fn restarted(mut self) -> Self {
        self.closing.send_replace(true);
        self.db.reopen().await;
        Self::at(self.db, self.clock).await
    }

    /// Is killed in the middle of everything and starts again.
    pub(crate) async fn killed(mut self) -> Self {
        self.db.crash().await;
        self.closing.send_replace(true);
        Self::at(self.db, self.clock).await
    }

    pub(crate) async fn user(&self, name: &str) -> Actor {
        let wish = Registration { localpart: Some(name.to_owned()), ..Registration::default() };
        let (user_id, _) = self.accounts.register(wish).await.unwrap();
        let nid = self.accounts.users().nid_of(&user_id).await.unwrap();
        let wish = DeviceWish { device_id: Some("D".into()), ..DeviceWish::default() };
        self.accounts.log_in(nid, user_id.clone(), &wish).await.unwrap();
        Actor { nid, user_id, device: Some("D".into()) }
    }

    /// A public room that all of them have joined; the first one made it.
    pub(crate) async fn room(&self, members: &[Actor]) -> Arc<Room> {
        let (creator, others) = members.split_first().unwrap();
        // The id of a room comes from its first event, in which nothing else differs.
        self.clock.advance(Duration::from_millis(1));
        let mut new = new_room(RoomPreset::PublicChat);
        new.profile.displayname = Some(name(creator));
        let room = self.rooms.create(creator, new).await.unwrap();
        for other in others {
            self.join(&room, other).await;
        }
        room
    }

    pub(crate) async fn join(&self, room: &Arc<Room>, user: &Actor) {
        let profile = MemberProfile { displayname: Some(name(user)), avatar_url: None };
        self.rooms.join(room, user, &profile, None, Map::new()).await.unwrap();
    }

    pub(crate) async fn say(&self, room: &Arc<Room>, user: &Actor, content: Json) -> OwnedEventId {
        self.send(room, user, "m.room.message", content).await
    }

    pub(crate) async fn send(
        &self,
        room: &Arc<Room>,
        user: &Actor,
        kind: &str,
        content: Json,
    ) -> OwnedEventId {
        let event = NewEvent::message(TimelineEventType::from(kind), content.to_string());
        self.rooms.append(room, user, event, None).await.unwrap()
    }
}

pub(crate) fn new_room(preset: RoomPreset) -> NewRoom {
    NewRoom {
        version: RoomVersion::V12,
        preset,
        published: false,
        alias: None,
        creation_content: Map::new(),
        power_levels: Map::new(),
        initial_state: Vec::new(),
        name: None,
        topic: None,
        invite: Vec::new(),
        is_direct: false,
        profile: MemberProfile::default(),
    }
}

pub(crate) fn name(user: &Actor) -> String {
    user.user_id.localpart().to_owned()
}

pub(crate) fn text(body: &str) -> Json {
    json!({ "msgtype": "m.text", "body": body })
}

pub(crate) fn mention(users: &[&OwnedUserId]) -> Json {
    json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": users } })
}

pub(crate) type Unread = (i64, i64);
