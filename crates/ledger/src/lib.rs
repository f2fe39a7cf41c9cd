//! The ledger: double entry that cannot be wrong.
//!
//! The model is TigerBeetle's: [accounts](NewAccount) and immutable [transfers](NewTransfer) between
//! them, with ids that the caller makes beforehand, so that asking twice moves money once; transfers
//! that are pending until they are posted, voided or expired; chains that succeed or fail together;
//! a precise [code](TransferCode) for each refusal. Amounts are integers of 128 bits.
//!
//! - [`Ledger`] opens accounts and makes transfers. Callers at the same time share one work and one
//!   commit.
//! - [`Books`] do the same inside somebody else's [`Work`](haechi_store::Work), so that a service's
//!   own rows, a chat card and the money are written together or not at all.
//! - Each ledger (currency or unit) has a *journal*: every entry commits to the one before by its
//!   hash, and is a leaf of a Merkle tree, so that a [`Receipt`] proves it without trust in whoever
//!   runs the server. [`verify()`] checks all of it, [`export()`] writes it out.
//!
//! Entries of a ledger are made one after the other, under the lock of the ledger, in groups. Time is
//! the time of the log: it never goes back in a journal, whatever clock a node has.

mod codes;
mod encode;
mod export;
mod group;
mod merkle;
mod model;
mod rules;
mod store;
mod verify;

use haechi_base::{Clock, Millis};
use haechi_store::{Db, Schema, StoreError, schema};

pub use codes::{AccountCode, TransferCode};
pub use encode::{entry_bytes, entry_hash};
pub use export::{ExportError, Format, export};
pub use merkle::{Hash, Receipt, from_hex, to_hex};
pub use model::{
    AMOUNT_MAX, Account, AccountFlags, AccountId, Balances, Entry, EntryKind, EntryPos, LedgerId,
    NewAccount, NewTransfer, Pending, PendingState, Transfer, TransferFlags, TransferId, UserData,
};
pub use rules::{Books, Outcome};
pub use store::{
    lock,
    read::{HistoryQuery, JournalEnd, Order},
};
pub use verify::{Problem, Report, verify};

use group::{Groups, TRANSFERS_MAX};

/// The tables of this crate. No other crate's tables need to be there first.
pub static SCHEMA: Schema = schema!("ledger": "0001_ledger");

/// Most accounts or transfers of one request.
pub const REQUEST_MAX: usize = TRANSFERS_MAX;
/// Most entries in one page of an account's history.
pub const HISTORY_MAX: u32 = 1_000;
/// Pending transfers that one work ends.
const EXPIRE_MAX: i64 = 500;

/// Result of everything in this crate.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// What can go wrong beside what the [codes](TransferCode) tell.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// More was asked for at once than a request may hold.
    #[error("a request has at most {REQUEST_MAX} accounts or transfers")]
    TooMany,
    /// The store failed. When it is `Unknown`, ask again with the same ids.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The ledgers of this installation; clones share the queues.
#[derive(Clone)]
pub struct Ledger {
    db: Db,
    clock: Clock,
    groups: Groups,
}

impl Ledger {
    /// The ledgers in `db`.
    pub fn new(db: Db, clock: Clock) -> Self {
        let groups = Groups::new(db.clone(), clock.clone());
        Self { db, clock, groups }
    }

    /// Opens accounts, one after the other; answers in their order once they are durable.
    pub async fn open_accounts(&self, accounts: Vec<NewAccount>) -> Result<Vec<AccountCode>> {
        if accounts.len() > REQUEST_MAX {
            return Err(LedgerError::TooMany);
        }
        let work = store::changes::OpenAccounts { accounts, clock: self.clock.clone() };
        Ok(self.db.write(work).await?)
    }

    /// Makes transfers, one after the other; answers in their order once they are durable.
    ///
    /// Dropping the future does not stop them. When an error is returned, ask again with the same
    /// ids: what was made is told and not made again.
    pub async fn make_transfers(&self, transfers: Vec<NewTransfer>) -> Result<Vec<Outcome>> {
        if transfers.len() > REQUEST_MAX {
            return Err(LedgerError::TooMany);
        }
        if transfers.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.groups.make(transfers).await?)
    }

    /// Makes one transfer.
    pub async fn make_transfer(&self, transfer: NewTransfer) -> Result<Outcome> {
        let outcomes = self.make_transfers(vec![transfer]).await?;
        outcomes.first().copied().ok_or_else(|| {
            LedgerError::Store(StoreError::Unavailable("no answer to a transfer".to_owned()))
        })
    }

    /// Ends pending transfers whose time has passed, in all ledgers; tells how many. To be called
    /// every second or so, on any node or on all of them.
    pub async fn expire(&self) -> Result<usize> {
        let mut ended = 0;
        for ledger in self.ledgers().await? {
            let look = store::changes::AnyDue { ledger, now: self.clock.now() };
            if !self.db.read(look).await? {
                continue;
            }
            loop {
                let clock = self.clock.clone();
                let work = store::changes::Expire { ledger, most: EXPIRE_MAX, clock };
                let now_ended = self.db.write(work).await?.len();
                ended += now_ended;
                if i64::try_from(now_ended).is_ok_and(|count| count < EXPIRE_MAX) {
                    break;
                }
            }
        }
        Ok(ended)
    }

    /// The ledgers that have a journal.
    pub async fn ledgers(&self) -> Result<Vec<LedgerId>> {
        Ok(self.db.read(store::read::Ledgers).await?)
    }

    /// The accounts of these ids that exist, in no order.
    pub async fn accounts(&self, ids: Vec<AccountId>) -> Result<Vec<Account>> {
        Ok(self.db.read(store::read::Accounts(ids)).await?)
    }

    /// The transfers of these ids that were made, in no order, with what became of pending ones.
    pub async fn transfers(
        &self,
        ids: Vec<TransferId>,
    ) -> Result<Vec<(Transfer, Option<Pending>)>> {
        Ok(self.db.read(store::read::Transfers(ids)).await?)
    }

    /// What happened on an account. The position of the last entry is the cursor for more.
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<Entry>> {
        let limit = query.limit.min(HISTORY_MAX);
        Ok(self.db.read(store::read::History(HistoryQuery { limit, ..query })).await?)
    }

    /// The balances of an account right after the entry at `at`; `None` when there is no such
    /// account.
    pub async fn balances_at(&self, account: AccountId, at: EntryPos) -> Result<Option<Balances>> {
        Ok(self.db.read(store::read::BalancesAt { account, at }).await?)
    }

    /// The last entry of the ledger made at this time or before, by the time of the log.
    pub async fn position_at(&self, ledger: LedgerId, at: Millis) -> Result<EntryPos> {
        Ok(self.db.read(store::read::PositionAt { ledger, at }).await?)
    }

    /// Where the journal of a ledger ends now.
    pub async fn end(&self, ledger: LedgerId) -> Result<JournalEnd> {
        Ok(self.db.read(store::read::End(ledger)).await?)
    }

    /// A receipt for an entry; `None` when there is no such entry.
    pub async fn receipt(&self, pos: EntryPos) -> Result<Option<Receipt>> {
        Ok(self.db.read(store::proof::MakeReceipt(pos)).await?)
    }
}
