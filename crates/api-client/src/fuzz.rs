//! What fuzz targets need to reach.

use std::ops::Range;

use haechi_media::About;
use http::HeaderMap;

/// Answers a request with these headers for a file of so many bytes: with which headers, and with
/// which bytes of the file.
pub fn served(headers: &HeaderMap, about: &About, bytes: u64) -> (HeaderMap, Range<u64>) {
    crate::media::served(headers, about, bytes)
}
