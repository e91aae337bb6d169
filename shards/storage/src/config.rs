//! What a store and a log may be told.

use compression::Target;
use memory::Pool;
use model::ShardId;
use std::path::PathBuf;
use std::time::Duration;

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The record is on the device.
    Device,
    /// The record is in this process's memory. It is given to the device within a millisecond, or when the writes
    /// under way have ended if there may be no more of them; it is synced after two drain intervals. A crash of the
    /// process loses what was not given yet, one of the system or the machine what was not synced.
    Memory,
}

/// How one shard's store behaves.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory.
    pub data: PathBuf,
    /// Which shard this is: names its journal.
    pub shard: ShardId,
    /// The shard's memory. Half of it at most holds recent data.
    pub pool: Pool,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Size of a journal file in bytes; a multiple of 4 KiB, at least 64 KiB.
    pub journal_file_bytes: u64,
    /// How many journal files there are, at least 2.
    pub journal_files: u32,
    /// Commits that may be on their way to the device at once.
    pub journal_inflight: usize,
    /// What is in the journal only is written to segments after this time, if memory and journal do not ask for it
    /// before. Each time costs a write and later a sync for every log that was appended to, and others' latency.
    pub drain_interval: Duration,
    /// Appends of at least so many bytes go straight to the segment.
    pub large_append_bytes: usize,
    /// Bytes of the pool for what was read from segments; less than 256 KiB: nothing is kept, nor read ahead.
    pub cache_bytes: usize,
    /// Segment files that are open at once.
    pub open_files_max: usize,
    /// Past the page cache.
    pub direct: bool,
    /// `log.initial.task.delay.ms`: how long after the start old segments are looked for first.
    pub retention_first: Duration,
    /// `log.retention.check.interval.ms`: how often after that.
    pub retention_check: Duration,
    /// How logs are compacted, until [`Store::configure_cleaner`](crate::Store::configure_cleaner) says otherwise.
    pub cleaner: CleanerOptions,
}

/// How the logs of a shard are compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerOptions {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// Bytes of the offset map, this shard's part of `log.cleaner.dedupe.buffer.size`. No more than an eighth of the
    /// pool is taken.
    pub map_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full the map gets, 0 to 1.
    pub load_factor: f64,
    /// This shard's part of `log.cleaner.io.max.bytes.per.second`, reads and writes together.
    pub bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`: the wait when there is nothing to be done.
    pub backoff: Duration,
}

impl Default for CleanerOptions {
    /// Kafka's defaults.
    fn default() -> CleanerOptions {
        CleanerOptions {
            enabled: true,
            map_bytes: 128 << 20,
            load_factor: 0.9,
            bytes_per_second: f64::MAX,
            backoff: Duration::from_secs(15),
        }
    }
}

impl StoreOptions {
    /// Options with the defaults of the settings: 4 journal files of 64 MiB, 4 commits in flight, large from 32 KiB.
    pub fn new(data: impl Into<PathBuf>, shard: ShardId, pool: Pool) -> StoreOptions {
        let cache_bytes = pool.budget_bytes() / 4;
        StoreOptions {
            data: data.into(),
            shard,
            pool,
            durability: Durability::Device,
            journal_file_bytes: 64 << 20,
            journal_files: 4,
            journal_inflight: 4,
            drain_interval: Duration::from_secs(10),
            large_append_bytes: 32 << 10,
            cache_bytes,
            open_files_max: 1024,
            direct: true,
            retention_first: Duration::from_secs(30),
            retention_check: Duration::from_secs(300),
            cleaner: CleanerOptions::default(),
        }
    }
}

/// Whose timestamps a log keeps: `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's at the append.
    LogAppendTime,
}

/// A topic's settings as far as its logs obey them. Names and meanings are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to so much is taken off `segment.ms`, another amount for each segment.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: of a whole batch with its header.
    pub max_message_bytes: usize,
    /// `compression.type`, and its codec's level; `None`: batches keep their producer's.
    pub compression: Option<Target>,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `retention.ms`; -1: without limit.
    pub retention_ms: i64,
    /// `retention.bytes`; -1: without limit.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `delete.retention.ms`: so long a tombstone stays in a compacted log.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: so long a record is safe from compaction.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: after so long a record is compacted, however little is dirty.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: 0 to 1.
    pub min_cleanable_ratio: f64,
    /// `producer.id.expiration.ms`: a producer that is silent for so long is forgotten.
    pub producer_id_expiration_ms: i64,
}

impl LogConfig {
    /// The age at which a segment ends: a compacted log's must end in time for `max.compaction.lag.ms`.
    pub(crate) fn roll_ms(&self) -> i64 {
        match self.compact && self.max_compaction_lag_ms > 0 {
            true => self.segment_ms.min(self.max_compaction_lag_ms),
            false => self.segment_ms,
        }
    }
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> LogConfig {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            max_message_bytes: 1_048_588,
            compression: None,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            compact: false,
            delete: true,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_ratio: 0.5,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::config::{self, BrokerConfig};

    #[test]
    fn the_defaults_are_those_of_the_settings() {
        let options = StoreOptions::new("/data", ShardId(0), Pool::new(16 << 20).expect("maps"));
        let settings = BrokerConfig::default();
        assert_eq!(options.durability, Durability::Device);
        assert_eq!(settings.durability, config::Durability::Device);
        assert_eq!(options.journal_file_bytes, settings.journal_file_bytes);
        assert_eq!(options.journal_files as i32, settings.journal_files);
        assert_eq!(options.journal_inflight as i32, settings.journal_inflight);
        assert_eq!(options.drain_interval, Duration::from_millis(settings.drain_interval_ms));
        assert_eq!(options.large_append_bytes as i32, settings.large_append_bytes);
        let first_ms = options.retention_first.as_millis() as i64;
        assert_eq!(first_ms, settings.log_initial_task_delay_ms);
        let check_ms = options.retention_check.as_millis() as i64;
        assert_eq!(check_ms, settings.log_retention_check_interval_ms);
        let cleaner = CleanerOptions {
            enabled: settings.log_cleaner_enable,
            map_bytes: settings.log_cleaner_dedupe_buffer_size as usize,
            load_factor: settings.log_cleaner_load_factor,
            bytes_per_second: settings.log_cleaner_max_bytes_per_second,
            backoff: Duration::from_millis(settings.log_cleaner_backoff_ms as u64),
        };
        assert_eq!(options.cleaner, cleaner, "for one core");
    }
}
