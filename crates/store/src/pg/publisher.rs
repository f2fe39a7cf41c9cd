//! What became visible, in order: the horizon and the feed.
//!
//! A horizon is always one snapshot of the lane table, taken by a committer right behind its commit
//! or by the poll for what other nodes did. Snapshots of one server are nested, so they line up. One
//! may show a commit of another committer of ours whose notes have not come in yet; it is then held
//! back until they have.

use std::collections::{BTreeMap, VecDeque};

use haechi_base::{LaneId, Positions, StreamPos};
use tokio::sync::{mpsc, watch};

use super::committer::answer_all;
use crate::{Commit, Note, Result, work::Job};

/// Reports that may wait for the publisher; more hold the committers back.
pub(super) const REPORTS_MAX: usize = 256;

pub(super) enum Report {
    /// The lane is ours; what lies after `pos` comes from us.
    Adopted { lane: LaneId, pos: i64 },
    /// The lane is ours no longer; what it shows from now on is to be read from the tables.
    Disowned(LaneId),
    /// One of our groups is durable.
    Committed(Reported),
    /// Somebody looked where the lanes are.
    Seen(Positions),
}

/// A durable group that announced something.
pub(super) struct Reported {
    lane: LaneId,
    end: i64,
    seen: Option<Positions>,
    pub(super) notes: Vec<Note>,
    pub(super) answers: Vec<(Box<dyn Job>, Result<()>)>,
}

impl Reported {
    pub(super) fn new(lane: LaneId, end: i64, seen: Option<Positions>) -> Self {
        Self { lane, end, seen, notes: Vec::new(), answers: Vec::new() }
    }
}

/// A lane of ours.
struct Own {
    /// Where it stood when we took it: what lies before came from somebody else.
    since: i64,
    /// How far our committer has told us.
    told: i64,
    /// Told, but not yet covered by the horizon.
    notes: VecDeque<Note>,
}

/// Callers whose writes are durable but not yet in the horizon.
struct Waiting {
    lane: LaneId,
    end: i64,
    answers: Vec<(Box<dyn Job>, Result<()>)>,
}

pub(super) struct Publisher {
    horizon: watch::Sender<Positions>,
    feed: mpsc::Sender<Commit>,
    current: Positions,
    own: BTreeMap<LaneId, Own>,
    /// Snapshots that are not published yet, each within the next.
    seen: VecDeque<Positions>,
    waiting: Vec<Waiting>,
}

impl Publisher {
    pub(super) fn new(
        start: Positions,
        horizon: watch::Sender<Positions>,
        feed: mpsc::Sender<Commit>,
    ) -> Self {
        Self {
            horizon,
            feed,
            current: start,
            own: BTreeMap::new(),
            seen: VecDeque::new(),
            waiting: Vec::new(),
        }
    }

    /// Runs until nobody can report any more.
    pub(super) async fn run(mut self, mut reports: mpsc::Receiver<Report>) {
        while let Some(report) = reports.recv().await {
            self.take(report);
            while let Ok(report) = reports.try_recv() {
                self.take(report);
            }
            self.publish().await;
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Adopted { lane, pos } => {
                self.own.insert(lane, Own { since: pos, told: pos, notes: VecDeque::new() });
            }
            Report::Disowned(lane) => {
                // Notes not yet published need not be: the whole range becomes foreign.
                self.own.remove(&lane);
            }
            Report::Committed(reported) => {
                if let Some(own) = self.own.get_mut(&reported.lane) {
                    own.told = reported.end;
                    own.notes.extend(reported.notes);
                }
                let Reported { lane, end, answers, .. } = reported;
                self.waiting.push(Waiting { lane, end, answers });
                if let Some(seen) = reported.seen {
                    self.see(seen);
                }
            }
            Report::Seen(seen) => self.see(seen),
        }
    }

    /// Lines a snapshot up among those that wait.
    fn see(&mut self, mut seen: Positions) {
        if self.current.reaches(&seen) {
            if !seen.reaches(&self.current) {
                // Older than what is published: fine. Only a lane that went back is not, and that
                // the next newer snapshot shows.
                tracing::trace!("a snapshot of the lanes came late");
            }
            return;
        }
        if !seen.reaches(&self.current) {
            tracing::error!(
                had = %self.current, found = %seen,
                "lanes went back: the database has lost commits that it had acknowledged"
            );
            seen.merge(&self.current);
        }
        let at = self.seen.iter().rposition(|older| seen.reaches(older)).map_or(0, |at| at + 1);
        self.seen.insert(at, seen);
    }

    /// Publishes the newest snapshot whose notes are all in, if there is one.
    async fn publish(&mut self) {
        let all_told =
            |seen: &Positions| self.own.iter().all(|(lane, own)| seen.get(*lane) <= own.told);
        if let Some(newest) = self.seen.iter().rposition(all_told) {
            let next = self.seen.drain(..=newest).next_back().expect("the range holds one");
            let commit = self.step_to(next);
            self.horizon.send_replace(commit.horizon.clone());
            // A closed feed means that nobody syncs: a command-line tool, or a shutdown.
            let _ = self.feed.send(commit).await;
        }
        let current = &self.current;
        let done = self.waiting.extract_if(.., |it| it.end <= current.get(it.lane));
        done.for_each(|it| answer_all(it.answers));
    }

    fn step_to(&mut self, next: Positions) -> Commit {
        let mut notes = Vec::new();
        let mut foreign = Vec::new();
        for (lane, offset) in next.iter() {
            let from = self.current.get(lane);
            if offset <= from {
                continue;
            }
            let own = self.own.get_mut(&lane);
            let foreign_to = own.as_ref().map_or(offset, |own| own.since.min(offset));
            if foreign_to > from {
                foreign.push((StreamPos::new(lane, from), StreamPos::new(lane, foreign_to)));
            }
            if let Some(own) = own {
                let covered = own.notes.partition_point(|note| next.covers(note.pos));
                notes.extend(own.notes.drain(..covered));
            }
        }
        self.current = next.clone();
        Commit { horizon: next, notes, foreign }
    }
}
