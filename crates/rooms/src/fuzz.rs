//! What fuzz targets need to reach.

use std::collections::BTreeSet;

use crate::search::{self, Wanted};

/// The terms under which a text is found.
pub fn terms(text: &str) -> BTreeSet<String> {
    search::terms(text)
}

/// Is a text found by somebody who looks for `wanted`?
pub fn is_found(text: &str, wanted: &str) -> bool {
    Wanted::of(wanted).is_in(text)
}
