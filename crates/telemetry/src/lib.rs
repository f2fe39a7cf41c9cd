//! Logs and metrics: setting them up, and the list of what is measured.
//!
//! # Spans
//! - `request`: one for each HTTP request, with `method`, `route` (the pattern, never the path, which
//!   holds ids), `request_id`, and at its end `status` and `elapsed_ms`.
//! - the name of a `Work` (`rooms.append_events`): one for each piece of work on the store.
//!
//! # Fields
//! Names are dotted by area and end in their unit (`body_bytes`, `elapsed_ms`). Ids of users, rooms and
//! devices may be logged; message bodies, passwords, tokens, keys, e-mail and IP addresses never, at
//! any level.
//!
//! # Levels
//! `error`: somebody must look. `warn`: something is wrong, and it goes on. `info`: starts, stops, what
//! an operator did. `debug`: one line for each request. `trace`: for the developer of that part.
//!
//! # Metrics
//! They are written by the `metrics` macros where the thing happens. [`METRICS`] lists them all, with
//! a test that reads the sources; `docs/metrics.md` is made from it.

mod logs;
mod metrics_list;
mod process;
mod recorder;

pub use logs::{LogFormat, check_level, init_logs};
pub use metrics_list::{METRICS, Metric, MetricKind, render_reference};
pub use recorder::Recorder;

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The text is no level and no list of levels by part.
    #[error(
        "`{level}` is no log level: use error, warn, info, debug or trace, also by part as in \
             `info,haechi_store=debug` ({why})"
    )]
    Level {
        /// The text.
        level: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something in this process has already set up logs.
    #[error("logs are already set up in this process")]
    LogsTwice,
    /// Something in this process has already set up metrics.
    #[error("metrics are already set up in this process")]
    MetricsTwice,
}
