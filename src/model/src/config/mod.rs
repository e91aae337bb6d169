//! The configuration catalogue: every key that Kafka 4.3.1 lists for topics, brokers, groups and
//! client metrics, and Flumen's own; how values are parsed, resolved through their layers, and
//! described to tools.
//!
//! - [`key`]: what is known of one key; the tables are [`TOPIC`], [`GROUP`], [`CLIENT_METRICS`]
//!   and [`broker_keys`], a file a theme.
//! - [`value`]: parsing and errors. [`layers`]: topic over dynamic broker over dynamic default
//!   over file over default.
//! - [`read_properties`]: the configuration file. [`set_broker`]: a single key of it.
//! - [`TopicConfig`] and [`BrokerConfig`]: the resolved values, typed, for those who act on them.
//! - [`group_value()`]: what holds for a single group.
//! - [`describe`]: the listings of DescribeConfigs. [`render_markdown`]: `docs/configuration.md`.

mod address_limits;
mod broker_config;
mod broker_group;
mod broker_log;
mod broker_metadata;
mod broker_network;
mod broker_node;
mod broker_remote;
mod broker_replication;
mod broker_sasl;
mod broker_security;
mod broker_share;
mod broker_transaction;
mod client_metrics;
pub mod describe;
mod flumen;
mod group;
pub mod group_value;
pub mod key;
pub mod layers;
mod listener;
mod listening;
mod markdown;
mod properties;
mod topic;
mod topic_config;
mod typed;
pub mod value;

#[cfg(test)]
mod tests;

pub use broker_config::{BrokerConfig, DEFAULT_NODE_ID, Durability, Idle, Protocols};
pub use client_metrics::CLIENT_METRICS;
pub use describe::{Described, Synonym};
pub use group::GROUP;
pub use group_value::{GROUP_KEYS, group_override, group_value};
pub use key::{Effect, Importance, Key, Kind, Listing, Update, Valid};
pub use layers::{Layers, Settings, Source};
pub use listener::Listener;
pub use listening::Protection;
pub use markdown::render_markdown;
pub use properties::{Misread, PropertiesError, read_properties, set_broker};
pub use topic::TOPIC;
pub use topic_config::{CleanupPolicy, Compression, TimestampType, TopicConfig};
pub use value::{ConfigError, Value};

use std::sync::LazyLock;

/// What a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A topic.
    Topic,
    /// A broker, or all of them.
    Broker,
    /// A group of any protocol.
    Group,
    /// A client metrics subscription.
    ClientMetrics,
}

/// The broker tables, each with the title of its section in the documentation.
static BROKER_TABLES: [(&str, &[Key]); 12] = [
    ("Flumen's own", flumen::KEYS),
    ("Node, topics, metrics", broker_node::KEYS),
    ("Listeners, connections, requests", broker_network::KEYS),
    ("Log", broker_log::KEYS),
    ("Replication", broker_replication::KEYS),
    ("Groups and committed offsets", broker_group::KEYS),
    ("Share groups", broker_share::KEYS),
    ("Producers and transactions", broker_transaction::KEYS),
    ("Controller and metadata log", broker_metadata::KEYS),
    ("Remote storage", broker_remote::KEYS),
    ("Authorization, tokens, TLS", broker_security::KEYS),
    ("SASL", broker_sasl::KEYS),
];

static BROKER: LazyLock<Vec<&'static Key>> = LazyLock::new(|| {
    let mut keys: Vec<&'static Key> = BROKER_TABLES.iter().flat_map(|(_, keys)| keys.iter()).collect();
    keys.sort_unstable_by_key(|key| key.name);
    keys
});

/// Every broker key, Flumen's own among them, by name.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER.iter().copied()
}

/// The topic key of that exact name.
pub fn lookup_topic(name: &str) -> Option<&'static Key> {
    find(TOPIC, name)
}

/// The broker key of that exact name. See [`lookup_listener`] for names with a listener in them.
pub fn lookup_broker(name: &str) -> Option<&'static Key> {
    BROKER.binary_search_by_key(&name, |key| key.name).ok().map(|at| BROKER[at])
}

/// The group key of that exact name.
pub fn lookup_group(name: &str) -> Option<&'static Key> {
    find(GROUP, name)
}

/// The client metrics key of that exact name.
pub fn lookup_client_metrics(name: &str) -> Option<&'static Key> {
    find(CLIENT_METRICS, name)
}

/// The key of that exact name in a scope.
pub fn lookup(scope: Scope, name: &str) -> Option<&'static Key> {
    match scope {
        Scope::Topic => lookup_topic(name),
        Scope::Broker => lookup_broker(name),
        Scope::Group => lookup_group(name),
        Scope::ClientMetrics => lookup_client_metrics(name),
    }
}

/// Takes a name `listener.name.<listener>.<key>` or `listener.name.<listener>.<mechanism>.<key>`
/// apart: the listener in lower case, as such names write it, and the broker key that it
/// overrides for that listener alone. Security keys and connection limits can be overridden so.
pub fn lookup_listener(name: &str) -> Option<(&str, &'static Key)> {
    let (listener, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if listener.is_empty() {
        return None;
    }
    let direct = || lookup_broker(rest).filter(|key| overridable(key.name));
    let of_mechanism = || {
        let (mechanism, key) = rest.split_once('.')?;
        let known = ["sasl.jaas.config", "connections.max.reauth.ms"].contains(&key)
            || key.starts_with("sasl.") && (key.ends_with(".class") || key.starts_with("sasl.login."));
        if mechanism.is_empty() || !known { None } else { lookup_broker(key) }
    };
    direct().or_else(of_mechanism).map(|key| (listener, key))
}

fn overridable(key: &str) -> bool {
    const OTHERS: [&str; 6] = [
        "connections.max.reauth.ms",
        "max.connection.creation.rate",
        "max.connections",
        "num.network.threads",
        "principal.builder.class",
        "socket.listen.backlog.size",
    ];
    key.starts_with("ssl.") || key.starts_with("sasl.") || OTHERS.contains(&key)
}

fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table.binary_search_by_key(&name, |key| key.name).ok().map(|at| &table[at])
}

/// The known name of a scope that a mistyped one most likely meant: the fewest letters to
/// insert, delete, change or swap. `None` if no name is near.
pub fn nearest(name: &str, scope: Scope) -> Option<&'static str> {
    // No key is that long, and the search costs its square.
    if name.len() > 128 {
        return None;
    }
    let keys: Box<dyn Iterator<Item = &'static Key>> = match scope {
        Scope::Topic => Box::new(TOPIC.iter()),
        Scope::Broker => Box::new(broker_keys()),
        Scope::Group => Box::new(GROUP.iter()),
        Scope::ClientMetrics => Box::new(CLIENT_METRICS.iter()),
    };
    let given = name.to_ascii_lowercase();
    let most = |known: &str| (known.len().max(given.len()) / 3).max(1);
    // Names of very different length cannot be near; leaving them out keeps this short.
    keys.map(|key| key.name)
        .filter(|known| known.len().abs_diff(given.len()) <= most(known))
        .map(|known| (distance(&given, known), known))
        .filter(|(distance, known)| *distance <= most(known))
        .min()
        .map(|(_, known)| known)
}

/// Refuses a name that the scope does not know, with the nearest one that it does.
pub fn require(scope: Scope, name: &str) -> Result<&'static Key, ConfigError> {
    let listener = || match scope {
        Scope::Broker => lookup_listener(name).map(|(_, key)| key),
        _ => None,
    };
    lookup(scope, name)
        .or_else(listener)
        .ok_or_else(|| ConfigError::UnknownKey { key: name.to_owned(), nearest: nearest(name, scope) })
}

/// Edit distance with swaps of neighbours (optimal string alignment), on bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
