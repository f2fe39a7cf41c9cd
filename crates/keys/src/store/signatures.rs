//! Signatures uploaded later than the keys they are on.

use haechi_base::UserNid;
use haechi_store::{LockKey, Locks, Result, Tx, Value, Work, sql};

use super::device_list::{announce_device_list, announce_signature};

sql!(
    SET_SIGNATURE,
    "INSERT INTO key_signature (target_nid, target_key, signer_nid, signing_key, signature)
     VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (target_nid, target_key, signer_nid, signing_key)
     DO UPDATE SET signature = excluded.signature"
);

/// A signature that was verified.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) target: UserNid,
    pub(crate) target_key: String,
    pub(crate) signing_key: String,
    pub(crate) signature: String,
}

/// Stores verified signatures of one user.
pub(crate) struct StoreSignatures {
    pub(crate) signer: UserNid,
    /// Not empty.
    pub(crate) signatures: Vec<Verified>,
}

impl Work for StoreSignatures {
    const NAME: &'static str = "keys.store_signatures";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.signer))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let rows: Vec<[Value<'_>; 5]> = self
            .signatures
            .iter()
            .map(|verified| {
                [
                    verified.target.into(),
                    (&verified.target_key).into(),
                    self.signer.into(),
                    (&verified.signing_key).into(),
                    (&verified.signature).into(),
                ]
            })
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 5]>::as_slice).collect();
        tx.exec_many(&SET_SIGNATURE, &rows).await?;
        let mut targets: Vec<UserNid> = self.signatures.iter().map(|one| one.target).collect();
        targets.sort_unstable();
        targets.dedup();
        for target in targets {
            if target == self.signer {
                announce_device_list(tx, target).await?;
            } else {
                announce_signature(tx, self.signer, target).await?;
            }
        }
        Ok(())
    }
}
