//! Decisions that need no database.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm, UserId,
    serde::{Base64, base64::Standard},
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};

use crate::{
    KeysError, KeysUpload, Result, json,
    store::{
        backup::SessionRank,
        cross_signing::SigningKey,
        upload::{NewKey, NewKeys},
    },
};

/// Usage of the key that signs the other two.
pub(crate) const MASTER: &str = "master";
/// Usage of the key that signs the user's own devices.
pub(crate) const SELF_SIGNING: &str = "self_signing";
/// Usage of the key that signs other users' master keys.
pub(crate) const USER_SIGNING: &str = "user_signing";

/// Longest key id, algorithm or device id, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// One-time keys kept for one device; clients hold about a hundred.
pub(crate) const DEVICE_ONE_TIME_KEYS_MAX: usize = 1_000;

/// Largest JSON of one key, in bytes.
const KEY_BYTES_MAX: usize = 65_536;

/// Checks what a device wants to upload.
pub(crate) fn check_upload(user: &UserId, device: &str, upload: &KeysUpload) -> Result<NewKeys> {
    let device_keys = match &upload.device_keys {
        Some(text) => Some(check_device_keys(user, device, text)?),
        None => None,
    };
    Ok(NewKeys {
        device_keys,
        one_time: check_keys(&upload.one_time_keys)?,
        fallback: check_keys(&upload.fallback_keys)?,
    })
}

fn check_device_keys(user: &UserId, device: &str, text: &str) -> Result<CanonicalJsonObject> {
    check_size(text)?;
    let mut keys = json::object(text)?;
    // The server's own to fill in.
    keys.remove("unsigned");
    if json::str_field(&keys, "user_id") != Some(user.as_str())
        || json::str_field(&keys, "device_id") != Some(device)
    {
        return Err(KeysError::Invalid(
            "user_id and device_id of device_keys must be those of this session".to_owned(),
        ));
    }
    let has_algorithms = keys.get("algorithms").is_some_and(CanonicalJsonValue::is_array);
    let has_keys = json::object_field(&keys, "keys")
        .is_some_and(|keys| keys.values().all(CanonicalJsonValue::is_string));
    if !has_algorithms || !has_keys {
        return Err(KeysError::BadJson("device_keys needs algorithms and keys".to_owned()));
    }
    Ok(keys)
}

fn check_keys(keys: &[(String, String)]) -> Result<Vec<NewKey>> {
    let check = |(id, text): &(String, String)| {
        let (algorithm, id) = id
            .split_once(':')
            .filter(|(algorithm, id)| !algorithm.is_empty() && !id.is_empty())
            .filter(|(algorithm, id)| algorithm.len().max(id.len()) <= NAME_BYTES_MAX)
            .ok_or_else(|| KeysError::Invalid("A key id is written algorithm:id".to_owned()))?;
        check_size(text)?;
        let digest = json::digest(text)?;
        let (algorithm, id) = (algorithm.to_owned(), id.to_owned());
        Ok(NewKey { algorithm, id, json: text.clone(), digest })
    };
    if keys.len() > DEVICE_ONE_TIME_KEYS_MAX {
        return Err(too_many_keys());
    }
    keys.iter().map(check).collect()
}

/// The refusal of more than [`DEVICE_ONE_TIME_KEYS_MAX`] keys.
pub(crate) fn too_many_keys() -> KeysError {
    KeysError::TooLarge(format!(
        "A device can have at most {DEVICE_ONE_TIME_KEYS_MAX} one-time keys"
    ))
}

fn check_size(text: &str) -> Result<()> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeysError::TooLarge("A key is too large".to_owned()));
    }
    Ok(())
}

/// Checks a cross-signing key, but not its signature.
pub(crate) fn check_signing_key(
    user: &UserId,
    usage: &'static str,
    text: &str,
) -> Result<SigningKey> {
    check_size(text)?;
    let object = json::object(text)?;
    if json::str_field(&object, "user_id") != Some(user.as_str()) {
        return Err(KeysError::Invalid(format!("user_id of the {usage} key is not yours")));
    }
    let names_usage = object
        .get("usage")
        .and_then(CanonicalJsonValue::as_array)
        .is_some_and(|all| all.iter().any(|one| one.as_str() == Some(usage)));
    if !names_usage {
        return Err(KeysError::Invalid(format!("The {usage} key is not meant for that use")));
    }
    let public_key = only_public_key(&object)
        .ok_or_else(|| KeysError::Invalid(format!("The {usage} key must hold one public key")))?;
    let public_key = public_key.to_owned();
    Ok(SigningKey { usage, public_key, json: object })
}

/// The one public key of a cross-signing key; its name and its value are the same.
fn only_public_key(object: &CanonicalJsonObject) -> Option<&str> {
    let mut keys = json::object_field(object, "keys")?.iter();
    let (name, value) = keys.next()?;
    let name = name.strip_prefix("ed25519:")?;
    let one = keys.next().is_none() && value.as_str() == Some(name);
    (one && !name.is_empty() && name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// Has `user` signed `object` with his public key `public_key`, which names itself?
pub(crate) fn is_signed_by(object: &CanonicalJsonObject, user: &UserId, public_key: &str) -> bool {
    json::signatures_of(object, user)
        .find(|(key, _)| key.strip_prefix("ed25519:") == Some(public_key))
        .is_some_and(|(_, signature)| verifies(object, public_key, signature))
}

/// Is `signature` over `object` made by the ed25519 key `public_key`? Both unpadded base64.
pub(crate) fn verifies(object: &CanonicalJsonObject, public_key: &str, signature: &str) -> bool {
    let Ok(public_key) = Base64::<Standard>::parse(public_key) else { return false };
    let Ok(signature) = Base64::<Standard>::parse(signature) else { return false };
    let Ok(signed) = to_canonical_json_string_for_signing(object) else { return false };
    verify_canonical_json_bytes(
        &SigningKeyAlgorithm::Ed25519,
        public_key.as_bytes(),
        signature.as_bytes(),
        signed.as_bytes(),
    )
    .is_ok()
}

/// Is the new copy of a session better than the one in the backup? (spec, "Server-side key
/// backups": verified, then the lower first index, then the lower forwarded count)
pub(crate) fn replaces(new: SessionRank, old: SessionRank) -> bool {
    let key =
        |rank: SessionRank| (!rank.is_verified, rank.first_message_index, rank.forwarded_count);
    key(new) < key(old)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn the_better_copy_of_a_session_wins() {
        let rank = |is_verified, first_message_index, forwarded_count| SessionRank {
            is_verified,
            first_message_index,
            forwarded_count,
        };
        // new, old, replaced?
        let table = [
            (rank(true, 9, 9), rank(false, 0, 0), true),
            (rank(false, 0, 0), rank(true, 9, 9), false),
            (rank(true, 1, 9), rank(true, 2, 0), true),
            (rank(true, 2, 0), rank(true, 1, 9), false),
            (rank(false, 1, 9), rank(false, 2, 0), true),
            (rank(false, 1, 0), rank(false, 1, 1), true),
            (rank(false, 1, 1), rank(false, 1, 0), false),
            (rank(true, 1, 1), rank(true, 1, 1), false),
        ];
        for (new, old, expected) in table {
            assert_eq!(replaces(new, old), expected, "{new:?} over {old:?}");
        }
    }

    #[test]
    fn device_keys_must_be_the_sessions_own() {
        let user = user_id!("@u:x");
        let check = |text| check_device_keys(user, "D", text).map(|_| ());
        check(r#"{"user_id":"@u:x","device_id":"D","algorithms":[],"keys":{}}"#).unwrap();
        for bad in [
            r#"{"user_id":"@v:x","device_id":"D","algorithms":[],"keys":{}}"#,
            r#"{"user_id":"@u:x","device_id":"E","algorithms":[],"keys":{}}"#,
            r#"{"user_id":"@u:x","device_id":"D","algorithms":{},"keys":{}}"#,
            r#"{"user_id":"@u:x","device_id":"D","algorithms":[],"keys":{"a:b":1}}"#,
            r#"{"user_id":"@u:x","device_id":"D","algorithms":[]}"#,
            "[]",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_time_key_ids_name_their_algorithm() {
        let check = |id: &str| check_keys(&[(id.to_owned(), r#"{"key":"k"}"#.to_owned())]);
        assert_eq!(check("signed_curve25519:AAAAHg").unwrap()[0].id, "AAAAHg");
        for bad in ["", "x", ":x", "x:", &format!("a:{}", "x".repeat(256))] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cross_signing_key_holds_one_key_that_names_itself() {
        let user = user_id!("@u:x");
        let check = |text: &str| check_signing_key(user, MASTER, text).map(|key| key.public_key);
        let good = r#"{"user_id":"@u:x","usage":["master"],"keys":{"ed25519:K":"K"},"new":1}"#;
        assert_eq!(check(good).unwrap(), "K");
        for bad in [
            r#"{"user_id":"@v:x","usage":["master"],"keys":{"ed25519:K":"K"}}"#,
            r#"{"user_id":"@u:x","usage":["self_signing"],"keys":{"ed25519:K":"K"}}"#,
            r#"{"user_id":"@u:x","usage":["master"],"keys":{"ed25519:K":"L"}}"#,
            r#"{"user_id":"@u:x","usage":["master"],"keys":{}}"#,
            r#"{"user_id":"@u:x","usage":["master"],"keys":{"ed25519:K":"K","ed25519:L":"L"}}"#,
            r#"{"user_id":"@u:x","usage":["master"],"keys":{"rsa:K":"K"}}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_signature_is_no_signature() {
        let object = json::object(r#"{"a":1}"#).unwrap();
        for (key, signature) in [("", ""), ("!", "x"), ("AAAA", "AAAA")] {
            assert!(!verifies(&object, key, signature));
        }
    }
}
