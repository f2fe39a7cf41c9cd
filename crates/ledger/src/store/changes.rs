//! Works that change ledgers.

use std::collections::BTreeSet;

use haechi_base::{Clock, Millis};
use haechi_store::{Locks, Result, Tx, Value, Work, sql};

use super::lock;
use crate::{
    codes::AccountCode,
    model::{LedgerId, NewAccount, NewTransfer, TransferId},
    rules::{Books, Outcome},
};

sql!(
    DUE,
    "SELECT id FROM ledger_pending
     WHERE ledger = ?1 AND state = 0 AND deadline_ms IS NOT NULL AND deadline_ms <= ?2
     ORDER BY deadline_ms, id LIMIT ?3"
);

fn locks(ledgers: impl IntoIterator<Item = LedgerId>) -> Locks {
    Locks::all(ledgers.into_iter().collect::<BTreeSet<_>>().into_iter().map(lock))
}

/// What works of one ledger are ordered by, so that one committer gets them all.
fn order_key(ledgers: impl IntoIterator<Item = LedgerId>) -> i64 {
    // Above all rooms' numbers: a room and a ledger need not share a committer.
    ledgers.into_iter().next().map_or(0, |ledger| (1 << 62) | i64::from(ledger.0))
}

/// Makes the transfers of several callers, each request for itself, in one work: they share the
/// reads, the writes and the commit.
pub(crate) struct MakeTransfers {
    pub(crate) requests: Vec<Vec<NewTransfer>>,
    pub(crate) clock: Clock,
}

impl MakeTransfers {
    fn ledgers(&self) -> impl Iterator<Item = LedgerId> {
        self.requests.iter().flatten().map(|transfer| transfer.ledger)
    }
}

impl Work for MakeTransfers {
    const NAME: &'static str = "ledger.make_transfers";
    type Out = Vec<Vec<Outcome>>;

    fn locks(&self) -> Locks {
        locks(self.ledgers())
    }

    fn order_key(&self) -> i64 {
        order_key(self.ledgers())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let all: Vec<NewTransfer> = self.requests.iter().flatten().copied().collect();
        let mut books = Books::load(tx, self.clock.now(), &all, &[], &[]).await?;
        let outcomes = self.requests.iter().map(|request| books.make_transfers(request)).collect();
        books.write(tx).await?;
        Ok(outcomes)
    }
}

/// Opens accounts.
pub(crate) struct OpenAccounts {
    pub(crate) accounts: Vec<NewAccount>,
    pub(crate) clock: Clock,
}

impl OpenAccounts {
    fn ledgers(&self) -> impl Iterator<Item = LedgerId> {
        self.accounts.iter().map(|account| account.ledger)
    }
}

impl Work for OpenAccounts {
    const NAME: &'static str = "ledger.open_accounts";
    type Out = Vec<AccountCode>;

    fn locks(&self) -> Locks {
        locks(self.ledgers())
    }

    fn order_key(&self) -> i64 {
        order_key(self.ledgers())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let ids: Vec<_> = self.accounts.iter().map(|account| account.id).collect();
        let ledgers: Vec<_> = self.ledgers().collect();
        let mut books = Books::load(tx, self.clock.now(), &[], &ids, &ledgers).await?;
        let codes = books.open_accounts(&self.accounts);
        books.write(tx).await?;
        Ok(codes)
    }
}

/// Ends pending transfers whose time has passed, oldest deadline first; tells which.
///
/// It reads under the ledger's lock, on the primary, in the transaction of a committer that still
/// holds its lane: so no stale replica and no former primary ends anything, and nothing ends twice.
pub(crate) struct Expire {
    pub(crate) ledger: LedgerId,
    pub(crate) most: i64,
    pub(crate) clock: Clock,
}

impl Work for Expire {
    const NAME: &'static str = "ledger.expire";
    type Out = Vec<TransferId>;

    fn locks(&self) -> Locks {
        locks([self.ledger])
    }

    fn order_key(&self) -> i64 {
        order_key([self.ledger])
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let now = self.clock.now();
        let at = super::load::head(tx, self.ledger).await?.at.max(now);
        let due = due(tx, self.ledger, at, self.most).await?;
        if due.is_empty() {
            return Ok(due);
        }
        // Loading a transfer that settles it loads a pending one with its accounts.
        let wanted: Vec<NewTransfer> = due
            .iter()
            .map(|id| NewTransfer {
                pending_id: *id,
                ledger: self.ledger,
                ..NewTransfer::default()
            })
            .collect();
        let mut books = Books::load(tx, now, &wanted, &[], &[]).await?;
        let ended = due.into_iter().filter(|id| books.expire(*id)).collect();
        books.write(tx).await?;
        Ok(ended)
    }
}

async fn due(tx: &mut Tx<'_>, ledger: LedgerId, at: Millis, most: i64) -> Result<Vec<TransferId>> {
    let args = [Value::Int(ledger.0.into()), at.into(), most.into()];
    let rows: Vec<(Vec<u8>,)> = tx.all(&DUE, &args).await?;
    let id = |(bytes,): (Vec<u8>,)| Some(TransferId(u128::from_be_bytes(bytes.try_into().ok()?)));
    rows.into_iter()
        .map(|row| id(row).ok_or_else(|| super::corrupt(DUE.name, "an id has 16 bytes")))
        .collect()
}

/// Is any pending transfer of the ledger due? A look that costs no write.
pub(crate) struct AnyDue {
    pub(crate) ledger: LedgerId,
    pub(crate) now: Millis,
}

impl Work for AnyDue {
    const NAME: &'static str = "ledger.any_due";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(!due(tx, self.ledger, self.now, 1).await?.is_empty())
    }
}
