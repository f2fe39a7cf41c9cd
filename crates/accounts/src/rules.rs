//! Decisions about names, passwords and profiles. Pure.

use std::collections::BTreeSet;

use haechi_base::limits::IDENTIFIER_BYTES_MAX;
use ruma::{OwnedUserId, ServerName, UserId};
use serde_json::Value as Json;

use crate::{Refusal, limits};

/// The id of a new user of this server. Capitals become small letters.
pub(crate) fn new_user_id(localpart: &str, server: &ServerName) -> Result<OwnedUserId, Refusal> {
    let localpart = localpart.to_lowercase();
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if localpart.is_empty() || !localpart.bytes().all(allowed) {
        return Err(Refusal::InvalidUsername);
    }
    let id = format!("@{localpart}:{server}");
    if id.len() > IDENTIFIER_BYTES_MAX {
        return Err(Refusal::InvalidUsername);
    }
    UserId::parse(id).map_err(|_| Refusal::InvalidUsername)
}

/// The id of a user who types his name at a login: short or whole, in any case.
pub(crate) fn typed_user_id(name: &str, server: &ServerName) -> Option<OwnedUserId> {
    let id = if name.starts_with('@') {
        name.to_lowercase()
    } else {
        format!("@{}:{server}", name.to_lowercase())
    };
    UserId::parse(id).ok().filter(|id| id.server_name() == server)
}

/// Is the password one that may be set?
pub(crate) fn check_password(password: &str, chars_min: usize) -> Result<(), Refusal> {
    if password.len() > limits::PASSWORD_BYTES_MAX {
        return Err(Refusal::PasswordTooLong(limits::PASSWORD_BYTES_MAX));
    }
    if password.chars().take(chars_min).count() < chars_min {
        return Err(Refusal::PasswordTooShort(chars_min));
    }
    Ok(())
}

/// Is the value one that the profile field may have?
pub(crate) fn check_profile_field(name: &str, value: Option<&Json>) -> Result<(), Refusal> {
    if name.len() > limits::PROFILE_KEY_BYTES_MAX {
        return Err(Refusal::KeyTooLarge);
    }
    let bytes_max = match name {
        "" => return Err(Refusal::InvalidValue("a profile field has a name")),
        "displayname" => limits::DISPLAY_NAME_BYTES_MAX,
        "avatar_url" => limits::AVATAR_URL_BYTES_MAX,
        _ => return Ok(()),
    };
    match value {
        None => Ok(()),
        Some(Json::String(text)) if text.len() <= bytes_max => Ok(()),
        Some(Json::String(_)) => Err(Refusal::InvalidValue("name or avatar URL too long")),
        Some(_) => Err(Refusal::InvalidValue("name and avatar URL are strings")),
    }
}

/// The words of a text as the directory compares them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(limits::DIRECTORY_WORD_CHARS_MAX).collect())
        .take(limits::DIRECTORY_WORDS_MAX)
        .collect();
    words.into_iter()
}

/// What the directory keeps of a user: all endings of the words of his names.
pub(crate) fn directory_words(localpart: &str, display_name: Option<&str>) -> BTreeSet<String> {
    let names = words(localpart).chain(words(display_name.unwrap_or_default()));
    names
        .flat_map(|word| {
            let endings = word.char_indices().take(limits::DIRECTORY_ENDINGS_MAX);
            endings.map(|(at, _)| word[at..].to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// What is looked for: every word must be part of a word of the user.
pub(crate) fn search_words(term: &str) -> Vec<String> {
    // Somebody may type a whole id; the server's name is nobody's name.
    let term = term.strip_prefix('@').map_or(term, |id| id.split(':').next().unwrap_or(id));
    let mut words: Vec<String> = words(term).collect();
    // The longest is the rarest: it leads the search.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use ruma::server_name;
    use serde_json::json;

    use super::*;

    #[test]
    fn user_names_follow_the_grammar() {
        let server = server_name!("haechi.example");
        let id = |name: &str| new_user_id(name, server).map(|id| id.to_string());
        assert_eq!(id("Mina"), Ok("@mina:haechi.example".to_owned()));
        assert_eq!(id("a.b_c=d-e/f+9"), Ok("@a.b_c=d-e/f+9:haechi.example".to_owned()));
        for bad in ["", "mi na", "민아", "@mina", "mina:x", &"a".repeat(240)] {
            assert_eq!(id(bad), Err(Refusal::InvalidUsername), "{bad}");
        }
    }

    #[test]
    fn a_login_takes_short_and_whole_names_of_this_server() {
        let server = server_name!("haechi.example");
        for name in ["mina", "Mina", "@mina:haechi.example", "@MINA:haechi.example"] {
            assert_eq!(typed_user_id(name, server).unwrap(), "@mina:haechi.example");
        }
        assert_eq!(typed_user_id("@mina:elsewhere.example", server), None);
    }

    #[test]
    fn passwords_have_a_length() {
        assert_eq!(check_password("1234567", 8), Err(Refusal::PasswordTooShort(8)));
        assert_eq!(check_password("여덟글자비밀번호", 8), Ok(()));
        assert!(check_password(&"x".repeat(513), 8).is_err());
    }

    #[test]
    fn names_are_text_and_custom_fields_anything() {
        assert_eq!(check_profile_field("displayname", Some(&json!("Mina"))), Ok(()));
        assert!(check_profile_field("displayname", Some(&json!(7))).is_err());
        assert!(check_profile_field("avatar_url", Some(&json!("m".repeat(2_000)))).is_err());
        assert_eq!(check_profile_field("m.tz", Some(&json!({ "a": [1] }))), Ok(()));
        assert_eq!(check_profile_field(&"k".repeat(256), None), Err(Refusal::KeyTooLarge));
    }

    #[test]
    fn any_part_of_a_word_can_be_found() {
        let kept = directory_words("m.kim", Some("김미나 Kim"));
        let found = |term: &str| {
            search_words(term)
                .iter()
                .all(|word| kept.iter().any(|end| end.starts_with(word.as_str())))
        };
        for term in ["kim", "KI", "im", "미나", "미", "kim 김", "@m.kim:haechi.example"] {
            assert!(found(term), "{term}");
        }
        assert!(!found("mina"));
        assert!(search_words("  ").is_empty());
    }
}
