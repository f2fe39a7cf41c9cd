//! Who must hear of devices that end.

use std::{future::Future, pin::Pin, sync::Arc};

use haechi_base::UserNid;
use haechi_store::{Change, Result, Tx};

use crate::{store::accounts::Gone, tokens::TokenCache};

/// What a hook does in a transaction.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Keeps what others store for a device in step with the device: the keys of a device that is
/// deleted go in the same transaction.
pub trait DeviceHooks: Send + Sync + 'static {
    /// Deletes what is stored for these devices, and announces that they are gone.
    fn deleted<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        user: UserNid,
        devices: &'a [String],
    ) -> HookFuture<'a>;

    /// Announces that a device of the user has another name.
    fn renamed<'a>(&'a self, tx: &'a mut Tx<'_>, user: UserNid) -> HookFuture<'a>;

    /// Forgets what is cached of these devices; called after the commit.
    fn forget(&self, user: UserNid, devices: &[String]);
}

/// Everybody who must hear: the cache of tokens, and the hooks.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) tokens: Arc<TokenCache>,
    pub(crate) hooks: Option<Arc<dyn DeviceHooks>>,
}

impl Watch {
    pub(crate) async fn in_tx(&self, tx: &mut Tx<'_>, user: UserNid, gone: &Gone) -> Result<()> {
        if !gone.tokens.is_empty() {
            tx.announce(Change::Sessions(user))?;
        }
        match &self.hooks {
            Some(hooks) if !gone.devices.is_empty() => hooks.deleted(tx, user, &gone.devices).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn renamed_in_tx(&self, tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
        match &self.hooks {
            Some(hooks) => hooks.renamed(tx, user).await,
            None => Ok(()),
        }
    }

    pub(crate) fn committed(&self, user: UserNid, gone: Option<&Gone>) {
        let Some(gone) = gone else { return };
        if !gone.tokens.is_empty() {
            self.tokens.revoke(&gone.tokens);
        }
        if let Some(hooks) = self.hooks.as_ref().filter(|_| !gone.devices.is_empty()) {
            hooks.forget(user, &gone.devices);
        }
    }
}
