//! Publishing cross-signing keys.

use haechi_base::UserNid;
use haechi_store::{LockKey, Locks, Result, Tx, Value, Work, sql};
use ruma::CanonicalJsonObject;

use super::{device_list::announce_device_list, devices};
use crate::{Consent, KeysError, UserRef, json, rules};

sql!(SIGNING_KEYS, "SELECT usage, public_key, json FROM cross_signing_key WHERE user_nid = ?1");
sql!(
    SET_SIGNING_KEY,
    "INSERT INTO cross_signing_key (user_nid, usage, public_key, json) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (user_nid, usage)
     DO UPDATE SET public_key = excluded.public_key, json = excluded.json"
);
sql!(DELETE_SIGNATURES_ON, "DELETE FROM key_signature WHERE target_nid = ?1 AND target_key = ?2");
sql!(
    DELETE_OWN_SIGNATURES_BY,
    "DELETE FROM key_signature WHERE target_nid = ?1 AND signer_nid = ?1 AND signing_key = ?2"
);

/// One cross-signing key, checked but for its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SigningKey {
    /// `master`, `self_signing` or `user_signing`.
    pub(crate) usage: &'static str,
    pub(crate) public_key: String,
    pub(crate) json: CanonicalJsonObject,
}

/// Stores cross-signing keys.
pub(crate) struct UploadSigningKeys {
    pub(crate) user: UserRef,
    /// The master key first, if it is among them.
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) consent: Consent,
}

struct Stored {
    usage: String,
    public_key: String,
    json: CanonicalJsonObject,
}

impl Work for UploadSigningKeys {
    const NAME: &'static str = "keys.upload_signing_keys";
    type Out = Result<(), KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user.nid))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let stored = read(tx, self.user.nid).await?;
        let fresh: Vec<&SigningKey> =
            self.keys.iter().filter(|key| !is_stored(&stored, key)).collect();
        if fresh.is_empty() {
            return Ok(Ok(()));
        }
        let has_master = stored.iter().any(|key| key.usage == rules::MASTER);
        if has_master && self.consent == Consent::Unproven {
            return Ok(Err(KeysError::AuthRequired));
        }
        if let Err(refusal) = self.check(&stored) {
            return Ok(Err(refusal));
        }
        let devices = devices::of_users(tx, &[self.user.nid.0]).await?;
        if fresh.iter().any(|key| devices.iter().any(|(_, id, _)| *id == key.public_key)) {
            return Ok(Err(KeysError::KeyIdInUse));
        }
        for key in fresh {
            let old = stored.iter().find(|old| old.usage == key.usage);
            self.put(tx, key, old).await?;
        }
        announce_device_list(tx, self.user.nid).await?;
        Ok(Ok(()))
    }
}

impl UploadSigningKeys {
    /// Self-signing and user-signing keys must be signed by the master key that will hold.
    fn check(&self, stored: &[Stored]) -> Result<(), KeysError> {
        let new = self.keys.iter().find(|key| key.usage == rules::MASTER);
        let master = match new {
            Some(new) => &new.public_key,
            None => stored
                .iter()
                .find(|key| key.usage == rules::MASTER)
                .map(|key| &key.public_key)
                .ok_or(KeysError::NoMasterKey)?,
        };
        let mut signed = self.keys.iter().filter(|key| key.usage != rules::MASTER);
        if signed.all(|key| rules::is_signed_by(&key.json, &self.user.id, master)) {
            Ok(())
        } else {
            Err(KeysError::InvalidSignature)
        }
    }

    async fn put(&self, tx: &mut Tx<'_>, key: &SigningKey, old: Option<&Stored>) -> Result<()> {
        let user = self.user.nid;
        if let Some(old) = old.filter(|old| old.public_key != key.public_key) {
            tx.put(&DELETE_SIGNATURES_ON, &[user.into(), (&old.public_key).into()]).await?;
            let signing_key = format!("ed25519:{}", old.public_key);
            tx.put(&DELETE_OWN_SIGNATURES_BY, &[user.into(), (&signing_key).into()]).await?;
        }
        let text = json::text(&key.json);
        let args =
            [user.into(), key.usage.into(), (&key.public_key).into(), Value::Blob(text.as_bytes())];
        tx.put(&SET_SIGNING_KEY, &args).await?;
        Ok(())
    }
}

/// Is this very key stored? Signatures do not count: the same key may come with more of them.
fn is_stored(stored: &[Stored], key: &SigningKey) -> bool {
    stored.iter().any(|old| old.usage == key.usage && json::same_signed_part(&old.json, &key.json))
}

async fn read(tx: &mut Tx<'_>, user: UserNid) -> Result<Vec<Stored>> {
    let rows: Vec<(String, String, Vec<u8>)> = tx.all(&SIGNING_KEYS, &[user.into()]).await?;
    Ok(rows
        .into_iter()
        .map(|(usage, public_key, bytes)| Stored { usage, public_key, json: json::stored(&bytes) })
        .collect())
}
