//! Push: which events notify whom, and telling their devices of it.
//!
//! - Push rules are account data, changed by [`Push::set_rule`] and its kin. [`Push::start`] makes
//!   rooms ask them for every event, which gives the unread counts.
//! - A pusher ([`Push::set_pusher`]) names a gateway to be called for each event that notifies its
//!   user. [`Push::on_commit`] hears of events; nothing is written for each of them.
//! - [`Push::notifications`] lists what has notified a user.

mod book;
mod error;
mod judge;
mod rulesets;

use std::sync::Arc;

use haechi_accounts::Accounts;
use haechi_rooms::Rooms;
use haechi_store::{Schema, schema};

pub use error::{PushError, Refusal, Result};
pub use rulesets::push_rules_content;

use book::RuleBook;
use judge::Judge;

/// The tables of this crate.
pub static SCHEMA: Schema = schema!("push": "0001_push");

/// Push rules, pushers and what they do; clones share them.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    book: RuleBook,
}

impl Push {
    /// Opens push over `rooms`, which ask it from now on.
    pub fn start(accounts: Accounts, rooms: &Rooms) -> Self {
        let book = RuleBook::new(accounts);
        rooms.set_push_rules(Arc::new(Judge::new(book.clone())));
        Self(Arc::new(Inner { book }))
    }
}
