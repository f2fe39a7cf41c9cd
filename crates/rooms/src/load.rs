//! From tables to memory: finding a room, and reading it again when another node changed it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use haechi_base::RoomNid;
use haechi_matrix::{RoomVersion, auth::RoomAuth};
use haechi_store::{Change, Commit, Result as StoreResult, StoreError, Tx, Work, sql};
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};
use ruma::{OwnedRoomId, RoomId};

use crate::{
    Result, RoomError, Rooms,
    model::State,
    room::{Head, Live, Room},
    store::{LoadRoom, Loaded},
};

sql!(ROOM_NID, "SELECT nid FROM room WHERE room_id = ?1");

/// How often a room is read again before we give up on its changing underneath.
const RELOADS_MAX: u32 = 8;
/// Pause before a room is read again, times how often it was.
const RELOAD_PAUSE: Duration = Duration::from_millis(5);

/// Rooms in memory.
///
/// The cache keeps the rooms most used alive; `all` finds every room that anybody still holds, so
/// that there is never more than one copy of a room: two would not hear of each other's commits.
pub(crate) struct RoomCache {
    kept: Cache<RoomNid, Kept>,
    all: Mutex<HashMap<RoomNid, Weak<Room>>>,
    by_id: Cache<OwnedRoomId, RoomNid>,
    /// Whoever reads a room in holds the room's; the others wait for what he finds.
    turns: Vec<tokio::sync::Mutex<()>>,
}

/// A room that is kept, and what it took in memory when it was last put in.
#[derive(Clone)]
struct Kept {
    room: Arc<Room>,
    bytes: usize,
}

/// Room ids whose numbers are kept.
const IDS_CACHED_MAX: u64 = 80_000;

/// Rooms that can be read in at the same time.
const TURNS: usize = 256;

/// A room is weighed anew when it has changed by more than this,
const CHANGED_BYTES_MIN: usize = 8_192;
/// and by more than this part of itself.
const CHANGED_PART: usize = 8;

impl RoomCache {
    /// Keeps rooms up to about so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, kept: &Kept| u32::try_from(kept.bytes).unwrap_or(u32::MAX))
            .build();
        let turns = std::iter::repeat_with(Default::default).take(TURNS).collect();
        Self { kept, all: Mutex::default(), by_id: Cache::new(IDS_CACHED_MAX), turns }
    }

    async fn turn(&self, nid: RoomNid) -> tokio::sync::MutexGuard<'_, ()> {
        let index = usize::try_from(nid.0.unsigned_abs()).unwrap_or(0) % TURNS;
        self.turns[index].lock().await
    }

    fn get(&self, nid: RoomNid) -> Option<Arc<Room>> {
        if let Some(kept) = self.kept.get(&nid) {
            let changed = kept.room.bytes.load(Ordering::Relaxed).abs_diff(kept.bytes);
            if changed > CHANGED_BYTES_MIN.max(kept.bytes / CHANGED_PART) {
                self.keep(&kept.room);
            }
            return Some(kept.room);
        }
        let room = self.all.lock().get(&nid)?.upgrade()?;
        self.keep(&room);
        Some(room)
    }

    fn keep(&self, room: &Arc<Room>) {
        let bytes = room.bytes.load(Ordering::Relaxed);
        self.kept.insert(room.nid, Kept { room: Arc::clone(room), bytes });
    }

    /// How many rooms are kept, and about what they take in memory.
    fn size(&self) -> (u64, u64) {
        self.kept.run_pending_tasks();
        (self.kept.entry_count(), self.kept.weighted_size())
    }

    /// The room, if it is in memory and no other node wrote to it.
    pub(crate) fn fresh(&self, nid: RoomNid) -> Option<Arc<Room>> {
        self.get(nid).filter(|room| !room.live.read().stale)
    }

    /// Puts a room in, unless somebody was faster; returns the one that counts.
    fn insert(&self, room: Arc<Room>) -> Arc<Room> {
        let mut all = self.all.lock();
        if let Some(first) = all.get(&room.nid).and_then(Weak::upgrade) {
            return first;
        }
        all.insert(room.nid, Arc::downgrade(&room));
        // Entries of rooms long gone are swept when the map has doubled.
        if all.len() > 2 * self.kept.entry_count().try_into().unwrap_or(usize::MAX).max(1_024) {
            all.retain(|_, weak| weak.strong_count() > 0);
        }
        self.keep(&room);
        room
    }
}

sql!(ROOM_SEQ, "SELECT seq FROM room WHERE nid = ?1");

/// How many events the room has.
struct RoomSeq(RoomNid);

impl Work for RoomSeq {
    const NAME: &'static str = "rooms.seq";
    type Out = Option<i64>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<i64>> {
        Ok(tx.opt::<(i64,)>(&ROOM_SEQ, &[self.0.into()]).await?.map(|(seq,)| seq))
    }
}

struct FindRoom(OwnedRoomId);

impl Work for FindRoom {
    const NAME: &'static str = "rooms.find";
    type Out = Option<RoomNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<RoomNid>> {
        Ok(tx.opt::<(RoomNid,)>(&ROOM_NID, &[self.0.as_str().into()]).await?.map(|(nid,)| nid))
    }
}

impl Rooms {
    /// The number of the room with this Matrix id.
    pub async fn nid_of(&self, room_id: &RoomId) -> Result<RoomNid> {
        if let Some(nid) = self.0.cache.by_id.get(room_id) {
            return Ok(nid);
        }
        let nid = self.0.db.read(FindRoom(room_id.to_owned())).await?.ok_or(RoomError::NO_ROOM)?;
        self.0.cache.by_id.insert(room_id.to_owned(), nid);
        Ok(nid)
    }

    /// The room with this Matrix id.
    pub async fn find(&self, room_id: &RoomId) -> Result<Arc<Room>> {
        self.room(self.nid_of(room_id).await?).await
    }

    /// The room with this number, up to date as far as this node has heard.
    pub async fn room(&self, nid: RoomNid) -> Result<Arc<Room>> {
        if let Some(room) = self.0.cache.fresh(nid) {
            return Ok(room);
        }
        let _turn = self.0.cache.turn(nid).await;
        if let Some(room) = self.0.cache.get(nid) {
            if room.live.read().stale {
                self.refresh(&room).await?;
            }
            return Ok(room);
        }
        let loaded = self.0.db.read(LoadRoom(nid)).await?.ok_or(RoomError::NO_ROOM)?;
        let room = self.0.cache.insert(Arc::new(loaded.room(nid)?));
        // A commit between reading and inserting was not heard by the new copy.
        if self.0.db.read(RoomSeq(nid)).await? != Some(room.live.read().seq) {
            self.refresh(&room).await?;
        }
        Ok(room)
    }

    /// Reads the room again until what was read is not older than what was heard.
    pub(crate) async fn refresh(&self, room: &Arc<Room>) -> Result<()> {
        for attempt in 0..RELOADS_MAX {
            // The database that is read may be a little behind.
            tokio::time::sleep(RELOAD_PAUSE * attempt).await;
            let marks = room.marks.load(Ordering::Acquire);
            let wanted = {
                let live = room.live.read();
                live.seq.max(live.due)
            };
            let loaded = self.0.db.read(LoadRoom(room.nid)).await?.ok_or(RoomError::NO_ROOM)?;
            let fresh = loaded.room(room.nid)?;
            let mut live = fresh.live.into_inner();
            let mut current = room.live.write();
            if live.seq < current.seq && !current.stale {
                // Our own commits went on meanwhile, and nobody else's came between them.
                let head = current.head(room.version);
                drop(current);
                room.mend(head);
                return Ok(());
            }
            if live.seq >= wanted && live.seq >= current.seq {
                live.due = current.due.max(live.seq);
                // What came while we read: this is good for whoever asked before, not for the next.
                live.stale = live.due > live.seq || room.marks.load(Ordering::Acquire) != marks;
                room.bytes.store(live.bytes(), Ordering::Relaxed);
                *current = live;
                room.reads.lock().clear();
                drop(current);
                room.mend(fresh.head.into_inner());
                return Ok(());
            }
        }
        Err(RoomError::Contended)
    }

    /// Makes the head that the next event builds on usable again after a queued one failed: what is
    /// committed is a good one, as the append itself compares it with the room's row.
    pub(crate) async fn mend_head(&self, room: &Arc<Room>) -> Result<()> {
        if room.head.lock().valid {
            return Ok(());
        }
        let _turn = self.0.cache.turn(room.nid).await;
        if room.live.read().stale {
            self.refresh(room).await?;
        }
        let head = room.live.read().head(room.version);
        room.mend(head);
        Ok(())
    }

    /// How many rooms are kept in memory, and about how many bytes they take there.
    pub fn kept_in_memory(&self) -> (u64, u64) {
        self.0.cache.size()
    }

    /// Forgets what memory holds of what other nodes changed; to be called before anybody is told.
    pub fn hear(&self, commit: &Commit) {
        if !commit.foreign.is_empty() {
            return self.mark_stale();
        }
        for note in &commit.heard {
            match note.change {
                Change::Event(room) => self.with_kept(room, Room::mark_stale),
                Change::Receipt(room, user) | Change::ReadState(room, user) => {
                    self.with_kept(room, |room| room.reads.lock().forget(user));
                }
                _ => {}
            }
        }
    }

    fn with_kept(&self, nid: RoomNid, act: impl FnOnce(&Room)) {
        let room = self.0.cache.all.lock().get(&nid).and_then(Weak::upgrade);
        if let Some(room) = room {
            act(&room);
        }
    }

    /// Forgets what memory holds of all rooms: they are read again when next used.
    pub fn mark_stale(&self) {
        for weak in self.0.cache.all.lock().values() {
            if let Some(room) = weak.upgrade() {
                room.mark_stale();
            }
        }
    }
}

impl Loaded {
    pub(crate) fn room(self, nid: RoomNid) -> Result<Room> {
        let unreadable = |what: &str| StoreError::Corrupt {
            statement: "room",
            column: 0,
            reason: what.to_owned(),
        };
        let version: RoomVersion = self
            .version
            .parse()
            .map_err(|_| RoomError::UnsupportedVersion(self.version.clone()))?;
        let room_id: OwnedRoomId = self.room_id.try_into().map_err(|_| unreadable("room id"))?;
        let mut state = State::default();
        for row in self.state {
            state.insert(row.pdu(version)?);
        }
        let mut recent = std::collections::VecDeque::with_capacity(self.recent.len());
        for row in self.recent {
            recent.push_front(row.event(version)?);
        }
        let head_event = if self.seq == 0 {
            // A room gets its create event in the commit that makes it.
            return Err(unreadable("a room without events").into());
        } else {
            ruma::OwnedEventId::try_from(self.head_event).map_err(|_| unreadable("head event"))?
        };
        let live = Live {
            stale: false,
            due: self.seq,
            seq: self.seq,
            head_event,
            depth: self.depth,
            head_pos: self.head_pos,
            bump_at: self.bump_at,
            state_version: self.state_version,
            counts: self.counts,
            recent_bytes: recent.iter().map(|event| event.bytes()).sum(),
            recent,
            joined: self.joined.into_iter().collect(),
            invited: self.invited,
            open_since: self.open_since,
            state,
        };
        let head = live.head(version);
        Ok(Room {
            nid,
            room_id,
            version,
            head: Mutex::new(head),
            bytes: AtomicUsize::new(live.bytes()),
            live: RwLock::new(live),
            reads: Mutex::default(),
            marks: AtomicU64::new(0),
        })
    }
}

impl Live {
    /// The head as it is when nothing is queued.
    fn head(&self, version: RoomVersion) -> Head {
        Head {
            valid: true,
            event: self.head_event.clone(),
            depth: self.depth,
            state_version: self.state_version,
            auth: room_auth(version, &self.state),
            state: self.state.clone(),
        }
    }
}

/// What the rules read of a state; `None` when it has no readable create event.
pub(crate) fn room_auth(version: RoomVersion, state: &State) -> Option<Arc<RoomAuth>> {
    let create = state.get("m.room.create", "")?;
    let levels = state.get("m.room.power_levels", "").map(|pdu| &**pdu);
    RoomAuth::new(version, create, levels).ok().map(Arc::new)
}
