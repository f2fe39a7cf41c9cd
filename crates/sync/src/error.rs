//! What can go wrong in a sync.

use haechi_accounts::AccountError;
use haechi_keys::KeysError;
use haechi_rooms::RoomError;
use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = SyncError> = std::result::Result<T, E>;

/// What can go wrong in a sync.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// This node has not caught up with the client's token; the client may ask again.
    #[error("this server has not yet caught up with where you were; try again")]
    Behind,
    /// `M_UNKNOWN_POS`: this node does not know the connection; the client is to start a new one.
    #[error("this connection has ended; start a new one")]
    UnknownPos,
    /// `M_INVALID_PARAM`: something in the request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A room failed.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// Keys or to-device messages failed.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Account data failed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
