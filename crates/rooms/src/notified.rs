//! What the crate `push` asks of rooms: events by position, what notified a user, and what of it is
//! unread in all rooms together.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};
use haechi_store::{Result as StoreResult, Tx, Work, sql};

use crate::{
    Result, Room, Rooms,
    model::{Counts, Event},
    store::{FullRow, complete, event_columns},
    unread::{ReadState, load_read_state, load_unread},
};

sql!(EVENT_AT, concat!("SELECT ", event_columns!(), " FROM event e WHERE e.pos = ?1"));
sql!(
    EVENTS_IN_RANGE,
    "SELECT pos, room FROM event WHERE pos > ?1 AND pos <= ?2 ORDER BY pos LIMIT ?3"
);
sql!(
    UNREAD_ROOMS,
    "SELECT r.nid, r.notify_total, r.notify_main
     FROM member m JOIN room r ON r.nid = m.room
     LEFT JOIN read_state s ON s.room = m.room AND s.user_nid = m.user_nid AND s.thread = ''
     WHERE m.user_nid = ?1 AND m.membership = 'join'
        AND (r.notify_total > COALESCE(s.notify_total, 0)
            OR EXISTS (SELECT 1 FROM push_action a WHERE a.user_nid = m.user_nid
                AND a.room = m.room AND a.seq > COALESCE(s.seq, 0)))
     ORDER BY r.nid LIMIT ?2"
);
sql!(
    EXCEPTIONS_BEFORE,
    "SELECT e.origin_server_ts, e.pos, e.room, e.seq, e.thread_root
     FROM push_action a JOIN event e ON e.room = a.room AND e.seq = a.seq
     JOIN member m ON m.room = a.room AND m.user_nid = a.user_nid
     WHERE a.user_nid = ?1 AND (a.highlight = 1 OR a.notify >= ?5) AND m.membership = 'join'
        AND e.redacted_by IS NULL AND e.origin_server_ts <= ?2 AND (e.origin_server_ts < ?2 OR e.pos < ?3)
     ORDER BY e.origin_server_ts DESC, e.pos DESC LIMIT ?4"
);
sql!(
    ROOMS_BY_TIME,
    "SELECT m.room, h.origin_server_ts FROM member m JOIN room r ON r.nid = m.room
     JOIN event h ON h.pos = r.head_pos
     WHERE m.user_nid = ?1 AND m.membership = 'join'
     ORDER BY h.origin_server_ts DESC, m.room"
);
sql!(
    COUNTED_BEFORE,
    "SELECT origin_server_ts, pos, room, seq, thread_root FROM event
     WHERE room = ?1 AND counted = 1 AND sender <> ?2 AND redacted_by IS NULL
        AND origin_server_ts <= ?3 AND (origin_server_ts < ?3 OR pos < ?4)
     ORDER BY origin_server_ts DESC, seq DESC LIMIT ?5"
);

/// Rooms looked at for one badge at most.
const UNREAD_ROOMS_MAX: i64 = 500;

/// A room that holds something unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadRoom {
    /// The room.
    pub room: RoomNid,
    /// Events that notify, threads included.
    pub notify: i64,
    /// Those of them that are highlights.
    pub highlight: i64,
}

/// Which events that notified a user are wanted, newest first.
#[derive(Clone, Copy, Debug)]
pub struct NotifiedQuery {
    /// Whom.
    pub user: UserNid,
    /// Only those older than this: time, then position.
    pub before: (Millis, StreamPos),
    /// Only highlights?
    pub highlights: bool,
    /// At most so many.
    pub limit: usize,
}

/// An event that may have notified a user.
#[derive(Clone, Debug)]
pub struct Notified {
    /// Its room.
    pub room: Arc<Room>,
    /// The event.
    pub event: Arc<Event>,
    /// Has the user read it?
    pub read: bool,
}

impl Rooms {
    /// The event of the room at this position.
    pub async fn event_at(&self, room: &Arc<Room>, pos: StreamPos) -> Result<Option<Arc<Event>>> {
        if let Some(event) = room.recent_at(pos) {
            return Ok(Some(event));
        }
        let row = self.0.db.read(EventAt(room.nid, pos)).await?;
        Ok(row.map(|row| row.event(room.version)).transpose()?)
    }

    /// The rooms of the first `limit` events behind `after` up to `to`, a place in the same lane.
    pub async fn events_between(
        &self,
        after: StreamPos,
        to: StreamPos,
        limit: usize,
    ) -> Result<Vec<(StreamPos, RoomNid)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.0.db.read(EventsBetween { after, to, limit }).await?)
    }

    /// Has the user read the event?
    pub async fn has_read(&self, room: &Arc<Room>, user: UserNid, event: &Event) -> Result<bool> {
        let state = self.read_state(room, user).await?;
        Ok(event.seq <= state.read_up_to(event.thread_root.as_ref().map(|root| root.as_str())))
    }

    /// The user's rooms that hold something unread, at most 500.
    pub async fn unread_rooms(&self, user: UserNid) -> Result<Vec<UnreadRoom>> {
        Ok(self.0.db.read(UnreadRooms(user)).await?)
    }

    /// Events that notified the user by the default rules or as an exception, in rooms they are in.
    /// What their own rules take away is still among them.
    pub async fn notified(&self, query: NotifiedQuery) -> Result<Vec<Notified>> {
        let rows = self.0.db.read(FindNotified(query)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for (room, row, read) in rows {
            let room = self.room(room).await?;
            let event = row.event(room.version)?;
            found.push(Notified { room, event, read });
        }
        Ok(found)
    }
}

struct EventAt(RoomNid, StreamPos);

impl Work for EventAt {
    const NAME: &'static str = "rooms.event_at";
    type Out = Option<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<FullRow>> {
        let Some(row) = tx.opt(&EVENT_AT, &[self.1.into()]).await? else { return Ok(None) };
        Ok(complete(tx, self.0, vec![row]).await?.pop())
    }
}

struct EventsBetween {
    after: StreamPos,
    to: StreamPos,
    limit: i64,
}

impl Work for EventsBetween {
    const NAME: &'static str = "rooms.events_between";
    type Out = Vec<(StreamPos, RoomNid)>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        tx.all(&EVENTS_IN_RANGE, &[self.after.into(), self.to.into(), self.limit.into()]).await
    }
}

struct UnreadRooms(UserNid);

impl Work for UnreadRooms {
    const NAME: &'static str = "rooms.unread_rooms";
    type Out = Vec<UnreadRoom>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<UnreadRoom>> {
        let args = [self.0.into(), UNREAD_ROOMS_MAX.into()];
        let mut rooms = Vec::new();
        for (room, total, main) in tx.all::<(RoomNid, i64, i64)>(&UNREAD_ROOMS, &args).await? {
            let unread = load_unread(tx, room, self.0, Counts { total, main }).await?;
            let (notify, highlight) = unread.overall();
            if notify > 0 {
                rooms.push(UnreadRoom { room, notify, highlight });
            }
        }
        Ok(rooms)
    }
}

/// Time, position, room, number, thread: newest first when reversed.
type Candidate = (Millis, StreamPos, RoomNid, i64, Option<String>);

struct FindNotified(NotifiedQuery);

impl Work for FindNotified {
    const NAME: &'static str = "rooms.notified";
    /// Room, event, and whether it was read.
    type Out = Vec<(RoomNid, FullRow, bool)>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let mut states: HashMap<RoomNid, ReadState> = HashMap::new();
        let mut found = Vec::new();
        for Reverse((_, pos, room, seq, thread)) in self.0.candidates(tx).await? {
            let Some(row) = tx.opt(&EVENT_AT, &[pos.into()]).await? else { continue };
            let Some(row) = complete(tx, room, vec![row]).await?.pop() else { continue };
            let state = match states.entry(room) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    unknown.insert(load_read_state(tx, room, self.0.user).await?)
                }
            };
            found.push((room, row, seq <= state.read_up_to(thread.as_deref())));
        }
        Ok(found)
    }
}

impl NotifiedQuery {
    async fn candidates(&self, tx: &mut Tx<'_>) -> StoreResult<BTreeSet<Reverse<Candidate>>> {
        let (at, pos) = self.before;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        // No exception adds more than one.
        let notify_min = if self.highlights { 2 } else { 1 };
        let args = [self.user.into(), at.into(), pos.into(), limit.into(), notify_min.into()];
        let exceptions = tx.all::<Candidate>(&EXCEPTIONS_BEFORE, &args).await?;
        let mut newest: BTreeSet<_> = exceptions.into_iter().map(Reverse).collect();
        if self.highlights {
            return Ok(newest);
        }
        for (room, head_at) in
            tx.all::<(RoomNid, Millis)>(&ROOMS_BY_TIME, &[self.user.into()]).await?
        {
            // Rooms come newest first: this one and the rest have nothing that is new enough.
            if newest.len() >= self.limit
                && newest.last().is_some_and(|Reverse((oldest, ..))| *oldest > head_at)
            {
                break;
            }
            let args = [room.into(), self.user.into(), at.into(), pos.into(), limit.into()];
            newest.extend(
                tx.all::<Candidate>(&COUNTED_BEFORE, &args).await?.into_iter().map(Reverse),
            );
            while newest.len() > self.limit {
                newest.pop_last();
            }
        }
        while newest.len() > self.limit {
            newest.pop_last();
        }
        Ok(newest)
    }
}
