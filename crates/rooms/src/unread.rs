//! What users have not read: counts that follow from how far they have.
//!
//! Nothing is written per message and member. A room counts its notifying events; a user's place is
//! the counts at the event they have read; the difference is what is unread. Only what notifies a
//! user otherwise than the default rules would (a mention, say) has a row of its own. What was
//! redacted is taken off when it is looked at.

use std::{collections::HashMap, sync::Arc};

use haechi_base::{RoomNid, UserNid};
use haechi_matrix::auth::Membership;
use haechi_store::{Result as StoreResult, Tx, Work, sql};
use ruma::OwnedEventId;

use crate::{
    Result, Room, Rooms,
    model::Counts,
    room::{Applied, Redacted},
};

sql!(
    READ_STATES,
    "SELECT thread, seq, notify_total, notify_main FROM read_state WHERE room = ?1 AND user_nid = ?2"
);
sql!(
    PUSH_ACTIONS,
    "SELECT a.seq, a.notify, a.highlight, a.thread_root FROM push_action a
     WHERE a.user_nid = ?1 AND a.room = ?2 AND a.seq > ?3 AND NOT EXISTS (SELECT 1 FROM event e
        WHERE e.room = a.room AND e.seq = a.seq AND e.redacted_by IS NOT NULL)
     ORDER BY a.seq"
);
sql!(
    COUNTED_REDACTED,
    "SELECT seq FROM event
     WHERE room = ?1 AND seq > ?2 AND redacted_by IS NOT NULL AND counted = 1
        AND thread_root IS NULL
     ORDER BY seq DESC LIMIT 1000"
);
sql!(
    THREADS_UNREAD,
    "SELECT thread_root, seq FROM event
     WHERE room = ?1 AND thread_root IS NOT NULL AND seq > ?2 AND counted = 1 AND sender <> ?3
        AND redacted_by IS NULL
     ORDER BY seq DESC LIMIT 1000"
);

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
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) counts: Counts,
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
    /// Numbers of counted events outside of threads, behind what was read, that were redacted.
    redacted: Vec<i64>,
}

/// The read states in memory for one room.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    users: HashMap<UserNid, ReadState>,
    /// Grows with every change, so that a load can tell whether it was overtaken.
    epoch: u64,
}

impl Reads {
    /// The user has read up to a place, in a thread or all.
    pub(crate) fn raise(&mut self, user: UserNid, thread: &str, place: Place) {
        self.epoch += 1;
        if let Some(state) = self.users.get_mut(&user) {
            state.raise(thread, place);
        }
    }

    /// The user has read elsewhere.
    pub(crate) fn forget(&mut self, user: UserNid) {
        self.users.remove(&user);
        self.epoch += 1;
    }

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
                state.redacted.clear();
            }
            if let Some(redacted) = &one.redacted {
                self.users.values_mut().for_each(|state| state.redact(redacted));
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
                self.redacted.retain(|seq| *seq > place.seq);
            }
            "main" if place.seq > self.main.seq => self.main = place,
            "" | "main" => {}
            root => {
                let seq = self.threads.entry(root.to_owned()).or_default();
                *seq = place.seq.max(*seq);
            }
        }
    }

    fn redact(&mut self, redacted: &Redacted) {
        self.actions.retain(|action| action.seq != redacted.seq);
        if redacted.counted && redacted.seq > self.whole.seq {
            self.redacted.push(redacted.seq);
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
        let read = self.read_up_to(None);
        let redacted = self.redacted.iter().filter(|seq| **seq > read).count();
        let mut unread = Unread {
            notify: now.main
                - self.whole.counts.main.max(self.main.counts.main)
                - i64::try_from(redacted).unwrap_or(0),
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
    let args = [room, state.whole.seq.into()];
    let redacted = tx.all::<(i64,)>(&COUNTED_REDACTED, &args).await?;
    state.redacted = redacted.into_iter().map(|(seq,)| seq).collect();
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
