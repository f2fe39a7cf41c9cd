//! The binary `haechi`.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Config { command } => commands::config::run(&command),
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
