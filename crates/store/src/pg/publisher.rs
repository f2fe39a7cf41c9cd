//! What became visible, in order: the horizon and the feed.
//!
//! The horizon is made of snapshots of the lane table, each taken inside a commit that was
//! acknowledged: by one of our committers, or by another node's, which told us over the bus. What one
//! shows of a lane includes everything that was read in order to write it; so does what several of them
//! show together. A snapshot may show a commit of another committer of ours whose notes have not
//! come in yet; it is then held back until they have.

use std::collections::{BTreeMap, VecDeque};

use haechi_base::{LaneId, Positions, StreamPos};
use tokio::sync::{mpsc, watch};

use super::{claim::Lane, committer::answer_all, pools::Pools};
use crate::{Commit, Hint, Note, Result, hint::Chunk, work::Job};

/// Reports that may wait for the publisher; more hold the committers back.
pub(super) const REPORTS_MAX: usize = 256;

/// Commits of one other node's lane that may wait to be published.
const CHUNKS_MAX: usize = 4_096;

pub(super) enum Report {
    /// The lane is ours; what lies after `pos` comes from us.
    Adopted { lane: LaneId, pos: i64 },
    /// The lane is ours no longer; what it shows from now on is to be read from the tables.
    Disowned(LaneId),
    /// One of our groups is durable.
    Committed(Reported),
    /// Somebody looked where the lanes are, inside a commit that was acknowledged.
    Seen(Positions),
    /// Another node tells of a commit.
    Heard(Hint),
}

/// A durable group that announced something.
pub(super) struct Reported {
    lane: LaneId,
    since: i64,
    end: i64,
    seen: Option<Positions>,
    pub(super) notes: Vec<Note>,
    pub(super) answers: Vec<(Box<dyn Job>, Result<()>)>,
}

impl Reported {
    /// A group after which `lane` stands where it does, and before which it stood at `since`.
    pub(super) fn new(since: i64, lane: &Lane, seen: Option<Positions>) -> Self {
        let (notes, answers) = (Vec::new(), Vec::new());
        Self { lane: lane.id, since, end: lane.pos, seen, notes, answers }
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
    /// What we tell other nodes, if there is a bus.
    hints: mpsc::Sender<Hint>,
    /// Where to look for what others announced.
    pools: Pools,
    current: Positions,
    own: BTreeMap<LaneId, Own>,
    /// Snapshots that are not published yet.
    seen: Vec<Positions>,
    heard: Heard,
    waiting: Vec<Waiting>,
}

impl Publisher {
    pub(super) fn new(
        start: Positions,
        horizon: watch::Sender<Positions>,
        feed: mpsc::Sender<Commit>,
        hints: mpsc::Sender<Hint>,
        pools: Pools,
    ) -> Self {
        Self {
            horizon,
            feed,
            hints,
            pools,
            current: start,
            own: BTreeMap::new(),
            seen: Vec::new(),
            heard: Heard::default(),
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
            Report::Committed(reported) => self.take_group(reported),
            Report::Seen(seen) => self.see(seen),
            Report::Heard(hint) => {
                if !self.own.contains_key(&hint.chunk.lane) {
                    self.heard.keep(hint.chunk, &self.current);
                    self.see(hint.seen);
                }
            }
        }
    }

    fn take_group(&mut self, reported: Reported) {
        let Reported { lane, since, end, seen, notes, answers } = reported;
        if let Some(seen) = &seen
            && !self.hints.is_closed()
        {
            let chunk = Chunk { lane, since, upto: end, notes: notes.clone() };
            // A full queue means a slow bus: the others will look for themselves.
            let _ = self.hints.try_send(Hint { seen: seen.clone(), chunk });
        }
        if let Some(own) = self.own.get_mut(&lane) {
            own.told = end;
            own.notes.extend(notes);
        }
        self.waiting.push(Waiting { lane, end, answers });
        if let Some(seen) = seen {
            self.see(seen);
        }
    }

    /// Notes a snapshot that shows something new.
    fn see(&mut self, seen: Positions) {
        if !self.current.reaches(&seen) && !self.seen.contains(&seen) {
            self.seen.push(seen);
        }
    }

    /// Publishes all snapshots whose notes of ours are in.
    async fn publish(&mut self) {
        let mut next = self.current.clone();
        let own = &self.own;
        self.seen.retain(|seen| {
            let all_told = own.iter().all(|(lane, own)| seen.get(*lane) <= own.told);
            if all_told {
                next.merge(seen);
            }
            !all_told
        });
        if next != self.current {
            let commit = self.step_to(next).await;
            self.horizon.send_replace(commit.horizon.clone());
            // A closed feed means that nobody syncs: a command-line tool, or a shutdown.
            let _ = self.feed.send(commit).await;
        }
        let current = &self.current;
        let done = self.waiting.extract_if(.., |it| it.end <= current.get(it.lane));
        done.for_each(|it| answer_all(it.answers));
    }

    async fn step_to(&mut self, next: Positions) -> Commit {
        let mut notes = Vec::new();
        let mut ranges = Vec::new();
        for (lane, offset) in next.iter() {
            let from = self.current.get(lane);
            if offset <= from {
                continue;
            }
            let own = self.own.get_mut(&lane);
            let foreign_to = own.as_ref().map_or(offset, |own| own.since.min(offset));
            if foreign_to > from {
                ranges.push((StreamPos::new(lane, from), StreamPos::new(lane, foreign_to)));
            }
            if let Some(own) = own {
                let covered = own.notes.partition_point(|note| next.covers(note.pos));
                notes.extend(own.notes.drain(..covered));
            }
        }
        let (heard, foreign) = self.resolve(ranges).await;
        self.current = next.clone();
        Commit { horizon: next, notes, heard, foreign }
    }

    /// What others wrote in these ranges: as they told us, or else as it stands in the tables. Also
    /// the ranges of which neither knows.
    async fn resolve(
        &mut self,
        ranges: Vec<(StreamPos, StreamPos)>,
    ) -> (Vec<Note>, Vec<(StreamPos, StreamPos)>) {
        let mut notes = Vec::new();
        let take = |heard: &mut Heard, notes: &mut Vec<Note>, ranges: Vec<_>| -> Vec<_> {
            let missing = ranges.into_iter().filter(|(from, to)| match heard.take(*from, *to) {
                Some(found) => {
                    notes.extend(found);
                    false
                }
                None => true,
            });
            missing.collect()
        };
        let missing = take(&mut self.heard, &mut notes, ranges);
        if missing.is_empty() {
            return (notes, missing);
        }
        for chunk in self.pools.notes_between(&missing).await {
            self.heard.keep(chunk, &self.current);
        }
        let unknown = take(&mut self.heard, &mut notes, missing);
        (notes, unknown)
    }
}

/// What other nodes announced and what is not published yet.
#[derive(Default)]
struct Heard(BTreeMap<LaneId, BTreeMap<i64, Chunk>>);

impl Heard {
    fn keep(&mut self, chunk: Chunk, current: &Positions) {
        if chunk.upto <= current.get(chunk.lane) {
            return;
        }
        let lane = self.0.entry(chunk.lane).or_default();
        if lane.len() >= CHUNKS_MAX {
            // Snapshots do not come while hints do: what is dropped is read from the tables.
            lane.pop_first();
        }
        lane.insert(chunk.upto, chunk);
    }

    /// All that was announced after `from`, up to and with `to`, if it is there without a gap.
    fn take(&mut self, from: StreamPos, to: StreamPos) -> Option<Vec<Note>> {
        let lane = self.0.get_mut(&from.lane())?;
        let mut reached = from.offset();
        while reached < to.offset() {
            let (_, next) = lane.range(reached + 1..=to.offset()).next()?;
            if next.since > reached {
                return None;
            }
            reached = next.upto;
        }
        let later = lane.split_off(&(to.offset() + 1));
        let taken = std::mem::replace(lane, later);
        let notes = taken.into_values().flat_map(|chunk| chunk.notes);
        Some(notes.filter(|note| note.pos > from).collect())
    }
}

#[cfg(test)]
mod tests {
    use haechi_base::RoomNid;

    use super::*;
    use crate::Change;

    fn chunk(since: i64, upto: i64) -> Chunk {
        let note = |offset| Note {
            pos: StreamPos::new(LaneId(4), offset),
            change: Change::Event(RoomNid(offset)),
        };
        Chunk { lane: LaneId(4), since, upto, notes: (since + 1..=upto).map(note).collect() }
    }

    fn take(heard: &mut Heard, from: i64, to: i64) -> Option<Vec<i64>> {
        let at = |offset| StreamPos::new(LaneId(4), offset);
        let notes = heard.take(at(from), at(to))?;
        Some(notes.into_iter().map(|note| note.pos.offset()).collect())
    }

    #[test]
    fn what_was_told_is_used_only_without_gaps() {
        let mut heard = Heard::default();
        for (since, upto) in [(2, 4), (7, 9), (2, 4), (0, 2)] {
            heard.keep(chunk(since, upto), &Positions::default());
        }
        assert_eq!(take(&mut heard, 0, 9), None, "5 to 7 is missing");
        assert_eq!(take(&mut heard, 1, 4), Some(vec![2, 3, 4]), "from within a commit");
        heard.keep(chunk(4, 7), &Positions::default());
        assert_eq!(take(&mut heard, 4, 9), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(take(&mut heard, 9, 10), None);
    }

    #[test]
    fn what_is_known_is_not_kept() {
        let mut heard = Heard::default();
        let mut current = Positions::default();
        current.set(LaneId(4), 4);
        heard.keep(chunk(2, 4), &current);
        assert_eq!(take(&mut heard, 2, 4), None);
    }
}
