//! `initial-sync`: what a user with many rooms waits for when a client starts anew.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::{self, Api},
    error::{Error, Result},
    figures::{Report, Times},
    load::{Env, Used, Window, block_on, pool},
    scenario::add_memory,
    setup,
};

/// How many rooms.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Rooms of the user
    #[arg(long, default_value_t = 300)]
    rooms: usize,
    /// Messages in each room
    #[arg(long, default_value_t = 5)]
    messages: u32,
    /// How often each kind of sync is done
    #[arg(long, default_value_t = 10)]
    repeats: u32,
}

/// The user who syncs is client 0; the rooms are made by the others.
const USERS: usize = 9;

/// Measures.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let users = setup::users(env, USERS)?;
    let groups: Vec<Vec<usize>> =
        (0..options.rooms).map(|room| vec![1 + room % (USERS - 1), 0]).collect();
    let rooms = setup::rooms(env, &users, &groups)?;
    pool(env, setup::AT_ONCE, rooms.len(), async |index| {
        let creator = rooms[index].members[0];
        let mut api = Api::new(env.target(creator), &users[creator]);
        for number in 0..options.messages {
            let room = u32::try_from(index).unwrap_or(u32::MAX);
            api.send(&rooms[index].id, room, number).await?;
        }
        Ok(())
    })?;
    let mut report = Report::new("initial-sync");
    report.count("rooms", options.rooms as u64);
    let lazy = json!({ "room": { "state": { "lazy_load_members": true } } }).to_string();
    let mut api = Api::new(env.target(0), &users[0]);
    let (full, used) = repeat(env, options.repeats, &mut api, &async |api, turn| {
        api.sync(None, turn, None).await
    })?;
    full.check("rooms.join", options.rooms)?;
    full.report(&mut report, "sync_full");
    add_cpu(&mut report, env, used, "sync_cpu_ms", options.repeats);
    let (some, _) = repeat(env, options.repeats, &mut api, &async |api, turn| {
        api.sync(None, turn, Some(&lazy)).await
    })?;
    some.check("rooms.join", options.rooms)?;
    some.report(&mut report, "sync_lazy");
    let since = api::next_batch(&some.last)?;
    let (empty, _) = repeat(env, options.repeats, &mut api, &async |api, _| {
        api.sync(Some(&since), 0, Some(&lazy)).await
    })?;
    report.times("sync_empty_incremental_ms", &empty.times);
    let (sliding, used) = repeat(env, options.repeats, &mut api, &async |api, turn| {
        api.sliding(None, 0, first_window(turn).as_bytes()).await
    })?;
    sliding.check("rooms", options.rooms.min(WINDOW))?;
    sliding.report(&mut report, "sliding");
    report.count("sliding_rooms", sliding.entries("rooms")? as u64);
    add_cpu(&mut report, env, used, "sliding_cpu_ms", options.repeats);
    add_memory(&mut report, env);
    Ok(report)
}

/// Rooms in the window of sliding sync.
const WINDOW: usize = 20;

/// What a client asks for when it starts, on a connection of its own for each turn.
fn first_window(turn: u32) -> String {
    let required = [
        ["m.room.create", ""],
        ["m.room.name", ""],
        ["m.room.topic", ""],
        ["m.room.avatar", ""],
        ["m.room.canonical_alias", ""],
        ["m.room.encryption", ""],
        ["m.room.power_levels", ""],
        ["m.room.join_rules", ""],
        ["m.room.history_visibility", ""],
        ["m.room.tombstone", ""],
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
        ["m.space.child", "*"],
        ["m.space.parent", "*"],
    ];
    json!({
        "conn_id": format!("bench{turn}"),
        "lists": { "all": {
            "ranges": [[0, WINDOW - 1]],
            "timeline_limit": 20,
            "required_state": required,
        } },
        "extensions": {
            "account_data": { "enabled": true },
            "e2ee": { "enabled": true },
            "receipts": { "enabled": true },
            "to_device": { "enabled": true },
            "typing": { "enabled": true },
        },
    })
    .to_string()
}

/// Answers to the same request.
struct Answers {
    times: Times,
    last: Vec<u8>,
}

impl Answers {
    /// How many entries the object at `path` in the last answer has.
    fn entries(&self, path: &str) -> Result<usize> {
        let answer: Value =
            serde_json::from_slice(&self.last).map_err(|_| Error::Missing("JSON"))?;
        let mut value = &answer;
        for key in path.split('.') {
            value = &value[key];
        }
        Ok(value.as_object().map_or(0, serde_json::Map::len))
    }

    /// Fails unless the last answer has that many rooms: a fast answer without them is worth nothing.
    fn check(&self, path: &str, rooms: usize) -> Result<()> {
        let found = self.entries(path)?;
        if found == rooms { Ok(()) } else { Err(Error::Missing("the rooms asked for")) }
    }

    fn report(&self, report: &mut Report, name: &str) {
        report.times(&format!("{name}_ms"), &self.times);
        report.count(&format!("{name}_bytes"), self.last.len() as u64);
    }
}

/// Asks the same thing `repeats` times. `ask` is told the turn, so that it can make each request a
/// little different: a server that keeps whole answers is to work for each.
fn repeat(
    env: &Env,
    repeats: u32,
    api: &mut Api,
    ask: &impl AsyncFn(&mut Api, u32) -> Result<&[u8]>,
) -> Result<(Answers, Option<Used>)> {
    let window = Window::new(env, 1);
    let answers = block_on(async {
        let mut answers = Answers { times: Times::new(), last: Vec::new() };
        window.open().await;
        for turn in 0..repeats {
            let begun = Instant::now();
            let answer = ask(api, turn).await?;
            answers.times.record(begun.elapsed());
            answers.last.clear();
            answers.last.extend_from_slice(answer);
        }
        window.close().await;
        Ok(answers)
    })?;
    Ok((answers, window.used()))
}

fn add_cpu(report: &mut Report, env: &Env, used: Option<Used>, name: &str, repeats: u32) {
    if let Some(used) = used.filter(|_| env.meter().known()) {
        report.add(name, used.cpu.total_s() * 1000.0 / f64::from(repeats.max(1)));
    }
}
