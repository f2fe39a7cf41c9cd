//! Statements and works.

pub(crate) mod asks;
pub(crate) mod give;
pub(crate) mod operator;
pub(crate) mod people;
pub(crate) mod rows;
pub(crate) mod settle;
pub(crate) mod share;

use haechi_base::{Millis, UserNid};
use haechi_ledger::{LedgerId, lock};
use haechi_store::{Addition, LockKey, Locks, Result, Tx, Value, sql};

use crate::{error::Refusal, model::Key, rules::digest};

sql!(REQUEST_FIND, "SELECT digest, made FROM pay_request WHERE user_nid = ?1 AND request_key = ?2");
sql!(
    REQUEST_KEEP,
    "INSERT INTO pay_request (user_nid, request_key, digest, made, created_ms)
     VALUES (?1, ?2, ?3, ?4, ?5)"
);

/// What came of a work that a client asked for.
#[derive(Debug)]
pub(crate) enum Done<T> {
    /// It is done, now or when it was first asked for.
    Made(T),
    /// The rules forbid it; nothing was written.
    Refused(Refusal),
    /// The card was prepared on ground that has moved; nothing was written.
    Moved,
}

/// Leaves a work with a refusal.
macro_rules! granted {
    ($outcome:expr) => {
        match $outcome {
            Ok(value) => value,
            Err(refusal) => return Ok(crate::store::Done::Refused(refusal)),
        }
    };
}
pub(crate) use granted;

/// A request under its key.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    pub(crate) key: Key,
    /// A fingerprint of all that it asks for.
    pub(crate) digest: u128,
}

impl Keyed {
    pub(crate) fn new(key: Key, parts: &[&[u8]]) -> Self {
        Self { key, digest: digest(parts) }
    }

    /// An id that belongs to the key: asked again, the same.
    pub(crate) fn id(&self, what: &str) -> u128 {
        digest(&[what.as_bytes(), &self.key.user.0.to_be_bytes(), self.key.key.as_bytes()])
    }

    /// What was made under the key.
    pub(crate) async fn find(&self, tx: &mut Tx<'_>) -> Result<Result<Option<u128>, Refusal>> {
        let args = [self.key.user.into(), (&self.key.key).into()];
        let row: Option<(Vec<u8>, Vec<u8>)> = tx.opt(&REQUEST_FIND, &args).await?;
        Ok(match row {
            None => Ok(None),
            Some((digest, made)) if digest == self.digest.to_be_bytes() => {
                Ok(made.try_into().ok().map(u128::from_be_bytes))
            }
            Some(_) => Err(Refusal::KeyReused),
        })
    }

    pub(crate) async fn keep(&self, tx: &mut Tx<'_>, made: u128, now: Millis) -> Result<()> {
        let args = [
            self.key.user.into(),
            (&self.key.key).into(),
            Value::Blob(&self.digest.to_be_bytes()),
            Value::Blob(&made.to_be_bytes()),
            now.into(),
        ];
        tx.exec_one(&REQUEST_KEEP, &args).await
    }
}

/// What was made under a key, if it was.
pub(crate) struct FindRequest(pub(crate) Key);

impl haechi_store::Work for FindRequest {
    const NAME: &'static str = "pay.find_request";
    type Out = Option<u128>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.0.user.into(), (&self.0.key).into()];
        let row: Option<(Vec<u8>, Vec<u8>)> = tx.opt(&REQUEST_FIND, &args).await?;
        Ok(row.and_then(|(_, made)| made.try_into().ok().map(u128::from_be_bytes)))
    }
}

/// The locks of people, of a ledger, and of what rides along.
pub(crate) fn locks(
    people: &[UserNid],
    ledger: LedgerId,
    addition: Option<&dyn Addition>,
) -> Locks {
    let mut keys: Vec<LockKey> = people.iter().map(|user| LockKey::User(*user)).collect();
    keys.push(lock(ledger));
    if let Some(addition) = addition {
        keys.extend(addition.locks().keys());
    }
    keys.sort_unstable();
    keys.dedup();
    Locks::all(keys)
}
