//! How far users have read: receipts as clients see them, and the unread counts that follow.
//!
//! Nothing is written per message and member. A room counts its notifying events; a user's place is
//! the counts at the event they have read; the difference is what is unread. Only what notifies a
//! user otherwise than the default rules would (a mention, say) has a row of its own.

use std::{collections::HashMap, sync::Arc};

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};
use haechi_matrix::auth::Membership;
use haechi_store::{Change, FromRow, LockKey, Locks, Result as StoreResult, Row, Tx, Work, sql};
use ruma::{EventId, OwnedEventId};

use crate::{
    Result, Room, RoomError, Rooms,
    model::{Actor, Counts},
    room::Applied,
};

sql!(
    EVENT_PLACE,
    "SELECT seq, notify_total, notify_main, thread_root FROM event WHERE event_id = ?1 AND room = ?2"
);
sql!(
    READ_STATES,
    "SELECT thread, seq, notify_total, notify_main FROM read_state WHERE room = ?1 AND user_nid = ?2"
);
sql!(
    READ_STATE_RAISE,
    "INSERT INTO read_state (room, user_nid, thread, seq, notify_total, notify_main)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (room, user_nid, thread) DO UPDATE SET
        seq = excluded.seq, notify_total = excluded.notify_total, notify_main = excluded.notify_main
     WHERE excluded.seq > read_state.seq"
);
sql!(
    PUSH_ACTIONS,
    "SELECT seq, notify, highlight, thread_root FROM push_action
     WHERE user_nid = ?1 AND room = ?2 AND seq > ?3 ORDER BY seq"
);
// Highlights stay: the list of notifications shows also those that were read.
sql!(
    PUSH_ACTIONS_PRUNE,
    "DELETE FROM push_action
     WHERE user_nid = ?1 AND room = ?2 AND seq <= ?3 AND highlight = 0"
);
sql!(
    RECEIPT_RAISE,
    "INSERT INTO receipt (room, user_nid, kind, thread, event_id, seq, at_ms, pos)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     ON CONFLICT (room, user_nid, kind, thread) DO UPDATE SET event_id = excluded.event_id,
        seq = excluded.seq, at_ms = excluded.at_ms, pos = excluded.pos
     WHERE excluded.seq > receipt.seq"
);
sql!(
    RECEIPTS_BETWEEN,
    "SELECT user_nid, kind, thread, event_id, at_ms FROM receipt
     WHERE room = ?1 AND pos > ?2 AND pos <= ?3"
);
sql!(RECEIPTS_ALL, "SELECT user_nid, kind, thread, event_id, at_ms FROM receipt WHERE room = ?1");
sql!(
    RECEIPTS_WHERE_JOINED,
    "SELECT r.user_nid, r.kind, r.thread, r.event_id, r.at_ms, r.room
     FROM member m JOIN receipt r ON r.room = m.room
     WHERE m.user_nid = ?1 AND m.membership = 'join'"
);
sql!(
    THREADS_UNREAD,
    "SELECT thread_root, seq FROM event
     WHERE room = ?1 AND thread_root IS NOT NULL AND seq > ?2 AND counted = 1 AND sender <> ?3
     ORDER BY seq DESC LIMIT 1000"
);

/// The kinds of receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room sees it.
    Public,
    /// `m.read.private`: only its user sees it.
    Private,
}

impl ReceiptKind {
    /// As the spec writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "m.read",
            Self::Private => "m.read.private",
        }
    }
}

/// A receipt as clients see it.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Whose.
    pub user: UserNid,
    /// Is it `m.read.private`?
    pub private: bool,
    /// `main`, a thread's first event, or empty.
    pub thread: String,
    /// Up to which event.
    pub event_id: String,
    /// Since when.
    pub at: Millis,
}

impl FromRow for Receipt {
    fn from_row(row: &Row<'_>) -> StoreResult<Self> {
        Ok(Self {
            user: row.get(0)?,
            private: row.get::<String>(1)? == ReceiptKind::Private.as_str(),
            thread: row.get(2)?,
            event_id: row.get(3)?,
            at: row.get(4)?,
        })
    }
}

/// What a user has not read in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Events that notify, in the main timeline.
    pub notify: i64,
    /// Those of them that are highlights.
    pub highlight: i64,
    /// The same for each thread that has any: first event, notify, highlight.
    pub threads: Vec<(OwnedEventId, i64, i64)>,
}

impl Unread {
    /// Both counts with threads taken in.
    pub fn overall(&self) -> (i64, i64) {
        self.threads.iter().fold((self.notify, self.highlight), |(notify, highlight), thread| {
            (notify + thread.1, highlight + thread.2)
        })
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    seq: i64,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Action {
    seq: i64,
    notify: i64,
    highlight: bool,
    thread: Option<OwnedEventId>,
}

/// How far one user has read one room.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadState {
    whole: Place,
    main: Place,
    threads: HashMap<String, i64>,
    actions: Vec<Action>,
}

/// The read states in memory for one room.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    users: HashMap<UserNid, ReadState>,
    /// Grows with every change, so that a load can tell whether it was overtaken.
    epoch: u64,
}

impl Reads {
    pub(crate) fn clear(&mut self) {
        self.users.clear();
        self.epoch += 1;
    }

    pub(crate) fn apply(&mut self, applied: &[Applied]) {
        self.epoch += 1;
        for one in applied {
            let event = &one.event;
            let place = Place { seq: event.seq, counts: event.counts };
            if one.counted
                && let Some(state) = self.users.get_mut(&event.sender)
            {
                state.whole = place;
                state.actions.clear();
            }
            if let Some((user, before, Membership::Join)) = one.member
                && before != Membership::Join
            {
                self.users.remove(&user);
            }
            for action in &one.push_actions {
                if let Some(state) = self.users.get_mut(&action.user) {
                    state.actions.push(Action {
                        seq: event.seq,
                        notify: i64::from(action.notify),
                        highlight: action.highlight,
                        thread: event.thread_root.clone(),
                    });
                }
            }
        }
    }
}

impl ReadState {
    fn raise(&mut self, thread: &str, place: Place) {
        match thread {
            "" if place.seq > self.whole.seq => {
                self.whole = place;
                self.actions.retain(|action| action.seq > place.seq);
            }
            "main" if place.seq > self.main.seq => self.main = place,
            "" | "main" => {}
            root => {
                let seq = self.threads.entry(root.to_owned()).or_default();
                *seq = place.seq.max(*seq);
            }
        }
    }

    /// Number of the last event read, in a thread or outside of threads.
    pub(crate) fn read_up_to(&self, thread: Option<&str>) -> i64 {
        let own = match thread {
            None => self.main.seq,
            Some(root) => self.threads.get(root).copied().unwrap_or(0),
        };
        own.max(self.whole.seq)
    }

    /// Are there counted events in threads behind what was read?
    fn has_threads(&self, now: Counts) -> bool {
        let read = self.whole.counts;
        now.total - read.total > now.main - read.main
    }

    /// Unread counts; `threads` are the unread counted events of threads by others.
    fn unread(&self, now: Counts, threads: &[(OwnedEventId, i64)]) -> Unread {
        let mut unread = Unread {
            notify: now.main - self.whole.counts.main.max(self.main.counts.main),
            ..Unread::default()
        };
        let mut by_root: Vec<(OwnedEventId, i64, i64)> = Vec::new();
        let mut add = |root: &OwnedEventId, notify: i64, highlight: i64| match by_root
            .iter_mut()
            .find(|(known, _, _)| known == root)
        {
            Some(entry) => {
                entry.1 += notify;
                entry.2 += highlight;
            }
            None => by_root.push((root.clone(), notify, highlight)),
        };
        for (root, seq) in threads {
            if *seq > self.read_up_to(Some(root.as_str())) {
                add(root, 1, 0);
            }
        }
        for action in &self.actions {
            let root = action.thread.as_ref();
            if action.seq <= self.read_up_to(root.map(|root| root.as_str())) {
                continue;
            }
            let highlight = i64::from(action.highlight);
            if let Some(root) = root {
                add(root, action.notify, highlight);
            } else {
                unread.notify += action.notify;
                unread.highlight += highlight;
            }
        }
        unread.notify = unread.notify.max(unread.highlight).max(0);
        by_root.retain(|(_, notify, highlight)| *notify > 0 || *highlight > 0);
        unread.threads = by_root;
        unread
    }
}

/// How often a load of a read state is tried again when it was overtaken.
const LOADS_MAX: usize = 3;

impl Rooms {
    /// Moves the user's receipt to an event, never back.
    ///
    /// `thread` is `main`, a thread's first event, or empty for the whole room.
    pub async fn set_receipt(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        kind: ReceiptKind,
        thread: &str,
        event_id: &EventId,
    ) -> Result<()> {
        Self::ensure_joined(room, actor.nid)?;
        let work = SetReceipt {
            room: Arc::clone(room),
            user: actor.nid,
            kind,
            thread: thread.to_owned(),
            event_id: event_id.to_owned(),
            at: self.0.clock.now(),
        };
        match self.0.db.write(work).await? {
            Some(_) => Ok(()),
            None => Err(RoomError::NO_EVENT),
        }
    }

    /// What the user has not read in the room, as of the room's last event.
    pub async fn unread(&self, room: &Arc<Room>, user: UserNid) -> Result<Unread> {
        let now = room.live.read().counts;
        let state = self.read_state(room, user).await?;
        let threads = if state.has_threads(now) {
            let work = ThreadsUnread { room: room.nid, user, after: state.whole.seq };
            self.0.db.read(work).await?
        } else {
            Vec::new()
        };
        Ok(state.unread(now, &threads))
    }

    pub(crate) async fn read_state(&self, room: &Arc<Room>, user: UserNid) -> Result<ReadState> {
        let mut loaded = ReadState::default();
        for _ in 0..LOADS_MAX {
            let epoch = {
                let reads = room.reads.lock();
                if let Some(state) = reads.users.get(&user) {
                    return Ok(state.clone());
                }
                reads.epoch
            };
            loaded = self.0.db.read(LoadReadState { room: room.nid, user }).await?;
            let mut reads = room.reads.lock();
            if reads.epoch == epoch {
                reads.users.insert(user, loaded.clone());
                break;
            }
        }
        Ok(loaded)
    }

    /// Receipts that moved in these ranges of positions; all of them without ranges.
    pub async fn receipts(
        &self,
        room: RoomNid,
        ranges: Option<Vec<(StreamPos, StreamPos)>>,
    ) -> Result<Vec<Receipt>> {
        Ok(self.0.db.read(Receipts { room, ranges }).await?)
    }

    /// All receipts in the rooms that the user is in.
    pub async fn receipts_where_joined(
        &self,
        user: UserNid,
    ) -> Result<HashMap<RoomNid, Vec<Receipt>>> {
        let mut by_room: HashMap<_, Vec<_>> = HashMap::new();
        for ReceiptOf(room, receipt) in self.0.db.read(ReceiptsWhereJoined(user)).await? {
            by_room.entry(room).or_default().push(receipt);
        }
        Ok(by_room)
    }
}

struct SetReceipt {
    room: Arc<Room>,
    user: UserNid,
    kind: ReceiptKind,
    thread: String,
    event_id: OwnedEventId,
    at: Millis,
}

impl Work for SetReceipt {
    const NAME: &'static str = "rooms.set_receipt";
    /// The event's place; `None` when there is no such event in the room.
    type Out = Option<(i64, i64, i64)>;

    fn locks(&self) -> Locks {
        // Not the room's: receipts of many members must not wait for one another or for messages.
        Locks::one(LockKey::User(self.user))
    }

    fn order_key(&self) -> i64 {
        self.room.nid.0
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let place = tx
            .opt::<(i64, i64, i64, Option<String>)>(
                &EVENT_PLACE,
                &[self.event_id.as_str().into(), self.room.nid.into()],
            )
            .await?;
        let Some((seq, total, main, _)) = place else { return Ok(None) };
        let (room, user) = (self.room.nid.into(), self.user.into());
        let thread = (&self.thread).into();
        let change = match self.kind {
            ReceiptKind::Public => Change::Receipt(self.room.nid, self.user),
            ReceiptKind::Private => Change::ReadState(self.room.nid, self.user),
        };
        let pos = tx.announce(change)?;
        let event_id = self.event_id.as_str().into();
        let args = [
            room,
            user,
            self.kind.as_str().into(),
            thread,
            event_id,
            seq.into(),
            self.at.into(),
            pos.into(),
        ];
        tx.exec(&RECEIPT_RAISE, &args).await?;
        let args = [room, user, thread, seq.into(), total.into(), main.into()];
        let raised = tx.exec(&READ_STATE_RAISE, &args).await?;
        if raised > 0 && self.thread.is_empty() {
            tx.exec(&PUSH_ACTIONS_PRUNE, &[user, room, seq.into()]).await?;
        }
        Ok(Some((seq, total, main)))
    }

    fn committed(&self, out: &Self::Out) {
        let Some((seq, total, main)) = *out else { return };
        let mut reads = self.room.reads.lock();
        reads.epoch += 1;
        if let Some(state) = reads.users.get_mut(&self.user) {
            state.raise(&self.thread, Place { seq, counts: Counts { total, main } });
        }
    }
}

struct LoadReadState {
    room: RoomNid,
    user: UserNid,
}

impl Work for LoadReadState {
    const NAME: &'static str = "rooms.load_read_state";
    type Out = ReadState;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<ReadState> {
        load_read_state(tx, self.room, self.user).await
    }
}

/// How far the user has read the room.
pub(crate) async fn load_read_state(
    tx: &mut Tx<'_>,
    room: RoomNid,
    user: UserNid,
) -> StoreResult<ReadState> {
    let (room, user) = (room.into(), user.into());
    let mut state = ReadState::default();
    for (thread, seq, total, main) in
        tx.all::<(String, i64, i64, i64)>(&READ_STATES, &[room, user]).await?
    {
        state.raise(&thread, Place { seq, counts: Counts { total, main } });
    }
    let args = [user, room, state.whole.seq.into()];
    let actions = tx.all::<(i64, i64, bool, Option<String>)>(&PUSH_ACTIONS, &args).await?;
    state.actions = actions
        .into_iter()
        .map(|(seq, notify, highlight, thread)| Action {
            seq,
            notify,
            highlight,
            thread: thread.and_then(|root| root.try_into().ok()),
        })
        .collect();
    Ok(state)
}

/// What the user has not read in the room when it has come to `now`.
pub(crate) async fn load_unread(
    tx: &mut Tx<'_>,
    room: RoomNid,
    user: UserNid,
    now: Counts,
) -> StoreResult<Unread> {
    let state = load_read_state(tx, room, user).await?;
    let threads = if state.has_threads(now) {
        ThreadsUnread { room, user, after: state.whole.seq }.run(tx).await?
    } else {
        Vec::new()
    };
    Ok(state.unread(now, &threads))
}

struct ThreadsUnread {
    room: RoomNid,
    user: UserNid,
    after: i64,
}

impl Work for ThreadsUnread {
    const NAME: &'static str = "rooms.threads_unread";
    type Out = Vec<(OwnedEventId, i64)>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let args = [self.room.into(), self.after.into(), self.user.into()];
        let rows = tx.all::<(String, i64)>(&THREADS_UNREAD, &args).await?;
        Ok(rows.into_iter().filter_map(|(root, seq)| Some((root.try_into().ok()?, seq))).collect())
    }
}

struct Receipts {
    room: RoomNid,
    ranges: Option<Vec<(StreamPos, StreamPos)>>,
}

impl Work for Receipts {
    const NAME: &'static str = "rooms.receipts";
    type Out = Vec<Receipt>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<Receipt>> {
        let Some(ranges) = &self.ranges else {
            return tx.all(&RECEIPTS_ALL, &[self.room.into()]).await;
        };
        let mut found = Vec::new();
        for (after, to) in ranges {
            let args = [self.room.into(), (*after).into(), (*to).into()];
            found.extend(tx.all::<Receipt>(&RECEIPTS_BETWEEN, &args).await?);
        }
        Ok(found)
    }
}

struct ReceiptsWhereJoined(UserNid);

/// A receipt and its room.
struct ReceiptOf(RoomNid, Receipt);

impl FromRow for ReceiptOf {
    fn from_row(row: &Row<'_>) -> StoreResult<Self> {
        Ok(Self(row.get(5)?, Receipt::from_row(row)?))
    }
}

impl Work for ReceiptsWhereJoined {
    const NAME: &'static str = "rooms.receipts_where_joined";
    type Out = Vec<ReceiptOf>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<ReceiptOf>> {
        tx.all(&RECEIPTS_WHERE_JOINED, &[self.0.into()]).await
    }
}
