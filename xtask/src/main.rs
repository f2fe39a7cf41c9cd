//! The project's own tasks: `cargo xtask run | test | ci | tidy | bench`.
//!
//! They install what a bare machine lacks, say what they do, and need nothing but Rust and a C
//! compiler to start from.

mod bench;
mod cargo;
mod install;
mod nats;
mod postgres;
mod run;
mod shell;
mod test;
mod tidy;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
The project's own tasks.

    cargo xtask run [--dev] [FLAGS of `haechi serve`]
        build the server and serve it from ./data, with open registration on this machine
    cargo xtask test
        format, lints, tidy, all tests on both engines, real clients: what a change must pass
    cargo xtask ci
        `test`, then dependency licences and advisories, then the API docs
    cargo xtask tidy
        our own rules: who may use whom, lengths, split SQL, module docs
    cargo xtask with-postgres COMMAND ARGS...
        run a command, such as `cargo test -p haechi-store`, with a throw-away PostgreSQL beside it
    cargo xtask bench [FLAGS and SCENARIOS of `haechi-bench`]
        measure the release build; see docs/performance.md

`run` and `test` install what is missing and say what and why. Set HAECHI_XTASK_INSTALL=no to be
told what to install instead.
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    let rest: Vec<String> = args.collect();
    std::env::set_current_dir(cargo::workspace_root())?;
    match task.as_deref() {
        Some("run") => run::run(&rest),
        Some("test") => none_left(&rest).and_then(|()| test::test()),
        Some("ci") => none_left(&rest).and_then(|()| test::ci()),
        Some("with-postgres") => test::with_postgres(&rest),
        Some("tidy") => none_left(&rest).and_then(|()| tidy::tidy()),
        Some("bench") => bench::bench(&rest),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("there is no task `{other}`; `cargo xtask help` lists them"),
    }
}

fn none_left(rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(arg) => bail!("this task takes no argument, but got `{arg}`"),
    }
}
