//! More partitions for topics.

use super::Named;
use super::budget::{Budget, spend};
use super::plan::Plan;
use super::topics_create::{check_assignment, new_partition};
use crate::error::{ControlError, ErrorKind};
use crate::placement;
use model::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A topic that shall have more partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MorePartitions {
    /// The topic's name.
    pub topic: String,
    /// How many it shall have in all.
    pub count: i32,
    /// Which nodes hold the new ones, in order, if somebody wants to say.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// More partitions for topics.
#[derive(Clone, Debug, Default)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<MorePartitions>,
    /// Says what would happen, and does nothing.
    pub validate_only: bool,
    /// How many partitions may be added.
    pub budget: Option<Arc<dyn Budget>>,
}

fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T, ControlError> {
    Err(ControlError::new(kind, message))
}

impl CreatePartitions {
    pub(super) async fn plan(&self, plan: &mut Plan<'_>) -> Result<Vec<Named<()>>, ControlError> {
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for more in &self.topics {
            *times.entry(&more.topic).or_default() += 1;
        }
        let mut results = Vec::new();
        for more in &self.topics {
            let result = match times.remove(more.topic.as_str()) {
                None => continue,
                Some(1) => self.plan_topic(more, plan).await,
                Some(_) => refuse(ErrorKind::InvalidRequest, "The request names this topic more than once."),
            };
            results.push((more.topic.clone(), result));
            plan.pace(4).await;
        }
        Ok(results)
    }

    async fn plan_topic(&self, more: &MorePartitions, plan: &mut Plan<'_>) -> Result<(), ControlError> {
        let Some(topic) = plan.image().topic(&more.topic).cloned() else {
            return refuse(ErrorKind::UnknownTopicOrPartition, "There is no topic of this name.");
        };
        let had = topic.partitions.len();
        let added = match usize::try_from(more.count) {
            Ok(count) if count > had => count - had,
            Ok(count) if count == had => {
                return refuse(
                    ErrorKind::InvalidPartitions,
                    format!("The topic has {had} partition(s) already."),
                );
            }
            _ => {
                let message = format!("The topic has {had} partition(s); {} would not be more.", more.count);
                return refuse(ErrorKind::InvalidPartitions, message);
            }
        };
        plan.check_room(added)?;
        let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        let replicas = match &more.assignments {
            Some(assignments) => assigned(assignments, added, factor, plan)?,
            None => {
                let nodes = plan.nodes();
                placement::place(&nodes, had as i32, factor as i16)?.take(added).collect()
            }
        };
        spend(self.budget.as_ref(), added)?;
        if self.validate_only {
            return Ok(());
        }
        let numbers = had as i32..;
        let records = numbers.zip(replicas).map(|(number, nodes)| new_partition(topic.id, number, nodes));
        plan.add(records.collect()).await
    }
}

fn assigned(
    assignments: &[Vec<i32>],
    added: usize,
    factor: usize,
    plan: &mut Plan<'_>,
) -> Result<Vec<Arc<[NodeId]>>, ControlError> {
    if assignments.len() != added {
        let message =
            format!("{added} partition(s) are to be added, but {} are assigned.", assignments.len());
        return refuse(ErrorKind::InvalidReplicaAssignment, message);
    }
    let nodes: BTreeSet<NodeId> = plan.nodes().into_iter().collect();
    assignments.iter().map(|replicas| check_assignment(replicas, &nodes, Some(factor))).collect()
}
