//! Transfers of many callers, made together.
//!
//! All that happens in one ledger happens one after the other: that is what makes a hot account as
//! quick as any other, since nobody waits for its lock. So that it is quick for all, callers do not
//! queue for a commit of their own: while a work is under way those who come wait here, and go
//! together in the next one, which reads and writes for all of them at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use haechi_base::Clock;
use haechi_store::{Db, Result, StoreError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    model::{LedgerId, NewTransfer},
    rules::Outcome,
    store::changes::MakeTransfers,
};

/// Most transfers of one work: bounds how long it runs.
pub(crate) const TRANSFERS_MAX: usize = 8_190;
/// Works of one ledger under way at once: one runs while the next one is sent.
const WORKS_MAX: usize = 2;
/// Transfers that may wait in one ledger; more are refused with `Overloaded`.
const WAITING_MAX: usize = 262_144;
/// How often a work is tried again when an id turns up in two ledgers at once.
const TRIES: usize = 3;

type Answer = Result<Vec<Outcome>>;

struct Waiting {
    transfers: Vec<NewTransfer>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    transfers: usize,
    works: usize,
}

/// The queues of all ledgers; clones share them.
#[derive(Clone)]
pub(crate) struct Groups(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    queues: Mutex<HashMap<LedgerId, Queue>>,
}

impl Groups {
    pub(crate) fn new(db: Db, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, clock, queues: Mutex::default() }))
    }

    /// Makes the transfers of one caller, together with those of others. Dropping the future does not
    /// stop them.
    pub(crate) async fn make(&self, transfers: Vec<NewTransfer>) -> Answer {
        let ledger = transfers.first().map_or(LedgerId(0), |transfer| transfer.ledger);
        if transfers.iter().any(|transfer| transfer.ledger != ledger) {
            // Chains across ledgers, such as an exchange of currencies, are works of their own.
            let outcomes = self.write(&[transfers]).await?;
            return Ok(outcomes.into_iter().next().unwrap_or_default());
        }
        let (answer, answered) = oneshot::channel();
        let leads = {
            let mut queues = self.0.queues.lock();
            let queue = queues.entry(ledger).or_default();
            if queue.transfers + transfers.len() > WAITING_MAX {
                return Err(StoreError::Overloaded);
            }
            queue.transfers += transfers.len();
            queue.waiting.push_back(Waiting { transfers, answer });
            let leads = queue.works < WORKS_MAX;
            queue.works += usize::from(leads);
            leads
        };
        if leads {
            tokio::spawn(self.clone().work_off(ledger));
        }
        answered.await.map_err(|_| StoreError::Unavailable("the ledger is closing".to_owned()))?
    }

    /// Makes what waits, one work after the other, until nothing does.
    async fn work_off(self, ledger: LedgerId) {
        while let Some(group) = self.take(ledger) {
            let (requests, answers): (Vec<_>, Vec<_>) =
                group.into_iter().map(|one| (one.transfers, one.answer)).unzip();
            let size: usize = requests.iter().map(Vec::len).sum();
            #[expect(clippy::cast_precision_loss, reason = "a metric")]
            metrics::histogram!("haechi_ledger_group_transfers").record(size as f64);
            match self.write(&requests).await {
                Ok(outcomes) => {
                    for (answer, outcomes) in answers.into_iter().zip(outcomes) {
                        // The caller may have gone away; the transfers stand all the same.
                        let _ = answer.send(Ok(outcomes));
                    }
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// What waits, up to a work full; when nothing does, the worker's place is given back.
    fn take(&self, ledger: LedgerId) -> Option<Vec<Waiting>> {
        let mut queues = self.0.queues.lock();
        let queue = queues.entry(ledger).or_default();
        let (mut group, mut size) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            if size > 0 && size + next.transfers.len() > TRANSFERS_MAX {
                break;
            }
            size += next.transfers.len();
            group.extend(queue.waiting.pop_front());
        }
        queue.transfers -= size;
        if group.is_empty() {
            queue.works -= 1;
            if queue.works == 0 {
                queues.remove(&ledger);
            }
            return None;
        }
        Some(group)
    }

    async fn write(&self, requests: &[Vec<NewTransfer>]) -> Result<Vec<Vec<Outcome>>> {
        let mut tries = 0;
        loop {
            let work = MakeTransfers { requests: requests.to_vec(), clock: self.0.clock.clone() };
            match self.0.db.write(work).await {
                // Another ledger took the id a moment ago: now it is found, and answered.
                Err(StoreError::Conflict(_)) if tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }
}
