//! What a client has pushed, with names and labels as Prometheus has them.
//!
//! - A name keeps its letters and digits, and gets `_` for all else: `org.apache.kafka.producer.connection.count` is
//!   `org_apache_kafka_producer_connection_count`. What only grows ends with `_total`.
//! - Labels are `client_instance_id`, `client_id`, then the attributes of the resource and of the point by name.
//!
//! What has no fitting name, or too long a one, is dropped and counted.

use crate::otlp::{Attribute, Sample, SampleKind};
use base::exposition::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The longest name of a metric, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The longest labels of a number, all together, in bytes.
const LABELS_BYTES_MAX: usize = 1_024;
/// The longest value of a label, in characters; what is longer is cut.
const VALUE_CHARS_MAX: usize = 256;
/// How the broker's own metrics begin, which clients must not pretend to.
const RESERVED: &str = "flumen_";

/// Whose numbers they are.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The client's instance id, as text.
    pub instance: &'a str,
    /// What it calls itself; empty if it does not.
    pub client_id: &'a str,
}

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Number {
    kind: SeriesKind,
    value: f64,
    /// It is the sum of what came, push by push.
    is_summed: bool,
}

/// One number of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// Its name.
    pub name: &'a str,
    /// How it behaves.
    pub kind: SeriesKind,
    /// Its labels, with their values in quotes and commas between.
    pub labels: &'a str,
    /// The number.
    pub value: f64,
}

/// The numbers of a client, by name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesSet {
    /// The labels that all have.
    owner: String,
    numbers: BTreeMap<(String, String), Number>,
    dropped: u64,
}

impl SeriesSet {
    /// No numbers yet.
    pub fn new(owner: &Owner<'_>) -> SeriesSet {
        let mut labels = String::new();
        label(&mut labels, "client_instance_id", owner.instance);
        label(&mut labels, "client_id", owner.client_id);
        SeriesSet { owner: labels, numbers: BTreeMap::new(), dropped: 0 }
    }

    /// Takes in a number of a push. Of two with the same name and labels the last counts, or their sum if they are
    /// sums since the push before.
    pub fn add(&mut self, sample: &Sample<'_, '_>) {
        let Some(name) = name_of(sample.name, sample.kind) else { return self.count_dropped(1) };
        let labels = labels_of(&self.owner, sample.resource, sample.attributes);
        if labels.len() > LABELS_BYTES_MAX {
            return self.count_dropped(1);
        }
        let (kind, is_summed) = match sample.kind {
            SampleKind::Gauge => (SeriesKind::Gauge, false),
            SampleKind::Sum => (SeriesKind::Counter, false),
            SampleKind::Delta => (SeriesKind::Counter, true),
        };
        let value = sample.value;
        let number = self.numbers.entry((name, labels)).or_insert(Number { kind, value: 0.0, is_summed });
        *number = Number { kind, value: if is_summed { number.value + value } else { value }, is_summed };
    }

    /// Adds up what is a sum since the push before, of which these are the numbers. Sums that are not in this push
    /// have not grown.
    pub fn follow(&mut self, before: &SeriesSet) {
        for (place, old) in before.numbers.iter().filter(|(_, old)| old.is_summed) {
            match self.numbers.get_mut(place) {
                Some(number) if number.is_summed => number.value += old.value,
                Some(_) => {}
                None => {
                    self.numbers.insert(place.clone(), *old);
                }
            }
        }
    }

    /// Keeps so many numbers at most, the first by name; the others are dropped.
    pub fn limit(&mut self, most: usize) {
        while self.numbers.len() > most {
            self.numbers.pop_last();
            self.dropped += 1;
        }
    }

    /// Counts numbers as dropped.
    pub fn count_dropped(&mut self, count: u64) {
        self.dropped += count;
    }

    /// How many were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The numbers, by name.
    pub fn iter(&self) -> impl Iterator<Item = Series<'_>> {
        self.numbers.iter().map(|((name, labels), number)| Series {
            name,
            kind: number.kind,
            labels,
            value: number.value,
        })
    }
}

/// Prometheus' name of a metric; `None` if there is none.
fn name_of(name: &str, kind: SampleKind) -> Option<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut translated = word(name);
    if kind != SampleKind::Gauge && !translated.ends_with("_total") {
        translated.push_str("_total");
    }
    (!translated.starts_with(RESERVED)).then_some(translated)
}

/// Letters, digits and `_`, not beginning with a digit.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 8);
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        word.push('_');
    }
    word.extend(text.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '_' }));
    word
}

fn labels_of(owner: &str, resource: &[Attribute<'_>], attributes: &[Attribute<'_>]) -> String {
    let mut by_name: BTreeMap<String, &str> = BTreeMap::new();
    for (key, value) in resource.iter().chain(attributes) {
        let name = word(key);
        // Two underscores are Prometheus' own; the owner is known already.
        let is_ours = matches!(name.as_str(), "client_instance_id" | "client_id");
        if !name.is_empty() && !name.starts_with("__") && !is_ours {
            by_name.insert(name, value);
        }
    }
    let mut labels = owner.to_owned();
    by_name.iter().for_each(|(name, value)| label(&mut labels, name, value));
    labels
}

fn label(labels: &mut String, name: &str, value: &str) {
    let comma = if labels.is_empty() { "" } else { "," };
    // A String takes whatever is written to it.
    let _ = write!(labels, "{comma}{name}=\"");
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => escape(&value[..end], labels),
        None => escape(value, labels),
    }
    labels.push('"');
}

/// A number as Prometheus reads it.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
    } else if size != 0.0 && !(1e-5..1e16).contains(&size) && !value.is_nan() {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { instance: "id", client_id: "a\"b" };

    /// A sample: name, kind, attributes, value.
    type Given<'a> = (&'a str, SampleKind, &'a [(&'a str, &'a str)], f64);

    fn set(samples: &[Given<'_>]) -> SeriesSet {
        let mut set = SeriesSet::new(&OWNER);
        for (name, kind, attributes, value) in samples {
            let attributes: Vec<Attribute<'_>> =
                attributes.iter().map(|(key, value)| (*key, (*value).into())).collect();
            let (one, rest) = attributes.split_at(attributes.len().min(1));
            set.add(&Sample { name, kind: *kind, resource: one, attributes: rest, value: *value });
        }
        set
    }

    fn lines(set: &SeriesSet) -> Vec<String> {
        let line = |one: Series<'_>| format!("{}{{{}}} {}", one.name, one.labels, number(one.value));
        set.iter().map(line).collect()
    }

    #[test]
    fn names_and_labels_are_prometheus() {
        let ours = "client_instance_id=\"id\",client_id=\"a\\\"b\"";
        let named = |name: &str, kind| set(&[(name, kind, &[], 1.0)]);
        for (name, kind, expected) in [
            (
                "org.apache.kafka.producer.record.send.total",
                SampleKind::Sum,
                "org_apache_kafka_producer_record_send_total",
            ),
            ("a.rate", SampleKind::Gauge, "a_rate"),
            ("a-b/c", SampleKind::Delta, "a_b_c_total"),
            ("9.lives", SampleKind::Gauge, "_9_lives"),
        ] {
            assert_eq!(lines(&named(name, kind)), [format!("{expected}{{{ours}}} 1")]);
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "flumen.requests", &long] {
            let set = named(name, SampleKind::Gauge);
            assert_eq!((set.len(), set.dropped()), (0, 1), "{name}");
        }
        let attributes: &[(&str, &str)] =
            &[("topic", "t\n"), ("node.id", "1"), ("client_id", "other"), ("__name", "x"), ("", "x")];
        let labelled = set(&[("a", SampleKind::Gauge, attributes, 0.5)]);
        assert_eq!(lines(&labelled), [format!("a{{{ours},node_id=\"1\",topic=\"t\\n\"}} 0.5")]);
    }

    #[test]
    fn labels_are_bounded() {
        let long = "é".repeat(2 * VALUE_CHARS_MAX);
        let one = set(&[("a", SampleKind::Gauge, &[("k", &long)], 0.0)]);
        let shown = lines(&one).concat();
        assert_eq!(shown.matches('é').count(), VALUE_CHARS_MAX);
        let many = set(&[("a", SampleKind::Gauge, &[("k", &long), ("l", &long)], 0.0)]);
        assert_eq!((many.len(), many.dropped()), (0, 1));
    }

    #[test]
    fn sums_since_the_push_before_are_added_up() {
        let push = |samples: &[Given<'_>], before: &SeriesSet| {
            let mut set = set(samples);
            set.follow(before);
            set
        };
        let first = push(
            &[
                ("d", SampleKind::Delta, &[], 2.0),
                ("s", SampleKind::Sum, &[], 7.0),
                ("g", SampleKind::Gauge, &[], 1.0),
            ],
            &SeriesSet::new(&OWNER),
        );
        let second = push(
            &[
                ("d", SampleKind::Delta, &[], 3.0),
                ("d", SampleKind::Delta, &[], 4.0),
                ("s", SampleKind::Sum, &[], 8.0),
            ],
            &first,
        );
        let values = |set: &SeriesSet| -> Vec<(String, f64)> {
            set.iter().map(|one| (one.name.to_owned(), one.value)).collect()
        };
        assert_eq!(values(&second), [("d_total".to_owned(), 9.0), ("s_total".to_owned(), 8.0)]);
        let third = push(&[], &second);
        assert_eq!(values(&third), [("d_total".to_owned(), 9.0)], "it has not grown");
    }

    #[test]
    fn too_many_are_cut_off() {
        let kind = SampleKind::Gauge;
        let mut set = set(&[("c", kind, &[], 1.0), ("a", kind, &[], 1.0), ("b", kind, &[], 1.0)]);
        set.limit(2);
        assert_eq!((set.len(), set.dropped()), (2, 1));
        assert_eq!(set.iter().map(|one| one.name).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn numbers_of_every_size() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e300, "1e300"),
            (1e-9, "1e-9"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
