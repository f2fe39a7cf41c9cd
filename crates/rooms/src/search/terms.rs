//! What of a text can be found.
//!
//! Words are runs of letters and digits, in lower case. Scripts that are written without spaces, and
//! Hangul, whose words end in particles, have no words to look for: of them every character and
//! every two neighbours are kept, and a search looks for all neighbours of what was typed.

use std::collections::BTreeSet;

/// Terms of one event. What comes after is not found.
const TERMS_MAX: usize = 256;

/// Characters of a word that are kept.
const WORD_CHARS_MAX: usize = 40;

/// Words or runs that one search looks for.
const WANTED_MAX: usize = 16;

/// The terms under which a text is found.
pub(crate) fn terms(text: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    for piece in pieces(text) {
        if terms.len() >= TERMS_MAX {
            break;
        }
        match piece {
            Piece::Word(word) => drop(terms.insert(word)),
            Piece::Run(run) => {
                terms.extend(run.iter().map(char::to_string));
                terms.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
            }
        }
    }
    // The last run may have been a long one.
    while terms.len() > 2 * TERMS_MAX {
        terms.pop_last();
    }
    terms
}

/// What somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// All of these must be there.
    pub(super) terms: Vec<String>,
    /// Runs that must be there as a whole.
    runs: Vec<String>,
    /// What to show in the text.
    pub(super) highlights: Vec<String>,
}

impl Wanted {
    /// Reads what was typed.
    pub(crate) fn of(text: &str) -> Self {
        let mut terms = BTreeSet::new();
        let mut wanted = Self::default();
        for piece in pieces(text).take(WANTED_MAX) {
            let shown = match piece {
                Piece::Word(word) => {
                    terms.insert(word.clone());
                    word
                }
                Piece::Run(run) => {
                    let run: Vec<char> = run.into_iter().take(WORD_CHARS_MAX).collect();
                    if let [one] = run[..] {
                        terms.insert(one.to_string());
                    }
                    terms.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
                    let run: String = run.into_iter().collect();
                    wanted.runs.push(run.clone());
                    run
                }
            };
            if !wanted.highlights.contains(&shown) {
                wanted.highlights.push(shown);
            }
        }
        wanted.terms = terms.into_iter().collect();
        wanted
    }

    /// Is it in this text?
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let there = terms(text);
        let lower = text.to_lowercase();
        self.terms.iter().all(|term| there.contains(term))
            && self.runs.iter().all(|run| lower.contains(run))
    }
}

enum Piece {
    Word(String),
    Run(Vec<char>),
}

/// The words and runs of a text, in order.
fn pieces(text: &str) -> impl Iterator<Item = Piece> {
    let mut chars = text.chars().flat_map(char::to_lowercase).peekable();
    std::iter::from_fn(move || {
        loop {
            let first = chars.next()?;
            if is_dense(first) {
                let mut run = vec![first];
                while let Some(next) = chars.next_if(|char| is_dense(*char)) {
                    run.push(next);
                }
                return Some(Piece::Run(run));
            }
            if first.is_alphanumeric() {
                let mut word = String::from(first);
                let mut length = 1;
                while let Some(next) = chars.next_if(|char| is_word(*char)) {
                    length += 1;
                    if length <= WORD_CHARS_MAX {
                        word.push(next);
                    }
                }
                return Some(Piece::Word(word));
            }
        }
    })
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() && !is_dense(char)
}

/// Is it of a script whose words are not to be told apart by spaces?
fn is_dense(char: char) -> bool {
    matches!(char,
        // Thai, Lao, Myanmar, Khmer
        '\u{0e01}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}'
        // Hiragana, Katakana, Bopomofo, Hangul
        | '\u{3041}'..='\u{30ff}' | '\u{3105}'..='\u{318f}' | '\u{31f0}'..='\u{31ff}'
        | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7ff}' | '\u{ff66}'..='\u{ff9f}'
        // Han
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3134f}')
        && char != '\u{30fb}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(terms: &[&str]) -> BTreeSet<String> {
        terms.iter().map(|term| (*term).to_owned()).collect()
    }

    #[test]
    fn words_are_found_in_any_case_between_anything() {
        assert_eq!(
            terms("Hello, WORLD! It's 2 o’clock"),
            set(&["hello", "world", "it", "s", "2", "o", "clock"])
        );
        assert_eq!(terms("  ...\n"), set(&[]));
        assert_eq!(terms("ÄRGER café"), set(&["ärger", "café"]));
    }

    #[test]
    fn scripts_without_spaces_are_found_by_any_part() {
        assert_eq!(
            terms("학교에서 a"),
            set(&["학", "교", "에", "서", "학교", "교에", "에서", "a"])
        );
        assert!(Wanted::of("학교").is_in("오늘 학교에서 만나요"));
        assert!(Wanted::of("집").is_in("우리 집에"));
        assert!(Wanted::of("東京都").is_in("私は東京都に住む"));
        assert!(!Wanted::of("東京都").is_in("東京と京都"), "neighbours alone are not enough");
    }

    #[test]
    fn all_that_is_wanted_must_be_there() {
        let wanted = Wanted::of("Two  words two");
        assert_eq!(
            (wanted.terms.len(), &wanted.highlights[..]),
            (2, &["two".into(), "words".into()][..])
        );
        assert!(wanted.is_in("words: two") && !wanted.is_in("two"));
        assert!(Wanted::of("?!").terms.is_empty());
    }

    #[test]
    fn what_is_long_is_bounded() {
        let long = "x".repeat(100_000);
        assert_eq!(terms(&long).first().unwrap().len(), WORD_CHARS_MAX);
        assert!(Wanted::of(&long).is_in(&long));
        let many: Vec<String> = (0..10_000).map(|number| format!("w{number}")).collect();
        let many = many.join(" ");
        assert!(terms(&many).len() <= TERMS_MAX);
        let run: String = ('\u{4e00}'..'\u{9fff}').collect();
        assert!(terms(&run).len() <= 2 * TERMS_MAX);
    }
}
