//! `test` and `ci`: what a change must pass.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{
    cargo::{self, cargo},
    install, nats, postgres, run, shell, tidy, web,
};

/// The real clients' own runner, called once everything else ran.
const CLIENTS: &str = "tests/clients/run";

/// Format, lints, tidy, tests on both engines, real clients.
pub(crate) fn test() -> Result<()> {
    let mut steps = Steps::default();
    run_test_steps(&mut steps)?;
    steps.finish()
}

/// All that `test` does, then licences and advisories of what we depend on, then the API docs.
pub(crate) fn ci() -> Result<()> {
    let mut steps = Steps::default();
    run_test_steps(&mut steps)?;
    steps.step("dependencies", dependencies);
    steps.step("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    steps.finish()
}

/// Runs the command in `words` with a cluster of its own, named by `HAECHI_TEST_POSTGRES`, and with
/// the NATS server that tests start, named by `HAECHI_TEST_NATS`.
pub(crate) fn with_postgres(words: &[String]) -> Result<()> {
    let [program, args @ ..] = words else {
        bail!("say which command to run, such as `cargo test -p haechi-store`");
    };
    install::ensure(&[install::POSTGRES])?;
    let cluster = postgres::Cluster::start()?;
    let mut command = Command::new(program);
    command.args(args).env(nats::VARIABLE, nats::program()?);
    shell::run(command.env("HAECHI_TEST_POSTGRES", cluster.url()))
}

fn run_test_steps(steps: &mut Steps) -> Result<()> {
    let clients = Path::new(CLIENTS).is_file();
    install::ensure(&[install::C_COMPILER, install::POSTGRES, install::NPM, install::CHROMIUM])?;
    if clients {
        install::ensure(&[install::PYTHON])?;
    }
    // First: the binary holds what this builds.
    steps.step("web app", || web::build().and_then(|()| web::check()));
    steps.step("format", || shell::run(&mut cargo(&["fmt", "--all", "--check"])));
    steps.step("lints", || {
        shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    steps.step("tidy", tidy::tidy);

    let cluster = postgres::Cluster::start()?;
    let url = cluster.url();
    eprintln!("PostgreSQL for the tests: {url}");
    steps.step("tests", || {
        // Plain `cargo test`, not nextest: it is there wherever Rust is, runs the doc tests too,
        // and lets the tests of one program share one migrated template database.
        let mut test = cargo(&["test", "--workspace", "--no-fail-fast"]);
        // A target folder that another clone filled would have snapshots looked for there.
        test.env("INSTA_WORKSPACE_ROOT", cargo::workspace_root());
        test.env(nats::VARIABLE, nats::program()?);
        shell::run(test.env("HAECHI_TEST_POSTGRES", &url))
    });
    steps.step("web journeys", || web::journeys(&run::build_server("dev")?));
    if clients {
        steps.step("real clients", || {
            shell::run(Command::new(format!("./{CLIENTS}")).env("HAECHI_TEST_POSTGRES", &url))
        });
    }
    Ok(())
}

fn dependencies() -> Result<()> {
    if !shell::succeeds(&mut cargo(&["deny", "--version"])) {
        eprintln!("missing: cargo-deny: it checks licences and advisories of our dependencies");
        shell::run(&mut cargo(&["install", "cargo-deny", "--locked"]))?;
    }
    shell::run(&mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    // The list of advisories comes from the network; without it the rest still counts.
    if shell::run(&mut cargo(&["deny", "fetch"])).is_err() {
        eprintln!("advisories were NOT checked: their list could not be fetched");
        return Ok(());
    }
    shell::run(&mut cargo(&["deny", "--offline", "check", "advisories"]))
}

/// Runs every step, however many fail, and tells at the end which did.
#[derive(Default)]
struct Steps {
    failed: Vec<&'static str>,
    done: Vec<String>,
}

impl Steps {
    fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        eprintln!("\n── {name}");
        let started = Instant::now();
        let result = run();
        let seconds = started.elapsed().as_secs();
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        self.done.push(format!("{verdict:<7} {name} ({seconds} s)"));
        if let Err(error) = result {
            eprintln!("{name}: {error:#}");
            self.failed.push(name);
        }
    }

    fn finish(self) -> Result<()> {
        eprintln!("\n── summary\n{}", self.done.join("\n"));
        if self.failed.is_empty() { Ok(()) } else { bail!("failed: {}", self.failed.join(", ")) }
    }
}
