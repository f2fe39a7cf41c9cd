//! PostgreSQL: committers that each own a lane, a pool that reads, and one publisher of what became
//! visible.

mod claim;
mod committer;
mod connect;
mod engine;
mod fault;
mod group;
mod migrate;
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
    connect::Connector::new(url, "haechi test")?.connect().await
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
