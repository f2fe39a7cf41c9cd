//! The key a server signs its events with.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
// Signs in a third of the time that ruma's own key pair takes, which matters: every event is signed.
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};

/// A server's ed25519 key with its version, such as `ed25519:a_1`.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: Box<str>,
}

/// A text that does not hold a signing key. Says nothing of the text, which may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form `ed25519 <version> <base64>`.
    #[error("not of the form `ed25519 <version> <key>`")]
    Form,
    /// The version has other characters than letters, digits and `_`.
    #[error("the version of a signing key may have only letters, digits and `_`")]
    Version,
    /// The key itself is damaged.
    #[error("the key is not an ed25519 key in PKCS#8 form")]
    Key,
}

impl SigningKey {
    /// Makes a new key and gives its text form, which is secret and is read by
    /// [`Self::from_text`].
    pub fn generate_text(version: &str) -> Result<String, KeyError> {
        check_version(version)?;
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Key)?;
        Ok(format!("ed25519 {version} {}", STANDARD_NO_PAD.encode(document)))
    }

    /// Reads the form `ed25519 <version> <PKCS#8 document in base64>`.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let mut words = text.split_ascii_whitespace();
        let (Some("ed25519"), Some(version), Some(key), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeyError::Form);
        };
        let document = STANDARD_NO_PAD.decode(key).map_err(|_| KeyError::Key)?;
        Self::from_der(&document, version)
    }

    /// Reads a PKCS#8 document.
    pub fn from_der(document: &[u8], version: &str) -> Result<Self, KeyError> {
        check_version(version)?;
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| KeyError::Key)?;
        Ok(Self { pair, id: format!("ed25519:{version}").into() })
    }

    /// The id under which others find the key, such as `ed25519:a_1`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, 32 bytes.
    pub fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().expect("an ed25519 key has 32 bytes")
    }

    /// The public half in unpadded base64, as it is published.
    pub fn public_key_text(&self) -> String {
        STANDARD_NO_PAD.encode(self.public_key())
    }

    /// Signs `message` and appends the signature to `out` in unpadded base64.
    pub(crate) fn sign_into(&self, message: &[u8], out: &mut String) {
        STANDARD_NO_PAD.encode_string(self.pair.sign(message), out);
    }
}

fn check_version(version: &str) -> Result<(), KeyError> {
    let valid = !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid { Ok(()) } else { Err(KeyError::Version) }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let text = SigningKey::generate_text("a_1").unwrap();
        let key = SigningKey::from_text(&text).unwrap();
        assert_eq!(key.id(), "ed25519:a_1");
        assert_eq!(key.public_key(), SigningKey::from_text(&text).unwrap().public_key());
        assert!(!format!("{key:?}").contains(text.rsplit(' ').next().unwrap()));
    }

    #[test]
    fn damaged_texts_are_refused() {
        assert_eq!(SigningKey::from_text("").unwrap_err(), KeyError::Form);
        assert_eq!(SigningKey::from_text("ed25519 1 !!").unwrap_err(), KeyError::Key);
        assert_eq!(SigningKey::from_text("ed25519 1 AAAA").unwrap_err(), KeyError::Key);
        assert_eq!(SigningKey::from_text("ed25519 a:b AAAA").unwrap_err(), KeyError::Version);
        assert_eq!(SigningKey::generate_text(""), Err(KeyError::Version));
    }
}
