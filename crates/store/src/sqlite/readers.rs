//! Threads that read: each with its own connection, all fed from one queue.
//!
//! A read goes to the thread that has been idle for the shortest time: its connection has the pages, the
//! statements and the processor's caches warm, where each in turn would find them cold.

use std::{
    collections::VecDeque, num::NonZeroUsize, path::Path, sync::Arc, thread::JoinHandle,
    time::Instant,
};

use futures_util::FutureExt as _;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};

use super::engine::connect;
use crate::{
    Result, StoreError, meter,
    tx::{Conn, Tx},
    work::Job,
};

/// Reads that may wait; more are refused with `Overloaded`.
const READ_QUEUE_MAX: usize = 8_192;

pub(super) struct Readers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread of that number.
    wake: Vec<Condvar>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Job>>,
    /// Threads with nothing to do, the longest idle first.
    idle: Vec<usize>,
    closed: bool,
}

impl Readers {
    pub(super) fn start(path: &Path, threads: NonZeroUsize) -> Result<(Self, Vec<JoinHandle<()>>)> {
        let wake = (0..threads.get()).map(|_| Condvar::new()).collect();
        let shared = Arc::new(Shared { state: Mutex::default(), wake });
        let mut handles = Vec::with_capacity(threads.get());
        for number in 0..threads.get() {
            let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.execute_batch("PRAGMA query_only = ON;")
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let shared = Arc::clone(&shared);
            let handle = std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || shared.run(number, conn))
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            handles.push(handle);
        }
        Ok((Self(shared), handles))
    }

    /// What is queued is still answered; then the threads end.
    pub(super) fn close(&self) {
        self.0.state.lock().closed = true;
        for wake in &self.0.wake {
            wake.notify_one();
        }
    }

    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<()> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closing".to_owned()));
        }
        if state.queue.len() >= READ_QUEUE_MAX {
            return Err(StoreError::Overloaded);
        }
        state.queue.push_back(job);
        let number = state.idle.pop();
        drop(state);
        if let Some(number) = number {
            self.0.wake[number].notify_one();
        }
        Ok(())
    }
}

impl Shared {
    fn run(&self, number: usize, mut conn: Connection) {
        while let Some(mut job) = self.next(number) {
            if job.abandoned() {
                continue;
            }
            let (waited, started) = (job.age(), Instant::now());
            let outcome = read_one(&mut conn, job.as_mut());
            meter::work(job.name(), waited, started.elapsed());
            job.answer(outcome);
        }
    }

    /// The next read for the thread of this number; `None` when there will be none.
    fn next(&self, number: usize) -> Option<Box<dyn Job>> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle.push(number);
            self.wake[number].wait(&mut state);
            // Still there if nobody chose it: when the store closes, or it woke for no reason.
            state.idle.retain(|idle| *idle != number);
        }
    }
}

/// One read in one snapshot.
fn read_one(conn: &mut Connection, job: &mut dyn Job) -> Result<()> {
    let failed = |error: rusqlite::Error| StoreError::Driver {
        statement: "read transaction",
        reason: error.to_string(),
    };
    conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
    let mut tx = Tx::new(Conn::Sqlite(conn), None);
    let outcome = job.run(&mut tx).now_or_never();
    drop(tx);
    conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).map_err(failed)?;
    outcome.unwrap_or_else(|| {
        Err(StoreError::Driver {
            statement: "read",
            reason: "the work awaited something other than its transaction".to_owned(),
        })
    })
}
