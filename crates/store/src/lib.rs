//! The store: one SQL text, two engines, and writes that are acknowledged only when they are on disk.
//!
//! - A statement is a named [`Sql`], written once with [`sql!`].
//! - A [`Work`] is a named unit that reads or writes through a [`Tx`]; it can be run again.
//! - [`Db`] runs works: on SQLite through one writer thread that commits many works at once, on
//!   PostgreSQL through a few committers that do the same.
//! - Whatever a client must learn by sync takes a place in a lane: [`Tx::announce`]. After the commit
//!   the changes come out of the feed that [`Db::open`] returns, in order, together with the horizon
//!   they make visible.

mod addition;
mod change;
mod column;
mod db;
mod error;
mod hint;
mod locks;
mod meter;
mod migrate;
mod pg;
mod row;
mod sql;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod value;
mod work;

pub use addition::{Addition, AdditionFuture};
pub use change::{Change, Commit, Note};
pub use column::Column;
pub use db::{Db, DbConfig};
pub use error::{Result, StoreError};
pub use hint::Hint;
pub use locks::{LockKey, Locks};
pub use migrate::{Migration, Schema};
pub use pg::PgUrl;
pub use row::{FromColumn, FromRow, Row};
pub use sql::{Registered, Sql, dollars};
pub use tx::Tx;
pub use value::Value;
pub use work::Work;

#[doc(hidden)]
pub use inventory;
