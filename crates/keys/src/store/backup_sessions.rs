//! Reading and deleting the sessions of a backup.

use haechi_base::UserNid;
use haechi_store::{LockKey, Locks, Result, Sql, Tx, Value, Work, sql};

use super::backup::{content_changed, version_of};
use crate::{BackedUpSession, BackupScope, BackupState, KeysError};

/// Sessions deleted in one work: bounds how long other writers wait.
pub(crate) const DELETE_MAX: i64 = 1_000;

sql!(
    ALL,
    "SELECT room_id, session_id, json FROM backup_session WHERE user_nid = ?1 AND version = ?2
     ORDER BY room_id, session_id"
);
sql!(
    OF_ROOM,
    "SELECT room_id, session_id, json FROM backup_session
     WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3 ORDER BY session_id"
);
sql!(
    ONE,
    "SELECT room_id, session_id, json FROM backup_session
     WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3 AND session_id = ?4"
);
sql!(
    DELETE_SOME,
    "DELETE FROM backup_session WHERE user_nid = ?1 AND version = ?2 AND (room_id, session_id) IN (
         SELECT room_id, session_id FROM backup_session
         WHERE user_nid = ?1 AND version = ?2 LIMIT ?3)"
);
sql!(
    DELETE_SOME_OF_ROOM,
    "DELETE FROM backup_session
     WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3 AND session_id IN (
         SELECT session_id FROM backup_session
         WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3 LIMIT ?4)"
);
sql!(
    DELETE_ONE,
    "DELETE FROM backup_session
     WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3 AND session_id = ?4"
);
sql!(NEXT_PURGE, "SELECT user_nid, version FROM backup_purge WHERE user_nid > 0 LIMIT 1");
sql!(END_PURGE, "DELETE FROM backup_purge WHERE user_nid = ?1 AND version = ?2");

fn arguments(user: UserNid, version: i64, scope: &BackupScope) -> Vec<Value<'_>> {
    let mut args = vec![user.into(), version.into()];
    match scope {
        BackupScope::All => {}
        BackupScope::Room(room) => args.push(room.into()),
        BackupScope::Session(room, session) => {
            args.push(room.into());
            args.push(session.into());
        }
    }
    args
}

/// Reads sessions.
pub(crate) struct GetSessions {
    pub(crate) user: UserNid,
    pub(crate) version: i64,
    pub(crate) scope: BackupScope,
}

impl Work for GetSessions {
    const NAME: &'static str = "keys.get_backup_sessions";
    type Out = Result<Vec<BackedUpSession>, KeysError>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if version_of(tx, self.user, self.version).await?.is_none() {
            return Ok(Err(KeysError::UNKNOWN_BACKUP));
        }
        let sql: &'static Sql = match self.scope {
            BackupScope::All => &ALL,
            BackupScope::Room(_) => &OF_ROOM,
            BackupScope::Session(..) => &ONE,
        };
        let args = arguments(self.user, self.version, &self.scope);
        let rows: Vec<(String, String, Vec<u8>)> = tx.all(sql, &args).await?;
        let session = |(room, session, json): (String, String, Vec<u8>)| BackedUpSession {
            room,
            session,
            json: String::from_utf8_lossy(&json).into_owned(),
        };
        Ok(Ok(rows.into_iter().map(session).collect()))
    }
}

/// Deletes sessions, at most [`DELETE_MAX`] at once.
pub(crate) struct DeleteSessions {
    pub(crate) user: UserNid,
    pub(crate) version: i64,
    pub(crate) scope: BackupScope,
}

impl Work for DeleteSessions {
    const NAME: &'static str = "keys.delete_backup_sessions";
    /// The state after it, and whether there may be more to delete.
    type Out = Result<(BackupState, bool), KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let Some(version) = version_of(tx, self.user, self.version).await? else {
            return Ok(Err(KeysError::UNKNOWN_BACKUP));
        };
        let mut args = arguments(self.user, self.version, &self.scope);
        let sql: &'static Sql = match self.scope {
            BackupScope::All => &DELETE_SOME,
            BackupScope::Room(_) => &DELETE_SOME_OF_ROOM,
            BackupScope::Session(..) => &DELETE_ONE,
        };
        if !matches!(self.scope, BackupScope::Session(..)) {
            args.push(DELETE_MAX.into());
        }
        let deleted = i64::try_from(tx.exec(sql, &args).await?).unwrap_or(i64::MAX);
        if deleted == 0 {
            return Ok(Ok((version.state, false)));
        }
        let state = content_changed(tx, self.user, self.version, &version.state, -deleted).await?;
        Ok(Ok((state, deleted == DELETE_MAX)))
    }
}

/// Deletes some sessions of a version that is deleted.
pub(crate) struct PurgeBackups;

impl Work for PurgeBackups {
    const NAME: &'static str = "keys.purge_backups";
    /// Is there more to do?
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let next: Option<(i64, i64)> = tx.opt(&NEXT_PURGE, &[]).await?;
        let Some((user, version)) = next else { return Ok(false) };
        let args = [user.into(), version.into(), DELETE_MAX.into()];
        if tx.exec(&DELETE_SOME, &args).await? < DELETE_MAX.unsigned_abs() {
            tx.put(&END_PURGE, &[user.into(), version.into()]).await?;
        }
        Ok(true)
    }
}
