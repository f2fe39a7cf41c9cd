//! What fuzz targets need to reach.

use crate::sliding;

/// Reads a position of sliding sync and writes it again.
pub fn pos(text: &str) -> Option<String> {
    sliding::parse_pos(text).ok().map(|(serial, token)| sliding::pos(serial, &token))
}
