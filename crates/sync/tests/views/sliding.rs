//! A client that speaks simplified sliding sync.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use haechi_testkit::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::{
    classic::{TYPING_ROUNDS_MAX, receipts},
    history::{Fate, ROOMS, Wish},
    timeline::{Key, Known, Timeline, list, state_key, text},
};

/// Fields of a room that stay as they are until they are told anew.
const FIELDS: [&str; 5] =
    ["bump_stamp", "heroes", "invited_count", "joined_count", "notification_count"];

/// State that is asked for when not all of it is.
const SOME_STATE: [(&str, &str); 6] = [
    ("m.room.name", ""),
    ("m.room.topic", ""),
    ("m.room.encryption", ""),
    ("m.room.member", "$LAZY"),
    ("m.room.member", "$ME"),
    ("org.example", "*"),
];

/// A client and what it has been told.
pub(crate) struct Sliding {
    pub(crate) client: Client,
    user: String,
    name: &'static str,
    pos: Option<String>,
    to_device_since: Option<String>,
    window: usize,
    limit: usize,
    all_state: bool,
    subscriptions: BTreeMap<String, usize>,
    view: View,
    pub(crate) to_device: Vec<String>,
    /// Whose new keys it has not heard of.
    pub(crate) owed: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct View {
    rooms: BTreeMap<String, Room>,
    count: u64,
    data: BTreeMap<String, Json>,
    room_data: BTreeMap<String, BTreeMap<String, Json>>,
    receipts: BTreeMap<String, BTreeMap<(String, String, String), String>>,
    typing: BTreeMap<String, Json>,
}

#[derive(Clone, Debug, Default)]
struct Room {
    fields: BTreeMap<&'static str, Json>,
    highlights: Json,
    name: Json,
    avatar: Json,
    timeline: Timeline,
    state: BTreeMap<Key, Json>,
    is_invitation: bool,
}

impl Sliding {
    pub(crate) fn new(client: Client, user: &str, name: &'static str) -> Self {
        Self {
            client,
            user: user.to_owned(),
            name,
            pos: None,
            to_device_since: None,
            window: 1,
            limit: 1,
            all_state: false,
            subscriptions: BTreeMap::new(),
            view: View::default(),
            to_device: Vec::new(),
            owed: BTreeSet::new(),
        }
    }

    /// Asks for as much as the other.
    pub(crate) fn like(client: Client, other: &Self) -> Self {
        let mut new = Self::new(client, &other.user, "fresh");
        new.window = ROOMS + 9;
        new.limit = other.limit;
        new.all_state = other.all_state;
        new
    }

    /// Starts anew, but for the messages to the device.
    pub(crate) fn reset(&mut self) {
        self.pos = None;
        self.view = View::default();
    }

    /// Nobody is known to be typing any more: the server has forgotten it.
    pub(crate) fn forget_typing(&mut self) {
        self.view.typing.clear();
    }

    pub(crate) fn wish(&mut self, wish: Wish, rooms: &[String]) {
        match wish {
            Wish::Window(rooms) => self.window = rooms,
            Wish::Limit(limit) => self.limit = limit,
            Wish::AllState(on) => self.all_state = on,
            Wish::Subscribe(room, limit) => {
                if let Some(room) = rooms.get(room) {
                    self.subscriptions.insert(room.clone(), limit);
                }
            }
            Wish::Unsubscribe(room) => {
                rooms.get(room).and_then(|room| self.subscriptions.remove(room));
            }
        }
    }

    fn body(&self) -> Json {
        let state = if self.all_state { json!([["*", "*"]]) } else { json!(SOME_STATE) };
        let window = self.window.checked_sub(1).map(|last| json!([[0, last]]));
        let list = json!({
            "ranges": window.unwrap_or_else(|| json!([])),
            "timeline_limit": self.limit, "required_state": state,
        });
        let subscriptions: BTreeMap<_, _> = self
            .subscriptions
            .iter()
            .map(|(room, limit)| {
                (room, json!({ "timeline_limit": limit, "required_state": [["*", "*"]] }))
            })
            .collect();
        let mut to_device = json!({ "enabled": true, "limit": 2 });
        if let Some(since) = &self.to_device_since {
            to_device["since"] = since.as_str().into();
        }
        let on = json!({ "enabled": true });
        json!({
            "conn_id": self.name, "lists": { "all": list }, "room_subscriptions": subscriptions,
            "extensions": {
                "to_device": to_device, "e2ee": on, "account_data": on, "receipts": on,
                "typing": on,
            },
        })
    }

    /// Asks once. Says whether there was anything.
    pub(crate) async fn sync(&mut self, fate: Fate) -> bool {
        let mut path =
            "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0&set_presence=offline"
                .to_owned();
        if let Some(pos) = &self.pos {
            path += "&pos=";
            path.extend(utf8_percent_encode(pos, NON_ALPHANUMERIC));
        }
        let (status, answer) = self.client.post(&path, self.body()).await;
        if status == 400 && answer["errcode"] == "M_UNKNOWN_POS" {
            assert!(self.pos.is_some(), "a new connection is not known: {answer}");
            self.reset();
            return true;
        }
        assert_eq!(status, 200, "{answer}");
        if fate != Fate::Lost {
            self.apply(&answer).await;
        }
        let extensions = &answer["extensions"];
        let parts = ["account_data", "receipts", "typing"];
        answer["rooms"] != json!({})
            || parts.iter().any(|part| extensions.get(part).is_some())
            || !list(&extensions["to_device"]["events"]).is_empty()
            || extensions["e2ee"].get("device_lists").is_some()
    }

    /// Asks until it sees the same users typing as `fresh`. Typing is told soon, but not at once.
    pub(crate) async fn hear_typing(&mut self, fresh: &Self) {
        for _ in 0..TYPING_ROUNDS_MAX {
            let mut rooms = self.view.rooms.keys();
            if rooms.all(|id| self.view.typing_in(id) == fresh.view.typing_in(id)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.sync(Fate::Heard).await;
        }
    }

    /// Asks for all rooms until there is nothing new.
    pub(crate) async fn catch_up(&mut self) {
        self.window = ROOMS + 9;
        let mut rounds = 0;
        while self.sync(Fate::Heard).await {
            rounds += 1;
            assert!(rounds < 40, "there is always something new");
        }
    }

    async fn apply(&mut self, answer: &Json) {
        if self.pos.replace(text(answer, "pos").to_owned()).is_none() {
            self.owed.clear();
        }
        self.view.count = answer["lists"]["all"]["count"].as_u64().expect("a count");
        for (id, told) in answer["rooms"].as_object().into_iter().flatten() {
            let mut room = self.view.rooms.remove(id).unwrap_or_default();
            room.take(&self.client, id, told).await;
            if !room.has_left(&self.user) {
                self.view.rooms.insert(id.clone(), room);
            }
        }
        self.apply_extensions(&answer["extensions"]);
    }

    fn apply_extensions(&mut self, told: &Json) {
        let to_device = &told["to_device"];
        self.to_device_since = Some(text(to_device, "next_batch").to_owned());
        for event in list(&to_device["events"]) {
            self.to_device.push(text(&event["content"], "n").to_owned());
        }
        for user in list(&told["e2ee"]["device_lists"]["changed"]) {
            user.as_str().and_then(|user| self.owed.take(user));
        }
        let put = |data: &mut BTreeMap<String, Json>, events: &Json| {
            for event in list(events) {
                data.insert(text(event, "type").to_owned(), event["content"].clone());
            }
        };
        let view = &mut self.view;
        put(&mut view.data, &told["account_data"]["global"]);
        for (room, events) in told["account_data"]["rooms"].as_object().into_iter().flatten() {
            put(view.room_data.entry(room.clone()).or_default(), events);
        }
        for (room, event) in told["receipts"]["rooms"].as_object().into_iter().flatten() {
            view.receipts.entry(room.clone()).or_default().extend(receipts(&event["content"]));
        }
        for (room, event) in told["typing"]["rooms"].as_object().into_iter().flatten() {
            let mut users: Vec<&str> =
                list(&event["content"]["user_ids"]).iter().filter_map(Json::as_str).collect();
            users.sort_unstable();
            view.typing.insert(room.clone(), json!(users));
        }
    }

    /// Holds against a new connection that asks for the same.
    pub(crate) fn check(&self, fresh: &Self) {
        let (view, other, who) = (&self.view, &fresh.view, &self.user);
        let ids = |view: &View| view.rooms.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(view), ids(other), "rooms of {who}, sliding");
        assert_eq!(view.count, other.count, "length of the list of {who}");
        assert_eq!(view.count, other.rooms.len() as u64, "length of the list of {who}");
        assert_eq!(view.data, other.data, "account data of {who}, sliding");
        let ignores = view.data.get("m.ignored_user_list");
        let ignores = ignores.is_some_and(|list| list["ignored_users"] != json!({}));
        for (id, room) in &view.rooms {
            let at = format!("{id} for {who}, sliding");
            let fresh_room = &other.rooms[id];
            let loose = if ignores {
                room.timeline.differently_redacted(&fresh_room.timeline)
            } else {
                BTreeSet::new()
            };
            room.check(fresh_room, &loose, &at);
            if room.is_invitation {
                continue;
            }
            assert_eq!(view.room_data.get(id), other.room_data.get(id), "account data of {at}");
            assert_eq!(view.typing_in(id), other.typing_in(id), "typing in {at}");
            // A newcomer hears only of the receipts of what it is shown.
            let told = view.receipts.get(id).cloned().unwrap_or_default();
            for (key, event) in other.receipts.get(id).into_iter().flatten() {
                assert_eq!(told.get(key), Some(event), "receipt {key:?} of {at}");
            }
        }
    }
}

impl View {
    fn typing_in(&self, room: &str) -> &[Json] {
        self.typing.get(room).map_or(&[], list)
    }
}

impl Room {
    async fn take(&mut self, client: &Client, id: &str, told: &Json) {
        let is_initial = told["initial"] == true;
        if is_initial {
            *self = Self::default();
        }
        for field in FIELDS {
            if let Some(value) = told.get(field) {
                self.fields.insert(field, value.clone());
            }
        }
        self.highlights = told["highlight_count"].clone();
        for (field, place) in [("name", &mut self.name), ("avatar", &mut self.avatar)] {
            if let Some(value) = told.get(field) {
                *place = value.clone();
            }
        }
        self.is_invitation = told.get("invite_state").is_some();
        if self.is_invitation {
            return;
        }
        let is_grown = told["unstable_expanded_timeline"] == true;
        if is_grown {
            self.timeline = Timeline::default();
        }
        let whole = is_initial || is_grown || told["limited"] == true;
        let gap = whole.then(|| told["prev_batch"].as_str()).flatten();
        let events = list(&told["timeline"]);
        assert!(gap.is_some() || told["limited"] != true, "no way to fill the gap: {told}");
        self.timeline.extend(client, id, events, gap, Known::MustNot).await;
        for event in events.iter().chain(list(&told["required_state"])) {
            if let Some(key) = state_key(event) {
                self.state.insert(key, event.clone());
            }
        }
    }

    fn has_left(&self, user: &str) -> bool {
        let own = self.state.get(&("m.room.member".to_owned(), user.to_owned()));
        let membership = own.map_or("", |event| text(&event["content"], "membership"));
        !self.is_invitation && (membership == "leave" || membership == "ban")
    }

    fn check(&self, fresh: &Self, loose: &BTreeSet<String>, at: &str) {
        assert_eq!(self.is_invitation, fresh.is_invitation, "invitation to {at}");
        for (field, value) in &fresh.fields {
            assert_eq!(self.fields.get(field), Some(value), "{field} of {at}");
        }
        if self.is_invitation {
            return;
        }
        assert_eq!(self.highlights, fresh.highlights, "highlights of {at}");
        assert_eq!(self.name, fresh.name, "name of {at}");
        assert_eq!(self.avatar, fresh.avatar, "avatar of {at}");
        self.timeline.check(&fresh.timeline, loose, at);
        for (key, event) in &fresh.state {
            let told = self.state.get(key).map(|told| self.timeline.shown_event(told, loose));
            // Members come when they are needed: a newcomer may need others.
            if told.is_some() || key.0 != "m.room.member" {
                let event = Some(self.timeline.shown_event(event, loose));
                assert_eq!(told, event, "{key:?} of {at}");
            }
        }
        for sender in &self.timeline.senders {
            let key = ("m.room.member".to_owned(), sender.clone());
            assert!(self.state.contains_key(&key), "{sender} spoke in {at} and is not known");
        }
    }
}
