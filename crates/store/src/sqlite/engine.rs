//! Opening the file, migrating it, and the threads behind it.

use std::{
    fs::{File, TryLockError},
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    thread::JoinHandle,
    time::Duration,
};

use haechi_base::{LaneId, Positions};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, watch};

use super::{checkpoint, readers::Readers, writer::Writer};
use crate::{
    Commit, Result, Schema, StoreError,
    migrate::{Applied, missing},
    work::Job,
};

/// Works that may wait for the writer; more are refused with `Overloaded`.
const WRITE_QUEUE_MAX: usize = 8_192;

/// Prepared statements kept for each connection.
const STATEMENTS_MAX: usize = 512;

/// The only lane: SQLite has one writer.
pub(super) const LANE: LaneId = LaneId(0);

pub(crate) struct Engine {
    queue: async_channel::Sender<Box<dyn Job>>,
    readers: Readers,
    horizon: watch::Receiver<Positions>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    #[cfg(feature = "testing")]
    crashed: Arc<AtomicBool>,
    /// Held for as long as the file is ours.
    lock: Mutex<Option<File>>,
}

impl Engine {
    pub(crate) fn open(
        path: &Path,
        readers: NonZeroUsize,
        schemas: &[&'static Schema],
        feed: mpsc::Sender<Commit>,
    ) -> Result<Self> {
        let lock = lock_file(path)?;
        let mut conn =
            connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate(&mut conn, schemas)?;
        let offset: i64 = conn
            .query_row("SELECT pos FROM lane WHERE id = 0", [], |row| row.get(0))
            .map_err(|error| opening(&error))?;
        let mut start = Positions::default();
        start.set(LANE, offset);
        let checkpointer = checkpoint::start(path, &mut conn)?;
        let (horizon_sender, horizon) = watch::channel(start);
        let (queue, receiver) = async_channel::bounded(WRITE_QUEUE_MAX);
        let crashed = Arc::new(AtomicBool::new(false));
        let mut writer = Writer::new(conn, offset, horizon_sender, feed, crashed.clone());
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let (readers, mut threads) = Readers::start(path, readers)?;
        threads.extend([writer, checkpointer]);
        Ok(Self {
            queue,
            readers,
            horizon,
            threads: Mutex::new(threads),
            #[cfg(feature = "testing")]
            crashed,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Opens the file to read only, also while a server has it open.
    pub(crate) fn open_reading(path: &Path, readers: NonZeroUsize) -> Result<Self> {
        if !path.is_file() {
            let shown = path.display();
            return Err(StoreError::Unavailable(format!("there is no database {shown}")));
        }
        let (readers, threads) = Readers::start(path, readers)?;
        let (queue, _) = async_channel::bounded(1);
        queue.close();
        let (_, horizon) = watch::channel(Positions::default());
        Ok(Self {
            queue,
            readers,
            horizon,
            threads: Mutex::new(threads),
            #[cfg(feature = "testing")]
            crashed: Arc::new(AtomicBool::new(false)),
            lock: Mutex::new(None),
        })
    }

    pub(crate) fn write(&self, job: Box<dyn Job>) -> Result<()> {
        self.queue.try_send(job).map_err(|error| match error {
            async_channel::TrySendError::Full(_) => StoreError::Overloaded,
            async_channel::TrySendError::Closed(_) => {
                StoreError::Unavailable("the store is closing".to_owned())
            }
        })
    }

    pub(crate) fn read(&self, job: Box<dyn Job>) -> Result<()> {
        self.readers.submit(job)
    }

    pub(crate) fn horizon(&self) -> watch::Receiver<Positions> {
        self.horizon.clone()
    }

    /// Commits what is queued, and ends the threads.
    pub(crate) async fn close(&self) {
        self.queue.close();
        self.readers.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the store had panicked");
                }
            }
        });
        let _ = joined.await;
        self.lock.lock().take();
    }

    /// Stops as a killed process would: what is under way is never committed.
    #[cfg(feature = "testing")]
    pub(crate) async fn crash(&self) {
        self.crashed.store(true, std::sync::atomic::Ordering::SeqCst);
        self.close().await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close();
        self.readers.close();
    }
}

fn opening(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("opening the database: {error}"))
}

/// Two servers on one file would each believe to be the only writer: the lane has no epoch here.
fn lock_file(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let shown = path.display();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| StoreError::Unavailable(format!("opening {shown}.lock: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "{shown} is in use by another server; stop that one first, or give this one a data \
             folder of its own"
        ))),
        Err(TryLockError::Error(error)) => {
            Err(StoreError::Unavailable(format!("locking {shown}.lock: {error}")))
        }
    }
}

/// Memory for pages of the writer and of each other connection, in KiB. The writer's holds what a
/// group changes; reads mostly come from the memory map, which all connections share.
const CACHE_KIB_WRITER: u32 = 65_536;
const CACHE_KIB_READER: u32 = 8_192;

/// Opens a connection with full durability: WAL, and an fsync at every commit.
///
/// Chosen by measuring inserts of 300 bytes with three indexes on a busy 4-core machine with an
/// fsync of 0.17 ms: one caller 1,100 to 1,700 commits/s, median 0.6 ms; 256 callers 17,000 to
/// 24,000 works/s, median 10 ms, 35 to 40 µs of CPU each. Pages of 8 KiB and a cache of 16 MiB
/// were no better and no worse. Log checkpoints: see [`checkpoint`].
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| opening(&error))?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(|error| opening(&error))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let is_writer = flags.contains(OpenFlags::SQLITE_OPEN_CREATE);
    let cache = if is_writer { CACHE_KIB_WRITER } else { CACHE_KIB_READER };
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{cache};
         PRAGMA mmap_size = 1073741824;"
    ))
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
    let applied: Vec<Applied> = tx
        .prepare("SELECT module, name, checksum FROM schema_migration")
        .and_then(|mut list| {
            list.query_map([], |row| {
                Ok(Applied { module: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
            })?
            .collect()
        })
        .map_err(|error| failed("list", &error))?;
    for (schema, migration) in missing(schemas, &applied)? {
        let what = format!("{}/{}", schema.module, migration.name);
        tx.execute_batch(&migration.sqlite()).map_err(|error| failed(&what, &error))?;
        tx.execute(
            "INSERT INTO schema_migration (module, name, checksum) VALUES (?1, ?2, ?3)",
            [schema.module, migration.name, &migration.checksum()],
        )
        .map_err(|error| failed(&what, &error))?;
    }
    tx.commit().map_err(|error| failed("commit", &error))
}
