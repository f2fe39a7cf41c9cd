//! What refers to an event: edits, threads, references; shown with it or asked for by themselves
//! (spec, "Aggregations of child events").

mod bundle;
mod page;
mod store;
mod threads;

use haechi_accounts::Ignored;
use haechi_base::UserNid;
use ruma::UserId;

pub use page::Related;
pub(crate) use store::{EventsBySeq, is_annotated, touch_thread};
pub use threads::{ThreadPage, ThreadToken};

/// Who reads, and whom they do not want to read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Number.
    pub user: UserNid,
    /// Matrix id.
    pub user_id: &'a UserId,
    /// Whose events they are not shown.
    pub ignored: &'a Ignored,
}
