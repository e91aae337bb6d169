//! The metrics of a push: `MetricsData` of the OpenTelemetry protocol, version 1, as protobuf.
//!
//! What Flumen shows is read, sums and gauges with their names, attributes and values; all else is skipped.

use crate::proto::{Field, Fields};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Points that are read of one push; those after them are dropped.
pub const POINTS_MAX: usize = 2_000;
/// Fields of one push, of all messages together, each time that they are looked at. It is some milliseconds of work.
pub const FIELDS_MAX: usize = 200_000;
/// Attributes of a resource, and of a point; those after them are left out.
pub const ATTRIBUTES_MAX: usize = 16;

/// A point that its flags call empty.
const NO_VALUE: u64 = 1;
/// The sum is one since the push before.
const DELTA: u64 = 1;

/// Why a push cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpError {
    /// It is no such protobuf.
    Malformed,
    /// It has more than [`FIELDS_MAX`] fields.
    TooMuch,
}

impl fmt::Display for OtlpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtlpError::Malformed => out.write_str("the metrics are no OTLP MetricsData"),
            OtlpError::TooMuch => write!(out, "the metrics have more than {FIELDS_MAX} fields"),
        }
    }
}

impl std::error::Error for OtlpError {}

/// An attribute: its key and its value as text.
pub type Attribute<'a> = (&'a str, Cow<'a, str>);

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It goes up and down.
    Gauge,
    /// It only grows, and is the sum since the client began.
    Sum,
    /// It only grows, and is what came since the push before.
    Delta,
}

/// One number of a push.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a, 's> {
    /// The metric's name, such as `org.apache.kafka.producer.record.send.total`.
    pub name: &'a str,
    /// What it means.
    pub kind: SampleKind,
    /// What holds for all metrics of the resource.
    pub resource: &'s [Attribute<'a>],
    /// What tells this number from others of the metric.
    pub attributes: &'s [Attribute<'a>],
    /// The number.
    pub value: f64,
}

/// Takes in the numbers of a push.
pub type Show<'a, 'f> = &'f mut dyn FnMut(&Sample<'a, '_>);

/// Shows every number of a push, in its order. Says how many metrics and points were not shown: histograms and
/// summaries, points without a number, and those behind [`POINTS_MAX`].
///
/// # Errors
/// If the bytes are no `MetricsData`, or more than is read. Some numbers may have been shown then.
pub fn decode<'a>(bytes: &'a [u8], show: Show<'a, '_>) -> Result<u64, OtlpError> {
    let walk =
        Walk { fields_left: Cell::new(FIELDS_MAX), points_left: Cell::new(POINTS_MAX), dropped: Cell::new(0) };
    for field in walk.fields(bytes) {
        if let (1, Field::Bytes(message)) = field? {
            walk.resource_metrics(message, show)?;
        }
    }
    Ok(walk.dropped.get())
}

/// What a metric says of all its points.
struct Metric<'a, 's> {
    name: &'a str,
    kind: SampleKind,
    resource: &'s [Attribute<'a>],
}

/// How far a push has been read. Fields come in any order, so what is needed first is looked for first.
struct Walk {
    fields_left: Cell<usize>,
    points_left: Cell<usize>,
    dropped: Cell<u64>,
}

impl Walk {
    fn fields<'a>(&self, message: &'a [u8]) -> Fields<'a, '_> {
        Fields::new(message, &self.fields_left)
    }

    fn drop_one(&self) {
        self.dropped.set(self.dropped.get() + 1);
    }

    fn resource_metrics<'a>(&self, message: &'a [u8], show: Show<'a, '_>) -> Result<(), OtlpError> {
        let mut resource = Vec::new();
        for field in self.fields(message) {
            if let (1, Field::Bytes(message)) = field? {
                for field in self.fields(message) {
                    if let (1, Field::Bytes(attribute)) = field? {
                        self.attribute(attribute, &mut resource)?;
                    }
                }
            }
        }
        for field in self.fields(message) {
            if let (2, Field::Bytes(scope)) = field? {
                for field in self.fields(scope) {
                    if let (2, Field::Bytes(metric)) = field? {
                        self.metric(metric, &resource, show)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn metric<'a>(
        &self,
        message: &'a [u8],
        resource: &[Attribute<'a>],
        show: Show<'a, '_>,
    ) -> Result<(), OtlpError> {
        let (mut name, mut data) = ("", None);
        for field in self.fields(message) {
            match field? {
                (1, Field::Bytes(bytes)) => name = text(bytes)?,
                // Of several, which there must not be, the last counts: so it is with protobuf's `oneof`.
                (number @ (5 | 7 | 9 | 10 | 11), Field::Bytes(bytes)) => data = Some((number, bytes)),
                _ => {}
            }
        }
        match data {
            Some((5, gauge)) => self.points(gauge, &Metric { name, kind: SampleKind::Gauge, resource }, show),
            Some((7, sum)) => {
                let kind = self.kind_of_sum(sum)?;
                self.points(sum, &Metric { name, kind, resource }, show)
            }
            _ => {
                self.drop_one();
                Ok(())
            }
        }
    }

    /// A sum that goes down, too, is a gauge.
    fn kind_of_sum(&self, message: &[u8]) -> Result<SampleKind, OtlpError> {
        let (mut temporality, mut is_monotonic) = (0, false);
        for field in self.fields(message) {
            match field? {
                (2, Field::Varint(number)) => temporality = number,
                (3, Field::Varint(number)) => is_monotonic = number != 0,
                _ => {}
            }
        }
        Ok(match (is_monotonic, temporality) {
            (true, DELTA) => SampleKind::Delta,
            (true, _) => SampleKind::Sum,
            (false, _) => SampleKind::Gauge,
        })
    }

    fn points<'a>(
        &self,
        message: &'a [u8],
        metric: &Metric<'a, '_>,
        show: Show<'a, '_>,
    ) -> Result<(), OtlpError> {
        for field in self.fields(message) {
            if let (1, Field::Bytes(point)) = field? {
                match self.points_left.get().checked_sub(1) {
                    Some(left) => {
                        self.points_left.set(left);
                        self.point(point, metric, show)?;
                    }
                    None => self.drop_one(),
                }
            }
        }
        Ok(())
    }

    fn point<'a>(
        &self,
        message: &'a [u8],
        metric: &Metric<'a, '_>,
        show: Show<'a, '_>,
    ) -> Result<(), OtlpError> {
        let (mut attributes, mut value, mut flags) = (Vec::new(), None, 0);
        for field in self.fields(message) {
            match field? {
                (4, Field::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
                (6, Field::Fixed64(bits)) => value = Some(bits as i64 as f64),
                (7, Field::Bytes(attribute)) => self.attribute(attribute, &mut attributes)?,
                (8, Field::Varint(bits)) => flags = bits,
                _ => {}
            }
        }
        match value.filter(|_| flags & NO_VALUE == 0) {
            Some(value) => show(&Sample {
                name: metric.name,
                kind: metric.kind,
                resource: metric.resource,
                attributes: &attributes,
                value,
            }),
            None => self.drop_one(),
        }
        Ok(())
    }

    fn attribute<'a>(&self, message: &'a [u8], into: &mut Vec<Attribute<'a>>) -> Result<(), OtlpError> {
        let (mut key, mut value) = ("", None);
        for field in self.fields(message) {
            match field? {
                (1, Field::Bytes(bytes)) => key = text(bytes)?,
                (2, Field::Bytes(bytes)) => value = self.value(bytes)?,
                _ => {}
            }
        }
        if let Some(value) = value
            && into.len() < ATTRIBUTES_MAX
        {
            into.push((key, value));
        }
        Ok(())
    }

    /// A value as text; `None` for lists, maps and bytes.
    fn value<'a>(&self, message: &'a [u8]) -> Result<Option<Cow<'a, str>>, OtlpError> {
        let mut value = None;
        for field in self.fields(message) {
            value = match field? {
                (1, Field::Bytes(bytes)) => Some(Cow::Borrowed(text(bytes)?)),
                (2, Field::Varint(number)) => Some(Cow::Owned((number != 0).to_string())),
                (3, Field::Varint(number)) => Some(Cow::Owned((number as i64).to_string())),
                (4, Field::Fixed64(bits)) => Some(Cow::Owned(f64::from_bits(bits).to_string())),
                _ => None,
            };
        }
        Ok(value)
    }
}

fn text(bytes: &[u8]) -> Result<&str, OtlpError> {
    std::str::from_utf8(bytes).map_err(|_| OtlpError::Malformed)
}

#[cfg(test)]
mod tests;
