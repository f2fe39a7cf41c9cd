//! Uploading the keys of a device.

use std::{collections::BTreeMap, sync::Arc};

use haechi_base::UserNid;
use haechi_store::{Change, LockKey, Locks, Result, Tx, Value, Work, sql};

use ruma::CanonicalJsonObject;

use super::{
    device_list::announce_device_list,
    one_time::{self, counts_of},
};
use crate::{KeyCounts, KeysError, caches::Caches, json, rules};

sql!(DEVICE_KEY, "SELECT json FROM device_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(
    SET_DEVICE_KEY,
    "INSERT INTO device_key (user_nid, device_id, json) VALUES (?1, ?2, ?3)
     ON CONFLICT (user_nid, device_id) DO UPDATE SET json = excluded.json"
);
sql!(DELETE_SIGNATURES_ON, "DELETE FROM key_signature WHERE target_nid = ?1 AND target_key = ?2");
sql!(DELETE_ONE_TIME, "DELETE FROM one_time_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(DELETE_FALLBACK, "DELETE FROM fallback_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(
    FALLBACK,
    "SELECT key_id, json FROM fallback_key
     WHERE user_nid = ?1 AND device_id = ?2 AND algorithm = ?3"
);
sql!(
    SET_FALLBACK,
    "INSERT INTO fallback_key (user_nid, device_id, algorithm, key_id, json, used)
     VALUES (?1, ?2, ?3, ?4, ?5, 0)
     ON CONFLICT (user_nid, device_id, algorithm)
     DO UPDATE SET key_id = excluded.key_id, json = excluded.json, used = 0"
);

/// A one-time or fallback key on its way in.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) algorithm: String,
    pub(crate) id: String,
    pub(crate) json: String,
    pub(crate) digest: [u8; 32],
}

/// Stores the keys of one device.
pub(crate) struct UploadKeys {
    pub(crate) caches: Arc<Caches>,
    pub(crate) user: UserNid,
    pub(crate) device: String,
    pub(crate) keys: NewKeys,
}

/// Keys of one device, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewKeys {
    pub(crate) device_keys: Option<CanonicalJsonObject>,
    pub(crate) one_time: Vec<NewKey>,
    pub(crate) fallback: Vec<NewKey>,
}

impl Work for UploadKeys {
    const NAME: &'static str = "keys.upload_keys";
    type Out = Result<KeyCounts, KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        if let Err(refusal) = put_keys(tx, self.user, &self.device, &self.keys).await? {
            return Ok(Err(refusal));
        }
        Ok(Ok(counts_of(tx, self.user, &self.device).await?))
    }

    fn committed(&self, _: &Self::Out) {
        self.caches.counts.forget(self.user, &self.device);
    }
}

/// Stores keys of a device and announces what changed.
///
/// A device that starts again under its old id has new identity keys: what was signed with the old
/// ones goes.
pub(crate) async fn put_keys(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
    keys: &NewKeys,
) -> Result<Result<(), KeysError>> {
    let identity = match &keys.device_keys {
        Some(new) => identity_step(tx, user, device, new).await?,
        None => Identity::Same,
    };
    let stored = match identity {
        Identity::Replaced => Vec::new(),
        _ if keys.one_time.is_empty() => Vec::new(),
        _ => one_time::stored(tx, user, device).await?,
    };
    let fresh = match fresh_keys(&stored, &keys.one_time) {
        Ok(fresh) => fresh,
        Err(Refused::TooMany) => return Ok(Err(rules::too_many_keys())),
        Err(Refused::Exists(key)) => {
            return Ok(Err(KeysError::OneTimeKeyExists {
                id: format!("{}:{}", key.algorithm, key.id),
                old: one_time::json_of(tx, user, device, &key.algorithm, &key.id).await?,
                new: key.json.clone(),
            }));
        }
    };
    // Nothing is refused from here on.
    if identity == Identity::Replaced {
        delete_signed_with_old_identity(tx, user, device).await?;
    }
    let mut supply_changed = identity == Identity::Replaced;
    supply_changed |= one_time::insert(tx, user, device, fresh).await?;
    for key in &keys.fallback {
        supply_changed |= put_fallback(tx, user, device, key).await?;
    }
    if supply_changed {
        tx.announce(Change::DeviceKeys(user, device.into()))?;
    }
    if let Some(new) = &keys.device_keys
        && identity != Identity::Same
    {
        let text = json::text(new);
        let args = [user.into(), device.into(), Value::Blob(text.as_bytes())];
        tx.put(&SET_DEVICE_KEY, &args).await?;
        announce_device_list(tx, user).await?;
    }
    Ok(Ok(()))
}

/// What an upload of identity keys means for the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    Same,
    /// The first keys, or the same keys with other particulars.
    Changed,
    Replaced,
}

async fn identity_step(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
    new: &CanonicalJsonObject,
) -> Result<Identity> {
    let stored: Option<(Vec<u8>,)> = tx.opt(&DEVICE_KEY, &[user.into(), device.into()]).await?;
    let Some((stored,)) = stored else { return Ok(Identity::Changed) };
    let stored = json::stored(&stored);
    Ok(if stored == *new {
        Identity::Same
    } else if stored.get("keys") == new.get("keys") {
        Identity::Changed
    } else {
        Identity::Replaced
    })
}

async fn delete_signed_with_old_identity(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
) -> Result<()> {
    for sql in [&DELETE_SIGNATURES_ON, &DELETE_ONE_TIME, &DELETE_FALLBACK] {
        tx.put(sql, &[user.into(), device.into()]).await?;
    }
    Ok(())
}

enum Refused<'a> {
    Exists(&'a NewKey),
    TooMany,
}

/// The keys that are not stored yet, each with its place in the order of its algorithm.
fn fresh_keys<'a>(
    stored: &[one_time::Stored],
    keys: &'a [NewKey],
) -> Result<Vec<(i64, &'a NewKey)>, Refused<'a>> {
    let mut last_seq: BTreeMap<&str, i64> = BTreeMap::new();
    for key in stored {
        let last = last_seq.entry(&key.algorithm).or_default();
        *last = key.seq.max(*last);
    }
    let mut fresh = Vec::new();
    for key in keys {
        match stored.iter().find(|old| old.algorithm == key.algorithm && old.id == key.id) {
            Some(old) if old.digest == key.digest => {}
            Some(_) => return Err(Refused::Exists(key)),
            None => {
                let last = last_seq.entry(&key.algorithm).or_default();
                *last += 1;
                fresh.push((*last, key));
            }
        }
    }
    if stored.len() + fresh.len() > rules::DEVICE_ONE_TIME_KEYS_MAX {
        return Err(Refused::TooMany);
    }
    Ok(fresh)
}

/// A key that is uploaded again stays used. Returns whether anything changed.
async fn put_fallback(tx: &mut Tx<'_>, user: UserNid, device: &str, key: &NewKey) -> Result<bool> {
    let at = [user.into(), device.into(), Value::Text(&key.algorithm)];
    let stored: Option<(String, Vec<u8>)> = tx.opt(&FALLBACK, &at).await?;
    if let Some((id, json)) = stored
        && id == key.id
        && json == key.json.as_bytes()
    {
        return Ok(false);
    }
    let [user, device, algorithm] = at;
    let args = [user, device, algorithm, (&key.id).into(), Value::Blob(key.json.as_bytes())];
    tx.put(&SET_FALLBACK, &args).await?;
    Ok(true)
}
