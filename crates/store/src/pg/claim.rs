//! Lanes in PostgreSQL: rows that one committer holds at a time.
//!
//! Whoever takes a lane raises its epoch, and every commit asks for the epoch it was given. So what a
//! former holder still has under way can no longer be committed. All times are the server's: the
//! clocks of the nodes do not matter.

use deadpool_postgres::ClientWrapper;
use haechi_base::{LaneId, Positions};
use tokio_postgres::{Error, Row};

use super::fault::named_error;
use crate::{Result, StoreError};

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

/// Extends the lease; false when the lane has passed to somebody else.
pub(super) async fn renew(client: &ClientWrapper, lane: &Lane) -> Result<bool> {
    Ok(run(client.execute(RENEW, &[&lane.key(), &lane.epoch])).await? == 1)
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
