//! What users report to the operator (client-server API, "Reporting Content").

use std::sync::Arc;

use haechi_base::{Millis, RoomNid, UserNid};
use haechi_store::{FromRow, LockKey, Locks, Result as StoreResult, Row, Tx, Work, sql};
use ruma::EventId;

use crate::{Result, Room, RoomError, Rooms, model::Actor};

sql!(
    REPORT_INSERT,
    "INSERT INTO report (reporter, at_ms, room, event_id, user_nid, reason)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
);
sql!(
    REPORTS_LATELY,
    "SELECT count(*) FROM (SELECT at_ms FROM report WHERE reporter = ?1
     ORDER BY id DESC LIMIT ?2) r WHERE r.at_ms > ?3"
);
sql!(
    REPORTS,
    "SELECT id, reporter, at_ms, room, event_id, user_nid, reason FROM report
     WHERE id > ?1 AND closed_ms IS NULL ORDER BY id LIMIT ?2"
);
sql!(REPORT_CLOSE, "UPDATE report SET closed_ms = ?2 WHERE id = ?1 AND closed_ms IS NULL");

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

/// Reports of one user in a day.
const REPORTS_A_DAY_MAX: i64 = 200;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub reporter: UserNid,
    /// When.
    pub at: Millis,
    /// The room, also of an event.
    pub room: Option<RoomNid>,
    /// The event.
    pub event_id: Option<String>,
    /// The user.
    pub user: Option<UserNid>,
    /// Why.
    pub reason: String,
}

impl FromRow for Report {
    fn from_row(row: &Row<'_>) -> StoreResult<Self> {
        Ok(Self {
            id: row.get(0)?,
            reporter: row.get(1)?,
            at: row.get(2)?,
            room: row.get(3)?,
            event_id: row.get(4)?,
            user: row.get(5)?,
            reason: row.get(6)?,
        })
    }
}

impl Rooms {
    /// Reports a room, whether or not the user is in it.
    pub async fn report_room(&self, room: &Room, actor: &Actor, reason: &str) -> Result<()> {
        self.report(actor, reason, Some(room.nid), None, None).await
    }

    /// Reports an event that the user, who must be in the room, may see.
    pub async fn report_event(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        event_id: &EventId,
        reason: &str,
    ) -> Result<()> {
        if !room.joined().contains(&actor.nid) {
            return Err(RoomError::NO_EVENT);
        }
        let event = self.event(room, &actor.user_id, event_id).await?;
        let event_id = event.pdu.event_id().to_string();
        self.report(actor, reason, Some(room.nid), Some(event_id), None).await
    }

    /// Reports a user.
    pub async fn report_user(&self, user: UserNid, actor: &Actor, reason: &str) -> Result<()> {
        self.report(actor, reason, None, None, Some(user)).await
    }

    /// Open reports with numbers above `after`, oldest first.
    pub async fn reports(&self, after: i64, limit: usize) -> Result<Vec<Report>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.0.db.read(ListReports { after, limit }).await?)
    }

    /// Notes that the operator is done with a report; `false` when there is no open one with this
    /// number.
    pub async fn close_report(&self, id: i64) -> Result<bool> {
        Ok(self.0.db.write(CloseReport { id, now: self.0.clock.now() }).await?)
    }

    async fn report(
        &self,
        actor: &Actor,
        reason: &str,
        room: Option<RoomNid>,
        event_id: Option<String>,
        user: Option<UserNid>,
    ) -> Result<()> {
        if reason.len() > REASON_BYTES_MAX {
            return Err(RoomError::Invalid(format!(
                "the reason has more than {REASON_BYTES_MAX} bytes"
            )));
        }
        let work = AddReport(Report {
            id: 0,
            reporter: actor.nid,
            at: self.0.clock.now(),
            room,
            event_id,
            user,
            reason: reason.to_owned(),
        });
        if self.0.db.write(work).await? {
            tracing::info!(reporter = %actor.user_id, "something was reported");
            return Ok(());
        }
        Err(RoomError::Forbidden("you have reported a lot today; try again tomorrow".to_owned()))
    }
}

/// Adds a report; `false` when its user has made too many.
struct AddReport(Report);

impl Work for AddReport {
    const NAME: &'static str = "rooms.add_report";
    type Out = bool;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.0.reporter))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        let Report { reporter, at, room, event_id, user, reason, .. } = &self.0;
        let args = [(*reporter).into(), REPORTS_A_DAY_MAX.into(), (at.0 - DAY_MS).into()];
        let (lately,) = tx.one::<(i64,)>(&REPORTS_LATELY, &args).await?;
        if lately >= REPORTS_A_DAY_MAX {
            return Ok(false);
        }
        let event_id = event_id.as_deref().into();
        let args = [
            (*reporter).into(),
            (*at).into(),
            (*room).into(),
            event_id,
            (*user).into(),
            reason.into(),
        ];
        tx.exec_one(&REPORT_INSERT, &args).await?;
        Ok(true)
    }
}

struct ListReports {
    after: i64,
    limit: i64,
}

impl Work for ListReports {
    const NAME: &'static str = "rooms.list_reports";
    type Out = Vec<Report>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<Report>> {
        tx.all(&REPORTS, &[self.after.into(), self.limit.into()]).await
    }
}

struct CloseReport {
    id: i64,
    now: Millis,
}

impl Work for CloseReport {
    const NAME: &'static str = "rooms.close_report";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        Ok(tx.exec(&REPORT_CLOSE, &[self.id.into(), self.now.into()]).await? > 0)
    }
}
