//! The text in which Prometheus reads metrics (its text exposition format, version 0.0.4).
//!
//! A [`Family`] is a metric's name and meaning, as a constant; an [`Exposition`] is the text in the making.

use crate::metrics::{Totals, bound_nanos};
use std::fmt::{Display, Write};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the numbers of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow while the process lives.
    Counter,
    /// They go up and down.
    Gauge,
    /// Durations, counted by size.
    Histogram,
}

impl Kind {
    /// The word for it in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric: one name, one meaning, one number for each combination of its labels.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name; a counter's ends with `_total`, and one with a unit names the unit before that.
    pub name: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// What is counted: `bytes`, `seconds`, or the plural of the thing.
    pub unit: &'static str,
    /// What tells its numbers apart.
    pub labels: &'static [&'static str],
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// Labels and their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text in the making: each family is begun, then its samples are added.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    /// An empty text.
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// Begins a family; the samples that follow are its.
    pub fn family(&mut self, family: &'static Family) -> &mut Exposition {
        self.family = family.name;
        self.put(format_args!("# HELP {} {}\n", family.name, family.help));
        self.put(format_args!("# TYPE {} {}\n", family.name, family.kind.name()));
        self
    }

    /// A number of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Exposition {
        self.line("", labels, None, value);
        self
    }

    /// A time of the family, in seconds.
    pub fn seconds(&mut self, labels: Labels<'_>, nanos: u64) -> &mut Exposition {
        self.sample(labels, nanos as f64 / 1e9)
    }

    /// A histogram of the family, from counts that are not cumulative: each with its bound in nanoseconds, then those
    /// above all bounds.
    pub fn buckets(
        &mut self,
        labels: Labels<'_>,
        bounded: impl Iterator<Item = (u64, u64)>,
        above: u64,
        sum_nanos: u64,
    ) -> &mut Exposition {
        let mut count = 0;
        for (bound, inside) in bounded {
            count += inside;
            self.line("_bucket", labels, Some(bound), count);
        }
        count += above;
        self.line("_bucket", labels, Some(u64::MAX), count);
        self.line("_sum", labels, None, sum_nanos as f64 / 1e9);
        self.line("_count", labels, None, count);
        self
    }

    /// The same of our own histograms.
    pub fn histogram(&mut self, labels: Labels<'_>, totals: &Totals) -> &mut Exposition {
        let (above, bounded) = totals.buckets.split_last().expect("an array that is not empty");
        let bounded = bounded.iter().enumerate().map(|(bucket, count)| (bound_nanos(bucket), *count));
        self.buckets(labels, bounded, *above, totals.sum_nanos)
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<u64>, value: impl Display) {
        let family = self.family;
        self.put(format_args!("{family}{suffix}"));
        let mut before = '{';
        for (label, value) in labels {
            self.put(format_args!("{before}{label}=\""));
            escape(value, &mut self.text);
            self.text.push('"');
            before = ',';
        }
        match bound {
            Some(u64::MAX) => self.put(format_args!("{before}le=\"+Inf\"}}")),
            Some(nanos) => self.put(format_args!("{before}le=\"{}\"}}", nanos as f64 / 1e9)),
            None if !labels.is_empty() => self.text.push('}'),
            None => {}
        }
        self.put(format_args!(" {value}\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes whatever is written to it.
        let _ = self.text.write_fmt(text);
    }
}

/// Adds a label's value to a text, with what would end it escaped.
pub fn escape(value: &str, into: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;
    use std::time::Duration;

    static TURNS: Family =
        Family { name: "turns_total", kind: Kind::Counter, unit: "turns", labels: &["core"], help: "Turns." };
    static WAITED: Family = Family {
        name: "waited_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[],
        help: "Waits.",
    };

    #[test]
    fn samples_carry_their_labels_escaped() {
        let mut text = Exposition::new();
        text.family(&TURNS).sample(&[("core", "0")], 7).sample(&[("core", "a\"b\\c\nd")], 8);
        let expected = "# HELP turns_total Turns.\n# TYPE turns_total counter\n\
            turns_total{core=\"0\"} 7\nturns_total{core=\"a\\\"b\\\\c\\nd\"} 8\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let histogram = Histogram::default();
        for micros in [1, 1, 3, 100_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut totals = Totals::default();
        histogram.add_to(&mut totals);
        let mut text = Exposition::new();
        text.family(&WAITED).histogram(&[], &totals);
        let text = text.finish();
        for line in [
            "waited_seconds_bucket{le=\"0.0000005\"} 0",
            "waited_seconds_bucket{le=\"0.000001\"} 2",
            "waited_seconds_bucket{le=\"0.000003\"} 3",
            "waited_seconds_bucket{le=\"67.108864\"} 3",
            "waited_seconds_bucket{le=\"+Inf\"} 4",
            "waited_seconds_sum 100.000005",
            "waited_seconds_count 4",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
        }
    }
}
