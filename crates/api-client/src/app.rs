//! What handlers work with.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use haechi_accounts::{Accounts, Presence, Session};
use haechi_http::{ApiError, Authenticate, RateLimiter};
use haechi_keys::Keys;
use ruma::{RoomVersionId, UserId};

use crate::Error;

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients reach the server from outside, without a slash at the end.
    pub public_base_url: String,
    /// Who may register.
    pub registration: RegistrationMode,
    /// The version of new rooms.
    pub default_room_version: RoomVersionId,
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
    /// What end-to-end encryption needs.
    pub keys: Keys,
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
