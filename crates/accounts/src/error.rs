//! What can go wrong with accounts.

use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = AccountError> = std::result::Result<T, E>;

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More passwords wait to be checked than the server has time for.
    #[error("too many passwords to check")]
    Busy,
    /// Hashing failed: a broken hash in the database, or no memory.
    #[error("password hashing failed: {0}")]
    Hashing(String),
}

/// Why the rules forbid something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name belongs to somebody, perhaps to a deactivated account.
    #[error("this user name is taken")]
    UserInUse,
    /// The name does not fit the grammar of user ids.
    #[error(
        "a user name is made of a-z, 0-9 and . _ = - / +, and the whole id of at most 255 bytes"
    )]
    InvalidUsername,
    /// The password is too short.
    #[error("a password needs at least {0} characters")]
    PasswordTooShort(usize),
    /// The password is too long to be hashed.
    #[error("a password has at most {0} bytes")]
    PasswordTooLong(usize),
    /// The device id is empty or too long.
    #[error("a device id has 1 to {0} bytes")]
    InvalidDeviceId(usize),
    /// User or password are wrong; which of them is not told.
    #[error("invalid username or password")]
    WrongPassword,
    /// The account was deactivated.
    #[error("this account has been deactivated")]
    Deactivated,
    /// There is no such account.
    #[error("no such user")]
    NoSuchUser,
    /// The user has no such device.
    #[error("no such device")]
    NoSuchDevice,
    /// The token is not known, or was used up.
    #[error("unknown token")]
    UnknownToken,
    /// The access token was good once; its refresh token may still be.
    #[error("token has expired")]
    ExpiredToken,
    /// The registration token is unknown, expired or used up.
    #[error("invalid registration token")]
    RegistrationToken,
    /// A registration token of this name exists.
    #[error("this registration token exists already")]
    RegistrationTokenExists,
    /// The user has as many of these as he may.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The name of a profile field is longer than 255 bytes.
    #[error("the name of a profile field has at most 255 bytes")]
    KeyTooLarge,
    /// The profile would be larger than 64 KiB.
    #[error("a profile has at most 64 KiB")]
    ProfileTooLarge,
    /// A profile field or other value has the wrong type or length.
    #[error("{0}")]
    InvalidValue(&'static str),
}
