//! What can go wrong, each with the Matrix error it is meant to become.

use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = KeysError> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeysError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not the JSON that is asked for: `M_BAD_JSON`.
    #[error("{0}")]
    BadJson(String),
    /// A value is not allowed: `M_INVALID_PARAM`.
    #[error("{0}")]
    Invalid(String),
    /// More than the server keeps for one device or user: `M_TOO_LARGE`.
    #[error("{0}")]
    TooLarge(String),
    /// Another key has this id. Clients recognise the text; status 400, `M_UNKNOWN`.
    #[error("One time key {id} already exists. Old key: {old}; new key: {new}")]
    OneTimeKeyExists {
        /// `algorithm:id`.
        id: String,
        /// JSON of the key that is stored.
        old: String,
        /// JSON of the key that was refused.
        new: String,
    },
    /// There is no master key to check the other keys with: `M_MISSING_PARAM`.
    #[error("No master signing key is available")]
    NoMasterKey,
    /// `M_INVALID_SIGNATURE`.
    #[error("Invalid signature")]
    InvalidSignature,
    /// A public key is also the id of a device: 403, `M_FORBIDDEN`.
    #[error("Key ID in use")]
    KeyIdInUse,
    /// The user must prove again who he is; then ask again with the proof.
    #[error("User-interactive authentication is needed to replace keys")]
    AuthRequired,
    /// 404, `M_NOT_FOUND`.
    #[error("{0}")]
    NotFound(&'static str),
    /// 403, `M_WRONG_ROOM_KEYS_VERSION`, with `current_version`.
    #[error("Wrong backup version.")]
    WrongBackupVersion {
        /// The version that takes keys now.
        current: String,
    },
    /// 403, `M_FORBIDDEN`.
    #[error("{0}")]
    Forbidden(&'static str),
}

impl KeysError {
    pub(crate) const UNKNOWN_BACKUP: Self = Self::NotFound("Unknown backup version");
    pub(crate) const NO_DEHYDRATED_DEVICE: Self = Self::NotFound("No dehydrated device");
}
