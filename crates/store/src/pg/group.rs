//! One group of works: one transaction, one commit.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use deadpool_postgres::ClientWrapper;
use futures_util::future::{join, join_all, join3, join4};
use haechi_base::Positions;
use tokio::time::timeout;
use tokio_postgres::{Error, error::SqlState, types::ToSql};

use super::{
    claim::{ADVANCE, KEEP_NOTES, Lane, SNAPSHOT, positions},
    fault::{Fault, Faults, describe},
    session::{Session, send_ahead},
};
use crate::{
    LockKey, Note, Result, StoreError,
    hint::encode_notes,
    tx::{Conn, LaneCursor, Tx},
    work::Job,
};

/// Longest a group may run, waiting for locks included; then its connection is given up. Longer than
/// the server takes to notice a dead node and free its locks.
const RUN_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest to wait for the answer of a commit before asking on another connection what became of it.
/// The commit itself is not cancelled.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

const LOCK: &str = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::BIGINT[]) AS t (key)";

/// A work of the group, with what came of it so far.
pub(super) struct Slot {
    pub(super) job: Box<dyn Job>,
    pub(super) outcome: Result<()>,
    pub(super) notes: Vec<Note>,
}

impl Slot {
    pub(super) fn new(job: Box<dyn Job>) -> Self {
        Self { job, outcome: Ok(()), notes: Vec::new() }
    }
}

/// What came of a group.
pub(super) enum Ended {
    /// It is durable; the lane stands at `end`. With a snapshot if anything was announced.
    Committed { end: i64, seen: Option<Positions> },
    /// A work failed half way: run again one by one, with savepoints.
    OneByOne,
    /// It collided with another transaction: run again.
    Collided,
    /// Nothing was committed, and the connection is of no more use.
    Lost(String),
    /// The lane has passed to another owner; nothing was committed.
    Fenced,
    /// The answer to the commit was lost.
    InDoubt(String),
    /// The server refused for a reason that another try does not mend; nothing was committed.
    Refused(StoreError),
}

/// Runs the works in one transaction and commits it.
///
/// First without savepoints, and works that have nothing in common side by side: their statements
/// share round trips. What such works see of one another is what `READ COMMITTED` would show.
pub(super) async fn run(
    client: &ClientWrapper,
    lane: &Lane,
    slots: &mut [Slot],
    one_by_one: bool,
) -> Ended {
    let group = Group { client, lane, end: AtomicI64::new(lane.pos), faults: Faults::default() };
    let keys = lock_keys(slots);
    let works = async {
        group.begin(keys).await;
        if group.faults.worst() != Fault::None {
            return;
        }
        if one_by_one {
            group.run_one_by_one(slots).await;
        } else {
            let chains = chains(slots).into_iter().map(|chain| group.run_chain(chain));
            join_all(chains).await;
        }
    };
    if timeout(RUN_TIMEOUT, works).await.is_err() {
        return Ended::Lost("a group took too long".to_owned());
    }
    if group.faults.worst() == Fault::None {
        return group.commit(&announced(slots)).await;
    }
    let refused = || slots.iter().find_map(|slot| slot.outcome.clone().err());
    match group.faults.worst() {
        Fault::Lost => {
            Ended::Lost(refused().map_or_else(|| "connection lost".to_owned(), |it| it.to_string()))
        }
        fault => {
            send_ahead(client, "ROLLBACK");
            match fault {
                Fault::Collision => Ended::Collided,
                _ if one_by_one => Ended::Refused(refused().unwrap_or(StoreError::Overloaded)),
                _ => Ended::OneByOne,
            }
        }
    }
}

/// What the works announced, as it is kept; empty when that is nothing.
fn announced(slots: &[Slot]) -> Vec<u8> {
    let mut notes: Vec<Note> = slots.iter().flat_map(|slot| slot.notes.iter().cloned()).collect();
    notes.sort_unstable_by_key(|note| note.pos);
    if notes.is_empty() { Vec::new() } else { encode_notes(&notes) }
}

struct Group<'a> {
    client: &'a ClientWrapper,
    lane: &'a Lane,
    end: AtomicI64,
    faults: Faults,
}

impl Group<'_> {
    /// Begins, and takes the locks in their order, in one round trip.
    async fn begin(&self, keys: Vec<i64>) {
        if keys.is_empty() {
            send_ahead(self.client, "BEGIN");
            return;
        }
        let outcome = async {
            let lock = self.client.prepare_cached(LOCK).await?;
            let (begun, locked) =
                join(self.client.batch_execute("BEGIN"), self.client.execute(&lock, &[&keys]))
                    .await;
            begun.and(locked)
        };
        if let Err(error) = outcome.await {
            self.faults.note(Fault::of(&error).max(Fault::Statement));
        }
    }

    async fn run_chain(&self, chain: Vec<&mut Slot>) {
        for slot in chain {
            let spoilt = self.run_slot(slot, &self.faults).await;
            if spoilt {
                self.faults.note(Fault::Statement);
            }
            if self.faults.worst() != Fault::None {
                return;
            }
        }
    }

    /// Runs one work; true if it failed after it had changed something.
    async fn run_slot(&self, slot: &mut Slot, faults: &Faults) -> bool {
        let cursor = LaneCursor { lane: self.lane.id, end: &self.end, notes: Vec::new() };
        let mut tx = Tx::new(Conn::Pg(Session::new(self.client, faults)), Some(cursor));
        let outcome = slot.job.run(&mut tx).await;
        // What was sent first failed first, and is the reason for what failed behind it.
        slot.outcome = tx.settle().await.and(outcome);
        slot.notes = tx.take_notes();
        if slot.outcome.is_err() {
            slot.notes.clear();
        }
        slot.outcome.is_err() && tx.wrote
    }

    async fn run_one_by_one(&self, slots: &mut [Slot]) {
        for slot in slots {
            send_ahead(self.client, "SAVEPOINT job");
            let faults = Faults::default();
            let spoilt = self.run_slot(slot, &faults).await;
            let worst = faults.worst();
            if worst > Fault::Statement {
                self.faults.note(worst);
                return;
            }
            if worst == Fault::Statement && slot.outcome.is_ok() {
                slot.notes.clear();
                slot.outcome = Err(StoreError::Driver {
                    statement: slot.job.name(),
                    reason: "the work went on after a statement had failed".to_owned(),
                });
            }
            if spoilt || worst == Fault::Statement {
                let undo = self.client.batch_execute("ROLLBACK TO job").await;
                if let Err(error) = undo {
                    self.faults.note(Fault::of(&error).max(Fault::Statement));
                    return;
                }
            }
            send_ahead(self.client, "RELEASE job");
        }
    }

    /// Moves the lane, keeps what was announced, looks where all lanes are, and commits: one round
    /// trip.
    ///
    /// The look comes before the commit, so that the commit's answer confirms what was seen: a server
    /// that is cut off from its standbys shows what it may yet lose, but answers no commit.
    async fn commit(&self, notes: &[u8]) -> Ended {
        let announces = !notes.is_empty();
        // Places that only failed works took are not used up: a lane must not move without somebody
        // telling the publisher.
        let end = if announces { self.end.load(Ordering::Relaxed) } else { self.lane.pos };
        let prepared = join3(
            self.client.prepare_cached(ADVANCE),
            self.client.prepare_cached(KEEP_NOTES),
            self.client.prepare_cached(SNAPSHOT),
        );
        let (advance, keep, snapshot) = match timeout(RUN_TIMEOUT, prepared).await {
            Ok((Ok(advance), Ok(keep), Ok(snapshot))) => (advance, keep, snapshot),
            Ok((Err(error), ..) | (_, Err(error), _) | (.., Err(error))) => {
                return Ended::Lost(describe(&error));
            }
            Err(_) => {
                return Ended::Lost("the server is silent".to_owned());
            }
        };
        let (key, epoch) = (self.lane.key(), self.lane.epoch);
        let args: [&(dyn ToSql + Sync); 3] = [&end, &key, &epoch];
        let kept: [&(dyn ToSql + Sync); 4] = [&key, &self.lane.pos, &end, &notes];
        let answers = join4(
            self.client.query_one(&advance, &args),
            async { if announces { self.client.execute(&keep, &kept).await } else { Ok(0) } },
            async {
                if announces { self.client.query(&snapshot, &[]).await } else { Ok(Vec::new()) }
            },
            self.client.batch_execute("COMMIT"),
        );
        match timeout(COMMIT_TIMEOUT, answers).await {
            Err(_) => Ended::InDoubt("the server is silent".to_owned()),
            Ok((advanced, kept, seen, committed)) => {
                // A failure before the commit turns it into a rollback, which is no error of its own.
                let (seen, unseen) = match seen {
                    Ok(rows) => (Some(rows).filter(|_| announces), None),
                    Err(error) => (None, Some(error)),
                };
                let before = advanced.err().or(kept.err()).or(unseen);
                let told = told(before.as_ref(), committed.err().as_ref());
                match told {
                    Told::Committed => {
                        Ended::Committed { end, seen: seen.map(|rows| positions(&rows)) }
                    }
                    Told::Fenced => Ended::Fenced,
                    Told::Collided => Ended::Collided,
                    Told::Refused(error) => Ended::Refused(error),
                    Told::Lost(reason) => Ended::Lost(reason),
                    Told::InDoubt(reason) => Ended::InDoubt(reason),
                }
            }
        }
    }
}

enum Told {
    Committed,
    Fenced,
    Collided,
    Refused(StoreError),
    Lost(String),
    InDoubt(String),
}

/// What the answers to the last statement and to `COMMIT` say about the commit.
fn told(advance: Option<&Error>, commit: Option<&Error>) -> Told {
    let answered = |error: &Error| error.as_db_error().is_some();
    match (advance, commit) {
        (None, None) => Told::Committed,
        (Some(error), _) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => Told::Fenced,
        // The last statement was refused, so the commit behind it could only roll back.
        (Some(error), _) if answered(error) => match Fault::of(error) {
            Fault::Collision => Told::Collided,
            Fault::Statement | Fault::None => {
                Told::Refused(super::fault::named_error("lane", error))
            }
            Fault::Lost => Told::Lost(describe(error)),
        },
        // A deferred constraint, or a collision noticed at the end.
        (_, Some(error)) if answered(error) && Fault::of(error) == Fault::Collision => {
            Told::Collided
        }
        (_, Some(error)) if error.code().is_some_and(|code| code.code().starts_with("23")) => {
            Told::Refused(super::fault::named_error("commit", error))
        }
        (_, Some(error)) | (Some(error), None) => Told::InDoubt(describe(error)),
    }
}

/// What all works want to hold, sorted, so that groups never wait for one another in a circle.
fn lock_keys(slots: &[Slot]) -> Vec<i64> {
    let mut keys = Vec::new();
    for slot in slots {
        keys.extend(slot.job.locks().keys().iter().map(|key| key.packed()));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Sorts the works into chains: those with a lock or an order key in common one after the other.
fn chains(slots: &mut [Slot]) -> Vec<Vec<&mut Slot>> {
    #[derive(PartialEq, Eq, Hash)]
    enum Key {
        Lock(LockKey),
        Order(i64),
    }
    // chain_of[i]: an earlier chain that chain i was joined to, or itself
    let mut chain_of: Vec<usize> = Vec::new();
    let root = |chain_of: &[usize], mut chain: usize| {
        while chain_of[chain] != chain {
            chain = chain_of[chain];
        }
        chain
    };
    let mut holders: HashMap<Key, usize> = HashMap::new();
    for (index, slot) in slots.iter().enumerate() {
        chain_of.push(index);
        let order = Some(slot.job.order_key()).filter(|key| *key != 0).map(Key::Order);
        let locks = slot.job.locks();
        for key in locks.keys().iter().map(|key| Key::Lock(*key)).chain(order) {
            let holder = *holders.entry(key).or_insert(index);
            let (a, b) = (root(&chain_of, holder), root(&chain_of, index));
            chain_of[a.max(b)] = a.min(b);
        }
    }
    let roots: Vec<usize> = (0..slots.len()).map(|index| root(&chain_of, index)).collect();
    let mut chains: Vec<Vec<&mut Slot>> = slots.iter().map(|_| Vec::new()).collect();
    for (slot, root) in slots.iter_mut().zip(roots) {
        chains[root].push(slot);
    }
    chains.retain(|chain| !chain.is_empty());
    chains
}
