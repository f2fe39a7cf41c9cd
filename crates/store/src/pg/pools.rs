//! Where reads go, and what holds them back.
//!
//! A read goes to the server of the own site, or to the primary when that one is away or behind. Two
//! things bound what it may show:
//! - **Not less than is known.** It must show all that this node had published when it was asked;
//!   else it is run again when the server has caught up.
//! - **Not more than is durable.** A server may show what can still vanish: a standby shows a commit
//!   before its caller is answered, a primary that is demoted shows commits that nobody ever confirmed.
//!   So each read also reads how far the lanes had come in its own snapshot, and its answer waits
//!   until the horizon, which is made of confirmed commits only, has come as far.
//!
//! When nothing can be confirmed any more, because this site is alone, reads are *stale*: what they
//! show is held to the horizon by the positions of the rows themselves. A row beyond it is not shown;
//! then the read fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, Runtime,
};
use haechi_base::{Positions, StreamPos};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    claim,
    connect::{CONNECT_TIMEOUT, Connector},
    fault::{Fault, Faults, describe},
    session::{Session, send_ahead},
};
use crate::{
    Result, StoreError,
    hint::Chunk,
    meter,
    row::Tide,
    tx::{Conn, Tx},
    work::Job,
};

/// Longest a read waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// Longest a read may run; then its connection is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a read is tried again when its connection breaks.
const READ_TRIES: usize = 2;
/// How long a server that failed is left alone while there is another.
const AWAY_FOR: Duration = Duration::from_secs(1);
/// Longest to wait for the own site's server to catch up before the primary is asked.
const LAG_MAX: Duration = Duration::from_millis(500);
/// Pause between two looks whether it has.
const LAG_PAUSE: Duration = Duration::from_millis(4);
/// Longest a read waits for its confirmation. A failover takes less, mostly.
const CONFIRM_WAIT: Duration = Duration::from_secs(3);
/// Longest to look for the notes of other nodes before all that is in memory is forgotten instead.
const NOTES_WAIT: Duration = Duration::from_millis(500);

/// The servers that are read from; clones share them.
#[derive(Clone)]
pub(super) struct Pools {
    own: Option<ReadPool>,
    primary: ReadPool,
    horizon: watch::Receiver<Positions>,
    ask: async_channel::Sender<()>,
    /// Nothing was confirmed for as long as a read waits for it.
    stale: Arc<AtomicBool>,
}

/// What came of a read on one server.
struct Once {
    outcome: Result<()>,
    fault: Fault,
    /// How far the lanes had come in what it read.
    at: Positions,
    /// The furthest of the rows that it read.
    rows: Positions,
}

impl Pools {
    pub(super) fn new(
        own: Option<ReadPool>,
        primary: ReadPool,
        horizon: watch::Receiver<Positions>,
        ask: async_channel::Sender<()>,
    ) -> Self {
        Self { own, primary, horizon, ask, stale: Arc::default() }
    }

    /// Has an idle committer look, and confirm by its commit, how far the lanes have come.
    pub(super) fn ask_for_a_look(&self) {
        // One that waits already will do.
        let _ = self.ask.try_send(());
    }

    /// Gives up the connections to the primary: it no longer is what we took it for.
    pub(super) fn distrust_primary(&self) {
        self.primary.drop_all();
    }

    pub(super) fn close(&self) {
        self.primary.pool.close();
        if let Some(own) = &self.own {
            own.pool.close();
        }
    }

    /// Can nothing be confirmed at present?
    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Where the lanes seem to be; not confirmed.
    pub(super) async fn snapshot(&self) -> Result<Positions> {
        if let Some(own) = self.own.as_ref().filter(|own| own.is_there()) {
            match own.snapshot().await {
                Ok(seen) => return Ok(seen),
                Err(error) => own.is_away(&error),
            }
        }
        self.primary.snapshot().await
    }

    /// What others announced in these ranges, as far as it is found in time.
    pub(super) async fn notes_between(&self, ranges: &[(StreamPos, StreamPos)]) -> Vec<Chunk> {
        for pool in self.own.iter().filter(|own| own.is_there()).chain([&self.primary]) {
            let look = async { claim::notes_between(&*pool.get().await?, ranges).await };
            match timeout(NOTES_WAIT, look).await {
                // The own site's server may be a little behind.
                Ok(Ok(chunks)) if reach(&chunks, ranges) => return chunks,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "no look at what others announced"),
                Err(_) => tracing::debug!("no look at what others announced in time"),
            }
        }
        Vec::new()
    }

    /// One read in one snapshot of one server.
    pub(super) async fn read(&self, job: &mut dyn Job) -> Result<()> {
        let fence = self.horizon.borrow().clone();
        let waited = job.age();
        let read = match self.read_own(job, waited, &fence).await {
            Some(read) => read,
            None => self.read_primary(job, waited).await,
        };
        read.outcome?;
        self.confirm(&read.at, &read.rows).await
    }

    /// From the own site's server; `None` when it is away or too far behind.
    async fn read_own(
        &self,
        job: &mut dyn Job,
        waited: Duration,
        fence: &Positions,
    ) -> Option<Once> {
        let own = self.own.as_ref().filter(|own| own.is_there())?;
        let started = Instant::now();
        while started.elapsed() < LAG_MAX {
            let read = own.read_once(job, waited).await;
            if let Err(error) = &read.outcome
                && (read.fault >= Fault::Lost || matches!(error, StoreError::Unavailable(_)))
            {
                own.is_away(error);
                return None;
            }
            if read.at.reaches(fence) {
                return Some(read);
            }
            sleep(LAG_PAUSE).await;
        }
        metrics::counter!("haechi_store_reads_too_far_behind").increment(1);
        None
    }

    /// Again with another connection when the first turns out to be dead.
    async fn read_primary(&self, job: &mut dyn Job, waited: Duration) -> Once {
        for _ in 0..READ_TRIES {
            if job.abandoned() {
                break;
            }
            let read = self.primary.read_once(job, waited).await;
            if read.fault < Fault::Lost {
                return read;
            }
        }
        self.primary.read_once(job, waited).await
    }

    /// Waits until all that the read could show is confirmed.
    async fn confirm(&self, at: &Positions, rows: &Positions) -> Result<()> {
        let mut horizon = self.horizon.clone();
        if horizon.borrow().reaches(at) {
            return Ok(());
        }
        self.ask_for_a_look();
        if self.is_stale() && horizon.borrow().reaches(rows) {
            return Ok(());
        }
        let confirmed =
            timeout(CONFIRM_WAIT, horizon.wait_for(|horizon| horizon.reaches(at))).await;
        if confirmed.is_ok() {
            if self.stale.swap(false, Ordering::Relaxed) {
                tracing::info!("what is read is confirmed again");
            }
            return Ok(());
        }
        if !self.stale.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "nothing can be confirmed: the primary, or a majority of the sites, is away; \
                 reads are stale from now on"
            );
        }
        if self.horizon.borrow().reaches(rows) {
            return Ok(());
        }
        Err(StoreError::Unavailable("what was read may still vanish".to_owned()))
    }
}

/// Do these chunks go to the end of each range?
fn reach(chunks: &[Chunk], ranges: &[(StreamPos, StreamPos)]) -> bool {
    ranges.iter().all(|(_, to)| {
        chunks.iter().any(|chunk| chunk.lane == to.lane() && chunk.upto == to.offset())
    })
}

/// Connections to one server, or to whichever of several is the primary.
#[derive(Clone)]
pub(super) struct ReadPool {
    pool: Pool,
    /// Connections older than this are not used again.
    distrust_before: Arc<Mutex<Option<Instant>>>,
    /// When it last failed.
    failed: Arc<Mutex<Option<Instant>>>,
}

impl ReadPool {
    pub(super) fn new(connector: Connector, size: usize) -> Result<Self> {
        let distrust_before = Arc::new(Mutex::new(None));
        let distrusted: Arc<Mutex<Option<Instant>>> = Arc::clone(&distrust_before);
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
        Ok(Self { pool, distrust_before, failed: Arc::default() })
    }

    /// Is it worth asking?
    fn is_there(&self) -> bool {
        self.failed.lock().is_none_or(|at| at.elapsed() > AWAY_FOR)
    }

    fn is_away(&self, error: &StoreError) {
        let before = self.failed.lock().replace(Instant::now());
        if before.is_none_or(|at| at.elapsed() > 10 * AWAY_FOR) {
            tracing::warn!(%error, "the database of this site does not answer; the primary is read");
        }
    }

    async fn get(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => StoreError::Overloaded,
            PoolError::Backend(error) => StoreError::Unavailable(describe(&error)),
            PoolError::Closed => StoreError::Unavailable("the store is closing".to_owned()),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    fn drop_all(&self) {
        *self.distrust_before.lock() = Some(Instant::now());
        self.pool.retain(|_, _| false);
    }

    async fn snapshot(&self) -> Result<Positions> {
        claim::snapshot(&*self.get().await?).await
    }

    /// `BEGIN` and the look at the lanes travel with the first statement, the end with whatever comes
    /// next: a read of one statement is one round trip.
    async fn read_once(&self, job: &mut dyn Job, waited: Duration) -> Once {
        let at_nothing = |outcome, fault| Once {
            outcome,
            fault,
            at: Positions::default(),
            rows: Positions::default(),
        };
        let client = match self.get().await {
            Ok(client) => client,
            Err(error) => return at_nothing(Err(error), Fault::None),
        };
        let started = Instant::now();
        send_ahead(&client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let (faults, tide) = (Faults::default(), Tide::default());
        let mut tx = Tx::new(Conn::Pg(Session::new(&client, &faults).noting(&tide)), None);
        // The look is polled first, and so sent first: it is the statement that fixes the snapshot.
        let both = async { tokio::join!(biased; claim::snapshot(&client), job.run(&mut tx)) };
        let outcome = timeout(READ_TIMEOUT, both).await;
        drop(tx);
        meter::work(job.name(), waited, started.elapsed());
        let fault = faults.worst();
        match outcome {
            Ok((Ok(at), outcome)) if fault < Fault::Lost => {
                send_ahead(&client, "ROLLBACK");
                Once { outcome, fault, at, rows: tide.into_inner() }
            }
            Ok((looked, outcome)) => {
                // The others have most likely lost their server too.
                self.drop_all();
                drop(Object::take(client));
                at_nothing(looked.map(drop).and(outcome), Fault::Lost)
            }
            Err(_) => {
                drop(Object::take(client));
                let slow = format!("{} took too long", job.name());
                at_nothing(Err(StoreError::Unavailable(slow)), fault)
            }
        }
    }
}
