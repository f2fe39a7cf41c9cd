//! The scenarios, each a function from its options to a report.

mod bigroom;
mod deliver;
mod history;
pub(crate) mod idle;
mod initial_sync;
mod register;
mod send;
mod storm;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::{
    error::Result,
    figures::Report,
    listener::Mode,
    load::{Env, Used},
};

/// What to measure. In every scenario users have one device, and messages 48 characters.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Register users with a password in one request each.
    Register(register::Options),
    /// Send in a closed loop to many rooms while nobody syncs.
    Send(send::Options),
    /// Send in a closed loop to one room while nobody syncs.
    SendOneRoom(send::OneRoomOptions),
    /// Send at a fixed rate while all members wait in /sync; check exactly-once and one order.
    Deliver(deliver::Options),
    /// The same by simplified sliding sync.
    DeliverSliding(deliver::Options),
    /// Let clients wait in /sync while nothing happens.
    Idle(idle::Options),
    /// Fill one large room and send to it.
    Bigroom(bigroom::Options),
    /// First syncs of a user with many rooms.
    InitialSync(initial_sync::Options),
    /// Read a long room backwards by /messages.
    History(history::Options),
    /// Let all users come back at once with their old tokens.
    Storm(storm::Options),
}

/// One scenario, or those of the published table.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Choice {
    #[command(flatten)]
    One(Scenario),
    /// All of these in turn with the options of the published table, each on a fresh server.
    All,
}

impl Choice {
    /// The scenarios this stands for.
    pub(crate) fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::One(scenario) => vec![scenario],
            Self::All => published(),
        }
    }
}

/// The scenarios of the published table, as on the command line.
const PUBLISHED: &[&str] = &[
    "register",
    "send",
    "send-one-room",
    "deliver --rate 20",
    "deliver --rate 200",
    "deliver --rate 1000",
    "deliver --rate 4500",
    "deliver-sliding --rate 20",
    "deliver-sliding --rate 200",
    "deliver-sliding --rate 1000",
    "bigroom --members 1000",
    "initial-sync --rooms 300",
    "history",
    "storm --clients 1000",
    "storm --clients 1000 --restart",
    "idle --clients 2000",
    "idle --clients 19500",
];

fn published() -> Vec<Scenario> {
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(subcommand)]
        scenario: Scenario,
    }
    PUBLISHED.iter().map(|line| Line::parse_from(line.split(' ')).scenario).collect()
}

impl Scenario {
    /// Measures once.
    pub(crate) fn run(&self, env: &Env) -> Result<Report> {
        match self {
            Self::Register(options) => register::run(env, options),
            Self::Send(options) => send::run(env, options),
            Self::SendOneRoom(options) => send::run_one_room(env, options),
            Self::Deliver(options) => deliver::run(env, options, Mode::Sync),
            Self::DeliverSliding(options) => deliver::run(env, options, Mode::Sliding),
            Self::Idle(options) => idle::run(env, options),
            Self::Bigroom(options) => bigroom::run(env, options),
            Self::InitialSync(options) => initial_sync::run(env, options),
            Self::History(options) => history::run(env, options),
            Self::Storm(options) => storm::run(env, options),
        }
    }
}

/// Adds what the server used: processor time by message, where there were any, and memory.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn add_costs(report: &mut Report, env: &Env, used: Option<Used>, messages: u64) {
    if let Some(used) = used {
        let share = used.cpu.generator / used.time.as_secs_f64();
        report.add("generator_cpu_percent_of_core", 100.0 * share);
    }
    if !env.meter().known() {
        return;
    }
    if let Some(used) = used {
        let with_database = !env.meter().database.is_empty();
        if messages > 0 {
            let by_message = |seconds: f64| seconds * 1000.0 / messages as f64;
            report.add("server_cpu_ms_per_msg", by_message(used.cpu.total_s()));
            if with_database {
                report.add("of_it_database_cpu_ms_per_msg", by_message(used.cpu.database));
            }
        } else {
            report.add("server_cpu_s", used.cpu.total_s());
            if with_database {
                report.add("of_it_database_cpu_s", used.cpu.database);
            }
        }
    }
    add_memory(report, env);
}

/// Adds the memory that the server has now.
fn add_memory(report: &mut Report, env: &Env) {
    if env.meter().known() {
        let memory = env.meter().memory();
        report.add("server_pss_mb", mib(memory.pss));
        if !env.meter().database.is_empty() {
            report.add("of_it_database_pss_mb", mib(memory.database_pss));
        }
    }
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "memory sizes stay far below 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
