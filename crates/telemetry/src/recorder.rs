//! Where metrics are kept until somebody asks.

use std::{thread, time::Duration};

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{METRICS, MetricKind, TelemetryError, process};

/// Upper bounds of the buckets of a `_seconds` histogram.
const SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 5.0, 30.0,
];

/// Upper bounds of the buckets of every other histogram: counts and sizes.
const SIZES: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1_024.0, 16_384.0, 1_048_576.0];

/// How often what was recorded is summed up. Until then each value takes memory of its own.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Gathers all that the `metrics` macros of this process write.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
}

impl Recorder {
    /// Sets up metrics for the whole process, once. `version` is told by `haechi_build_info`.
    pub fn install(version: &str) -> Result<Self, TelemetryError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets(&SIZES))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|_| TelemetryError::MetricsTwice)?;
        for metric in METRICS {
            match metric.kind {
                MetricKind::Counter => describe_counter!(metric.name, metric.about),
                MetricKind::Gauge => describe_gauge!(metric.name, metric.about),
                MetricKind::Histogram => describe_histogram!(metric.name, metric.about),
            }
        }
        gauge!("haechi_build_info", "version" => version.to_owned()).set(1.0);
        let upkeep = handle.clone();
        let keep_up = move || {
            loop {
                thread::sleep(UPKEEP_EVERY);
                upkeep.run_upkeep();
            }
        };
        // Without the thread, metrics cost memory between two scrapes but are right all the same.
        if let Err(error) = thread::Builder::new().name("metrics".to_owned()).spawn(keep_up) {
            tracing::warn!(%error, "metrics are summed up only when they are asked for");
        }
        Ok(Self { handle })
    }

    /// All metrics as they stand now, as Prometheus text (`text/plain; version=0.0.4`).
    pub fn render(&self) -> String {
        process::measure();
        self.handle.run_upkeep();
        self.handle.render()
    }
}
