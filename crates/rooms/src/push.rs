//! Whom an event notifies: decided by the crate `push`, which knows everybody's rules.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_matrix::pdu::Pdu;

use crate::Room;
pub use crate::store::PushAction;

/// Decides whom an event notifies otherwise than the default rules would.
pub trait PushRules: Send + Sync {
    /// Does the event notify by the default rules, for somebody who is not mentioned?
    fn counts(&self, pdu: &Pdu) -> bool;

    /// The exceptions, for those in the room; the sender is never among them.
    ///
    /// Called for every event before it is appended: must be quick and must not wait.
    fn exceptions(&self, room: &Arc<Room>, pdu: &Pdu, counts: bool) -> Vec<PushAction>;

    /// Are the rules needed for this room in memory? When not, [`Self::load`] is awaited first.
    fn is_ready(&self, user: UserNid) -> bool;
}
