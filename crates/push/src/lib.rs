//! Push: which events notify whom, and telling their devices of it.
//!
//! - Push rules are account data, changed by [`Push::set_rule`] and its kin. [`Push::start`] makes
//!   rooms ask them for every event, which gives the unread counts.
//! - A pusher ([`Push::set_pusher`]) names a gateway that is called for each event which notifies its
//!   user. [`Push::on_commit`] hears of the events; nothing is written for each of them, only how far
//!   all have come, and where one is behind whose gateway is in trouble. A call that was under way
//!   when the server stopped is made again: at least once, never lost.
//! - [`Push::notifications`] lists what has notified a user.

mod book;
mod desks;
mod error;
mod feed;
mod gateway;
mod hooks;
mod judge;
mod model;
mod notice;
mod notifications;
mod pushers;
mod rules;
mod rulesets;
mod store;
mod worker;

use std::sync::{Arc, atomic::AtomicBool};

use haechi_accounts::Accounts;
use haechi_base::Clock;
use haechi_rooms::Rooms;
use haechi_store::{Db, Schema, schema};
use moka::sync::Cache;
use tokio::sync::{Semaphore, mpsc, watch};

pub use book::PUSH_RULES;
pub use error::{PushError, Refusal, Result};
pub use hooks::PusherHooks;
pub use model::{BadgeCounts, PushSettings};
pub use notifications::{Notification, NotificationKind, NotificationToken};
pub use rulesets::push_rules_content;
pub use store::pushers::delete_pushers;

use book::RuleBook;
use desks::Desks;
use feed::{COMMITS_WAITING_MAX, Heard};
use gateway::Gateways;
use judge::Judge;
use model::PusherNid;
use pushers::Registry;
use rules::Schemes;

/// The tables of this crate.
pub static SCHEMA: Schema = schema!("push": "0001_push");

/// Calls to gateways at the same time.
const CALLS_MAX: usize = 256;
/// Pushers whose last badge is remembered.
const BADGES_MAX: u64 = 200_000;

/// Push rules, pushers and what they do; clones share them.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    rooms: Rooms,
    settings: PushSettings,
    book: RuleBook,
    registry: Registry,
    desks: Desks,
    gateways: Gateways,
    calls: Semaphore,
    /// The number last told to each pusher.
    badges: Cache<PusherNid, i64>,
    heard: mpsc::Sender<Heard>,
    /// Was something not heard?
    missed: AtomicBool,
    closing: watch::Receiver<bool>,
}

impl Push {
    /// Opens push over `rooms`, which ask it for every event from now on, and goes on telling gateways
    /// what they were not told before the server stopped. Ends when `closing` turns true.
    ///
    /// From here on [`Push::on_commit`] must be called with every commit.
    pub async fn start(
        db: Db,
        clock: Clock,
        accounts: Accounts,
        rooms: Rooms,
        settings: PushSettings,
        closing: watch::Receiver<bool>,
    ) -> Result<Self> {
        let book = RuleBook::new(accounts);
        rooms.set_push_rules(Arc::new(Judge::new(book.clone())));
        let (heard, feed) = mpsc::channel(COMMITS_WAITING_MAX);
        let push = Self(Arc::new(Inner {
            db,
            clock,
            rooms,
            gateways: Gateways::new(&settings)?,
            settings,
            book,
            registry: Registry::default(),
            desks: Desks::default(),
            calls: Semaphore::new(CALLS_MAX),
            badges: Cache::new(BADGES_MAX),
            heard,
            missed: AtomicBool::new(false),
            closing,
        }));
        let noted = push.restore().await?;
        tokio::spawn(push.clone().listen(feed, noted));
        Ok(push)
    }
}

impl Inner {
    fn schemes(&self) -> Schemes {
        if self.settings.allow_private_addresses { Schemes::HttpToo } else { Schemes::Https }
    }
}

/// Waits until the server closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // Without a sender it is closed already.
    let _ = closing.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests;
