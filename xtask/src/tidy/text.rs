//! Rules on the text of a file: its length, marks of unfinished work, paths of one machine.

use std::path::Path;

use super::{Report, has_extension};

/// Lines of a source file: from the first a warning, from the second a failure.
const LINES: (usize, usize) = (500, 600);

/// The same for tests, whose cases are read one by one.
const LINES_OF_TESTS: (usize, usize) = (800, 1_000);

/// Marks of unfinished work, written apart so that this file has none.
const MARKS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
];

/// A test that never runs proves nothing.
const IGNORED: &str = concat!("#[ign", "ore");

/// Folders that exist only on somebody's machine.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];

/// Files that people write; others (lock files, recorded answers) hold what tools wrote.
const WRITTEN: [&str; 12] =
    [".rs", ".md", ".toml", ".sql", ".py", ".js", ".mjs", ".ts", ".sh", ".yml", ".yaml", "/run"];

pub(super) fn check(path: &str, text: &str, report: &mut Report) {
    if !WRITTEN.iter().any(|ending| path.ends_with(ending)) {
        return;
    }
    if has_extension(path, "rs") {
        length(path, text, report);
        // What `tests.rs` beside a module is for is plain.
        if !path.ends_with("/tests.rs") && !text.trim_start().starts_with("//!") {
            report.fail(path, "must begin with a `//!` comment that says what the module is for");
        }
    }
    if has_extension(path, "md") {
        links(path, text, report);
    }
    for (index, line) in text.lines().enumerate() {
        let at = format!("{path}:{}", index + 1);
        if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
            report.fail(&at, format!("`{mark}` marks unfinished work: finish it or file it"));
        }
        if has_extension(path, "rs") && line.trim_start().starts_with(IGNORED) {
            report.fail(&at, "a test that is ignored proves nothing: repair or delete it");
        }
        if let Some(folder) = MACHINE_PATHS.iter().find(|folder| has_path(line, folder)) {
            report.fail(&at, format!("`{folder}` is a folder of one machine"));
        }
    }
}

/// Is this file all tests?
pub(super) fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn length(path: &str, text: &str, report: &mut Report) {
    let (warn_from, fail_from) = if is_test(path) { LINES_OF_TESTS } else { LINES };
    let lines = text.lines().count();
    if lines > fail_from {
        report.fail(path, format!("{lines} lines; more than {fail_from}: split it by topic"));
    } else if lines > warn_from {
        report.warn(path, format!("{lines} lines; from {fail_from} on this is an error"));
    }
}

/// Warns of links from page to page that lead nowhere.
fn links(path: &str, text: &str, report: &mut Report) {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    for rest in text.split("](").skip(1) {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        if !target.is_empty() && !target.contains(':') && !folder.join(target).exists() {
            report.warn(path, format!("the link to `{target}` leads nowhere"));
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(letter) && (word.ends_with('(') || !after.is_some_and(letter))
    })
}

/// Does an absolute path in `line` start with `folder`? (`https://host/work/` does not.)
fn has_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || "./-_}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(path: &str, text: &str) -> usize {
        let mut report = Report::default();
        check(path, text, &mut report);
        report.failures.len()
    }

    #[test]
    fn marks_are_found_as_words() {
        let mark = MARKS[0];
        assert_eq!(failures("a.rs", &format!("//! A.\n// {mark}: later")), 1);
        assert_eq!(failures("a.rs", &format!("//! A.\nlet {mark}S = 1;")), 0);
        assert_eq!(failures("a.rs", &format!("//! A.\n    {}2 * 2)", MARKS[5])), 1);
        assert_eq!(failures("a.rs", &format!("//! A.\n{IGNORED}]")), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let folder = MACHINE_PATHS[1];
        assert_eq!(failures("a.md", &format!("see {folder}x")), 1);
        assert_eq!(failures("a.md", &format!("see https://host.example{folder}x")), 0);
        assert_eq!(failures("Cargo.lock", folder), 0);
    }

    #[test]
    fn modules_say_what_they_are_for() {
        assert_eq!(failures("a.rs", "fn main() {}"), 1);
    }

    #[test]
    fn long_files_fail_and_tests_may_be_longer() {
        let text = format!("//! A.\n{}", "\n".repeat(LINES.1));
        assert_eq!(failures("crates/a/src/b.rs", &text), 1);
        assert_eq!(failures("crates/a/tests/b.rs", &text), 0);
    }
}
