//! Key backups.

use std::collections::BTreeSet;

use haechi_base::UserNid;
use serde::Deserialize;

use crate::{
    BackedUpSession, BackupScope, BackupState, BackupVersion, Keys, KeysError, Result, json,
    store::{
        backup::{
            CreateVersion, DeleteVersion, GetVersion, NewSession, PutSessions, SessionRank,
            UpdateVersion,
        },
        backup_sessions::{DeleteSessions, GetSessions},
    },
};

/// Largest authentication data or session, in bytes.
const VALUE_BYTES_MAX: usize = 65_536;

/// Longest algorithm, room id or session id, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The fields of a session that the server compares.
#[derive(Deserialize)]
struct SessionFields {
    first_message_index: u32,
    forwarded_count: u32,
    is_verified: bool,
    #[expect(dead_code, reason = "must be there and be an object; nobody here can read it")]
    session_data: serde_json::Map<String, serde_json::Value>,
}

impl Keys {
    /// Creates a backup version from an algorithm and its data in JSON.
    pub async fn create_backup(
        &self,
        user: UserNid,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<String> {
        check_algorithm(algorithm, auth_data)?;
        let (algorithm, auth_data) = (algorithm.to_owned(), auth_data.to_owned());
        let version = self.db.write(CreateVersion { user, algorithm, auth_data }).await?;
        Ok(version.to_string())
    }

    /// A version of the backup; the latest when none is named.
    pub async fn backup(&self, user: UserNid, version: Option<&str>) -> Result<BackupVersion> {
        let version = version.map(number).transpose()?;
        let found = self.db.read(GetVersion { user, version }).await?;
        found.ok_or(KeysError::UNKNOWN_BACKUP)
    }

    /// Replaces the authentication data of a version; the algorithm must be the same.
    pub async fn update_backup(
        &self,
        user: UserNid,
        version: &str,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<()> {
        check_algorithm(algorithm, auth_data)?;
        let version = number(version)?;
        let (algorithm, auth_data) = (algorithm.to_owned(), auth_data.to_owned());
        self.db.write(UpdateVersion { user, version, algorithm, auth_data }).await?
    }

    /// Deletes a version; no error when it is deleted already.
    pub async fn delete_backup(&self, user: UserNid, version: &str) -> Result<()> {
        let version = number(version)?;
        if self.db.write(DeleteVersion { user, version }).await? {
            Ok(())
        } else {
            Err(KeysError::UNKNOWN_BACKUP)
        }
    }

    /// Stores sessions in the latest version, all in one commit; a session that is there already is
    /// replaced only by a better copy.
    pub async fn put_backup_sessions(
        &self,
        user: UserNid,
        version: &str,
        sessions: Vec<BackedUpSession>,
    ) -> Result<BackupState> {
        let version = number(version)?;
        let mut seen = BTreeSet::new();
        let mut new = Vec::with_capacity(sessions.len());
        for session in sessions {
            if !seen.insert((session.room.clone(), session.session.clone())) {
                return Err(KeysError::Invalid("A session is named twice".to_owned()));
            }
            new.push(check_session(session)?);
        }
        self.db.write(PutSessions { user, version, sessions: new }).await?
    }

    /// The sessions of a version; none is no error.
    pub async fn backup_sessions(
        &self,
        user: UserNid,
        version: &str,
        scope: BackupScope,
    ) -> Result<Vec<BackedUpSession>> {
        let version = number(version)?;
        self.db.read(GetSessions { user, version, scope }).await?
    }

    /// Deletes sessions of a version.
    pub async fn delete_backup_sessions(
        &self,
        user: UserNid,
        version: &str,
        scope: BackupScope,
    ) -> Result<BackupState> {
        let version = number(version)?;
        loop {
            let scope = scope.clone();
            let (state, more) = self.db.write(DeleteSessions { user, version, scope }).await??;
            if !more {
                return Ok(state);
            }
        }
    }
}

/// Versions are numbers; another text is a version that does not exist.
fn number(version: &str) -> Result<i64> {
    version.parse().map_err(|_| KeysError::UNKNOWN_BACKUP)
}

fn check_algorithm(algorithm: &str, auth_data: &str) -> Result<()> {
    if algorithm.is_empty() || algorithm.len() > NAME_BYTES_MAX {
        return Err(KeysError::Invalid("algorithm is empty or too long".to_owned()));
    }
    if auth_data.len() > VALUE_BYTES_MAX {
        return Err(KeysError::TooLarge("auth_data is too large".to_owned()));
    }
    json::object(auth_data)?;
    Ok(())
}

fn check_session(session: BackedUpSession) -> Result<NewSession> {
    if session.json.len() > VALUE_BYTES_MAX {
        return Err(KeysError::TooLarge("A session is too large".to_owned()));
    }
    if session.room.len().max(session.session.len()) > NAME_BYTES_MAX {
        return Err(KeysError::Invalid("A room id or session id is too long".to_owned()));
    }
    let fields: SessionFields = serde_json::from_str(&session.json)
        .map_err(|error| KeysError::BadJson(error.to_string()))?;
    Ok(NewSession {
        room: session.room,
        session: session.session,
        rank: SessionRank {
            is_verified: fields.is_verified,
            first_message_index: fields.first_message_index.into(),
            forwarded_count: fields.forwarded_count.into(),
        },
        json: session.json,
    })
}
