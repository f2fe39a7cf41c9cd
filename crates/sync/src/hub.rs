//! Who has something new: the commits of the store, sorted by who is to hear of them.
//!
//! For everyone who syncs with this node the hub keeps, for each kind of thing in each room, only
//! the position of the latest change. Holding that against a client's token tells what to look at,
//! with no database in between; the contents come from the caches of the domain crates. Somebody
//! unknown here, or away for long, is answered from the tables instead.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use haechi_accounts::Accounts;
use haechi_base::{Clock, Millis, Positions, RoomNid, StreamPos, UserNid};
use haechi_keys::Keys;
use haechi_rooms::Rooms;
use haechi_store::{Change, Commit, Db, Note};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::pace::Paces;

/// Users are forgotten when they have not asked for this long.
const FORGET_AFTER: Duration = Duration::from_mins(5);

/// Changes kept for one user; one with more is answered from the tables next time.
const CHANGES_MAX: usize = 4_096;

/// Members remembered for one device and room; after that some are sent twice.
const MEMBERS_SENT_MAX: usize = 1_024;

/// Rooms of which is kept when somebody typed there.
const TYPED_ROOMS_MAX: usize = 100_000;

/// Parts of the table of users, each with its own lock.
const SHARDS: usize = 64;

/// Who has something new.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    accounts: Accounts,
    keys: Keys,
    clock: Clock,
    /// A number of this run of this node, to tell its typing serials from another's.
    run: u64,
    shards: Vec<Mutex<HashMap<UserNid, Arc<Listener>>>>,
    /// What is being sorted. Who starts listening now may have missed a part of it.
    sorting: Mutex<Positions>,
    /// What has been sorted and may be delivered.
    horizon: watch::Sender<Positions>,
    /// What has been committed; ahead of `horizon` by what is being sorted.
    committed: watch::Receiver<Positions>,
    /// Serial of the typing change that is being sorted or was last.
    typing_sorting: AtomicU64,
    /// Serial of the last typing change of which everybody has been told.
    typing_serial: AtomicU64,
    /// The latest serial of each room, for those whose listener is new.
    typed: Mutex<HashMap<RoomNid, u64>>,
}

/// One kind of thing that can be new.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Signal {
    Event(RoomNid),
    Membership(RoomNid),
    Receipt(RoomNid),
    ReadState(RoomNid),
    RoomAccountData(RoomNid),
    AccountData,
    ToDevice(Arc<str>),
    DeviceList(UserNid),
    DeviceKeys(Arc<str>),
    Presence(UserNid),
}

/// One user who syncs here.
#[derive(Debug)]
pub(crate) struct Listener {
    notify: Notify,
    state: Mutex<Heard>,
    members_sent: Mutex<MembersSent>,
    pub(crate) paces: Paces,
}

/// Whose member events a device has been sent in which answer, for loading members lazily.
type MembersSent = HashMap<Arc<str>, HashMap<RoomNid, HashMap<Box<str>, Arc<Positions>>>>;

#[derive(Debug)]
struct Heard {
    /// All that changed after this point is in `latest`.
    floor: Positions,
    /// The latest change of each kind, in each lane.
    latest: HashMap<(Signal, u16), StreamPos>,
    /// The latest typing serial of each room, where it is later than `typing_floor`.
    typing: HashMap<RoomNid, u64>,
    typing_floor: u64,
    asked: Millis,
}

/// What is new for a user since some point.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) signals: Vec<Signal>,
    pub(crate) typing: Vec<RoomNid>,
}

impl Hub {
    /// Starts sorting the commits of `feed`.
    pub(crate) fn start(
        db: &Db,
        (rooms, accounts, keys): (Rooms, Accounts, Keys),
        clock: Clock,
        feed: mpsc::Receiver<Commit>,
    ) -> Self {
        let committed = db.horizon();
        let start = committed.borrow().clone();
        let inner = Inner {
            run: u64::try_from(clock.now().0).unwrap_or(0),
            rooms,
            accounts,
            keys,
            clock,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            sorting: Mutex::new(start.clone()),
            horizon: watch::channel(start).0,
            committed,
            typing_sorting: AtomicU64::new(0),
            typing_serial: AtomicU64::new(0),
            typed: Mutex::default(),
        };
        let hub = Self(Arc::new(inner));
        tokio::spawn(hub.clone().sort(feed));
        tokio::spawn(hub.clone().hear_typing());
        tokio::spawn(hub.clone().sweep());
        hub
    }

    /// The run of this node and its latest typing serial.
    pub(crate) fn typing_now(&self) -> (u64, u64) {
        (self.0.run, self.0.typing_serial.load(Ordering::Acquire))
    }

    /// What may be delivered now; waits until all that was committed before the call is in it, so
    /// that whoever was told of a write finds it.
    pub(crate) async fn horizon(&self) -> Positions {
        let committed = self.0.committed.borrow().clone();
        let mut horizon = self.0.horizon.subscribe();
        // The sender lives as long as the hub.
        match horizon.wait_for(|horizon| horizon.reaches(&committed)).await {
            Ok(horizon) => horizon.clone(),
            Err(_) => committed,
        }
    }

    /// Waits until the lanes have come to where `positions` has them, at most for `most`.
    pub(crate) async fn reach(&self, positions: &Positions, most: Duration) -> bool {
        let mut horizon = self.0.horizon.subscribe();
        let reached = horizon.wait_for(|horizon| horizon.reaches(positions));
        matches!(tokio::time::timeout(most, reached).await, Ok(Ok(_)))
    }

    /// The user as a listener; from now on what is new for them is kept.
    pub(crate) fn listener(&self, user: UserNid) -> Arc<Listener> {
        let now = self.0.clock.now();
        let mut shard = self.shard(user).lock();
        let listener = shard.entry(user).or_insert_with(|| {
            let floor = self.0.sorting.lock().clone();
            Arc::new(Listener {
                notify: Notify::new(),
                members_sent: Mutex::default(),
                paces: Paces::default(),
                state: Mutex::new(Heard {
                    floor,
                    latest: HashMap::new(),
                    typing: HashMap::new(),
                    typing_floor: self.0.typing_sorting.load(Ordering::Acquire),
                    asked: now,
                }),
            })
        });
        listener.state.lock().asked = now;
        Arc::clone(listener)
    }

    fn shard(&self, user: UserNid) -> &Mutex<HashMap<UserNid, Arc<Listener>>> {
        let index = usize::try_from(user.0.unsigned_abs()).unwrap_or(0) % SHARDS;
        &self.0.shards[index]
    }

    fn find(&self, user: UserNid) -> Option<Arc<Listener>> {
        self.shard(user).lock().get(&user).map(Arc::clone)
    }

    async fn sort(self, mut feed: mpsc::Receiver<Commit>) {
        while let Some(commit) = feed.recv().await {
            let mut woken: HashMap<UserNid, Arc<Listener>> = HashMap::new();
            self.0.sorting.lock().clone_from(&commit.horizon);
            // Before anybody is told: what this node keeps of it in memory is out of date.
            self.0.rooms.hear(&commit);
            self.0.accounts.hear(&commit);
            self.0.keys.hear(&commit);
            if !commit.foreign.is_empty() {
                // Another node wrote; whom it concerns is in the tables only.
                for shard in &self.0.shards {
                    for (user, listener) in &*shard.lock() {
                        listener.state.lock().reset(commit.horizon.clone());
                        woken.insert(*user, Arc::clone(listener));
                    }
                }
            }
            for note in commit.notes.iter().chain(&commit.heard) {
                self.deliver(note, &mut woken).await;
            }
            self.0.horizon.send_replace(commit.horizon);
            for listener in woken.values() {
                listener.notify.notify_waiters();
            }
        }
    }

    async fn deliver(&self, note: &Note, woken: &mut HashMap<UserNid, Arc<Listener>>) {
        let mut tell = |user: UserNid, signal: Signal| {
            if let Some(listener) = self.find(user) {
                listener.state.lock().hear(signal, note.pos);
                woken.insert(user, listener);
            }
        };
        match &note.change {
            Change::Event(room) => {
                for user in self.audience(*room).await {
                    tell(user, Signal::Event(*room));
                }
            }
            Change::Receipt(room, _) => {
                for user in self.audience(*room).await {
                    tell(user, Signal::Receipt(*room));
                }
            }
            Change::Membership(room, user) => tell(*user, Signal::Membership(*room)),
            Change::ReadState(room, user) => tell(*user, Signal::ReadState(*room)),
            Change::RoomAccountData(room, user) => tell(*user, Signal::RoomAccountData(*room)),
            Change::AccountData(user) => tell(*user, Signal::AccountData),
            Change::ToDevice(user, device) => tell(*user, Signal::ToDevice(Arc::clone(device))),
            Change::DeviceKeys(user, device) => {
                tell(*user, Signal::DeviceKeys(Arc::clone(device)));
            }
            Change::UserSignature(user, signed) => tell(*user, Signal::DeviceList(*signed)),
            Change::DeviceList(user) => {
                for other in self.acquaintances(*user).await {
                    tell(other, Signal::DeviceList(*user));
                }
            }
            // Only for the caches of nodes.
            Change::Sessions(_) | Change::Ledger(_) => {}
            Change::Presence(user) => {
                for other in self.acquaintances(*user).await {
                    tell(other, Signal::Presence(*user));
                }
            }
        }
    }

    async fn audience(&self, room: RoomNid) -> Vec<UserNid> {
        match self.0.rooms.audience(room).await {
            Ok(users) => users.into_iter().collect(),
            Err(error) => {
                tracing::error!(room = room.0, %error, "cannot tell who is in the room");
                Vec::new()
            }
        }
    }

    /// Everyone who shares a room with the user, and the user.
    async fn acquaintances(&self, user: UserNid) -> Vec<UserNid> {
        match self.0.rooms.acquaintances(user).await {
            Ok(users) => users,
            Err(error) => {
                tracing::error!(%error, "cannot tell who shares a room");
                vec![user]
            }
        }
    }

    fn note_typed(&self, room: RoomNid, serial: u64) {
        let mut typed = self.0.typed.lock();
        if typed.len() >= TYPED_ROOMS_MAX {
            typed.clear();
        }
        typed.insert(room, serial);
    }

    /// Has somebody begun or ceased to type in the room since this serial, as far as is known?
    pub(crate) fn has_typed(&self, room: RoomNid, since: u64) -> bool {
        match self.0.typed.lock().get(&room) {
            Some(serial) => *serial > since,
            None => !self.0.rooms.typing().users(room).is_empty(),
        }
    }

    async fn hear_typing(self) {
        let mut changes = self.0.rooms.typing().changes();
        loop {
            match changes.recv().await {
                Ok(room) => {
                    let serial = self.0.typing_sorting.fetch_add(1, Ordering::AcqRel) + 1;
                    self.note_typed(room, serial);
                    let mut told = Vec::new();
                    for user in self.audience(room).await {
                        if let Some(listener) = self.find(user) {
                            listener.state.lock().typing.insert(room, serial);
                            told.push(listener);
                        }
                    }
                    // Whoever holds a token with this serial has been told.
                    self.0.typing_serial.store(serial, Ordering::Release);
                    for listener in &told {
                        listener.notify.notify_waiters();
                    }
                }
                // Missed typing is not worth more than going on with the next.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Forgets those who have not asked for long, and typing that has run out.
    async fn sweep(self) {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            every_second.tick().await;
            self.0.rooms.typing().expire();
            let now = self.0.clock.now();
            for shard in &self.0.shards {
                shard.lock().retain(|_, listener| {
                    Arc::strong_count(listener) > 1
                        || now.since(listener.state.lock().asked) < FORGET_AFTER
                });
            }
        }
    }
}

impl Heard {
    fn hear(&mut self, signal: Signal, pos: StreamPos) {
        if self.latest.len() >= CHANGES_MAX {
            self.latest.clear();
            self.floor.set(pos.lane(), pos.offset());
        }
        self.latest.insert((signal, pos.lane().0), pos);
    }

    fn reset(&mut self, floor: Positions) {
        self.latest.clear();
        self.floor = floor;
    }
}

impl Listener {
    /// What changed after `since` up to `until`; `None` when only the tables can tell.
    pub(crate) fn news(
        &self,
        since: &Positions,
        until: &Positions,
        typing_since: u64,
    ) -> Option<News> {
        let heard = self.state.lock();
        if !since.reaches(&heard.floor) || typing_since < heard.typing_floor {
            return None;
        }
        let is_new = |pos: &StreamPos| !since.covers(*pos) && until.covers(*pos);
        let mut signals: Vec<Signal> = Vec::new();
        for ((signal, _), pos) in &heard.latest {
            // What came after `until` hides whether there was something before; look at it too.
            if (is_new(pos) || !until.covers(*pos)) && !signals.contains(signal) {
                signals.push(signal.clone());
            }
        }
        let typing = heard.typing.iter().filter(|(_, serial)| **serial > typing_since);
        Some(News { signals, typing: typing.map(|(room, _)| *room).collect() })
    }

    /// Must the member event of `member` be sent to the device, which has got all answers up to
    /// `since`? It is taken to be sent in the answer that ends at `until`.
    pub(crate) fn send_member(
        &self,
        device: &str,
        room: RoomNid,
        member: &str,
        since: Option<&Positions>,
        until: &Arc<Positions>,
    ) -> bool {
        let mut sent = self.members_sent.lock();
        if !sent.contains_key(device) {
            sent.insert(device.into(), HashMap::new());
        }
        let members = sent.get_mut(device).expect("inserted above").entry(room).or_default();
        // An answer that got lost does not count: the client comes back with the token before it.
        let known = members.get(member);
        if known.zip(since).is_some_and(|(sent_at, since)| since.reaches(sent_at)) {
            return false;
        }
        if members.len() >= MEMBERS_SENT_MAX {
            members.clear();
        }
        members.insert(member.into(), Arc::clone(until));
        true
    }

    /// Forgets what the device has been sent: it starts anew.
    pub(crate) fn forget_members(&self, device: &str) {
        self.members_sent.lock().remove(device);
    }

    /// A future that ends at the next change; to be made before looking.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}
