//! Users and what belongs to one user alone: account, devices, tokens, profile, account data,
//! filters, presence.
//!
//! - [`Users`] gives every Matrix user this server has heard of a number. Other crates know users by
//!   their numbers.
//! - [`Accounts`] offers the rest, one module for each subject. A request with an access token that
//!   was used lately is answered from memory.
//! - [`Presence`] is who is there now; it is kept in memory only.
//!
//! Of passwords only Argon2id hashes are stored, of tokens only BLAKE3 hashes.

mod accounts;
mod data;
mod devices;
mod directory;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod ignored;
pub mod limits;
mod model;
mod passwords;
mod presence;
mod profiles;
mod rules;
mod sessions;
mod store;
mod tokens;
mod users;
mod watch;

use std::{collections::HashMap, sync::Arc, time::Duration};

use haechi_base::{Clock, UserNid};
use haechi_store::{Change, Commit, Db, Schema, schema};
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};

pub use accounts::Registration;
pub use error::{AccountError, Refusal, Result};
pub use ignored::Ignored;
pub use model::{
    AccountDatum, AccountInfo, Device, DeviceWish, FoundUser, Login, RegistrationToken, Session,
    Tokens,
};
pub use presence::{Presence, PresenceInfo};
pub use store::{
    data::{get_account_data, put_account_data},
    users::ensure_user,
};
pub use users::Users;
pub use watch::{DeviceHooks, HookFuture};

use ignored::IgnoredCache;
use passwords::Passwords;
use tokens::{Seen, TokenCache};
use watch::Watch;

/// The tables of this crate. No other crate's tables need to be there first.
pub static SCHEMA: Schema = schema!("accounts": "0001_accounts");

/// How accounts behave.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The part after the colon in the ids of this server's users.
    pub server_name: OwnedServerName,
    /// How long an access token is good, for clients that can refresh it.
    pub access_token_life: Duration,
    /// Shortest password in characters.
    pub password_chars_min: usize,
}

impl AccountSettings {
    /// The usual settings for a server of this name.
    pub fn new(server_name: OwnedServerName) -> Self {
        Self { server_name, access_token_life: Duration::from_hours(1), password_chars_min: 8 }
    }
}

/// The accounts of this server. Clones share their caches.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    settings: AccountSettings,
    users: Users,
    passwords: Passwords,
    watch: Watch,
    ignored: IgnoredCache,
    /// Devices that were used and whose rows do not say so yet.
    seen: Mutex<HashMap<(UserNid, String), Seen>>,
}

impl Accounts {
    /// Forgets what memory holds of what other nodes changed; to be called before anybody is told.
    pub fn hear(&self, commit: &Commit) {
        if !commit.foreign.is_empty() {
            self.0.watch.tokens.forget(None);
            self.0.ignored.forget(None);
        }
        for note in &commit.heard {
            match note.change {
                Change::Sessions(user) => self.0.watch.tokens.forget(Some(user)),
                Change::AccountData(user) => self.0.ignored.forget(Some(user)),
                _ => {}
            }
        }
    }

    /// Opens the accounts in `db`. To be called once: a second cache would not hear of the first
    /// one's logouts. `hooks` keeps what others store for devices in step.
    pub fn new(
        db: Db,
        clock: Clock,
        settings: AccountSettings,
        hooks: Option<Arc<dyn DeviceHooks>>,
    ) -> Self {
        let watch = Watch { tokens: Arc::new(TokenCache::new()), hooks };
        let users = Users::new(db.clone());
        let seen = Mutex::default();
        let passwords = Passwords::new();
        let ignored = IgnoredCache::new();
        Self(Arc::new(Inner { db, clock, settings, users, passwords, watch, ignored, seen }))
    }

    /// The numbers of users.
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// The name of this server.
    pub fn server_name(&self) -> &ServerName {
        &self.0.settings.server_name
    }
}

#[cfg(test)]
mod tests;
