//! What is counted: whole latency histograms, rates a second, errors by code.

use crate::error::{Error, code_name};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Longest latency that is told apart: ten minutes, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// Latencies in nanoseconds, to three digits, from 1 ns to ten minutes.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Latency {
    pub fn new() -> Result<Latency, Error> {
        Histogram::new_with_bounds(1, LONGEST, 3)
            .map(Latency)
            .map_err(|_| Error::Usage("no histogram of that precision".into()))
    }

    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds.max(1));
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share `quantile` (0 to 1) of all stayed within, in microseconds.
    pub fn micros(&self, quantile: f64) -> f64 {
        round(self.0.value_at_quantile(quantile) as f64 / 1000.0)
    }

    /// Count, mean, percentiles and maximum in microseconds, and the whole curve as pairs of
    /// share and microseconds.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("count".into(), json!(self.count()));
        out.insert("mean".into(), json!(round(self.0.mean() / 1000.0)));
        for (name, q) in PERCENTILES {
            out.insert(name.into(), json!(self.micros(q)));
        }
        out.insert("max".into(), json!(round(self.0.max() as f64 / 1000.0)));
        let curve: Vec<_> = self
            .0
            .iter_quantiles(4)
            .map(|step| json!([step.quantile(), round(step.value_iterated_to() as f64 / 1000.0)]))
            .collect();
        out.insert("curve".into(), Value::Array(curve));
        Value::Object(out)
    }
}

/// The percentiles of every report.
pub const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Three decimals are more than any of these figures is worth.
pub fn round(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

/// When things are counted: nanoseconds on the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: u64,
    pub to: u64,
}

impl Window {
    pub fn new(warmup: Duration, length: Duration) -> Window {
        let from = warmup.as_nanos() as u64;
        Window { from, to: from + length.as_nanos() as u64 }
    }

    pub fn contains(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }

    pub fn seconds(&self) -> f64 {
        (self.to - self.from) as f64 / 1e9
    }
}

/// Requests, records and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    pub requests: u64,
    pub records: u64,
    /// Bytes of record batches, as they are stored.
    pub bytes: u64,
}

impl Volume {
    pub fn add(&mut self, records: u64, bytes: u64) {
        self.requests += 1;
        self.records += records;
        self.bytes += bytes;
    }
}

/// One direction of a run: what was produced and acknowledged, or what was consumed.
#[derive(Debug, Clone)]
pub struct Flow {
    pub window: Window,
    /// Of the requests that were due within the window.
    pub latency: Latency,
    /// What was completed within the window.
    pub measured: Volume,
    /// What was completed in the whole run, warm-up and drain included.
    pub total: Volume,
    /// Sum (wrapping) of the checksums of all batches of the whole run: two flows that carried
    /// the same batches, in whatever order, have the same.
    pub digest: u64,
    /// Requests completed in each second of the whole run.
    pub every_second: Vec<u64>,
    pub errors: BTreeMap<i16, u64>,
}

impl Flow {
    pub fn new(window: Window) -> Result<Flow, Error> {
        Ok(Flow {
            window,
            latency: Latency::new()?,
            measured: Volume::default(),
            total: Volume::default(),
            digest: 0,
            every_second: Vec::new(),
            errors: BTreeMap::new(),
        })
    }

    /// Counts `records` in `bytes` that were complete at `now`.
    pub fn complete(&mut self, now: u64, records: u64, bytes: u64) {
        self.total.add(records, bytes);
        if self.window.contains(now) {
            self.measured.add(records, bytes);
        }
        let second = (now / 1_000_000_000) as usize;
        if second >= self.every_second.len() {
            self.every_second.resize(second + 1, 0);
        }
        self.every_second[second] += 1;
    }

    /// Counts the latency of something due at `due`, if that is within the window.
    pub fn latency(&mut self, due: u64, now: u64) {
        if self.window.contains(due) {
            self.latency.record(now.saturating_sub(due));
        }
    }

    pub fn error(&mut self, code: i16) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// `over`: the seconds that the measured volume took.
    pub fn to_json(&self, over: f64) -> Value {
        let rate = |n: u64| round(n as f64 / over.max(1e-9));
        let errors: Map<String, Value> = self
            .errors
            .iter()
            .map(|(code, n)| (format!("{} ({code})", code_name(*code)), json!(n)))
            .collect();
        json!({
            "requests_per_s": rate(self.measured.requests),
            "records_per_s": rate(self.measured.records),
            "mb_per_s": round(self.measured.bytes as f64 / 1e6 / over.max(1e-9)),
            "requests": self.measured.requests,
            "records": self.measured.records,
            "bytes": self.measured.bytes,
            "total_records": self.total.records,
            "total_bytes": self.total.bytes,
            "digest": format!("{:016x}", self.digest),
            "latency_us": self.latency.to_json(),
            "every_second": self.every_second,
            "errors": errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_by_due_time_and_throughput_by_completion() {
        let mut flow = Flow::new(Window { from: 1_000_000_000, to: 2_000_000_000 }).unwrap();
        // Due in the window, answered long after it: in the histogram, not in the rate.
        flow.latency(1_999_999_999, 9_000_000_000);
        flow.complete(9_000_000_000, 10, 1000);
        // Due before the window, answered in it: the other way round.
        flow.latency(999_999_999, 1_500_000_000);
        flow.complete(1_500_000_000, 10, 1000);
        assert_eq!(flow.latency.count(), 1);
        assert!(flow.latency.micros(1.0) > 6_990_000.0);
        assert_eq!(flow.measured, Volume { requests: 1, records: 10, bytes: 1000 });
        assert_eq!(flow.total.requests, 2);
        assert_eq!((flow.every_second[1], flow.every_second[9]), (1, 1));
    }

    #[test]
    fn the_curve_reaches_the_maximum() {
        let mut latency = Latency::new().unwrap();
        for i in 1..=10_000u64 {
            latency.record(i * 1000);
        }
        let json = latency.to_json();
        assert!((json["p50"].as_f64().unwrap() - 5000.0).abs() < 10.0);
        assert!((json["p99.9"].as_f64().unwrap() - 9990.0).abs() < 10.0);
        let curve = json["curve"].as_array().unwrap();
        assert!(curve.last().unwrap()[1].as_f64().unwrap() >= 9990.0);
    }
}
