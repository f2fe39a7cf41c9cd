//! Key backups: versions, and the sessions in them.

use std::collections::BTreeMap;

use haechi_base::UserNid;
use haechi_store::{FromRow, LockKey, Locks, Result, Row, Tx, Value, Work, sql};

use crate::{BackupState, BackupVersion, KeysError, rules};

/// Sessions in one version of a backup.
const SESSIONS_MAX: i64 = 1_000_000;

sql!(
    LATEST,
    "SELECT version, algorithm, auth_data, etag, sessions FROM backup_version
     WHERE user_nid = ?1 AND deleted = 0 ORDER BY version DESC LIMIT 1"
);
sql!(
    VERSION,
    "SELECT version, algorithm, auth_data, etag, sessions FROM backup_version
     WHERE user_nid = ?1 AND version = ?2 AND deleted = 0"
);
sql!(HIGHEST, "SELECT MAX(version) FROM backup_version WHERE user_nid = ?1");
sql!(
    CREATE,
    "INSERT INTO backup_version (user_nid, version, algorithm, auth_data, etag, sessions, deleted)
     VALUES (?1, ?2, ?3, ?4, 0, 0, 0)"
);
sql!(
    SET_AUTH_DATA,
    "UPDATE backup_version SET auth_data = ?3 WHERE user_nid = ?1 AND version = ?2"
);
sql!(
    SET_CONTENT,
    "UPDATE backup_version SET etag = ?3, sessions = ?4 WHERE user_nid = ?1 AND version = ?2"
);
sql!(
    MARK_DELETED,
    "UPDATE backup_version SET deleted = 1, sessions = 0 WHERE user_nid = ?1 AND version = ?2"
);
sql!(
    QUEUE_PURGE,
    "INSERT INTO backup_purge (user_nid, version) VALUES (?1, ?2)
     ON CONFLICT (user_nid, version) DO NOTHING"
);
sql!(WAS_THERE, "SELECT deleted FROM backup_version WHERE user_nid = ?1 AND version = ?2");
// A list of values has no common text.
sql!(RANKS,
    sqlite: "SELECT session_id, is_verified, first_message_index, forwarded_count
             FROM backup_session WHERE user_nid = ?1 AND version = ?2 AND room_id = ?3
             AND session_id IN (SELECT value FROM json_each(?4))",
    pg: "SELECT session_id, is_verified, first_message_index, forwarded_count
         FROM backup_session WHERE user_nid = $1 AND version = $2 AND room_id = $3
         AND session_id = ANY($4)");
sql!(
    SET_SESSION,
    "INSERT INTO backup_session (user_nid, version, room_id, session_id, is_verified,
         first_message_index, forwarded_count, json)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     ON CONFLICT (user_nid, version, room_id, session_id) DO UPDATE SET
         is_verified = excluded.is_verified,
         first_message_index = excluded.first_message_index,
         forwarded_count = excluded.forwarded_count,
         json = excluded.json"
);

/// What decides between two copies of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRank {
    pub(crate) is_verified: bool,
    pub(crate) first_message_index: i64,
    pub(crate) forwarded_count: i64,
}

/// A session on its way into a backup.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) room: String,
    pub(crate) session: String,
    pub(crate) rank: SessionRank,
    pub(crate) json: String,
}

impl FromRow for BackupVersion {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            version: row.get::<i64>(0)?.to_string(),
            algorithm: row.get(1)?,
            auth_data: String::from_utf8_lossy(&row.get::<Vec<u8>>(2)?).into_owned(),
            state: BackupState {
                etag: row.get::<i64>(3)?.to_string(),
                count: row.get::<i64>(4)?.unsigned_abs(),
            },
        })
    }
}

/// A version as the works use it.
pub(crate) async fn version_of(
    tx: &mut Tx<'_>,
    user: UserNid,
    version: i64,
) -> Result<Option<BackupVersion>> {
    tx.opt(&VERSION, &[user.into(), version.into()]).await
}

/// Notes that the content changed: another etag, and `added` more sessions.
pub(crate) async fn content_changed(
    tx: &mut Tx<'_>,
    user: UserNid,
    version: i64,
    state: &BackupState,
    added: i64,
) -> Result<BackupState> {
    let etag = state.etag.parse::<i64>().unwrap_or(0) + 1;
    let count = state.count.saturating_add_signed(added);
    let sessions = i64::try_from(count).unwrap_or(i64::MAX);
    let args = [user.into(), version.into(), etag.into(), sessions.into()];
    tx.exec_one(&SET_CONTENT, &args).await?;
    Ok(BackupState { etag: etag.to_string(), count })
}

/// Reads a version; the latest when none is named.
pub(crate) struct GetVersion {
    pub(crate) user: UserNid,
    pub(crate) version: Option<i64>,
}

impl Work for GetVersion {
    const NAME: &'static str = "keys.get_backup_version";
    type Out = Option<BackupVersion>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        match self.version {
            Some(version) => version_of(tx, self.user, version).await,
            None => tx.opt(&LATEST, &[self.user.into()]).await,
        }
    }
}

/// Creates a version, from now on the one that takes keys.
pub(crate) struct CreateVersion {
    pub(crate) user: UserNid,
    pub(crate) algorithm: String,
    pub(crate) auth_data: String,
}

impl Work for CreateVersion {
    const NAME: &'static str = "keys.create_backup_version";
    type Out = i64;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let (highest,): (Option<i64>,) = tx.one(&HIGHEST, &[self.user.into()]).await?;
        let version = highest.unwrap_or(0) + 1;
        let auth_data = Value::Blob(self.auth_data.as_bytes());
        let args = [self.user.into(), version.into(), (&self.algorithm).into(), auth_data];
        tx.exec_one(&CREATE, &args).await?;
        Ok(version)
    }
}

/// Replaces the authentication data of a version.
pub(crate) struct UpdateVersion {
    pub(crate) user: UserNid,
    pub(crate) version: i64,
    pub(crate) algorithm: String,
    pub(crate) auth_data: String,
}

impl Work for UpdateVersion {
    const NAME: &'static str = "keys.update_backup_version";
    type Out = Result<(), KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let Some(stored) = version_of(tx, self.user, self.version).await? else {
            return Ok(Err(KeysError::UNKNOWN_BACKUP));
        };
        if stored.algorithm != self.algorithm {
            return Ok(Err(KeysError::Invalid("Algorithm does not match".to_owned())));
        }
        let auth_data = Value::Blob(self.auth_data.as_bytes());
        tx.exec_one(&SET_AUTH_DATA, &[self.user.into(), self.version.into(), auth_data]).await?;
        Ok(Ok(()))
    }
}

/// Deletes a version. Its sessions are out of reach at once and deleted by and by.
pub(crate) struct DeleteVersion {
    pub(crate) user: UserNid,
    pub(crate) version: i64,
}

impl Work for DeleteVersion {
    const NAME: &'static str = "keys.delete_backup_version";
    /// Has there ever been such a version?
    type Out = bool;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let at = [self.user.into(), self.version.into()];
        let deleted: Option<(bool,)> = tx.opt(&WAS_THERE, &at).await?;
        if deleted == Some((false,)) {
            tx.exec_one(&MARK_DELETED, &at).await?;
            tx.put(&QUEUE_PURGE, &at).await?;
        }
        Ok(deleted.is_some())
    }
}

/// Stores sessions in the latest version, each unless the copy there is as good.
pub(crate) struct PutSessions {
    pub(crate) user: UserNid,
    pub(crate) version: i64,
    /// No room and session twice.
    pub(crate) sessions: Vec<NewSession>,
}

impl Work for PutSessions {
    const NAME: &'static str = "keys.put_backup_sessions";
    type Out = Result<BackupState, KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let latest: Option<BackupVersion> = tx.opt(&LATEST, &[self.user.into()]).await?;
        let Some(latest) = latest else { return Ok(Err(KeysError::UNKNOWN_BACKUP)) };
        if latest.version != self.version.to_string() {
            return Ok(Err(match version_of(tx, self.user, self.version).await? {
                Some(_) => KeysError::WrongBackupVersion { current: latest.version },
                None => KeysError::UNKNOWN_BACKUP,
            }));
        }
        let (better, added) = self.better(tx).await?;
        if latest.state.count.saturating_add(added.unsigned_abs()) > SESSIONS_MAX.unsigned_abs() {
            return Ok(Err(KeysError::TooLarge("The backup is full".to_owned())));
        }
        if better.is_empty() {
            return Ok(Ok(latest.state));
        }
        self.put(tx, &better).await?;
        let state = content_changed(tx, self.user, self.version, &latest.state, added).await?;
        Ok(Ok(state))
    }
}

impl PutSessions {
    /// The sessions to be written, and how many of them are new.
    async fn better(&self, tx: &mut Tx<'_>) -> Result<(Vec<&NewSession>, i64)> {
        let mut by_room: BTreeMap<&str, Vec<&NewSession>> = BTreeMap::new();
        for session in &self.sessions {
            by_room.entry(&session.room).or_default().push(session);
        }
        let mut better = Vec::new();
        let mut added = 0;
        for (room, sessions) in by_room {
            let ids: Vec<&str> = sessions.iter().map(|one| one.session.as_str()).collect();
            let args = [self.user.into(), self.version.into(), room.into(), Value::Texts(&ids)];
            let stored: Vec<(String, bool, i64, i64)> = tx.all(&RANKS, &args).await?;
            let rank = |(session, is_verified, first_message_index, forwarded_count)| {
                (session, SessionRank { is_verified, first_message_index, forwarded_count })
            };
            let stored: BTreeMap<String, SessionRank> = stored.into_iter().map(rank).collect();
            for session in sessions {
                match stored.get(&session.session) {
                    Some(old) if !rules::replaces(session.rank, *old) => continue,
                    Some(_) => {}
                    None => added += 1,
                }
                better.push(session);
            }
        }
        Ok((better, added))
    }

    async fn put(&self, tx: &mut Tx<'_>, sessions: &[&NewSession]) -> Result<()> {
        let rows: Vec<[Value<'_>; 8]> = sessions
            .iter()
            .map(|one| {
                [
                    self.user.into(),
                    self.version.into(),
                    (&one.room).into(),
                    (&one.session).into(),
                    one.rank.is_verified.into(),
                    one.rank.first_message_index.into(),
                    one.rank.forwarded_count.into(),
                    Value::Blob(one.json.as_bytes()),
                ]
            })
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 8]>::as_slice).collect();
        tx.exec_many(&SET_SESSION, &rows).await?;
        Ok(())
    }
}
