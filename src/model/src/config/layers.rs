//! Where values come from: the layers of a broker's configuration, and how a name is looked up
//! through them.

use super::key::{Effect, Key, Kind};
use super::listening::is_listener_limit;
use super::value::{ConfigError, Value};
use super::{BrokerConfig, Scope, lookup_broker, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Names and values of one layer, as they were set.
pub type Settings = BTreeMap<String, String>;

/// Which layer a value was found in, with the codes of a DescribeConfigs response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Source {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set at run time for this one broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// Set in the file or on the command line.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The level of a logger.
    DynamicBrokerLogger = 6,
    /// Set on the client metrics subscription.
    ClientMetrics = 7,
    /// Set on the group.
    Group = 8,
}

impl Source {
    /// The code of this source in a DescribeConfigs response.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// What is set of the broker's configuration, beneath which are the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers<'a> {
    /// Set at run time for this one broker; the strongest.
    pub broker: &'a Settings,
    /// Set at run time for all brokers.
    pub default: &'a Settings,
    /// Set in the file or on the command line.
    pub fixed: &'a Settings,
}

static NOTHING: Settings = Settings::new();

impl Layers<'static> {
    /// Layers in which nothing is set.
    pub fn empty() -> Layers<'static> {
        Layers { broker: &NOTHING, default: &NOTHING, fixed: &NOTHING }
    }
}

impl<'a> Layers<'a> {
    /// Layers of a broker at whose run time nothing was changed.
    pub fn fixed(settings: &'a Settings) -> Layers<'a> {
        Layers { broker: &NOTHING, default: &NOTHING, fixed: settings }
    }

    /// The layers, the strongest first.
    pub(super) fn in_order(&self) -> [(Source, &'a Settings); 3] {
        [
            (Source::DynamicBroker, self.broker),
            (Source::DynamicDefaultBroker, self.default),
            (Source::StaticBroker, self.fixed),
        ]
    }

    /// The first of the names that is set, in the strongest layer that has any.
    fn find(&self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        self.in_order().iter().find_map(|(_, settings)| {
            names.iter().find_map(|name| settings.get(*name).map(|value| (*name, value.as_str())))
        })
    }

    /// The text set for exactly this name in the strongest layer that has it.
    pub fn set(&self, name: &str) -> Option<&'a str> {
        self.in_order().iter().find_map(|(_, settings)| settings.get(name).map(String::as_str))
    }

    /// The names that are set in any layer and change nothing: those of keys that are only stored, and those for single
    /// listeners but the limits of the one of clients. Each once, by name.
    pub fn without_effect(&self) -> Vec<&'a str> {
        let prefix = BrokerConfig::resolve(self).ok().and_then(|config| config.listener_prefix());
        let names = self.in_order().into_iter().flat_map(|(_, settings)| settings.keys());
        let stored = |name: &&str| match lookup_broker(name) {
            Some(key) => key.effect == Effect::Stored,
            None => !is_listener_limit(name, prefix.as_deref()),
        };
        let names: BTreeSet<&str> = names.map(String::as_str).filter(stored).collect();
        names.into_iter().collect()
    }

    /// The effective value of a broker key by its own name: the strongest layer's, else the
    /// default. `None` if it is nowhere set and has no default. The node's number is found
    /// under both of its names.
    pub fn broker_value(&self, key: &'static Key) -> Result<Option<Value>, ConfigError> {
        let other = match key.name {
            "node.id" => self.set("broker.id").filter(|text| text.trim() != "-1"),
            "broker.id" => self.set("node.id"),
            _ => None,
        };
        match self.set(key.name).or(other) {
            Some(text) => key.parse(text).map(Some),
            None => Ok(key.default_value()),
        }
    }

    /// The value that `key`, of a topic or a group, takes from the broker: that of the first of
    /// its synonyms which is set, else its own default.
    pub(super) fn inherited(&self, key: &'static Key) -> Result<Option<Value>, ConfigError> {
        match self.find(key.synonyms) {
            Some((name, text)) => synonym_value(key, name, text).map(Some),
            None => Ok(key.default_value()),
        }
    }
}

/// Reads the value set under `name`, by the rules of that name, and brings it to the unit and
/// the type of `key`, whose rules it must satisfy too.
fn synonym_value(key: &'static Key, name: &'static str, text: &str) -> Result<Value, ConfigError> {
    let broker = lookup_broker(name).ok_or_else(|| ConfigError::UnknownKey {
        key: name.to_owned(),
        nearest: nearest(name, Scope::Broker),
    })?;
    let value = match (broker.parse(text)?, key.kind) {
        (value, Kind::Long) => {
            let number = value.as_i64().unwrap_or_default().saturating_mul(unit_ms(name));
            // Every negative retention means without limit; the topic's key writes it -1.
            Value::Long(if key.name == "retention.ms" { number.max(-1) } else { number })
        }
        (value, _) => value,
    };
    if key.allows(&value) {
        return Ok(value);
    }
    Err(ConfigError::InvalidValue { key: name.to_owned(), value: text.to_owned(), allowed: key.allowed() })
}

/// Milliseconds, or whatever the topic's key counts, in the unit of a broker's key.
fn unit_ms(name: &str) -> i64 {
    if name.ends_with(".hours") {
        3_600_000
    } else if name.ends_with(".minutes") {
        60_000
    } else {
        1
    }
}
