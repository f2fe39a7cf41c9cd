//! Statements and works on the full-text index.

use haechi_base::{LaneId, Positions, RoomNid, StreamPos};
use haechi_store::{FromRow, LockKey, Locks, Result, Row, Tx, Value, Work, sql};

sql!(LANES, "SELECT lane, handled FROM search_progress WHERE lane >= ?1");
sql!(LANE, "SELECT handled FROM search_progress WHERE lane = ?1");
sql!(
    LANE_PUT,
    "INSERT INTO search_progress (lane, handled) VALUES (?1, ?2)
     ON CONFLICT (lane) DO UPDATE SET handled = excluded.handled"
);
sql!(
    NEW_EVENTS,
    "SELECT pos, room, seq, event_id, type, origin_server_ts, json FROM event
     WHERE pos > ?1 AND pos <= ?2
        AND type IN ('m.room.message', 'm.room.name', 'm.room.topic', 'm.room.redaction')
     ORDER BY pos LIMIT ?3"
);
sql!(
    TERM_INSERT,
    "INSERT INTO search_term (room, term, seq, field, at_ms, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (room, term, seq) DO NOTHING"
);
sql!(
    DOC_INSERT,
    "INSERT INTO search_doc (room, seq, terms) VALUES (?1, ?2, ?3)
     ON CONFLICT (room, seq) DO NOTHING"
);
sql!(
    REDACTED_SEQ,
    "SELECT seq FROM event
     WHERE event_id = ?1 AND room = ?2 AND redacted_by IS NOT NULL"
);
sql!(DOC, "SELECT terms FROM search_doc WHERE room = ?1 AND seq = ?2");
sql!(TERM_DELETE, "DELETE FROM search_term WHERE room = ?1 AND term = ?2 AND seq = ?3");
sql!(DOC_DELETE, "DELETE FROM search_doc WHERE room = ?1 AND seq = ?2");
// Lists: an array on PostgreSQL, which SQLite does not have.
sql!(
    MATCHES,
    sqlite: "SELECT room, seq, max(at_ms), max(size) FROM search_term
        WHERE room IN (SELECT value FROM json_each(?1))
            AND term IN (SELECT value FROM json_each(?2))
            AND field IN (SELECT value FROM json_each(?3))
        GROUP BY room, seq HAVING count(*) = ?4
        ORDER BY CASE WHEN ?5 = 1 THEN max(size) ELSE 0 END, max(at_ms) DESC, room, seq DESC
        LIMIT ?6",
    pg: "SELECT room, seq, max(at_ms), max(size) FROM search_term
        WHERE room = ANY($1) AND term = ANY($2) AND field = ANY($3)
        GROUP BY room, seq HAVING count(*) = $4
        ORDER BY CASE WHEN $5 = 1 THEN max(size) ELSE 0 END, max(at_ms) DESC, room, seq DESC
        LIMIT $6"
);

/// Keeps those apart who write the index on different nodes; media has 0.
const INDEX_LOCK: LockKey = LockKey::Other(40, 0);

/// How far each lane is in the index.
pub(super) struct LoadProgress;

impl Work for LoadProgress {
    const NAME: &'static str = "rooms.search_progress";
    type Out = Positions;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Positions> {
        let mut handled = Positions::default();
        for (lane, offset) in tx.all::<(i64, i64)>(&LANES, &[0_i64.into()]).await? {
            if let Ok(lane) = u16::try_from(lane) {
                handled.set(LaneId(lane), offset);
            }
        }
        Ok(handled)
    }
}

/// An event that may concern the index.
pub(super) struct NewRow {
    pub(super) pos: StreamPos,
    pub(super) room: RoomNid,
    pub(super) seq: i64,
    pub(super) event_id: String,
    pub(super) kind: String,
    pub(super) at: i64,
    pub(super) json: Vec<u8>,
}

impl FromRow for NewRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            pos: row.get(0)?,
            room: row.get(1)?,
            seq: row.get(2)?,
            event_id: row.get(3)?,
            kind: row.get(4)?,
            at: row.get(5)?,
            json: row.get(6)?,
        })
    }
}

/// Events of a range, first excluded, last included, that may concern the index.
pub(super) struct LoadNew {
    pub(super) after: StreamPos,
    pub(super) to: StreamPos,
    pub(super) limit: i64,
}

impl Work for LoadNew {
    const NAME: &'static str = "rooms.search_new";
    type Out = Vec<NewRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<NewRow>> {
        tx.all(&NEW_EVENTS, &[self.after.into(), self.to.into(), self.limit.into()]).await
    }
}

/// An event with its terms.
pub(super) struct Doc {
    pub(super) room: RoomNid,
    pub(super) seq: i64,
    pub(super) field: i64,
    pub(super) at: i64,
    pub(super) terms: Vec<String>,
}

/// Takes a piece of a lane into the index; `false` when another node was faster.
pub(super) struct WriteIndex {
    pub(super) from: StreamPos,
    pub(super) to: StreamPos,
    pub(super) docs: Vec<Doc>,
    /// Events that were redacted.
    pub(super) redacted: Vec<(RoomNid, String)>,
}

impl Work for WriteIndex {
    const NAME: &'static str = "rooms.search_write";
    type Out = bool;

    fn locks(&self) -> Locks {
        Locks::one(INDEX_LOCK)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let lane = i64::from(self.from.lane().0).into();
        let handled = tx.opt::<(i64,)>(&LANE, &[lane]).await?.map_or(0, |(offset,)| offset);
        if handled != self.from.offset() {
            return Ok(false);
        }
        let joined: Vec<String> = self.docs.iter().map(|doc| doc.terms.join(" ")).collect();
        let docs: Vec<[Value<'_>; 3]> = self
            .docs
            .iter()
            .zip(&joined)
            .map(|(doc, terms)| [doc.room.into(), doc.seq.into(), terms.into()])
            .collect();
        let terms: Vec<[Value<'_>; 6]> = self.docs.iter().flat_map(Doc::rows).collect();
        tx.exec_many(&DOC_INSERT, &slices(&docs)).await?;
        tx.exec_many(&TERM_INSERT, &slices(&terms)).await?;
        for (room, event_id) in &self.redacted {
            take_out(tx, *room, event_id).await?;
        }
        tx.put(&LANE_PUT, &[lane, self.to.offset().into()]).await?;
        Ok(true)
    }
}

impl Doc {
    fn rows(&self) -> impl Iterator<Item = [Value<'_>; 6]> {
        let size = i64::try_from(self.terms.len()).unwrap_or(i64::MAX);
        self.terms.iter().map(move |term| {
            let (room, seq) = (self.room.into(), self.seq.into());
            [room, term.into(), seq, self.field.into(), self.at.into(), size.into()]
        })
    }
}

fn slices<'a, 'b, const N: usize>(rows: &'a [[Value<'b>; N]]) -> Vec<&'a [Value<'b>]> {
    rows.iter().map(<[Value<'b>; N]>::as_slice).collect()
}

async fn take_out(tx: &mut Tx<'_>, room: RoomNid, event_id: &str) -> Result<()> {
    let room = room.into();
    let found = tx.opt::<(i64,)>(&REDACTED_SEQ, &[event_id.into(), room]).await?;
    let Some((seq,)) = found else { return Ok(()) };
    let seq = seq.into();
    let Some((terms,)) = tx.opt::<(String,)>(&DOC, &[room, seq]).await? else { return Ok(()) };
    let rows: Vec<[Value<'_>; 3]> = terms.split(' ').map(|term| [room, term.into(), seq]).collect();
    tx.exec_many(&TERM_DELETE, &slices(&rows)).await?;
    tx.put(&DOC_DELETE, &[room, seq]).await
}

/// An event in which all terms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) room: RoomNid,
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) size: i64,
}

impl FromRow for Match {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { room: row.get(0)?, seq: row.get(1)?, at: row.get(2)?, size: row.get(3)? })
    }
}

/// Asks the index.
pub(super) struct FindMatches {
    pub(super) rooms: Vec<i64>,
    pub(super) terms: Vec<String>,
    pub(super) fields: Vec<i64>,
    /// Those with the fewest other terms first? Else the newest.
    pub(super) by_rank: bool,
    pub(super) limit: i64,
}

impl Work for FindMatches {
    const NAME: &'static str = "rooms.search";
    type Out = Vec<Match>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Match>> {
        let terms: Vec<&str> = self.terms.iter().map(String::as_str).collect();
        let count = i64::try_from(terms.len()).unwrap_or(i64::MAX);
        let args = [
            Value::Ints(&self.rooms),
            Value::Texts(&terms),
            Value::Ints(&self.fields),
            count.into(),
            self.by_rank.into(),
            self.limit.into(),
        ];
        tx.all(&MATCHES, &args).await
    }
}
