//! What handlers work with.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use haechi_accounts::{Accounts, Presence, Session};
use haechi_base::UserNid;
use haechi_http::{ApiError, Authenticate, RateLimiter};
use haechi_keys::Keys;
use haechi_matrix::{RoomVersion, filter::SyncFilter};
use haechi_media::Media;
use haechi_push::Push;
use haechi_rooms::Rooms;
use haechi_sync::Sync;
use moka::sync::Cache;
use ruma::UserId;

use crate::{Error, Relays, Result};

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients reach the server from outside, without a slash at the end.
    pub public_base_url: String,
    /// Who may register.
    pub registration: RegistrationMode,
    /// The version of new rooms.
    pub default_room_version: RoomVersion,
    /// Is media also served by the old paths, to whoever asks without an access token?
    pub media_without_token: bool,
    /// Relays for calls, if there are any.
    pub relays: Option<Relays>,
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Anybody.
    Open,
    /// Whoever has a registration token.
    Token,
    /// Nobody.
    Closed,
}

/// The domain crates and settings that handlers use.
pub struct Handles {
    /// How the API behaves.
    pub settings: Settings,
    /// How often callers may ask.
    pub limiter: RateLimiter,
    /// Users and what belongs to one user.
    pub accounts: Accounts,
    /// Who is there now.
    pub presence: Presence,
    /// Rooms.
    pub rooms: Rooms,
    /// Keys and messages between devices.
    pub keys: Keys,
    /// Push rules, pushers, notifications.
    pub push: Push,
    /// What changed for whom.
    pub sync: Sync,
    /// Files.
    pub media: Media,
    /// Stored filters, compiled.
    pub filters: FilterCache,
}

/// Stored filters by user and id, ready for use; a stored filter never changes.
#[derive(Clone)]
pub struct FilterCache(Cache<(UserNid, String), Arc<SyncFilter>>);

/// Filters kept ready.
const FILTERS_MAX: u64 = 100_000;

impl Default for FilterCache {
    fn default() -> Self {
        Self(Cache::new(FILTERS_MAX))
    }
}

/// The state of the router: [`Handles`], shared.
#[derive(Clone)]
pub struct App(Arc<Handles>);

impl App {
    /// An app with these handles.
    pub fn new(handles: Handles) -> Self {
        Self(Arc::new(handles))
    }
}

impl Deref for App {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

impl App {
    /// The stored filter with this id, ready for use.
    pub(crate) async fn filter(&self, user: UserNid, id: &str) -> Result<Option<Arc<SyncFilter>>> {
        let key = (user, id.to_owned());
        if let Some(filter) = self.filters.0.get(&key) {
            return Ok(Some(filter));
        }
        let Some(stored) = self.accounts.filter(user, id).await? else { return Ok(None) };
        let definition = serde_json::from_str(stored.get()).map_err(ApiError::internal)?;
        let filter = SyncFilter::new(definition)
            .map_err(|error| ApiError::invalid_param(error.to_string()))?;
        let filter = Arc::new(filter);
        self.filters.0.insert(key, Arc::clone(&filter));
        Ok(Some(filter))
    }
}

impl Authenticate for App {
    async fn authenticate(&self, token: &str, ip: IpAddr) -> Result<Session, ApiError> {
        self.accounts.authenticate(token, ip).await.map_err(|error| Error::from(error).0)
    }

    fn rate_limiter(&self) -> &RateLimiter {
        &self.limiter
    }
}

/// Refuses whoever acts on another user's things.
pub(crate) fn only_self(session: &Session, user_id: &UserId) -> Result<(), ApiError> {
    if session.user_id == user_id {
        return Ok(());
    }
    Err(ApiError::forbidden("You can do this only for yourself"))
}
