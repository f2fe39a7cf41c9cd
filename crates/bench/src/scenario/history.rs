//! `history`: reading a long room backwards.

use std::time::Instant;

use clap::Args;

use crate::{
    api::Api,
    error::Result,
    figures::{Report, Times},
    load::{Env, Window, block_on, pool},
    scan,
    scenario::{add_costs, per_second},
    setup,
};

/// How long a history.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Messages in the room
    #[arg(long, default_value_t = 20_000)]
    events: u32,
    /// Events a page
    #[arg(long, default_value_t = 100)]
    page: u32,
}

/// Members of the room; all of them write it full.
const MEMBERS: usize = 16;

/// Measures.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let (users, rooms) = setup::users_in_rooms(env, 1, MEMBERS)?;
    let room_id = rooms[0].id.as_str();
    pool(env, MEMBERS, MEMBERS, async |writer| {
        let mut api = Api::new(env.target(writer), &users[writer]);
        let own = u32::try_from(writer).unwrap_or_default()..options.events;
        for number in own.step_by(MEMBERS) {
            api.send(room_id, 0, number).await?;
        }
        Ok(())
    })?;
    let window = Window::new(env, 1);
    let (times, found, bytes) = block_on(async {
        let mut api = Api::new(env.target(0), &users[0]);
        let (mut times, mut found, mut bytes) = (Times::new(), 0, 0);
        let mut from: Option<String> = None;
        window.open().await;
        loop {
            let begun = Instant::now();
            let page = api.messages(room_id, from.as_deref(), options.page).await?;
            times.record(begun.elapsed());
            found += scan::messages(page).count();
            bytes += page.len();
            match scan::string(page, "end") {
                Some(end) if from.as_deref() != Some(&*end) => from = Some(end.into_owned()),
                _ => break,
            }
        }
        window.close().await;
        Ok((times, found, bytes))
    })?;
    let mut report = Report::new("history");
    report.count("events", found as u64);
    if let Some(used) = window.used() {
        report.add("events_per_s", per_second(found, used.time));
    }
    report.times("page_ms", &times);
    report.count("pages", times.count());
    report.count("bytes", bytes as u64);
    report.count("lost", u64::from(options.events).saturating_sub(found as u64));
    add_costs(&mut report, env, window.used(), 0);
    Ok(report)
}
