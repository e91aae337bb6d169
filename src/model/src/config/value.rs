//! Values of keys: parsing from text by Kafka's rules, the rules of single keys, and errors.

use super::key::{Key, Kind, Valid};
use std::fmt;

/// A checked value. A class is a [`Value::String`].
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::String`] and [`Kind::Class`].
    String(String),
    /// Of [`Kind::Int`].
    Int(i32),
    /// Of [`Kind::Short`].
    Short(i16),
    /// Of [`Kind::Long`].
    Long(i64),
    /// Of [`Kind::Double`].
    Double(f64),
    /// Of [`Kind::List`].
    List(Vec<String>),
    /// Of [`Kind::Password`].
    Password(String),
}

impl fmt::Debug for Value {
    /// A password prints as `Password(hidden)`, so that no log can hold it by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Password(_) => f.write_str("Password(hidden)"),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Value {
    /// The text that a response shows: a list with commas, a password as `hidden`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(v) => write!(f, "{v}"),
            Value::String(v) => f.write_str(v),
            Value::Int(v) => write!(f, "{v}"),
            Value::Short(v) => write!(f, "{v}"),
            Value::Long(v) => write!(f, "{v}"),
            Value::Double(v) => f.write_str(&java_double(*v)),
            Value::List(v) => f.write_str(&v.join(",")),
            Value::Password(_) => f.write_str("hidden"),
        }
    }
}

/// A number in the form that Java gives it, so that tools show what they show of Kafka.
fn java_double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

impl Value {
    /// The number as 64 bits, of any of the whole-number kinds.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::Int(v) => Some(v.into()),
            Value::Short(v) => Some(v.into()),
            Value::Long(v) => Some(v),
            _ => None,
        }
    }
}

/// Why a configuration is refused. The text of each says what is wrong and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such key.
    UnknownKey {
        /// The name that was given.
        key: String,
        /// The known name that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The value is not of the key's type, or not among what it allows.
    InvalidValue {
        /// The key's name.
        key: String,
        /// The value that was given; `[hidden]` for a secret.
        value: String,
        /// What would be allowed.
        allowed: String,
    },
    /// Two values that are good by themselves do not go together.
    Conflict {
        /// The key at fault.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be, with the other key and its value.
        rule: String,
    },
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::UnknownKey { key, nearest: Some(known) } => {
                write!(f, "unknown configuration key {}, did you mean {known}?", Shown(key))
            }
            ConfigError::UnknownKey { key, nearest: None } => {
                write!(f, "unknown configuration key {}", Shown(key))
            }
            ConfigError::InvalidValue { key, value, allowed } => {
                write!(f, "invalid value {} for {}: must be {allowed}", Shown(value), Shown(key))
            }
            ConfigError::Conflict { key, value, rule } => {
                write!(f, "invalid value {} for {key}: must be {rule}", Shown(value))
            }
        }
    }
}

/// Somebody else's text inside a message: quoted, without control characters, and cut at a
/// length that a log line and a response bear.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 128;
        let mut chars = self.0.chars();
        let head: String = chars.by_ref().take(LONGEST).collect();
        let rest = if chars.next().is_some() { "..." } else { "" };
        write!(f, "'{}{rest}'", head.escape_debug())
    }
}

impl Key {
    /// Parses and checks a value as Kafka does: blanks around it do not count, booleans come in
    /// any case, lists are split at commas and lose repetitions.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let text = text.trim();
        let value = self.parse_kind(text).ok_or_else(|| self.invalid(text))?;
        if self.allows(&value) { Ok(value) } else { Err(self.invalid(text)) }
    }

    /// The default, parsed. `None` where there is none.
    pub fn default_value(&self) -> Option<Value> {
        // A test parses every default, so none of them is lost here.
        self.default.and_then(|text| self.parse(text).ok())
    }

    /// What this key allows, as an error and the documentation say it.
    pub fn allowed(&self) -> String {
        let kind = match self.kind {
            Kind::Boolean => return "true or false".to_owned(),
            Kind::Int => "a whole number of 32 bits",
            Kind::Short => "a whole number of 16 bits",
            Kind::Long => "a whole number of 64 bits",
            Kind::Double => "a number",
            Kind::List => "a list with commas, without empty entries",
            Kind::String | Kind::Class | Kind::Password => "text",
        };
        match self.valid {
            Valid::Any => kind.to_owned(),
            Valid::Range { min: Some(min), max: Some(max) } => format!("{kind} from {min} to {max}"),
            Valid::Range { min: Some(min), max: None } => format!("{kind}, {min} or more"),
            Valid::Range { min: None, max: Some(max) } => format!("{kind}, {max} or less"),
            Valid::Range { min: None, max: None } => kind.to_owned(),
            Valid::RangeOr { min, max, or } => format!("{kind} from {min} to {max}, or {or}"),
            Valid::Fraction { min, max } => format!("{kind} from {min} to {max}"),
            Valid::OneOf(texts) => format!("one of {}", texts.join(", ")),
            Valid::OneOfAnyCase(texts) => format!("one of {} in any case", texts.join(", ")),
            Valid::ListOf { entries: [], empty: true } => kind.to_owned(),
            Valid::ListOf { entries: [], empty: false } => format!("{kind}, with at least one entry"),
            Valid::ListOf { entries, empty: true } => format!("any of {}, or empty", entries.join(", ")),
            Valid::ListOf { entries, empty: false } => format!("one or more of {}", entries.join(", ")),
            Valid::NonEmpty => "text that is not empty".to_owned(),
            Valid::ThrottledReplicas => "*, or partition:broker pairs with commas, or empty".to_owned(),
            Valid::OffsetReset => {
                "earliest, latest, or by_duration: and an ISO 8601 duration such as PT1H".to_owned()
            }
            Valid::Voters => "id@host:port entries with commas, or empty".to_owned(),
        }
    }

    fn invalid(&self, text: &str) -> ConfigError {
        let value = if self.sensitive() { "[hidden]" } else { text };
        ConfigError::InvalidValue {
            key: self.name.to_owned(),
            value: value.to_owned(),
            allowed: self.allowed(),
        }
    }

    fn parse_kind(&self, text: &str) -> Option<Value> {
        Some(match self.kind {
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Kind::Boolean => return None,
            Kind::String | Kind::Class => Value::String(text.to_owned()),
            Kind::Password => Value::Password(text.to_owned()),
            Kind::Int => Value::Int(text.parse().ok()?),
            Kind::Short => Value::Short(text.parse().ok()?),
            Kind::Long => Value::Long(text.parse().ok()?),
            // Kafka takes not-a-number and infinities; no key has a use for them.
            Kind::Double => Value::Double(text.parse().ok().filter(|v: &f64| v.is_finite())?),
            Kind::List => Value::List(split_list(text)?),
        })
    }

    /// Whether a value of the right kind satisfies this key's rule.
    pub(super) fn allows(&self, value: &Value) -> bool {
        match (self.valid, value) {
            (Valid::Range { min, max }, value) => value
                .as_i64()
                .is_some_and(|v| min.is_none_or(|min| v >= min) && max.is_none_or(|max| v <= max)),
            (Valid::RangeOr { min, max, or }, value) => {
                value.as_i64().is_some_and(|v| (min..=max).contains(&v) || v == or)
            }
            (Valid::Fraction { min, max }, Value::Double(v)) => (min..=max).contains(v),
            (Valid::OneOf(texts), Value::String(v)) => texts.contains(&v.as_str()),
            (Valid::OneOfAnyCase(texts), Value::String(v)) => {
                texts.iter().any(|text| text.eq_ignore_ascii_case(v))
            }
            (Valid::ListOf { entries, empty }, Value::List(v)) => {
                (empty || !v.is_empty())
                    && (entries.is_empty() || v.iter().all(|entry| entries.contains(&entry.as_str())))
            }
            (Valid::NonEmpty, Value::String(v)) => !v.is_empty(),
            (Valid::ThrottledReplicas, Value::List(v)) => throttled_replicas(v),
            (Valid::OffsetReset, Value::String(v)) => offset_reset(v),
            (Valid::Voters, Value::List(v)) => v.iter().all(|voter| voter_entry(voter)),
            (Valid::Any, _) => true,
            // A rule for another kind of value: the table is wrong, and a test says so.
            _ => false,
        }
    }
}

/// Splits at commas. `None` where an entry is empty; a repeated entry counts once, as in Kafka.
fn split_list(text: &str) -> Option<Vec<String>> {
    let mut entries = Vec::new();
    if text.is_empty() {
        return Some(entries);
    }
    let mut seen = std::collections::HashSet::new();
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() {
            return None;
        }
        if seen.insert(entry) {
            entries.push(entry.to_owned());
        }
    }
    Some(entries)
}

fn throttled_replicas(entries: &[String]) -> bool {
    let number = |text: &str| !text.is_empty() && text.parse::<u32>().is_ok();
    entries == ["*"]
        || entries.iter().all(|entry| {
            entry.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
        })
}

fn voter_entry(entry: &str) -> bool {
    let Some((id, address)) = entry.split_once('@') else { return false };
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    id.parse::<u32>().is_ok_and(|id| i32::try_from(id).is_ok())
        && !host.is_empty()
        && port.parse::<u16>().is_ok()
}

fn offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => iso_duration(duration),
        None => text == "earliest" || text == "latest",
    }
}

/// Whether the text is `PnDTnHnMn.nS` with at least one part, each at most once and in order.
fn iso_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return false,
        None => (rest, ""),
    };
    let parts = |text: &str, units: &str| -> Option<usize> {
        let (mut found, mut from, mut number) = (0, 0, 0);
        for (at, c) in text.char_indices() {
            if c.is_ascii_digit() || c == '.' {
                continue;
            }
            from += units[from..].find(c)? + 1;
            let digits = &text[number..at];
            let whole = digits.parse::<u32>().is_ok();
            if !(whole
                || c == 'S'
                    && digits.starts_with(|c: char| c.is_ascii_digit())
                    && digits.parse::<f64>().is_ok())
            {
                return None;
            }
            (found, number) = (found + 1, at + c.len_utf8());
        }
        (number == text.len()).then_some(found)
    };
    matches!((parts(date, "D"), parts(time, "HMS")), (Some(days), Some(rest)) if days + rest > 0)
}
