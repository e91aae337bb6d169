//! An image as the fewest records that make it again; what a snapshot is written from.

use super::{Image, Partition, Topic};
use crate::record::{PartitionRecord, Record, Resource, ResourceKind};
use model::{PartitionId, TopicId};

/// The records of an image, in an order in which they can be applied. The same image always gives the same.
pub(crate) fn records(image: &Image) -> impl Iterator<Item = Record> + '_ {
    let cluster =
        (!image.cluster_id.is_empty()).then(|| Record::Cluster { id: image.cluster_id.to_string() });
    let features = image.features().map(|(name, level)| Record::Feature { name: name.to_owned(), level });
    let nodes = image.nodes().map(|node| Record::Node {
        node: node.id,
        epoch: node.epoch,
        rack: node.rack.clone(),
        endpoints: node.endpoints.clone(),
    });
    let producer_ids =
        (image.next_producer_id != 0).then_some(Record::ProducerIds { next: image.next_producer_id });
    let configs = image.configs.iter().flat_map(|(resource, configs)| {
        configs.iter().map(|(key, value)| config(resource.clone(), key, value))
    });
    let quotas = image.quotas.iter().flat_map(|(entity, limits)| {
        limits.iter().map(|(key, limit)| Record::ClientQuota {
            entity: entity.clone(),
            key: *key,
            limit: Some(*limit),
        })
    });
    let topics = image.topics().flat_map(|topic| topic_records(topic));
    let cluster = cluster.into_iter();
    cluster.chain(features).chain(nodes).chain(producer_ids).chain(quotas).chain(configs).chain(topics)
}

fn config(resource: Resource, key: &str, value: &str) -> Record {
    Record::Config { resource, key: key.to_owned(), value: Some(value.to_owned()) }
}

fn topic_records(topic: &Topic) -> impl Iterator<Item = Record> + '_ {
    let head = Record::Topic { id: topic.id, name: topic.name.to_string() };
    let configs = topic
        .configs
        .iter()
        .map(|(key, value)| config(Resource::new(ResourceKind::Topic, &*topic.name), key, value));
    let partitions =
        (0..).zip(&topic.partitions).map(|(number, partition)| partition_record(topic.id, number, partition));
    std::iter::once(head).chain(configs).chain(partitions)
}

fn partition_record(topic: TopicId, number: i32, partition: &Partition) -> Record {
    Record::Partition(PartitionRecord {
        topic,
        partition: PartitionId(number),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
    })
}
