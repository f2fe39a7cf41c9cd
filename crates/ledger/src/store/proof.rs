//! Making receipts.

use haechi_store::{Result, Tx, Work, sql};

use super::{corrupt, hash, load::head, read::ReadEntry};
use crate::{
    encode::entry_bytes,
    merkle::{Hash, Receipt, Subtree, TILE_HEIGHT, fold, join, path},
    model::{EntryPos, LedgerId},
};

sql!(
    ENTRY,
    "SELECT pos, kind, id, debit, credit, at_ms, body, hash FROM ledger_entry WHERE pos = ?1"
);
sql!(HASHES, "SELECT hash FROM ledger_entry WHERE pos >= ?1 AND pos < ?2 ORDER BY pos");
sql!(
    TILES,
    "SELECT hash FROM ledger_tile WHERE ledger = ?1 AND level = ?2 AND number >= ?3 AND number < ?4
     ORDER BY number"
);

/// Makes a receipt for an entry, in the tree as it is now; `None` when there is no such entry.
pub(crate) struct MakeReceipt(pub(crate) EntryPos);

impl Work for MakeReceipt {
    const NAME: &'static str = "ledger.receipt";
    type Out = Option<Receipt>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let ledger = self.0.ledger();
        let head = head(tx, ledger).await?;
        let number = self.0.number();
        if number == 0 || number > head.entries {
            return Ok(None);
        }
        let found: ReadEntry = tx.one(&ENTRY, &[self.0.0.into()]).await?;
        let before = match number {
            1 => [0; 32],
            _ => leaves(tx, ledger, number - 2, number - 1).await?[0],
        };
        let mut beside = Vec::new();
        for step in path(number - 1, head.entries) {
            let mut hashes = Vec::with_capacity(step.len());
            for part in step {
                hashes.push(subtree(tx, ledger, part).await?);
            }
            beside.push(join(&hashes).ok_or_else(|| corrupt(HASHES.name, "no hashes"))?);
        }
        Ok(Some(Receipt {
            index: number - 1,
            size: head.entries,
            root: head.tree.root(),
            before,
            entry: entry_bytes(&found.entry),
            path: beside,
        }))
    }
}

/// The root of a complete subtree, from the tiles or leaves below it.
async fn subtree(tx: &mut Tx<'_>, ledger: LedgerId, part: Subtree) -> Result<Hash> {
    let level = part.height / TILE_HEIGHT;
    let rest = part.height % TILE_HEIGHT;
    let (low, high) = (part.number << rest, (part.number + 1) << rest);
    let hashes = if level == 0 {
        leaves(tx, ledger, low, high).await?
    } else {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let args = [
            i64::from(ledger.0).into(),
            i64::from(level).into(),
            number(low).into(),
            number(high).into(),
        ];
        let rows: Vec<(Vec<u8>,)> = tx.all(&TILES, &args).await?;
        rows.into_iter().map(|(bytes,)| hash(TILES.name, &bytes)).collect::<Result<_>>()?
    };
    if hashes.len() as u64 != high - low {
        return Err(corrupt(TILES.name, "hashes are missing"));
    }
    fold(hashes).ok_or_else(|| corrupt(TILES.name, "hashes are missing"))
}

/// Hashes of the entries with these indexes, from 0.
async fn leaves(tx: &mut Tx<'_>, ledger: LedgerId, low: u64, high: u64) -> Result<Vec<Hash>> {
    let pos = |index: u64| EntryPos::new(ledger, index + 1).0.into();
    let rows: Vec<(Vec<u8>,)> = tx.all(&HASHES, &[pos(low), pos(high)]).await?;
    rows.into_iter().map(|(bytes,)| hash(HASHES.name, &bytes)).collect()
}
