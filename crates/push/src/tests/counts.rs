//! Unread counts are what a naive count gives: every event held against everybody's rules by ruma's
//! own evaluation, and counted from where each has read to.

use std::collections::BTreeMap;

use haechi_rooms::{Event, Membership, ReceiptKind};
use haechi_store::testing::store_test;
use proptest::{prelude::*, test_runner::TestRunner};
use ruma::{
    UInt, UserId,
    push::{
        Action, NewConditionalPushRule, NewPatternedPushRule, NewPushRule, NewSimplePushRule,
        PushConditionPowerLevelsCtx, PushConditionRoomCtx, RuleKind, Ruleset,
    },
    serde::Raw,
    user_id,
};
use serde_json::value::to_raw_value;

use super::*;

const MEMBERS: usize = 4;

/// Threads of a room.
const THREADS: usize = 2;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// What, and in which thread.
    Send(usize, What, Option<usize>),
    Read(usize, usize, Thread, ReceiptKind),
    Redact(usize, usize),
    Rules(usize, Edit),
    Leave(usize),
    Join(usize),
    /// All is forgotten that is not in the tables.
    Restart,
}

#[derive(Clone, Debug)]
enum What {
    Text,
    Keyword,
    Notice,
    Reaction,
    Mention(usize),
    /// By the name one is called.
    Name(usize),
    Everybody,
    /// Of an event, mentioning somebody.
    Edit(usize, Option<usize>),
    /// What it says nobody knows, but whom it mentions.
    Encrypted(Option<usize>),
    Call,
    Topic,
}

#[derive(Clone, Copy, Debug)]
enum Thread {
    Whole,
    Main,
    Own,
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    Mute,
    Unmute,
    Keyword,
    MentionsOnly,
    AllMessages,
    Master(bool),
    Notices,
    MuteSender(usize),
    DisplayName,
    Ignore(usize),
    IgnoreNobody,
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..MEMBERS;
    let what = prop_oneof![
        4 => Just(What::Text),
        1 => Just(What::Keyword),
        1 => Just(What::Notice),
        1 => Just(What::Reaction),
        2 => (0..MEMBERS).prop_map(What::Mention),
        1 => (0..MEMBERS).prop_map(What::Name),
        1 => Just(What::Everybody),
        2 => (0..40_usize, prop::option::of(0..MEMBERS)).prop_map(|(event, user)| {
            What::Edit(event, user)
        }),
        1 => prop::option::of(0..MEMBERS).prop_map(What::Encrypted),
        1 => Just(What::Call),
        1 => Just(What::Topic),
    ];
    let kind = prop_oneof![Just(ReceiptKind::Public), Just(ReceiptKind::Private)];
    let thread =
        prop_oneof![3 => Just(Thread::Whole), 1 => Just(Thread::Main), 2 => Just(Thread::Own)];
    let edit = prop_oneof![
        2 => Just(Edit::Mute),
        2 => Just(Edit::Unmute),
        1 => Just(Edit::Keyword),
        1 => Just(Edit::MentionsOnly),
        1 => Just(Edit::AllMessages),
        1 => any::<bool>().prop_map(Edit::Master),
        1 => Just(Edit::Notices),
        1 => (0..MEMBERS).prop_map(Edit::MuteSender),
        1 => Just(Edit::DisplayName),
        1 => (0..MEMBERS).prop_map(Edit::Ignore),
        1 => Just(Edit::IgnoreNobody),
    ];
    prop_oneof![
        8 => (user.clone(), what, prop::option::of(0..THREADS)).prop_map(|(user, what, thread)| {
            Step::Send(user, what, thread)
        }),
        3 => (user.clone(), 0..40_usize, thread, kind).prop_map(|(user, event, thread, kind)| {
            Step::Read(user, event, thread, kind)
        }),
        2 => (user.clone(), 0..40_usize).prop_map(|(user, event)| Step::Redact(user, event)),
        3 => (user.clone(), edit).prop_map(|(user, edit)| Step::Rules(user, edit)),
        1 => user.clone().prop_map(Step::Leave),
        2 => user.prop_map(Step::Join),
        1 => Just(Step::Restart),
    ]
}

/// What a member would count by hand.
#[derive(Default)]
struct Naive {
    /// Number, thread, highlight of all that notified.
    notified: Vec<(i64, Option<OwnedEventId>, bool)>,
    whole: i64,
    threads: BTreeMap<Option<OwnedEventId>, i64>,
}

impl Naive {
    fn redact(&mut self, seq: i64) {
        self.notified.retain(|(other, _, _)| *other != seq);
    }

    fn read(&mut self, seq: i64) {
        self.whole = seq.max(self.whole);
    }

    fn read_thread(&mut self, thread: Option<OwnedEventId>, seq: i64) {
        let place = self.threads.entry(thread).or_default();
        *place = seq.max(*place);
    }

    /// Notify and highlight, of the main timeline and each thread.
    fn unread(&self) -> BTreeMap<Option<OwnedEventId>, Unread> {
        let mut unread: BTreeMap<_, Unread> = BTreeMap::from([(None, (0, 0))]);
        for (seq, thread, highlight) in &self.notified {
            if *seq > self.whole.max(self.threads.get(thread).copied().unwrap_or(0)) {
                let counts = unread.entry(thread.clone()).or_default();
                counts.0 += 1;
                counts.1 += i64::from(*highlight);
            }
        }
        unread
    }
}

struct History {
    world: World,
    room: Arc<Room>,
    users: Vec<Actor>,
    naive: Vec<Naive>,
    ignored: Vec<Option<usize>>,
    sent: Vec<OwnedEventId>,
    roots: Vec<OwnedEventId>,
}

impl History {
    async fn new(world: World) -> Self {
        let mut users = Vec::new();
        for name in ["ari", "bom", "cho", "dan"] {
            users.push(world.user(name).await);
        }
        let room = world.room(&users).await;
        let mut roots = Vec::new();
        for _ in 0..THREADS {
            roots.push(world.say(&room, &users[0], text("root")).await);
        }
        let mut history = Self {
            world,
            room,
            users,
            naive: Vec::new(),
            ignored: vec![None; MEMBERS],
            sent: Vec::new(),
            roots: roots.clone(),
        };
        history.naive.resize_with(MEMBERS, Naive::default);
        for root in &roots {
            history.count(root).await;
        }
        history
    }

    /// Counts an event by hand.
    async fn count(&mut self, event_id: &OwnedEventId) {
        let event = self.world.rooms.any_event(&self.room, event_id).await.unwrap().unwrap();
        let state = self.room.state();
        let sender = self.users.iter().position(|user| user.nid == event.sender).unwrap();
        let notifies = |index: usize| self.notifies(&event, index);
        let mut effects = Vec::new();
        for index in 0..MEMBERS {
            let here = state.membership(self.users[index].user_id.as_str()) == Membership::Join;
            effects.push(if here && index != sender { notifies(index).await } else { None });
        }
        let thread = event.thread_root.clone();
        for (naive, effect) in self.naive.iter_mut().zip(effects) {
            if let Some(highlight) = effect {
                naive.notified.push((event.seq, thread.clone(), highlight));
            }
        }
        // Somebody who has the default rules and is called by no name.
        let nobody = user_id!("@nobody:elsewhere");
        let plain = Ruleset::server_default(nobody);
        if self.judged(&event, &plain, nobody, "no such name").await.is_some() {
            // Who writes has read.
            self.naive[sender].read(event.seq);
        }
        self.sent.push(event_id.clone());
    }

    /// Does it notify the user, and is it a highlight?
    async fn notifies(&self, event: &Event, index: usize) -> Option<bool> {
        let user = &self.users[index];
        if self.ignored[index].is_some_and(|other| self.users[other].nid == event.sender) {
            return None;
        }
        let rules = self.world.push.ruleset(user.nid, &user.user_id).await.unwrap();
        self.judged(event, &rules, &user.user_id, &name(user)).await
    }

    /// Does it notify somebody of these rules, and is it a highlight?
    async fn judged(
        &self,
        event: &Event,
        rules: &Ruleset,
        user: &UserId,
        called: &str,
    ) -> Option<bool> {
        let levels = self.room.auth().unwrap().levels().clone();
        let room_id = self.room.room_id.clone();
        let members = UInt::try_from(self.room.joined().len()).unwrap();
        let context =
            PushConditionRoomCtx::new(room_id, members, user.to_owned(), called.to_owned())
                .with_power_levels(PushConditionPowerLevelsCtx::from(levels));
        let mut json: Json = serde_json::from_str(event.pdu.json()).unwrap();
        json["room_id"] = self.room.room_id.as_str().into();
        let raw: Raw<Json> = Raw::from_json(to_raw_value(&json).unwrap());
        let actions = rules.get_actions(&raw, &context).await;
        actions.iter().any(Action::should_notify).then(|| actions.iter().any(Action::is_highlight))
    }

    async fn step(mut self, step: &Step) -> Self {
        match step {
            Step::Send(user, what, thread) => self.send(*user, what, *thread).await,
            Step::Read(user, event, thread, kind) => {
                self.read(*user, *event, *thread, *kind).await;
            }
            Step::Redact(user, event) => self.redact(*user, *event).await,
            Step::Rules(user, edit) => self.edit(*user, *edit).await,
            Step::Leave(user) if self.is_joined(*user) && *user > 0 => {
                self.world.rooms.leave(&self.room, &self.users[*user], None).await.unwrap();
            }
            Step::Join(user) if !self.is_joined(*user) => {
                self.world.join(&self.room, &self.users[*user]).await;
                let seq = self.room.snapshot().seq;
                self.naive[*user].read(seq);
            }
            Step::Leave(_) | Step::Join(_) => {}
            Step::Restart => {
                self.world = self.world.restarted().await;
                self.room = self.world.rooms.room(self.room.nid).await.unwrap();
            }
        }
        self
    }

    fn is_joined(&self, user: usize) -> bool {
        self.room.joined().contains(&self.users[user].nid)
    }

    async fn send(&mut self, user: usize, what: &What, thread: Option<usize>) {
        if !self.is_joined(user) || (matches!(what, What::Topic) && user > 0) {
            return;
        }
        let (kind, mut content) = self.content(what);
        if let Some(thread) = thread
            && content.get("m.relates_to").is_none()
        {
            let relation = json!({ "rel_type": "m.thread", "event_id": self.roots[thread] });
            content["m.relates_to"] = relation;
        }
        let sender = &self.users[user];
        let event_id = if let What::Topic = what {
            let event = NewEvent::state(kind, "", &content);
            self.world.rooms.append(&self.room, sender, event, None).await.unwrap()
        } else {
            self.world.send(&self.room, sender, kind, content).await
        };
        self.count(&event_id).await;
    }

    /// Type and content.
    fn content(&self, what: &What) -> (&'static str, Json) {
        let mentions = |user: &Option<usize>| match user {
            Some(user) => json!({ "user_ids": [self.users[*user].user_id] }),
            None => json!({}),
        };
        let content = match what {
            What::Text => text("hello"),
            What::Keyword => text("have some kimchi"),
            What::Notice => json!({ "msgtype": "m.notice", "body": "beep" }),
            What::Mention(other) => mention(&[&self.users[*other].user_id]),
            What::Name(other) => text(&format!("hey {}!", name(&self.users[*other]))),
            What::Everybody => {
                json!({ "msgtype": "m.text", "body": "all", "m.mentions": { "room": true } })
            }
            What::Edit(event, user) => json!({
                "msgtype": "m.text", "body": "* kimchi", "m.mentions": mentions(user),
                "m.new_content": { "msgtype": "m.text", "body": "kimchi" },
                "m.relates_to": {
                    "rel_type": "m.replace", "event_id": self.sent[event % self.sent.len()] },
            }),
            What::Encrypted(user) => {
                let content = json!({
                    "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "x",
                    "m.mentions": mentions(user) });
                return ("m.room.encrypted", content);
            }
            What::Call => {
                let content =
                    json!({ "call_id": "1", "lifetime": 1, "version": "1", "party_id": "x" });
                return ("m.call.invite", content);
            }
            What::Reaction => {
                let content = json!({ "m.relates_to": {
                    "rel_type": "m.annotation", "event_id": self.roots[0], "key": self.sent.len().to_string() } });
                return ("m.reaction", content);
            }
            What::Topic => {
                return ("m.room.topic", json!({ "topic": self.sent.len().to_string() }));
            }
        };
        ("m.room.message", content)
    }

    /// What the rules do not allow changes nothing; nor does it to redact twice.
    async fn redact(&mut self, user: usize, event: usize) {
        let event_id = self.sent[event % self.sent.len()].clone();
        let event = self.world.rooms.any_event(&self.room, &event_id).await.unwrap().unwrap();
        let redaction = NewEvent {
            redacts: Some(event_id),
            ..NewEvent::message(TimelineEventType::RoomRedaction, "{}".to_owned())
        };
        let sender = &self.users[user];
        let done = self.world.rooms.append(&self.room, sender, redaction, None).await;
        if let Ok(redaction) = done {
            self.naive.iter_mut().for_each(|naive| naive.redact(event.seq));
            self.count(&redaction).await;
        }
    }

    async fn read(&mut self, user: usize, event: usize, thread: Thread, kind: ReceiptKind) {
        if !self.is_joined(user) {
            return;
        }
        let event_id = &self.sent[event % self.sent.len()];
        let event = self.world.rooms.any_event(&self.room, event_id).await.unwrap().unwrap();
        let (name, thread) = match (thread, &event.thread_root) {
            (Thread::Whole, _) => (String::new(), None),
            (Thread::Own, Some(root)) => (root.to_string(), Some(root.clone())),
            (Thread::Main | Thread::Own, _) => ("main".to_owned(), None),
        };
        let (room, actor) = (&self.room, &self.users[user]);
        self.world.rooms.set_receipt(room, actor, kind, &name, event_id).await.unwrap();
        match &*name {
            "" => self.naive[user].read(event.seq),
            _ => self.naive[user].read_thread(thread, event.seq),
        }
    }

    async fn edit(&mut self, user: usize, edit: Edit) {
        let Actor { nid, user_id, .. } = &self.users[user];
        let push = &self.world.push;
        let room_id = self.room.room_id.clone();
        let enable = async |kind, id: &str, enabled| {
            push.set_rule_enabled(*nid, user_id, kind, id.to_owned(), enabled).await.unwrap();
        };
        let set = async |rule| push.set_rule(*nid, user_id, rule, None, None).await.unwrap();
        match edit {
            Edit::Mute => set(NewPushRule::Room(NewSimplePushRule::new(room_id, vec![]))).await,
            Edit::Unmute => {
                // There may be none.
                let _ = push.delete_rule(*nid, user_id, RuleKind::Room, room_id.to_string()).await;
            }
            Edit::Keyword => {
                let actions = vec![Action::Notify, highlight()];
                let rule = NewPatternedPushRule::new("k".into(), "kimchi".into(), actions);
                set(NewPushRule::Content(rule)).await;
            }
            Edit::MentionsOnly => enable(RuleKind::Underride, ".m.rule.message", false).await,
            Edit::AllMessages => enable(RuleKind::Underride, ".m.rule.message", true).await,
            Edit::Master(on) => enable(RuleKind::Override, ".m.rule.master", on).await,
            Edit::Notices => enable(RuleKind::Override, ".m.rule.suppress_notices", false).await,
            Edit::MuteSender(other) => {
                let sender = self.users[other].user_id.clone();
                set(NewPushRule::Sender(NewSimplePushRule::new(sender, vec![]))).await;
            }
            Edit::DisplayName => {
                let condition = serde_json::from_value(json!({ "kind": "contains_display_name" }));
                let actions = vec![Action::Notify, highlight()];
                let rule =
                    NewConditionalPushRule::new("n".into(), vec![condition.unwrap()], actions);
                set(NewPushRule::Override(rule)).await;
            }
            Edit::Ignore(other) => self.ignore(user, Some(other)).await,
            Edit::IgnoreNobody => self.ignore(user, None).await,
        }
    }

    async fn ignore(&mut self, user: usize, other: Option<usize>) {
        let other = other.filter(|other| *other != user);
        let list: BTreeMap<_, _> =
            other.iter().map(|other| (self.users[*other].user_id.clone(), json!({}))).collect();
        let content = to_raw_value(&json!({ "ignored_users": list })).unwrap();
        let nid = self.users[user].nid;
        let kind = "m.ignored_user_list";
        self.world.accounts.set_account_data(nid, None, kind, content).await.unwrap();
        self.world.push.0.book.forget(nid);
        self.ignored[user] = other;
    }

    async fn check(&self, after: &Step) {
        for (user, naive) in self.users.iter().zip(&self.naive) {
            if !self.room.joined().contains(&user.nid) {
                continue;
            }
            let expected = naive.unread();
            let unread = self.world.rooms.unread(&self.room, user.nid).await.unwrap();
            let mut counted = BTreeMap::from([(None, (unread.notify, unread.highlight))]);
            for (root, notify, highlight) in &unread.threads {
                counted.insert(Some(root.clone()), (*notify, *highlight));
            }
            assert_eq!(counted, expected, "{} after {after:?}", user.user_id);
            let (notify, highlight) = unread.overall();
            let listed = self.world.rooms.unread_rooms(user.nid).await.unwrap();
            let listed = listed.first().map_or((0, 0), |room| (room.notify, room.highlight));
            assert_eq!(listed, (notify, highlight), "in the list of unread rooms");
        }
    }
}

fn highlight() -> Action {
    serde_json::from_value(json!({ "set_tweak": "highlight" })).unwrap()
}

#[test]
fn unread_counts_are_what_a_naive_count_gives() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: 32, ..ProptestConfig::default() };
    let steps = proptest::collection::vec(step(), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut history = History::new(World::open(folder.path()).await).await;
            for step in &steps {
                history = history.step(step).await;
                history.check(step).await;
            }
            history.world.close().await;
        });
        Ok(())
    });
    outcome.unwrap();
}

#[store_test(schemas(ACCOUNTS, ROOMS, SCHEMA))]
async fn both_engines_count_alike(db: TestDb) {
    let mut history = History::new(World::over(db).await).await;
    for round in 0..3 {
        for step in [
            Step::Rules(1, Edit::Keyword),
            Step::Rules(2, Edit::Mute),
            Step::Send(0, What::Keyword, None),
            Step::Send(0, What::Mention(2), Some(0)),
            Step::Send(1, What::Text, (round == 1).then_some(1)),
            Step::Read(1, 2 + round, Thread::Own, ReceiptKind::Private),
            Step::Rules(2, Edit::Unmute),
            Step::Send(0, What::Everybody, None),
            Step::Redact(0, 5 + round),
            Step::Leave(3),
            Step::Send(0, What::Edit(3, Some(1)), None),
            Step::Redact(0, 4),
            Step::Restart,
            Step::Send(0, What::Notice, None),
            Step::Join(3),
            Step::Send(0, What::Mention(3), None),
            Step::Read(2, 4 + round, Thread::Whole, ReceiptKind::Public),
        ] {
            history = history.step(&step).await;
            history.check(&step).await;
        }
    }
}
