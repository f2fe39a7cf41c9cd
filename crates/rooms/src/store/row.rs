//! Rows of the event table.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{RoomVersion, pdu::Pdu};
use haechi_store::{FromRow, Result, Row, StoreError, Tx, Value, sql};
use ruma::OwnedEventId;

use crate::model::{Counts, Event, Txn};

/// The columns of [`EventRow`], in its order; the table is named `e`.
macro_rules! event_columns {
    () => {
        "e.pos, e.seq, e.event_id, e.sender, e.notify_total, e.notify_main, e.thread_root, \
         e.txn_device, e.txn_id, e.redacted_by, e.json, e.state_key"
    };
}
pub(crate) use event_columns;

// One search for each event of a list: no text for that is common to both engines.
sql!(
    EVENTS_REPLACED,
    sqlite: concat!(
        "SELECT d.seq, ",
        event_columns!(),
        " FROM state_delta d JOIN event e ON e.room = d.room AND e.seq = d.replaces_seq
        WHERE d.room = ?1 AND d.seq IN (SELECT value FROM json_each(?2))"
    ),
    pg: concat!(
        "SELECT d.seq, ",
        event_columns!(),
        " FROM state_delta d JOIN event e ON e.room = d.room AND e.seq = d.replaces_seq
        WHERE d.room = $1 AND d.seq = ANY($2)"
    )
);
// For the same reason.
sql!(
    EVENTS_AT,
    sqlite: concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.pos IN (SELECT value FROM json_each(?1))"
    ),
    pg: concat!("SELECT ", event_columns!(), " FROM event e WHERE e.pos = ANY($1)")
);

/// One row of the event table, not yet parsed.
#[derive(Clone)]
pub(crate) struct EventRow {
    pub(crate) pos: StreamPos,
    pub(crate) seq: i64,
    event_id: String,
    sender: UserNid,
    counts: Counts,
    thread_root: Option<String>,
    txn_device: Option<String>,
    txn_id: Option<String>,
    redacted_by: Option<StreamPos>,
    json: Vec<u8>,
    is_state: bool,
}

/// An event with what clients are shown beside it.
pub(crate) struct FullRow {
    row: EventRow,
    /// The state event it replaced.
    replaced: Option<EventRow>,
    redaction: Option<EventRow>,
}

impl FromRow for EventRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Self::read(row, 0)
    }
}

/// Reads what clients are shown beside these events, in two statements for all of them.
pub(crate) async fn complete(
    tx: &mut Tx<'_>,
    room: RoomNid,
    rows: Vec<EventRow>,
) -> Result<Vec<FullRow>> {
    let changes: Vec<i64> = rows.iter().filter(|row| row.is_state).map(|row| row.seq).collect();
    let mut replaced: HashMap<i64, EventRow> = HashMap::new();
    if !changes.is_empty() {
        let found: Vec<Replaced> =
            tx.all(&EVENTS_REPLACED, &[room.into(), Value::Ints(&changes)]).await?;
        replaced.extend(found.into_iter().map(|found| (found.by, found.row)));
    }
    let redacted: Vec<i64> =
        rows.iter().filter_map(|row| row.redacted_by).map(|pos| pos.0).collect();
    let mut redactions: HashMap<StreamPos, EventRow> = HashMap::new();
    if !redacted.is_empty() {
        let found: Vec<EventRow> = tx.all(&EVENTS_AT, &[Value::Ints(&redacted)]).await?;
        redactions.extend(found.into_iter().map(|row| (row.pos, row)));
    }
    let full = rows.into_iter().map(|row| FullRow {
        replaced: replaced.remove(&row.seq),
        // One redaction may take back several events.
        redaction: row.redacted_by.and_then(|pos| redactions.get(&pos).cloned()),
        row,
    });
    Ok(full.collect())
}

/// A state event and the sequence number of the one that took its place.
struct Replaced {
    by: i64,
    row: EventRow,
}

impl FromRow for Replaced {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { by: row.get(0)?, row: EventRow::read(row, 1)? })
    }
}

impl EventRow {
    /// Reads the columns of [`event_columns`], which begin at `at`.
    fn read(row: &Row<'_>, at: usize) -> Result<Self> {
        Ok(Self {
            pos: row.get(at)?,
            seq: row.get(at + 1)?,
            event_id: row.get(at + 2)?,
            sender: row.get(at + 3)?,
            counts: Counts { total: row.get(at + 4)?, main: row.get(at + 5)? },
            thread_root: row.get(at + 6)?,
            txn_device: row.get(at + 7)?,
            txn_id: row.get(at + 8)?,
            redacted_by: row.get(at + 9)?,
            json: row.get(at + 10)?,
            is_state: row.get::<Option<String>>(at + 11)?.is_some(),
        })
    }

    /// How many columns it is read from.
    pub(crate) const COLUMNS: usize = 12;

    /// The event's id.
    pub(crate) fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Parses the row. Not done inside the work, to keep transactions short.
    pub(crate) fn pdu(self, version: RoomVersion) -> Result<Arc<Pdu>> {
        let unreadable =
            |reason: String| StoreError::Corrupt { statement: "event", column: 10, reason };
        let event_id: OwnedEventId =
            self.event_id.try_into().map_err(|_| unreadable("no event id".to_owned()))?;
        let json = String::from_utf8(self.json).map_err(|error| unreadable(error.to_string()))?;
        let pdu =
            Pdu::parse(version, event_id, json).map_err(|error| unreadable(error.to_string()))?;
        Ok(Arc::new(pdu))
    }
}

impl FullRow {
    /// Parses the row.
    pub(crate) fn event(self, version: RoomVersion) -> Result<Arc<Event>> {
        let mut row = self.row;
        let txn = match (row.txn_device.take(), row.txn_id.take()) {
            (Some(device), Some(id)) => Some(Txn { device: device.into(), id: id.into() }),
            _ => None,
        };
        let thread_root = row.thread_root.take().and_then(|root| root.try_into().ok());
        let (pos, seq, sender, counts) = (row.pos, row.seq, row.sender, row.counts);
        let redacted_by = row.redacted_by;
        let pdu = row.pdu(version)?;
        let replaced = self.replaced.map(|replaced| replaced.pdu(version)).transpose()?;
        let redaction = self.redaction.map(|redaction| redaction.pdu(version)).transpose()?;
        Ok(Arc::new(Event {
            pos,
            seq,
            pdu,
            version,
            replaced,
            redaction,
            client: OnceLock::new(),
            sender,
            counts,
            thread_root,
            txn,
            redacted_by,
        }))
    }
}
