//! `storm`: all users come back at once, with the tokens from before and messages to catch up on.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::join_all;

use crate::{
    api::Api,
    check::{Sent, Verdict, judge},
    error::{Error, Result, tell},
    figures::{Report, Times},
    listener::{Kept, Listener, Mode},
    load::{Env, Window, deal, on_threads, pool},
    scenario::{add_costs, per_second},
    setup,
};

/// How many come back.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Users
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Members of each room
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Messages sent to each room while the users are away
    #[arg(long, default_value_t = 5)]
    messages: u32,
    /// Restart the server before they come back
    #[arg(long)]
    restart: bool,
}

/// Longest that a user tries to get all messages.
const PATIENCE: Duration = Duration::from_mins(3);

/// A user on the way back.
struct Returning {
    client: usize,
    room_id: String,
    kept: Kept,
}

/// What a user got when coming back.
struct Return {
    first_answer: Duration,
    all_messages: Option<Duration>,
    errors: u64,
    verdict: Verdict,
}

/// Measures.
pub(crate) fn run(env: &Env, options: &Options) -> Result<Report> {
    let rooms_count = options.clients.div_ceil(options.members.max(1)).max(1);
    let (users, rooms) = setup::users_in_rooms(env, rooms_count, options.members)?;
    let mut returning = pool(env, setup::AT_ONCE, users.len(), async |client| {
        let room_id = rooms[client / options.members].id.clone();
        let api = Api::new(env.target(client), &users[client]);
        let mut listener = Listener::new(api, &users[client], Mode::Sync, &room_id).await?;
        listener.poll(0).await?;
        Ok(Returning { client, room_id, kept: listener.leave() })
    })?;
    returning.truncate(options.clients);
    pool(env, setup::AT_ONCE, rooms.len(), async |room| {
        let sender = rooms[room].members[0];
        let mut api = Api::new(env.target(sender), &users[sender]);
        for number in 0..options.messages {
            api.send(&rooms[room].id, u32::try_from(room).unwrap_or(u32::MAX), number).await?;
        }
        Ok(())
    })?;
    let title = if options.restart { "storm-restart" } else { "storm" };
    let mut report = Report::new(title);
    report.count("users", returning.len() as u64);
    if options.restart {
        report.add("restart_secs", restart(env)?.as_secs_f64());
    }
    let hands = deal(returning, env.threads);
    let window = Window::new(env, hands.len());
    let window = &window;
    let parts = on_threads(hands, |hand| async {
        let start = window.open().await;
        let returns = hand.into_iter().map(|returning| {
            let api = Api::new(env.target(returning.client), &users[returning.client]);
            come_back(api, returning, start, options.messages)
        });
        let returns = join_all(returns).await;
        window.close().await;
        Ok(returns)
    })?;
    let returns: Vec<Return> = parts.into_iter().flatten().collect();
    if let Some(used) = window.used() {
        report.add("secs", used.time.as_secs_f64());
        report.add("syncs_per_s", per_second(returns.len(), used.time));
    }
    report.times("first_answer_ms", &returns.iter().map(|r| r.first_answer).collect::<Times>());
    let complete: Times = returns.iter().filter_map(|r| r.all_messages).collect();
    report.times("all_messages_ms", &complete);
    report.count("errors", returns.iter().map(|r| r.errors).sum());
    let mut verdict = Verdict::default();
    for back in &returns {
        verdict.add(back.verdict);
    }
    verdict.report(&mut report);
    add_costs(&mut report, env, window.used(), 0);
    Ok(report)
}

/// Restarts the server, which must be ours.
fn restart(env: &Env) -> Result<Duration> {
    let server = env.server.as_ref().ok_or_else(|| {
        Error::Usage("a restart needs a server started with --server-bin".to_owned())
    })?;
    let (time, meter) = {
        let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
        (server.restart()?, server.meter())
    };
    *env.meter.lock().unwrap_or_else(PoisonError::into_inner) = meter;
    Ok(time)
}

/// One user's coming back: connects, and syncs until all messages are there.
async fn come_back(api: Api, returning: Returning, start: Instant, messages: u32) -> Return {
    let Returning { room_id, kept, .. } = returning;
    let mut listener = Listener::resume(api, Mode::Sync, room_id, kept);
    let mut back = Return {
        first_answer: PATIENCE,
        all_messages: None,
        errors: 0,
        verdict: Verdict::default(),
    };
    let mut answered = false;
    while start.elapsed() < PATIENCE {
        match listener.poll(0).await {
            Ok(at) if !answered => {
                answered = true;
                back.first_answer = at - start;
            }
            Ok(_) => {}
            Err(error) => {
                tell(&error);
                back.errors += 1;
            }
        }
        if listener.log.arrivals.len() >= messages as usize {
            back.all_messages = Some(start.elapsed());
            break;
        }
    }
    let sent = vec![Sent { sender: 0, acknowledged: true }; messages as usize];
    back.verdict = judge(&sent, &[listener.log.numbers()]);
    back
}
