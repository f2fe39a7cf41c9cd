//! What end-to-end encryption needs from a server: device keys, one-time keys, cross-signing, key
//! backups, dehydrated devices, and messages from device to device.
//!
//! The server reads none of it: keys are JSON objects that are kept with every field they came
//! with, checked for what the server itself relies on, and handed out again.
//!
//! - A one-time key is handed out once: the claim deletes it in the commit that is acknowledged, and
//!   an upload that is sent again does not bring it back.
//! - A message to a device is stored in the commit that notes its transaction id.
//! - Whatever changes for `/sync` is announced by the work that changes it: `Change::ToDevice`,
//!   `Change::DeviceKeys`, `Change::DeviceList`, `Change::UserSignature`.
//!
//! [`Keys`] offers all of it; one module for each subject.

mod backup;
mod cache;
mod caches;
mod cross_signing;
mod dehydrated;
mod device_keys;
mod device_lists;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod json;
mod model;
mod purge;
mod rules;
mod store;
mod to_device;

use std::sync::Arc;

use haechi_accounts::{DeviceHooks, HookFuture};
use haechi_base::{Clock, UserNid};
use haechi_store::{Commit, Db, Schema, Tx, schema};

use caches::Caches;
pub use error::{KeysError, Result};
pub use model::{
    BackedUpSession, BackupScope, BackupState, BackupVersion, Claim, ClaimedKey, Consent,
    DehydratedDevice, DehydratedUpload, Identities, KeyCounts, KeysUpload, SignatureFailure,
    SignedKey, SigningKeysUpload, ToDeviceBatch, ToDeviceMessage, ToDeviceSend, UserRef, Wanted,
};

/// The tables of this crate. They come after those of `accounts`.
pub static SCHEMA: Schema =
    schema!("keys": "0001_keys", "0002_to_device", "0003_backup", "0004_to_device_order");

/// The keys of all users. Clones share one cache.
#[derive(Clone)]
pub struct Keys {
    db: Db,
    clock: Clock,
    caches: Arc<Caches>,
}

impl Keys {
    /// Forgets what memory holds of what other nodes changed; to be called before anybody is told.
    pub fn hear(&self, commit: &Commit) {
        self.caches.hear(commit);
    }

    /// Opens the keys in `db`. To be called once: a second cache would not hear of the first one's
    /// writes.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, caches: Arc::new(Caches::new()) }
    }
}

/// To be given to the accounts: what is stored for a device changes in the transaction that changes
/// the device.
impl DeviceHooks for Keys {
    fn deleted<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        user: UserNid,
        devices: &'a [String],
    ) -> HookFuture<'a> {
        Box::pin(async move {
            let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
            store::forget::forget_devices(tx, user, &devices).await
        })
    }

    fn renamed<'a>(&'a self, tx: &'a mut Tx<'_>, user: UserNid) -> HookFuture<'a> {
        Box::pin(store::device_list::announce_device_list(tx, user))
    }

    fn forget(&self, user: UserNid, devices: &[String]) {
        for device in devices {
            self.caches.forget(user, device);
        }
    }
}

#[cfg(test)]
mod tests;
