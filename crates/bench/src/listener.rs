//! One member that listens to one room by `/sync` or by sliding sync.

use std::{
    borrow::Cow,
    cell::Cell,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{sync::watch, time::sleep};

use crate::{
    api::{self, Api, POLL_MS, User},
    error::{Error, Result, tell},
    scan,
};

/// Most messages of one room that one answer may hold; more make a gap, which is then filled.
const TIMELINE_LIMIT: u32 = 50;

/// Messages a page when a gap is filled.
const PAGE: u32 = 100;

/// Most pages read to fill one gap.
const GAP_PAGES_MAX: usize = 1_000;

/// Wait after a failed request.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How a member listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `/sync` of the standard.
    Sync,
    /// Simplified sliding sync.
    Sliding,
}

/// A message that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The message's number in its room.
    pub(crate) number: u32,
    /// When the answer that held it had been read.
    pub(crate) at: Instant,
}

/// What a member saw.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Messages in the order in which they stood in the answers.
    pub(crate) arrivals: Vec<Arrival>,
    /// Answers that left messages out, to be fetched by `/messages`.
    pub(crate) gaps: u64,
    /// Requests that failed.
    pub(crate) errors: u64,
}

impl Log {
    /// The numbers alone.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.arrivals.iter().map(|arrival| arrival.number).collect()
    }
}

/// A member of one room; it is to have no other room.
pub(crate) struct Listener {
    api: Api,
    mode: Mode,
    room_id: String,
    /// The stored filter, or the whole request of sliding sync.
    request: String,
    position: Option<String>,
    fresh: Vec<u32>,
    /// What was seen so far.
    pub(crate) log: Log,
}

/// What a client keeps while it is away.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    request: String,
    position: Option<String>,
}

impl Listener {
    /// Prepares to listen: stores the filter that is used.
    pub(crate) async fn new(mut api: Api, user: &User, mode: Mode, room_id: &str) -> Result<Self> {
        let request = match mode {
            Mode::Sync => {
                let filter = json!({ "room": { "timeline": { "limit": TIMELINE_LIMIT } } });
                api.store_filter(user, &filter.to_string()).await?
            }
            Mode::Sliding => json!({
                "conn_id": "bench",
                "lists": { "all": {
                    "ranges": [[0, 19]],
                    "timeline_limit": TIMELINE_LIMIT,
                    "required_state": [],
                } },
            })
            .to_string(),
        };
        let kept = Kept { request, position: None };
        Ok(Self::resume(api, mode, room_id.to_owned(), kept))
    }

    /// Comes back with what was kept.
    pub(crate) fn resume(api: Api, mode: Mode, room_id: String, kept: Kept) -> Self {
        let Kept { request, position } = kept;
        Self { api, mode, room_id, request, position, fresh: Vec::new(), log: Log::default() }
    }

    /// Goes away; the connection is closed.
    pub(crate) fn leave(self) -> Kept {
        Kept { request: self.request, position: self.position }
    }

    /// Listens until `stop` changes; `arrived` counts the messages.
    pub(crate) async fn listen(
        mut self,
        mut stop: watch::Receiver<()>,
        arrived: Rc<Cell<usize>>,
    ) -> Self {
        let mut stop = pin!(stop.changed());
        loop {
            let before = self.log.arrivals.len();
            let result = tokio::select! {
                biased;
                _ = &mut stop => return self,
                result = self.poll(POLL_MS) => result,
            };
            if let Err(error) = result {
                tell(&error);
                self.log.errors += 1;
                sleep(AFTER_FAILURE).await;
            }
            arrived.set(arrived.get() + self.log.arrivals.len() - before);
        }
    }

    /// One request which waits at most `wait_ms`; gives the instant of its answer.
    pub(crate) async fn poll(&mut self, wait_ms: u32) -> Result<Instant> {
        let since = self.position.as_deref();
        let (answer, position) = match self.mode {
            Mode::Sync => {
                let answer = self.api.sync(since, wait_ms, Some(&self.request)).await?;
                (answer, api::next_batch(answer)?)
            }
            Mode::Sliding => {
                let answer = self.api.sliding(since, wait_ms, self.request.as_bytes()).await?;
                (answer, api::sliding_pos(answer)?)
            }
        };
        let at = Instant::now();
        self.fresh.clear();
        self.fresh.extend(scan::messages(answer).map(|(_, number)| number));
        let gap_before = if since.is_some() && scan::limited(answer) {
            Some(scan::string(answer, "prev_batch").ok_or(Error::Missing("prev_batch"))?)
        } else {
            None
        };
        let mut known_at = at;
        if let Some(from) = gap_before.map(Cow::into_owned) {
            self.log.gaps += 1;
            let missed = self.missed(from).await?;
            known_at = Instant::now();
            let missed = missed.into_iter().map(|number| Arrival { number, at: known_at });
            self.log.arrivals.extend(missed);
        }
        let fresh = self.fresh.iter().map(|number| Arrival { number: *number, at: known_at });
        self.log.arrivals.extend(fresh);
        self.position = Some(position);
        Ok(at)
    }

    /// The messages between what was seen and `from`, oldest first.
    async fn missed(&mut self, mut from: String) -> Result<Vec<u32>> {
        let mut missed = Vec::new();
        for _ in 0..GAP_PAGES_MAX {
            let page = self.api.messages(&self.room_id, Some(&from), PAGE).await?;
            for (_, number) in scan::messages(page) {
                if self.log.arrivals.iter().rev().any(|arrival| arrival.number == number) {
                    missed.reverse();
                    return Ok(missed);
                }
                missed.push(number);
            }
            match scan::string(page, "end") {
                Some(end) => from = end.into_owned(),
                None => break,
            }
        }
        missed.reverse();
        Ok(missed)
    }
}
