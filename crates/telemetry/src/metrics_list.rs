//! The one list of metrics.

use std::fmt::Write;

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name: area, thing, unit; `_total` where it only grows.
    pub name: &'static str,
    /// How it moves.
    pub kind: MetricKind,
    /// Its labels. Their values must be few: never an id, never a path.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub about: &'static str,
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Many values, counted by size. A name that ends in `_seconds` gets buckets of time.
    Histogram,
}

/// Every metric there is. Whoever measures something new adds a line here.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "haechi_build_info",
        kind: MetricKind::Gauge,
        labels: &["version"],
        about: "Always 1; the label tells which version runs.",
    },
    Metric {
        name: "haechi_bus_dropped",
        kind: MetricKind::Counter,
        labels: &["topic"],
        about: "Messages to or from other servers that were dropped: the bus was away or slow.",
    },
    Metric {
        name: "haechi_bus_up",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "1 while the bus to the other servers is there, or none is configured.",
    },
    Metric {
        name: "haechi_ledger_group_transfers",
        kind: MetricKind::Histogram,
        labels: &[],
        about: "Transfers that were written in one transaction.",
    },
    Metric {
        name: "haechi_rooms_kept",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "Rooms that are kept in memory.",
    },
    Metric {
        name: "haechi_rooms_kept_bytes",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "About how much memory they take; at most `limits.cache_bytes_max`.",
    },
    Metric {
        name: "haechi_store_commit_seconds",
        kind: MetricKind::Histogram,
        labels: &["engine"],
        about: "Time to make a group of works durable: the commit on SQLite, the whole group with \
                all its tries on PostgreSQL.",
    },
    Metric {
        name: "haechi_store_group_jobs",
        kind: MetricKind::Histogram,
        labels: &["engine"],
        about: "Works that were committed together.",
    },
    Metric {
        name: "haechi_store_reads_too_far_behind",
        kind: MetricKind::Counter,
        labels: &[],
        about: "Reads that went to the primary since the database of the own site was behind.",
    },
    Metric {
        name: "haechi_store_stale",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "1 while no write can be confirmed, so that what is read may be out of date.",
    },
    Metric {
        name: "haechi_store_work_run_seconds",
        kind: MetricKind::Histogram,
        labels: &["work"],
        about: "Time that a work took, without waiting and without the commit.",
    },
    Metric {
        name: "haechi_store_work_wait_seconds",
        kind: MetricKind::Histogram,
        labels: &["work"],
        about: "Time that a work waited for its turn.",
    },
    Metric {
        name: "http_request_seconds",
        kind: MetricKind::Histogram,
        labels: &["method", "route", "status"],
        about: "Time from the head of a request to the head of its answer, by endpoint and class of \
                status. Long-polls include the time they wait.",
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "Processor time that the process has used.",
    },
    Metric {
        name: "process_open_fds",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "Open file descriptors: files and connections.",
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "Memory of the process that is in RAM.",
    },
    Metric {
        name: "process_threads",
        kind: MetricKind::Gauge,
        labels: &[],
        about: "Threads of the process.",
    },
];

/// The list as Markdown, for `docs/metrics.md`.
pub fn render_reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Served as Prometheus text at `/metrics` on the address of `metrics_listen`. This page is made \
         from the code (`crates/telemetry/src/metrics_list.rs`); a test keeps it in step.\n\n\
         | name | kind | labels | tells |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels = metric.labels.join(", ");
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.about);
    }
    text
}
