//! `haechi-bench` measures a Matrix homeserver from outside, over HTTP.
//!
//! It starts a fresh server for each run (`--server-bin`) or uses a running one (`--url`), makes the
//! load of one [`scenario`], and prints a table for people and a line of JSON for machines. What
//! arrives is checked too: a message lost, doubled or out of order is a figure of the report.
//!
//! How to use it and what it found: `docs/performance.md`.

mod api;
mod check;
mod error;
mod figures;
mod http;
mod ledger;
mod listener;
mod load;
mod meter;
mod scan;
mod scenario;
mod server;
mod setup;
mod stub;

use std::{
    fs::File, io::Write as _, net::SocketAddr, num::NonZeroUsize, path::PathBuf, process::ExitCode,
    sync::Mutex,
};

use clap::{Parser, Subcommand};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    error::{Error, Result},
    figures::{Report, table},
    http::Target,
    load::Env,
    meter::Meter,
    scenario::{Choice, Scenario},
    server::{Database, Plan, Server},
};

/// Measures a Matrix homeserver.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(flatten)]
    Measure(Choice),
    /// Make transfers in the ledger, without HTTP between: the workload of tb-perf.
    Ledger(ledger::Options),
    /// Serve a pretence of Matrix from memory, to find the generator's own limit.
    Stub {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:8009")]
        listen: SocketAddr,
    },
    /// A part of `idle`, started by it.
    #[command(hide = true)]
    IdleClients,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Start a fresh server for each run: this program, as `PROGRAM serve`
    #[arg(long, value_name = "PROGRAM", conflicts_with = "url", global = true)]
    server_bin: Option<PathBuf>,
    /// The database of the server started: sqlite, postgres (a fresh one of our own), or a
    /// `postgres://` URL of an empty one
    #[arg(long, default_value = "sqlite", value_parser = Database::parse, global = true)]
    database: Database,
    /// Further environment of the server started
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, global = true)]
    server_env: Vec<(String, String)>,
    /// Processors of the server started and of its database
    #[arg(long, value_name = "LIST", global = true)]
    server_cpus: Option<String>,
    /// Processors of the load generator
    #[arg(long, value_name = "LIST", value_parser = cpu_list, global = true)]
    load_cpus: Option<CpuList>,
    /// A running server; several base URLs share the clients
    #[arg(long, global = true)]
    url: Vec<String>,
    /// Process of the running server, to measure its costs
    #[arg(long, value_name = "PID", global = true)]
    server_pid: Vec<u32>,
    /// Process of the running server's database
    #[arg(long, value_name = "PID", global = true)]
    database_pid: Vec<u32>,
    /// Threads that make load; as many as processors when not set
    #[arg(long, global = true)]
    threads: Option<NonZeroUsize>,
    /// Runs of each scenario; the table shows the median, minimum and maximum
    #[arg(long, default_value_t = NonZeroUsize::MIN, global = true)]
    runs: NonZeroUsize,
    /// Add the lines of JSON to this file instead of printing them
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

/// Processors, as `0,2-3`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CpuList(Vec<usize>);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.what {
        What::Measure(choice) => measure(&cli.options, choice.scenarios()),
        What::Ledger(options) => measure_ledger(&cli.options, &options),
        What::Stub { listen } => stub::run(listen),
        What::IdleClients => scenario::idle::child(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haechi-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options, scenarios: Vec<Scenario>) -> Result<()> {
    if let Some(CpuList(cpus)) = &options.load_cpus {
        let mut set = CpuSet::new();
        for cpu in cpus {
            set.set(*cpu);
        }
        sched_setaffinity(None, &set)
            .map_err(|e| Error::io("keep to the processors of --load-cpus")(e.into()))?;
    }
    let all = scenarios.len();
    let mut failed = 0;
    for scenario in scenarios {
        match measure_one(options, &scenario) {
            Ok(()) => {}
            Err(error) if all == 1 => return Err(error),
            Err(error) => {
                eprintln!("haechi-bench: {scenario:?}: {error}");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        return Err(Error::Usage(format!("{failed} of {all} scenarios failed")));
    }
    Ok(())
}

/// All runs of one scenario.
fn measure_one(options: &Options, scenario: &Scenario) -> Result<()> {
    repeat(options, |run| scenario.run(&environment(options, run)?))
}

/// All runs on the ledger, each on a fresh database.
fn measure_ledger(options: &Options, load: &ledger::Options) -> Result<()> {
    let threads = options.threads.map(NonZeroUsize::get);
    repeat(options, |_| ledger::run(&options.database, threads, load))
}

fn repeat(options: &Options, once: impl Fn(usize) -> Result<Report>) -> Result<()> {
    let mut reports: Vec<Report> = Vec::new();
    for run in 0..options.runs.get() {
        let report = once(run)?;
        let line = report.json();
        match &options.json {
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                let mut file = file.map_err(Error::io("open the file of --json"))?;
                writeln!(file, "{line}").map_err(Error::io("write the file of --json"))?;
            }
            None => println!("{line}"),
        }
        reports.push(report);
    }
    println!("{}", table(&reports));
    Ok(())
}

/// A fresh server, or the running one.
fn environment(options: &Options, run: usize) -> Result<Env> {
    let (urls, meter, server) = match &options.server_bin {
        Some(program) => {
            let server = Server::start(&Plan {
                program: program.canonicalize().map_err(Error::io("find the server"))?,
                database: options.database.clone(),
                cpus: options.server_cpus.clone(),
                variables: options.server_env.clone(),
            })?;
            (vec![server.url()], server.meter(), Some(Mutex::new(server)))
        }
        None if options.url.is_empty() => {
            return Err(Error::Usage("give --server-bin or --url".to_owned()));
        }
        None => {
            let server = options.server_pid.clone();
            let database = options.database_pid.clone();
            (options.url.clone(), Meter { server, database }, None)
        }
    };
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Env {
        targets: urls.iter().map(|url| Target::parse(url)).collect::<Result<_>>()?,
        threads: options.threads.unwrap_or_else(processors).get(),
        meter: Mutex::new(meter),
        server,
        prefix: format!("b{}x{run}u", std::process::id()),
    })
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn cpu_list(text: &str) -> Result<CpuList, String> {
    let number = |text: &str| text.trim().parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(number(first)?..=number(last)?);
    }
    if cpus.iter().any(|cpu| *cpu >= CpuSet::MAX_CPU) {
        return Err(format!("no processor has a number above {}", CpuSet::MAX_CPU - 1));
    }
    Ok(CpuList(cpus))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_published_scenario_is_one() {
        assert!(Choice::All.scenarios().len() > 10);
    }

    #[test]
    fn processors_are_listed() {
        assert_eq!(cpu_list("0,2-3"), Ok(CpuList(vec![0, 2, 3])));
        assert!(cpu_list("").is_err());
        assert!(cpu_list("1-x").is_err());
        assert!(cpu_list("99999").is_err());
    }

    #[test]
    fn options_stand_before_or_after_the_scenario() {
        for line in [
            &["haechi-bench", "--url", "http://x", "deliver", "--rate", "5"],
            &["haechi-bench", "deliver", "--rate", "5", "--url", "http://x"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.options.url, ["http://x"]);
        }
    }
}
