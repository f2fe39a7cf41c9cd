//! Forgetting devices and users.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_store::{LockKey, Locks, Result, Sql, Tx, Work, sql};

use super::device_list::announce_device_list;
use crate::caches::Caches;

sql!(DEVICE_KEY, "DELETE FROM device_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(ONE_TIME, "DELETE FROM one_time_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(USED, "DELETE FROM one_time_key_used WHERE user_nid = ?1 AND device_id = ?2");
sql!(FALLBACK, "DELETE FROM fallback_key WHERE user_nid = ?1 AND device_id = ?2");
sql!(SIGNATURES, "DELETE FROM key_signature WHERE target_nid = ?1 AND target_key = ?2");
sql!(MESSAGES, "DELETE FROM to_device WHERE user_nid = ?1 AND device_id = ?2");
sql!(TRANSACTIONS, "DELETE FROM to_device_txn WHERE user_nid = ?1 AND device_id = ?2");

/// All but the identity keys, whose going is announced.
static PARTS: [&Sql; 6] = [&ONE_TIME, &USED, &FALLBACK, &SIGNATURES, &MESSAGES, &TRANSACTIONS];

/// Deletes what is stored for devices and announces that they are gone.
///
/// For the work that deletes the devices themselves, so that both happen in one commit. It must hold
/// the user's lock, and [`Keys::forgotten`](crate::Keys::forgotten) is to be called from its
/// `committed`.
pub async fn forget_devices(tx: &mut Tx<'_>, user: UserNid, devices: &[&str]) -> Result<()> {
    let mut had_keys = 0;
    for device in devices {
        let at = [user.into(), (*device).into()];
        had_keys += tx.exec(&DEVICE_KEY, &at).await?;
        for part in PARTS {
            tx.exec(part, &at).await?;
        }
    }
    if had_keys > 0 {
        announce_device_list(tx, user).await?;
    }
    Ok(())
}

/// Deletes what is stored for devices.
pub(crate) struct ForgetDevices {
    pub(crate) caches: Arc<Caches>,
    pub(crate) user: UserNid,
    pub(crate) devices: Vec<String>,
}

impl Work for ForgetDevices {
    const NAME: &'static str = "keys.forget_devices";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let devices: Vec<&str> = self.devices.iter().map(String::as_str).collect();
        forget_devices(tx, self.user, &devices).await
    }

    fn committed(&self, (): &()) {
        for device in &self.devices {
            self.caches.forget(self.user, device);
        }
    }
}
