//! Ids, time and limits: the vocabulary of every other crate.
//!
//! No I/O happens here, and nothing here knows of Matrix, HTTP or SQL.

pub mod limits;
mod position;
mod time;

pub use position::{LaneId, Positions, StreamPos};
pub use time::{Clock, Millis};

/// A user's number inside this installation: short where the Matrix id is long.
///
/// Every hot table refers to users by it. It never leaves the server.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UserNid(pub i64);

/// A room's number inside this installation; see [`UserNid`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct RoomNid(pub i64);
