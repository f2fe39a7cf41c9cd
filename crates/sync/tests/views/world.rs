//! A server, the users of one history, and all their clients.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use haechi_accounts::{DeviceWish, Registration};
use haechi_api_client::RegistrationMode;
use haechi_base::UserNid;
use haechi_store::{Db, testing::TestDb};
use haechi_testkit::{Client, TestServer};
use serde_json::{Value as Json, json};
use tokio::sync::{Mutex, mpsc};

use crate::{
    classic::{Classic, Flavour},
    history::{At, Fate, Kind, Mark, Move, Of, ROOMS, Step, USERS, Words},
    sliding::Sliding,
};

/// A server and the users of one history on it.
pub(crate) struct World {
    db: TestDb,
    server: TestServer,
    /// Histories begun.
    histories: usize,
    users: Vec<Person>,
    rooms: StdMutex<Vec<String>>,
    /// Room and id of what was said.
    events: StdMutex<Vec<(String, String)>>,
    txns: AtomicUsize,
}

/// A user with clients of each kind, each on a device of its own.
struct Person {
    id: String,
    nid: UserNid,
    /// Tokens of the devices, in the order of [`DEVICES`].
    tokens: Vec<String>,
    classics: Vec<Mutex<Classic>>,
    sliding: Mutex<Sliding>,
    /// Messages sent to each of the devices.
    sent: StdMutex<Vec<String>>,
}

/// The first three speak `/sync`, the fourth sliding sync; the last looks at everything anew.
const DEVICES: [&str; 5] = ["PLAIN", "LAZY", "AFTER", "SLIDING", "MIRROR"];

impl World {
    pub(crate) async fn start(mut db: TestDb) -> Self {
        let server = serve(&mut db).await;
        Self {
            db,
            server,
            histories: 0,
            users: Vec::new(),
            rooms: StdMutex::default(),
            events: StdMutex::default(),
            txns: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn close(self) {
        self.server.close();
        self.db.close().await;
    }

    /// New users with two rooms.
    pub(crate) async fn begin(&mut self) {
        self.histories += 1;
        self.users.clear();
        self.rooms.lock().unwrap().clear();
        self.events.lock().unwrap().clear();
        for number in 0..USERS {
            let person = self.person(&format!("u{}x{number}", self.histories)).await;
            self.users.push(person);
        }
        let rooms = [Step::Create(0, Kind::Open), Step::Create(1, Kind::Closed)];
        self.play(&rooms).await;
        let join = Step::Member(At { user: 2, room: 0 }, Move::Join, 0);
        self.play(&[join]).await;
    }

    async fn person(&self, name: &str) -> Person {
        let accounts = &self.server.accounts;
        let wish = Registration { localpart: Some(name.to_owned()), ..Registration::default() };
        let (user_id, _) = accounts.register(wish).await.unwrap();
        let nid = accounts.users().nid_of(&user_id).await.unwrap();
        let mut tokens = Vec::new();
        for device in DEVICES {
            let wish = DeviceWish { device_id: Some(device.into()), ..DeviceWish::default() };
            let login = accounts.log_in(nid, user_id.clone(), &wish).await.unwrap();
            tokens.push(login.tokens.access);
        }
        let id = user_id.to_string();
        let client = |device: usize| self.server.client_with(&tokens[device]);
        let classics = Flavour::ALL.into_iter().enumerate();
        let classics =
            classics.map(|(number, flavour)| Mutex::new(Classic::new(client(number), flavour)));
        Person {
            classics: classics.collect(),
            sliding: Mutex::new(Sliding::new(client(3), &id, "list")),
            sent: StdMutex::default(),
            id,
            nid,
            tokens,
        }
    }

    /// Plays steps at the same time, but for those that concern the whole server.
    pub(crate) async fn play(&mut self, steps: &[Step]) {
        let (alone, together): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| {
            matches!(step, Step::Restart | Step::Keys(_) | Step::Ignore(..) | Step::Create(..))
        });
        join_all(together.into_iter().map(|step| self.step(step))).await;
        for step in alone {
            if matches!(step, Step::Restart) {
                self.restart().await;
            } else {
                self.step(step).await;
            }
        }
    }

    async fn restart(&mut self) {
        self.server.close();
        self.db.reopen().await;
        self.server = serve(&mut self.db).await;
        for user in &mut self.users {
            let client = |device: usize| self.server.client_with(&user.tokens[device]);
            for (number, classic) in user.classics.iter_mut().enumerate() {
                let classic = classic.get_mut();
                classic.client = client(number);
                classic.forget_typing();
            }
            let sliding = user.sliding.get_mut();
            sliding.client = client(3);
            sliding.forget_typing();
        }
    }

    fn actor(&self, user: usize) -> Client {
        self.server.client_with(&self.users[user].tokens[0])
    }

    fn room(&self, room: usize) -> Option<String> {
        self.rooms.lock().unwrap().get(room).cloned()
    }

    /// The `back`th event from the end of what was said in the room.
    fn event(&self, room: &str, back: usize) -> Option<String> {
        let events = self.events.lock().unwrap();
        let mut here = events.iter().rev().filter(|(other, _)| other == room);
        here.nth(back).map(|(_, event)| event.clone())
    }

    fn txn(&self) -> usize {
        self.txns.fetch_add(1, Ordering::Relaxed)
    }

    async fn step(&self, step: &Step) {
        match step {
            Step::Create(user, kind) => self.create(*user, *kind).await,
            Step::Say(at, words) => self.say(*at, *words).await,
            Step::Chatter(at, count) => {
                for _ in 0..*count {
                    self.say(*at, Words::Plain).await;
                }
            }
            Step::State(at, of, value) => self.state(*at, *of, *value).await,
            Step::Member(at, to, other) => self.member(*at, *to, *other).await,
            Step::Redact(at, event) => self.redact(*at, *event).await,
            Step::Read(at, event, mark) => self.read(*at, *event, *mark).await,
            Step::Sync(user, client, fate) => {
                self.users[*user].classics[*client].lock().await.sync(*fate).await;
            }
            Step::Slide(user, wish, fate) => {
                let mut client = self.users[*user].sliding.lock().await;
                if let Some(wish) = wish {
                    let rooms = self.rooms.lock().unwrap().clone();
                    client.wish(*wish, &rooms);
                }
                client.sync(*fate).await;
            }
            other => self.own(other).await,
        }
    }

    async fn create(&self, user: usize, kind: Kind) {
        if self.rooms.lock().unwrap().len() == ROOMS {
            return;
        }
        let visibility = |what: &str| json!({ "type": "m.room.history_visibility", "content": { "history_visibility": what } });
        let rule =
            |what: &str| json!({ "type": "m.room.join_rules", "content": { "join_rule": what } });
        let encryption = json!({ "type": "m.room.encryption",
                                 "content": { "algorithm": "m.megolm.v1.aes-sha2" } });
        let (version, state) = match kind {
            Kind::Open => ("12", vec![rule("public"), visibility("shared")]),
            Kind::Closed => ("10", vec![rule("knock"), visibility("joined")]),
            Kind::Encrypted => ("11", vec![rule("invite"), visibility("invited"), encryption]),
            Kind::Old => ("6", vec![rule("public"), visibility("joined")]),
        };
        let body = json!({
            "room_version": version, "initial_state": state, "preset": "public_chat",
            // Its id is made of nothing else that differs.
            "creation_content": { "org.example.number": self.txn() },
            "power_level_content_override": {
                "state_default": 0, "invite": 0, "redact": 50,
                "events": { "m.room.history_visibility": 0, "m.room.name": 0, "m.room.avatar": 0,
                            "m.room.encryption": 0 },
            },
        });
        let (status, answer) = self.actor(user).post("/v3/createRoom", body).await;
        assert_eq!(status, 200, "{answer}");
        let room = answer["room_id"].as_str().unwrap().to_owned();
        self.rooms.lock().unwrap().push(room);
    }

    /// Notes an event that was taken, and that what was not was refused in good order.
    fn done(&self, room: &str, (status, answer): (u16, Json)) {
        if let Some(event) = answer["event_id"].as_str() {
            self.events.lock().unwrap().push((room.to_owned(), event.to_owned()));
        }
        assert!(matches!(status, 200 | 400 | 403 | 404), "{status}: {answer}");
    }

    async fn send(&self, at: At, kind: &str, content: Json) {
        let Some(room) = self.room(at.room) else { return };
        let path = format!("/v3/rooms/{room}/send/{kind}/{}", self.txn());
        self.done(&room, self.actor(at.user).put(&path, content).await);
    }

    async fn say(&self, at: At, words: Words) {
        let Some(room) = self.room(at.room) else { return };
        let mut content = json!({ "msgtype": "m.text", "body": format!("word {}", self.txn()) });
        let target = match words {
            Words::Plain | Words::Mention(_) => None,
            Words::Thread(back) | Words::Edit(back) | Words::Reaction(back) => {
                let Some(event) = self.event(&room, back) else { return };
                Some(event)
            }
        };
        match words {
            Words::Plain => {}
            Words::Mention(user) => {
                content["m.mentions"] = json!({ "user_ids": [self.users[user].id] });
            }
            Words::Thread(_) => {
                content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": target });
            }
            Words::Edit(_) => {
                content["m.new_content"] = json!({ "msgtype": "m.text", "body": "new" });
                content["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": target });
            }
            Words::Reaction(_) => {
                let relation = json!({
                    "rel_type": "m.annotation", "event_id": target, "key": self.txn().to_string() });
                return self.send(at, "m.reaction", json!({ "m.relates_to": relation })).await;
            }
        }
        self.send(at, "m.room.message", content).await;
    }

    async fn state(&self, at: At, of: Of, value: usize) {
        let Some(room) = self.room(at.room) else { return };
        let name = ["", "one", "two"][value];
        let (kind, key, content) = match of {
            Of::Name => ("m.room.name", "", json!({ "name": name })),
            Of::Topic => ("m.room.topic", "", json!({ "topic": name })),
            Of::Avatar if value == 0 => ("m.room.avatar", "", json!({})),
            Of::Avatar => ("m.room.avatar", "", json!({ "url": format!("mxc://x/{name}") })),
            Of::Custom => ("org.example", ["a", "b", "c"][value], json!({ "n": self.txn() })),
            Of::Visibility => {
                let visibility = ["shared", "joined", "invited"][value];
                ("m.room.history_visibility", "", json!({ "history_visibility": visibility }))
            }
            Of::JoinRule => {
                let rule = ["public", "invite", "knock"][value];
                ("m.room.join_rules", "", json!({ "join_rule": rule }))
            }
            Of::Encryption => {
                ("m.room.encryption", "", json!({ "algorithm": "m.megolm.v1.aes-sha2" }))
            }
        };
        let path = format!("/v3/rooms/{room}/state/{kind}/{key}");
        self.done(&room, self.actor(at.user).put(&path, content).await);
    }

    async fn member(&self, at: At, to: Move, other: usize) {
        let Some(room) = self.room(at.room) else { return };
        let (path, body) = match to {
            Move::Join => ("join", json!({})),
            Move::Leave => ("leave", json!({})),
            Move::Forget => ("forget", json!({})),
            Move::Knock => {
                let path = format!("/v3/knock/{room}");
                return self.done(&room, self.actor(at.user).post(&path, json!({})).await);
            }
            Move::Invite => ("invite", json!({ "user_id": self.users[other].id })),
            Move::Kick => ("kick", json!({ "user_id": self.users[other].id })),
            Move::Ban => ("ban", json!({ "user_id": self.users[other].id })),
            Move::Unban => ("unban", json!({ "user_id": self.users[other].id })),
        };
        let path = format!("/v3/rooms/{room}/{path}");
        let answer = self.actor(at.user).post(&path, body).await;
        if matches!(to, Move::Forget) && answer.0 == 200 {
            // Not told to the user's other clients: they would forget it when asked to themselves.
            for client in &self.users[at.user].classics {
                client.lock().await.forget_room(&room);
            }
        }
        self.done(&room, answer);
    }

    async fn redact(&self, at: At, back: usize) {
        let Some(room) = self.room(at.room) else { return };
        let Some(event) = self.event(&room, back) else { return };
        let path = format!("/v3/rooms/{room}/redact/{event}/{}", self.txn());
        self.done(&room, self.actor(at.user).put(&path, json!({})).await);
    }

    async fn read(&self, at: At, back: usize, mark: Mark) {
        let Some(room) = self.room(at.room) else { return };
        let Some(event) = self.event(&room, back) else { return };
        let (kind, body) = match mark {
            Mark::Public => ("m.read", json!({})),
            Mark::Private => ("m.read.private", json!({})),
            Mark::FullyRead => ("m.fully_read", json!({})),
            Mark::Threaded => ("m.read", json!({ "thread_id": "main" })),
        };
        let path = format!("/v3/rooms/{room}/receipt/{kind}/{event}");
        self.done(&room, self.actor(at.user).post(&path, body).await);
    }

    /// What is of one user.
    async fn own(&self, step: &Step) {
        match step {
            Step::Typing(at, on) => {
                let Some(room) = self.room(at.room) else { return };
                let path = format!("/v3/rooms/{room}/typing/{}", self.users[at.user].id);
                let body = json!({ "typing": on, "timeout": 120_000 });
                self.done(&room, self.actor(at.user).put(&path, body).await);
            }
            Step::RoomData(at, key, value) => {
                self.room_data(
                    *at,
                    &format!("account_data/org.example.{key}"),
                    json!({ "v": value }),
                )
                .await;
            }
            Step::Tag(at, true) => {
                self.room_data(*at, "tags/u.fine", json!({ "order": 0.5 })).await;
            }
            Step::Tag(at, false) => {
                let Some(room) = self.room(at.room) else { return };
                let path = format!("/v3/user/{}/rooms/{room}/tags/u.fine", self.users[at.user].id);
                self.done(&room, self.actor(at.user).delete(&path, json!({})).await);
            }
            Step::Data(user, key, value) => {
                self.data(*user, &format!("org.example.{key}"), json!({ "v": value })).await;
            }
            Step::Direct(at) => {
                let Some(room) = self.room(at.room) else { return };
                self.data(at.user, "m.direct", json!({ "@somebody:x": [room] })).await;
            }
            Step::Mute(at, on) => {
                let Some(room) = self.room(at.room) else { return };
                let path = format!("/v3/pushrules/global/room/{room}");
                let actor = self.actor(at.user);
                self.done(
                    &room,
                    match on {
                        true => actor.put(&path, json!({ "actions": [] })).await,
                        false => actor.delete(&path, json!({})).await,
                    },
                );
            }
            Step::Ignore(user, other) => self.ignore(*user, *other).await,
            Step::Name(user, value) => {
                let path = format!("/v3/profile/{}/displayname", self.users[*user].id);
                let body = json!({ "displayname": format!("Name {value}") });
                let (status, answer) = self.actor(*user).put(&path, body).await;
                assert_eq!(status, 200, "{answer}");
            }
            Step::ToDevice(user, other) => self.to_device(*user, *other).await,
            Step::Keys(user) => self.keys(*user).await,
            Step::Presence(user, state) => {
                let path = format!("/v3/presence/{}/status", self.users[*user].id);
                let state = ["online", "unavailable", "offline"][*state];
                let (status, _) = self.actor(*user).put(&path, json!({ "presence": state })).await;
                assert_eq!(status, 200);
            }
            other => unreachable!("{other:?} is no such step"),
        }
    }

    async fn room_data(&self, at: At, what: &str, body: Json) {
        let Some(room) = self.room(at.room) else { return };
        let path = format!("/v3/user/{}/rooms/{room}/{what}", self.users[at.user].id);
        self.done(&room, self.actor(at.user).put(&path, body).await);
    }

    async fn data(&self, user: usize, kind: &str, body: Json) {
        let path = format!("/v3/user/{}/account_data/{kind}", self.users[user].id);
        let (status, answer) = self.actor(user).put(&path, body).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn ignore(&self, user: usize, other: Option<usize>) {
        let mut list = json!({});
        if let Some(other) = other.filter(|other| *other != user) {
            list[&self.users[other].id] = json!({});
        }
        self.data(user, "m.ignored_user_list", json!({ "ignored_users": list })).await;
        // What was hidden and is not any more is told to nobody: clients start anew.
        for client in &self.users[user].classics {
            let mut client = client.lock().await;
            // By that it says which messages to its device it has got.
            client.catch_up().await;
            client.reset();
        }
        self.users[user].sliding.lock().await.reset();
    }

    async fn to_device(&self, user: usize, other: usize) {
        let number = self.txn().to_string();
        let to = &self.users[other];
        let body = json!({ "messages": { &to.id: { "*": { "n": number } } } });
        let path = format!("/v3/sendToDevice/org.example/{number}");
        let (status, answer) = self.actor(user).put(&path, body).await;
        assert_eq!(status, 200, "{answer}");
        to.sent.lock().unwrap().push(number);
    }

    async fn share_a_room(&self, one: &Person, other: &Person) -> bool {
        self.server.rooms.share_a_room(one.nid, other.nid).await.unwrap()
    }

    async fn keys(&self, user: usize) {
        let (id, device) = (&self.users[user].id, DEVICES[0]);
        let key = format!("key{}", self.txn());
        let keys = json!({
            "user_id": id, "device_id": device, "algorithms": ["m.megolm.v1.aes-sha2"],
            "keys": { format!("ed25519:{device}"): key }, "signatures": { id: {} },
        });
        for other in &self.users {
            if !self.share_a_room(&self.users[user], other).await {
                continue;
            }
            for client in &other.classics {
                client.lock().await.owed.insert(id.clone());
            }
            other.sliding.lock().await.owed.insert(id.clone());
        }
        let body = json!({ "device_keys": keys });
        let (status, answer) = self.actor(user).post("/v3/keys/upload", body).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Everybody hears all there is; then all must see what a newcomer sees.
    pub(crate) async fn check(&self) {
        for user in &self.users {
            for classic in &user.classics {
                classic.lock().await.catch_up().await;
            }
            user.sliding.lock().await.catch_up().await;
        }
        for user in &self.users {
            self.check_user(user).await;
        }
    }

    async fn check_user(&self, user: &Person) {
        let mirror = self.server.client_with(&user.tokens[4]);
        let fresh = async |flavour: Flavour| {
            let mut fresh = Classic::new(mirror.clone(), flavour);
            fresh.sync(Fate::Heard).await;
            fresh
        };
        let plain = fresh(Flavour::Plain).await;
        plain.view.check_truth(&mirror).await;
        fresh(Flavour::After).await.view.check_truth(&mirror).await;
        let mut sent = user.sent.lock().unwrap().clone();
        sent.sort();
        for classic in &user.classics {
            let mut classic = classic.lock().await;
            let who = format!("{} {:?}", user.id, classic.flavour);
            let fresh = fresh(classic.flavour).await;
            classic.hear_typing(&fresh).await;
            classic.view.check(&fresh, &plain.view, &who).await;
            assert_eq!(sorted(&classic.to_device), sent, "messages to {who}");
            self.check_owed(user, &classic.owed, &who).await;
        }
        let mut sliding = user.sliding.lock().await;
        let mut fresh = Sliding::like(mirror, &sliding);
        fresh.sync(Fate::Heard).await;
        sliding.hear_typing(&fresh).await;
        sliding.check(&fresh);
        let who = format!("{}, sliding", user.id);
        assert_eq!(sorted(&sliding.to_device), sent, "messages to {who}");
        self.check_owed(user, &sliding.owed, &who).await;
    }

    /// Fails when a client was not told that somebody has new keys whom it still has to do with.
    async fn check_owed(&self, user: &Person, owed: &BTreeSet<String>, who: &str) {
        for other in self.users.iter().filter(|other| owed.contains(&other.id)) {
            let matters = self.share_a_room(user, other).await;
            assert!(!matters, "{who} does not know of new keys of {}", other.id);
        }
    }
}

fn sorted(texts: &[String]) -> Vec<String> {
    let once: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(once.len(), texts.len(), "told twice: {texts:?}");
    once.into_iter().cloned().collect()
}

async fn serve(db: &mut TestDb) -> TestServer {
    let feed = std::mem::replace(db.feed(), mpsc::channel(1).1);
    let folder = tempfile::tempdir().unwrap();
    TestServer::over(Db::clone(db), feed, RegistrationMode::Open, folder).await
}
