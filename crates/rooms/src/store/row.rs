//! Rows of the event table.

use std::sync::{Arc, OnceLock};

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{RoomVersion, pdu::Pdu};
use haechi_store::{FromRow, Result, Row, StoreError, Tx, sql};
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

sql!(
    EVENT_REPLACED,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM state_delta d JOIN event e ON e.room = d.room AND e.seq = d.replaces_seq
      WHERE d.room = ?1 AND d.seq = ?2"
    )
);
sql!(EVENT_AT, concat!("SELECT ", event_columns!(), " FROM event e WHERE e.pos = ?1"));

/// One row of the event table, not yet parsed.
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
        Ok(Self {
            pos: row.get(0)?,
            seq: row.get(1)?,
            event_id: row.get(2)?,
            sender: row.get(3)?,
            counts: Counts { total: row.get(4)?, main: row.get(5)? },
            thread_root: row.get(6)?,
            txn_device: row.get(7)?,
            txn_id: row.get(8)?,
            redacted_by: row.get(9)?,
            json: row.get(10)?,
            is_state: row.get::<Option<String>>(11)?.is_some(),
        })
    }
}

/// Reads what clients are shown beside these events.
pub(crate) async fn complete(
    tx: &mut Tx<'_>,
    room: RoomNid,
    rows: Vec<EventRow>,
) -> Result<Vec<FullRow>> {
    let mut full = Vec::with_capacity(rows.len());
    for row in rows {
        let replaced = if row.is_state {
            tx.opt(&EVENT_REPLACED, &[room.into(), row.seq.into()]).await?
        } else {
            None
        };
        let redaction = match row.redacted_by {
            Some(pos) => tx.opt(&EVENT_AT, &[pos.into()]).await?,
            None => None,
        };
        full.push(FullRow { row, replaced, redaction });
    }
    Ok(full)
}

impl EventRow {
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
