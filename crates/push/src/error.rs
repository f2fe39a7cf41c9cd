//! What can go wrong with push rules and pushers.

use haechi_accounts::AccountError;
use haechi_matrix::push_rules::EditError;
use haechi_rooms::RoomError;
use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = PushError> = std::result::Result<T, E>;

/// What can go wrong with push rules and pushers.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The change of push rules is not possible.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Account data could not be read or written.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A room could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// No client for HTTP could be set up.
    #[error(transparent)]
    Fetch(#[from] haechi_fetch::FetchError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the rules forbid something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `M_NOT_FOUND`.
    #[error("there is no such push rule")]
    NoSuchRule,
    /// `M_INVALID_PARAM`: the client gave a pusher a value it cannot have.
    #[error("{0}")]
    InvalidPusher(&'static str),
    /// `M_FORBIDDEN`: trying again would not help.
    #[error("a user has at most {0} pushers")]
    TooManyPushers(i64),
    /// `M_UNKNOWN_TOKEN`.
    #[error("the device was logged out")]
    LoggedOut,
    /// `M_INVALID_PARAM`.
    #[error("that is not a token of this server")]
    NotAToken,
}
