//! The server's signing key: made once, kept in the database, the same on all nodes.

use anyhow::Context as _;
use haechi_matrix::SigningKey;
use haechi_store::{Db, LockKey, Locks, Result, Schema, Tx, Work, schema, sql};

/// The tables of this crate.
pub(crate) static SCHEMA: Schema = schema!("server": "0001_server");

sql!(FIND, "SELECT value FROM server_secret WHERE name = ?1");
sql!(ADD, "INSERT INTO server_secret (name, value) VALUES (?1, ?2)");

/// What the key is called in the table.
const SIGNING_KEY: &str = "signing_key";

/// The space of this crate's only lock.
const LOCK: u8 = 200;

/// Keeps this key if there is none yet; returns the one that is kept.
struct KeepKey(String);

impl Work for KeepKey {
    const NAME: &'static str = "server.keep_key";
    type Out = String;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Other(LOCK, 0))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<String> {
        if let Some((kept,)) = tx.opt(&FIND, &[SIGNING_KEY.into()]).await? {
            return Ok(kept);
        }
        tx.exec_one(&ADD, &[SIGNING_KEY.into(), (&self.0).into()]).await?;
        Ok(self.0.clone())
    }
}

/// The key that signs what this server says.
pub(crate) async fn signing_key(db: &Db) -> anyhow::Result<SigningKey> {
    // The version only has to differ from that of other keys of this server.
    let version: String = (0..6).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
    let made = SigningKey::generate_text(&version).context("cannot make a signing key")?;
    let kept = db.write(KeepKey(made)).await.context("cannot read the signing key")?;
    SigningKey::from_text(&kept).context("the signing key in the database is broken")
}
