//! The database handle.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use haechi_base::Positions;
use tokio::sync::{mpsc, watch};

use crate::{Commit, Result, Schema, StoreError, Work, sqlite, work::JobOf};

/// Which database to open and how.
#[derive(Clone, Debug)]
pub enum DbConfig {
    /// One file, or memory when there is no path (tests).
    Sqlite {
        /// The file; its folder must exist.
        path: PathBuf,
        /// Threads that read.
        readers: NonZeroUsize,
    },
}

/// Commits that wait for whoever reads the feed; a full queue holds the committers back.
const FEED_COMMITS_MAX: usize = 1_024;

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Db(Arc<Engine>);

enum Engine {
    Sqlite(sqlite::Engine),
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
        let (feed, receiver) = mpsc::channel(FEED_COMMITS_MAX);
        let engine = match config {
            DbConfig::Sqlite { path, readers } => {
                Engine::Sqlite(sqlite::Engine::open(path, *readers, schemas, feed)?)
            }
        };
        Ok((Self(Arc::new(engine)), receiver))
    }

    /// Runs a work that only reads.
    pub async fn read<W: Work>(&self, work: W) -> Result<W::Out> {
        let (job, reply) = JobOf::boxed(work);
        match &*self.0 {
            Engine::Sqlite(engine) => engine.read(job)?,
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
        }
        Ok(async move {
            reply.await.map_err(|_| StoreError::Unavailable("the store is closing".to_owned()))?
        })
    }

    /// How far the lanes have come. Whatever was acknowledged before the call is included.
    pub fn horizon(&self) -> watch::Receiver<Positions> {
        match &*self.0 {
            Engine::Sqlite(engine) => engine.horizon(),
        }
    }
}
