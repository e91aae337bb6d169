//! From one image to the next, record by record.

use super::{Configs, Image, Node, Partition, Topic, has_collision_characters, unified};
use crate::record::{PartitionRecord, Record, Resource, ResourceKind};
use model::TopicId;
use std::fmt;
use std::sync::Arc;

/// A record that does not fit what is there: the log was not written by a controller of ours, or there is a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The record's offset.
    pub offset: i64,
    /// What does not fit.
    pub what: String,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the record at offset {} does not fit: {}", self.offset, self.what)
    }
}

impl std::error::Error for ApplyError {}

/// An image in the making.
///
/// Records of one topic come together, mostly; that topic is kept open, so that 10,000 partitions of a topic are
/// 10,000 pushes and not as many copies.
#[derive(Clone, Debug)]
pub struct Builder {
    image: Image,
    open: Option<Topic>,
}

impl Builder {
    /// Begins with what `image` has. `epoch` is that of the commit that the records come from.
    pub fn new(image: &Image, epoch: i32) -> Builder {
        let mut image = image.clone();
        image.epoch = epoch;
        Builder { image, open: None }
    }

    /// From here on the records are of a commit of another epoch.
    pub fn set_epoch(&mut self, epoch: i32) {
        self.image.epoch = epoch;
    }

    /// The image so far.
    pub fn so_far(&mut self) -> &Image {
        self.shut();
        &self.image
    }

    /// The image after all that was applied.
    pub fn finish(mut self) -> Image {
        self.shut();
        self.image
    }

    /// The image is a snapshot's: it stands at this offset, however many records it took.
    pub(crate) fn set_offset(&mut self, offset: i64) {
        self.image.offset = offset;
    }

    /// Applies the next record. After an error the builder is of no use.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        match record {
            Record::Cluster { id } => self.image.cluster_id = id.as_str().into(),
            Record::Node { node, epoch, rack, endpoints } => {
                let registered =
                    Node { id: *node, epoch: *epoch, rack: rack.clone(), endpoints: endpoints.clone() };
                self.image.nodes.insert(*node, Arc::new(registered));
            }
            Record::Topic { id, name } => self.add_topic(*id, name)?,
            Record::Partition(record) => self.set_partition(record)?,
            Record::RemoveTopic { id } => self.remove_topic(*id)?,
            Record::Config { resource, key, value } => self.set_config(resource, key, value.as_deref())?,
            Record::Feature { name, level: 0 } => {
                self.image.features.remove(name.as_str());
            }
            Record::Feature { name, level } => self.image.features.insert(name.as_str().into(), *level),
            Record::ProducerIds { next } => self.image.next_producer_id = *next,
            Record::ClientQuota { entity, key, limit } => {
                Arc::make_mut(&mut self.image.quotas).set(entity, *key, *limit);
            }
        }
        self.image.offset += 1;
        Ok(())
    }

    fn refuse<T>(&self, what: String) -> Result<T, ApplyError> {
        Err(ApplyError { offset: self.image.offset, what })
    }

    fn add_topic(&mut self, id: TopicId, name: &str) -> Result<(), ApplyError> {
        self.shut();
        if self.image.by_name.get(name).is_some() {
            return self.refuse(format!("a second topic named {name}"));
        }
        if self.image.by_id.get(&id).is_some() {
            return self.refuse(format!("a second topic with the id {id}"));
        }
        let name: Arc<str> = name.into();
        if has_collision_characters(&name) {
            self.image.collisions.insert(unified(&name).into(), name.clone());
        }
        self.open = Some(Topic { name, id, partitions: Vec::new(), configs: Configs::new() });
        Ok(())
    }

    fn set_partition(&mut self, record: &PartitionRecord) -> Result<(), ApplyError> {
        if !self.open(record.topic) {
            return self.refuse(format!("a partition of the topic {}, which is not there", record.topic));
        }
        let offset = self.image.offset;
        let Some(topic) = &mut self.open else { return Ok(()) };
        let count = topic.partitions.len();
        match usize::try_from(record.partition.0) {
            Ok(number) if number < count => topic.partitions[number] = Partition::from(record),
            Ok(number) if number == count => {
                topic.partitions.push(Partition::from(record));
                self.image.partition_count += 1;
            }
            _ => {
                let what = format!("partition {} of {}, which has {count}", record.partition, topic.name);
                return Err(ApplyError { offset, what });
            }
        }
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ApplyError> {
        self.shut();
        let Some(topic) = self.image.by_id.remove(&id) else {
            return self.refuse(format!("the removal of the topic {id}, which is not there"));
        };
        self.image.by_name.remove(&*topic.name);
        self.image.partition_count -= topic.partitions.len();
        if has_collision_characters(&topic.name) {
            let unified = unified(&topic.name);
            if self.image.collisions.get(unified.as_str()) == Some(&topic.name) {
                self.image.collisions.remove(unified.as_str());
            }
        }
        Ok(())
    }

    fn set_config(&mut self, resource: &Resource, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        if resource.kind != ResourceKind::Topic {
            self.set_other_config(resource, key, value);
            return Ok(());
        }
        let id = match &self.open {
            Some(topic) if *topic.name == *resource.name => Some(topic.id),
            _ => self.image.by_name.get(resource.name.as_str()).map(|topic| topic.id),
        };
        if !id.is_some_and(|id| self.open(id)) {
            return self.refuse(format!("configuration of the topic {}, which is not there", resource.name));
        }
        if let Some(topic) = &mut self.open {
            set(&mut topic.configs, key, value);
        }
        Ok(())
    }

    fn set_other_config(&mut self, resource: &Resource, key: &str, value: Option<&str>) {
        let mut configs =
            self.image.configs.get(resource).map(|configs| Configs::clone(configs)).unwrap_or_default();
        set(&mut configs, key, value);
        if configs.is_empty() {
            self.image.configs.remove(resource);
        } else {
            self.image.configs.insert(resource.clone(), Arc::new(configs));
        }
    }

    /// Makes a topic the open one; false if it is not there.
    fn open(&mut self, id: TopicId) -> bool {
        if self.open.as_ref().is_some_and(|topic| topic.id == id) {
            return true;
        }
        self.shut();
        self.open = self.image.by_id.get(&id).map(|topic| Topic::clone(topic));
        self.open.is_some()
    }

    /// Puts the open topic where it belongs.
    fn shut(&mut self) {
        let Some(topic) = self.open.take() else { return };
        let topic = Arc::new(topic);
        self.image.by_name.insert(topic.name.clone(), topic.clone());
        self.image.by_id.insert(topic.id, topic);
    }
}

fn set(configs: &mut Configs, key: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(key.to_owned(), value.to_owned()),
        None => configs.remove(key),
    };
}
