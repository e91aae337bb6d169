//! New leader epochs for what a node leads.
//!
//! A node that went down uncleanly may come back with a shorter log than readers of its relaxed mode have seen.
//! With a new epoch they notice (KIP-320), instead of reading other records at the same offsets.

use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::record::{PartitionRecord, Record};
use model::{NodeId, PartitionId};

/// What fits into one commit with a few replicas each.
const PARTITIONS_MAX: usize = 400_000;

/// Every partition that the node leads gets the next leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BumpLeaderEpochs {
    /// The node.
    pub node: NodeId,
}

impl BumpLeaderEpochs {
    pub(super) async fn plan(&self, plan: &mut Plan<'_>) -> Result<usize, ControlError> {
        let image = plan.image().clone();
        if image.node(self.node).is_none() {
            let message = format!("There is no broker {}.", self.node);
            return Err(ControlError::new(ErrorKind::BrokerIdNotRegistered, message));
        }
        if image.partition_count() > PARTITIONS_MAX {
            let message = format!("More than {PARTITIONS_MAX} partitions cannot get new epochs at once.");
            return Err(ControlError::new(ErrorKind::PolicyViolation, message));
        }
        let mut bumped = 0;
        for topic in image.topics() {
            for (number, partition) in (0..).zip(&topic.partitions) {
                if partition.leader != self.node {
                    continue;
                }
                plan.push(Record::Partition(PartitionRecord {
                    topic: topic.id,
                    partition: PartitionId(number),
                    leader: partition.leader,
                    leader_epoch: partition.leader_epoch.saturating_add(1),
                    partition_epoch: partition.partition_epoch.saturating_add(1),
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.clone(),
                }));
                bumped += 1;
                plan.pace(1).await;
            }
        }
        Ok(bumped)
    }
}
