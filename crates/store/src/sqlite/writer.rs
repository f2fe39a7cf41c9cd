//! The writer thread: takes all that waits, runs it in one transaction, commits once, answers all.

use futures_util::FutureExt as _;
use haechi_base::Positions;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::engine::LANE;
use crate::{
    Commit, Note, Result, StoreError,
    tx::{Conn, LaneCursor, Tx},
    work::Job,
};

/// Most works in one commit: bounds how long the first one waits for the last.
const GROUP_JOBS_MAX: usize = 512;

pub(super) fn run(
    mut conn: Connection,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    mut offset: i64,
    horizon: &watch::Sender<Positions>,
    feed: &mpsc::Sender<Commit>,
) {
    let mut jobs = Vec::with_capacity(GROUP_JOBS_MAX);
    while let Some(first) = queue.blocking_recv() {
        jobs.push(first);
        while jobs.len() < GROUP_JOBS_MAX
            && let Ok(next) = queue.try_recv()
        {
            jobs.push(next);
        }
        let mut group = Group { conn: &mut conn, offset };
        match group.commit(&mut jobs) {
            Ok(done) => {
                offset = done.offset;
                publish(done, horizon, feed);
            }
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
fn publish(done: Done, horizon: &watch::Sender<Positions>, feed: &mpsc::Sender<Commit>) {
    for (job, outcome) in &done.jobs {
        if outcome.is_ok() {
            job.committed();
        }
    }
    if !done.notes.is_empty() {
        let mut positions = Positions::default();
        positions.set(LANE, done.offset);
        horizon.send_replace(positions.clone());
        // A closed feed means that nobody syncs: a command-line tool, or a shutdown.
        let _ = feed.blocking_send(Commit {
            horizon: positions,
            notes: done.notes,
            foreign: Vec::new(),
        });
    }
    for (job, outcome) in done.jobs {
        job.answer(outcome);
    }
}

struct Done {
    jobs: Vec<(Box<dyn Job>, Result<()>)>,
    notes: Vec<Note>,
    offset: i64,
}

struct Group<'a> {
    conn: &'a mut Connection,
    offset: i64,
}

impl Group<'_> {
    /// Runs all jobs in one transaction and commits it.
    ///
    /// First without savepoints, which cost a tenth of the time. When a job fails after it has
    /// written, all is rolled back and run again with a savepoint around each.
    fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<Done> {
        let (outcomes, cursor) = match self.run_all(jobs, false)? {
            Some(done) => done,
            None => self.run_all(jobs, true)?.ok_or_else(|| StoreError::Driver {
                statement: "group",
                reason: "a rollback to a savepoint was refused".to_owned(),
            })?,
        };
        let done = Done {
            jobs: jobs.drain(..).zip(outcomes).collect(),
            offset: cursor.offset,
            notes: cursor.notes,
        };
        Ok(done)
    }

    /// `None`: a job failed half way and there was no savepoint to go back to.
    fn run_all(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        savepoints: bool,
    ) -> Result<Option<(Vec<Result<()>>, LaneCursor)>> {
        self.execute("BEGIN IMMEDIATE")?;
        let mut cursor = LaneCursor { lane: LANE, offset: self.offset, notes: Vec::new() };
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            if savepoints {
                self.execute("SAVEPOINT job")?;
            }
            let notes_before = cursor.notes.len();
            let mut tx = Tx { conn: Conn::Sqlite(self.conn), lane: Some(cursor), wrote: false };
            let outcome = job.run(&mut tx).now_or_never().unwrap_or_else(|| {
                Err(StoreError::Driver {
                    statement: "write",
                    reason: "the work awaited something other than its transaction".to_owned(),
                })
            });
            let wrote = tx.wrote;
            cursor = tx.lane.take().expect("put there above");
            if outcome.is_err() {
                cursor.notes.truncate(notes_before);
                if savepoints {
                    self.execute("ROLLBACK TO job")?;
                } else if wrote {
                    self.execute("ROLLBACK")?;
                    return Ok(None);
                }
            }
            if savepoints {
                self.execute("RELEASE job")?;
            }
            outcomes.push(outcome);
        }
        self.end(&cursor)?;
        Ok(Some((outcomes, cursor)))
    }

    fn end(&mut self, cursor: &LaneCursor) -> Result<()> {
        if cursor.offset != self.offset {
            self.conn
                .prepare_cached("UPDATE lane SET pos = ?1 WHERE id = 0")
                .and_then(|mut update| update.execute([cursor.offset]))
                .map_err(|error| self.failed("lane", &error))?;
        }
        self.execute("COMMIT")
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
