//! Cross-signing keys, and signatures on keys.

use std::collections::BTreeMap;

use haechi_base::UserNid;
use ruma::CanonicalJsonObject;

use crate::{
    Consent, Keys, Result, SignatureFailure, SignedKey, SigningKeysUpload, UserRef, json, rules,
    store::{
        cross_signing::UploadSigningKeys,
        device_keys::{ReadIdentities, StoredIdentities},
        signatures::{StoreSignatures, Verified},
    },
};

/// Signed keys looked at in one request; the signatures of more are refused.
const SIGNED_KEYS_MAX: usize = 1_000;

impl Keys {
    /// Publishes cross-signing keys (`/keys/device_signing/upload`).
    ///
    /// Without a proof, [`KeysError::AuthRequired`](crate::KeysError::AuthRequired) comes
    /// back where keys would be replaced or added to a master key; first keys, and the very keys
    /// that are stored, are taken.
    pub async fn upload_signing_keys(
        &self,
        user: &UserRef,
        upload: &SigningKeysUpload,
        consent: Consent,
    ) -> Result<()> {
        let parts = [
            (rules::MASTER, &upload.master),
            (rules::SELF_SIGNING, &upload.self_signing),
            (rules::USER_SIGNING, &upload.user_signing),
        ];
        let mut keys = Vec::new();
        for (usage, text) in parts {
            if let Some(text) = text {
                keys.push(rules::check_signing_key(&user.id, usage, text)?);
            }
        }
        self.db.write(UploadSigningKeys { user: user.clone(), keys, consent }).await?
    }

    /// Stores signatures that `signer` has made (`/keys/signatures/upload`): on his own devices and
    /// master key, and on other users' master keys. Returns what was refused, in the order of
    /// `signed`.
    pub async fn upload_signatures(
        &self,
        signer: &UserRef,
        signed: &[SignedKey],
    ) -> Result<Vec<(usize, SignatureFailure)>> {
        let mut users: Vec<i64> = signed.iter().map(|one| one.target.nid.0).collect();
        users.push(signer.nid.0);
        users.sort_unstable();
        users.dedup();
        let stored = self.db.read(ReadIdentities { viewer: signer.nid, users }).await?;
        let keyring = Keyring::new(signer, stored);
        let mut failures = Vec::new();
        let mut signatures = Vec::new();
        for (index, one) in signed.iter().enumerate() {
            let checked = if index < SIGNED_KEYS_MAX {
                keyring.check(one)
            } else {
                Err(SignatureFailure::InvalidSignature)
            };
            match checked {
                Ok(verified) => signatures.extend(verified),
                Err(failure) => failures.push((index, failure)),
            }
        }
        if !signatures.is_empty() {
            self.db.write(StoreSignatures { signer: signer.nid, signatures }).await?;
        }
        Ok(failures)
    }
}

/// The keys that may sign, and those that may be signed.
struct Keyring<'a> {
    signer: &'a UserRef,
    devices: BTreeMap<(UserNid, String), CanonicalJsonObject>,
    /// By user and usage: public key and JSON.
    signing: BTreeMap<(UserNid, String), (String, CanonicalJsonObject)>,
}

impl<'a> Keyring<'a> {
    fn new(signer: &'a UserRef, stored: StoredIdentities) -> Self {
        Self {
            signer,
            devices: stored
                .device_keys
                .into_iter()
                .map(|(user, device, bytes)| ((user, device), json::stored(&bytes)))
                .collect(),
            signing: stored
                .signing_keys
                .into_iter()
                .map(|(user, usage, public_key, bytes)| {
                    ((user, usage), (public_key, json::stored(&bytes)))
                })
                .collect(),
        }
    }

    fn public_key(&self, user: UserNid, usage: &str) -> Option<&str> {
        self.signing.get(&(user, usage.to_owned())).map(|(public_key, _)| public_key.as_str())
    }

    /// The signatures to be stored.
    fn check(&self, signed: &SignedKey) -> Result<Vec<Verified>, SignatureFailure> {
        let object = json::object(&signed.json).map_err(|_| SignatureFailure::BadJson)?;
        let own = signed.target.nid == self.signer.nid;
        let device = self.devices.get(&(signed.target.nid, signed.key.clone()));
        let master = self
            .signing
            .get(&(signed.target.nid, rules::MASTER.to_owned()))
            .filter(|(public_key, _)| *public_key == signed.key);
        let (stored, on_device) = match (device, master) {
            (Some(device), _) if own => (device, true),
            (_, Some((_, master))) => (master, false),
            _ => return Err(SignatureFailure::UnknownKey),
        };
        if !json::same_signed_part(stored, &object) {
            return Err(SignatureFailure::DifferentKey);
        }
        let mut verified = Vec::new();
        let mut known = 0;
        for (signing_key, signature) in json::signatures_of(&object, &self.signer.id) {
            if json::signatures_of(stored, &self.signer.id)
                .any(|old| old == (signing_key, signature))
            {
                known += 1;
                continue;
            }
            let Some(public_key) = self.may_sign(signing_key, own, on_device) else { continue };
            if !rules::verifies(&object, public_key, signature) {
                return Err(SignatureFailure::InvalidSignature);
            }
            verified.push(Verified {
                target: signed.target.nid,
                target_key: signed.key.clone(),
                signing_key: signing_key.to_owned(),
                signature: signature.to_owned(),
            });
        }
        if verified.is_empty() && known == 0 {
            return Err(SignatureFailure::InvalidSignature);
        }
        Ok(verified)
    }

    /// The public half of a key that may sign such a target: the self-signing key own devices, own
    /// devices the own master key, the user-signing key other users' master keys.
    fn may_sign(&self, signing_key: &str, own: bool, on_device: bool) -> Option<&str> {
        let name = signing_key.strip_prefix("ed25519:")?;
        let me = self.signer.nid;
        match (own, on_device) {
            (true, true) => {
                self.public_key(me, rules::SELF_SIGNING).filter(|public_key| *public_key == name)
            }
            (true, false) => {
                let keys = self.devices.get(&(me, name.to_owned()))?;
                json::str_field(json::object_field(keys, "keys")?, signing_key)
            }
            (false, _) => {
                self.public_key(me, rules::USER_SIGNING).filter(|public_key| *public_key == name)
            }
        }
    }
}
