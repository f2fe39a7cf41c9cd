//! `idle`: what a client costs that waits in `/sync` while nothing happens.
//!
//! A process may have only so many open files, so the clients live in child processes of this tool,
//! each with a loopback address of its own (and with it all ports of that address).

use std::{
    cell::Cell,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{io::AsyncReadExt as _, task::spawn_local, time::sleep};

use crate::{
    api::{self, Api, POLL_MS, User},
    error::{Error, Result, tell},
    figures::Report,
    http::Target,
    listener::AFTER_FAILURE,
    load::{Env, block_on},
    scenario::{add_memory, mib, per_second},
    setup,
};

/// How many clients, and for how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Clients, each a user of its own. The server's limit of open files bounds them
    #[arg(long, default_value_t = 2000)]
    clients: usize,
    /// Members of each room; every user is in one
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Seconds of rest that are measured
    #[arg(long, default_value_t = 60.0)]
    rest: f64,
}

/// Most clients in one child.
const CLIENTS_EACH_MAX: usize = 9_000;

/// Time for the server to come to rest before it is measured.
const SETTLE: Duration = Duration::from_secs(5);

/// What a child is to do.
#[derive(Serialize, Deserialize)]
struct Order {
    /// A base URL and a user for each client.
    clients: Vec<(String, User)>,
    /// The address to connect from.
    source: Option<IpAddr>,
    /// First syncs under way at a time.
    at_once: usize,
}

/// What a child says when all its clients wait.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    first_syncs_secs: f64,
}

/// What a child says at its end.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    answers: u64,
    errors: u64,
}

/// Measures.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let rooms = options.clients.div_ceil(options.members.max(1)).max(1);
    let (mut users, _) = setup::users_in_rooms(env, rooms, options.members)?;
    users.truncate(options.clients);
    thread::sleep(SETTLE);
    let before = env.meter().memory();
    let mut fleet = Fleet::start(env, &users)?;
    let first_syncs_secs = fleet.wait_ready()?;
    thread::sleep(SETTLE);
    let (cpu_before, begun) = (env.meter().cpu(), Instant::now());
    thread::sleep(Duration::from_secs_f64(options.rest));
    let (cpu, time) = (env.meter().cpu().since(cpu_before), begun.elapsed());
    let idle = env.meter().memory();
    let done = fleet.finish()?;

    let mut report = Report::new(format!("idle {}", users.len()));
    let conns = users.len();
    report.count("conns", conns as u64);
    report.add("first_sync_per_s", per_second(conns, Duration::from_secs_f64(first_syncs_secs)));
    if env.meter().known() {
        let each = |before: u64, idle: u64| (idle as f64 - before as f64) / conns as f64;
        report.add("rss_before_mb", mib(before.rss));
        report.add("rss_idle_mb", mib(idle.rss));
        report.add("rss_kb_per_conn", each(before.rss, idle.rss));
        report.add("pss_kb_per_conn", each(before.pss, idle.pss));
        report.add("cpu_percent_of_core", 100.0 * cpu.total_s() / time.as_secs_f64());
        let minutes = conns as f64 * time.as_secs_f64() / 60.0;
        report.add("cpu_ms_per_conn_min", cpu.total_s() * 1000.0 / minutes);
        add_memory(&mut report, env);
    }
    report.count("answers", done.answers);
    report.count("failed_syncs", done.errors);
    Ok(report)
}

/// The children.
struct Fleet(Vec<(Child, Option<ChildStdin>, BufReader<ChildStdout>)>);

impl Fleet {
    fn start(env: &Env, users: &[User]) -> Result<Self> {
        let program = std::env::current_exe().map_err(Error::io("find this program"))?;
        let children = users.len().div_ceil(CLIENTS_EACH_MAX).max(env.threads);
        let each = users.len().div_ceil(children).max(1);
        let mut fleet = Self(Vec::new());
        for (index, users) in users.chunks(each).enumerate() {
            let mut child = Command::new(&program)
                .arg("idle-clients")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(Error::io("start a child"))?;
            let missing = || Error::Start("a child without pipes".to_owned());
            let mut orders = child.stdin.take().ok_or_else(missing)?;
            let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?);
            let first = index * each;
            let order = Order {
                clients: (first..)
                    .zip(users)
                    .map(|(client, user)| (env.target(client).url(), user.clone()))
                    .collect(),
                source: source(env, index),
                at_once: setup::AT_ONCE.div_ceil(children),
            };
            writeln!(orders, "{}", json(&order)).map_err(Error::io("order a child"))?;
            fleet.0.push((child, Some(orders), answers));
        }
        Ok(fleet)
    }

    /// Waits until all clients wait; gives how long the slowest child took, in seconds.
    fn wait_ready(&mut self) -> Result<f64> {
        let mut slowest = 0_f64;
        for (_, _, answers) in &mut self.0 {
            slowest = slowest.max(read_line::<Ready>(answers)?.first_syncs_secs);
        }
        Ok(slowest)
    }

    fn finish(mut self) -> Result<Done> {
        let mut all = Done { answers: 0, errors: 0 };
        for (_, orders, answers) in &mut self.0 {
            drop(orders.take());
            let done: Done = read_line(answers)?;
            all.answers += done.answers;
            all.errors += done.errors;
        }
        Ok(all)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (child, _, _) in &mut self.0 {
            // it may have ended by itself, which is as good
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The source address of a child: 127.0.0.2 and up, where the server is on loopback.
fn source(env: &Env, index: usize) -> Option<IpAddr> {
    let loopback = env.targets.iter().all(Target::is_loopback_v4);
    let last = u8::try_from(index + 2).ok().filter(|_| loopback)?;
    Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialize")
}

fn read_line<T: DeserializeOwned>(from: &mut BufReader<ChildStdout>) -> Result<T> {
    let mut line = String::new();
    from.read_line(&mut line).map_err(Error::io("read from a child"))?;
    serde_json::from_str(&line).map_err(|_| Error::Start("a child failed".to_owned()))
}

/// The child's side: does what it reads from standard input until that ends.
pub(crate) fn child() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Error::io("read the order"))?;
    let order: Order =
        serde_json::from_str(&line).map_err(|e| Error::Usage(format!("unreadable order: {e}")))?;
    drop(line);
    let (answers, errors) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    block_on(async {
        let begun = Instant::now();
        let waiting = wait_all(order, &answers, &errors).await?;
        println!("{}", json(&Ready { first_syncs_secs: begun.elapsed().as_secs_f64() }));
        // what counts is that it ends
        let _ = tokio::io::stdin().read_u8().await;
        drop(waiting);
        Ok(())
    })?;
    println!("{}", json(&Done { answers: answers.get(), errors: errors.get() }));
    Ok(())
}

/// Lets every client sync once and then wait.
async fn wait_all(
    order: Order,
    answers: &Rc<Cell<u64>>,
    errors: &Rc<Cell<u64>>,
) -> Result<Vec<tokio::task::JoinHandle<()>>> {
    let mut clients = order.clients.into_iter();
    let mut waiting = Vec::new();
    loop {
        let some: Vec<_> = clients.by_ref().take(order.at_once).collect();
        if some.is_empty() {
            return Ok(waiting);
        }
        let first = some.into_iter().map(async |(url, user)| {
            let mut target = Target::parse(&url)?;
            if let Some(source) = order.source {
                target = target.with_source(source);
            }
            let mut api = Api::new(&target, &user);
            let since = api::next_batch(api.sync(None, 0, None).await?)?;
            Ok::<_, Error>((api, since))
        });
        for (api, since) in try_join_all(first).await? {
            waiting.push(spawn_local(wait(api, since, Rc::clone(answers), Rc::clone(errors))));
        }
    }
}

async fn wait(mut api: Api, mut since: String, answers: Rc<Cell<u64>>, errors: Rc<Cell<u64>>) {
    loop {
        match api.sync(Some(&since), POLL_MS, None).await.and_then(api::next_batch) {
            Ok(next) => {
                since = next;
                answers.set(answers.get() + 1);
            }
            Err(error) => {
                tell(&error);
                errors.set(errors.get() + 1);
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}
