//! Names of blobs.

use std::fmt;

/// Length of a key in characters: 128 random bits in hexadecimal.
const KEY_CHARS: usize = 32;

/// The name of one blob: random, so that it is written once and never again.
///
/// Nothing is overwritten, so a reader, a writer and a deleter of equal content never meet in one
/// file; which content is where is known to the database alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// A name that no blob has.
    pub fn random() -> Self {
        Self(format!("{:0KEY_CHARS$x}", rand::random::<u128>()))
    }

    /// A name that was kept in the database.
    pub fn parse(text: &str) -> Option<Self> {
        let is_key =
            text.len() == KEY_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_key.then(|| Self(text.to_owned()))
    }

    /// The text to keep in the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its place: 256 folders, so that none grows out of hand.
    pub(crate) fn path(&self) -> object_store::path::Path {
        object_store::path::Path::from_iter([&self.0[..2], &self.0[2..]])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_read_back() {
        let key = Key::random();
        assert_eq!(Key::parse(key.as_str()), Some(key.clone()));
        assert_ne!(key, Key::random());
        for bad in ["", "..", "../../../../../../etc/passwd00000", &"A".repeat(32), &"é".repeat(16)]
        {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
    }
}
