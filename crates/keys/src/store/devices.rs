//! Which devices exist: those of the accounts, and dehydrated ones.

use haechi_base::UserNid;
use haechi_store::{Result, Tx, Value, sql};

// A list of values has no common text.
sql!(DEVICES,
    sqlite: "SELECT nid, device_id, display_name FROM device
             WHERE nid IN (SELECT value FROM json_each(?1))
             UNION ALL
             SELECT user_nid, device_id, display_name FROM dehydrated_device
             WHERE user_nid IN (SELECT value FROM json_each(?1))",
    pg: "SELECT nid, device_id, display_name FROM device WHERE nid = ANY($1)
         UNION ALL
         SELECT user_nid, device_id, display_name FROM dehydrated_device WHERE user_nid = ANY($1)");

/// A device of somebody, with its name.
pub(crate) type Device = (UserNid, String, Option<String>);

/// All devices of `users`.
pub(crate) async fn of_users(tx: &mut Tx<'_>, users: &[i64]) -> Result<Vec<Device>> {
    tx.all(&DEVICES, &[Value::Ints(users)]).await
}
