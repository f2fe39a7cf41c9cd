//! Lanes in PostgreSQL: rows that one committer holds at a time.
//!
//! Whoever takes a lane raises its epoch, and every commit asks for the epoch it was given. So what a
//! former holder still has under way can no longer be committed. All times are the server's: the
//! clocks of the nodes do not matter.

use deadpool_postgres::ClientWrapper;
use futures_util::future::{BoxFuture, join, join4};
use haechi_base::{LaneId, Positions, StreamPos};
use tokio_postgres::{Error, Row, types::ToSql};

use super::fault::named_error;
use crate::{
    Result, StoreError,
    hint::{Chunk, decode_notes},
};

/// Serialises the handing out of lanes. The domain's lock keys have a smaller space number.
const LANES_LOCK: i64 = 0x4000_0000_0000_0001;

/// A lane whose holder is silent for so long is anybody's.
macro_rules! leased_until {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + 15000"
    };
}

/// `commits` counts every commit through the lane, also those that announce nothing: by it a commit
/// whose answer was lost is told from one that never happened.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS lane (
    id BIGINT PRIMARY KEY, epoch BIGINT NOT NULL, owner TEXT, pos BIGINT NOT NULL,
    commits BIGINT NOT NULL, leased_until BIGINT NOT NULL) WITH (fillfactor = 20)";

/// What each commit announced: how nodes learn what the others wrote. Kept for a while.
pub(super) const NOTES_TABLE: &str = "CREATE TABLE IF NOT EXISTS lane_note (
    lane BIGINT NOT NULL, since BIGINT NOT NULL, upto BIGINT NOT NULL, notes BYTEA NOT NULL,
    PRIMARY KEY (lane, upto))";

pub(super) const KEEP_NOTES: &str =
    "INSERT INTO lane_note (lane, since, upto, notes) VALUES ($1, $2, $3, $4)";

const NOTES_BETWEEN: &str = "SELECT n.lane, n.since, n.upto, n.notes
    FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (lane, since, upto)
    JOIN lane_note n ON n.lane = r.lane AND n.upto > r.since AND n.upto <= r.upto
    ORDER BY n.lane, n.upto";

const DROP_NOTES: &str = "DELETE FROM lane_note WHERE lane = $1 AND upto <= $2";

const TAKE_FREE: &str = concat!(
    "UPDATE lane SET epoch = epoch + 1, owner = $1, leased_until = ",
    leased_until!(),
    " WHERE id IN (
        SELECT id FROM lane
        WHERE ($2 AND owner = $1)
           OR leased_until < (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
        ORDER BY ($2 AND owner IS NOT DISTINCT FROM $1) DESC, id
        LIMIT $3 FOR UPDATE SKIP LOCKED)
    RETURNING id, epoch, pos, commits"
);

const MAKE_NEW: &str = concat!(
    "INSERT INTO lane (id, epoch, owner, pos, commits, leased_until)
    SELECT coalesce(max(id) + 1, 0), 1, $1, 0, 0, ",
    leased_until!(),
    " FROM lane RETURNING id, epoch, pos, commits"
);

const TAKE_AGAIN: &str = concat!(
    "UPDATE lane SET epoch = epoch + 1, leased_until = ",
    leased_until!(),
    " WHERE id = $1 AND epoch = $2 RETURNING id, epoch, pos, commits"
);

const RENEW: &str =
    concat!("UPDATE lane SET leased_until = ", leased_until!(), " WHERE id = $1 AND epoch = $2");

const RELEASE: &str = "UPDATE lane SET owner = NULL, leased_until = 0 WHERE id = $1 AND epoch = $2";

/// Last statement before a commit. When the lane is no longer ours it divides by zero, which spoils
/// the transaction; so `COMMIT` can be sent right behind it, in the same round trip.
pub(super) const ADVANCE: &str = concat!(
    "WITH mine AS (
        UPDATE lane SET pos = $1, commits = commits + 1, leased_until = ",
    leased_until!(),
    " WHERE id = $2 AND epoch = $3 RETURNING id)
    SELECT 1 / count(*) FROM mine"
);

pub(super) const SNAPSHOT: &str = "SELECT id, pos FROM lane";

/// A lane that is ours as long as its epoch is the row's.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) epoch: i64,
    pub(super) pos: i64,
    pub(super) commits: i64,
}

impl Lane {
    pub(super) fn key(&self) -> i64 {
        i64::from(self.id.0)
    }

    fn from_row(row: &Row) -> Result<Self> {
        let id: i64 = row.get(0);
        let id = u16::try_from(id).ok().filter(|id| *id <= LaneId::MAX.0).ok_or_else(|| {
            StoreError::Unavailable(format!("lane {id} is out of range: too many nodes"))
        })?;
        Ok(Self { id: LaneId(id), epoch: row.get(1), pos: row.get(2), commits: row.get(3) })
    }
}

/// Takes `count` lanes: with `own`, first those that a former process of this node left behind.
pub(super) async fn lease(
    client: &ClientWrapper,
    owner: &str,
    own: bool,
    count: usize,
) -> Result<Vec<Lane>> {
    // Dropping the connection on an error undoes it all; callers drop it.
    let wanted = i64::try_from(count).unwrap_or(i64::MAX);
    run(client.batch_execute("BEGIN")).await?;
    run(client.execute("SELECT pg_advisory_xact_lock($1)", &[&LANES_LOCK])).await?;
    let mut rows = run(client.query(TAKE_FREE, &[&owner, &own, &wanted])).await?;
    while rows.len() < count {
        rows.push(run(client.query_one(MAKE_NEW, &[&owner])).await?);
    }
    run(client.batch_execute("COMMIT")).await?;
    rows.iter().map(Lane::from_row).collect()
}

/// Takes a lane of ours with a new connection; `None` when it has passed to somebody else.
///
/// It waits for whatever the old connection still holds, and raises the epoch, so that afterwards
/// `commits` tells for good what became of the old connection's last commit.
pub(super) async fn take_again(client: &ClientWrapper, lane: &Lane) -> Result<Option<Lane>> {
    let row = run(client.query_opt(TAKE_AGAIN, &[&lane.key(), &lane.epoch])).await?;
    row.as_ref().map(Lane::from_row).transpose()
}

/// Extends the lease and looks where all lanes are, in one transaction; `None` when the lane has
/// passed to somebody else.
///
/// That the commit was acknowledged confirms all that it saw: had this server been cut off from its
/// standbys, or were it no primary any more, there would be no answer.
pub(super) fn look<'a>(
    client: &'a ClientWrapper,
    lane: &'a Lane,
) -> BoxFuture<'a, Result<Option<Positions>>> {
    let steps = async move {
        let (renew, snapshot) =
            join(client.prepare_cached(RENEW), client.prepare_cached(SNAPSHOT)).await;
        let (renew, snapshot) = (renew?, snapshot?);
        let (key, epoch) = (lane.key(), lane.epoch);
        let args: [&(dyn ToSql + Sync); 2] = [&key, &epoch];
        let (begun, renewed, seen, committed) = join4(
            client.batch_execute("BEGIN"),
            client.execute(&renew, &args),
            client.query(&snapshot, &[]),
            client.batch_execute("COMMIT"),
        )
        .await;
        begun?;
        let (renewed, seen) = (renewed?, seen?);
        committed?;
        Ok((renewed == 1).then(|| positions(&seen)))
    };
    Box::pin(run(steps))
}

/// Drops the notes of a lane up to here: every node has long heard of them.
pub(super) async fn drop_notes(client: &ClientWrapper, lane: &Lane, upto: i64) -> Result<()> {
    run(client.execute(DROP_NOTES, &[&lane.key(), &upto])).await.map(drop)
}

/// What was announced in these ranges, as far as it is still kept.
pub(super) async fn notes_between(
    client: &ClientWrapper,
    ranges: &[(StreamPos, StreamPos)],
) -> Result<Vec<Chunk>> {
    let column = |of: fn(&(StreamPos, StreamPos)) -> i64| ranges.iter().map(of).collect::<Vec<_>>();
    let lanes = column(|(from, _)| i64::from(from.lane().0));
    let (since, upto) = (column(|(from, _)| from.offset()), column(|(_, to)| to.offset()));
    let statement = run(client.prepare_cached(NOTES_BETWEEN)).await?;
    let rows = run(client.query(&statement, &[&lanes, &since, &upto])).await?;
    let chunk = |row: &Row| {
        let lane = LaneId(u16::try_from(row.get::<_, i64>(0)).unwrap_or(LaneId::MAX.0));
        let notes = decode_notes(row.get(3))?;
        Some(Chunk { lane, since: row.get(1), upto: row.get(2), notes })
    };
    Ok(rows.iter().filter_map(chunk).collect())
}

/// Gives the lane back.
pub(super) async fn release(client: &ClientWrapper, lane: &Lane) -> Result<()> {
    run(client.execute(RELEASE, &[&lane.key(), &lane.epoch])).await.map(drop)
}

/// Where all lanes are: one snapshot.
pub(super) async fn snapshot(client: &ClientWrapper) -> Result<Positions> {
    let statement = run(client.prepare_cached(SNAPSHOT)).await?;
    Ok(positions(&run(client.query(&statement, &[])).await?))
}

pub(super) fn positions(rows: &[Row]) -> Positions {
    let mut positions = Positions::default();
    for row in rows {
        let id: i64 = row.get(0);
        positions.set(LaneId(u16::try_from(id).unwrap_or(LaneId::MAX.0)), row.get(1));
    }
    positions
}

async fn run<T>(step: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
    step.await.map_err(|error| named_error("lane", &error))
}
