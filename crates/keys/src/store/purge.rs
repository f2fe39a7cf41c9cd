//! Deleting what has served its time, a little at once.

use haechi_base::Millis;
use haechi_store::{Result, Tx, Value, Work, sql};

/// Rows deleted in one work: bounds how long other writers wait.
const ROWS_MAX: i64 = 1_000;

sql!(
    TRANSACTIONS,
    "DELETE FROM to_device_txn WHERE at_ms <= (
         SELECT MAX(at_ms) FROM (
             SELECT at_ms FROM to_device_txn WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2) AS oldest)"
);
sql!(
    USED_KEYS,
    "DELETE FROM one_time_key_used WHERE used_ms <= (
         SELECT MAX(used_ms) FROM (
             SELECT used_ms FROM one_time_key_used
             WHERE used_ms < ?1 ORDER BY used_ms LIMIT ?2) AS oldest)"
);

/// Deletes the oldest transaction ids and the oldest memories of claimed keys.
pub(crate) struct PurgeOld {
    /// Transactions older than this go.
    pub(crate) transactions_before: Millis,
    /// Claimed keys older than this are forgotten.
    pub(crate) used_keys_before: Millis,
}

impl Work for PurgeOld {
    const NAME: &'static str = "keys.purge_old";
    /// Is there more to do?
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let limit = Value::Int(ROWS_MAX);
        let transactions =
            tx.exec(&TRANSACTIONS, &[self.transactions_before.into(), limit]).await?;
        let used = tx.exec(&USED_KEYS, &[self.used_keys_before.into(), limit]).await?;
        Ok(transactions.max(used) >= ROWS_MAX.unsigned_abs())
    }
}
