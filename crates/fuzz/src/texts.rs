//! Texts of clients: patterns, JSON, names, what they search for.

use std::{collections::BTreeSet, fmt};

use haechi_matrix::{glob, json::Json};
use haechi_rooms::fuzz::{is_found, terms};
use ruma::{CanonicalJsonValue, server_name};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::texts;

/// A text matches itself, and what contains it matches `*text*`.
pub(crate) fn glob(input: &[u8]) {
    let Some([pattern, text]) = texts(input) else { return };
    let matched = glob::matches(pattern, text);
    if !pattern.contains(['*', '?']) {
        assert_eq!(matched, pattern == text);
    }
    if glob::matches_stars(pattern, text) && !pattern.contains('?') {
        assert!(matched);
    }
    // Looked at from every place of the text, which takes the square of its length.
    if text.len() > 200 {
        return;
    }
    assert_eq!(glob::matches(&format!("*{pattern}*"), text), {
        let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
        starts.any(|start| glob::matches(&format!("{pattern}*"), &text[start..]))
    });
}

/// Our canonical JSON is the one ruma makes, or both refuse. Of a key that is there twice we look at
/// both values, ruma only at the second.
pub(crate) fn json(input: &[u8]) {
    let Some([text]) = texts(input) else { return };
    let ours = Json::parse(text).ok().map(|json| {
        let mut out = String::new();
        json.write(&mut out);
        out
    });
    let theirs: Option<CanonicalJsonValue> = serde_json::from_str(text).ok();
    let theirs = theirs.map(|json| json.to_string());
    assert!(ours == theirs || (ours.is_none() && has_key_twice(text)), "{ours:?}, {theirs:?}");
}

fn has_key_twice(text: &str) -> bool {
    let mut is_twice = false;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Keys(&mut is_twice).deserialize(&mut json);
    read.is_ok() && is_twice
}

/// Looks for an object with a key twice.
struct Keys<'a>(&'a mut bool);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            *self.0 |= !keys.insert(key);
            map.next_value_seed(Keys(self.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Keys(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Names that are taken are of the grammar, and can be typed and found again.
pub(crate) fn names(input: &[u8]) {
    use haechi_accounts::fuzz::{directory_words, new_user_id, search_words, typed_user_id};

    let Some([name, shown]) = texts(input) else { return };
    let server = server_name!("haechi.example");
    if let Some(user_id) = new_user_id(name, server) {
        assert!(user_id.validate_strict().is_ok(), "{user_id}");
        assert_eq!(typed_user_id(name, server).as_ref(), Some(&user_id));
        assert_eq!(typed_user_id(user_id.as_str(), server).as_ref(), Some(&user_id));
    }
    if let Some(user_id) = typed_user_id(name, server) {
        assert_eq!(user_id.server_name(), server);
    }
    let words = directory_words(name, shown);
    assert!(words.len() < 10_000);
    search_words(shown);
}

/// A text is found by itself, and nothing about it grows without bound.
pub(crate) fn search(input: &[u8]) {
    let Some([text, wanted]) = texts(input) else { return };
    let found_by = terms(text);
    assert!(found_by.len() <= 512 && found_by.iter().all(|term| term.chars().count() <= 200));
    is_found(text, wanted);
    // Of a long text only the beginning is found.
    if text.chars().count() < 100 {
        assert!(is_found(text, text), "{text:?}");
    }
}
