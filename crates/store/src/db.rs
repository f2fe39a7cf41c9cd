//! The database handle.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use haechi_base::Positions;
use tokio::sync::{mpsc, watch};

use crate::{Commit, Hint, PgUrl, Result, Schema, StoreError, Work, pg, sqlite, work::JobOf};

/// Which database to open and how.
#[derive(Clone, Debug)]
pub enum DbConfig {
    /// One file.
    Sqlite {
        /// The file; its folder must exist.
        path: PathBuf,
        /// Threads that read.
        readers: NonZeroUsize,
    },
    /// A PostgreSQL cluster: whichever of its hosts takes writes is used.
    Postgres {
        /// Where it is.
        url: PgUrl,
        /// The server of the own site: reads go there as long as it is there and up to date.
        local: Option<PgUrl>,
        /// Most connections for reads; each committer has one more.
        pool: NonZeroUsize,
        /// Committers, each with a lane of its own; see [`DbConfig::COMMITTERS`].
        committers: NonZeroUsize,
        /// This node's name, unlike that of any other node: a node that comes back takes its own
        /// lanes again at once.
        node: String,
    },
}

impl DbConfig {
    /// A good number of committers: enough to keep a server busy while each waits for its commit.
    pub const COMMITTERS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
}

/// Commits that wait for whoever reads the feed; a full queue holds the committers back.
const FEED_COMMITS_MAX: usize = 1_024;

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Db(Arc<Engine>);

enum Engine {
    Sqlite(sqlite::Engine),
    Pg(pg::Engine),
}

impl Db {
    /// Opens the database, migrates it, and starts its committers.
    ///
    /// The receiver is the feed: everything that becomes visible from now on, in order. It must be
    /// read; when it is dropped, commits go on unheard.
    pub async fn open(
        config: &DbConfig,
        schemas: &[&'static Schema],
    ) -> Result<(Self, mpsc::Receiver<Commit>)> {
        Self::open_feeding(config, schemas, FEED_COMMITS_MAX).await
    }

    /// Opens the database to read only, as it was migrated by a server: on SQLite also while the server
    /// has the file open. Writes are refused.
    pub async fn open_reading(config: &DbConfig, schemas: &[&'static Schema]) -> Result<Self> {
        match config {
            DbConfig::Sqlite { path, readers } => {
                let engine = sqlite::Engine::open_reading(path, *readers)?;
                Ok(Self(Arc::new(Engine::Sqlite(engine))))
            }
            DbConfig::Postgres { .. } => {
                let (db, mut feed) = Self::open(config, schemas).await?;
                tokio::spawn(async move { while feed.recv().await.is_some() {} });
                Ok(db)
            }
        }
    }

    pub(crate) async fn open_feeding(
        config: &DbConfig,
        schemas: &[&'static Schema],
        feed_max: usize,
    ) -> Result<(Self, mpsc::Receiver<Commit>)> {
        let (feed, receiver) = mpsc::channel(feed_max);
        let engine = match config {
            DbConfig::Sqlite { path, readers } => {
                Engine::Sqlite(sqlite::Engine::open(path, *readers, schemas, feed)?)
            }
            DbConfig::Postgres { url, local, pool, committers, node } => {
                let options = pg::Options {
                    url,
                    local: local.as_ref(),
                    pool: *pool,
                    committers: *committers,
                    node,
                };
                Engine::Pg(pg::Engine::open(&options, schemas, feed).await?)
            }
        };
        Ok((Self(Arc::new(engine)), receiver))
    }

    /// Runs a work that only reads.
    pub async fn read<W: Work>(&self, work: W) -> Result<W::Out> {
        let (job, reply) = JobOf::boxed(work);
        match &*self.0 {
            Engine::Sqlite(engine) => engine.read(job)?,
            Engine::Pg(engine) => engine.read(job)?,
        }
        reply.await.map_err(|_| StoreError::Unavailable("the store is closing".to_owned()))?
    }

    /// Runs a work that writes; returns after the commit is durable.
    ///
    /// Dropping the future does not stop the write.
    pub async fn write<W: Work>(&self, work: W) -> Result<W::Out> {
        self.submit(work)?.await
    }

    /// Queues a work at once, in the order of the calls, and returns a future for its result.
    pub fn submit<W: Work>(
        &self,
        work: W,
    ) -> Result<impl Future<Output = Result<W::Out>> + Send + use<W>> {
        let (job, reply) = JobOf::boxed(work);
        match &*self.0 {
            Engine::Sqlite(engine) => engine.write(job)?,
            Engine::Pg(engine) => engine.write(job)?,
        }
        Ok(async move {
            reply.await.map_err(|_| StoreError::Unavailable("the store is closing".to_owned()))?
        })
    }

    /// How far the lanes have come. Whatever was acknowledged before the call is included.
    pub fn horizon(&self) -> watch::Receiver<Positions> {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.horizon(),
            Engine::Pg(engine) => engine.horizon(),
        }
    }

    /// What this node has to tell the others after each of its commits. Once, and only where there
    /// can be others: on PostgreSQL. What is not taken from it in time is dropped.
    pub fn hints(&self) -> Option<mpsc::Receiver<Hint>> {
        match &*self.0 {
            Engine::Sqlite(_) => None,
            Engine::Pg(engine) => engine.hints(),
        }
    }

    /// Takes what another node tells. It may come late, twice, or never.
    pub fn hear(&self, hint: Hint) {
        match &*self.0 {
            Engine::Sqlite(_) => {}
            Engine::Pg(engine) => engine.hear(hint),
        }
    }

    /// Can nothing be confirmed at present? Then what is read may be out of date.
    pub fn is_stale(&self) -> bool {
        match &*self.0 {
            Engine::Sqlite(_) => false,
            Engine::Pg(engine) => engine.is_stale(),
        }
    }

    /// Commits what is queued, answers it, and ends all threads and tasks. Later calls are refused.
    ///
    /// Whoever reads the feed goes on until it ends, or drops it: a full feed holds up the end.
    pub async fn close(&self) {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Pg(engine) => engine.close().await,
        }
    }

    /// Stops as a killed process would: in the middle of everything.
    #[cfg(feature = "testing")]
    pub(crate) async fn crash(&self) {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.crash().await,
            Engine::Pg(engine) => engine.crash().await,
        }
    }
}
