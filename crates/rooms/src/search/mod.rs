//! Finding messages by their words (client-server API, "Server Side Search").
//!
//! A task writes the words of new events into the index, behind the events themselves and only as
//! fast as it disturbs nobody ([`keep_search_index`](crate::Rooms::keep_search_index)); a search asks the index and then looks
//! at the events. What is encrypted cannot be found.

mod index;
mod query;
mod store;
mod terms;

pub(crate) use index::Progress;
pub use query::{Hit, SearchOrder, SearchPage, SearchQuery, SearchToken};
#[cfg(feature = "fuzz")]
pub(crate) use terms::{Wanted, terms};
