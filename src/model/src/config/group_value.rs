//! What holds for a single group: what is set for it, within the bounds that the broker sets, else what the broker
//! has for all groups.

use super::key::Key;
use super::layers::{Layers, Settings};
use super::value::{ConfigError, Value};
use super::{lookup_broker, lookup_group};

/// A bound that a broker sets for a number of groups: the name of its key, and its value.
pub type Bound = (&'static str, i64);

/// The smallest and the largest value that a group may set for a key: of the broker's keys
/// `group.<protocol>.min.<rest>` and `group.<protocol>.max.<rest>` those that there are.
///
/// # Errors
/// If the layers hold a value that does not parse.
pub fn group_bounds(key: &Key, broker: &Layers<'_>) -> Result<(Option<Bound>, Option<Bound>), ConfigError> {
    let Some((protocol, rest)) = key.name.split_once('.') else { return Ok((None, None)) };
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let bound = |which: &str| -> Result<Option<Bound>, ConfigError> {
        let Some(bound) = lookup_broker(&format!("group.{protocol}.{which}.{rest}")) else { return Ok(None) };
        let value = broker.broker_value(bound)?;
        Ok(value.and_then(|value| value.as_i64()).map(|value| (bound.name, value)))
    };
    Ok((bound("min")?, bound("max")?))
}

/// The value of a group's key that is set for the group itself, of which `group` has all that is set. A number that
/// is out of the broker's bounds, which may have changed since it was set, counts as the nearest one within them.
/// `None` if nothing is set under that name, or nothing that parses.
pub fn group_override(name: &str, group: &Settings, broker: &Layers<'_>) -> Option<Value> {
    let (key, text) = (lookup_group(name)?, group.get(name)?);
    let value = key.parse(text).ok()?;
    let Value::Int(number) = value else { return Some(value) };
    let (min, max) = group_bounds(key, broker).unwrap_or_default();
    let mut number = i64::from(number);
    if let Some((_, max)) = max {
        number = number.min(max);
    }
    if let Some((_, min)) = min {
        number = number.max(min);
    }
    i32::try_from(number).ok().map(Value::Int)
}

/// The value that holds for a group: [`group_override`], else the broker's own, else the default. `None` if groups
/// have no such key.
pub fn group_value(name: &str, group: &Settings, broker: &Layers<'_>) -> Option<Value> {
    let own = group_override(name, group, broker);
    own.or_else(|| {
        let key = lookup_group(name)?;
        broker.inherited(key).unwrap_or_else(|_| key.default_value())
    })
}

/// The keys of groups that Flumen acts on; tests compare them with the catalogue.
pub const GROUP_KEYS: &[&str] = &[
    "consumer.assignment.interval.ms",
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "share.assignment.interval.ms",
    "share.auto.offset.reset",
    "share.delivery.count.limit",
    "share.heartbeat.interval.ms",
    "share.isolation.level",
    "share.partition.max.record.locks",
    "share.record.lock.duration.ms",
    "share.renew.acknowledge.enable",
    "share.session.timeout.ms",
    "streams.assignment.interval.ms",
    "streams.heartbeat.interval.ms",
    "streams.initial.rebalance.delay.ms",
    "streams.num.standby.replicas",
    "streams.session.timeout.ms",
];
