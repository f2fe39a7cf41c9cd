//! Patterns with wildcards, as filters and push rules use them.

/// Does `text` as a whole match `pattern`, in which `*` stands for any characters, also none, and
/// `?` for exactly one?
///
/// Takes time in proportion to the product of both lengths at most; callers bound them.
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_with(pattern, text, |wanted| wanted == '?')
}

/// Like [`matches()`], but `?` stands for itself, as in filters.
pub fn matches_stars(pattern: &str, text: &str) -> bool {
    matches_with(pattern, text, |_| false)
}

fn matches_with(pattern: &str, text: &str, is_any_one: impl Fn(char) -> bool) -> bool {
    let mut pattern_rest = pattern;
    let mut text_rest = text;
    // What to go back to when a match fails: behind the last `*`, which takes one more character.
    let mut last_star: Option<(&str, &str)> = None;
    loop {
        let mut chars = pattern_rest.chars();
        let mut text_chars = text_rest.chars();
        match (chars.next(), text_chars.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                pattern_rest = chars.as_str();
                last_star = Some((pattern_rest, text_rest));
                continue;
            }
            (Some(wanted), Some(found)) if is_any_one(wanted) || wanted == found => {
                pattern_rest = chars.as_str();
                text_rest = text_chars.as_str();
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = last_star else { return false };
        let mut taken = taken.chars();
        if taken.next().is_none() {
            return false;
        }
        pattern_rest = after_star;
        text_rest = taken.as_str();
        last_star = Some((after_star, text_rest));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("m.room.*", "m.room.message", true),
            ("m.room.*", "m.room", false),
            ("*.message", "m.room.message", true),
            ("m.*.message", "m.room.messages", false),
            ("a*b*c", "a-b-b-c", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("**a", "ba", true),
            ("*aab", "aaaaab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn question_marks_of_filters_are_plain() {
        assert!(matches_stars("a?*", "a?c"));
        assert!(!matches_stars("a?*", "abc"));
    }

    /// The definition itself, slow.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| by_definition(rest, &text[skip..])),
            Some((wanted, rest)) => text.split_first().is_some_and(|(found, text)| {
                (*wanted == '?' || wanted == found) && by_definition(rest, text)
            }),
        }
    }

    proptest! {
        #[test]
        fn same_as_the_definition(pattern in "[abé?*]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text))
            );
        }
    }
}
