//! One module for each command.

pub(crate) mod config;
pub(crate) mod ledger;
pub(crate) mod media;
pub(crate) mod pay;
pub(crate) mod report;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod version;

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// A time, in seconds, as people and programs read it.
pub(crate) fn moment(at_ms: i64) -> String {
    let at = OffsetDateTime::UNIX_EPOCH.checked_add(Duration::seconds(at_ms.div_euclid(1_000)));
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{at_ms} ms"))
}
