//! A client that speaks `/sync`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use haechi_testkit::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::{
    history::Fate,
    timeline::{Key, Known, Timeline, list, state_key, text},
};

/// How often a client asks who is typing before that counts as wrong.
pub(crate) const TYPING_ROUNDS_MAX: usize = 500;

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// As it comes.
    Plain,
    /// Members as they are needed; counts by thread.
    Lazy,
    /// State as of the end of a short timeline.
    After,
}

impl Flavour {
    pub(crate) const ALL: [Self; crate::history::CLASSICS] = [Self::Plain, Self::Lazy, Self::After];

    fn query(self) -> String {
        let filter = match self {
            Self::Plain => json!({ "room": { "include_leave": true } }),
            Self::Lazy => json!({ "room": {
                "state": { "lazy_load_members": true },
                "timeline": {
                    "lazy_load_members": true, "limit": 4, "unread_thread_notifications": true,
                },
            } }),
            Self::After => json!({ "room": { "timeline": { "limit": 2 } } }),
        };
        let filter = filter.to_string();
        let filter = utf8_percent_encode(&filter, NON_ALPHANUMERIC);
        let after = if self == Self::After { "&use_state_after=true" } else { "" };
        // Asking must not change what is asked for.
        format!("/v3/sync?timeout=0&set_presence=offline&filter={filter}{after}")
    }
}

/// A client and what it has been told.
pub(crate) struct Classic {
    pub(crate) client: Client,
    pub(crate) flavour: Flavour,
    since: Option<String>,
    pub(crate) view: View,
    pub(crate) to_device: Vec<String>,
    /// Whose new keys it has not heard of.
    pub(crate) owed: BTreeSet<String>,
}

/// What a client shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    joined: BTreeMap<String, Room>,
    /// By room: who invited.
    invited: BTreeMap<String, String>,
    knocked: BTreeSet<String>,
    left: BTreeMap<String, Room>,
    data: BTreeMap<String, Json>,
    /// Of those who are there.
    presence: BTreeMap<String, String>,
}

/// One room as a client shows it.
#[derive(Clone, Debug, Default)]
struct Room {
    timeline: Timeline,
    state: BTreeMap<Key, Json>,
    data: BTreeMap<String, Json>,
    receipts: BTreeMap<(String, String, String), String>,
    typing: BTreeSet<String>,
    unread: Json,
    threads: BTreeMap<String, Json>,
    summary: BTreeMap<String, Json>,
    /// Was the user in it when the client heard of it?
    was_joined: bool,
}

impl Classic {
    pub(crate) fn new(client: Client, flavour: Flavour) -> Self {
        let (to_device, owed) = (Vec::new(), BTreeSet::new());
        Self { client, flavour, since: None, view: View::default(), to_device, owed }
    }

    /// Starts anew, as after a change of whom the user ignores.
    pub(crate) fn reset(&mut self) {
        self.since = None;
        self.view = View::default();
    }

    /// Nobody is known to be typing any more: the server has forgotten it.
    pub(crate) fn forget_typing(&mut self) {
        self.view.joined.values_mut().for_each(|room| room.typing.clear());
    }

    pub(crate) fn forget_room(&mut self, room: &str) {
        self.view.left.remove(room);
    }

    /// Asks once. Says whether there was anything.
    pub(crate) async fn sync(&mut self, fate: Fate) -> bool {
        let mut path = self.flavour.query();
        if let Some(since) = &self.since {
            path.extend(["&since=", since]);
            if fate == Fate::Full {
                path += "&full_state=true";
            }
        }
        let (status, answer) = self.client.get(&path).await;
        assert_eq!(status, 200, "{answer}");
        let has_news = ["rooms", "to_device", "account_data", "device_lists", "presence"]
            .iter()
            .any(|part| answer.get(part).is_some());
        if fate != Fate::Lost {
            self.apply(&answer).await;
        }
        has_news
    }

    /// Asks until it sees the same users typing as `fresh`. Typing is told soon, but not at once.
    pub(crate) async fn hear_typing(&mut self, fresh: &Self) {
        let typing = |view: &View| -> Vec<BTreeSet<String>> {
            view.joined.values().map(|room| room.typing.clone()).collect()
        };
        for _ in 0..TYPING_ROUNDS_MAX {
            if typing(&self.view) == typing(&fresh.view) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.sync(Fate::Heard).await;
        }
    }

    /// Asks until there is nothing new.
    pub(crate) async fn catch_up(&mut self) {
        let mut rounds = 0;
        while self.sync(Fate::Heard).await {
            rounds += 1;
            assert!(rounds < 20, "there is always something new");
        }
    }

    async fn apply(&mut self, answer: &Json) {
        if self.since.replace(text(answer, "next_batch").to_owned()).is_none() {
            self.owed.clear();
        }
        let entries = |kind: &str| answer["rooms"][kind].as_object().cloned().unwrap_or_default();
        for (id, told) in entries("join") {
            self.joined(&id, &told).await;
        }
        for (id, told) in entries("invite") {
            self.view.drop_room(&id);
            let events = list(&told["invite_state"]["events"]);
            let own = events.iter().rfind(|event| text(event, "type") == "m.room.member");
            let inviter = own.map_or("", |event| text(event, "sender")).to_owned();
            self.view.invited.insert(id, inviter);
        }
        for (id, _) in entries("knock") {
            self.view.drop_room(&id);
            self.view.knocked.insert(id);
        }
        for (id, told) in entries("leave") {
            self.left(&id, &told).await;
        }
        for event in list(&answer["account_data"]["events"]) {
            self.view.data.insert(text(event, "type").to_owned(), event["content"].clone());
        }
        for event in list(&answer["presence"]["events"]) {
            let (user, state) = (text(event, "sender"), text(&event["content"], "presence"));
            match state {
                "offline" => self.view.presence.remove(user),
                _ => self.view.presence.insert(user.to_owned(), state.to_owned()),
            };
        }
        for event in list(&answer["to_device"]["events"]) {
            self.to_device.push(text(&event["content"], "n").to_owned());
        }
        for user in list(&answer["device_lists"]["changed"]) {
            user.as_str().and_then(|user| self.owed.take(user));
        }
    }

    async fn joined(&mut self, id: &str, told: &Json) {
        let known = self.view.joined.remove(id);
        let is_new = known.is_none();
        self.view.drop_room(id);
        let mut room = known.unwrap_or_default();
        assert!(!is_new || told.get("summary").is_some(), "{id} is new and has no summary");
        room.was_joined = true;
        room.take(&self.client, id, told, is_new).await;
        for event in list(&told["account_data"]["events"]) {
            room.data.insert(text(event, "type").to_owned(), event["content"].clone());
        }
        for event in list(&told["ephemeral"]["events"]) {
            room.ephemeral(event);
        }
        room.unread = told["unread_notifications"].clone();
        room.threads =
            serde_json::from_value(told["unread_thread_notifications"].clone()).unwrap_or_default();
        if let Some(summary) = told["summary"].as_object() {
            room.summary.extend(summary.clone());
        }
        self.view.joined.insert(id.to_owned(), room);
    }

    async fn left(&mut self, id: &str, told: &Json) {
        let known = self.view.joined.remove(id).or_else(|| self.view.left.remove(id));
        self.view.drop_room(id);
        let mut left = known.unwrap_or_default();
        left.take(&self.client, id, told, !left.was_joined).await;
        self.view.left.insert(id.to_owned(), left);
    }
}

impl Room {
    async fn take(&mut self, client: &Client, id: &str, told: &Json, is_new: bool) {
        let timeline = &told["timeline"];
        let events = list(&timeline["events"]);
        let gap = (timeline["limited"] == true || is_new)
            .then(|| timeline["prev_batch"].as_str())
            .flatten();
        if timeline["limited"] == true {
            assert!(gap.is_some(), "no way to fill the gap: {told}");
        }
        let known = if is_new { Known::May } else { Known::MustNot };
        self.timeline.extend(client, id, events, gap, known).await;
        let state = list(&told["state"]["events"]);
        let state_after = told.get("state_after").map(|after| list(&after["events"]));
        let in_timeline = if state_after.is_some() { &[] } else { events };
        for event in state.iter().chain(in_timeline).chain(state_after.unwrap_or_default()) {
            if let Some(key) = state_key(event) {
                self.state.insert(key, event.clone());
            }
        }
    }

    fn ephemeral(&mut self, event: &Json) {
        let content = &event["content"];
        if text(event, "type") == "m.typing" {
            let users = list(&content["user_ids"]).iter().filter_map(Json::as_str);
            self.typing = users.map(str::to_owned).collect();
            return;
        }
        self.receipts.extend(receipts(content));
    }

    /// All that can be compared.
    fn check(&self, fresh: &Self, loose: &BTreeSet<String>, flavour: Flavour, at: &str) {
        self.timeline.check(&fresh.timeline, loose, at);
        self.check_state(fresh, flavour, loose, at);
        assert_eq!(self.data, fresh.data, "account data of {at}");
        assert_eq!(self.receipts, fresh.receipts, "receipts of {at}");
        assert_eq!(self.typing, fresh.typing, "typing in {at}");
        assert_eq!(self.unread, fresh.unread, "unread counts of {at}");
        assert_eq!(self.threads, fresh.threads, "unread counts of threads of {at}");
        for (field, value) in &fresh.summary {
            assert_eq!(self.summary.get(field), Some(value), "{field} of {at}");
        }
    }

    fn check_state(&self, fresh: &Self, flavour: Flavour, loose: &BTreeSet<String>, at: &str) {
        let show = |event: &Json| self.timeline.shown_event(event, loose);
        for (key, event) in &fresh.state {
            // Members come when they are needed; of those that came none may be out of date.
            let (told, is_needed) = match self.state.get(key) {
                Some(told) => (Some(show(told)), true),
                None => (None, flavour != Flavour::Lazy || key.0 != "m.room.member"),
            };
            if is_needed {
                assert_eq!(told, Some(show(event)), "{key:?} of {at}");
            }
        }
        if flavour != Flavour::Lazy {
            assert_eq!(self.state.len(), fresh.state.len(), "state of {at}");
        }
        for sender in &self.timeline.senders {
            let key = ("m.room.member".to_owned(), sender.clone());
            assert!(self.state.contains_key(&key), "{sender} spoke in {at} and is not known");
        }
    }
}

/// The receipts of an `m.receipt` event: user, kind, thread, and the event.
pub(crate) fn receipts(content: &Json) -> Vec<((String, String, String), String)> {
    let mut found = Vec::new();
    for (event, kinds) in content.as_object().into_iter().flatten() {
        for (kind, users) in kinds.as_object().into_iter().flatten() {
            for (user, body) in users.as_object().into_iter().flatten() {
                let thread = text(body, "thread_id").to_owned();
                found.push(((user.clone(), kind.clone(), thread), event.clone()));
            }
        }
    }
    found
}

impl View {
    fn drop_room(&mut self, id: &str) {
        self.joined.remove(id);
        self.invited.remove(id);
        self.knocked.remove(id);
        self.left.remove(id);
    }

    /// Fails unless the state of a newcomer is what is asked for by itself.
    pub(crate) async fn check_truth(&self, client: &Client) {
        for (id, room) in &self.joined {
            let (status, answer) = client.get(&format!("/v3/rooms/{id}/state")).await;
            assert_eq!(status, 200, "{answer}");
            let ids = |events: &mut dyn Iterator<Item = &Json>| -> BTreeSet<String> {
                events.map(|event| text(event, "event_id").to_owned()).collect()
            };
            let truth = ids(&mut list(&answer).iter());
            assert_eq!(ids(&mut room.state.values()), truth, "state of {id}");
        }
    }

    /// Is somebody in one of the rooms the user is in? Nobody tells of others when they come and go.
    fn is_in_a_room(&self, user: &str) -> bool {
        let key = ("m.room.member".to_owned(), user.to_owned());
        let members = self.joined.values().filter_map(|room| room.state.get(&key));
        members.into_iter().any(|member| member["content"]["membership"] == "join")
    }

    /// Holds against what a newcomer sees. `all_state` leaves no member out.
    pub(crate) async fn check(&self, fresh: &Classic, all_state: &Self, who: &str) {
        let ids = |rooms: &BTreeMap<String, Room>| rooms.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(&self.joined), ids(&fresh.view.joined), "rooms of {who}");
        assert_eq!(self.invited, fresh.view.invited, "invitations of {who}");
        assert_eq!(self.knocked, fresh.view.knocked, "knocks of {who}");
        assert_eq!(self.data, fresh.view.data, "account data of {who}");
        let presence = |view: &Self| -> BTreeMap<String, String> {
            let known = view.presence.iter().filter(|(user, _)| all_state.is_in_a_room(user));
            known.map(|(user, state)| (user.clone(), state.clone())).collect()
        };
        assert_eq!(presence(self), fresh.view.presence, "presence as {who} sees it");
        let ignores = self.data.get("m.ignored_user_list");
        let ignores = ignores.is_some_and(|list| list["ignored_users"] != json!({}));
        for (id, room) in &self.joined {
            let mut other = fresh.view.joined[id].clone();
            other.state.clone_from(&all_state.joined[id].state);
            // A redaction by somebody ignored is not shown; what it took away is gone all the same.
            let loose = if ignores {
                room.timeline.differently_redacted(&other.timeline)
            } else {
                BTreeSet::new()
            };
            room.check(&other, &loose, fresh.flavour, &format!("{id} for {who}"));
        }
        for id in fresh.view.left.keys() {
            assert!(self.left.contains_key(id), "{who} does not know to have left {id}");
        }
        for (id, room) in &self.left {
            if !room.was_joined || room.timeline.is_torn || ignores {
                continue;
            }
            if let Some(other) = fresh.view.left.get(id) {
                room.check_state(other, fresh.flavour, &BTreeSet::new(), id);
            }
            if let Some(whole) = Timeline::whole(&fresh.client, id).await {
                // Nobody tells who has left what was redacted afterwards.
                let loose = room.timeline.differently_redacted(&whole);
                room.timeline.check(&whole, &loose, &format!("{id}, left by {who}"));
            }
        }
    }
}
