//! Dehydrated devices (MSC3814): they receive while nobody is logged in.

use std::sync::Arc;

use haechi_base::{Positions, UserNid};

use crate::{
    DehydratedDevice, DehydratedUpload, Keys, KeysError, Result, ToDeviceBatch, UserRef, json,
    rules,
    store::dehydrated::{DeleteDehydrated, GetDehydrated, PutDehydrated},
};

/// Largest private half, in bytes.
const DATA_BYTES_MAX: usize = 65_536;

/// Longest id or name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Events in one answer.
const EVENTS_MAX: usize = 100;

impl Keys {
    /// Stores a dehydrated device in place of the one before, whose keys and messages go.
    pub async fn put_dehydrated_device(
        &self,
        user: &UserRef,
        upload: DehydratedUpload,
    ) -> Result<()> {
        let name_bytes = upload.display_name.as_ref().map_or(0, String::len);
        if upload.device.data.len() > DATA_BYTES_MAX
            || upload.device.device.len().max(name_bytes) > NAME_BYTES_MAX
        {
            return Err(KeysError::TooLarge("The device is too large".to_owned()));
        }
        json::object(&upload.device.data)?;
        let keys = rules::check_upload(&user.id, &upload.device.device, &upload.keys)?;
        if keys.device_keys.is_none() {
            return Err(KeysError::Invalid("device_keys are missing".to_owned()));
        }
        let work = PutDehydrated {
            caches: Arc::clone(&self.caches),
            user: user.nid,
            device: upload.device,
            display_name: upload.display_name,
            keys,
        };
        self.db.write(work).await??;
        Ok(())
    }

    /// The user's dehydrated device.
    pub async fn dehydrated_device(&self, user: UserNid) -> Result<DehydratedDevice> {
        self.db.read(GetDehydrated { user }).await?.ok_or(KeysError::NO_DEHYDRATED_DEVICE)
    }

    /// Deletes the user's dehydrated device, with its keys and messages; returns its id.
    pub async fn delete_dehydrated_device(&self, user: UserNid) -> Result<String> {
        let caches = Arc::clone(&self.caches);
        let deleted = self.db.write(DeleteDehydrated { caches, user }).await?;
        deleted.ok_or(KeysError::NO_DEHYDRATED_DEVICE)
    }

    /// Messages for the dehydrated device after `from`. They stay until the device is deleted or
    /// replaced, so that a login broken off in the middle can begin again.
    pub async fn dehydrated_device_events(
        &self,
        user: UserNid,
        device: &str,
        from: &Positions,
    ) -> Result<ToDeviceBatch> {
        if self.dehydrated_device(user).await?.device != device {
            return Err(KeysError::Forbidden("This is not your dehydrated device"));
        }
        let to = self.db.horizon().borrow().clone();
        self.to_device_since(user, device, from, &to, EVENTS_MAX).await
    }
}
