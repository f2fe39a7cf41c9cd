//! For tests, of this crate and of those above it: a fresh database on each engine, and the checks
//! that stand in for a compiler that reads SQL.
//!
//! The PostgreSQL half needs a server: `cargo xtask test` starts one and names it in
//! `HAECHI_TEST_POSTGRES`.

mod checks;
mod dump;
mod postgres;

use std::{
    num::NonZeroUsize,
    ops::Deref,
    panic::{AssertUnwindSafe, resume_unwind},
};

use futures_util::FutureExt as _;
pub use haechi_store_macros::store_test;
use tokio::sync::mpsc;

pub use self::{
    checks::{check_plans, check_statements},
    dump::{Dump, dump},
};
use crate::{Commit, Db, DbConfig, Schema};

/// Commits that wait for a test to read its feed: more than any test writes, for most never look.
const FEED_MAX: usize = 1_000_000;

/// A database of one test. Derefs to [`Db`].
pub struct TestDb {
    db: Db,
    feed: mpsc::Receiver<Commit>,
    config: DbConfig,
    schemas: Vec<&'static Schema>,
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl TestDb {
    /// Opens a database by hand: another node on the same one, or one that must survive its process.
    pub async fn open(config: DbConfig, schemas: &[&'static Schema]) -> crate::Result<Self> {
        let (db, feed) = Db::open_feeding(&config, schemas, FEED_MAX).await?;
        Ok(Self { db, feed, config, schemas: schemas.to_vec() })
    }

    /// Is this the PostgreSQL half of the test?
    pub fn is_postgres(&self) -> bool {
        matches!(self.config, DbConfig::Postgres { .. })
    }

    /// How the database was opened.
    pub fn config(&self) -> &DbConfig {
        &self.config
    }

    /// What it was migrated with.
    pub fn schemas(&self) -> &[&'static Schema] {
        &self.schemas
    }

    /// What became visible since the database was opened.
    pub fn feed(&mut self) -> &mut mpsc::Receiver<Commit> {
        &mut self.feed
    }

    /// Closes the database in good order and opens it again.
    pub async fn reopen(&mut self) {
        self.db.close().await;
        self.open_again().await;
    }

    /// Stops in the middle of everything, as if the process had been killed, and opens it again.
    /// Callers who have no answer get [`StoreError::Unavailable`](crate::StoreError::Unavailable).
    pub async fn crash(&mut self) {
        self.db.crash().await;
        self.open_again().await;
    }

    async fn open_again(&mut self) {
        let (db, feed) =
            Db::open_feeding(&self.config, &self.schemas, FEED_MAX).await.expect("it opens again");
        self.db = db;
        self.feed = feed;
    }

    /// Runs commands behind the store's back, on a connection of their own.
    pub async fn meddle(&self, commands: &str) {
        match &self.config {
            DbConfig::Sqlite { path, .. } => rusqlite::Connection::open(path)
                .and_then(|conn| conn.execute_batch(commands))
                .expect("SQLite takes the commands"),
            DbConfig::Postgres { url, .. } => postgres::connect(url.as_str())
                .await
                .batch_execute(commands)
                .await
                .expect("PostgreSQL takes the commands"),
        }
    }

    /// The same PostgreSQL database as another node sees it; `None` on SQLite.
    pub async fn other_node(&self, name: &str) -> Option<Self> {
        let mut config = self.config.clone();
        let DbConfig::Postgres { node, .. } = &mut config else { return None };
        name.clone_into(node);
        Some(Self::open(config, &self.schemas).await.expect("another node opens the database"))
    }
}

/// The SQLite half of a [`store_test`]: a file in a folder of its own.
pub fn on_sqlite<F, Fut>(schemas: &[&'static Schema], body: F)
where
    F: FnOnce(TestDb) -> Fut,
    Fut: Future<Output = ()>,
{
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = sqlite_config(folder.path());
    runtime().block_on(async {
        body(TestDb::open(config, schemas).await.expect("the database opens")).await;
    });
}

/// The PostgreSQL half of a [`store_test`]: a database cloned from a migrated template.
///
/// Fails when there is no server, unless `HAECHI_TEST_POSTGRES` is `skip`.
pub fn on_postgres<F, Fut>(schemas: &[&'static Schema], body: F)
where
    F: FnOnce(TestDb) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some(server) = postgres::server() else {
        eprintln!("SKIPPED on PostgreSQL, since HAECHI_TEST_POSTGRES=skip");
        return;
    };
    runtime().block_on(async {
        let database = postgres::Database::clone_of_template(&server, schemas).await;
        let config = database.config("test");
        let db = TestDb::open(config, schemas).await.expect("the database opens");
        let outcome = AssertUnwindSafe(body(db)).catch_unwind().await;
        database.drop_it().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    });
}

/// How to open a SQLite database in `folder`.
pub fn sqlite_config(folder: &std::path::Path) -> DbConfig {
    DbConfig::Sqlite {
        path: folder.join("test.db"),
        readers: NonZeroUsize::new(2).expect("2 is not 0"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
