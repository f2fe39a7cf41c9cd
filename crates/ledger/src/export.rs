//! Writing a journal out, for people and for other programs.

use std::{fmt::Write as _, io::Write};

use haechi_store::{Db, StoreError};
use serde_json::json;

use crate::{
    merkle::to_hex,
    model::{EntryKind, EntryPos, LedgerId},
    store::read::{End, Entries, ReadEntry},
};

/// Entries read at once.
const PAGE: i64 = 2_000;

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line of names, then a line for each entry, fields separated by commas (RFC 4180).
    Csv,
    /// A JSON object on each line.
    JsonLines,
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] std::io::Error),
}

const COLUMNS: &str = "ledger,entry,at_ms,kind,id,debit_account,credit_account,amount,pending_id,\
timeout_s,code,flags,user_data_128,user_data_64,user_data_32,hash";

/// Writes all entries of a ledger, as of now, in their order; tells how many. `progress` is called
/// with how many are done and how many there are.
pub async fn export(
    db: &Db,
    ledger: LedgerId,
    format: Format,
    out: &mut (impl Write + Send),
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<u64, ExportError> {
    let end = db.read(End(ledger)).await?.entries;
    if format == Format::Csv {
        writeln!(out, "{COLUMNS}")?;
    }
    let upto = EntryPos::new(ledger, end);
    let mut after = EntryPos::new(ledger, 0);
    let mut done = 0;
    loop {
        let page = db.read(Entries { after, upto, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = last.entry.pos;
        done += page.len() as u64;
        for read in &page {
            match format {
                Format::Csv => writeln!(out, "{}", csv(read))?,
                Format::JsonLines => writeln!(out, "{}", json_line(read))?,
            }
        }
        progress(done, end);
    }
    out.flush()?;
    Ok(done)
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Opened => "opened",
        EntryKind::Transfer => "transfer",
        EntryKind::Expired => "expired",
    }
}

/// No field can hold a comma or a quotation mark: all are numbers and fixed words.
fn csv(read: &ReadEntry) -> String {
    let (entry, transfer) = (&read.entry, &read.entry.transfer);
    let mut line = format!(
        "{},{},{},{},{},{},{},{},{}",
        entry.pos.ledger().0,
        entry.pos.number(),
        entry.at.0,
        kind(entry.kind),
        transfer.id,
        transfer.debit,
        transfer.credit,
        transfer.amount,
        transfer.pending_id,
    );
    let data = &transfer.user_data;
    let _ = write!(
        line,
        ",{},{},{},{},{},{},{}",
        transfer.timeout_s,
        transfer.code,
        transfer.flags.0,
        data.long,
        data.middle,
        data.short,
        to_hex(&read.hash),
    );
    line
}

fn json_line(read: &ReadEntry) -> serde_json::Value {
    let (entry, transfer) = (&read.entry, &read.entry.transfer);
    // As text: a JSON number is a double to most programs, and 128 bits do not fit one.
    let balances = |balances: &crate::Balances| {
        json!({
            "debits_pending": balances.debits_pending.to_string(),
            "debits_posted": balances.debits_posted.to_string(),
            "credits_pending": balances.credits_pending.to_string(),
            "credits_posted": balances.credits_posted.to_string(),
        })
    };
    json!({
        "ledger": entry.pos.ledger().0,
        "entry": entry.pos.number(),
        "at_ms": entry.at.0,
        "kind": kind(entry.kind),
        "id": transfer.id.to_string(),
        "debit_account": transfer.debit.to_string(),
        "credit_account": transfer.credit.to_string(),
        "amount": transfer.amount.to_string(),
        "pending_id": transfer.pending_id.to_string(),
        "timeout_s": transfer.timeout_s,
        "code": transfer.code,
        "flags": transfer.flags.0,
        "user_data_128": transfer.user_data.long.to_string(),
        "user_data_64": transfer.user_data.middle.to_string(),
        "user_data_32": transfer.user_data.short,
        "debit_after": balances(&entry.debit_after),
        "credit_after": balances(&entry.credit_after),
        "hash": to_hex(&read.hash),
    })
}
