//! The rules of Matrix as pure functions: no I/O, no clock, no waiting.
//!
//! - [`pdu`]: events as servers exchange them: built, hashed, signed, parsed, redacted.
//! - [`auth`]: may this event enter the room? Power levels, join rules, history visibility.
//! - [`client_event`]: the same events as clients see them.
//! - [`filter`]: which events a client wants.
//! - [`push_rules`]: who is told of an event, and how loudly.
//! - [`relations`]: what an event says of other events: replies, edits, reactions, threads.
//!
//! Everything rests on ruma's types and rules; what is written here is what ruma leaves to a
//! server, and what must be faster than the general way.

pub mod auth;
pub mod client_event;
pub mod filter;
pub mod glob;
pub mod json;
mod key;
pub mod pdu;
pub mod push_rules;
pub mod relations;
mod room_version;

pub use key::{KeyError, SigningKey};
pub use room_version::RoomVersion;
