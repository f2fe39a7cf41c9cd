//! Statements and works, one module for each subject.

pub(crate) mod accounts;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod filters;
pub(crate) mod profiles;
pub(crate) mod registration_tokens;
pub(crate) mod short_tokens;
pub(crate) mod tokens;
pub(crate) mod users;

use haechi_base::UserNid;
use haechi_store::{LockKey, StoreError};
use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;

/// Spaces of locks that are neither rooms nor users.
const LOCK_NAME: u8 = 1;
const LOCK_REGISTRATION_TOKEN: u8 = 2;

/// Lock of a name that has no number yet.
fn name_lock(user_id: &UserId) -> LockKey {
    LockKey::Other(LOCK_NAME, fingerprint(user_id.as_str()))
}

fn fingerprint(text: &str) -> i64 {
    let hash = blake3::hash(text.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    i64::from_le_bytes(*first)
}

/// A user id as read from the database.
fn user_id(statement: &'static str, text: &str) -> Result<OwnedUserId, StoreError> {
    UserId::parse(text).map_err(|error| corrupt(statement, &error))
}

/// JSON as read from the database.
fn raw_json(statement: &'static str, bytes: Vec<u8>) -> Result<Box<RawValue>, StoreError> {
    let text = String::from_utf8(bytes).map_err(|error| corrupt(statement, &error))?;
    RawValue::from_string(text).map_err(|error| corrupt(statement, &error))
}

fn corrupt(statement: &'static str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { statement, column: 0, reason: error.to_string() }
}

/// The lock of all that belongs to one user.
fn user_lock(user: UserNid) -> haechi_store::Locks {
    haechi_store::Locks::one(LockKey::User(user))
}
