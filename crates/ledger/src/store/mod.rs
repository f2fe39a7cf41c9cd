//! Statements and works.

pub(crate) mod changes;
pub(crate) mod load;
pub(crate) mod proof;
pub(crate) mod read;
pub(crate) mod write;

use haechi_base::Millis;
use haechi_store::{FromRow, LockKey, Result, Row, StoreError};

use crate::{
    encode::StoredEntry,
    merkle::Hash,
    model::{EntryPos, LedgerId},
};

/// The space of locks of ledgers: whoever writes to a ledger holds its lock until the commit.
const LOCK_LEDGER: u8 = 50;

/// What a work must hold before it loads [`crate::Books`] of this ledger.
pub fn lock(ledger: LedgerId) -> LockKey {
    LockKey::Other(LOCK_LEDGER, ledger.0.into())
}

impl FromRow for StoredEntry {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            pos: EntryPos(row.get(0)?),
            kind: row.get(1)?,
            id: row.get(2)?,
            debit: row.get(3)?,
            credit: row.get(4)?,
            at: row.get::<Millis>(5)?,
            body: row.get(6)?,
            hash: row.get(7)?,
        })
    }
}

fn corrupt(statement: &'static str, reason: &str) -> StoreError {
    StoreError::Corrupt { statement, column: 0, reason: reason.to_owned() }
}

fn hash(statement: &'static str, bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| corrupt(statement, "a hash has 32 bytes"))
}
