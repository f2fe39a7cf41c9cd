//! Units of work: the only way to touch the database.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::{Locks, Result, StoreError, Tx};

/// A named unit of work that can be run again.
///
/// `run` awaits nothing but its `tx`: on SQLite it is polled once, on the writer thread. It may be
/// run more than once (a group is rolled back, PostgreSQL asks for a retry), so it must not change
/// anything but through `tx`.
///
/// A refusal by the domain's rules is `Ok(Err(refusal))` inside `Out`, found before the first
/// write; `Err` is for the store.
pub trait Work: Send + Sync + 'static {
    /// Name in spans, metrics and the slow log: `crate.verb_noun`.
    const NAME: &'static str;
    /// What it returns.
    type Out: Send + 'static;

    /// What must be held from the first read to the commit.
    fn locks(&self) -> Locks {
        Locks::none()
    }

    /// Works with the same key, other than 0, commit in the order in which this node submitted them.
    /// Zero asks for no order.
    fn order_key(&self) -> i64 {
        0
    }

    /// Does the work.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Out>> + Send;

    /// Called once after the commit is durable, in commit order, before the caller is answered and
    /// before anybody hears of the change. Must be short: the committer waits for it.
    fn committed(&self, out: &Self::Out) {
        let _ = out;
    }
}

/// A work with its caller, the type of both forgotten.
pub(crate) trait Job: Send {
    fn name(&self) -> &'static str;
    fn locks(&self) -> Locks;
    fn order_key(&self) -> i64;
    /// How long ago it was submitted.
    fn age(&self) -> Duration;
    /// Runs the work and keeps its result.
    fn run<'a>(
        &'a mut self,
        tx: &'a mut Tx<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
    fn committed(&self);
    /// Tells the caller: the kept result, or the error.
    fn answer(self: Box<Self>, outcome: Result<()>);
    /// Has the caller gone away? Then a read need not run.
    fn abandoned(&self) -> bool;
}

pub(crate) struct JobOf<W: Work> {
    work: W,
    out: Option<W::Out>,
    reply: oneshot::Sender<Result<W::Out>>,
    submitted: Instant,
}

impl<W: Work> JobOf<W> {
    pub(crate) fn boxed(work: W) -> (Box<dyn Job>, oneshot::Receiver<Result<W::Out>>) {
        let (reply, receiver) = oneshot::channel();
        (Box::new(Self { work, out: None, reply, submitted: Instant::now() }), receiver)
    }
}

impl<W: Work> Job for JobOf<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn locks(&self) -> Locks {
        self.work.locks()
    }

    fn order_key(&self) -> i64 {
        self.work.order_key()
    }

    fn age(&self) -> Duration {
        self.submitted.elapsed()
    }

    fn run<'a>(
        &'a mut self,
        tx: &'a mut Tx<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            // A bug in one work must not take the committer, and with it every writer, down.
            let outcome = AssertUnwindSafe(self.work.run(tx)).catch_unwind().await;
            self.out = Some(outcome.map_err(|_| StoreError::Panicked(W::NAME))??);
            Ok(())
        })
    }

    fn committed(&self) {
        if let Some(out) = &self.out {
            // What is committed is committed: a bug here must not take the committer down either.
            let called = AssertUnwindSafe(|| self.work.committed(out));
            if catch_unwind(called).is_err() {
                tracing::error!(work = W::NAME, "a work's `committed` panicked");
            }
        }
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let out = match (outcome, self.out) {
            (Ok(()), Some(out)) => Ok(out),
            (Ok(()), None) => Err(StoreError::Panicked(W::NAME)),
            (Err(error), _) => Err(error),
        };
        // The caller may have given up waiting; the write stands all the same.
        let _ = self.reply.send(out);
    }

    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}
