//! Reads text in whatever encoding a page has.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use mime::Mime;

use crate::page;

/// Where a page says its encoding, if it does (HTML standard, "prescan": 1024 bytes).
const PRESCAN_BYTES: usize = 1_024;

/// The text of a page: its encoding is what its first bytes say, then the header, then the page
/// itself, and else what the bytes look like.
pub(crate) fn decode(bytes: &[u8], content_type: &str) -> String {
    let encoding = Encoding::for_bom(bytes)
        .map(|(encoding, _)| encoding)
        .or_else(|| charset(content_type))
        .or_else(|| declared(&bytes[..bytes.len().min(PRESCAN_BYTES)]))
        .unwrap_or_else(|| guess(bytes));
    encoding.decode(bytes).0.into_owned()
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    let content_type: Mime = content_type.parse().ok()?;
    Encoding::for_label(content_type.get_param(mime::CHARSET)?.as_str().as_bytes())
}

/// What the page's `meta` elements say. They are ASCII in every encoding that says it there.
fn declared(start: &[u8]) -> Option<&'static Encoding> {
    let said = page::charset(&String::from_utf8_lossy(start))?;
    let encoding = Encoding::for_label(said.as_bytes()).or_else(|| charset(&said))?;
    // A page that was read up to its `meta` as ASCII is not UTF-16.
    Some(encoding.output_encoding())
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{EUC_KR, SHIFT_JIS, UTF_16LE, WINDOWS_1252};

    use super::*;

    #[test]
    fn the_encoding_is_found_where_it_is_said() {
        let (korean, ..) = EUC_KR.encode("<title>해치가 서울을 지킨다</title>");
        assert!(decode(&korean, "text/html; charset=euc-kr").contains("해치"));
        assert!(decode(&korean, "text/html; charset=\"EUC-KR\"").contains("해치"));
        let in_meta = [b"<meta charset=euc-kr>".as_slice(), &korean].concat();
        assert!(decode(&in_meta, "text/html").contains("해치"));
        let (japanese, ..) = SHIFT_JIS.encode("<title>こんにちは</title>");
        let http_equiv = [
            b"<meta http-equiv=Content-Type content='text/html; charset=shift_jis'>".as_slice(),
            &japanese,
        ]
        .concat();
        assert!(decode(&http_equiv, "").contains("こんにちは"));
        let (french, ..) = WINDOWS_1252.encode("<meta charset=utf-16><p>");
        assert!(decode(&french, "text/html").contains("<p>"));
    }

    #[test]
    fn without_a_word_the_bytes_are_looked_at() {
        assert!(decode("<p>해치 — café".as_bytes(), "text/html").contains("해치 — café"));
        let (korean, ..) = EUC_KR.encode("오늘 서울의 날씨는 맑고 바람이 조금 불겠습니다");
        assert!(decode(&korean, "text/html").contains("서울의"));
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("<p>해치".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(UTF_16LE.decode(&utf16).0, decode(&utf16, "text/html; charset=utf-8"));
        assert_eq!(decode(b"", "text/html; charset=nonsense"), "");
    }
}
