//! A new image on its way to every core.
//!
//! One task on the first core carries each image to all cores and waits for them: so a core sees images in order,
//! and a change is answered only when every core has what it made. New partitions are made before the image that
//! names them is shown to requests; removed ones are taken away after it.

use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use controller::{Controller, Image, Topic};
use executor::Event;
use model::config::{BrokerConfig, Compression, TimestampType as ConfigTimestampType, TopicConfig};
use model::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicPartition};
use network::Crowd;
use shard::operation::{PartitionSetup, Rare};
use shard::{Outcome, PartitionError};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use storage::{CleanerOptions, Compression as Codec, CompressionTarget, LogConfig, TimestampType};

/// Partitions that are made between two looks at other work.
const PORTION: usize = 64;

/// How far the images have come.
#[derive(Clone, Default)]
pub(crate) struct Published {
    inner: Rc<(Cell<i64>, Event)>,
}

impl Published {
    /// Waits until every core has the image of this offset, or a later one.
    pub(crate) async fn until(&self, offset: i64) {
        loop {
            let seen = self.inner.1.count();
            if self.inner.0.get() >= offset {
                return;
            }
            self.inner.1.after(seen).await;
        }
    }
}

/// Carries images to all cores for as long as the broker runs.
pub(crate) async fn publish(broker: Rc<Broker>, controller: Controller, published: Published) {
    loop {
        let event = controller.published();
        let seen = event.count();
        let image = controller.image();
        if image.offset() > published.inner.0.get() {
            let calls: Vec<_> = (0..broker.cores.shards())
                .map(|shard| broker.cores.call(ShardId(shard as u16), CoreQuestion::Apply(image.clone())))
                .collect();
            for answer in executor::join_all(calls).await {
                if !matches!(answer, Some(CoreAnswer::Applied)) {
                    return;
                }
            }
            published.inner.0.set(image.offset());
            published.inner.1.notify();
            continue;
        }
        event.after(seen).await;
    }
}

/// A log's settings from its topic's.
pub(crate) fn log_config(config: &TopicConfig, broker: &BrokerConfig) -> LogConfig {
    let limit = |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
    LogConfig {
        segment_bytes: config.segment_bytes as u32,
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        index_interval_bytes: config.index_interval_bytes as u32,
        max_message_bytes: config.max_message_bytes as usize,
        compression: stored_codec(config),
        timestamp_type: match config.message_timestamp_type {
            ConfigTimestampType::CreateTime => TimestampType::CreateTime,
            ConfigTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compact: config.cleanup_policy.compact,
        delete: config.cleanup_policy.delete,
        retention_ms: limit(config.retention_ms),
        retention_bytes: limit(config.retention_bytes),
        file_delete_delay_ms: config.file_delete_delay_ms,
        delete_retention_ms: config.delete_retention_ms,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        min_cleanable_ratio: config.min_cleanable_dirty_ratio,
        producer_id_expiration_ms: i64::from(broker.producer_id_expiration_ms),
    }
}

/// What batches are compressed with, if not as their producers like.
fn stored_codec(config: &TopicConfig) -> Option<CompressionTarget> {
    let codec = match config.compression_type {
        Compression::Producer => return None,
        Compression::Uncompressed => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Snappy => Codec::Snappy,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    };
    // -1 leaves it to the library.
    Some(CompressionTarget { codec, gzip_level: u32::try_from(config.compression_gzip_level).ok() })
}

/// How a core compacts its logs: memory and I/O are for all cores together.
pub(crate) fn cleaner_options(broker: &BrokerConfig, cores: usize) -> CleanerOptions {
    let cores = cores.max(1);
    CleanerOptions {
        enabled: broker.log_cleaner_enable,
        map_bytes: usize::try_from(broker.log_cleaner_dedupe_buffer_size).unwrap_or(0) / cores,
        load_factor: broker.log_cleaner_load_factor,
        bytes_per_second: broker.log_cleaner_max_bytes_per_second / cores as f64,
        backoff: Duration::from_millis(u64::try_from(broker.log_cleaner_backoff_ms).unwrap_or(0)),
    }
}

/// How many connections there may be, from here on.
pub(crate) fn limit_connections(crowd: &Crowd, config: &BrokerConfig) {
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    let of_addresses = config.max_connections_per_ip_overrides.iter();
    let of_addresses = of_addresses.map(|(address, most)| (*address, *most as usize)).collect();
    crowd.limit(count(config.max_connections), count(config.max_connections_per_ip), of_addresses);
}

impl Broker {
    /// The partitions of a topic that this core owns, from a number on.
    fn owned<'a>(
        &'a self,
        topic: &'a Topic,
        from: usize,
    ) -> impl Iterator<Item = (TopicPartition, LeaderEpoch)> + 'a {
        topic.partitions.iter().enumerate().skip(from).filter_map(move |(number, partition)| {
            let id = TopicPartition { topic: topic.id, partition: PartitionId(number as i32) };
            (self.shard_of(id) == self.shard()).then_some((id, LeaderEpoch(partition.leader_epoch)))
        })
    }

    /// Tells how much there is.
    fn count(&self, image: &Image) {
        self.metrics.topics.set(image.topic_count() as u64);
        let owned: usize = image.topics().map(|topic| self.owned(topic, 0).count()).sum();
        self.metrics.partitions.set(owned as u64);
    }

    fn setups(&self, image: &Image, topic: &Topic, from: usize, into: &mut Vec<PartitionSetup>) {
        let mut owned = self.owned(topic, from).peekable();
        if owned.peek().is_none() {
            return;
        }
        let config = log_config(&self.topic_config(image, topic), &self.config());
        into.extend(owned.map(|(partition, leader_epoch)| PartitionSetup {
            partition,
            topic: topic.name.to_string(),
            config: config.clone(),
            leader_epoch,
        }));
    }

    /// Opens this core's partitions at start. Those that are in the image but not on disk were to be made when the
    /// broker stopped; they are made now.
    pub(crate) async fn open_partitions(self: &Rc<Self>, image: &Image) -> Result<(), String> {
        let mut setups = Vec::new();
        for topic in image.topics() {
            self.setups(image, topic, 0, &mut setups);
        }
        self.count(image);
        self.set_up(setups, false).await?;
        self.coordinate(image, &[]);
        Ok(())
    }

    async fn set_up(&self, setups: Vec<PartitionSetup>, create: bool) -> Result<(), String> {
        let mut setups = setups.into_iter();
        // At a start there is no other work, and the store has several under way.
        let most = if create { PORTION } else { usize::MAX };
        loop {
            let portion: Vec<_> = setups.by_ref().take(most).collect();
            if portion.is_empty() {
                return Ok(());
            }
            let names: Vec<String> =
                portion.iter().map(|one| format!("{}-{}", one.topic, one.partition.partition)).collect();
            let done = self.service.begin(Rare::Setup { items: portion, create }.into()).await;
            let Outcome::Done(results) = done else { continue };
            for (name, result) in names.into_iter().zip(results) {
                if let Err(PartitionError::Storage(error)) = result {
                    if !create {
                        return Err(format!("partition {name} cannot be opened: {error}"));
                    }
                    log::error!("partition {name} cannot be made: {error}");
                }
            }
            executor::yield_now().await;
        }
    }

    /// Makes an image this core's.
    pub(crate) async fn apply(self: &Rc<Self>, image: Arc<Image>) {
        let old = self.image();
        if old.offset() >= image.offset() {
            return;
        }
        let mut setups = Vec::new();
        let mut removed = Vec::new();
        let mut changed = Vec::new();
        let before: BTreeMap<_, _> = old.topics().map(|topic| (topic.id, topic)).collect();
        let layers_changed = self.layers(&old) != self.layers(&image);
        if layers_changed {
            // First of all: what is set up below goes by it.
            self.adopt(&image);
        }
        for topic in image.topics() {
            match before.get(&topic.id) {
                None => self.setups(&image, topic, 0, &mut setups),
                Some(known) if Arc::ptr_eq(known, topic) && !layers_changed => {}
                Some(known) => {
                    self.setups(&image, topic, known.partitions.len(), &mut setups);
                    if known.configs != topic.configs || layers_changed {
                        changed.push(topic.clone());
                    }
                }
            }
        }
        let mut deleted: Vec<(&str, TopicId)> = Vec::new();
        for topic in before.values().filter(|topic| image.topic_by_id(topic.id).is_none()) {
            removed.extend(self.owned(topic, 0).map(|(id, _)| id));
            deleted.push((&*topic.name, topic.id));
        }
        if let Err(why) = self.set_up(setups, true).await {
            log::error!("{why}");
        }
        self.replace_image(image.clone());
        self.coordinate(&image, &deleted);
        self.count(&image);
        self.configure_coordinators();
        self.reconfigure(&image, &changed).await;
        if !removed.is_empty() {
            let done = self.service.begin(Rare::Remove { items: removed }.into()).await;
            if let Outcome::Done(results) = done {
                for error in results.into_iter().filter_map(Result::err) {
                    log::error!("a removed partition's files cannot be removed: {error:?}");
                }
            }
        }
    }

    /// Takes what brokers are configured to in an image.
    fn adopt(&self, image: &Image) {
        match BrokerConfig::resolve(&self.layers(image)) {
            Ok(config) => {
                let options = cleaner_options(&config, self.cores.shards());
                self.service.store().configure_cleaner(options);
                limit_connections(&self.crowd, &config);
                self.replace_config(config);
            }
            Err(error) => log::error!("the broker's configuration stays as it was: {error}"),
        }
    }

    /// Has the partitions of topics go by what is configured for these.
    async fn reconfigure(&self, image: &Image, changed: &[Arc<Topic>]) {
        let mut items = Vec::new();
        for topic in changed {
            let config = log_config(&self.topic_config(image, topic), &self.config());
            items.extend(self.owned(topic, 0).map(|(id, _)| (id, config.clone())));
        }
        if !items.is_empty() {
            // What is being removed meanwhile needs no settings.
            drop(self.service.begin(Rare::Configure { items }.into()).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cleaners_memory_and_io_are_shared_among_the_cores() {
        let broker = BrokerConfig {
            log_cleaner_dedupe_buffer_size: 4 << 20,
            log_cleaner_max_bytes_per_second: 20_000.0,
            log_cleaner_backoff_ms: 7,
            ..BrokerConfig::default()
        };
        let shares = [(1, 4 << 20, 20_000.0), (2, 2 << 20, 10_000.0), (4, 1 << 20, 5_000.0)];
        for (cores, map_bytes, rate) in shares {
            let options = cleaner_options(&broker, cores);
            assert_eq!((options.map_bytes, options.bytes_per_second), (map_bytes, rate), "{cores} cores");
            assert_eq!(options.backoff, Duration::from_millis(7), "each core waits as long");
        }
    }
}
