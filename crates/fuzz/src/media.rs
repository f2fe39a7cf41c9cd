//! Files and pages: from users, and from wherever their links lead.

use std::time::Duration;

use haechi_media::{About, Fit, Form, PictureLimits, fuzz};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::texts;

/// What a page says of itself is short, and its picture is somewhere on the web.
pub(crate) fn page(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (content_type, html) = input.split_at(end);
    let content_type = String::from_utf8_lossy(content_type);
    let url = Url::parse("https://example.org/a/b").expect("a URL");
    let (properties, image) = fuzz::page(html, &content_type, &url);
    assert!(properties.len() <= 42);
    for (name, value) in &properties {
        assert!(name.starts_with("og:") && name.len() <= 64, "{name}");
        assert!(value.chars().count() <= 1_000);
    }
    assert!(image.is_none_or(|image| matches!(image.scheme(), "http" | "https")));
}

/// Thumbnails are pictures of the size that was asked for, or smaller.
pub(crate) fn picture(input: &[u8]) {
    let limits = PictureLimits {
        bytes_max: 1 << 20,
        pixels_max: 1_000_000,
        memory_bytes_max: 16 << 20,
        animation_pixels_max: 1_000_000,
        animation_time_max: Duration::from_secs(1),
    };
    fuzz::dimensions(input);
    for (fit, animated) in [(Fit::Scale, false), (Fit::Crop, true)] {
        let form = Form::fitting(fit, 32, 32, animated);
        let Some(thumbnail) = fuzz::thumbnail(input, form, &limits) else { continue };
        let (width, height) = fuzz::dimensions(&thumbnail).expect("a picture");
        assert!((1..=form.width).contains(&width) && (1..=form.height).contains(&height));
    }
}

/// A part of a file lies in the file, and its name does no harm.
pub(crate) fn served(input: &[u8]) {
    let Some([range, tag, name, content_type]) = texts(input) else { return };
    let mut headers = HeaderMap::new();
    for (header, value) in [(header::RANGE, range), (header::IF_NONE_MATCH, tag)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(header, value);
        }
    }
    let about = About { content_type: Some(content_type.to_owned()), name: Some(name.to_owned()) };
    let about = fuzz::cleaned(about);
    let is_inline = about.content_type.as_deref().is_some_and(haechi_media::is_inline);
    let bytes = 1_000;
    let (headers, part) = haechi_api_client::fuzz::served(&headers, &about, bytes);
    assert!(part.start <= part.end && part.end <= bytes, "{range:?}: {part:?}");
    let Some(disposition) = headers.get(header::CONTENT_DISPOSITION) else { return };
    let disposition = disposition.to_str().expect("ASCII");
    assert_eq!(disposition.starts_with("inline"), is_inline, "{disposition}");
    assert!(!disposition.is_empty() && disposition.matches("filename").count() <= 2);
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}
