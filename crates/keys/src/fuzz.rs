//! What fuzz targets need to reach.

use ruma::UserId;

use crate::{KeysUpload, rules};

/// Is this upload of keys taken?
pub fn is_taken(user: &UserId, device: &str, upload: &KeysUpload) -> bool {
    rules::check_upload(user, device, upload).is_ok()
}

/// Is this cross-signing key taken, and if so, is it signed by itself?
pub fn signing_key(user: &UserId, text: &str) -> Option<bool> {
    rules::check_signing_key(user, rules::MASTER, text).ok().map(|key| {
        crate::json::object(text)
            .is_ok_and(|object| rules::is_signed_by(&object, user, &key.public_key))
    })
}
