//! The engine: what callers hand works to, and the tasks behind it.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, Runtime,
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
    connect::{CONNECT_TIMEOUT, Connector, PgUrl},
    fault::{Fault, Faults, describe},
    migrate,
    publisher::{Publisher, REPORTS_MAX, Report},
    session::{Session, send_ahead},
};
use crate::{
    Commit, LockKey, Result, Schema, StoreError, meter,
    tx::{Conn, Tx},
    work::Job,
};

/// Works that may wait for each committer; more are refused with `Overloaded`.
const WRITE_QUEUE_MAX: usize = 2_048;
/// Reads that may wait or run; more are refused with `Overloaded`.
const READS_MAX: usize = 8_192;
/// Longest a read waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// Longest a read may run; then its connection is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a read is tried again when its connection breaks.
const READ_TRIES: usize = 2;
/// How often we look for what other nodes did.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How to open a database.
pub(crate) struct Options<'a> {
    pub(crate) url: &'a PgUrl,
    pub(crate) pool: NonZeroUsize,
    pub(crate) committers: NonZeroUsize,
    pub(crate) node: &'a str,
}

pub(crate) struct Engine {
    queues: Vec<async_channel::Sender<Box<dyn Job>>>,
    /// The next committer for a work that does not care.
    next: AtomicUsize,
    pool: ReadPool,
    reads: Arc<Semaphore>,
    horizon: watch::Receiver<Positions>,
    tasks: Mutex<Tasks>,
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
    pool: ReadPool,
    reports: mpsc::Sender<Report>,
}

impl Shared {
    pub(super) async fn report(&self, report: Report) {
        // The publisher outlives the committers, except when the runtime goes down.
        let _ = self.reports.send(report).await;
    }

    /// Gives up all pooled connections: their server no longer is what we took it for.
    pub(super) fn drop_pool(&self) {
        self.pool.drop_all();
    }
}

impl Engine {
    pub(crate) async fn open(
        options: &Options<'_>,
        schemas: &[&'static Schema],
        feed: mpsc::Sender<Commit>,
    ) -> Result<Self> {
        let connector = Connector::new(options.url, &format!("haechi {}", options.node))?;
        let client = connector.connect().await?;
        migrate::check(&client).await?;
        migrate::migrate(&client, schemas).await?;
        let count = options.committers.get();
        let lanes = claim::lease(&client, options.node, true, count).await?;
        let start = claim::snapshot(&client).await?;

        let (horizon_sender, horizon) = watch::channel(start.clone());
        let (reports, receiver) = mpsc::channel(REPORTS_MAX.max(count));
        let pool = ReadPool::new(connector.clone(), options.pool.get())?;
        let shared = Arc::new(Shared {
            connector,
            owner: options.node.to_owned(),
            pool: pool.clone(),
            reports,
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
        let publisher = Publisher::new(start, horizon_sender, feed);
        tasks.publisher = Some(tokio::spawn(publisher.run(receiver)));
        tasks.poll = Some(tokio::spawn(poll(shared)));
        Ok(Self {
            queues,
            next: AtomicUsize::new(0),
            pool,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            horizon,
            tasks: Mutex::new(tasks),
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
        let pool = self.pool.clone();
        tokio::spawn(async move {
            let outcome = pool.read(job.as_mut()).await;
            drop(permit);
            job.answer(outcome);
        });
        Ok(())
    }

    pub(crate) fn horizon(&self) -> watch::Receiver<Positions> {
        self.horizon.clone()
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
        self.pool.pool.close();
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
        self.pool.pool.close();
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

/// Finds what other nodes did while we were quiet.
async fn poll(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(POLL_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let seen = async { claim::snapshot(&*shared.pool.get().await?).await };
        match timeout(READ_TIMEOUT, seen).await {
            Ok(Ok(seen)) => shared.report(Report::Seen(seen)).await,
            Ok(Err(error)) => tracing::debug!(%error, "no look at the lanes"),
            Err(_) => tracing::debug!("no look at the lanes: the server is silent"),
        }
    }
}

/// Connections for reads.
#[derive(Clone)]
struct ReadPool {
    pool: Pool,
    /// Connections older than this are not used again.
    distrust_before: Arc<Mutex<Option<Instant>>>,
}

impl ReadPool {
    fn new(connector: Connector, size: usize) -> Result<Self> {
        let distrust_before = Arc::new(Mutex::new(None));
        let distrusted = Arc::clone(&distrust_before);
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(),
            connector,
            ManagerConfig::default(),
        );
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .pre_recycle(Hook::sync_fn(move |_, metrics| {
                if distrusted.lock().is_some_and(|before| metrics.created < before) {
                    return Err(HookError::message("its server went away"));
                }
                Ok(())
            }))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, distrust_before })
    }

    async fn get(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => StoreError::Overloaded,
            PoolError::Backend(error) => StoreError::Unavailable(describe(&error)),
            PoolError::Closed => closing(),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    fn drop_all(&self) {
        *self.distrust_before.lock() = Some(Instant::now());
        self.pool.retain(|_, _| false);
    }

    /// One read in one snapshot; again with another connection when the first turns out to be dead.
    async fn read(&self, job: &mut dyn Job) -> Result<()> {
        let waited = job.age();
        for _ in 0..READ_TRIES {
            if job.abandoned() {
                break;
            }
            let (outcome, fault) = self.read_once(job, waited).await;
            if fault < Fault::Lost {
                return outcome;
            }
        }
        self.read_once(job, waited).await.0
    }

    /// `BEGIN` travels with the first statement, the end with whatever comes next: a read of one
    /// statement is one round trip.
    async fn read_once(&self, job: &mut dyn Job, waited: Duration) -> (Result<()>, Fault) {
        let client = match self.get().await {
            Ok(client) => client,
            Err(error) => return (Err(error), Fault::None),
        };
        let started = Instant::now();
        send_ahead(&client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let faults = Faults::default();
        let mut tx = Tx::new(Conn::Pg(Session::new(&client, &faults)), None);
        let outcome = timeout(READ_TIMEOUT, job.run(&mut tx)).await;
        meter::work(job.name(), waited, started.elapsed());
        let fault = faults.worst();
        let outcome = match outcome {
            Ok(outcome) if fault < Fault::Lost => {
                send_ahead(&client, "ROLLBACK");
                outcome
            }
            Ok(outcome) => {
                // The others have most likely lost their server too.
                self.drop_all();
                outcome
            }
            Err(_) => {
                drop(Object::take(client));
                Err(StoreError::Unavailable(format!("{} took too long", job.name())))
            }
        };
        (outcome, fault)
    }
}
