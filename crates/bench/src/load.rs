//! Spreads work over the generator's threads.
//!
//! Each thread has a runtime of its own and its virtual clients never leave it: what they share needs
//! no locks.

use std::{
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::{
    sync::{Barrier, watch},
    task::LocalSet,
};

use crate::{
    error::{Error, Result},
    http::Target,
    meter::{Cpu, Meter},
    server::Server,
};

/// What every scenario runs against.
#[derive(Debug)]
pub(crate) struct Env {
    /// The base URLs; clients are spread over them.
    pub(crate) targets: Vec<Target>,
    /// Threads that make load.
    pub(crate) threads: usize,
    /// The server's processes, where known; others after a restart.
    pub(crate) meter: Mutex<Meter>,
    /// The server, where we started it.
    pub(crate) server: Option<Mutex<Server>>,
    /// Makes the names of users differ from those of earlier runs.
    pub(crate) prefix: String,
}

impl Env {
    /// The target of the client of that index.
    pub(crate) fn target(&self, client: usize) -> &Target {
        &self.targets[client % self.targets.len()]
    }

    /// The server's processes as they are now.
    pub(crate) fn meter(&self) -> Meter {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs `work` on one thread per shard, each with a runtime of its own; results in the shards' order.
///
/// When one fails, the others are stopped where they are.
pub(crate) fn on_threads<S, R, F>(shards: Vec<S>, work: impl Fn(S) -> F + Sync) -> Result<Vec<R>>
where
    S: Send,
    R: Send,
    F: Future<Output = Result<R>>,
{
    let (work, failed) = (&work, watch::Sender::new(false));
    let failed = &failed;
    let results: Vec<Result<Option<R>>> = thread::scope(|scope| {
        let run = |shard| {
            block_on(async {
                let mut other = failed.subscribe();
                tokio::select! {
                    result = work(shard) => {
                        if result.is_err() {
                            failed.send_replace(true);
                        }
                        result.map(Some)
                    }
                    // `failed` outlives the threads, so this fires only when set
                    _ = other.wait_for(|failed| *failed) => Ok(None),
                }
            })
        };
        let threads: Vec<_> =
            shards.into_iter().map(|shard| scope.spawn(move || run(shard))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let finished: Vec<Option<R>> = results.into_iter().collect::<Result<_>>()?;
    Ok(finished.into_iter().flatten().collect())
}

/// Runs a future on this thread, with tasks that need not be `Send`.
pub(crate) fn block_on<R>(future: impl Future<Output = Result<R>>) -> Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start a runtime"))?;
    LocalSet::new().block_on(&runtime, future)
}

/// Does `job` for every index below `count`, `at_once` of them at a time over all threads; results in
/// the order of the indices. The first error ends it.
pub(crate) fn pool<R, F>(
    env: &Env,
    at_once: usize,
    count: usize,
    job: impl Fn(usize) -> F + Sync,
) -> Result<Vec<R>>
where
    R: Send,
    F: Future<Output = Result<R>>,
{
    let next = AtomicUsize::new(0);
    let (next, job) = (&next, &job);
    let worker = async || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            done.push((index, job(index).await?));
        }
    };
    let worker = &worker;
    let workers = split(at_once.clamp(1, count.max(1)), env.threads);
    let parts = on_threads(workers, |workers| try_join_all((0..workers).map(|_| worker())))?;
    let mut results: Vec<(usize, R)> = parts.into_iter().flatten().flatten().collect();
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// `total` in `parts` parts as even as possible, empty ones left out.
pub(crate) fn split(total: usize, parts: usize) -> Vec<usize> {
    (0..parts).map(|i| total / parts + usize::from(i < total % parts)).filter(|n| *n > 0).collect()
}

/// Deals `items` out to `hands`, in turn; no hand is left empty.
pub(crate) fn deal<T>(items: impl IntoIterator<Item = T>, hands: usize) -> Vec<Vec<T>> {
    let mut dealt: Vec<Vec<T>> = (0..hands).map(|_| Vec::new()).collect();
    for (index, item) in items.into_iter().enumerate() {
        dealt[index % hands].push(item);
    }
    dealt.retain(|hand| !hand.is_empty());
    dealt
}

/// The time in which we measure, the same for all threads.
#[derive(Debug)]
pub(crate) struct Window {
    meter: Meter,
    barrier: Barrier,
    opened: Mutex<Option<(Instant, Cpu)>>,
    closed: Mutex<Option<(Instant, Cpu)>>,
}

/// What was used while a [`Window`] was open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// How long it was open.
    pub(crate) time: Duration,
    /// Processor time, in seconds.
    pub(crate) cpu: Cpu,
}

impl Window {
    /// A window for that many threads.
    pub(crate) fn new(env: &Env, threads: usize) -> Self {
        Self {
            meter: env.meter(),
            barrier: Barrier::new(threads),
            opened: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    /// Waits for all threads and opens the window; the instant is the same for all.
    pub(crate) async fn open(&self) -> Instant {
        self.mark(&self.opened).await
    }

    /// Waits for all threads and closes the window.
    pub(crate) async fn close(&self) -> Instant {
        self.mark(&self.closed).await
    }

    /// Waits for all threads.
    pub(crate) async fn meet(&self) {
        self.barrier.wait().await;
    }

    async fn mark(&self, mark: &Mutex<Option<(Instant, Cpu)>>) -> Instant {
        if self.barrier.wait().await.is_leader() {
            let cpu = self.meter.cpu();
            *mark.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), cpu));
        }
        self.barrier.wait().await;
        let marked = *mark.lock().unwrap_or_else(PoisonError::into_inner);
        marked.expect("the leader has set it").0
    }

    /// What was used between opening and closing; `None` if it was not opened and closed.
    pub(crate) fn used(&self) -> Option<Used> {
        let opened = (*self.opened.lock().unwrap_or_else(PoisonError::into_inner))?;
        let closed = (*self.closed.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Used { time: closed.0 - opened.0, cpu: closed.1.since(opened.1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(threads: usize) -> Env {
        Env {
            targets: vec![],
            threads,
            meter: Mutex::default(),
            server: None,
            prefix: String::new(),
        }
    }

    #[test]
    fn work_is_split_evenly() {
        assert_eq!(split(7, 3), [3, 2, 2]);
        assert_eq!(split(2, 3), [1, 1]);
        assert_eq!(deal([1, 2, 3, 4, 5], 2), [vec![1, 3, 5], vec![2, 4]]);
        assert_eq!(deal([1], 2), [[1]]);
    }

    #[test]
    fn a_pool_does_each_job_once_and_keeps_their_order() {
        let done = pool(&env(3), 8, 100, async |index| {
            tokio::task::yield_now().await;
            Ok(index * 2)
        });
        assert_eq!(done.unwrap(), (0..100).map(|i| i * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_ends_the_other_threads_too() {
        let window_env = env(2);
        let window = Window::new(&window_env, 2);
        let window = &window;
        let result: Result<Vec<()>> = on_threads(vec![false, true], |fail| async move {
            if fail {
                return Err(Error::Missing("luck"));
            }
            window.open().await;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Missing("luck"))));
        assert!(window.used().is_none());
    }

    #[test]
    fn a_window_is_the_same_for_all() {
        let window_env = env(3);
        let window = Window::new(&window_env, 3);
        let window = &window;
        let starts = on_threads(vec![(); 3], |()| async move {
            let start = window.open().await;
            window.close().await;
            Ok(start)
        });
        let starts = starts.unwrap();
        assert!(starts.iter().all(|start| *start == starts[0]));
        assert!(window.used().is_some());
    }
}
