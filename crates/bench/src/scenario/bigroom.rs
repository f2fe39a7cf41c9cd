//! `bigroom`: filling a large room, and a message's way to all of its members.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::{join_all, try_join_all};
use tokio::{sync::watch, task::spawn_local, time::sleep};

use crate::{
    api::{Api, User},
    check::{Sent, judge},
    error::{Error, Result},
    figures::{Report, Times},
    listener::{Listener, Log, Mode},
    load::{Env, Window, deal, on_threads, pool},
    scenario::{add_costs, per_second},
    setup,
};

/// How large a room.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Members, the creator among them
    #[arg(long, default_value_t = 1000)]
    members: usize,
    /// Messages sent once all members are syncing, one after the other
    #[arg(long, default_value_t = 10)]
    messages: u32,
    /// Joins under way at a time
    #[arg(long, default_value_t = setup::AT_ONCE)]
    at_once: usize,
}

/// Time before the first message and after the last.
const SETTLE: Duration = Duration::from_secs(1);

/// Longest to wait until all members have a message.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often we look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A message that was sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    from: Instant,
    answered: Instant,
}

/// Measures.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let users = setup::users(env, options.members.max(2))?;
    let rooms = setup::rooms(env, &users, &[vec![0]])?;
    let room_id = rooms[0].id.as_str();
    let mut report = Report::new(format!("bigroom {}", users.len()));
    report.count("members", users.len() as u64);

    let begun = Instant::now();
    let joins = pool(env, options.at_once, users.len() - 1, async |index| {
        let begun = Instant::now();
        Api::new(env.target(index + 1), &users[index + 1]).join(room_id).await?;
        Ok(begun.elapsed())
    })?;
    report.add("joins_per_s", per_second(joins.len(), begun.elapsed()));
    report.times("join_ms", &joins.iter().copied().collect());
    let last_tenth: Times = joins[joins.len() - joins.len() / 10..].iter().copied().collect();
    report.add("join_last_tenth_ms.p50", last_tenth.quantile_ms(0.5));

    let members = users.iter().enumerate().map(|(client, user)| (client, user.clone()));
    let hands = deal(members, env.threads);
    let fan_out = FanOut {
        env,
        room_id,
        messages: options.messages,
        window: Window::new(env, hands.len()),
        arrived: AtomicUsize::new(0),
        members: users.len(),
        sent: Mutex::default(),
    };
    let fan_out = &fan_out;
    let parts = on_threads(hands, |members| fan_out.measure(members))?;
    let first_syncs = parts.iter().map(|(time, _)| *time).max().unwrap_or_default();
    report.add("first_syncs_secs", first_syncs.as_secs_f64());
    let logs: Vec<Log> = parts.into_iter().flat_map(|(_, logs)| logs).collect();
    fan_out.tally(&mut report, &logs);
    add_costs(&mut report, env, fan_out.window.used(), u64::from(options.messages));
    Ok(report)
}

/// What the threads share while messages are sent.
struct FanOut<'a> {
    env: &'a Env,
    room_id: &'a str,
    messages: u32,
    window: Window,
    arrived: AtomicUsize,
    members: usize,
    sent: Mutex<Vec<Sending>>,
}

impl FanOut<'_> {
    /// One thread's members; the thread of the creator, who is client 0, sends.
    async fn measure(&self, members: Vec<(usize, User)>) -> Result<(Duration, Vec<Log>)> {
        let begun = Instant::now();
        let mut listeners = Vec::new();
        for some in members.chunks(setup::AT_ONCE.div_ceil(self.env.threads)) {
            listeners
                .extend(try_join_all(some.iter().map(|member| self.first_sync(member))).await?);
        }
        self.window.meet().await;
        let first_syncs = begun.elapsed();
        let (stop, stopped) = watch::channel(());
        let arrived = Rc::new(Cell::new(0));
        let tasks: Vec<_> = listeners
            .into_iter()
            .map(|l| spawn_local(l.listen(stopped.clone(), Rc::clone(&arrived))))
            .collect();
        sleep(SETTLE).await;
        self.window.open().await;
        let sender = members.iter().find(|(client, _)| *client == 0).map(|(_, user)| user);
        self.send_all(sender, &arrived).await?;
        self.window.close().await;
        sleep(SETTLE).await;
        stop.send_replace(());
        let listeners = join_all(tasks).await;
        // a panic in a task has been printed; what it saw is missing then, and counts as lost
        let logs = listeners.into_iter().map(|l| l.map(|l| l.log).unwrap_or_default()).collect();
        Ok((first_syncs, logs))
    }

    async fn first_sync(&self, (client, user): &(usize, User)) -> Result<Listener> {
        let api = Api::new(self.env.target(*client), user);
        let mut listener = Listener::new(api, user, Mode::Sync, self.room_id).await?;
        listener.poll(0).await?;
        Ok(listener)
    }

    /// Sends one message after the other, each when all members have the one before. A thread which
    /// is not the sender's only tells what has arrived at its members.
    async fn send_all(&self, sender: Option<&User>, arrived_here: &Cell<usize>) -> Result<()> {
        let mut api = sender.map(|user| Api::new(self.env.target(0), user));
        let mut told = 0;
        for number in 0..self.messages {
            if let Some(api) = &mut api {
                let from = Instant::now();
                api.send(self.room_id, 0, number).await?;
                let sending = Sending { from, answered: Instant::now() };
                self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(sending);
            }
            let last = Instant::now() + PATIENCE;
            let all = self.members * (number as usize + 1);
            loop {
                let new = arrived_here.get() - told;
                told += new;
                if self.arrived.fetch_add(new, Ordering::Relaxed) + new >= all {
                    break;
                }
                if Instant::now() > last {
                    return Err(Error::Missing("a message at some member, after 60 s"));
                }
                sleep(LOOK_EVERY).await;
            }
            self.window.meet().await;
        }
        Ok(())
    }

    fn tally(&self, report: &mut Report, logs: &[Log]) {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        report.times("put_ms", &sent.iter().map(|s| s.answered - s.from).collect());
        let mut fan_out = Times::new();
        let mut last: Vec<Option<Duration>> = vec![None; sent.len()];
        // the first log is the sender's own
        for arrival in logs.iter().skip(1).flat_map(|log| &log.arrivals) {
            let number = arrival.number as usize;
            if let Some(sending) = sent.get(number) {
                let time = arrival.at.saturating_duration_since(sending.from);
                fan_out.record(time);
                last[number] = last[number].max(Some(time));
            }
        }
        report.times("fanout_ms", &fan_out);
        report.times("last_member_ms", &last.into_iter().flatten().collect());
        report.count("failed_syncs", logs.iter().map(|log| log.errors).sum());
        let messages = vec![Sent { sender: 0, acknowledged: true }; sent.len()];
        let seen: Vec<Vec<u32>> = logs.iter().map(Log::numbers).collect();
        judge(&messages, &seen).report(report);
    }
}
