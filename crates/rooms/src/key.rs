//! The key with which this server signs events. It is kept in the database: all nodes share it.

use std::sync::Arc;

use haechi_matrix::SigningKey;
use haechi_store::{Db, Result as StoreResult, StoreError, Tx, Work, sql};

use crate::{Result, RoomError};

sql!(KEY_ADD, "INSERT INTO signing_key (id, key) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING");
sql!(KEY_GET, "SELECT key FROM signing_key WHERE id = 1");

/// The server's signing key; made when there is none yet.
pub async fn signing_key(db: &Db) -> Result<Arc<SigningKey>> {
    let unusable = |error: haechi_matrix::KeyError| {
        RoomError::Store(StoreError::Corrupt {
            statement: "signing_key",
            column: 0,
            reason: error.to_string(),
        })
    };
    let fresh = SigningKey::generate_text("1").map_err(unusable)?;
    let text = db.write(EnsureKey(fresh)).await?;
    Ok(Arc::new(SigningKey::from_text(&text).map_err(unusable)?))
}

struct EnsureKey(String);

impl Work for EnsureKey {
    const NAME: &'static str = "rooms.ensure_key";
    type Out = String;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<String> {
        tx.put(&KEY_ADD, &[(&self.0).into()]).await?;
        let (text,) = tx.one(&KEY_GET, &[]).await?;
        Ok(text)
    }
}
