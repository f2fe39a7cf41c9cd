//! Reading identity keys.

use haechi_base::UserNid;
use haechi_store::{Result, Tx, Value, Work, sql};

use super::devices::{self, Device};

// A list of values has no common text.
sql!(DEVICE_KEYS,
    sqlite: "SELECT user_nid, device_id, json FROM device_key
             WHERE user_nid IN (SELECT value FROM json_each(?1))",
    pg: "SELECT user_nid, device_id, json FROM device_key WHERE user_nid = ANY($1)");
// As above.
sql!(SIGNING_KEYS,
    sqlite: "SELECT user_nid, usage, public_key, json FROM cross_signing_key
             WHERE user_nid IN (SELECT value FROM json_each(?1))",
    pg: "SELECT user_nid, usage, public_key, json FROM cross_signing_key
         WHERE user_nid = ANY($1)");
// As above.
sql!(SIGNATURES,
    sqlite: "SELECT target_nid, target_key, signer_nid, signing_key, signature FROM key_signature
             WHERE target_nid IN (SELECT value FROM json_each(?1))
               AND (signer_nid = target_nid OR signer_nid = ?2)",
    pg: "SELECT target_nid, target_key, signer_nid, signing_key, signature FROM key_signature
         WHERE target_nid = ANY($1) AND (signer_nid = target_nid OR signer_nid = $2)");

/// A signature that was uploaded after its key.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) signer: UserNid,
    pub(crate) signing_key: String,
    pub(crate) value: String,
}

/// What is stored of some users' identities.
#[derive(Debug, Default)]
pub(crate) struct StoredIdentities {
    pub(crate) devices: Vec<Device>,
    pub(crate) device_keys: Vec<(UserNid, String, Vec<u8>)>,
    /// User, usage, public key, JSON.
    pub(crate) signing_keys: Vec<(UserNid, String, String, Vec<u8>)>,
    /// User, device id or public key, signature.
    pub(crate) signatures: Vec<(UserNid, String, Signature)>,
}

/// Reads the identities of `users` with the signatures that `viewer` may see.
pub(crate) struct ReadIdentities {
    pub(crate) viewer: UserNid,
    pub(crate) users: Vec<i64>,
}

impl Work for ReadIdentities {
    const NAME: &'static str = "keys.read_identities";
    type Out = StoredIdentities;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<StoredIdentities> {
        let users = Value::Ints(&self.users);
        let rows: Vec<(UserNid, String, UserNid, String, String)> =
            tx.all(&SIGNATURES, &[users, self.viewer.into()]).await?;
        let signatures = rows
            .into_iter()
            .map(|(target, key, signer, signing_key, value)| {
                (target, key, Signature { signer, signing_key, value })
            })
            .collect();
        Ok(StoredIdentities {
            devices: devices::of_users(tx, &self.users).await?,
            device_keys: tx.all(&DEVICE_KEYS, &[users]).await?,
            signing_keys: tx.all(&SIGNING_KEYS, &[users]).await?,
            signatures,
        })
    }
}
