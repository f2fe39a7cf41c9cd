//! Copying the write-ahead log back into the database, beside the writer instead of in its way.

use std::{
    ffi::c_int,
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, hooks::Wal, wal::CheckpointMode};

use super::engine::connect;
use crate::{Result, StoreError};

/// Pages the log grows by before they are copied back: 16 MiB.
const STEP_PAGES: c_int = 4_096;

/// Log size from which on it is to begin anew: 64 MiB.
const LOG_PAGES: c_int = 16_384;

/// The log begins anew when the writer finds all of it copied, which under load it never is unless the
/// writer itself copies what the thread left. It waits for that moment until it is so little: 2 MiB.
const REST_PAGES: c_int = 512;

/// Log size at which the writer copies the rest however much it is: 96 MiB. Beyond that the log
/// grows only while a read is older than it.
const LOG_PAGES_MAX: c_int = 24_576;

/// Starts the thread, and has the writer's connection wake it as the log grows.
///
/// SQLite's own way, a checkpoint by the committer that finds the log too long, makes a group now
/// and then wait for thousands of page writes and an fsync of the database.
pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<JoinHandle<()>> {
    let failed = |error: rusqlite::Error| StoreError::Unavailable(format!("checkpoint: {error}"));
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let (wake, woken) = sync_channel(1);
    let copied = Arc::new(Mutex::new(0));
    writer.wal_hook(Some(grown(wake, Arc::clone(&copied)))).map_err(failed)?;
    std::thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || {
            // The writer's connection holds the other end: the thread ends with it.
            while woken.recv().is_ok() {
                let mut copied = copied.lock();
                // One row: was it busy, pages in the log, pages of it copied.
                let done = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2));
                match done {
                    Ok(pages) => *copied = pages,
                    Err(error) => tracing::warn!(%error, "the write-ahead log was not copied back"),
                }
            }
        })
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Called by SQLite after each commit with the pages that are in the log. `copied` is held while the
/// thread copies.
fn grown(
    wake: SyncSender<()>,
    copied: Arc<Mutex<c_int>>,
) -> impl FnMut(&mut Wal, c_int) -> rusqlite::Result<()> + Send {
    let mut told: c_int = 0;
    move |wal, pages| {
        told = told.min(pages); // it has begun anew
        let step = if pages < LOG_PAGES { STEP_PAGES } else { REST_PAGES };
        if pages - told < step {
            return Ok(());
        }
        let copied = if pages < LOG_PAGES_MAX { copied.try_lock() } else { Some(copied.lock()) };
        let Some(copied) = copied else { return Ok(()) };
        told = pages;
        let is_rest = pages >= LOG_PAGES && (0..=2 * REST_PAGES).contains(&(pages - *copied));
        if is_rest || pages >= LOG_PAGES_MAX {
            if let Err(error) = wal.checkpoint_v2(CheckpointMode::PASSIVE) {
                tracing::warn!(%error, "the write-ahead log was not copied back");
            }
        } else {
            // A full channel means that it is awake.
            let _ = wake.try_send(());
        }
        Ok(())
    }
}
