//! Housekeeping, for a timer to call.

use std::time::Duration;

use haechi_base::Millis;

use crate::{
    Keys, Result,
    store::{backup_sessions::PurgeBackups, purge::PurgeOld},
};

/// How long a transaction id is remembered.
const TRANSACTION_KEPT: Duration = Duration::from_hours(24 * 7);

/// How long a claimed one-time key is remembered.
const USED_KEY_KEPT: Duration = Duration::from_hours(24 * 30);

impl Keys {
    /// Deletes old transaction ids, memories of claimed keys, and the sessions of deleted backups:
    /// many short works, so that others get their turn. To be called about once an hour.
    pub async fn purge(&self) -> Result<()> {
        let now = self.clock.now();
        let before = |kept: Duration| {
            Millis(now.0.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)))
        };
        let transactions_before = before(TRANSACTION_KEPT);
        let used_keys_before = before(USED_KEY_KEPT);
        while self.db.write(PurgeOld { transactions_before, used_keys_before }).await? {}
        while self.db.write(PurgeBackups).await? {}
        Ok(())
    }
}
