//! Appending where guessing failed: the rules are checked inside the write, behind the room's lock.
//!
//! An append is checked before it is queued, against the state that this node knows; that costs the
//! write nothing, and is right as long as the state stays. In a room whose state several nodes change
//! at once it can go wrong any number of times, so after a few it is settled here, where the state
//! cannot move.

use std::sync::Arc;

use haechi_store::{LockKey, Locks, Result as StoreResult, Tx, Work};
use ruma::OwnedEventId;

use crate::{
    Result, RoomError, Rooms,
    append::{Pending, unchanged},
    room::Room,
    store::{Append, Appended, Base, LoadRoom},
};

/// Appends one event to a room by the state that the tables hold at that moment.
struct Settle {
    rooms: Rooms,
    room: Arc<Room>,
    pending: Pending,
}

/// What came of a [`Settle`].
enum Settled {
    /// As with any append; the state has not moved.
    Appended(Appended),
    /// It would change nothing; this is the event in force.
    Unchanged(OwnedEventId),
    /// The rules forbid it.
    Refused(RoomError),
}

impl Work for Settle {
    const NAME: &'static str = "rooms.settle";
    type Out = Settled;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(self.room.nid))
    }

    fn order_key(&self) -> i64 {
        self.room.nid.0
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Settled> {
        let Some(loaded) = LoadRoom(self.room.nid).run(tx).await? else {
            return Ok(Settled::Refused(RoomError::NO_ROOM));
        };
        let mut head = match loaded.room(self.room.nid) {
            Ok(there) => there.head.into_inner(),
            Err(error) => return Ok(Settled::Refused(error)),
        };
        if let Some(same) = unchanged(&head, &self.pending) {
            return Ok(Settled::Unchanged(same));
        }
        let base = Base { event: Some(head.event.clone()), state_version: head.state_version };
        let draft = match self.rooms.draft(&self.room, &mut head, &self.pending) {
            Ok(draft) => draft,
            Err(error) => return Ok(Settled::Refused(error)),
        };
        let append = Append {
            room: Arc::clone(&self.room),
            base,
            draft,
            key: Arc::clone(&self.rooms.0.key),
        };
        append.run(tx).await.map(Settled::Appended)
    }

    fn committed(&self, out: &Settled) {
        if let Settled::Appended(Appended::Done { applied, state_version }) = out {
            self.room.apply(applied, *state_version);
        }
    }
}

impl Rooms {
    /// Appends one event, whatever other nodes do to the room meanwhile.
    pub(crate) async fn settle(&self, room: &Arc<Room>, pending: Pending) -> Result<OwnedEventId> {
        let settle = Settle { rooms: self.clone(), room: Arc::clone(room), pending };
        let settled = self.0.db.submit(settle)?.await;
        // Whether it came or not, what is queued next cannot build on what was expected before it.
        room.head.lock().valid = false;
        match settled? {
            Settled::Appended(Appended::Done { applied, .. }) => {
                Ok(applied[0].event.pdu.event_id().to_owned())
            }
            Settled::Appended(Appended::Duplicate(event_id)) | Settled::Unchanged(event_id) => {
                Ok(event_id)
            }
            Settled::Appended(Appended::AnnotatedBefore) => Err(RoomError::AnnotatedBefore),
            Settled::Appended(Appended::StateMoved) => Err(RoomError::Contended),
            Settled::Refused(error) => Err(error),
        }
    }
}
