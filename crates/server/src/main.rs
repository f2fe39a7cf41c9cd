//! The binary `haechi`.

mod admin;
mod cli;
mod commands;
mod compose;
mod health;
mod listen;
mod others;
mod pay;
mod web;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Leaves untouched what is not written to: of the buffers of tens of thousands of idle connections, most.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Config { command } => commands::config::run(&command),
        Command::Ledger { command, flags } => commands::ledger::run(&command, &flags),
        Command::Media { command, flags } => commands::media::run(command, &flags),
        Command::Pay { command, flags } => commands::pay::run(&command, &flags),
        Command::Report { command, flags } => commands::report::run(&command, &flags),
        Command::Serve(flags) => commands::serve::run(&flags),
        Command::Token { command, flags } => commands::token::run(command, &flags),
        Command::User { command, flags } => commands::user::run(command, &flags),
        Command::Version => commands::version::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("haechi: {error:#}");
            ExitCode::FAILURE
        }
    }
}
