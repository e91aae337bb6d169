//! The listings of DescribeConfigs: for each key its effective value, where that comes from, and
//! what else is set for it.
//!
//! Order, sources and synonyms are those of Kafka 4.3.1, one oddity of which tools may show: a
//! topic's `retention.ms` that comes from `log.retention.hours` is called a default without
//! synonyms, because the list of them begins at `log.retention.ms`.

use super::key::{Effect, Key, Kind, Listing};
use super::layers::{Layers, Settings, Source};
use super::value::ConfigError;
use super::{CLIENT_METRICS, GROUP, TOPIC, Value, broker_keys, lookup_broker, lookup_listener};
use std::borrow::Cow;

/// A value that is set, or a default, for a key or for one of its synonyms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name that it is set under.
    pub name: Cow<'static, str>,
    /// The value as text; `None` for a secret.
    pub value: Option<String>,
    /// The layer.
    pub source: Source,
}

/// One key in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The key's name, with its listener where it is set for one.
    pub name: Cow<'static, str>,
    /// The effective value as text; `None` for a secret, and where there is none.
    pub value: Option<String>,
    /// The layer that the value comes from.
    pub source: Source,
    /// Whether a change needs a restart.
    pub read_only: bool,
    /// Whether the value is a secret.
    pub sensitive: bool,
    /// All that is set for the key, the strongest first, with the default at the end.
    pub synonyms: Vec<Synonym>,
    /// The type of the value.
    pub kind: Kind,
    /// Whether Flumen acts on the key.
    pub effect: Effect,
    /// Unit and effect of the key.
    pub doc: &'static str,
}

/// The configuration of a topic, by name.
pub fn topic(topic: &Settings, broker: &Layers<'_>) -> Vec<Described> {
    let listed = TOPIC.iter().filter(|key| key.listing == Listing::Always || topic.contains_key(key.name));
    listed.map(|key| overridden(key, topic, Source::DynamicTopic, broker)).collect()
}

/// The configuration of a group, by name.
pub fn group(group: &Settings, broker: &Layers<'_>) -> Vec<Described> {
    let described = |key: &'static Key| {
        let mut described = overridden(key, group, Source::Group, broker);
        if key.synonyms.is_empty() && described.synonyms.is_empty() {
            described.synonyms.extend(default_synonym(key));
        }
        described
    };
    GROUP.iter().map(described).collect()
}

/// The configuration of a client metrics subscription, by name.
pub fn client_metrics(subscription: &Settings) -> Vec<Described> {
    let nothing = Layers::empty();
    CLIENT_METRICS.iter().map(|key| overridden(key, subscription, Source::ClientMetrics, &nothing)).collect()
}

/// The configuration of this broker, by name; after it, what is set for single listeners.
pub fn broker(layers: &Layers<'_>) -> Vec<Described> {
    let is_set = |key: &Key| layers.set(key.name).is_some();
    let listed = broker_keys().filter(|key| key.listing == Listing::Always || is_set(key));
    let mut all: Vec<Described> = listed
        .map(|key| {
            let synonyms = synonyms_of(key.name, layers);
            entry(key, key.name.into(), text_of(key, layers.broker_value(key)), synonyms)
        })
        .collect();
    all.extend(listener_names(layers).into_iter().filter_map(|name| {
        let (_, key) = lookup_listener(name)?;
        let value = layers.set(name).map(str::to_owned);
        Some(entry(key, name.to_owned().into(), value, listener_synonyms(name, key, layers)))
    }));
    all
}

/// What is set at run time for all brokers, by name: the listing for the empty broker name.
pub fn broker_defaults(layers: &Layers<'_>) -> Vec<Described> {
    let described = |(name, text): (&String, &String)| {
        let listener = lookup_listener(name).map(|(_, key)| key);
        let key = lookup_broker(name).or(listener)?;
        let name: Cow<'static, str> = name.clone().into();
        let value = (!key.sensitive()).then(|| text.clone());
        let synonym = Synonym { name: name.clone(), value, source: Source::DynamicDefaultBroker };
        Some(entry(key, name, Some(text.clone()), vec![synonym]))
    };
    layers.default.iter().filter_map(described).collect()
}

/// A key of a topic, group or subscription, whose own value goes before the broker's.
fn overridden(key: &'static Key, own: &Settings, source: Source, broker: &Layers<'_>) -> Described {
    let mut synonyms = key.synonyms.first().map_or_else(Vec::new, |name| synonyms_of(name, broker));
    let value = match own.get(key.name) {
        Some(text) => {
            let value = key.parse(text).map_or_else(|_| text.clone(), |value| value.to_string());
            let shown = (!key.sensitive()).then(|| value.clone());
            synonyms.insert(0, Synonym { name: key.name.into(), value: shown, source });
            Some(value)
        }
        None => text_of(key, broker.inherited(key)),
    };
    entry(key, key.name.into(), value, synonyms)
}

fn entry(
    key: &'static Key,
    name: Cow<'static, str>,
    value: Option<String>,
    synonyms: Vec<Synonym>,
) -> Described {
    Described {
        name,
        value: value.filter(|_| !key.sensitive()),
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        read_only: key.read_only(),
        sensitive: key.sensitive(),
        synonyms,
        kind: key.kind,
        effect: key.effect,
        doc: key.doc,
    }
}

/// The text of an effective value. One that does not parse was refused when it was set; should
/// a newer version's settings be read, the key shows as unset and the listing goes on.
fn text_of(key: &Key, value: Result<Option<Value>, ConfigError>) -> Option<String> {
    value.unwrap_or_else(|_| key.default_value()).map(|value| value.to_string())
}

/// All that is set under the names of a broker key, and the defaults: layer by layer, in each
/// by name, from the first that carries the key's own name on.
fn synonyms_of(name: &'static str, layers: &Layers<'_>) -> Vec<Synonym> {
    let Some(key) = lookup_broker(name) else { return Vec::new() };
    let names: Vec<&'static str> = key.broker_names().collect();
    let mut found = Vec::new();
    for (source, settings) in layers.in_order() {
        for name in &names {
            if let Some(text) = in_layer(settings, name) {
                let value = (!key.sensitive()).then(|| text.clone());
                found.push(Synonym { name: (*name).into(), value, source });
            }
        }
    }
    found.extend(names.iter().filter_map(|name| default_synonym(lookup_broker(name)?)));
    found.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// The node's number counts as set under both of its names.
fn in_layer<'a>(settings: &'a Settings, name: &str) -> Option<&'a String> {
    let other = match name {
        "node.id" => "broker.id",
        "broker.id" => "node.id",
        _ => return settings.get(name),
    };
    settings.get(name).or_else(|| settings.get(other))
}

fn default_synonym(key: &'static Key) -> Option<Synonym> {
    key.default.map(|text| Synonym {
        name: key.name.into(),
        value: (!key.sensitive()).then(|| text.to_owned()),
        source: Source::Default,
    })
}

/// Names in any of the layers that set a key for one listener, each once, sorted.
fn listener_names<'a>(layers: &Layers<'a>) -> Vec<&'a str> {
    let names = layers.in_order().into_iter().flat_map(|(_, settings)| settings.keys());
    let mut names: Vec<&str> =
        names.map(String::as_str).filter(|name| name.starts_with("listener.name.")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What is set for the listener, then what the key falls back to.
fn listener_synonyms(name: &str, key: &'static Key, layers: &Layers<'_>) -> Vec<Synonym> {
    let own = layers.in_order().into_iter().filter_map(|(source, settings)| {
        let text = settings.get(name)?;
        let value = (!key.sensitive()).then(|| text.clone());
        Some(Synonym { name: name.to_owned().into(), value, source })
    });
    own.chain(synonyms_of(key.name, layers)).collect()
}
