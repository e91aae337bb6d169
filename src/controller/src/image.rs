//! The image: all metadata at one offset of the log, immutable, shared by every core.

use crate::record::{Endpoint, PartitionRecord, Record, Resource, ResourceKind};
use crate::sorted::SortedMap;
use model::{NodeId, PartitionId, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

mod builder;
mod dump;

pub use builder::{ApplyError, Builder};
pub(crate) use dump::records;

/// Configuration values that were set, by key. What is not in it has its default.
pub type Configs = BTreeMap<String, String>;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The node that leads it; -1 for none.
    pub leader: NodeId,
    /// How often its leader has changed.
    pub leader_epoch: i32,
    /// How often anything of it has changed.
    pub partition_epoch: i32,
    /// The nodes that shall hold it, the preferred leader first.
    pub replicas: Arc<[NodeId]>,
    /// Those of them that are in sync.
    pub isr: Arc<[NodeId]>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name; another topic may have it later.
    pub name: Arc<str>,
    /// Its id; no other topic ever has it.
    pub id: TopicId,
    /// Its partitions, by number. Never empty in a published image.
    pub partitions: Vec<Partition>,
    /// What of its configuration was set.
    pub configs: Configs,
}

impl Topic {
    /// A partition by number.
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }
}

/// A node of the cluster, as it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The offset of its latest registration: of two of one node, the larger is the living one.
    pub epoch: i64,
    /// Its rack.
    pub rack: Option<String>,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
}

/// All metadata at one offset. Cloning costs a few hundred pointers; sharing it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Image {
    offset: i64,
    epoch: i32,
    cluster_id: Arc<str>,
    by_name: SortedMap<Arc<str>, Arc<Topic>>,
    by_id: SortedMap<TopicId, Arc<Topic>>,
    /// Names with `.` or `_`, by the name with `_` for each `.`: those that metrics could not tell apart.
    collisions: SortedMap<Arc<str>, Arc<str>>,
    /// Of all resources but topics.
    configs: SortedMap<Resource, Arc<Configs>>,
    features: SortedMap<Arc<str>, i16>,
    nodes: SortedMap<NodeId, Arc<Node>>,
    next_producer_id: i64,
    partition_count: usize,
}

impl Image {
    /// The offset of the next record: all before it are in this image.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The controller epoch of the last commit in it.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The cluster's id, 22 characters; empty before the first record.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> + Clone {
        self.by_name.iter().map(|(_, topic)| topic)
    }

    /// The topics whose names come after `name`, in order; for listings in portions.
    pub fn topics_after(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.iter_after(name).map(|(_, topic)| topic)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.by_name.len()
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The topic whose name looks like `name` in metrics, where `.` and `_` are the same.
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        if !has_collision_characters(name) {
            return None;
        }
        self.collisions.get(unified(name).as_str()).map(|name| &**name)
    }

    /// What was set for a resource; `None` when nothing was.
    pub fn configs(&self, resource: &Resource) -> Option<&Configs> {
        match resource.kind {
            ResourceKind::Topic => self.topic(&resource.name).map(|topic| &topic.configs),
            _ => self.configs.get(resource).map(|configs| &**configs),
        }
    }

    /// What was set for a broker (`None`: the default of all brokers).
    pub fn broker_configs(&self, node: Option<NodeId>) -> Option<&Configs> {
        let name = node.map(|node| node.to_string()).unwrap_or_default();
        self.configs(&Resource::new(ResourceKind::Broker, name))
    }

    /// What was set for a group; `None` when nothing was.
    pub fn group_configs(&self, group: &str) -> Option<&Configs> {
        self.configs(&Resource::new(ResourceKind::Group, group))
    }

    /// The resources other than topics that have something set, by kind and name.
    pub fn configured_resources(&self) -> impl Iterator<Item = (&Resource, &Configs)> {
        self.configs.iter().map(|(resource, configs)| (resource, &**configs))
    }

    /// The level of a feature; 0 when it is off.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// All features that are on, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }

    /// A node by id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id).map(|node| &**node)
    }

    /// All nodes by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|(_, node)| &**node)
    }

    /// The lowest producer id that was never given out.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The image after these records; for tests and tools. The controller goes in portions, with a [`Builder`].
    pub fn with<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record>,
        epoch: i32,
    ) -> Result<Image, ApplyError> {
        let mut builder = Builder::new(self, epoch);
        for record in records {
            builder.apply(record)?;
        }
        Ok(builder.finish())
    }
}

impl PartialEq for Image {
    /// The same metadata at the same offset; how it lies in memory does not matter.
    fn eq(&self, other: &Image) -> bool {
        self.offset == other.offset
            && self.epoch == other.epoch
            && self.cluster_id == other.cluster_id
            && self.next_producer_id == other.next_producer_id
            && self.partition_count == other.partition_count
            && self.by_name.iter().eq(other.by_name.iter())
            && self.by_id.iter().eq(other.by_id.iter())
            && self.collisions.iter().eq(other.collisions.iter())
            && self.configs.iter().eq(other.configs.iter())
            && self.features.iter().eq(other.features.iter())
            && self.nodes.iter().eq(other.nodes.iter())
    }
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Partition {
        Partition {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
        }
    }
}

fn has_collision_characters(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn unified(name: &str) -> String {
    name.replace('.', "_")
}
