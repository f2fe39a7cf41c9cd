//! Devices.

use haechi_base::UserNid;
use ruma::DeviceId;

use crate::{
    Accounts, Device, DeviceWish, Refusal, Result,
    store::devices::{DeleteDevices, ListDevices, RenameDevice},
};

impl Accounts {
    /// The user's devices.
    pub async fn devices(&self, user: UserNid) -> Result<Vec<Device>> {
        let devices = self.0.db.read(ListDevices { user, device_id: None }).await?;
        Ok(devices.into_iter().map(|device| self.with_seen(user, device)).collect())
    }

    /// One of the user's devices.
    pub async fn device(&self, user: UserNid, device_id: &DeviceId) -> Result<Option<Device>> {
        let device_id = Some(device_id.to_string());
        let mut devices = self.0.db.read(ListDevices { user, device_id }).await?;
        Ok(devices.pop().map(|device| self.with_seen(user, device)))
    }

    /// Adds what is known of the device's use and not written yet.
    fn with_seen(&self, user: UserNid, mut device: Device) -> Device {
        let seen = self.0.seen.lock();
        if let Some(seen) = seen.get(&(user, device.device_id.to_string())) {
            device.seen = Some(seen.at);
            device.seen_ip = Some(seen.ip.to_string());
        }
        device
    }

    /// Gives a device a name.
    pub async fn rename_device(
        &self,
        user: UserNid,
        device_id: &DeviceId,
        display_name: Option<String>,
    ) -> Result<()> {
        let wish = DeviceWish { display_name, ..DeviceWish::default() };
        Self::check_device_wish(&wish)?;
        let display_name = wish.display_name;
        let (device_id, watch) = (device_id.to_string(), self.0.watch.clone());
        self.0.db.write(RenameDevice { user, device_id, display_name, watch }).await??;
        Ok(())
    }

    /// Deletes devices and ends their logins; those that do not exist are passed over.
    pub async fn delete_devices(&self, user: UserNid, devices: Vec<String>) -> Result<()> {
        if devices.len() > 1_000 {
            return Err(Refusal::TooMany("devices at once").into());
        }
        let (devices, watch) = (Some(devices), self.0.watch.clone());
        self.0.db.write(DeleteDevices { user, devices, watch }).await?;
        Ok(())
    }

    /// Ends all logins of a user.
    pub async fn log_out_everywhere(&self, user: UserNid) -> Result<()> {
        let watch = self.0.watch.clone();
        self.0.db.write(DeleteDevices { user, devices: None, watch }).await?;
        Ok(())
    }
}
