//! The configuration of one topic, resolved: what the log asks on its hot path.

use super::layers::{Layers, Settings};
use super::typed::{Field, typed};
use super::{ConfigError, Scope, Value, lookup_topic, require};

/// What may happen to old segments. Neither: everything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments are dropped by age and size.
    pub delete: bool,
    /// The newest record of each key is kept.
    pub compact: bool,
}

impl Field for CleanupPolicy {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let entries = <Vec<String>>::from_value(value)?;
        let has = |name: &str| entries.iter().any(|entry| entry == name);
        Ok(CleanupPolicy { delete: has("delete"), compact: has("compact") })
    }
}

/// Whose clock stamps a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

impl Field for TimestampType {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        match String::from_value(value)?.as_str() {
            "CreateTime" => Ok(TimestampType::CreateTime),
            "LogAppendTime" => Ok(TimestampType::LogAppendTime),
            _ => Err("CreateTime or LogAppendTime".to_owned()),
        }
    }
}

/// The codec that batches are stored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// The producer's choice, untouched.
    Producer,
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Field for Compression {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        Ok(match String::from_value(value)?.as_str() {
            "producer" => Compression::Producer,
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => return Err("producer, uncompressed, gzip, snappy, lz4 or zstd".to_owned()),
        })
    }
}

typed! {
    /// The effective configuration of a topic. Sizes are bytes, times are milliseconds; `None`
    /// is without limit. The catalogue says of each key what it does.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TopicConfig {
        /// What happens to old segments.
        cleanup_policy: CleanupPolicy = "cleanup.policy",
        /// Age at which records may be deleted.
        retention_ms: Option<u64> = "retention.ms",
        /// Size of a partition beyond which its oldest segments may be deleted.
        retention_bytes: Option<u64> = "retention.bytes",
        /// Size at which a segment is closed.
        segment_bytes: i32 = "segment.bytes",
        /// Age at which a segment is closed.
        segment_ms: i64 = "segment.ms",
        /// Longest random time taken off that age.
        segment_jitter_ms: i64 = "segment.jitter.ms",
        /// Log between two index entries.
        index_interval_bytes: i32 = "index.interval.bytes",
        /// Largest batch accepted.
        max_message_bytes: i32 = "max.message.bytes",
        /// Whose clock stamps records.
        message_timestamp_type: TimestampType = "message.timestamp.type",
        /// How far a timestamp may lie behind the broker's clock.
        message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms",
        /// How far a timestamp may lie ahead of the broker's clock.
        message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms",
        /// The codec of stored batches.
        compression_type: Compression = "compression.type",
        /// Effort of gzip, 1 to 9; -1: the library's choice.
        compression_gzip_level: i32 = "compression.gzip.level",
        /// Wait before the files of a dropped segment are removed.
        file_delete_delay_ms: i64 = "file.delete.delay.ms",
        /// How long a tombstone stays readable.
        delete_retention_ms: i64 = "delete.retention.ms",
        /// How long a record is safe from compaction.
        min_compaction_lag_ms: i64 = "min.compaction.lag.ms",
        /// Within what time a record must have been considered for compaction.
        max_compaction_lag_ms: i64 = "max.compaction.lag.ms",
        /// Uncompacted share of the log at which compaction starts.
        min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio",
    }
}

impl TopicConfig {
    /// The effective configuration: what is set on the topic, else on this broker, else for all
    /// brokers, else in the file, else the default. Every name and value set on the topic is
    /// checked, those that Flumen only stores too, so this is also the check of a change.
    pub fn resolve(topic: &Settings, broker: &Layers<'_>) -> Result<TopicConfig, ConfigError> {
        for (name, text) in topic {
            require(Scope::Topic, name)?.parse(text)?;
        }
        let config = TopicConfig::in_force(topic, broker)?;
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(ConfigError::Conflict {
                key: "min.compaction.lag.ms",
                value: config.min_compaction_lag_ms.to_string(),
                rule: format!(
                    "no more than max.compaction.lag.ms, which is {}",
                    config.max_compaction_lag_ms
                ),
            });
        }
        Ok(config)
    }

    /// The effective configuration of what is set already. Values that contradict each other hold each by itself, as
    /// in Kafka: a topic's settings were checked when they were made, and the broker's may have changed since. Names
    /// that are not known, which a newer version may have stored, are passed over.
    ///
    /// # Errors
    /// A value that its key does not allow.
    pub fn in_force(topic: &Settings, broker: &Layers<'_>) -> Result<TopicConfig, ConfigError> {
        TopicConfig::read(&|name| topic_value(name, topic, broker))
    }
}

/// The configuration of a topic for which nothing is set anywhere.
impl Default for TopicConfig {
    fn default() -> TopicConfig {
        TopicConfig::resolve(&Settings::new(), &Layers::empty()).expect("the defaults resolve, as tests show")
    }
}

fn topic_value(
    name: &'static str,
    topic: &Settings,
    broker: &Layers<'_>,
) -> Result<Option<Value>, ConfigError> {
    let key = match lookup_topic(name) {
        Some(key) => key,
        None => return require(Scope::Topic, name).map(|_| None),
    };
    match topic.get(name) {
        Some(text) => key.parse(text).map(Some),
        None => broker.inherited(key),
    }
}
