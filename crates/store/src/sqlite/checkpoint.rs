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

/// Log size at which the writer waits for the thread and copies what is left, so that the log can
/// begin anew: 64 MiB. The log grows beyond only while a read is older than that.
const LOG_PAGES_MAX: c_int = 16_384;

/// Starts the thread, and has the writer's connection wake it as the log grows.
///
/// SQLite's own way, a checkpoint by the committer that finds the log too long, makes a group now
/// and then wait for thousands of page writes and an fsync of the database.
pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<JoinHandle<()>> {
    let failed = |error: rusqlite::Error| StoreError::Unavailable(format!("checkpoint: {error}"));
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let (wake, woken) = sync_channel(1);
    let copying = Arc::new(Mutex::new(()));
    writer.wal_hook(Some(grown(wake, copying.clone()))).map_err(failed)?;
    std::thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || {
            // The writer's connection holds the other end: the thread ends with it.
            while woken.recv().is_ok() {
                let _copying = copying.lock();
                let done = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = done {
                    tracing::warn!(%error, "the write-ahead log was not copied back");
                }
            }
        })
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Called by SQLite after each commit with the pages that are in the log.
fn grown(
    wake: SyncSender<()>,
    copying: Arc<Mutex<()>>,
) -> impl FnMut(&mut Wal, c_int) -> rusqlite::Result<()> + Send {
    let mut told: c_int = 0;
    move |wal, pages| {
        told = told.min(pages); // it has begun anew
        if pages - told < STEP_PAGES {
            return Ok(());
        }
        told = pages;
        if pages < LOG_PAGES_MAX {
            // A full channel means that it is awake.
            let _ = wake.try_send(());
            return Ok(());
        }
        let _copying = copying.lock();
        if let Err(error) = wal.checkpoint_v2(CheckpointMode::PASSIVE) {
            tracing::warn!(%error, "the write-ahead log was not copied back");
        }
        Ok(())
    }
}
