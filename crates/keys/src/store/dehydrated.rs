//! Dehydrated devices (MSC3814): at most one for each user.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_store::{LockKey, Locks, Result, Tx, Value, Work, sql};

use super::{
    devices,
    forget::forget_devices,
    upload::{NewKeys, put_keys},
};
use crate::{DehydratedDevice, KeysError, caches::Caches};

sql!(GET, "SELECT device_id, data FROM dehydrated_device WHERE user_nid = ?1");
sql!(DELETE, "DELETE FROM dehydrated_device WHERE user_nid = ?1");
sql!(
    PUT,
    "INSERT INTO dehydrated_device (user_nid, device_id, display_name, data)
     VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (user_nid) DO UPDATE SET
         device_id = excluded.device_id, display_name = excluded.display_name, data = excluded.data"
);

async fn get(tx: &mut Tx<'_>, user: UserNid) -> Result<Option<DehydratedDevice>> {
    let row: Option<(String, Vec<u8>)> = tx.opt(&GET, &[user.into()]).await?;
    Ok(row.map(|(device, data)| DehydratedDevice {
        device,
        data: String::from_utf8_lossy(&data).into_owned(),
    }))
}

/// Reads the user's dehydrated device.
pub(crate) struct GetDehydrated {
    pub(crate) user: UserNid,
}

impl Work for GetDehydrated {
    const NAME: &'static str = "keys.get_dehydrated";
    type Out = Option<DehydratedDevice>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        get(tx, self.user).await
    }
}

/// Stores a dehydrated device in place of the one before.
pub(crate) struct PutDehydrated {
    pub(crate) caches: Arc<Caches>,
    pub(crate) user: UserNid,
    pub(crate) device: DehydratedDevice,
    pub(crate) display_name: Option<String>,
    pub(crate) keys: NewKeys,
}

impl Work for PutDehydrated {
    const NAME: &'static str = "keys.put_dehydrated";
    /// The id of the device that was replaced.
    type Out = Result<Option<String>, KeysError>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let device = self.device.device.as_str();
        let old = get(tx, self.user).await?.map(|old| old.device);
        let taken = devices::of_users(tx, &[self.user.0]).await?;
        if old.as_deref() != Some(device) && taken.iter().any(|(_, id, _)| id == device) {
            return Ok(Err(KeysError::Invalid("The device id is in use".to_owned())));
        }
        forget_devices(tx, self.user, &[old.as_deref().unwrap_or(device), device]).await?;
        let args = [
            self.user.into(),
            device.into(),
            self.display_name.as_deref().into(),
            Value::Blob(self.device.data.as_bytes()),
        ];
        tx.put(&PUT, &args).await?;
        // With nothing stored for the device there is no key that could be in the way.
        Ok(put_keys(tx, self.user, device, &self.keys).await?.map(|()| old))
    }

    fn committed(&self, out: &Self::Out) {
        self.caches.forget(self.user, &self.device.device);
        if let Ok(Some(old)) = out {
            self.caches.forget(self.user, old);
        }
    }
}

/// Deletes the user's dehydrated device.
pub(crate) struct DeleteDehydrated {
    pub(crate) caches: Arc<Caches>,
    pub(crate) user: UserNid,
}

impl Work for DeleteDehydrated {
    const NAME: &'static str = "keys.delete_dehydrated";
    /// Its id.
    type Out = Option<String>;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<String>> {
        let Some(old) = get(tx, self.user).await? else { return Ok(None) };
        tx.exec_one(&DELETE, &[self.user.into()]).await?;
        forget_devices(tx, self.user, &[&old.device]).await?;
        Ok(Some(old.device))
    }

    fn committed(&self, out: &Option<String>) {
        if let Some(device) = out {
            self.caches.forget(self.user, device);
        }
    }
}
