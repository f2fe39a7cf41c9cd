//! Whom an event notifies: decided by the crate `push`, which knows everybody's rules.

use std::{future::Future, pin::Pin, sync::Arc};

use haechi_base::UserNid;
use haechi_matrix::{auth::RoomAuth, pdu::Pdu};
use ruma::OwnedUserId;

pub use crate::store::PushAction;
use crate::{Result, Room, State};

/// An event about to be appended, with what push rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Appending<'a> {
    /// The room.
    pub room: &'a Arc<Room>,
    /// The event.
    pub pdu: &'a Pdu,
    /// Its sender.
    pub sender: UserNid,
    /// Whom it names, by a mention or as the member it is about; they need not be in the room.
    pub named: &'a [(OwnedUserId, UserNid)],
    /// The state before the event.
    pub state: &'a State,
    /// Who has which power.
    pub auth: Option<&'a RoomAuth>,
}

/// Whom an event notifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Does it notify by the default rules, for somebody whom it does not name?
    pub counts: bool,
    /// For whom of those in the room it is otherwise; the sender is never among them.
    pub actions: Vec<PushAction>,
}

/// What [`PushRules::load`] returns.
pub type Loading<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Decides whom an event notifies.
pub trait PushRules: Send + Sync {
    /// Are the rules of all in the room in memory? When not, [`Self::load`] is awaited first.
    fn is_ready(&self, room: &Room) -> bool;

    /// Brings the rules of all in the room into memory.
    fn load<'a>(&'a self, room: &'a Arc<Room>) -> Loading<'a>;

    /// Whom the event notifies.
    ///
    /// Called for every event, with the room's head locked: must be quick and must not wait.
    fn judge(&self, event: &Appending<'_>) -> Verdict;
}
