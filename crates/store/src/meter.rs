//! Metrics and the slow log: names and times, never values.

use std::time::Duration;

use metrics::histogram;

/// A work that ran longer than this is logged.
const SLOW: Duration = Duration::from_millis(200);

/// A group of `jobs` works is about to run.
pub(crate) fn group(engine: &'static str, jobs: usize) {
    histogram!("haechi_store_group_jobs", "engine" => engine)
        .record(u32::try_from(jobs).unwrap_or(u32::MAX));
}

/// A group was committed; `took` is the commit alone on SQLite, the whole group with all its tries on
/// PostgreSQL.
pub(crate) fn commit(engine: &'static str, took: Duration) {
    histogram!("haechi_store_commit_seconds", "engine" => engine).record(took);
}

/// A work has run; `waited` is the time from its submission to its start.
pub(crate) fn work(name: &'static str, waited: Duration, ran: Duration) {
    histogram!("haechi_store_work_wait_seconds", "work" => name).record(waited);
    histogram!("haechi_store_work_run_seconds", "work" => name).record(ran);
    if ran > SLOW {
        tracing::warn!(
            work = name,
            ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
            waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            "slow work"
        );
    }
}
