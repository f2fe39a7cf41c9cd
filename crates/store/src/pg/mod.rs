//! PostgreSQL: committers that each own a lane, a pool that reads, and one publisher of what became
//! visible.
//!
//! What happens to a write:
//! 1. [`Engine::write`](engine::Engine::write) queues it with one of the [`committer`]s, by its order
//!    key or its first lock.
//! 2. The committer takes all that waits as one [`group`]: `BEGIN` and the locks of all its works in
//!    one round trip, then the works, side by side where they have nothing in common. If one fails
//!    after it has changed something, all run again, one by one, with savepoints.
//! 3. In one more round trip it moves its lane (which fails if the lane is no longer its own),
//!    reads where all lanes now stand, and commits.
//! 4. The [`publisher`] brings these readings together, tells the feed, and answers the callers.
//!
//! Reads go to the server of the own site, if there is one; see [`pools`] for what holds them back.
//!
//! When the answer to a commit is lost, the committer takes its lane again over a new connection.
//! That waits for what the old one still holds and shuts out what it may yet send; then the lane's
//! count of commits tells what happened. A commit is never cancelled, and no statement has a timeout
//! on the server: there it would commit locally without its standbys. What takes too long is left
//! behind with its connection.

mod claim;
mod committer;
mod connect;
mod engine;
mod fault;
mod group;
mod migrate;
mod pools;
mod primary;
mod publisher;
mod session;
mod value;

pub use connect::PgUrl;
pub(crate) use engine::{Engine, Options};
pub(crate) use session::Session;
pub(crate) use value::PgInt;

/// A connection of its own, for tests that look behind the engine's back.
#[cfg(feature = "testing")]
pub(crate) async fn connect(url: &PgUrl) -> crate::Result<deadpool_postgres::ClientWrapper> {
    connect::Connector::new(url, "haechi test", connect::Wanted::Primary)?.connect().await
}

/// Migrates and takes no lane.
#[cfg(feature = "testing")]
pub(crate) async fn migrate_only(
    url: &PgUrl,
    schemas: &[&'static crate::Schema],
) -> crate::Result<()> {
    let client = connect(url).await?;
    migrate::check(&client).await?;
    migrate::migrate(&client, schemas).await
}
