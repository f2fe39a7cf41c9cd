//! One-time keys: each is handed out once and never again.

use std::{collections::BTreeSet, sync::Arc};

use haechi_base::{Millis, UserNid};
use haechi_store::{Change, FromRow, LockKey, Locks, Result, Row, Tx, Value, Work, sql};

use super::upload::NewKey;
use crate::{Claim, ClaimedKey, KeyCounts, caches::Caches};

sql!(
    STORED,
    "SELECT algorithm, key_id, seq, digest FROM one_time_key WHERE user_nid = ?1 AND device_id = ?2"
);
sql!(
    JSON,
    "SELECT json FROM one_time_key
     WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4"
);
sql!(
    INSERT_UNLESS_USED,
    "INSERT INTO one_time_key (user_nid, device_id, algorithm, key_id, digest, seq, json)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
     WHERE NOT EXISTS (
         SELECT 1 FROM one_time_key_used
         WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4 AND digest = ?5)"
);
sql!(
    COUNTS,
    "SELECT algorithm, COUNT(*) FROM one_time_key
     WHERE user_nid = ?1 AND device_id = ?2 GROUP BY algorithm"
);
sql!(
    UNUSED_FALLBACKS,
    "SELECT algorithm FROM fallback_key
     WHERE user_nid = ?1 AND device_id = ?2 AND used = 0 ORDER BY algorithm"
);
sql!(
    TAKE_OLDEST,
    "DELETE FROM one_time_key
     WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3 AND seq = (
         SELECT MIN(seq) FROM one_time_key
         WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3)
     RETURNING key_id, digest, json"
);
sql!(
    REMEMBER_USED,
    "INSERT INTO one_time_key_used (user_nid, device_id, algorithm, key_id, digest, used_ms)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (user_nid, device_id, algorithm, key_id)
     DO UPDATE SET digest = excluded.digest, used_ms = excluded.used_ms"
);
sql!(
    FALLBACK,
    "SELECT key_id, json, used FROM fallback_key
     WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3"
);
sql!(
    USE_FALLBACK,
    "UPDATE fallback_key SET used = 1 WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3"
);

/// A key that waits to be claimed, without its JSON.
pub(crate) struct Stored {
    pub(crate) algorithm: String,
    pub(crate) id: String,
    pub(crate) seq: i64,
    pub(crate) digest: Vec<u8>,
}

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { algorithm: row.get(0)?, id: row.get(1)?, seq: row.get(2)?, digest: row.get(3)? })
    }
}

pub(crate) async fn stored(tx: &mut Tx<'_>, user: UserNid, device: &str) -> Result<Vec<Stored>> {
    tx.all(&STORED, &[user.into(), device.into()]).await
}

pub(crate) async fn json_of(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
    algorithm: &str,
    id: &str,
) -> Result<String> {
    let args = [user.into(), device.into(), algorithm.into(), id.into()];
    let (json,): (Vec<u8>,) = tx.one(&JSON, &args).await?;
    Ok(String::from_utf8_lossy(&json).into_owned())
}

/// Inserts keys with their places in the order, but none that was already handed out. Returns
/// whether there were any.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
    keys: Vec<(i64, &NewKey)>,
) -> Result<bool> {
    if keys.is_empty() {
        return Ok(false);
    }
    let rows: Vec<[Value<'_>; 7]> = keys
        .into_iter()
        .map(|(seq, key)| {
            [
                user.into(),
                device.into(),
                (&key.algorithm).into(),
                (&key.id).into(),
                Value::Blob(&key.digest),
                seq.into(),
                Value::Blob(key.json.as_bytes()),
            ]
        })
        .collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 7]>::as_slice).collect();
    Ok(tx.exec_many(&INSERT_UNLESS_USED, &rows).await? > 0)
}

/// Counts what a device has left.
pub(crate) async fn counts_of(tx: &mut Tx<'_>, user: UserNid, device: &str) -> Result<KeyCounts> {
    let mut counts = KeyCounts::default();
    // Some clients take "no count" for "no news".
    counts.one_time_keys.insert("signed_curve25519".to_owned(), 0);
    let at = [user.into(), device.into()];
    let rows: Vec<(String, i64)> = tx.all(&COUNTS, &at).await?;
    let rows = rows.into_iter().map(|(algorithm, count)| (algorithm, count.unsigned_abs()));
    counts.one_time_keys.extend(rows);
    let unused: Vec<(String,)> = tx.all(&UNUSED_FALLBACKS, &at).await?;
    counts.unused_fallback_keys = unused.into_iter().map(|(algorithm,)| algorithm).collect();
    Ok(counts)
}

/// Reads what a device has left.
pub(crate) struct CountKeys {
    pub(crate) user: UserNid,
    pub(crate) device: String,
}

impl Work for CountKeys {
    const NAME: &'static str = "keys.count_keys";
    type Out = KeyCounts;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<KeyCounts> {
        counts_of(tx, self.user, &self.device).await
    }
}

/// Hands out one key for each claim; where no one-time key is left, the fallback key.
pub(crate) struct ClaimKeys {
    pub(crate) caches: Arc<Caches>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) now: Millis,
}

impl Work for ClaimKeys {
    const NAME: &'static str = "keys.claim_keys";
    /// In the order of the claims.
    type Out = Vec<Option<ClaimedKey>>;

    fn locks(&self) -> Locks {
        let users: BTreeSet<UserNid> = self.claims.iter().map(|claim| claim.user).collect();
        Locks::all(users.into_iter().map(LockKey::User))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let mut out = Vec::with_capacity(self.claims.len());
        for claim in &self.claims {
            let key = match self.take_one_time(tx, claim).await? {
                Some(key) => Some(key),
                None => take_fallback(tx, claim).await?,
            };
            out.push(key);
        }
        Ok(out)
    }

    fn committed(&self, _: &Self::Out) {
        for claim in &self.claims {
            self.caches.counts.forget(claim.user, &claim.device);
        }
    }
}

impl ClaimKeys {
    async fn take_one_time(&self, tx: &mut Tx<'_>, claim: &Claim) -> Result<Option<ClaimedKey>> {
        let at = [claim.user.into(), (&claim.device).into(), (&claim.algorithm).into()];
        let taken: Option<(String, Vec<u8>, Vec<u8>)> = tx.opt(&TAKE_OLDEST, &at).await?;
        let Some((id, digest, json)) = taken else { return Ok(None) };
        let [user, device, algorithm] = at;
        let used = [user, device, algorithm, (&id).into(), Value::Blob(&digest), self.now.into()];
        tx.put(&REMEMBER_USED, &used).await?;
        tx.announce(Change::DeviceKeys(claim.user, claim.device.as_str().into()))?;
        Ok(Some(claimed(claim, &id, &json)))
    }
}

async fn take_fallback(tx: &mut Tx<'_>, claim: &Claim) -> Result<Option<ClaimedKey>> {
    let at = [claim.user.into(), (&claim.device).into(), (&claim.algorithm).into()];
    let found: Option<(String, Vec<u8>, bool)> = tx.opt(&FALLBACK, &at).await?;
    let Some((id, json, used)) = found else { return Ok(None) };
    if !used {
        tx.put(&USE_FALLBACK, &at).await?;
        tx.announce(Change::DeviceKeys(claim.user, claim.device.as_str().into()))?;
    }
    Ok(Some(claimed(claim, &id, &json)))
}

fn claimed(claim: &Claim, id: &str, json: &[u8]) -> ClaimedKey {
    ClaimedKey {
        id: format!("{}:{id}", claim.algorithm),
        json: String::from_utf8_lossy(json).into_owned(),
    }
}
