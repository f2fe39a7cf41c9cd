//! How far pushers have come.

use haechi_base::{LaneId, Millis, Positions, UserNid};
use haechi_store::{FromRow, Result, Row, Tx, Value, Work, sql};

use crate::model::PusherNid;

sql!(LANES, "SELECT lane, handled FROM push_progress WHERE lane >= ?1");
sql!(
    LANE_PUT,
    "INSERT INTO push_progress (lane, handled) VALUES (?1, ?2)
     ON CONFLICT (lane) DO UPDATE SET handled = excluded.handled
     WHERE excluded.handled > push_progress.handled"
);
sql!(
    PAGE,
    "SELECT id, nid, created_ms, behind, failures, failing_since_ms FROM pusher
     WHERE id > ?1 ORDER BY id LIMIT ?2"
);
sql!(
    PUSHER_PUT,
    "UPDATE pusher SET behind = ?2, failures = ?3, failing_since_ms = ?4 WHERE id = ?1"
);

/// How far each lane has been handled.
pub(crate) struct LoadProgress;

impl Work for LoadProgress {
    const NAME: &'static str = "push.load_progress";
    type Out = Positions;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Positions> {
        let rows: Vec<(i64, i64)> = tx.all(&LANES, &[0_i64.into()]).await?;
        let mut handled = Positions::default();
        for (lane, offset) in rows {
            if let Ok(lane) = u16::try_from(lane) {
                handled.set(LaneId(lane), offset);
            }
        }
        Ok(handled)
    }
}

/// Where one pusher stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: PusherNid,
    pub(crate) user: UserNid,
    pub(crate) created: Millis,
    /// How far it has come; with the others when empty.
    pub(crate) behind: Option<Positions>,
    pub(crate) failures: u32,
    pub(crate) failing_since: Option<Millis>,
}

impl FromRow for Place {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: PusherNid(row.get(0)?),
            user: row.get(1)?,
            created: row.get(2)?,
            behind: row.get::<Option<String>>(3)?.and_then(|text| text.parse().ok()),
            failures: u32::try_from(row.get::<i64>(4)?).unwrap_or(0),
            failing_since: row.get(5)?,
        })
    }
}

/// Pushers with numbers above `after`.
pub(crate) struct Places {
    pub(crate) after: PusherNid,
    pub(crate) limit: i64,
}

impl Work for Places {
    const NAME: &'static str = "push.places";
    type Out = Vec<Place>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Place>> {
        tx.all(&PAGE, &[self.after.0.into(), self.limit.into()]).await
    }
}

/// What is to be noted of one pusher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) behind: Option<String>,
    pub(crate) failures: u32,
    pub(crate) failing_since: Option<Millis>,
}

impl From<&Place> for Standing {
    fn from(place: &Place) -> Self {
        Self {
            behind: place.behind.as_ref().map(ToString::to_string),
            failures: place.failures,
            failing_since: place.failing_since,
        }
    }
}

/// Notes how far lanes and pushers have come.
pub(crate) struct SaveProgress {
    pub(crate) handled: Positions,
    pub(crate) pushers: Vec<(PusherNid, Standing)>,
}

impl Work for SaveProgress {
    const NAME: &'static str = "push.save_progress";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        for (id, standing) in &self.pushers {
            let args = [
                id.0.into(),
                standing.behind.as_deref().into(),
                i64::from(standing.failures).into(),
                standing.failing_since.into(),
            ];
            tx.put(&PUSHER_PUT, &args).await?;
        }
        let rows: Vec<[Value<'_>; 2]> = self
            .handled
            .iter()
            .filter(|(_, offset)| *offset > 0)
            .map(|(lane, offset)| [i64::from(lane.0).into(), offset.into()])
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
        tx.exec_many(&LANE_PUT, &rows).await.map(drop)
    }
}
