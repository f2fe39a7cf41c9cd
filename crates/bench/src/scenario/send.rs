//! `send` and `send-one-room`: how fast events are accepted when nobody looks.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::{task::spawn_local, time::sleep};

use crate::{
    api::{Api, User},
    error::{Result, tell},
    figures::{Report, Times},
    load::{Env, Window, deal, on_threads},
    scenario::{add_costs, per_second},
    setup,
};

/// How to send to many rooms.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Rooms
    #[arg(long, default_value_t = 32)]
    rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Members who send, over all rooms
    #[arg(long, default_value_t = 64)]
    senders: usize,
    #[command(flatten)]
    time: Time,
}

/// How to send to one room.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneRoomOptions {
    /// Members of the room, all of whom send
    #[arg(long, default_value_t = 16)]
    senders: usize,
    #[command(flatten)]
    time: Time,
}

/// How long to send.
#[derive(Clone, Copy, Debug, Args)]
struct Time {
    /// Seconds that are measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
}

/// Measures many rooms.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    measure(env, "send", options.rooms, options.members, options.senders, options.time)
}

/// Measures one room.
pub(crate) fn run_one_room(env: &Env, options: &OneRoomOptions) -> Result<Report> {
    measure(env, "send-one-room", 1, options.senders, options.senders, options.time)
}

/// One sender's place.
struct Sender {
    user: User,
    client: usize,
    room_id: String,
    /// The room's number, and the sender's, which keeps message numbers apart.
    room: u32,
    number: u32,
}

/// Where the run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measure,
    Over,
}

/// What the senders of one thread share.
struct Tally {
    phase: Cell<Phase>,
    times: RefCell<Times>,
    errors: Cell<u64>,
}

/// Message numbers that each sender has for itself.
const NUMBERS_EACH: u32 = 10_000_000;

fn measure(
    env: &Env,
    title: &str,
    rooms: usize,
    members: usize,
    senders: usize,
    time: Time,
) -> Result<Report> {
    let (users, rooms) = setup::users_in_rooms(env, rooms, members)?;
    let senders = (0..senders).map(|index| {
        let room = index % rooms.len();
        let client = rooms[room].members[index / rooms.len() % members];
        Sender {
            user: users[client].clone(),
            client,
            room_id: rooms[room].id.clone(),
            room: u32::try_from(room).unwrap_or(u32::MAX),
            number: u32::try_from(index / rooms.len()).unwrap_or(u32::MAX),
        }
    });
    let hands = deal(senders, env.threads);
    let window = Window::new(env, hands.len());
    let window = &window;
    let parts = on_threads(hands, |senders| send(env, senders, window, time))?;
    let mut times = Times::new();
    for (part, _) in &parts {
        times.merge(part);
    }
    let mut report = Report::new(title);
    if let Some(used) = window.used() {
        let count = usize::try_from(times.count()).unwrap_or(usize::MAX);
        report.add("per_s", per_second(count, used.time));
    }
    report.times("put_ms", &times);
    report.count("errors", parts.iter().map(|(_, errors)| errors).sum());
    add_costs(&mut report, env, window.used(), times.count());
    Ok(report)
}

/// All senders of one thread.
async fn send(
    env: &Env,
    senders: Vec<Sender>,
    window: &Window,
    time: Time,
) -> Result<(Times, u64)> {
    let tally = Rc::new(Tally {
        phase: Cell::new(Phase::WarmUp),
        times: RefCell::new(Times::new()),
        errors: Cell::new(0),
    });
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| {
            let api = Api::new(env.target(sender.client), &sender.user);
            spawn_local(send_until_over(api, sender, Rc::clone(&tally)))
        })
        .collect();
    sleep(Duration::from_secs_f64(time.warm_up)).await;
    window.open().await;
    tally.phase.set(Phase::Measure);
    sleep(Duration::from_secs_f64(time.seconds)).await;
    tally.phase.set(Phase::Over);
    window.close().await;
    for task in tasks {
        // a panic in it has been printed
        let _ = task.await;
    }
    Ok((tally.times.borrow().clone(), tally.errors.get()))
}

async fn send_until_over(mut api: Api, sender: Sender, tally: Rc<Tally>) {
    let first = sender.number.saturating_mul(NUMBERS_EACH);
    for number in first.. {
        let begun = Instant::now();
        let result = api.send(&sender.room_id, sender.room, number).await;
        let time = begun.elapsed();
        match (tally.phase.get(), result) {
            (Phase::Over, _) => return,
            (_, Err(error)) => {
                tell(&error);
                tally.errors.set(tally.errors.get() + 1);
            }
            (Phase::Measure, Ok(())) => tally.times.borrow_mut().record(time),
            (Phase::WarmUp, Ok(())) => {}
        }
    }
}
