//! Figures and how they are shown: a table for people and a line of JSON for machines.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Map, Value};

/// Largest time recorded; a longer one counts as this.
const MICROS_MAX: u64 = 600_000_000;

/// Times, kept to three significant digits.
#[derive(Clone, Debug)]
pub(crate) struct Times(hdrhistogram::Histogram<u64>);

impl Times {
    /// No times yet.
    pub(crate) fn new() -> Self {
        let bounds = hdrhistogram::Histogram::new_with_bounds(1, MICROS_MAX, 3);
        Self(bounds.expect("the bounds are constants that fit"))
    }

    /// Adds one.
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record(micros.clamp(1, MICROS_MAX));
    }

    /// Adds all of `other`'s.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time below which the share `quantile` (0 to 1) lies, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "bounded by MICROS_MAX")]
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut all = Self::new();
        for time in times {
            all.record(time);
        }
        all
    }
}

/// The figures of one run of one scenario, in the order in which they are shown.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The scenario with what sets it apart, as `deliver 200`.
    pub(crate) title: String,
    figures: Vec<(String, f64)>,
}

impl Report {
    /// A report without figures.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), figures: Vec::new() }
    }

    /// Adds one figure; the unit stands in its name.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value));
    }

    /// Adds a count.
    #[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
    pub(crate) fn count(&mut self, name: &str, value: u64) {
        self.add(name, value as f64);
    }

    /// Adds p50, p90, p99 and max of `times` as `name.p50` and so on; nothing if there are none.
    pub(crate) fn times(&mut self, name: &str, times: &Times) {
        if times.count() == 0 {
            return;
        }
        for (suffix, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
            self.add(&format!("{name}.{suffix}"), times.quantile_ms(quantile));
        }
    }

    /// The figure of that name.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// One line of JSON with everything.
    pub(crate) fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), Value::from(self.title.as_str()));
        for (name, value) in &self.figures {
            object.insert(name.clone(), Value::from(*value));
        }
        Value::Object(object).to_string()
    }
}

/// The table of several runs of one scenario: each figure's median, minimum and maximum.
pub(crate) fn table(runs: &[Report]) -> String {
    let mut text = String::new();
    let Some(first) = runs.first() else { return text };
    let _ = writeln!(text, "\n### {}\n| metric | n={} |\n| --- | --- |", first.title, runs.len());
    for (name, _) in &first.figures {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(name)).collect();
        values.sort_by(f64::total_cmp);
        let (median, low, high) =
            (median(&values), shown(values[0]), shown(values[values.len() - 1]));
        let spread = if low == high { String::new() } else { format!(" ({low}..{high})") };
        let _ = writeln!(text, "| {name} | {}{spread} |", shown(median));
    }
    text
}

/// The middle of sorted values; of an even number of them the mean of the two middle ones.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// Three significant digits, and every digit of what stands before the point.
fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        v if v == 0.0 || v >= 100.0 || (v.fract() == 0.0 && v >= 10.0) => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds() {
        let times: Times = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(times.count(), 100);
        assert!((times.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((times.quantile_ms(1.0) - 100.0).abs() < 0.1);
    }

    #[test]
    fn the_longest_time_does_not_overflow() {
        let times: Times = [Duration::ZERO, Duration::MAX].into_iter().collect();
        assert_eq!(times.count(), 2);
        assert!(times.quantile_ms(1.0) >= 600_000.0);
    }

    #[test]
    fn a_table_shows_the_median_and_the_spread() {
        let runs: Vec<Report> = [3.0, 100.4, 20.06]
            .into_iter()
            .map(|value| {
                let mut report = Report::new("send");
                report.add("per_s", value);
                report.count("errors", 0);
                report
            })
            .collect();
        let expected = "\n### send\n| metric | n=3 |\n| --- | --- |\n\
            | per_s | 20.1 (3.00..100) |\n| errors | 0 |\n";
        assert_eq!(table(&runs), expected);
        assert_eq!(runs[0].json(), r#"{"errors":0.0,"per_s":3.0,"scenario":"send"}"#);
    }
}
