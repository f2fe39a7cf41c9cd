//! `deliver`: messages at a fixed rate to members who all wait in a sync.
//!
//! The rate does not wait for the server (open loop). A sender whose earlier PUT is still under way
//! when the next is due sends late, and the time counts from when it was due: a server that falls
//! behind cannot hide it.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::{join_all, try_join_all};
use tokio::{
    sync::watch,
    task::spawn_local,
    time::{sleep, sleep_until},
};

use crate::{
    api::{Api, User},
    check::{Sent, Verdict, judge},
    error::{Error, Result, tell},
    figures::{Report, Times},
    listener::{AFTER_FAILURE, Listener, Log, Mode},
    load::{Env, Window, deal, on_threads},
    scenario::{add_costs, per_second},
    setup::{self, Room},
};

/// How to deliver.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Messages a second, over all rooms
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Rooms
    #[arg(long, default_value_t = 32)]
    rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Members who send, over all rooms
    #[arg(long, default_value_t = 64)]
    senders: u32,
    /// Longest to wait for the last messages to arrive, in seconds
    #[arg(long, default_value_t = 60.0)]
    drain: f64,
}

/// Time between the last client's being ready and the first message.
const SETTLE: Duration = Duration::from_millis(500);

/// How often a PUT is tried with the same transaction id.
const TRIES: usize = 3;

/// How often we look whether all has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One message, as its sender knows it.
#[derive(Clone, Copy, Debug)]
struct Sending {
    number: u32,
    /// What its times count from.
    from: Instant,
    /// How late the generator was although the sender was free.
    lag: Duration,
    answered: Option<Instant>,
}

/// What one sender sent.
struct SenderLog {
    /// Which member it is.
    member: usize,
    sendings: Vec<Sending>,
}

/// What happened in one room.
struct RoomLog {
    senders: Vec<SenderLog>,
    /// By member.
    logs: Vec<Log>,
}

/// One room with what its thread needs to know.
struct Plan {
    room: Room,
    users: Vec<User>,
    index: u32,
    senders: Vec<Sender>,
}

/// A member who sends.
struct Sender {
    member: usize,
    /// Its place among all senders, which gives when its messages are due.
    place: u32,
}

/// Measures.
pub(crate) fn run(env: &Env, options: &Options, mode: Mode) -> Result<Report> {
    if options.rate <= 0.0 || options.senders == 0 || options.rooms == 0 {
        return Err(Error::Usage("rate, senders and rooms must be above zero".to_owned()));
    }
    let (users, rooms) = setup::users_in_rooms(env, options.rooms, options.members)?;
    let plans = rooms.into_iter().zip(0..).map(|(room, index): (Room, u32)| Plan {
        users: room.members.iter().map(|member| users[*member].clone()).collect(),
        senders: (index as usize..options.senders as usize)
            .step_by(options.rooms)
            .zip((index..).step_by(options.rooms))
            .map(|(sender, place)| Sender {
                member: sender / options.rooms % options.members,
                place,
            })
            .collect(),
        room,
        index,
    });
    let hands = deal(plans, env.threads);
    let window = Window::new(env, hands.len());
    let window = &window;
    let parts = on_threads(hands, |plans| deliver(env, options, mode, plans, window))?;
    let name = if mode == Mode::Sync { "deliver" } else { "deliver-sliding" };
    let mut report = Report::new(format!("{name} {}", options.rate));
    let start = parts.iter().map(|(start, _)| *start).min().unwrap_or_else(Instant::now);
    let logs: Vec<RoomLog> = parts.into_iter().flat_map(|(_, logs)| logs).collect();
    let messages = tally(&mut report, &logs, start, options);
    add_costs(&mut report, env, window.used(), messages);
    Ok(report)
}

/// All rooms of one thread. Gives when the first message was due, and what happened.
async fn deliver(
    env: &Env,
    options: &Options,
    mode: Mode,
    plans: Vec<Plan>,
    window: &Window,
) -> Result<(Instant, Vec<RoomLog>)> {
    let mut listening = Vec::new();
    for plan in &plans {
        let listeners = plan.room.members.iter().zip(&plan.users).map(async |(client, user)| {
            let api = Api::new(env.target(*client), user);
            let mut listener = Listener::new(api, user, mode, &plan.room.id).await?;
            listener.poll(0).await?;
            Ok::<_, Error>(listener)
        });
        listening.push(try_join_all(listeners).await?);
    }
    let start = window.open().await + SETTLE;
    let (stop, stopped) = watch::channel(());
    let arrived = Rc::new(Cell::new(0));
    let listen = |listener: Listener| listener.listen(stopped.clone(), Rc::clone(&arrived));
    let tasks: Vec<Vec<_>> = listening
        .into_iter()
        .map(|room| room.into_iter().map(|listener| spawn_local(listen(listener))).collect())
        .collect();
    let sent = join_all(plans.iter().map(|plan| {
        join_all(plan.senders.iter().map(|sender| send(env, options, plan, sender, start)))
    }))
    .await;
    drain(&plans, &sent, &arrived, Duration::from_secs_f64(options.drain)).await;
    window.close().await;
    stop.send_replace(());
    let mut rooms = Vec::new();
    for (tasks, senders) in tasks.into_iter().zip(sent) {
        // a panic in a task has been printed; what it saw is missing then, and counts as lost
        let logs = join_all(tasks)
            .await
            .into_iter()
            .map(|listener| listener.map(|listener| listener.log).unwrap_or_default());
        rooms.push(RoomLog { senders, logs: logs.collect() });
    }
    Ok((start, rooms))
}

/// Waits until all that was acknowledged has arrived, and a moment more for what arrives twice.
async fn drain(plans: &[Plan], sent: &[Vec<SenderLog>], arrived: &Cell<usize>, longest: Duration) {
    let expected: usize = plans
        .iter()
        .zip(sent)
        .map(|(plan, senders)| {
            let sendings = senders.iter().flat_map(|sender| &sender.sendings);
            plan.users.len() * sendings.filter(|sending| sending.answered.is_some()).count()
        })
        .sum();
    let last = Instant::now() + longest;
    while arrived.get() < expected && Instant::now() < last {
        sleep(LOOK_EVERY).await;
    }
    sleep(SETTLE).await;
}

/// Sends what is due of one sender.
async fn send(
    env: &Env,
    options: &Options,
    plan: &Plan,
    sender: &Sender,
    start: Instant,
) -> SenderLog {
    let mut api =
        Api::new(env.target(plan.room.members[sender.member]), &plan.users[sender.member]);
    let own_place = plan.senders.iter().position(|s| s.place == sender.place).unwrap_or(0);
    let numbers = (own_place..).step_by(plan.senders.len()).filter_map(|n| u32::try_from(n).ok());
    let places = (sender.place..).step_by(options.senders as usize);
    let end = start + Duration::from_secs_f64(options.warm_up + options.seconds);
    let mut sendings = Vec::new();
    for (number, place) in numbers.zip(places) {
        let due = start + Duration::from_secs_f64(f64::from(place) / options.rate);
        if due >= end {
            break;
        }
        let (mut from, mut lag) = (due, Duration::ZERO);
        if Instant::now() < due {
            sleep_until(due.into()).await;
            from = Instant::now();
            lag = from - due;
        }
        let answered = put(&mut api, plan, number).await;
        sendings.push(Sending { number, from, lag, answered });
    }
    SenderLog { member: sender.member, sendings }
}

/// Sends one message, again and again with the same transaction id where it fails. Gives when it was
/// acknowledged.
async fn put(api: &mut Api, plan: &Plan, number: u32) -> Option<Instant> {
    for _ in 0..TRIES {
        match api.send(&plan.room.id, plan.index, number).await {
            Ok(()) => return Some(Instant::now()),
            Err(error) => tell(&error),
        }
        sleep(AFTER_FAILURE).await;
    }
    None
}

/// Adds the figures of all rooms; gives how many messages were acknowledged.
fn tally(report: &mut Report, rooms: &[RoomLog], start: Instant, options: &Options) -> u64 {
    let measured_from = start + Duration::from_secs_f64(options.warm_up);
    let (mut e2e, mut put, mut lag) = (Times::new(), Times::new(), Times::new());
    let mut verdict = Verdict::default();
    let (mut messages, mut unanswered, mut last) = (0, 0, start);
    for room in rooms {
        let sent = sent_by_number(room);
        for sending in room.senders.iter().flat_map(|sender| &sender.sendings) {
            lag.record(sending.lag);
            match sending.answered {
                None => unanswered += 1,
                Some(at) => {
                    messages += 1;
                    if sending.from >= measured_from {
                        put.record(at - sending.from);
                    }
                }
            }
        }
        for (member, log) in room.logs.iter().enumerate() {
            for arrival in &log.arrivals {
                last = last.max(arrival.at);
                let from = sent.get(arrival.number as usize).copied().flatten();
                match from {
                    Some((sender, from)) if sender != member && from >= measured_from => {
                        e2e.record(arrival.at.saturating_duration_since(from));
                    }
                    _ => {}
                }
            }
        }
        verdict.add(judged(room, &sent));
    }
    report.add("achieved_per_s", per_second(messages, last - start));
    report.times("e2e_ms", &e2e);
    report.times("put_ms", &put);
    report.add("generator_lag_ms.p99", lag.quantile_ms(0.99));
    report.count("messages", messages as u64);
    report.count(
        "arrivals",
        rooms.iter().flat_map(|r| &r.logs).map(|l| l.arrivals.len() as u64).sum(),
    );
    report.count("gaps", rooms.iter().flat_map(|r| &r.logs).map(|log| log.gaps).sum());
    report.count("failed_puts", unanswered);
    report.count("failed_syncs", rooms.iter().flat_map(|r| &r.logs).map(|log| log.errors).sum());
    verdict.report(report);
    messages as u64
}

/// By message number: who sent it, and what its times count from.
fn sent_by_number(room: &RoomLog) -> Vec<Option<(usize, Instant)>> {
    let mut sent = Vec::new();
    for sender in &room.senders {
        for sending in &sender.sendings {
            let number = sending.number as usize;
            if sent.len() <= number {
                sent.resize(number + 1, None);
            }
            sent[number] = Some((sender.member, sending.from));
        }
    }
    sent
}

fn judged(room: &RoomLog, sent: &[Option<(usize, Instant)>]) -> Verdict {
    // numbers that were never sent stay unacknowledged: nobody may have them
    let nobody = Sent { sender: usize::MAX, acknowledged: false };
    let mut messages: Vec<Sent> = sent
        .iter()
        .map(|sent| sent.map_or(nobody, |(sender, _)| Sent { sender, acknowledged: false }))
        .collect();
    for sending in room.senders.iter().flat_map(|sender| &sender.sendings) {
        messages[sending.number as usize].acknowledged = sending.answered.is_some();
    }
    let seen: Vec<Vec<u32>> = room.logs.iter().map(Log::numbers).collect();
    judge(&messages, &seen)
}
