//! The engine: what callers hand works to, and the tasks behind it.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use haechi_base::Positions;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    claim,
    committer::Committer,
    connect::{Connector, PgUrl, Wanted},
    migrate,
    pools::{Pools, ReadPool},
    primary::{Asking, Primary},
    publisher::{Publisher, REPORTS_MAX, Report},
};
use crate::{Commit, Hint, LockKey, Result, Schema, StoreError, work::Job};

/// Works that may wait for each committer; more are refused with `Overloaded`.
const WRITE_QUEUE_MAX: usize = 2_048;
/// Reads that may wait or run; more are refused with `Overloaded`.
const READS_MAX: usize = 8_192;
/// Hints that may wait for the bus; more are dropped.
const HINTS_MAX: usize = 1_024;
/// Longest to wait for the poll's answer.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often we look for what other nodes did.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How to open a database.
pub(crate) struct Options<'a> {
    pub(crate) url: &'a PgUrl,
    /// The server of the own site, if reads are to go there.
    pub(crate) local: Option<&'a PgUrl>,
    pub(crate) pool: NonZeroUsize,
    pub(crate) committers: NonZeroUsize,
    pub(crate) node: &'a str,
}

pub(crate) struct Engine {
    queues: Vec<async_channel::Sender<Box<dyn Job>>>,
    /// The next committer for a work that does not care.
    next: AtomicUsize,
    pools: Pools,
    reads: Arc<Semaphore>,
    horizon: watch::Receiver<Positions>,
    /// Weak: the publisher ends when the committers and the poll do.
    reports: mpsc::WeakSender<Report>,
    hints: Mutex<Option<mpsc::Receiver<Hint>>>,
    tasks: Mutex<Tasks>,
    _asking: Asking,
}

#[derive(Default)]
struct Tasks {
    committers: Vec<JoinHandle<()>>,
    publisher: Option<JoinHandle<()>>,
    poll: Option<JoinHandle<()>>,
}

/// What the committers share. The engine does not keep it: the publisher ends when they do.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) owner: String,
    pub(super) pools: Pools,
    reports: mpsc::Sender<Report>,
    /// Somebody waits for what another node wrote: whichever committer is idle looks.
    pub(super) looks: async_channel::Receiver<()>,
    pub(super) primary: Primary,
}

impl Shared {
    pub(super) async fn report(&self, report: Report) {
        // The publisher outlives the committers, except when the runtime goes down.
        let _ = self.reports.send(report).await;
    }

    /// Gives up all pooled connections: their server no longer is what we took it for.
    pub(super) fn drop_pool(&self) {
        self.pools.distrust_primary();
    }
}

impl Engine {
    pub(crate) async fn open(
        options: &Options<'_>,
        schemas: &[&'static Schema],
        feed: mpsc::Sender<Commit>,
    ) -> Result<Self> {
        let application = format!("haechi {}", options.node);
        let connector = Connector::new(options.url, &application, Wanted::Primary)?;
        let client = connector.connect().await?;
        migrate::check(&client).await?;
        migrate::migrate(&client, schemas).await?;
        let count = options.committers.get();
        let lanes = claim::lease(&client, options.node, true, count).await?;
        let first = lanes.first().ok_or(StoreError::Fenced)?;
        let start = claim::look(&client, first).await?.ok_or(StoreError::Fenced)?;

        let (horizon_sender, horizon) = watch::channel(start.clone());
        let (reports, receiver) = mpsc::channel(REPORTS_MAX.max(count));
        let any = Connector::new(options.url, &application, Wanted::Any)?;
        let (primary_is, asking) = Primary::watch(&any, &connector);
        let (ask, looks) = async_channel::bounded(1);
        let primary = ReadPool::new(connector.clone(), options.pool.get())?;
        let own = match options.local {
            None => None,
            Some(url) => {
                let connector = Connector::new(url, &application, Wanted::Any)?;
                Some(ReadPool::new(connector, options.pool.get())?)
            }
        };
        let pools = Pools::new(own, primary, horizon.clone(), ask);
        let (hints, told) = mpsc::channel(HINTS_MAX);
        let shared = Arc::new(Shared {
            connector,
            owner: options.node.to_owned(),
            pools: pools.clone(),
            reports: reports.clone(),
            looks,
            primary: primary_is,
        });
        let mut tasks = Tasks::default();
        let mut queues = Vec::with_capacity(count);
        for lane in lanes {
            shared.report(Report::Adopted { lane: lane.id, pos: lane.pos }).await;
            let (queue, receiver) = async_channel::bounded(WRITE_QUEUE_MAX);
            queues.push(queue);
            let committer = Committer::new(shared.clone(), receiver, lane);
            tasks.committers.push(tokio::spawn(committer.run()));
        }
        let publisher = Publisher::new(start, horizon_sender, feed, hints, pools.clone());
        tasks.publisher = Some(tokio::spawn(publisher.run(receiver)));
        tasks.poll = Some(tokio::spawn(poll(shared, horizon.clone())));
        Ok(Self {
            queues,
            next: AtomicUsize::new(0),
            pools,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            horizon,
            reports: reports.downgrade(),
            hints: Mutex::new(Some(told)),
            tasks: Mutex::new(tasks),
            _asking: asking,
        })
    }

    pub(crate) fn write(&self, job: Box<dyn Job>) -> Result<()> {
        let queue = &self.queues[self.route(job.as_ref())];
        queue.try_send(job).map_err(|error| match error {
            async_channel::TrySendError::Full(_) => StoreError::Overloaded,
            async_channel::TrySendError::Closed(_) => closing(),
        })
    }

    /// The committer for a work. What wants the same room or user goes to the same one, so that our
    /// committers seldom wait for one another's locks.
    fn route(&self, job: &dyn Job) -> usize {
        let by_lock = || {
            job.locks().keys().first().map(|key| match key {
                LockKey::Room(room) => room.0,
                LockKey::User(user) => user.0,
                LockKey::Other(_, id) => *id,
            })
        };
        let Some(key) = Some(job.order_key()).filter(|key| *key != 0).or_else(by_lock) else {
            return self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        };
        // Fibonacci hashing: neighbours go to different committers, evenly.
        let hash = key.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        usize::try_from(hash).unwrap_or(0) % self.queues.len()
    }

    pub(crate) fn read(&self, mut job: Box<dyn Job>) -> Result<()> {
        let permit = self.reads.clone().try_acquire_owned().map_err(|_| StoreError::Overloaded)?;
        let pools = self.pools.clone();
        tokio::spawn(async move {
            let outcome = pools.read(job.as_mut()).await;
            drop(permit);
            job.answer(outcome);
        });
        Ok(())
    }

    pub(crate) fn horizon(&self) -> watch::Receiver<Positions> {
        self.horizon.clone()
    }

    /// What this node tells the others, once.
    pub(crate) fn hints(&self) -> Option<mpsc::Receiver<Hint>> {
        self.hints.lock().take()
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.pools.is_stale()
    }

    /// What another node tells. Dropped when the publisher is busy: it then looks for itself.
    pub(crate) fn hear(&self, hint: Hint) {
        if let Some(reports) = self.reports.upgrade() {
            let _ = reports.try_send(Report::Heard(hint));
        }
    }

    /// Commits what is queued, gives the lanes back, and ends.
    pub(crate) async fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for committer in tasks.committers {
            let _ = committer.await;
        }
        if let Some(poll) = tasks.poll {
            poll.abort();
            let _ = poll.await;
        }
        if let Some(publisher) = tasks.publisher {
            let _ = publisher.await;
        }
        self.pools.close();
    }

    /// Stops as a killed process would: in the middle of everything, lanes still leased.
    #[cfg(feature = "testing")]
    pub(crate) async fn crash(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let all = tasks.committers.into_iter().chain(tasks.publisher).chain(tasks.poll);
        for task in all {
            task.abort();
            let _ = task.await;
        }
        self.pools.close();
    }
}

impl Drop for Engine {
    /// The committers end with their queues; only the poll would go on.
    fn drop(&mut self) {
        if let Some(poll) = self.tasks.lock().poll.take() {
            poll.abort();
        }
    }
}

fn closing() -> StoreError {
    StoreError::Unavailable("the store is closing".to_owned())
}

/// Finds what other nodes did while we were quiet, and has it confirmed.
async fn poll(shared: Arc<Shared>, horizon: watch::Receiver<Positions>) {
    let mut every = tokio::time::interval(POLL_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match timeout(POLL_TIMEOUT, shared.pools.snapshot()).await {
            Ok(Ok(seen)) => {
                if !horizon.borrow().reaches(&seen) {
                    shared.pools.ask_for_a_look();
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "no look at the lanes"),
            Err(_) => tracing::debug!("no look at the lanes: the server is silent"),
        }
    }
}
