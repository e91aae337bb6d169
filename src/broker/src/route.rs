//! From a partition's name to the core that owns it.

use crate::broker::Broker;
use controller::{Image, Topic, placement};
use kafka_wire::ErrorCode;
use kafka_wire::produce_view::TopicRef;
use model::{PartitionId, ShardId, TopicId, TopicPartition};
use std::sync::Arc;

/// A partition that exists, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) partition: TopicPartition,
    pub(crate) shard: ShardId,
}

/// The topic that a request names.
pub(crate) fn topic<'a>(image: &'a Image, name: &TopicRef<'_>) -> Result<&'a Arc<Topic>, ErrorCode> {
    match name {
        TopicRef::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        TopicRef::Id(id) => image.topic_by_id(TopicId(id.0)).ok_or(ErrorCode::UnknownTopicId),
    }
}

impl Broker {
    /// The core that owns a partition of this node.
    pub(crate) fn shard_of(&self, partition: TopicPartition) -> ShardId {
        let shards = u16::try_from(self.cores.shards()).unwrap_or(u16::MAX);
        placement::shard_of(partition.topic, partition.partition, shards)
    }

    /// Where a partition of a topic is.
    pub(crate) fn route(&self, topic: &Topic, partition: i32) -> Result<Routed, ErrorCode> {
        let number = PartitionId(partition);
        let found = topic.partition(number).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if found.leader != self.identity.node {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let partition = TopicPartition { topic: topic.id, partition: number };
        Ok(Routed { partition, shard: self.shard_of(partition) })
    }

    /// Where a partition is that is named by its topic's name.
    pub(crate) fn route_name(&self, image: &Image, name: &str, partition: i32) -> Result<Routed, ErrorCode> {
        self.route(topic(image, &TopicRef::Name(name))?, partition)
    }
}

/// Items for several cores, each with its place in the answer.
pub(crate) struct ByCore<T> {
    cores: Vec<(ShardId, Vec<usize>, Vec<T>)>,
}

impl<T> ByCore<T> {
    pub(crate) fn new() -> ByCore<T> {
        ByCore { cores: Vec::new() }
    }

    /// Adds an item for a core whose answer belongs at `place`.
    pub(crate) fn push(&mut self, shard: ShardId, place: usize, item: T) {
        match self.cores.iter_mut().find(|(core, ..)| *core == shard) {
            Some((_, places, items)) => {
                places.push(place);
                items.push(item);
            }
            None => self.cores.push((shard, vec![place], vec![item])),
        }
    }

    /// The cores with their places and items, in the order in which they were first named.
    pub(crate) fn into_cores(self) -> impl ExactSizeIterator<Item = (ShardId, Vec<usize>, Vec<T>)> {
        self.cores.into_iter()
    }
}
