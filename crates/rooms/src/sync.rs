//! What the crate `sync` asks of rooms: timelines between two points in time, and state at them.

use std::{collections::HashSet, sync::Arc};

use haechi_base::{Positions, RoomNid, StreamPos, UserNid};
use haechi_store::{Result as StoreResult, Tx, Work, sql};

use crate::{
    Membership, Result, Room, Rooms, State,
    model::Event,
    room::Recent,
    store::{EventRow, FullRow, complete, event_columns},
};

sql!(
    EVENTS_BEFORE,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.room = ?1 AND e.seq <= ?2 ORDER BY e.seq DESC LIMIT ?3"
    )
);
sql!(
    EVENT_BY_SEQ,
    concat!("SELECT ", event_columns!(), " FROM event e WHERE e.room = ?1 AND e.seq = ?2")
);
sql!(POS_OF_SEQ, "SELECT pos FROM event WHERE room = ?1 AND seq = ?2");
sql!(LAST_SEQ, "SELECT seq FROM room WHERE nid = ?1");
sql!(
    DELTAS_FROM,
    "SELECT type, state_key, replaces_seq FROM state_delta WHERE room = ?1 AND seq >= ?2 ORDER BY seq"
);
sql!(
    DELTAS_BETWEEN,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM state_delta d JOIN event e ON e.pos = d.pos
      WHERE d.room = ?1 AND d.seq > ?2 AND d.seq < ?3 ORDER BY d.seq"
    )
);
sql!(
    ROOM_MOVES,
    "SELECT m.room, m.membership, m.seq, m.pos, r.head_pos
     FROM member m JOIN room r ON r.nid = m.room
     WHERE m.user_nid = ?1"
);
sql!(RECEIPT_IN, "SELECT pos FROM receipt WHERE room = ?1 AND pos > ?2 AND pos <= ?3 LIMIT 1");

/// How far a room that concerns a user has come.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The room.
    pub room: RoomNid,
    /// The user's membership.
    pub membership: Membership,
    /// Number of the event that made it so.
    pub seq: i64,
    /// Its position.
    pub pos: StreamPos,
    /// Position of the room's last event.
    pub head_pos: StreamPos,
    /// Has a receipt moved in the ranges asked for?
    pub has_receipts: bool,
}

impl Rooms {
    /// The newest events that `to` covers and `from` does not, oldest first, at most `limit`.
    pub async fn timeline(
        &self,
        room: &Arc<Room>,
        from: &Positions,
        to: &Positions,
        limit: usize,
    ) -> Result<Recent> {
        if let Some(recent) = room.recent(from, to, limit) {
            return Ok(recent);
        }
        let last = self.seq_at(room.nid, to).await?;
        let mut events = self.events_up_to(room, last, limit + 1).await?;
        let reached = events.iter().position(|event| from.covers(event.pos));
        events.truncate(reached.unwrap_or(events.len()));
        let limited = events.len() > limit;
        events.truncate(limit);
        events.reverse();
        Ok(Recent { events, limited })
    }

    /// At most `limit` events that end with event number `seq`, oldest first.
    pub async fn up_to(&self, room: &Arc<Room>, seq: i64, limit: usize) -> Result<Recent> {
        let mut events = self.events_up_to(room, seq, limit + 1).await?;
        let limited = events.len() > limit;
        events.truncate(limit);
        events.reverse();
        Ok(Recent { events, limited })
    }

    /// At most `limit` events up to number `seq`, newest first.
    pub(crate) async fn events_up_to(
        &self,
        room: &Arc<Room>,
        seq: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.0.db.read(EventsUpTo { room: room.nid, seq, limit }).await?;
        rows.into_iter().map(|row| Ok(row.event(room.version)?)).collect()
    }

    /// Number of the last event of the room that `positions` cover.
    pub async fn seq_at(&self, room: RoomNid, positions: &Positions) -> Result<i64> {
        Ok(self.0.db.read(SeqAt { room, positions: positions.clone() }).await?)
    }

    /// The state before event number `seq`.
    pub async fn state_before(&self, room: &Arc<Room>, seq: i64) -> Result<State> {
        if let Some(state) = room.state_before(seq) {
            return Ok(state);
        }
        // Memory first, tables second: the tables are never behind memory.
        let (mut state, last) = {
            let live = room.live.read();
            (live.state.clone(), live.seq)
        };
        if seq > last {
            return Ok(state);
        }
        for (kind, key, replaced) in self.0.db.read(Rewind { room: room.nid, seq }).await? {
            match replaced {
                Some(row) => state.insert(row.pdu(room.version)?),
                None => state.remove(&kind, &key),
            }
        }
        Ok(state)
    }

    /// State that changed after event number `after` and before number `before`, latest of each.
    pub async fn state_changes(&self, room: &Arc<Room>, after: i64, before: i64) -> Result<State> {
        let rows = self.0.db.read(StateChanges { room: room.nid, after, before }).await?;
        let mut changed = State::default();
        for row in rows {
            changed.insert(row.pdu(room.version)?);
        }
        Ok(changed)
    }

    /// How far each room has come that concerns the user or did, and in which of them receipts moved
    /// in these ranges of positions. Also rooms that were forgotten: other clients may not know yet.
    pub async fn moves(
        &self,
        user: UserNid,
        ranges: &[(StreamPos, StreamPos)],
    ) -> Result<Vec<Move>> {
        Ok(self.0.db.read(Moves { user, ranges: ranges.to_vec() }).await?)
    }
}

struct EventsUpTo {
    room: RoomNid,
    seq: i64,
    limit: i64,
}

impl Work for EventsUpTo {
    const NAME: &'static str = "rooms.events_up_to";
    type Out = Vec<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<FullRow>> {
        let args = [self.room.into(), self.seq.into(), self.limit.into()];
        let rows = tx.all(&EVENTS_BEFORE, &args).await?;
        complete(tx, self.room, rows).await
    }
}

struct SeqAt {
    room: RoomNid,
    positions: Positions,
}

impl Work for SeqAt {
    const NAME: &'static str = "rooms.seq_at";
    type Out = i64;

    /// What a point in time covers of a room is always a beginning of it (design, section 5), so
    /// its end is found by halving.
    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<i64> {
        let (last,) = tx.opt::<(i64,)>(&LAST_SEQ, &[self.room.into()]).await?.unwrap_or((0,));
        let (mut covered, mut beyond) = (0, last + 1);
        let mut probe = last;
        while beyond - covered > 1 {
            let found =
                tx.opt::<(StreamPos,)>(&POS_OF_SEQ, &[self.room.into(), probe.into()]).await?;
            if found.is_none_or(|(pos,)| self.positions.covers(pos)) {
                covered = probe;
            } else {
                beyond = probe;
            }
            probe = i64::midpoint(covered, beyond);
        }
        Ok(covered)
    }
}

struct Rewind {
    room: RoomNid,
    seq: i64,
}

impl Work for Rewind {
    const NAME: &'static str = "rooms.rewind";
    type Out = Vec<(String, String, Option<EventRow>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let room = self.room.into();
        let deltas =
            tx.all::<(String, String, Option<i64>)>(&DELTAS_FROM, &[room, self.seq.into()]).await?;
        let mut seen = HashSet::new();
        let mut undone = Vec::new();
        for (kind, key, replaces) in deltas {
            // Only the first change of each key leads back to what was there before.
            if !seen.insert((kind.clone(), key.clone())) {
                continue;
            }
            let before = match replaces {
                Some(seq) => tx.opt(&EVENT_BY_SEQ, &[room, seq.into()]).await?,
                None => None,
            };
            undone.push((kind, key, before));
        }
        Ok(undone)
    }
}

struct StateChanges {
    room: RoomNid,
    after: i64,
    before: i64,
}

impl Work for StateChanges {
    const NAME: &'static str = "rooms.state_changes";
    type Out = Vec<EventRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<EventRow>> {
        let args = [self.room.into(), self.after.into(), self.before.into()];
        tx.all(&DELTAS_BETWEEN, &args).await
    }
}

struct Moves {
    user: UserNid,
    ranges: Vec<(StreamPos, StreamPos)>,
}

impl Work for Moves {
    const NAME: &'static str = "rooms.moves";
    type Out = Vec<Move>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<Move>> {
        let rows = tx
            .all::<(RoomNid, String, i64, StreamPos, StreamPos)>(&ROOM_MOVES, &[self.user.into()])
            .await?;
        let mut moves = Vec::with_capacity(rows.len());
        for (room, membership, seq, pos, head_pos) in rows {
            let membership = membership.parse().unwrap_or(Membership::Leave);
            let mut has_receipts = false;
            let ranges = self.ranges.iter().filter(|_| membership == Membership::Join);
            for (after, to) in ranges {
                let args = [room.into(), (*after).into(), (*to).into()];
                has_receipts |= tx.opt::<(StreamPos,)>(&RECEIPT_IN, &args).await?.is_some();
            }
            moves.push(Move { room, membership, seq, pos, head_pos, has_receipts });
        }
        Ok(moves)
    }
}
