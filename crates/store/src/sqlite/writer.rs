//! The writer thread: takes all that waits, runs it in one transaction, commits once, answers all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use futures_util::FutureExt as _;
use haechi_base::Positions;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::engine::LANE;
use crate::{
    Commit, Note, Result, StoreError, meter,
    tx::{Conn, LaneCursor, Tx},
    work::Job,
};

/// Most works in one commit: bounds how long the first one waits for the last.
const GROUP_JOBS_MAX: usize = 512;

pub(super) struct Writer {
    conn: Connection,
    /// The end of the lane.
    offset: i64,
    horizon: watch::Sender<Positions>,
    feed: mpsc::Sender<Commit>,
    /// Set by tests: end without committing.
    crashed: Arc<AtomicBool>,
}

struct Done {
    jobs: Vec<(Box<dyn Job>, Result<()>)>,
    notes: Vec<Note>,
}

/// What came of running all works of a group.
struct Ran {
    outcomes: Vec<Result<()>>,
    notes: Vec<Note>,
    end: i64,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        offset: i64,
        horizon: watch::Sender<Positions>,
        feed: mpsc::Sender<Commit>,
        crashed: Arc<AtomicBool>,
    ) -> Self {
        Self { conn, offset, horizon, feed, crashed }
    }

    /// Runs until the queue is closed and drained.
    pub(super) fn run(&mut self, queue: &async_channel::Receiver<Box<dyn Job>>) {
        let mut jobs = Vec::with_capacity(GROUP_JOBS_MAX);
        while let Ok(first) = queue.recv_blocking() {
            jobs.push(first);
            while jobs.len() < GROUP_JOBS_MAX
                && let Ok(next) = queue.try_recv()
            {
                jobs.push(next);
            }
            meter::group("sqlite", jobs.len());
            match self.commit(&mut jobs) {
                _ if self.crashed.load(Ordering::SeqCst) => return,
                Ok(done) => self.publish(done),
                Err(error) => {
                    tracing::error!(%error, jobs = jobs.len(), "a group could not be committed");
                    for job in jobs.drain(..) {
                        job.answer(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Shows what was committed, then answers: who has an answer finds his write in the horizon.
    fn publish(&self, done: Done) {
        for (job, outcome) in &done.jobs {
            if outcome.is_ok() {
                job.committed();
            }
        }
        if !done.notes.is_empty() {
            let mut positions = Positions::default();
            positions.set(LANE, self.offset);
            self.horizon.send_replace(positions.clone());
            // A closed feed means that nobody syncs: a command-line tool, or a shutdown.
            let _ = self.feed.blocking_send(Commit {
                horizon: positions,
                notes: done.notes,
                heard: Vec::new(),
                foreign: Vec::new(),
            });
        }
        for (job, outcome) in done.jobs {
            job.answer(outcome);
        }
    }

    /// Runs all jobs in one transaction and commits it.
    ///
    /// First without savepoints, which cost a tenth of the time. When a job fails after it has
    /// written, all is rolled back and run again with a savepoint around each.
    fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<Done> {
        let ran = match self.run_all(jobs, false)? {
            Some(ran) => ran,
            None => self.run_all(jobs, true)?.ok_or_else(|| StoreError::Driver {
                statement: "group",
                reason: "a rollback to a savepoint was refused".to_owned(),
            })?,
        };
        self.end(ran.end)?;
        self.offset = ran.end;
        Ok(Done { jobs: jobs.drain(..).zip(ran.outcomes).collect(), notes: ran.notes })
    }

    /// `None`: a job failed half way and there was no savepoint to go back to.
    fn run_all(&mut self, jobs: &mut [Box<dyn Job>], savepoints: bool) -> Result<Option<Ran>> {
        self.execute("BEGIN IMMEDIATE")?;
        let end = AtomicI64::new(self.offset);
        let mut notes = Vec::new();
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            if savepoints {
                self.execute("SAVEPOINT job")?;
            }
            let (waited, started) = (job.age(), Instant::now());
            let cursor = LaneCursor { lane: LANE, end: &end, notes: Vec::new() };
            let mut tx = Tx::new(Conn::Sqlite(&mut self.conn), Some(cursor));
            let outcome = job.run(&mut tx).now_or_never().unwrap_or_else(|| {
                Err(StoreError::Driver {
                    statement: "write",
                    reason: "the work awaited something other than its transaction".to_owned(),
                })
            });
            let (wrote, announced) = (tx.wrote, tx.take_notes());
            drop(tx);
            meter::work(job.name(), waited, started.elapsed());
            if outcome.is_ok() {
                notes.extend(announced);
            } else if savepoints {
                self.execute("ROLLBACK TO job")?;
            } else if wrote {
                self.execute("ROLLBACK")?;
                return Ok(None);
            }
            if savepoints {
                self.execute("RELEASE job")?;
            }
            outcomes.push(outcome);
        }
        // Places that only failed works took are not used up.
        let end = if notes.is_empty() { self.offset } else { end.into_inner() };
        Ok(Some(Ran { outcomes, notes, end }))
    }

    fn end(&mut self, end: i64) -> Result<()> {
        if self.crashed.load(Ordering::SeqCst) {
            self.execute("ROLLBACK")?;
            return Err(StoreError::Unavailable("crashed".to_owned()));
        }
        if end != self.offset {
            self.conn
                .prepare_cached("UPDATE lane SET pos = ?1 WHERE id = 0")
                .and_then(|mut update| update.execute([end]))
                .map_err(|error| self.failed("lane", &error))?;
        }
        let started = Instant::now();
        self.execute("COMMIT")?;
        meter::commit("sqlite", started.elapsed());
        Ok(())
    }

    fn execute(&mut self, text: &'static str) -> Result<()> {
        let outcome =
            self.conn.prepare_cached(text).and_then(|mut statement| statement.execute([]));
        outcome.map(|_| ()).map_err(|error| self.failed(text, &error))
    }

    /// Leaves no transaction open behind an error.
    fn failed(&self, statement: &'static str, error: &rusqlite::Error) -> StoreError {
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        StoreError::Unavailable(format!("{statement}: {error}"))
    }
}
