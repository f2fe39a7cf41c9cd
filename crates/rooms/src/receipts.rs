//! How far users have read: receipts as clients see them. What is unread follows from them; see
//! `unread`.

use std::{collections::HashMap, sync::Arc};

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};
use haechi_store::{Change, FromRow, LockKey, Locks, Result as StoreResult, Row, Tx, Work, sql};
use ruma::{EventId, OwnedEventId};

use crate::{
    Result, Room, RoomError, Rooms,
    model::{Actor, Counts},
    unread::Place,
};

sql!(
    EVENT_PLACE,
    "SELECT seq, notify_total, notify_main, thread_root FROM event WHERE event_id = ?1 AND room = ?2"
);
sql!(
    READ_STATE_RAISE,
    "INSERT INTO read_state (room, user_nid, thread, seq, notify_total, notify_main)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (room, user_nid, thread) DO UPDATE SET
        seq = excluded.seq, notify_total = excluded.notify_total, notify_main = excluded.notify_main
     WHERE excluded.seq > read_state.seq"
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
        tx.put(&RECEIPT_RAISE, &args).await?;
        let args = [room, user, thread, seq.into(), total.into(), main.into()];
        let raised = tx.exec(&READ_STATE_RAISE, &args).await?;
        if raised > 0 && self.thread.is_empty() {
            tx.put(&PUSH_ACTIONS_PRUNE, &[user, room, seq.into()]).await?;
        }
        Ok(Some((seq, total, main)))
    }

    fn committed(&self, out: &Self::Out) {
        let Some((seq, total, main)) = *out else { return };
        let place = Place { seq, counts: Counts { total, main } };
        self.room.reads.lock().raise(self.user, &self.thread, place);
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
