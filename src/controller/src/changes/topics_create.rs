//! Creating topics.

use super::Named;
use super::budget::{Budget, spend};
use super::configs::check_texts;
use super::names::{CLUSTER_METADATA, CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE, check_name};
use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::image::Configs;
use crate::placement;
use crate::record::{PartitionRecord, Record, Resource, ResourceKind};
use model::{NodeId, PartitionId, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A topic to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the default, and with assignments.
    pub partitions: i32,
    /// How many replicas of each; -1 for the default, and with assignments.
    pub replication_factor: i16,
    /// Which nodes hold which partition, if the creator says so.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Configuration. The wire can carry keys without a value, which is refused.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the default number of partitions and replicas.
    pub fn named(name: impl Into<String>) -> NewTopic {
        NewTopic { name: name.into(), partitions: -1, replication_factor: -1, ..NewTopic::default() }
    }
}

/// Topics to create.
#[derive(Clone, Debug, Default)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Says what would happen, and does nothing.
    pub validate_only: bool,
    /// How many partitions there may be in them.
    pub budget: Option<Arc<dyn Budget>>,
}

/// A topic that was created, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
}

/// An internal topic as Kafka makes it, or `None` if the name is not one that a broker creates by itself.
/// The numbers of partitions and replicas and the size of a segment are settings of the broker.
pub fn internal_topic(
    name: &str,
    partitions: i32,
    replication_factor: i16,
    segment_bytes: i32,
) -> Option<NewTopic> {
    let configs: &[(&str, &str)] = match name {
        CONSUMER_OFFSETS => &[("cleanup.policy", "compact"), ("compression.type", "producer")],
        TRANSACTION_STATE => &[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("unclean.leader.election.enable", "false"),
        ],
        SHARE_GROUP_STATE => {
            &[("cleanup.policy", "delete"), ("compression.type", "producer"), ("retention.ms", "-1")]
        }
        _ => return None,
    };
    let segment_bytes = segment_bytes.to_string();
    let configs = configs.iter().copied().chain([("segment.bytes", segment_bytes.as_str())]);
    let configs = configs.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).collect();
    Some(NewTopic { partitions, replication_factor, configs, ..NewTopic::named(name) })
}

fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T, ControlError> {
    Err(ControlError::new(kind, message))
}

impl CreateTopics {
    pub(super) async fn plan(&self, plan: &mut Plan<'_>) -> Result<Vec<Named<CreatedTopic>>, ControlError> {
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for topic in &self.topics {
            *times.entry(&topic.name).or_default() += 1;
            plan.pace(1).await;
        }
        let mut results = Vec::new();
        for topic in &self.topics {
            let result = match times.remove(topic.name.as_str()) {
                None => continue,
                Some(1) => self.plan_topic(topic, plan).await,
                Some(_) => refuse(ErrorKind::InvalidRequest, "The request names this topic more than once."),
            };
            results.push((topic.name.clone(), result));
            plan.pace(4).await;
        }
        Ok(results)
    }

    async fn plan_topic(&self, topic: &NewTopic, plan: &mut Plan<'_>) -> Result<CreatedTopic, ControlError> {
        check_new_name(&topic.name, plan)?;
        let configs = check_configs(topic, plan)?;
        let replicas = if topic.assignments.is_empty() {
            place(topic, configs.len(), plan)?
        } else {
            assigned(topic, plan)?
        };
        let id = self.fresh_id(plan);
        let created = CreatedTopic {
            id,
            partitions: replicas.len() as i32,
            replication_factor: replicas.first().map_or(0, |nodes| nodes.len()) as i16,
        };
        let mut records = vec![Record::Topic { id, name: topic.name.clone() }];
        let resource = Resource::new(ResourceKind::Topic, topic.name.as_str());
        records.extend(configs.into_iter().map(|(key, value)| Record::Config {
            resource: resource.clone(),
            key,
            value: Some(value),
        }));
        records.extend((0..).zip(replicas).map(|(number, nodes)| new_partition(id, number, nodes)));
        plan.check_room(records.len())?;
        spend(self.budget.as_ref(), created.partitions as usize)?;
        if !self.validate_only {
            plan.add(records).await?;
        }
        Ok(created)
    }

    fn fresh_id(&self, plan: &mut Plan<'_>) -> TopicId {
        loop {
            let id = (plan.context().new_id)();
            if plan.image().topic_by_id(id).is_none() {
                return id;
            }
        }
    }
}

/// The first record of a partition: led by its first replica, all in sync.
pub(super) fn new_partition(topic: TopicId, number: i32, replicas: Arc<[NodeId]>) -> Record {
    Record::Partition(PartitionRecord {
        topic,
        partition: PartitionId(number),
        leader: replicas.first().copied().unwrap_or(NodeId(-1)),
        leader_epoch: 0,
        partition_epoch: 0,
        isr: replicas.clone(),
        replicas,
    })
}

fn check_new_name(name: &str, plan: &mut Plan<'_>) -> Result<(), ControlError> {
    check_name(name)?;
    if name == CLUSTER_METADATA {
        return refuse(ErrorKind::InvalidRequest, format!("The name {name} is kept for the metadata log."));
    }
    let image = plan.image();
    if image.topic(name).is_some() {
        return refuse(ErrorKind::TopicAlreadyExists, format!("Topic '{name}' already exists."));
    }
    if let Some(other) = image.colliding_topic(name) {
        let message =
            format!("Topic '{name}' could not be told from the existing '{other}' in metric names.");
        return refuse(ErrorKind::InvalidTopic, message);
    }
    Ok(())
}

fn check_configs(topic: &NewTopic, plan: &Plan<'_>) -> Result<Configs, ControlError> {
    let mut configs = Configs::new();
    for (key, value) in &topic.configs {
        let Some(value) = value else {
            return refuse(ErrorKind::InvalidConfig, format!("The topic configuration {key} has no value."));
        };
        check_texts(key, Some(value))?;
        configs.insert(key.clone(), value.clone());
    }
    plan.context().rules.validate(&Resource::new(ResourceKind::Topic, topic.name.as_str()), &configs)?;
    Ok(configs)
}

/// Replicas where the controller chooses.
fn place(topic: &NewTopic, configs: usize, plan: &mut Plan<'_>) -> Result<Vec<Arc<[NodeId]>>, ControlError> {
    let factor = match topic.replication_factor {
        -1 => plan.context().default_replication_factor,
        factor if factor > 0 => factor,
        factor => {
            let message =
                format!("A replication factor of {factor}: it must be above 0, or -1 for the default.");
            return refuse(ErrorKind::InvalidReplicationFactor, message);
        }
    };
    let count = match topic.partitions {
        -1 => plan.context().default_partitions,
        count if count > 0 => count,
        count => {
            let message = format!("{count} partitions: the number must be above 0, or -1 for the default.");
            return refuse(ErrorKind::InvalidPartitions, message);
        }
    };
    let nodes = plan.nodes();
    let placement = placement::place(&nodes, 0, factor)?;
    // Before anything is allocated by a number from the wire.
    plan.check_room((count as usize).saturating_add(configs + 1))?;
    Ok(placement.take(count as usize).collect())
}

/// Replicas as the creator wants them.
fn assigned(topic: &NewTopic, plan: &mut Plan<'_>) -> Result<Vec<Arc<[NodeId]>>, ControlError> {
    if topic.replication_factor != -1 || topic.partitions != -1 {
        let message = "With manual assignments, replication factor and number of partitions must both be -1.";
        return refuse(ErrorKind::InvalidRequest, message);
    }
    let nodes: BTreeSet<NodeId> = plan.nodes().into_iter().collect();
    let mut by_number: BTreeMap<i32, Arc<[NodeId]>> = BTreeMap::new();
    let mut factor = None;
    for (number, replicas) in &topic.assignments {
        let replicas = check_assignment(replicas, &nodes, factor)?;
        factor = Some(replicas.len());
        if by_number.insert(*number, replicas).is_some() {
            let message = format!("Partition {number} is assigned more than once.");
            return refuse(ErrorKind::InvalidReplicaAssignment, message);
        }
    }
    if !by_number.keys().copied().eq(0..by_number.len() as i32) {
        let message = "Manual assignments must be for the partitions 0, 1, 2 and so on, none left out.";
        return refuse(ErrorKind::InvalidReplicaAssignment, message);
    }
    Ok(by_number.into_values().collect())
}

/// Replicas of one partition as somebody wants them: registered nodes, none twice, as many as the others have.
pub(super) fn check_assignment(
    replicas: &[i32],
    nodes: &BTreeSet<NodeId>,
    factor: Option<usize>,
) -> Result<Arc<[NodeId]>, ControlError> {
    let kind = ErrorKind::InvalidReplicaAssignment;
    if replicas.is_empty() {
        return refuse(kind, "A manual assignment has no replicas.");
    }
    let mut seen = BTreeSet::new();
    for replica in replicas {
        if !nodes.contains(&NodeId(*replica)) {
            return refuse(
                kind,
                format!("A manual assignment names broker {replica}, which is not registered."),
            );
        }
        if !seen.insert(*replica) {
            return refuse(kind, format!("A manual assignment names broker {replica} more than once."));
        }
    }
    if let Some(factor) = factor.filter(|&factor| factor != replicas.len()) {
        let message = format!(
            "A manual assignment has {} replica(s), other partitions of the topic have {factor}.",
            replicas.len()
        );
        return refuse(kind, message);
    }
    Ok(replicas.iter().copied().map(NodeId).collect())
}
