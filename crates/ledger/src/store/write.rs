//! Writing what was decided.

use haechi_base::Millis;
use haechi_store::{Change, Column, Result, Tx, Value, sql};

use crate::{
    encode,
    merkle::{Hash, Tile},
    model::{Account, AccountId, LedgerId, Pending, TransferId},
    rules::{Books, Head},
};

// Split: SQLite runs it for each row, PostgreSQL once over arrays.
sql!(
    ENTRY_INSERT,
    sqlite: "INSERT INTO ledger_entry (pos, kind, id, debit, credit, at_ms, body, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    pg: "INSERT INTO ledger_entry (pos, kind, id, debit, credit, at_ms, body, hash)
         SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BYTEA[], $4::BYTEA[], $5::BYTEA[],
            $6::BIGINT[], $7::BYTEA[], $8::BYTEA[])",
);
// Split: as above.
sql!(
    ACCOUNT_INSERT,
    sqlite: "INSERT INTO ledger_account (id, ledger, facts, balances, last_pos)
             VALUES (?1, ?2, ?3, ?4, ?5)",
    pg: "INSERT INTO ledger_account (id, ledger, facts, balances, last_pos)
         SELECT * FROM unnest($1::BYTEA[], $2::BIGINT[], $3::BYTEA[], $4::BYTEA[], $5::BIGINT[])",
);
// Split: as above.
sql!(
    ACCOUNT_UPDATE,
    sqlite: "UPDATE ledger_account SET balances = ?2, last_pos = ?3 WHERE id = ?1",
    pg: "UPDATE ledger_account a SET balances = t.balances, last_pos = t.last_pos
         FROM unnest($1::BYTEA[], $2::BYTEA[], $3::BIGINT[]) AS t (id, balances, last_pos)
         WHERE a.id = t.id",
);
// Split: as above; -1 for no deadline, since an array of numbers has no NULL here.
sql!(
    PENDING_PUT,
    sqlite: "INSERT INTO ledger_pending (id, ledger, deadline_ms, state)
             VALUES (?1, ?2, nullif(?3, -1), ?4)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state",
    pg: "INSERT INTO ledger_pending (id, ledger, deadline_ms, state)
         SELECT id, ledger, nullif(deadline, -1), state
         FROM unnest($1::BYTEA[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
            AS t (id, ledger, deadline, state)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state",
);
sql!(
    REFUSED_PUT,
    "INSERT INTO ledger_refused (id, code, digest) VALUES (?1, ?2, ?3)
     ON CONFLICT (id) DO NOTHING"
);
sql!(
    HEAD_PUT,
    "INSERT INTO ledger_head (ledger, entries, at_ms, hash, peaks) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (ledger) DO UPDATE SET entries = excluded.entries, at_ms = excluded.at_ms,
        hash = excluded.hash, peaks = excluded.peaks"
);
sql!(TILE_INSERT, "INSERT INTO ledger_tile (ledger, level, number, hash) VALUES (?1, ?2, ?3, ?4)");

/// Columns of bytes, kept and lent.
#[derive(Default)]
struct Blobs(Vec<Vec<u8>>);

impl Blobs {
    fn lend(&self) -> Vec<&[u8]> {
        self.0.iter().map(Vec::as_slice).collect()
    }
}

fn blobs<T>(items: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Blobs {
    Blobs(items.iter().map(bytes).collect())
}

fn ints<T>(items: &[T], number: impl Fn(&T) -> i64) -> Vec<i64> {
    items.iter().map(number).collect()
}

impl Books {
    /// Is there anything to write?
    pub fn is_changed(&self) -> bool {
        !self.entries.is_empty() || !self.newly_refused.is_empty()
    }

    /// Writes all that was done, and tells other nodes that the journals have grown.
    pub async fn write(mut self, tx: &mut Tx<'_>) -> Result<()> {
        for (id, refused) in &self.newly_refused {
            let args = [
                Value::Blob(&id.to_bytes()),
                Value::Int(refused.code as i64),
                Value::Blob(&refused.digest),
            ];
            tx.exec(&REFUSED_PUT, &args).await?;
        }
        if self.entries.is_empty() {
            return Ok(());
        }
        self.write_entries(tx).await?;
        self.write_accounts(tx).await?;
        self.write_pendings(tx).await
    }

    async fn write_entries(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        let mut hashes: Vec<Hash> = Vec::with_capacity(entries.len());
        let mut tiles: Vec<(LedgerId, Tile)> = Vec::new();
        let mut ledgers: Vec<LedgerId> = Vec::new();
        for entry in &entries {
            let ledger = entry.pos.ledger();
            let head = self.heads.entry(ledger).or_insert_with(Head::empty);
            let hash = encode::entry_hash(&head.hash, &encode::entry_bytes(entry));
            head.tree.push(hash, |tile| tiles.push((ledger, tile)));
            (head.hash, head.at) = (hash, entry.at);
            hashes.push(hash);
            if !ledgers.contains(&ledger) {
                ledgers.push(ledger);
            }
        }
        let id = blobs(&entries, |entry| entry.transfer.id.to_bytes().to_vec());
        let debit = blobs(&entries, |entry| entry.transfer.debit.to_bytes().to_vec());
        let credit = blobs(&entries, |entry| entry.transfer.credit.to_bytes().to_vec());
        let body = blobs(&entries, encode::body);
        let hash: Vec<&[u8]> = hashes.iter().map(Hash::as_slice).collect();
        let columns = [
            Column::Ints(&ints(&entries, |entry| entry.pos.0)),
            Column::Ints(&ints(&entries, |entry| entry.kind as i64)),
            Column::Blobs(&id.lend()),
            Column::Blobs(&debit.lend()),
            Column::Blobs(&credit.lend()),
            Column::Ints(&ints(&entries, |entry| entry.at.0)),
            Column::Blobs(&body.lend()),
            Column::Blobs(&hash),
        ];
        tx.exec_columns(&ENTRY_INSERT, &columns).await?;
        for (ledger, tile) in &tiles {
            let number = i64::try_from(tile.number).unwrap_or(i64::MAX);
            let args = [
                i64::from(ledger.0).into(),
                i64::from(tile.level).into(),
                number.into(),
                Value::Blob(&tile.hash),
            ];
            tx.exec_one(&TILE_INSERT, &args).await?;
        }
        for ledger in ledgers {
            write_head(tx, ledger, &self.heads[&ledger]).await?;
            tx.announce(Change::Ledger(ledger.0))?;
        }
        Ok(())
    }

    async fn write_accounts(&self, tx: &mut Tx<'_>) -> Result<()> {
        let of = |id: &AccountId| self.accounts.get(id).copied();
        let opened: Vec<Account> = self.opened.iter().filter_map(of).collect();
        if !opened.is_empty() {
            let id = blobs(&opened, |account| account.facts.id.to_bytes().to_vec());
            let facts = blobs(&opened, |account| encode::facts(&account.facts));
            let balances = blobs(&opened, |account| encode::balances(&account.balances));
            let columns = [
                Column::Blobs(&id.lend()),
                Column::Ints(&ints(&opened, |account| account.facts.ledger.0.into())),
                Column::Blobs(&facts.lend()),
                Column::Blobs(&balances.lend()),
                Column::Ints(&ints(&opened, |account| account.last.0)),
            ];
            tx.exec_columns(&ACCOUNT_INSERT, &columns).await?;
        }
        let known = self.touched.iter().filter(|id| !self.opened.contains(id));
        let touched: Vec<Account> = known.filter_map(of).collect();
        if touched.is_empty() {
            return Ok(());
        }
        let id = blobs(&touched, |account| account.facts.id.to_bytes().to_vec());
        let balances = blobs(&touched, |account| encode::balances(&account.balances));
        let columns = [
            Column::Blobs(&id.lend()),
            Column::Blobs(&balances.lend()),
            Column::Ints(&ints(&touched, |account| account.last.0)),
        ];
        tx.exec_columns(&ACCOUNT_UPDATE, &columns).await?;
        Ok(())
    }

    async fn write_pendings(&self, tx: &mut Tx<'_>) -> Result<()> {
        let row = |id: &TransferId| -> Option<(TransferId, LedgerId, Pending)> {
            Some((*id, self.transfers.get(id)?.facts.ledger, *self.pendings.get(id)?))
        };
        let rows: Vec<_> = self.settled.iter().filter_map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let id = blobs(&rows, |(id, ..)| id.to_bytes().to_vec());
        let deadline = |pending: &Pending| pending.deadline.map_or(-1, |Millis(at)| at);
        let columns = [
            Column::Blobs(&id.lend()),
            Column::Ints(&ints(&rows, |(_, ledger, _)| ledger.0.into())),
            Column::Ints(&ints(&rows, |(.., pending)| deadline(pending))),
            Column::Ints(&ints(&rows, |(.., pending)| pending.state as i64)),
        ];
        tx.exec_columns(&PENDING_PUT, &columns).await?;
        Ok(())
    }
}

async fn write_head(tx: &mut Tx<'_>, ledger: LedgerId, head: &Head) -> Result<()> {
    let entries = i64::try_from(head.entries).unwrap_or(i64::MAX);
    let peaks = head.tree.peaks();
    let args = [
        i64::from(ledger.0).into(),
        entries.into(),
        head.at.into(),
        Value::Blob(&head.hash),
        Value::Blob(&peaks),
    ];
    tx.exec_one(&HEAD_PUT, &args).await
}
