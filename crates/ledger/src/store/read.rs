//! Works that only read.

use haechi_base::Millis;
use haechi_store::{FromRow, Result, Row, Tx, Value, Work, sql};

use super::{
    corrupt, hash,
    load::{ACCOUNTS, AccountRow, TRANSFERS, TransferRow, by_ids, head},
};
use crate::{
    encode::StoredEntry,
    merkle::Hash,
    model::{
        Account, AccountId, Balances, Entry, EntryPos, LedgerId, Pending, Transfer, TransferId,
    },
};

macro_rules! entries {
    ($rest:literal) => {
        concat!("SELECT pos, kind, id, debit, credit, at_ms, body, hash FROM ledger_entry ", $rest)
    };
}

sql!(LEDGERS, "SELECT ledger FROM ledger_head ORDER BY ledger");
sql!(BETWEEN, entries!("WHERE pos > ?1 AND pos <= ?2 ORDER BY pos LIMIT ?3"));
sql!(
    DEBITS_UP,
    entries!("WHERE debit = ?1 AND pos > ?2 AND pos <= ?3 AND kind > 1 ORDER BY pos LIMIT ?4")
);
sql!(
    CREDITS_UP,
    entries!("WHERE credit = ?1 AND pos > ?2 AND pos <= ?3 AND kind > 1 ORDER BY pos LIMIT ?4")
);
sql!(
    DEBITS_DOWN,
    entries!("WHERE debit = ?1 AND pos > ?2 AND pos <= ?3 AND kind > 1 ORDER BY pos DESC LIMIT ?4")
);
sql!(
    CREDITS_DOWN,
    entries!(
        "WHERE credit = ?1 AND pos > ?2 AND pos <= ?3 AND kind > 1 ORDER BY pos DESC LIMIT ?4"
    )
);
sql!(AT, "SELECT at_ms FROM ledger_entry WHERE pos = ?1");
sql!(
    ACCOUNTS_AFTER,
    "SELECT id, ledger, facts, balances, last_pos FROM ledger_account
     WHERE id > ?1 ORDER BY id LIMIT ?2"
);
sql!(
    OPEN_PENDINGS,
    "SELECT id, deadline_ms FROM ledger_pending
     WHERE ledger = ?1 AND state = 0 AND deadline_ms IS NOT NULL AND deadline_ms <= ?2
     ORDER BY deadline_ms LIMIT ?3"
);

/// An entry with its hash, and as its row holds it.
pub(crate) struct ReadEntry {
    pub(crate) entry: Entry,
    pub(crate) hash: Hash,
}

impl FromRow for ReadEntry {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let stored = StoredEntry::from_row(row)?;
        let entry = stored.decode().ok_or_else(|| {
            corrupt("ledger entry", &format!("entry {} cannot be read", stored.pos.0))
        })?;
        Ok(Self { entry, hash: hash("ledger entry", &stored.hash)? })
    }
}

/// Which entries of an account are wanted.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// The account.
    pub account: AccountId,
    /// Only entries after this one; the cursor when reading upwards.
    pub after: Option<EntryPos>,
    /// Only entries up to, and without, this one; the cursor when reading downwards.
    pub before: Option<EntryPos>,
    /// At most so many.
    pub limit: u32,
    /// Oldest first or newest first.
    pub order: Order,
}

/// In which order entries come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Up,
    /// Newest first.
    Down,
}

pub(crate) struct History(pub(crate) HistoryQuery);

impl Work for History {
    const NAME: &'static str = "ledger.history";
    type Out = Vec<Entry>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let query = &self.0;
        let (debits, credits) = match query.order {
            Order::Up => (&DEBITS_UP, &CREDITS_UP),
            Order::Down => (&DEBITS_DOWN, &CREDITS_DOWN),
        };
        let id = query.account.to_bytes();
        let args = [
            Value::Blob(&id),
            query.after.map_or(0, |pos| pos.0).into(),
            query.before.map_or(i64::MAX, |pos| pos.0 - 1).into(),
            i64::from(query.limit).into(),
        ];
        let mut found: Vec<ReadEntry> = tx.all(debits, &args).await?;
        found.extend(tx.all::<ReadEntry>(credits, &args).await?);
        found.sort_unstable_by_key(|read| read.entry.pos);
        if query.order == Order::Down {
            found.reverse();
        }
        found.truncate(query.limit as usize);
        Ok(found.into_iter().map(|read| read.entry).collect())
    }
}

/// The balances of an account right after position `at`.
pub(crate) struct BalancesAt {
    pub(crate) account: AccountId,
    pub(crate) at: EntryPos,
}

impl Work for BalancesAt {
    const NAME: &'static str = "ledger.balances_at";
    type Out = Option<Balances>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let accounts: Vec<AccountRow> = by_ids(tx, &ACCOUNTS, [self.account.0]).await?;
        let Some(AccountRow(account)) = accounts.first() else { return Ok(None) };
        if account.last <= self.at {
            return Ok(Some(account.balances));
        }
        let id = self.account.to_bytes();
        let args = [Value::Blob(&id), 0.into(), self.at.0.into(), 1.into()];
        let mut last: Option<Entry> = None;
        for sql in [&DEBITS_DOWN, &CREDITS_DOWN] {
            let found: Option<ReadEntry> = tx.opt(sql, &args).await?;
            last = last.max_by_pos(found.map(|read| read.entry));
        }
        Ok(Some(last.and_then(|entry| entry.balances_of(self.account)).unwrap_or_default()))
    }
}

trait MaxByPos {
    fn max_by_pos(self, other: Self) -> Self;
}

impl MaxByPos for Option<Entry> {
    fn max_by_pos(self, other: Self) -> Self {
        [self, other].into_iter().flatten().max_by_key(|entry| entry.pos)
    }
}

/// The last entry of a ledger that was made at this time or before: times never go back in a journal.
pub(crate) struct PositionAt {
    pub(crate) ledger: LedgerId,
    pub(crate) at: Millis,
}

impl Work for PositionAt {
    const NAME: &'static str = "ledger.position_at";
    type Out = EntryPos;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let (mut low, mut high) = (0, head(tx, self.ledger).await?.entries);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let pos = EntryPos::new(self.ledger, middle);
            let (at,): (Millis,) = tx.one(&AT, &[pos.0.into()]).await?;
            if at <= self.at {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(EntryPos::new(self.ledger, low))
    }
}

/// Accounts as they stand.
pub(crate) struct Accounts(pub(crate) Vec<AccountId>);

impl Work for Accounts {
    const NAME: &'static str = "ledger.accounts";
    type Out = Vec<Account>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let rows: Vec<AccountRow> = by_ids(tx, &ACCOUNTS, self.0.iter().map(|id| id.0)).await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

/// Transfers, with what became of pending ones.
pub(crate) struct Transfers(pub(crate) Vec<TransferId>);

impl Work for Transfers {
    const NAME: &'static str = "ledger.transfers";
    type Out = Vec<(Transfer, Option<Pending>)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let rows: Vec<TransferRow> = by_ids(tx, &TRANSFERS, self.0.iter().map(|id| id.0)).await?;
        Ok(rows.into_iter().map(|row| (row.transfer, row.pending)).collect())
    }
}

/// All ledgers with a journal.
pub(crate) struct Ledgers;

impl Work for Ledgers {
    const NAME: &'static str = "ledger.ledgers";
    type Out = Vec<LedgerId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let rows: Vec<(i64,)> = tx.all(&LEDGERS, &[]).await?;
        Ok(rows.into_iter().filter_map(|(id,)| u32::try_from(id).ok().map(LedgerId)).collect())
    }
}

/// Where a journal ends: how many entries, when, the last one's hash, the tree's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEnd {
    /// Entries.
    pub entries: u64,
    /// Time of the last one.
    pub at: Millis,
    /// Hash of the last one.
    pub hash: Hash,
    /// Root of the Merkle tree over all of them.
    pub root: Hash,
}

pub(crate) struct End(pub(crate) LedgerId);

impl Work for End {
    const NAME: &'static str = "ledger.end";
    type Out = JournalEnd;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let head = head(tx, self.0).await?;
        let (entries, at, hash) = (head.entries, head.at, head.hash);
        Ok(JournalEnd { entries, at, hash, root: head.tree.root() })
    }
}

/// Entries in the order of the journal, after `after` up to and with `upto`.
pub(crate) struct Entries {
    pub(crate) after: EntryPos,
    pub(crate) upto: EntryPos,
    pub(crate) limit: i64,
}

impl Work for Entries {
    const NAME: &'static str = "ledger.entries";
    type Out = Vec<ReadEntry>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.all(&BETWEEN, &[self.after.0.into(), self.upto.0.into(), self.limit.into()]).await
    }
}

/// Accounts of all ledgers in the order of their ids.
pub(crate) struct AccountsAfter {
    pub(crate) after: AccountId,
    pub(crate) limit: i64,
}

impl Work for AccountsAfter {
    const NAME: &'static str = "ledger.accounts_after";
    type Out = Vec<Account>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let id = self.after.to_bytes();
        let rows: Vec<AccountRow> =
            tx.all(&ACCOUNTS_AFTER, &[Value::Blob(&id), self.limit.into()]).await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

/// Pending transfers that are open although their deadline lies before `before`.
pub(crate) struct Overdue {
    pub(crate) ledger: LedgerId,
    pub(crate) before: Millis,
    pub(crate) limit: i64,
}

impl Work for Overdue {
    const NAME: &'static str = "ledger.overdue";
    type Out = Vec<TransferId>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [Value::Int(self.ledger.0.into()), self.before.into(), self.limit.into()];
        let rows: Vec<(Vec<u8>, Option<i64>)> = tx.all(&OPEN_PENDINGS, &args).await?;
        let id = |bytes: Vec<u8>| Some(TransferId(u128::from_be_bytes(bytes.try_into().ok()?)));
        Ok(rows.into_iter().filter_map(|(bytes, _)| id(bytes)).collect())
    }
}
