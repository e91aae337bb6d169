//! What a cluster says of itself: brokers, topics, leaders.

use kafka_wire::Uuid;
use kafka_wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use std::collections::BTreeMap;

/// A broker as it wants to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The node's number.
    pub id: i32,
    /// Host name or address that it advertises.
    pub host: String,
    /// Port that it advertises.
    pub port: i32,
    /// Where it stands, if it says so.
    pub rack: Option<String>,
}

impl Broker {
    /// `HOST:PORT`, with brackets around an IPv6 address.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number.
    pub partition: i32,
    /// Kafka's error code, 0 if all is well.
    pub error_code: i16,
    /// The node that leads it, -1 if none does.
    pub leader: i32,
    /// How often the leader has changed, -1 if the broker does not say.
    pub leader_epoch: i32,
    /// The nodes that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// Those that are down.
    pub offline: Vec<i32>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its id; zero if the broker does not say.
    pub id: Uuid,
    /// Kafka's error code, 0 if all is well.
    pub error_code: i16,
    /// True for topics that the cluster keeps for itself.
    pub internal: bool,
    /// By partition number.
    pub partitions: Vec<PartitionMetadata>,
}

impl TopicMetadata {
    fn new(topic: &MetadataResponseTopic<'_>) -> TopicMetadata {
        let partitions = topic.partitions.iter().map(|partition| PartitionMetadata {
            partition: partition.partition_index,
            error_code: partition.error_code,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            offline: partition.offline_replicas.clone(),
        });
        let mut partitions: Vec<_> = partitions.collect();
        partitions.sort_unstable_by_key(|partition| partition.partition);
        TopicMetadata {
            name: topic.name.as_deref().unwrap_or_default().to_owned(),
            id: topic.topic_id,
            error_code: topic.error_code,
            internal: topic.is_internal,
            partitions,
        }
    }

    /// The partition of this number.
    pub fn partition(&self, partition: i32) -> Option<&PartitionMetadata> {
        let found = self.partitions.binary_search_by_key(&partition, |partition| partition.partition);
        found.ok().map(|at| &self.partitions[at])
    }
}

/// The cluster, as one broker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id, if the broker says.
    pub cluster_id: Option<String>,
    /// The node to send administration to, -1 if unknown.
    pub controller: i32,
    /// By node id.
    pub brokers: BTreeMap<i32, Broker>,
    /// Those that were asked for, by name.
    pub topics: BTreeMap<String, TopicMetadata>,
}

impl Metadata {
    pub(crate) fn new(response: &MetadataResponse<'_>) -> Metadata {
        let brokers = response.brokers.iter().map(|broker| {
            let rack = broker.rack.as_deref().map(str::to_owned);
            let host = broker.host.clone().into_owned();
            (broker.node_id, Broker { id: broker.node_id, host, port: broker.port, rack })
        });
        let topics = response.topics.iter().map(TopicMetadata::new);
        Metadata {
            cluster_id: response.cluster_id.as_deref().map(str::to_owned),
            controller: response.controller_id,
            brokers: brokers.collect(),
            topics: topics.map(|topic| (topic.name.clone(), topic)).collect(),
        }
    }
}
