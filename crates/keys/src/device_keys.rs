//! Device keys and one-time keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use haechi_base::UserNid;
use ruma::{CanonicalJsonObject, OwnedUserId};

use crate::{
    Claim, ClaimedKey, Identities, KeyCounts, Keys, KeysUpload, Result, UserRef, Wanted, json,
    rules,
    store::{
        device_keys::{ReadIdentities, Signature, StoredIdentities},
        one_time::{ClaimKeys, CountKeys},
        upload::UploadKeys,
    },
};

/// Users whose keys are read in one work.
const QUERY_USERS_MAX: usize = 200;

/// Keys claimed in one work: bounds how long other writers wait.
const CLAIMS_MAX: usize = 100;

impl Keys {
    /// Stores keys of a device (`/keys/upload`); returns what it has then.
    ///
    /// Keys that are stored already are left alone, so that a request may be sent again.
    pub async fn upload_keys(
        &self,
        user: &UserRef,
        device: &str,
        upload: &KeysUpload,
    ) -> Result<KeyCounts> {
        let keys = rules::check_upload(&user.id, device, upload)?;
        let caches = Arc::clone(&self.caches);
        self.db
            .write(UploadKeys { caches, user: user.nid, device: device.to_owned(), keys })
            .await?
    }

    /// How many keys the device has left, and which fallback keys are unused. Answered from memory
    /// where it has been asked before.
    pub async fn key_counts(&self, user: UserNid, device: &str) -> Result<Arc<KeyCounts>> {
        if let Some(counts) = self.caches.counts.get(user, device) {
            return Ok(counts);
        }
        let ticket = self.caches.counts.ticket(user);
        let counts = self.db.read(CountKeys { user, device: device.to_owned() }).await?;
        let counts = Arc::new(counts);
        self.caches.counts.put(ticket, user, device, Arc::clone(&counts));
        Ok(counts)
    }

    /// Hands out a key for each claim, in the order of the claims (`/keys/claim`). `None` where
    /// there is neither a one-time key nor a fallback key.
    pub async fn claim_keys(&self, claims: Vec<Claim>) -> Result<Vec<Option<ClaimedKey>>> {
        let mut out = Vec::with_capacity(claims.len());
        for claims in claims.chunks(CLAIMS_MAX) {
            let work = ClaimKeys {
                caches: Arc::clone(&self.caches),
                claims: claims.to_vec(),
                now: self.clock.now(),
            };
            out.extend(self.db.write(work).await?);
        }
        Ok(out)
    }

    /// The identity keys of users as `viewer` may see them (`/keys/query`).
    pub async fn identities(&self, viewer: &UserRef, wanted: &[Wanted]) -> Result<Identities> {
        let mut out = Identities::default();
        for wanted in wanted.chunks(QUERY_USERS_MAX) {
            let users = wanted.iter().map(|wanted| wanted.user.nid.0).collect();
            let stored = self.db.read(ReadIdentities { viewer: viewer.nid, users }).await?;
            Assembly::new(viewer, wanted, stored).into(&mut out);
        }
        Ok(out)
    }
}

/// What was read, on its way to be an answer.
struct Assembly<'a> {
    viewer: &'a UserRef,
    wanted: BTreeMap<UserNid, &'a Wanted>,
    names: BTreeMap<(UserNid, String), Option<String>>,
    signatures: BTreeMap<(UserNid, String), Vec<Signature>>,
    device_keys: Vec<(UserNid, String, Vec<u8>)>,
    signing_keys: Vec<(UserNid, String, String, Vec<u8>)>,
}

impl<'a> Assembly<'a> {
    fn new(viewer: &'a UserRef, wanted: &'a [Wanted], stored: StoredIdentities) -> Self {
        let mut signatures: BTreeMap<_, Vec<Signature>> = BTreeMap::new();
        for (target, key, signature) in stored.signatures {
            signatures.entry((target, key)).or_default().push(signature);
        }
        let names = stored.devices.into_iter().map(|(user, id, name)| ((user, id), name));
        Self {
            viewer,
            wanted: wanted.iter().map(|wanted| (wanted.user.nid, wanted)).collect(),
            names: names.collect(),
            signatures,
            device_keys: stored.device_keys,
            signing_keys: stored.signing_keys,
        }
    }

    fn into(mut self, out: &mut Identities) {
        let asked: BTreeSet<(UserNid, &str)> = self
            .wanted
            .values()
            .flat_map(|one| one.devices.iter().map(|device| (one.user.nid, device.as_str())))
            .collect();
        for (user, device, bytes) in std::mem::take(&mut self.device_keys) {
            let Some(wanted) = self.wanted.get(&user) else { continue };
            if !wanted.devices.is_empty() && !asked.contains(&(user, device.as_str())) {
                continue;
            }
            // Keys of a device that is gone are left behind for a moment at most.
            let Some(name) = self.names.get(&(user, device.clone())) else { continue };
            let mut keys = json::stored(&bytes);
            self.sign(&mut keys, &wanted.user, &device);
            if let Some(name) = name {
                json::set_display_name(&mut keys, name);
            }
            out.devices.push((wanted.user.id.clone(), device, json::text(&keys)));
        }
        for (user, usage, public_key, bytes) in std::mem::take(&mut self.signing_keys) {
            let Some(wanted) = self.wanted.get(&user) else { continue };
            let list: &mut Vec<(OwnedUserId, String)> = match usage.as_str() {
                rules::MASTER => &mut out.master,
                rules::SELF_SIGNING => &mut out.self_signing,
                rules::USER_SIGNING if user == self.viewer.nid => &mut out.user_signing,
                _ => continue,
            };
            let mut key = json::stored(&bytes);
            self.sign(&mut key, &wanted.user, &public_key);
            list.push((wanted.user.id.clone(), json::text(&key)));
        }
    }

    fn sign(&self, object: &mut CanonicalJsonObject, owner: &UserRef, key: &str) {
        let found = self.signatures.get(&(owner.nid, key.to_owned()));
        for signature in found.into_iter().flatten() {
            let signer = if signature.signer == owner.nid { owner } else { self.viewer };
            json::add_signature(
                object,
                signer.id.as_str(),
                &signature.signing_key,
                &signature.value,
            );
        }
    }
}
