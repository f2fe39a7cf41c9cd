//! A committer: owns a lane and a connection, takes all that waits, commits it as one group.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_channel::Receiver;
use deadpool_postgres::ClientWrapper;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{
    claim::{self, Lane},
    engine::Shared,
    group::{self, Ended, Slot},
    primary::Mark,
    publisher::{Report, Reported},
};
use crate::{StoreError, meter, work::Job};

/// Most works in one commit: bounds how long the first one waits for the last.
const GROUP_JOBS_MAX: usize = 256;
/// Most locks in one commit, unless one work alone wants more: the server's lock table is finite.
const GROUP_LOCKS_MAX: usize = 512;
/// How often a quiet lane's lease is renewed; a third of its term.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long it stands in the database what a commit announced: longer than a node may be without it
/// and still follow the others step by step.
const KEEP_NOTES_FOR: Duration = Duration::from_mins(10);
/// How long a group waits for the database to come back before its callers are told. A failover
/// takes half of it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// How often a group is run again after collisions.
const COLLISIONS_MAX: u32 = 10;
/// Pause between attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Why a connection is given up that may well be alive.
const MOVED: &str = "another server is the primary now";

pub(super) struct Committer {
    shared: Arc<Shared>,
    queue: Receiver<Box<dyn Job>>,
    /// The lane we hold, as far as we know.
    lane: Option<Lane>,
    client: Option<ClientWrapper>,
    /// Who was the primary when it connected.
    mark: Mark,
    /// Where the lane stood at which time, as far back as its notes are kept.
    passed: VecDeque<(Instant, i64)>,
}

/// What became of a group at last.
enum Verdict {
    Committed(Reported),
    Failed(StoreError),
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, queue: Receiver<Box<dyn Job>>, lane: Lane) -> Self {
        let (mark, passed) = (shared.primary.mark(), VecDeque::new());
        Self { shared, queue, lane: Some(lane), client: None, mark, passed }
    }

    /// Runs until the queue is closed and drained, then gives the lane back.
    pub(super) async fn run(mut self) {
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                first = self.queue.recv() => match first {
                    Ok(first) => self.take_group(first).await,
                    Err(_) => break,
                },
                _ = renewal.tick() => self.renew().await,
                _ = self.shared.looks.recv() => self.look().await,
            }
        }
        if let (Some(client), Some(lane)) = (&self.client, &self.lane)
            && let Err(error) = claim::release(client, lane).await
        {
            tracing::warn!(%error, lane = lane.id.0, "a lane was not given back; its lease runs out");
        }
    }

    async fn take_group(&mut self, first: Box<dyn Job>) {
        let mut locks = first.locks().keys().len();
        let mut slots = vec![Slot::new(first)];
        while slots.len() < GROUP_JOBS_MAX
            && locks < GROUP_LOCKS_MAX
            && let Ok(next) = self.queue.try_recv()
        {
            locks += next.locks().keys().len();
            slots.push(Slot::new(next));
        }
        meter::group("postgres", slots.len());
        let started = Instant::now();
        let verdict = self.commit(&mut slots).await;
        match verdict {
            Verdict::Committed(mut reported) => {
                meter::commit("postgres", started.elapsed());
                for slot in &slots {
                    if slot.outcome.is_ok() {
                        slot.job.committed();
                    }
                }
                let answers = slots.into_iter().map(|slot| {
                    reported.notes.extend(slot.notes);
                    (slot.job, slot.outcome)
                });
                let answers: Vec<_> = answers.collect();
                if reported.notes.is_empty() {
                    answer_all(answers);
                } else {
                    reported.notes.sort_unstable_by_key(|note| note.pos);
                    reported.answers = answers;
                    self.shared.report(Report::Committed(reported)).await;
                }
            }
            Verdict::Failed(error) => {
                tracing::error!(%error, jobs = slots.len(), "a group could not be committed");
                let down = matches!(error, StoreError::Unavailable(_));
                for slot in slots {
                    slot.job.answer(Err(error.clone()));
                }
                // Whoever queued up meanwhile has waited as long.
                while down && let Ok(job) = self.queue.try_recv() {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Runs the group until it is committed or there is no hope.
    async fn commit(&mut self, slots: &mut [Slot]) -> Verdict {
        let deadline = Instant::now() + GIVE_UP_AFTER;
        let mut one_by_one = false;
        let mut collisions = 0;
        // Set while we do not know whether an attempt was committed.
        let mut doubt: Option<Doubt> = None;
        loop {
            let before = self.lane.clone();
            if let Err(error) = self.link().await {
                if Instant::now() < deadline {
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
                return self.give_up(doubt, error).await;
            }
            let (Some(client), Some(lane)) = (&self.client, &mut self.lane) else { continue };
            if let Some(doubt) = doubt.take() {
                match doubt.resolve(before.as_ref(), lane) {
                    Some(true) => {
                        let seen = bounded(&self.shared, self.mark, claim::look(client, lane))
                            .await
                            .ok()
                            .flatten();
                        return Verdict::Committed(Reported::new(doubt.since, lane, seen));
                    }
                    Some(false) => {}
                    None => return Verdict::Failed(StoreError::Unknown(doubt.reason)),
                }
            }
            let run = group::run(client, lane, slots, one_by_one);
            let ended = tokio::select! {
                ended = run => ended,
                // Wherever the group was: its lane's count of commits tells what became of it.
                () = self.shared.primary.moved(self.mark) => Ended::InDoubt(MOVED.to_owned()),
            };
            match ended {
                Ended::Committed { end, seen } => {
                    let since = std::mem::replace(&mut lane.pos, end);
                    lane.commits += 1;
                    return Verdict::Committed(Reported::new(since, lane, seen));
                }
                Ended::OneByOne => one_by_one = true,
                Ended::Collided if collisions == COLLISIONS_MAX => {
                    return Verdict::Failed(StoreError::Overloaded);
                }
                Ended::Collided => {
                    collisions += 1;
                    let most_ms = 2_u64 << collisions.min(8);
                    sleep(Duration::from_millis(rand::random_range(1..=most_ms))).await;
                }
                Ended::Lost(reason) => {
                    self.drop_link(&reason);
                    if Instant::now() >= deadline {
                        return Verdict::Failed(StoreError::Unavailable(reason));
                    }
                }
                Ended::Fenced => {
                    self.disown().await;
                    return Verdict::Failed(StoreError::Fenced);
                }
                Ended::InDoubt(reason) => {
                    doubt = Some(Doubt { since: lane.pos, commits: lane.commits + 1, reason });
                    self.drop_link("the answer to a commit was lost");
                }
                Ended::Refused(error) => return Verdict::Failed(error),
            }
        }
    }

    async fn give_up(&mut self, doubt: Option<Doubt>, error: StoreError) -> Verdict {
        match doubt {
            None => Verdict::Failed(error),
            Some(doubt) => {
                // The commit may still show up: what it wrote is then read from the tables, and
                // nobody else waits for us to tell.
                self.disown().await;
                Verdict::Failed(StoreError::Unknown(doubt.reason))
            }
        }
    }

    /// Makes sure of a connection and a lane.
    async fn link(&mut self) -> crate::Result<()> {
        if self.client.as_ref().is_some_and(|client| !client.is_closed()) && self.lane.is_some() {
            return Ok(());
        }
        self.mark = self.shared.primary.mark();
        let client = self.shared.connector.connect().await?;
        if let Some(lane) = &self.lane {
            let taken = bounded(&self.shared, self.mark, claim::take_again(&client, lane)).await?;
            match &taken {
                None => self.disown().await,
                Some(now) if now.pos < lane.pos => tracing::error!(
                    lane = lane.id.0,
                    had = lane.pos,
                    found = now.pos,
                    "a lane went back: the database has lost commits that it had acknowledged"
                ),
                Some(_) => {}
            }
            self.lane = taken;
        }
        if self.lane.is_none() {
            let leased = bounded(
                &self.shared,
                self.mark,
                claim::lease(&client, &self.shared.owner, false, 1),
            )
            .await?;
            let lane = leased.into_iter().next().ok_or(StoreError::Fenced)?;
            tracing::info!(lane = lane.id.0, epoch = lane.epoch, "took a lane");
            self.shared.report(Report::Adopted { lane: lane.id, pos: lane.pos }).await;
            self.lane = Some(lane);
        }
        self.client = Some(client);
        Ok(())
    }

    /// Gives up the connection: its socket is closed, not the statement cancelled.
    fn drop_link(&mut self, reason: &str) {
        tracing::warn!(reason, "a committer lost its connection to PostgreSQL");
        self.client = None;
        self.shared.drop_pool();
    }

    /// Forgets a lane that is no longer ours.
    async fn disown(&mut self) {
        if let Some(lane) = self.lane.take() {
            tracing::warn!(
                lane = lane.id.0,
                epoch = lane.epoch,
                "a lane has passed to another owner"
            );
            self.client = None;
            self.passed.clear();
            self.shared.report(Report::Disowned(lane.id)).await;
        }
    }

    /// Extends the lease, and drops the notes that every node has heard of by now.
    async fn renew(&mut self) {
        self.look().await;
        let now = Instant::now();
        let Some(lane) = &self.lane else { return };
        self.passed.push_back((now, lane.pos));
        let mut old = None;
        while let Some((at, pos)) = self.passed.front()
            && now.duration_since(*at) > KEEP_NOTES_FOR
        {
            old = Some(*pos);
            self.passed.pop_front();
        }
        if let (Some(upto), Some(client)) = (old, &self.client)
            && let Err(error) =
                bounded(&self.shared, self.mark, claim::drop_notes(client, lane, upto)).await
        {
            self.drop_link(&error.to_string());
        }
    }

    /// Looks where all lanes are, so that what others wrote may be shown.
    async fn look(&mut self) {
        if self.link().await.is_err() {
            return; // The next group, or the next round, tries again.
        }
        let (Some(client), Some(lane)) = (&self.client, &self.lane) else { return };
        match bounded(&self.shared, self.mark, claim::look(client, lane)).await {
            Ok(Some(seen)) => self.shared.report(Report::Seen(seen)).await,
            Ok(None) => self.disown().await,
            Err(error) => self.drop_link(&error.to_string()),
        }
    }
}

pub(super) fn answer_all(answers: Vec<(Box<dyn Job>, crate::Result<()>)>) {
    for (job, outcome) in answers {
        job.answer(outcome);
    }
}

/// A step on the lane table that a frozen server must not hold for ever.
async fn bounded<T>(
    shared: &Shared,
    mark: Mark,
    step: impl Future<Output = crate::Result<T>>,
) -> crate::Result<T> {
    let silent = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
    tokio::select! {
        outcome = step => outcome,
        () = shared.primary.moved(mark) => silent(MOVED),
        () = sleep(GIVE_UP_AFTER) => silent("the server is silent"),
    }
}

/// A commit of which we do not know whether it happened.
struct Doubt {
    /// Where the lane stood before.
    since: i64,
    /// What the lane's count of commits is if it did.
    commits: i64,
    reason: String,
}

impl Doubt {
    /// Did it happen? `before` is the lane as we held it, `now` as we have taken it again, which
    /// has settled the matter; `None` when that is another lane.
    fn resolve(&self, before: Option<&Lane>, now: &Lane) -> Option<bool> {
        let before = before?;
        if before.id != now.id {
            return None;
        }
        if now.commits == self.commits {
            Some(true)
        } else {
            (now.commits + 1 == self.commits).then_some(false)
        }
    }
}
