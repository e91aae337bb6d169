//! What of the configuration coordinators go by: the broker's, and that of single groups.

use crate::broker::Broker;
use crate::features::TRANSACTION_VERSION;
use controller::Image;
use groups::{Assignor, Migration, Settings, StreamsSettings};
use model::config::{BrokerConfig, Settings as SetOfGroup, TopicConfig, Value, group_override, group_value};

/// What a batch takes besides key and value of its only record, at most.
const BATCH_OVERHEAD_BYTES: usize = 128;
/// What the record of a transaction has besides partitions, at most, with room to spare for a long id.
const TRANSACTION_OVERHEAD_BYTES: usize = 48_000;

/// For coordinators of groups. `record_bytes_max`: see [`Broker::record_bytes_max`].
pub(crate) fn of_groups(config: &BrokerConfig, record_bytes_max: usize) -> Settings {
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    Settings {
        min_session_timeout_ms: config.group_min_session_timeout_ms,
        max_session_timeout_ms: config.group_max_session_timeout_ms,
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
        max_size: count(config.group_max_size),
        consumer_heartbeat_interval_ms: config.group_consumer_heartbeat_interval_ms,
        consumer_session_timeout_ms: config.group_consumer_session_timeout_ms,
        consumer_max_size: count(config.group_consumer_max_size),
        consumer_assignors: assignors(&config.group_consumer_assignors),
        migration: Migration::named(&config.group_consumer_migration_policy)
            .unwrap_or(Migration::Bidirectional),
        consumer_assignment_interval_ms: config.group_consumer_assignment_interval_ms,
        regex_refresh_interval_ms: config.group_consumer_regex_refresh_interval_ms,
        streams: of_streams_groups(config),
        offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
        offsets_check_interval_ms: config.offsets_retention_check_interval_ms,
        offset_metadata_max_bytes: count(config.offset_metadata_max_bytes),
        share_heartbeat_interval_ms: config.share_heartbeat_interval_ms,
        share_session_timeout_ms: config.share_session_timeout_ms,
        share_assignment_interval_ms: config.share_assignment_interval_ms,
        share_max_size: count(config.share_max_size),
        record_bytes_max,
    }
}

/// For streams groups that set nothing themselves.
fn of_streams_groups(config: &BrokerConfig) -> StreamsSettings {
    StreamsSettings {
        session_timeout_ms: config.group_streams_session_timeout_ms,
        heartbeat_interval_ms: config.group_streams_heartbeat_interval_ms,
        initial_rebalance_delay_ms: config.group_streams_initial_rebalance_delay_ms,
        assignment_interval_ms: config.group_streams_assignment_interval_ms,
        standby_replicas: config.group_streams_num_standby_replicas,
        max_size: usize::try_from(config.group_streams_max_size).unwrap_or(0),
    }
}

/// For coordinators of transactions. Kafka looks for what is over its time now and then; here that happens in time.
/// `record_bytes_max`: see [`Broker::record_bytes_max`].
pub(crate) fn of_transactions(
    config: &BrokerConfig,
    image: &Image,
    record_bytes_max: usize,
) -> transactions::Config {
    let defaults = transactions::Config::default();
    let overhead = TRANSACTION_OVERHEAD_BYTES.min(record_bytes_max / 8);
    transactions::Config {
        timeout_max_ms: config.transaction_max_timeout_ms,
        expiration_ms: i64::from(config.transactional_id_expiration_ms),
        transaction_version: image.feature(TRANSACTION_VERSION),
        record_bytes_max: defaults.record_bytes_max.min(record_bytes_max - overhead),
        ..defaults
    }
}

impl Broker {
    /// Bytes of key and value that a record of a coordinators' topic may have: a batch of it alone is within the topic's
    /// `max.message.bytes`, and fits into a segment.
    pub(crate) fn record_bytes_max(&self, image: &Image, topic: &str) -> usize {
        let config = image.topic(topic).map(|topic| self.topic_config(image, topic)).unwrap_or_default();
        record_bytes_max(&config)
    }

    /// What holds for a single group under one of the keys of groups (`share.record.lock.duration.ms`,
    /// `streams.num.standby.replicas`, ...): what is set for it, within the bounds of this broker, else what this
    /// broker has for all groups. `None` if groups have no such key.
    pub fn group_value(&self, image: &Image, group: &str, key: &str) -> Option<Value> {
        let nothing = SetOfGroup::new();
        group_value(key, image.group_configs(group).unwrap_or(&nothing), &self.layers(image))
    }

    /// The same of a key that holds a number of 32 bits.
    pub fn group_number(&self, image: &Image, group: &str, key: &str) -> Option<i32> {
        match self.group_value(image, group, key)? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The number that is set for a group itself, within the bounds of this broker; `None` if the broker's holds.
    pub(crate) fn group_own_number(&self, image: &Image, group: &str, key: &str) -> Option<i32> {
        match group_override(key, image.group_configs(group)?, &self.layers(image))? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

/// See [`Broker::record_bytes_max`].
fn record_bytes_max(config: &TopicConfig) -> usize {
    let batch = config.max_message_bytes.min(config.segment_bytes);
    usize::try_from(batch).unwrap_or(0).saturating_sub(BATCH_OVERHEAD_BYTES)
}

/// Those that there are; if none of the names is one, all.
fn assignors(names: &[String]) -> Vec<Assignor> {
    let known: Vec<Assignor> = names.iter().filter_map(|name| Assignor::named(name)).collect();
    if known.is_empty() { vec![Assignor::Uniform, Assignor::Range] } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_a_coordinator() {
        let bytes = record_bytes_max(&TopicConfig::default());
        assert_eq!(of_groups(&BrokerConfig::default(), bytes), Settings::default());
    }

    #[test]
    fn a_record_has_room_in_a_batch_and_in_a_segment() {
        for (max_message_bytes, segment_bytes) in [(10_000, 1 << 20), (10 << 20, 1 << 20)] {
            let config = TopicConfig { max_message_bytes, segment_bytes, ..TopicConfig::default() };
            let least = max_message_bytes.min(segment_bytes) as usize;
            assert_eq!(record_bytes_max(&config), least - BATCH_OVERHEAD_BYTES);
        }
    }

    #[test]
    fn names_of_no_assignor_are_left_out() {
        let named =
            |names: &[&str]| assignors(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>());
        assert_eq!(named(&["range", "my.own.Assignor"]), [Assignor::Range]);
        assert_eq!(named(&["my.own.Assignor"]), [Assignor::Uniform, Assignor::Range]);
    }
}
