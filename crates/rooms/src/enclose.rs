//! Events that are written in somebody else's work: a card beside the transfer that it shows.

use std::sync::Arc;

use haechi_store::{Addition, AdditionFuture, Locks, Work as _};
use parking_lot::Mutex;

use crate::{
    NewEvent, Result, Rooms,
    model::Actor,
    room::{Applied, Room},
    store::{Append, Appended, Base},
};

/// An event that was checked and signed to stand at the end of a room, not yet written.
pub struct Enclosed {
    append: Append,
    /// What was written, until it is committed.
    written: Mutex<Option<(Vec<Applied>, i64)>>,
}

impl Rooms {
    /// Checks and signs an event that is no state, to be written by another crate's work.
    pub async fn enclose(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        new: NewEvent,
    ) -> Result<Enclosed> {
        let pending = self.prepare(room.version, Some(room.room_id.clone()), actor, new).await?;
        self.mend_head(room).await?;
        self.load_push_rules(room).await?;
        // The head in memory stays: nobody knows yet whether this event will be written. If it is,
        // and others are before it, the append signs it anew behind them.
        let mut head = room.head.lock().clone();
        let base = Base { event: Some(head.event.clone()), state_version: head.state_version };
        let draft = self.draft(room, &mut head, &pending)?;
        let append = Append { room: Arc::clone(room), base, draft, key: Arc::clone(&self.0.key) };
        Ok(Enclosed { append, written: Mutex::new(None) })
    }
}

impl Addition for Enclosed {
    fn locks(&self) -> Locks {
        self.append.locks()
    }

    fn run<'a>(&'a self, tx: &'a mut haechi_store::Tx<'_>) -> AdditionFuture<'a> {
        Box::pin(async move {
            let appended = self.append.run(tx).await?;
            Ok(match appended {
                Appended::Done { applied, state_version } => {
                    let event_id = applied[0].event.pdu.event_id().to_string();
                    *self.written.lock() = Some((applied, state_version));
                    Some(event_id)
                }
                Appended::Duplicate(event_id) => Some(event_id.to_string()),
                Appended::AnnotatedBefore | Appended::StateMoved => {
                    self.append.room.head.lock().valid = false;
                    None
                }
            })
        })
    }

    fn committed(&self) {
        if let Some((applied, state_version)) = self.written.lock().take() {
            self.append.room.apply(&applied, state_version);
            // The head did not move on when the event was signed.
            self.append.room.head.lock().valid = false;
        }
    }
}
