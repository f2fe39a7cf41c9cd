//! The one place that reads the clock.

use std::time::Instant;

/// This instant, monotonic.
pub(crate) fn now() -> Instant {
    Instant::now()
}
