//! Pushers end with their devices.

use std::sync::Arc;

use haechi_accounts::{DeviceHooks, HookFuture};
use haechi_base::UserNid;
use haechi_store::Tx;

use crate::store::pushers::delete_pushers;

/// Deletes the pushers of devices that are deleted, beside what other hooks do.
pub struct PusherHooks(Arc<dyn DeviceHooks>);

impl PusherHooks {
    /// Hooks that do what `others` do, too.
    pub fn beside(others: Arc<dyn DeviceHooks>) -> Self {
        Self(others)
    }
}

impl DeviceHooks for PusherHooks {
    fn deleted<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        user: UserNid,
        devices: &'a [String],
    ) -> HookFuture<'a> {
        Box::pin(async move {
            self.0.deleted(tx, user, devices).await?;
            delete_pushers(tx, user, devices).await
        })
    }

    fn renamed<'a>(&'a self, tx: &'a mut Tx<'_>, user: UserNid) -> HookFuture<'a> {
        self.0.renamed(tx, user)
    }

    fn forget(&self, user: UserNid, devices: &[String]) {
        // Nothing of pushers is cached that the tables would not correct.
        self.0.forget(user, devices);
    }
}
