//! Reading into memory all that a request can need.

use std::collections::{BTreeSet, HashMap};

use haechi_base::Millis;
use haechi_store::{Column, FromRow, Result, Row, Tx, sql};

use super::{corrupt, hash};
use crate::{
    codes::TransferCode,
    encode::{StoredEntry, read_balances, read_facts},
    merkle::Tree,
    model::{
        Account, AccountId, EntryPos, LedgerId, NewTransfer, Pending, PendingState, Transfer,
        TransferId,
    },
    rules::{Books, Head, Refused},
};

sql!(HEAD, "SELECT entries, at_ms, hash, peaks FROM ledger_head WHERE ledger = ?1");
// Split: SQLite runs it for each id, PostgreSQL once over an array.
sql!(
    pub(crate) ACCOUNTS,
    sqlite: "SELECT id, ledger, facts, balances, last_pos FROM ledger_account WHERE id = ?1",
    pg: "SELECT id, ledger, facts, balances, last_pos FROM ledger_account
         WHERE id = ANY($1::BYTEA[])",
);
// Split: as above.
sql!(
    pub(crate) TRANSFERS,
    sqlite: "SELECT e.pos, e.kind, e.id, e.debit, e.credit, e.at_ms, e.body, e.hash,
                p.state, p.deadline_ms
             FROM ledger_entry e LEFT JOIN ledger_pending p ON p.id = e.id
             WHERE e.id = ?1 AND e.kind = 2",
    pg: "SELECT e.pos, e.kind, e.id, e.debit, e.credit, e.at_ms, e.body, e.hash,
            p.state, p.deadline_ms
         FROM ledger_entry e LEFT JOIN ledger_pending p ON p.id = e.id
         WHERE e.id = ANY($1::BYTEA[]) AND e.kind = 2",
);
// Split: as above.
sql!(
    REFUSED,
    sqlite: "SELECT id, code, digest FROM ledger_refused WHERE id = ?1",
    pg: "SELECT id, code, digest FROM ledger_refused WHERE id = ANY($1::BYTEA[])",
);

/// An account's row.
pub(crate) struct AccountRow(pub(crate) Account);

impl FromRow for AccountRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let broken = |what| corrupt(ACCOUNTS.name, what);
        let id: [u8; 16] =
            row.get::<Vec<u8>>(0)?.try_into().map_err(|_| broken("an id has 16 bytes"))?;
        let ledger = u32::try_from(row.get::<i64>(1)?).map_err(|_| broken("ledger"))?;
        let id = AccountId(u128::from_be_bytes(id));
        let facts = read_facts(id, LedgerId(ledger), &row.get::<Vec<u8>>(2)?)
            .ok_or_else(|| broken("facts"))?;
        let balances = read_balances(&row.get::<Vec<u8>>(3)?).ok_or_else(|| broken("balances"))?;
        Ok(Self(Account { facts, balances, last: EntryPos(row.get(4)?) }))
    }
}

/// A transfer's entry, with what became of it if it was a pending one.
pub(crate) struct TransferRow {
    pub(crate) transfer: Transfer,
    pub(crate) pending: Option<Pending>,
}

impl FromRow for TransferRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let broken = |what| corrupt(TRANSFERS.name, what);
        let entry = StoredEntry::from_row(row)?.decode().ok_or_else(|| broken("entry"))?;
        let transfer = Transfer { facts: entry.transfer, pos: entry.pos, at: entry.at };
        let pending = match row.get::<Option<i64>>(8)? {
            None => None,
            Some(state) => Some(Pending {
                state: PendingState::of(state).ok_or_else(|| broken("state"))?,
                deadline: row.get::<Option<Millis>>(9)?,
            }),
        };
        Ok(Self { transfer, pending })
    }
}

struct RefusedRow(TransferId, Refused);

impl FromRow for RefusedRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let broken = |what| corrupt(REFUSED.name, what);
        let id: [u8; 16] =
            row.get::<Vec<u8>>(0)?.try_into().map_err(|_| broken("an id has 16 bytes"))?;
        let code = TransferCode::of(row.get(1)?).ok_or_else(|| broken("code"))?;
        let digest = hash(REFUSED.name, &row.get::<Vec<u8>>(2)?)?;
        Ok(Self(TransferId(u128::from_be_bytes(id)), Refused { code, digest }))
    }
}

/// Reads the end of a journal.
pub(crate) async fn head(tx: &mut Tx<'_>, ledger: LedgerId) -> Result<Head> {
    let row: Option<(i64, Millis, Vec<u8>, Vec<u8>)> =
        tx.opt(&HEAD, &[i64::from(ledger.0).into()]).await?;
    let Some((entries, at, last, peaks)) = row else { return Ok(Head::empty()) };
    let entries = u64::try_from(entries).map_err(|_| corrupt(HEAD.name, "entries"))?;
    let tree = Tree::new(entries, &peaks).ok_or_else(|| corrupt(HEAD.name, "peaks"))?;
    Ok(Head { entries, at, hash: hash(HEAD.name, &last)?, tree })
}

/// Runs a query for each of the ids.
pub(crate) async fn by_ids<T: FromRow>(
    tx: &mut Tx<'_>,
    sql: &'static haechi_store::Sql,
    ids: impl IntoIterator<Item = u128>,
) -> Result<Vec<T>> {
    let ids: Vec<[u8; 16]> = ids.into_iter().map(u128::to_be_bytes).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&[u8]> = ids.iter().map(<[u8; 16]>::as_slice).collect();
    tx.all_columns(sql, &[Column::Blobs(&ids)]).await
}

impl Books {
    /// Reads all that these transfers and accounts can need. The work that calls it holds the
    /// [`lock`](crate::lock) of every ledger named; `now` is the node's clock.
    pub async fn load(
        tx: &mut Tx<'_>,
        now: Millis,
        transfers: &[NewTransfer],
        accounts: &[AccountId],
        ledgers: &[LedgerId],
    ) -> Result<Self> {
        let mut books = Self::new(now);
        let named = transfers.iter().map(|transfer| transfer.ledger).chain(ledgers.iter().copied());
        for ledger in named.collect::<BTreeSet<_>>() {
            if ledger.0 != 0 && ledger <= LedgerId::MAX {
                books.heads.insert(ledger, head(tx, ledger).await?);
            }
        }
        let ids = transfers.iter().flat_map(|transfer| [transfer.id.0, transfer.pending_id.0]);
        let ids: BTreeSet<u128> = ids.filter(|id| *id != 0).collect();
        for row in by_ids::<TransferRow>(tx, &TRANSFERS, ids.iter().copied()).await? {
            books.keep_transfer(&row);
        }
        // What an earlier transfer settled decides whether the same one was made before.
        let settled: BTreeSet<u128> = books
            .transfers
            .values()
            .map(|made| made.facts.pending_id)
            .filter(|id| id.0 != 0 && !books.transfers.contains_key(id))
            .map(|id| id.0)
            .collect();
        for row in by_ids::<TransferRow>(tx, &TRANSFERS, settled).await? {
            books.keep_transfer(&row);
        }
        let unknown = ids.into_iter().filter(|id| !books.transfers.contains_key(&TransferId(*id)));
        let refused: Vec<RefusedRow> = by_ids(tx, &REFUSED, unknown.collect::<Vec<_>>()).await?;
        books.refused = refused.into_iter().map(|RefusedRow(id, refused)| (id, refused)).collect();
        let named = transfers.iter().flat_map(|transfer| [transfer.debit, transfer.credit]);
        let reserved =
            books.transfers.values().flat_map(|made| [made.facts.debit, made.facts.credit]);
        let wanted: BTreeSet<u128> =
            named.chain(reserved).chain(accounts.iter().copied()).map(|id| id.0).collect();
        let rows: Vec<AccountRow> =
            by_ids(tx, &ACCOUNTS, wanted.into_iter().filter(|id| *id != 0)).await?;
        let accounts: HashMap<_, _> = rows.into_iter().map(|row| (row.0.facts.id, row.0)).collect();
        books.accounts = accounts;
        Ok(books)
    }

    fn keep_transfer(&mut self, row: &TransferRow) {
        let id = row.transfer.facts.id;
        self.transfers.insert(id, row.transfer);
        if let Some(pending) = row.pending {
            self.pendings.insert(id, pending);
        }
    }
}
