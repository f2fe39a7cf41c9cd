//! Sending files: names and types that do no harm, parts of files, and what need not be sent again.

use std::{fmt::Display, ops::Range, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use haechi_http::{ApiError, Busy};
#[cfg(feature = "fuzz")]
use haechi_media::About;
use haechi_media::{Form, Found, Media, MediaError, clean_name, is_inline};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use ruma::{
    OwnedServerName,
    http_headers::{ContentDisposition, ContentDispositionType},
};

use crate::Result;

/// Which media is wanted, and how long its content may take to come.
pub(super) struct Wanted {
    pub(super) server: OwnedServerName,
    pub(super) id: String,
    pub(super) wait: Duration,
}

/// Whatever a file holds, it must not act as a page of ours (spec, "Security considerations").
const CONTENT_SECURITY: &str = "sandbox; default-src 'none'; script-src 'none'; \
     plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';";

/// What is behind a media id never changes; who may see it can.
const FOREVER: &str = "private, max-age=31536000, immutable";

const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Answers with the content; `name` overrides that of the upload.
pub(super) async fn content(
    media: &Media,
    wanted: Wanted,
    name: Option<String>,
    busy: &Busy,
    headers: &HeaderMap,
) -> Result<Response> {
    let found = find(media, &wanted, busy).await?;
    let name = name.map(|name| clean_name(&name)).or_else(|| found.about.name.clone());
    let content_type = found.about.content_type.as_deref();
    let file = File::new(found.bytes(), found.tag(), content_type, name);
    match file.part(headers) {
        Part::Nothing => Ok(file.response(StatusCode::NOT_MODIFIED, Body::empty())),
        Part::Beyond => Ok(file.beyond()),
        Part::Whole => {
            let bytes = media.open(&found, None).await?;
            Ok(file.response(StatusCode::OK, Body::from_stream(bytes)))
        }
        Part::Range(range) => {
            let bytes = media.open(&found, Some(range.clone())).await?;
            Ok(file.partial(&range, Body::from_stream(bytes)))
        }
    }
}

/// Answers with a thumbnail.
pub(super) async fn thumbnail(
    media: &Media,
    wanted: Wanted,
    form: Form,
    busy: &Busy,
    headers: &HeaderMap,
) -> Result<Response> {
    let found = find(media, &wanted, busy).await?;
    let thumbnail = media.thumbnail(&found, form).await?;
    let ending = thumbnail.content_type.trim_start_matches("image/");
    let file = File {
        bytes: thumbnail.bytes,
        tag: format!("\"{}\"", thumbnail.tag()),
        content_type: &thumbnail.content_type,
        disposition: ContentDisposition::new(ContentDispositionType::Inline)
            .with_filename(Some(format!("thumbnail.{ending}"))),
    };
    if let Part::Nothing = file.part(headers) {
        return Ok(file.response(StatusCode::NOT_MODIFIED, Body::empty()));
    }
    let bytes = media.open_thumbnail(&thumbnail).await?;
    Ok(file.response(StatusCode::OK, Body::from_stream(bytes)))
}

/// While it waits for content that was promised, the request gives its place to others.
async fn find(media: &Media, wanted: &Wanted, busy: &Busy) -> Result<Found> {
    let of = (wanted.server.as_str(), wanted.id.as_str());
    match media.find(of, Duration::ZERO).await {
        Err(MediaError::NotYetUploaded) if !wanted.wait.is_zero() => {
            busy.pause();
            let found = media.find(of, wanted.wait).await;
            busy.resume().await?;
            Ok(found?)
        }
        found => Ok(found?),
    }
}

/// A file as it is sent.
struct File<'a> {
    bytes: u64,
    tag: String,
    content_type: &'a str,
    disposition: ContentDisposition,
}

/// What of a file is sent.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// The client has it.
    Nothing,
    Whole,
    Range(Range<u64>),
    /// A part was asked for that lies behind the end.
    Beyond,
}

impl<'a> File<'a> {
    fn new(
        bytes: u64,
        tag: impl Display,
        content_type: Option<&'a str>,
        name: Option<String>,
    ) -> Self {
        let content_type = content_type.unwrap_or(UNKNOWN_TYPE);
        let disposition = if is_inline(content_type) {
            ContentDispositionType::Inline
        } else {
            ContentDispositionType::Attachment
        };
        let disposition = ContentDisposition::new(disposition).with_filename(name);
        Self { bytes, tag: format!("\"{tag}\""), content_type, disposition }
    }

    /// What is to be sent to somebody who asks with these headers (RFC 9110, sections 13 and 14).
    fn part(&self, headers: &HeaderMap) -> Part {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(known) = text(header::IF_NONE_MATCH) {
            // The tag in its quotes is found in any list, weak or strong.
            if known.contains(&self.tag) || known.trim() == "*" {
                return Part::Nothing;
            }
        }
        let Some(ranges) = text(header::RANGE) else { return Part::Whole };
        if text(header::IF_RANGE).is_some_and(|tag| tag != self.tag) {
            return Part::Whole;
        }
        match parse_range_header(ranges).and_then(|ranges| ranges.validate(self.bytes)) {
            Err(RangeUnsatisfiableError::Unsatisfiable) => Part::Beyond,
            Ok(ranges) if ranges.len() == 1 => {
                Part::Range(*ranges[0].start()..*ranges[0].end() + 1)
            }
            // A header that makes no sense is ignored, and several ranges are not worth their while.
            Ok(_) | Err(_) => Part::Whole,
        }
    }

    fn response(&self, status: StatusCode, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            // What cannot be a header was dropped when it was uploaded; a name may still not fit.
            let value = HeaderValue::try_from(value);
            headers.insert(name, value.unwrap_or(HeaderValue::from_static("")));
        };
        set(header::ETAG, &self.tag);
        set(header::CACHE_CONTROL, FOREVER);
        set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY);
        set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if status != StatusCode::NOT_MODIFIED {
            set(header::CONTENT_TYPE, self.content_type);
            set(header::CONTENT_DISPOSITION, &self.disposition.to_string());
            set(header::CONTENT_LENGTH, &self.bytes.to_string());
            set(header::ACCEPT_RANGES, "bytes");
        }
        response
    }

    fn partial(&self, range: &Range<u64>, body: Body) -> Response {
        let mut response = self.response(StatusCode::PARTIAL_CONTENT, body);
        let Range { start, end } = range;
        let place = format!("bytes {start}-{}/{}", end - 1, self.bytes);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, (end - start).into());
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(place).expect("digits"));
        response
    }

    fn beyond(&self) -> Response {
        let message = "The range lies behind the end of the file";
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        let mut response = ApiError::new(status, "M_UNKNOWN", message).into_response();
        let place = HeaderValue::try_from(format!("bytes */{}", self.bytes)).expect("digits");
        response.headers_mut().insert(header::CONTENT_RANGE, place);
        response
    }
}

/// For fuzz targets: the headers of an answer to a request with these headers, and which bytes of the
/// file it would carry.
#[cfg(feature = "fuzz")]
pub(crate) fn served(headers: &HeaderMap, about: &About, bytes: u64) -> (HeaderMap, Range<u64>) {
    let file = File::new(bytes, "tag", about.content_type.as_deref(), about.name.clone());
    let (response, range) = match file.part(headers) {
        Part::Nothing => (file.response(StatusCode::NOT_MODIFIED, Body::empty()), 0..0),
        Part::Beyond => (file.beyond(), 0..0),
        Part::Whole => (file.response(StatusCode::OK, Body::empty()), 0..bytes),
        Part::Range(range) => (file.partial(&range, Body::empty()), range),
    };
    (response.into_parts().0.headers, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: u64, headers: &[(HeaderName, &str)]) -> Part {
        let file = File {
            bytes,
            tag: "\"abc\"".to_owned(),
            content_type: "text/plain",
            disposition: ContentDisposition::default(),
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        file.part(&headers)
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let range = |text| part(100, &[(header::RANGE, text)]);
        assert_eq!(range("bytes=0-0"), Part::Range(0..1));
        assert_eq!(range("bytes=10-"), Part::Range(10..100));
        assert_eq!(range("bytes=-10"), Part::Range(90..100));
        assert_eq!(range("bytes=-1000"), Part::Range(0..100));
        assert_eq!(range("bytes=90-1000"), Part::Range(90..100));
        assert_eq!(range("bytes=100-"), Part::Beyond);
        assert_eq!(range("bytes=0-1,5-6"), Part::Whole);
        for nonsense in ["bytes=9-1", "bytes=a-", "lines=1-2", "bytes=", "bytes=-", "bytes"] {
            assert_eq!(range(nonsense), Part::Whole, "{nonsense}");
        }
        assert_eq!(part(0, &[(header::RANGE, "bytes=0-")]), Part::Beyond);
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        for known in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            let headers = [(header::IF_NONE_MATCH, known), (header::RANGE, "bytes=0-1")];
            assert_eq!(part(9, &headers), Part::Nothing, "{known}");
        }
        assert_eq!(part(9, &[(header::IF_NONE_MATCH, "\"abcd\"")]), Part::Whole);
        let range = (header::RANGE, "bytes=0-1");
        assert_eq!(part(9, &[range.clone(), (header::IF_RANGE, "\"abc\"")]), Part::Range(0..2));
        assert_eq!(part(9, &[range, (header::IF_RANGE, "\"old\"")]), Part::Whole);
    }
}
