//! What changed for a user between two points in time.
//!
//! One engine finds out what there is to look at: from memory for those who sync with this node all
//! the time, from indexes for strangers. `/sync` ([`v3`]) and sliding sync are two ways to tell it.

mod account_data;
mod device_lists;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hub;
mod key_changes;
mod news;
mod pace;
mod presence;
mod room;
pub mod sliding;
mod token;
pub mod v3;

use std::sync::Arc;

use haechi_accounts::{Accounts, Presence, Users};
use haechi_base::{Clock, UserNid};
use haechi_keys::Keys;
use haechi_rooms::Rooms;
use haechi_store::{Commit, Db};
use ruma::OwnedUserId;
use tokio::sync::{mpsc, watch};

pub use error::{Result, SyncError};
pub use token::{NotAToken, SyncToken};

use hub::Hub;

/// Answers sync requests; clones share the work.
#[derive(Clone)]
pub struct Sync(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) hub: Hub,
    pub(crate) rooms: Rooms,
    pub(crate) users: Users,
    pub(crate) accounts: Accounts,
    pub(crate) presence: Presence,
    pub(crate) keys: Keys,
    pub(crate) connections: sliding::Connections,
    /// Turns true when the server shuts down: nobody is to wait any longer.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Which device of which user asks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The user's number.
    pub user: UserNid,
    /// The user's Matrix id.
    pub user_id: OwnedUserId,
    /// The device's id.
    pub device: Arc<str>,
}

impl Sync {
    /// Starts listening to `feed`, which must be the one of `db`.
    ///
    /// Whoever waits is answered at once when `closing` turns true.
    #[expect(clippy::too_many_arguments, reason = "all that sync draws from, once, at the start")]
    pub fn start(
        db: &Db,
        feed: mpsc::Receiver<Commit>,
        rooms: Rooms,
        accounts: Accounts,
        presence: Presence,
        keys: Keys,
        clock: Clock,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let users = accounts.users().clone();
        let caches = (rooms.clone(), accounts.clone(), keys.clone());
        let hub = Hub::start(db, caches, clock, feed);
        let connections = sliding::Connections::default();
        let inner = Inner { hub, rooms, users, accounts, presence, keys, connections, closing };
        Self(Arc::new(inner))
    }
}
