//! Statements and works on the room tables.

mod append;
mod load;
mod row;
mod tail;

pub use append::PushAction;
pub(crate) use append::{Append, Appended, Base, CreateRoom, Created, Draft, Relation};
pub(crate) use load::{LoadRoom, Loaded};
pub(crate) use row::{EventRow, FullRow, complete, event_columns};
