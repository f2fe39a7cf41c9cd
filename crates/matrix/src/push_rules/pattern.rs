//! The patterns of push rules: without regard to case, and for bodies word by word.

use std::fmt::Write;

use haechi_base::limits::PATTERN_BYTES_MAX;
use regex::bytes::{Regex, RegexBuilder};
use ruma::push::{ComparisonOperator, RoomMemberCountIs};

use crate::glob;

/// Largest program a pattern with wildcards may become, in bytes; larger ones match nothing.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A pattern that a whole value must match.
#[derive(Debug)]
pub(super) enum Pattern {
    /// In lower case.
    Literal(Box<str>),
    /// Likewise, with wildcards.
    Glob(Box<str>),
    /// Too long.
    Never,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        if text.len() > PATTERN_BYTES_MAX {
            return Self::Never;
        }
        let text = text.to_lowercase().into_boxed_str();
        if has_wildcards(&text) { Self::Glob(text) } else { Self::Literal(text) }
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Literal(wanted) if value.is_ascii() => value.eq_ignore_ascii_case(wanted),
            Self::Literal(wanted) => value.to_lowercase() == **wanted,
            Self::Glob(pattern) => glob::matches(pattern, &value.to_lowercase()),
            Self::Never => false,
        }
    }
}

/// A pattern that words of a body must match.
#[derive(Debug)]
pub(super) enum WordPattern {
    /// In lower case.
    Literal(Box<str>),
    /// Made from a pattern with wildcards.
    Regex(Box<Regex>),
    /// Too long or too complex.
    Never,
}

impl WordPattern {
    pub(super) fn new(text: &str) -> Self {
        if text.len() > PATTERN_BYTES_MAX {
            return Self::Never;
        }
        let text = text.to_lowercase();
        if !has_wildcards(&text) {
            return Self::Literal(text.into());
        }
        RegexBuilder::new(&word_regex(&text))
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX / 8)
            .build()
            .map_or(Self::Never, |regex| Self::Regex(Box::new(regex)))
    }

    /// Is it in `body`, which is in lower case?
    pub(super) fn matches(&self, body: &str) -> bool {
        match self {
            Self::Literal(word) => has_word(body, word),
            Self::Regex(regex) => regex.is_match(body.as_bytes()),
            Self::Never => false,
        }
    }
}

fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// The same pattern as a regular expression between word boundaries. Words are made of ASCII
/// letters, digits and `_`, so boundaries are those of the expression's ASCII mode.
fn word_regex(pattern: &str) -> String {
    let mut regex = String::from(r"(?s)(?-u:^|\W|\b)");
    let mut rest = pattern;
    while !rest.is_empty() {
        let literal = rest.find(['*', '?']).unwrap_or(rest.len());
        regex.push_str(&regex::escape(&rest[..literal]));
        rest = &rest[literal..];
        // A run of wildcards is one count, so that it cannot be matched in many ways.
        let run = rest.find(|char| char != '*' && char != '?').unwrap_or(rest.len());
        if run > 0 {
            let least = rest[..run].matches('?').count();
            let more = if rest[..run].contains('*') { "," } else { "" };
            write!(regex, ".{{{least}{more}}}").expect("writing to a string cannot fail");
        }
        rest = &rest[run..];
    }
    regex.push_str(r"(?-u:\b|\W|$)");
    regex
}

/// Is `word` in `body`, with a word boundary at each end? Both are in lower case.
pub(super) fn has_word(body: &str, word: &str) -> bool {
    if word.is_empty() {
        return body.is_empty();
    }
    // A boundary lies wherever the characters on both sides are not both of words.
    let is_boundary = |at: usize| {
        let is_word = |char: Option<char>| {
            char.is_some_and(|char| char.is_ascii_alphanumeric() || char == '_')
        };
        !(is_word(body[..at].chars().next_back()) && is_word(body[at..].chars().next()))
    };
    let mut from = 0;
    while let Some(found) = body[from..].find(word) {
        let start = from + found;
        if is_boundary(start) && is_boundary(start + word.len()) {
            return true;
        }
        from = start + body[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

/// Is `count` as `wanted` says?
pub(super) fn count_is(wanted: RoomMemberCountIs, count: u64) -> bool {
    let bound = u64::from(wanted.count);
    match wanted.prefix {
        ComparisonOperator::Eq => count == bound,
        ComparisonOperator::Lt => count < bound,
        ComparisonOperator::Gt => count > bound,
        ComparisonOperator::Ge => count >= bound,
        ComparisonOperator::Le => count <= bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values() {
        for (pattern, value, expected) in [
            ("m.room.message", "m.room.message", true),
            ("M.ROOM.*", "m.room.message", true),
            ("m.room", "m.room.message", false),
            ("straße", "STRASSE", false),
            ("ÄÖ", "äö", true),
            ("lunc?*", "lunch plans", true),
            ("lunc?*", "LUNCH", true),
            ("lunc?*", " lunch", false),
            ("lunc?*", "lunc", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(value), expected, "{pattern} on {value}");
        }
        assert!(!Pattern::new(&"a".repeat(600)).matches(&"a".repeat(600)));
    }

    #[test]
    fn words_of_bodies() {
        for (pattern, body, expected) in [
            ("cake", "I like Cake!", true),
            ("cake", "cakes", false),
            ("cake", "cupcake and cake", true),
            ("cake", "cake_1", false),
            ("cake", "日cake本", true),
            ("@room", "hey @room", true),
            ("ex*ple", "An example event.", true),
            ("exam?le", "an example", true),
            ("exam?le", "an examle", false),
            ("exam*", "the exam", true),
            ("*", "anything", true),
            ("a*z", "a\nz", true),
            ("", "text", false),
        ] {
            let body = body.to_lowercase();
            assert_eq!(WordPattern::new(pattern).matches(&body), expected, "{pattern} in {body}");
        }
        assert!(!WordPattern::new(&"a".repeat(600)).matches(&"a".repeat(600)));
    }

    #[test]
    fn counts() {
        for (is, count, expected) in [
            ("2", 2, true),
            ("==2", 3, false),
            (">2", 3, true),
            (">=3", 2, false),
            ("<2", 1, true),
            ("<=2", 3, false),
        ] {
            assert_eq!(count_is(is.parse().unwrap(), count), expected, "{is} with {count}");
        }
    }
}
