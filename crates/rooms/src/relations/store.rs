//! Statements and works on what refers to what.

use haechi_base::{RoomNid, UserNid};
use haechi_matrix::relations::ANNOTATION;
use haechi_store::{FromRow, Result, Row, Tx, Value, Work, sql};
use ruma::OwnedEventId;

use crate::{
    read::Direction,
    store::{Draft, EventRow, FullRow, Relation, complete, event_columns},
};

// Lists of ids: an array on PostgreSQL, which SQLite does not have. The same holds below.
// The range is one search for each parent, where a list of the three types would be three. Nothing else
// of the specification is in it, above all no reactions, of which there may be very many.
sql!(
    REFERRED,
    sqlite: "SELECT parent, rel_type, count(*), max(seq), count(CASE WHEN sender = ?3 THEN 1 END)
        FROM relation
        WHERE room = ?1 AND parent IN (SELECT value FROM json_each(?2))
            AND rel_type BETWEEN 'm.reference' AND 'm.thread' AND seq <= ?4
            AND sender NOT IN (SELECT value FROM json_each(?5))
        GROUP BY parent, rel_type",
    pg: "SELECT parent, rel_type, count(*), max(seq), count(CASE WHEN sender = $3 THEN 1 END)
        FROM relation
        WHERE room = $1 AND parent = ANY($2)
            AND rel_type BETWEEN 'm.reference' AND 'm.thread' AND seq <= $4
            AND sender <> ALL($5)
        GROUP BY parent, rel_type"
);
// Split: lists are arrays on PostgreSQL, JSON on SQLite.
sql!(
    LATEST_EDITS,
    sqlite: concat!("SELECT ", event_columns!(), " FROM (
            SELECT max(r.seq) AS seq FROM relation r JOIN event p ON p.event_id = r.parent
            WHERE r.room = ?1 AND r.parent IN (SELECT value FROM json_each(?2))
                AND r.rel_type = 'm.replace' AND r.seq <= ?3
                AND r.sender = p.sender AND r.type = p.type
            GROUP BY r.parent
        ) l JOIN event e ON e.room = ?1 AND e.seq = l.seq"),
    pg: concat!("SELECT ", event_columns!(), " FROM (
            SELECT max(r.seq) AS seq FROM relation r JOIN event p ON p.event_id = r.parent
            WHERE r.room = $1 AND r.parent = ANY($2)
                AND r.rel_type = 'm.replace' AND r.seq <= $3
                AND r.sender = p.sender AND r.type = p.type
            GROUP BY r.parent
        ) l JOIN event e ON e.room = $1 AND e.seq = l.seq")
);
// Split: lists are arrays on PostgreSQL, JSON on SQLite.
sql!(
    EVENTS_BY_SEQ,
    sqlite: concat!("SELECT ", event_columns!(), " FROM event e
        WHERE e.room = ?1 AND e.seq IN (SELECT value FROM json_each(?2))"),
    pg: concat!("SELECT ", event_columns!(), " FROM event e
        WHERE e.room = $1 AND e.seq = ANY($2)")
);
// Split: lists are arrays on PostgreSQL, JSON on SQLite.
sql!(
    REFERENCES,
    sqlite: "SELECT parent, event_id FROM relation
        WHERE room = ?1 AND parent IN (SELECT value FROM json_each(?2))
            AND rel_type = 'm.reference' AND seq <= ?3
            AND sender NOT IN (SELECT value FROM json_each(?4))
        ORDER BY parent, seq LIMIT ?5",
    pg: "SELECT parent, event_id FROM relation
        WHERE room = $1 AND parent = ANY($2)
            AND rel_type = 'm.reference' AND seq <= $3
            AND sender <> ALL($4)
        ORDER BY parent, seq LIMIT $5"
);
sql!(
    RELATED_BEFORE,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM relation r JOIN event e ON e.pos = r.pos
      WHERE r.room = ?1 AND r.parent = ?2 AND r.rel_type = ?3 AND r.seq <= ?4
      ORDER BY r.seq DESC LIMIT ?5"
    )
);
sql!(
    RELATED_AFTER,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM relation r JOIN event e ON e.pos = r.pos
      WHERE r.room = ?1 AND r.parent = ?2 AND r.rel_type = ?3 AND r.seq > ?4
      ORDER BY r.seq LIMIT ?5"
    )
);
// `UNION`, not `UNION ALL`: it ends also where events refer to one another in a circle.
sql!(
    DESCENDANTS_BEFORE,
    concat!(
        "WITH RECURSIVE related (event_id, pos, seq, depth) AS (
            SELECT event_id, pos, seq, 1 FROM relation WHERE room = ?1 AND parent = ?2
            UNION
            SELECT c.event_id, c.pos, c.seq, r.depth + 1
            FROM related r JOIN relation c ON c.room = ?1 AND c.parent = r.event_id
            WHERE r.depth < ?3
        )
        SELECT ",
        event_columns!(),
        " FROM (SELECT DISTINCT pos, seq FROM related WHERE seq <= ?4
            ORDER BY seq DESC LIMIT ?5) d JOIN event e ON e.pos = d.pos ORDER BY d.seq DESC"
    )
);
sql!(
    DESCENDANTS_AFTER,
    concat!(
        "WITH RECURSIVE related (event_id, pos, seq, depth) AS (
            SELECT event_id, pos, seq, 1 FROM relation WHERE room = ?1 AND parent = ?2
            UNION
            SELECT c.event_id, c.pos, c.seq, r.depth + 1
            FROM related r JOIN relation c ON c.room = ?1 AND c.parent = r.event_id
            WHERE r.depth < ?3
        )
        SELECT ",
        event_columns!(),
        " FROM (SELECT DISTINCT pos, seq FROM related WHERE seq > ?4
            ORDER BY seq LIMIT ?5) d JOIN event e ON e.pos = d.pos ORDER BY d.seq"
    )
);
sql!(
    THREAD_TOUCH,
    "INSERT INTO thread (room, root, seq) VALUES (?1, ?2, ?3)
     ON CONFLICT (room, root) DO UPDATE SET seq = excluded.seq"
);
sql!(
    ANNOTATED,
    "SELECT 1 FROM relation WHERE room = ?1 AND parent = ?2 AND rel_type = 'm.annotation'
        AND sender = ?3 AND type = ?4 AND key = ?5 LIMIT 1"
);
sql!(
    THREADS,
    concat!(
        "SELECT ",
        event_columns!(),
        ", t.seq FROM thread t JOIN event e ON e.event_id = t.root AND e.room = t.room
      WHERE t.room = ?1 AND t.seq <= ?2 ORDER BY t.seq DESC LIMIT ?3"
    )
);

/// Notes that a thread has a new event, number `seq` in its room.
pub(crate) async fn touch_thread(
    tx: &mut Tx<'_>,
    room: RoomNid,
    root: &str,
    seq: i64,
) -> Result<()> {
    tx.put(&THREAD_TOUCH, &[room.into(), root.into(), seq.into()]).await
}

/// Has the sender of this annotation set the same one on the same event before?
pub(crate) async fn is_annotated(tx: &mut Tx<'_>, room: RoomNid, draft: &Draft) -> Result<bool> {
    let Some(Relation { parent, rel_type, key: Some(key) }) = &draft.relation else {
        return Ok(false);
    };
    if &**rel_type != ANNOTATION {
        return Ok(false);
    }
    let kind = draft.pdu.kind().to_string();
    let parent = parent.as_str().into();
    let args = [room.into(), parent, draft.sender.into(), (&kind).into(), (&**key).into()];
    Ok(tx.opt::<(i64,)>(&ANNOTATED, &args).await?.is_some())
}

/// How much refers to an event in one way.
pub(super) struct Referred {
    pub(super) parent: String,
    pub(super) rel_type: String,
    pub(super) count: i64,
    pub(super) last_seq: i64,
    /// How many of them are the reader's own.
    pub(super) own: i64,
}

impl FromRow for Referred {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            parent: row.get(0)?,
            rel_type: row.get(1)?,
            count: row.get(2)?,
            last_seq: row.get(3)?,
            own: row.get(4)?,
        })
    }
}

/// Finds out what refers to some events of a room, up to event number `until`.
pub(super) struct LoadBundles {
    pub(super) room: RoomNid,
    pub(super) parents: Vec<OwnedEventId>,
    pub(super) reader: UserNid,
    pub(super) ignored: Vec<i64>,
    pub(super) until: i64,
}

#[derive(Default)]
pub(super) struct Bundles {
    pub(super) referred: Vec<Referred>,
    /// The latest edits, of the events and of the latest events in their threads.
    pub(super) edits: Vec<FullRow>,
    /// The latest events of the threads.
    pub(super) latest: Vec<FullRow>,
    /// What refers to what, oldest first.
    pub(super) references: Vec<(String, String)>,
}

/// References shown with the events of one answer.
const REFERENCES_MAX: i64 = 1_000;

impl LoadBundles {
    async fn edits(&self, tx: &mut Tx<'_>, of: &[&str]) -> Result<Vec<EventRow>> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        tx.all(&LATEST_EDITS, &[self.room.into(), Value::Texts(of), self.until.into()]).await
    }
}

impl Work for LoadBundles {
    const NAME: &'static str = "rooms.load_bundles";
    type Out = Bundles;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Bundles> {
        let room = self.room.into();
        let parents: Vec<&str> = self.parents.iter().map(|id| id.as_str()).collect();
        let ignored = Value::Ints(&self.ignored);
        let args = [room, Value::Texts(&parents), self.reader.into(), self.until.into(), ignored];
        let referred = tx.all::<Referred>(&REFERRED, &args).await?;
        if referred.is_empty() {
            return Ok(Bundles::default());
        }
        let with = |rel_type: &str| -> Vec<&Referred> {
            referred.iter().filter(|one| one.rel_type == rel_type).collect()
        };
        let threads: Vec<i64> = with("m.thread").iter().map(|one| one.last_seq).collect();
        let latest: Vec<EventRow> = if threads.is_empty() {
            Vec::new()
        } else {
            tx.all(&EVENTS_BY_SEQ, &[room, Value::Ints(&threads)]).await?
        };
        let mut edited: Vec<&str> = with("m.replace").iter().map(|one| &*one.parent).collect();
        edited.extend(latest.iter().map(EventRow::event_id));
        let edits = self.edits(tx, &edited).await?;
        let cited: Vec<&str> = with("m.reference").iter().map(|one| &*one.parent).collect();
        let references = if cited.is_empty() {
            Vec::new()
        } else {
            let until = self.until.into();
            let args = [room, Value::Texts(&cited), until, ignored, REFERENCES_MAX.into()];
            tx.all(&REFERENCES, &args).await?
        };
        let edits = complete(tx, self.room, edits).await?;
        let latest = complete(tx, self.room, latest).await?;
        Ok(Bundles { referred, edits, latest, references })
    }
}

/// Events of a room by their numbers, in no order.
pub(crate) struct EventsBySeq {
    pub(crate) room: RoomNid,
    pub(crate) seqs: Vec<i64>,
}

impl Work for EventsBySeq {
    const NAME: &'static str = "rooms.events_by_seq";
    type Out = Vec<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<FullRow>> {
        let args = [self.room.into(), Value::Ints(&self.seqs)];
        let rows = tx.all(&EVENTS_BY_SEQ, &args).await?;
        complete(tx, self.room, rows).await
    }
}

/// A page of what refers to an event.
pub(super) struct RelatedPage {
    pub(super) room: RoomNid,
    pub(super) parent: OwnedEventId,
    /// With a type: only what refers to it directly and so.
    pub(super) how: How,
    pub(super) direction: Direction,
    pub(super) at: i64,
    pub(super) limit: i64,
}

/// How something refers to an event.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// Directly, by a relation of this type.
    By(Box<str>),
    /// By whatever relations, and over others, but at most so many.
    Over(i64),
}

impl Work for RelatedPage {
    const NAME: &'static str = "rooms.related_page";
    type Out = Vec<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<FullRow>> {
        let how: Value<'_> = match &self.how {
            How::By(rel_type) => (&**rel_type).into(),
            How::Over(depth) => (*depth).into(),
        };
        let statement = match (&self.how, self.direction) {
            (How::By(_), Direction::Backward) => &RELATED_BEFORE,
            (How::By(_), Direction::Forward) => &RELATED_AFTER,
            (How::Over(_), Direction::Backward) => &DESCENDANTS_BEFORE,
            (How::Over(_), Direction::Forward) => &DESCENDANTS_AFTER,
        };
        let parent = self.parent.as_str().into();
        let args = [self.room.into(), parent, how, self.at.into(), self.limit.into()];
        let rows = tx.all(statement, &args).await?;
        complete(tx, self.room, rows).await
    }
}

/// Threads of a room, those with the newest events first.
pub(super) struct LoadThreads {
    pub(super) room: RoomNid,
    pub(super) at: i64,
    pub(super) limit: i64,
}

struct ThreadRow {
    root: EventRow,
    last_seq: i64,
}

impl FromRow for ThreadRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { root: EventRow::from_row(row)?, last_seq: row.get(EventRow::COLUMNS)? })
    }
}

impl Work for LoadThreads {
    const NAME: &'static str = "rooms.load_threads";
    /// The first events and the numbers of the last ones.
    type Out = Vec<(FullRow, i64)>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.room.into(), self.at.into(), self.limit.into()];
        let rows = tx.all::<ThreadRow>(&THREADS, &args).await?;
        let (roots, last): (Vec<_>, Vec<_>) =
            rows.into_iter().map(|row| (row.root, row.last_seq)).unzip();
        Ok(complete(tx, self.room, roots).await?.into_iter().zip(last).collect())
    }
}
