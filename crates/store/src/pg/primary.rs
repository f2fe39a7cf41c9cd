//! Who the primary is, found out by asking every server again and again.
//!
//! A burnt server says nothing, and the system takes seconds to give its connections up. The server that
//! took its place says so at once: whoever waits for the old one then stops.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_postgres::{Client, Error};

use super::connect::Connector;

/// How often each server is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Longest to wait for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The timeline of a primary; nothing from a server that follows one.
const ASK: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END";

/// The primary with the highest timeline that was ever seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    host: usize,
    /// Grows with each promotion.
    timeline: i64,
}

/// Tells when another server has become the primary; clones share it.
#[derive(Clone)]
pub(super) struct Primary(watch::Receiver<Option<Seen>>);

/// The tasks that ask; they end when it is dropped.
pub(super) struct Asking(Vec<JoinHandle<()>>);

impl Drop for Asking {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Primary {
    /// Starts asking the hosts of `any`, which must take whatever server it finds. `known` prefers the
    /// one that is found.
    pub(super) fn watch(any: &Connector, known: &Connector) -> (Self, Asking) {
        let (found, seen) = watch::channel(None);
        let hosts = if any.hosts() > 1 { any.hosts() } else { 0 };
        let tasks = (0..hosts)
            .map(|host| tokio::spawn(ask(any.clone(), known.clone(), host, found.clone())));
        let tasks = tasks.collect();
        // Without another sender the channel would be closed where there is one host.
        (Self(seen), Asking(tasks))
    }

    /// Where things are now; for [`Self::moved`].
    pub(super) fn mark(&self) -> Mark {
        Mark(*self.0.borrow())
    }

    /// Returns when a server other than at `mark` has become the primary. Never, if there was none.
    pub(super) async fn moved(&self, mark: Mark) {
        let mut seen = self.0.clone();
        let moved = match mark.0 {
            None => None,
            Some(before) => {
                let later =
                    |now: &Option<Seen>| now.is_some_and(|now| now.timeline > before.timeline);
                seen.wait_for(later).await.ok().map(drop)
            }
        };
        if moved.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The primary at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(Option<Seen>);

async fn ask(any: Connector, known: Connector, host: usize, found: watch::Sender<Option<Seen>>) {
    loop {
        let connecting = timeout(ANSWER_WAIT, any.connect_to(host)).await;
        if let Ok(Ok((client, task))) = connecting {
            while let Ok(Ok(timeline)) = timeout(ANSWER_WAIT, timeline(&client)).await {
                if let Some(timeline) = timeline {
                    note(&found, &known, Seen { host, timeline });
                }
                sleep(ASK_EVERY).await;
            }
            task.abort();
        }
        sleep(ASK_EVERY).await;
    }
}

async fn timeline(client: &Client) -> Result<Option<i64>, Error> {
    client.query_one(ASK, &[]).await?.try_get(0)
}

fn note(found: &watch::Sender<Option<Seen>>, known: &Connector, now: Seen) {
    let moved = found.send_if_modified(|seen| {
        let newer = seen.is_none_or(|before| before.timeline < now.timeline);
        if newer {
            if seen.is_some() {
                tracing::info!(
                    host = now.host,
                    timeline = now.timeline,
                    "another server is the primary now"
                );
            }
            *seen = Some(now);
        }
        newer
    });
    if moved {
        known.prefer(now.host);
    }
}
