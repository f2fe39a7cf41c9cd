//! The binary `haechi`.

mod admin;
mod cli;
mod commands;
mod compose;
mod health;
mod listen;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Tens of thousands of connections with small, short-lived answers: what it is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Config { command } => commands::config::run(&command),
        Command::Media { command, flags } => commands::media::run(command, &flags),
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
