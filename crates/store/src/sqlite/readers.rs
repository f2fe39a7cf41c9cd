//! Threads that read: each with its own connection, all fed from one queue.

use std::{num::NonZeroUsize, path::Path};

use futures_util::FutureExt as _;
use rusqlite::{Connection, OpenFlags};

use super::engine::connect;
use crate::{
    Result, StoreError,
    tx::{Conn, Tx},
    work::Job,
};

/// Reads that may wait; more are refused with `Overloaded`.
const READ_QUEUE_MAX: usize = 8_192;

pub(super) struct Readers {
    queue: async_channel::Sender<Box<dyn Job>>,
}

impl Readers {
    pub(super) fn start(path: &Path, threads: NonZeroUsize) -> Result<Self> {
        let (queue, receiver) = async_channel::bounded(READ_QUEUE_MAX);
        for number in 0..threads.get() {
            let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.execute_batch("PRAGMA query_only = ON;")
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || run(conn, &receiver))
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        Ok(Self { queue })
    }

    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<()> {
        self.queue.try_send(job).map_err(|error| match error {
            async_channel::TrySendError::Full(_) => StoreError::Overloaded,
            async_channel::TrySendError::Closed(_) => {
                StoreError::Unavailable("the readers have stopped".to_owned())
            }
        })
    }
}

fn run(mut conn: Connection, queue: &async_channel::Receiver<Box<dyn Job>>) {
    while let Ok(mut job) = queue.recv_blocking() {
        if job.abandoned() {
            continue;
        }
        let outcome = read_one(&mut conn, job.as_mut());
        job.answer(outcome);
    }
}

/// One read in one snapshot.
fn read_one(conn: &mut Connection, job: &mut dyn Job) -> Result<()> {
    let failed = |error: rusqlite::Error| StoreError::Driver {
        statement: "read transaction",
        reason: error.to_string(),
    };
    conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
    let mut tx = Tx { conn: Conn::Sqlite(conn), lane: None, wrote: false };
    let outcome = job.run(&mut tx).now_or_never();
    conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).map_err(failed)?;
    outcome.unwrap_or_else(|| {
        Err(StoreError::Driver {
            statement: "read",
            reason: "the work awaited something other than its transaction".to_owned(),
        })
    })
}
