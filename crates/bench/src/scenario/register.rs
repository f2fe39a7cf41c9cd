//! `register`: users with a password, so what is measured is mostly the hash.

use std::time::Instant;

use clap::Args;

use crate::{
    api::Api,
    error::Result,
    figures::{Report, Times},
    load::{Env, Window, block_on, pool},
    scenario::{add_costs, per_second},
};

/// How to register.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How many users
    #[arg(long, default_value_t = 300)]
    users: usize,
    /// Registrations under way at a time
    #[arg(long, default_value_t = 16)]
    at_once: usize,
}

/// Measures.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let window = Window::new(env, 1);
    block_on(async { Ok(window.open().await) })?;
    let times = pool(env, options.at_once, options.users, async |index| {
        let begun = Instant::now();
        Api::anonymous(env.target(index)).register(&format!("{}{index}", env.prefix)).await?;
        Ok(begun.elapsed())
    })?;
    block_on(async { Ok(window.close().await) })?;
    let mut report = Report::new("register");
    if let Some(used) = window.used() {
        report.add("per_s", per_second(options.users, used.time));
    }
    report.times("register_ms", &times.into_iter().collect::<Times>());
    add_costs(&mut report, env, window.used(), 0);
    Ok(report)
}
