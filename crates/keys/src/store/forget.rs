//! Forgetting devices.

use haechi_base::UserNid;
use haechi_store::{Result, Sql, Tx, sql};

use super::device_list::announce_device_list;

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
/// To be called inside a work that holds the user's lock.
pub(crate) async fn forget_devices(tx: &mut Tx<'_>, user: UserNid, devices: &[&str]) -> Result<()> {
    let mut had_keys = 0;
    for device in devices {
        let at = [user.into(), (*device).into()];
        had_keys += tx.exec(&DEVICE_KEY, &at).await?;
        for part in PARTS {
            tx.put(part, &at).await?;
        }
    }
    if had_keys > 0 {
        announce_device_list(tx, user).await?;
    }
    Ok(())
}
