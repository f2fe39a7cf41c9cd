//! Patterns come from clients: a text matches itself, and what contains it matches `*text*`.
#![no_main]

use haechi_matrix::glob;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    let matched = glob::matches(pattern, text);
    if !pattern.contains(['*', '?']) {
        assert_eq!(matched, pattern == text);
    }
    if glob::matches_stars(pattern, text) && !pattern.contains('?') {
        assert!(matched);
    }
    assert_eq!(glob::matches(&format!("*{pattern}*"), text), {
        let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
        starts.any(|start| glob::matches(&format!("{pattern}*"), &text[start..]))
    });
});
