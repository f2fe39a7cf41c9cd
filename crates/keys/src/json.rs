//! Signed JSON objects: kept with every field they came with, compared by content.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};
use sha2::{Digest as _, Sha256};

use crate::{KeysError, Result};

/// Parses an object of a request. Numbers that canonical JSON cannot hold are refused here, since
/// nobody could check a signature over them.
pub(crate) fn object(text: &str) -> Result<CanonicalJsonObject> {
    serde_json::from_str(text).map_err(|error| KeysError::BadJson(error.to_string()))
}

/// The text of an object.
pub(crate) fn text(object: &CanonicalJsonObject) -> String {
    serde_json::to_string(object).expect("canonical JSON has only string keys")
}

/// Reads an object from a table.
pub(crate) fn stored(bytes: &[u8]) -> CanonicalJsonObject {
    // Only canonical JSON is ever written; an empty object is the harmless reading of anything else.
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// A fingerprint of the content, the same for all spellings of it.
pub(crate) fn digest(text: &str) -> Result<[u8; 32]> {
    let value: CanonicalJsonValue =
        serde_json::from_str(text).map_err(|error| KeysError::BadJson(error.to_string()))?;
    Ok(Sha256::digest(value.to_string().as_bytes()).into())
}

/// Is everything but the signatures the same?
pub(crate) fn same_signed_part(a: &CanonicalJsonObject, b: &CanonicalJsonObject) -> bool {
    fn signed(
        object: &CanonicalJsonObject,
    ) -> impl Iterator<Item = (&String, &CanonicalJsonValue)> {
        object.iter().filter(|(key, _)| !matches!(key.as_str(), "signatures" | "unsigned"))
    }
    signed(a).eq(signed(b))
}

/// A text field.
pub(crate) fn str_field<'a>(object: &'a CanonicalJsonObject, field: &str) -> Option<&'a str> {
    object.get(field).and_then(CanonicalJsonValue::as_str)
}

/// An object field.
pub(crate) fn object_field<'a>(
    object: &'a CanonicalJsonObject,
    field: &str,
) -> Option<&'a CanonicalJsonObject> {
    object.get(field).and_then(CanonicalJsonValue::as_object)
}

/// The signatures of `user`: key id and signature.
pub(crate) fn signatures_of<'a>(
    object: &'a CanonicalJsonObject,
    user: &UserId,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    object_field(object, "signatures")
        .and_then(|all| object_field(all, user.as_str()))
        .into_iter()
        .flatten()
        .filter_map(|(key, signature)| Some((key.as_str(), signature.as_str()?)))
}

/// Adds a signature; what stands in the way and is not an object is replaced.
pub(crate) fn add_signature(
    object: &mut CanonicalJsonObject,
    user: &str,
    key: &str,
    signature: &str,
) {
    let all = entry_object(object, "signatures");
    entry_object(all, user).insert(key.to_owned(), signature.to_owned().into());
}

/// Sets `unsigned.device_display_name`.
pub(crate) fn set_display_name(object: &mut CanonicalJsonObject, name: &str) {
    entry_object(object, "unsigned")
        .insert("device_display_name".to_owned(), name.to_owned().into());
}

fn entry_object<'a>(
    object: &'a mut CanonicalJsonObject,
    field: &str,
) -> &'a mut CanonicalJsonObject {
    let value = object
        .entry(field.to_owned())
        .or_insert_with(|| CanonicalJsonValue::Object(CanonicalJsonObject::new()));
    if !value.is_object() {
        *value = CanonicalJsonValue::Object(CanonicalJsonObject::new());
    }
    value.as_object_mut().expect("made one above")
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn content_is_compared_not_spelling() {
        let a = digest(r#"{"key":"x","signatures":{}}"#).unwrap();
        assert_eq!(a, digest(r#"{ "signatures": {}, "key": "\u0078" }"#).unwrap());
        assert_ne!(a, digest(r#"{"key":"y","signatures":{}}"#).unwrap());
        assert!(digest("{\"key\":1.5}").is_err());
    }

    #[test]
    fn signatures_do_not_count_as_content() {
        let mut a = object(r#"{"keys":{"ed25519:A":"x"},"extra":[1,null]}"#).unwrap();
        let b = a.clone();
        add_signature(&mut a, "@u:x", "ed25519:A", "sig");
        set_display_name(&mut a, "phone");
        assert!(same_signed_part(&a, &b));
        assert_eq!(signatures_of(&a, user_id!("@u:x")).collect::<Vec<_>>(), [("ed25519:A", "sig")]);
        assert_eq!(
            text(&a),
            r#"{"extra":[1,null],"keys":{"ed25519:A":"x"},"signatures":{"@u:x":{"ed25519:A":"sig"}},"unsigned":{"device_display_name":"phone"}}"#
        );
    }
}
