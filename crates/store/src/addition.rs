//! What one crate adds to the work of another: written together, or not at all.

use std::{future::Future, pin::Pin};

use crate::{Locks, Result, Tx};

/// A step that rides in somebody else's [`Work`](crate::Work): an event in a room beside the transfer
/// that it shows, say. Neither crate knows the other; whoever puts both together makes the one and
/// hands it to the other.
///
/// The same rules hold as for a work: it may be run again, and changes nothing but through its `tx`.
pub trait Addition: Send + Sync {
    /// What must be held from the first read to the commit, beside the locks of the work.
    fn locks(&self) -> Locks;

    /// Writes it, and tells the name of what it made. `None`: it was prepared on ground that has moved
    /// since, and wrote nothing; the work must write nothing either, and be tried with a new one.
    fn run<'a>(&'a self, tx: &'a mut Tx<'_>) -> AdditionFuture<'a>;

    /// Called once after the commit is durable, if it was written.
    fn committed(&self);
}

/// What [`Addition::run`] returns.
pub type AdditionFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<String>>> + Send + 'a>>;
