//! Finds the few things needed in an answer without building a document from it.
//!
//! This is sound because the tool writes every message body itself: the strings looked for cannot
//! stand in one by accident.

use std::borrow::Cow;

use memchr::memmem;

/// What begins every message of this tool.
const MARK: &[u8] = b"hb|";

/// Characters of one message body, about what people write.
const BODY_CHARS: usize = 48;

/// The text of message `number` of room `room`; both are this tool's own counts.
pub(crate) fn body_text(room: u32, number: u32) -> String {
    format!("{:<BODY_CHARS$}.", format!("hb|{room}|{number}|"))
}

/// The (room, number) of every message of this tool in `body`, in the order in which they stand.
pub(crate) fn messages(body: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    memmem::find_iter(body, MARK).filter_map(move |at| {
        let (room, rest) = decimal(&body[at + MARK.len()..])?;
        let (number, _) = decimal(rest)?;
        Some((room, number))
    })
}

/// Reads `123|` and gives what stands after it.
fn decimal(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = memchr::memchr(b'|', text.get(..text.len().min(11))?)?;
    let value = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((value, &text[end + 1..]))
}

/// The first string that stands under `key`.
pub(crate) fn string<'a>(body: &'a [u8], key: &str) -> Option<Cow<'a, str>> {
    let quoted = format!("\"{key}\"");
    memmem::find_iter(body, quoted.as_bytes()).find_map(|at| {
        let value = after_colon(&body[at + quoted.len()..])?.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', value)?;
        if value[end] == b'"' {
            return std::str::from_utf8(&value[..end]).ok().map(Cow::Borrowed);
        }
        let from_quote = &body[body.len() - value.len() - 1..];
        serde_json::Deserializer::from_slice(from_quote)
            .into_iter::<String>()
            .next()?
            .ok()
            .map(Cow::Owned)
    })
}

/// Is there a `"limited": true` anywhere?
pub(crate) fn limited(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"limited\"";
    memmem::find_iter(body, KEY)
        .any(|at| after_colon(&body[at + KEY.len()..]).is_some_and(|v| v.starts_with(b"true")))
}

/// What stands after a colon, white space left out.
fn after_colon(text: &[u8]) -> Option<&[u8]> {
    Some(text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(body: &str) -> Vec<(u32, u32)> {
        messages(body.as_bytes()).collect()
    }

    #[test]
    fn messages_are_found_in_order() {
        let body = format!(
            r#"{{"timeline":{{"events":[{{"content":{{"body":"{}"}}}},{{"content":{{"body":"{}"}}}}]}}}}"#,
            body_text(7, 12),
            body_text(7, 11),
        );
        assert_eq!(found(&body), [(7, 12), (7, 11)]);
    }

    #[test]
    fn what_is_cut_or_foreign_is_not_a_message() {
        for text in [
            "",
            "hb|",
            "hb|1",
            "hb|1|",
            "hb|1|2",
            "hb|a|2|",
            "hb|1|-2|",
            "hb||2|",
            "hb|9999999999|1|",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(found("hb|hb|1|2|"), [(1, 2)]);
    }

    #[test]
    fn strings_are_found_by_key() {
        let body =
            br#"{"a":"next_batch","prev_batch":"p1", "next_batch" : "s1_2", "odd":"x\"\u0041"}"#;
        assert_eq!(string(body, "next_batch").as_deref(), Some("s1_2"));
        assert_eq!(string(body, "prev_batch").as_deref(), Some("p1"));
        assert_eq!(string(body, "odd").as_deref(), Some("x\"A"));
        assert_eq!(string(body, "batch"), None);
        assert_eq!(string(br#"{"next_batch":"cut"#, "next_batch"), None);
        assert_eq!(string(br#"{"next_batch":5}"#, "next_batch"), None);
    }

    #[test]
    fn a_gap_is_seen() {
        assert!(limited(br#"{"limited":false,"x":{"limited": true}}"#));
        assert!(!limited(br#"{"limited":false,"body":"limited"}"#));
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>) {
            let mut text = b"\"pos\":\"\\hb|1|".to_vec();
            text.extend_from_slice(&body);
            let _ = (messages(&text).count(), string(&text, "pos"), limited(&text));
        }

        #[test]
        fn every_message_written_is_read(room: u32, number: u32) {
            prop_assert_eq!(found(&body_text(room, number)), [(room, number)]);
        }
    }
}
