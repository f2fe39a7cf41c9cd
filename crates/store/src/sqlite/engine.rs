//! Opening the file, migrating it, and the threads behind it.

use std::{num::NonZeroUsize, path::Path, time::Duration};

use haechi_base::{LaneId, Positions};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::sync::{mpsc, watch};

use super::{readers::Readers, writer};
use crate::{Commit, Result, Schema, StoreError, work::Job};

/// Works that may wait for the writer; more are refused with `Overloaded`.
const WRITE_QUEUE_MAX: usize = 8_192;

/// Prepared statements kept for each connection.
const STATEMENTS_MAX: usize = 512;

/// The only lane: SQLite has one writer.
pub(super) const LANE: LaneId = LaneId(0);

pub(crate) struct Engine {
    queue: mpsc::Sender<Box<dyn Job>>,
    readers: Readers,
    horizon: watch::Receiver<Positions>,
}

impl Engine {
    pub(crate) fn open(
        path: &Path,
        readers: NonZeroUsize,
        schemas: &[&'static Schema],
        feed: mpsc::Sender<Commit>,
    ) -> Result<Self> {
        let mut conn =
            connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate(&mut conn, schemas)?;
        let offset: i64 = conn
            .query_row("SELECT pos FROM lane WHERE id = 0", [], |row| row.get(0))
            .map_err(|error| opening(&error))?;
        let mut start = Positions::default();
        start.set(LANE, offset);
        let (horizon_sender, horizon) = watch::channel(start);
        let (queue, receiver) = mpsc::channel(WRITE_QUEUE_MAX);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(conn, receiver, offset, &horizon_sender, &feed))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let readers = Readers::start(path, readers)?;
        Ok(Self { queue, readers, horizon })
    }

    pub(crate) fn write(&self, job: Box<dyn Job>) -> Result<()> {
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => {
                StoreError::Unavailable("the writer has stopped".to_owned())
            }
        })
    }

    pub(crate) fn read(&self, job: Box<dyn Job>) -> Result<()> {
        self.readers.submit(job)
    }

    pub(crate) fn horizon(&self) -> watch::Receiver<Positions> {
        self.horizon.clone()
    }
}

fn opening(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("opening the database: {error}"))
}

/// Opens a connection with full durability: WAL, and an fsync at every commit.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| opening(&error))?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(|error| opening(&error))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;
         PRAGMA mmap_size = 1073741824;",
    )
    .map_err(|error| opening(&error))?;
    Ok(conn)
}

/// Applies what is missing, all in one transaction, and refuses a changed or unknown migration.
fn migrate(conn: &mut Connection, schemas: &[&'static Schema]) -> Result<()> {
    let failed =
        |what: &str, error: &rusqlite::Error| StoreError::Migration(format!("{what}: {error}"));
    let tx = conn
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(|error| failed("begin", &error))?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migration (
            module TEXT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
            PRIMARY KEY (module, name)) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS lane (
            id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, owner TEXT, pos INTEGER NOT NULL) STRICT;
         INSERT INTO lane (id, epoch, owner, pos) VALUES (0, 0, NULL, 0) ON CONFLICT DO NOTHING;",
    )
    .map_err(|error| failed("base tables", &error))?;
    for schema in schemas {
        for migration in schema.migrations {
            let what = format!("{}/{}", schema.module, migration.name);
            let applied: Option<String> = tx
                .query_row(
                    "SELECT checksum FROM schema_migration WHERE module = ?1 AND name = ?2",
                    [schema.module, migration.name],
                    |row| row.get(0),
                )
                .optional()
                .map_err(|error| failed(&what, &error))?;
            match applied {
                Some(checksum) if checksum == migration.checksum() => {}
                Some(_) => {
                    return Err(StoreError::Migration(format!(
                        "{what} was changed after it was applied; migrations are append-only"
                    )));
                }
                None => {
                    tx.execute_batch(&migration.sqlite()).map_err(|error| failed(&what, &error))?;
                    tx.execute(
                        "INSERT INTO schema_migration (module, name, checksum) VALUES (?1, ?2, ?3)",
                        [schema.module, migration.name, &migration.checksum()],
                    )
                    .map_err(|error| failed(&what, &error))?;
                }
            }
        }
    }
    tx.commit().map_err(|error| failed("commit", &error))
}
