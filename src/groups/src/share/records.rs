//! The records of share groups, in the types and versions that Kafka 4.3 writes.

use super::Started;
use crate::assignors::Target;
use crate::effects::Record;
use crate::records::{borrowed, member_records, record, tombstone};
use crate::wire::{text, uuid};
use kafka_wire::messages::share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey;
use kafka_wire::messages::share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue;
use kafka_wire::messages::share_group_member_metadata_key::ShareGroupMemberMetadataKey;
use kafka_wire::messages::share_group_member_metadata_value::ShareGroupMemberMetadataValue;
use kafka_wire::messages::share_group_metadata_key::ShareGroupMetadataKey;
use kafka_wire::messages::share_group_metadata_value::ShareGroupMetadataValue;
use kafka_wire::messages::share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey;
use kafka_wire::messages::share_group_state_partition_metadata_value::{
    ShareGroupStatePartitionMetadataValue, TopicPartitionsInfo,
};
use kafka_wire::messages::share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey;
use kafka_wire::messages::share_group_target_assignment_member_value::{
    ShareGroupTargetAssignmentMemberValue, TopicPartition,
};
use kafka_wire::messages::share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey;
use kafka_wire::messages::share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue;
use model::TopicId;
use std::collections::BTreeMap;

pub(crate) const MEMBER: i16 = 10;
pub(crate) const GROUP: i16 = 11;
pub(crate) const TARGET: i16 = 12;
pub(crate) const TARGET_MEMBER: i16 = 13;
pub(crate) const CURRENT: i16 = 14;
pub(crate) const STARTED: i16 = 15;

fn group_key(group: &str) -> ShareGroupMetadataKey<'_> {
    ShareGroupMetadataKey { group_id: borrowed(group) }
}

/// A group's epoch.
pub(crate) fn group(group: &str, epoch: i32, metadata_hash: i64) -> Record {
    record(GROUP, &group_key(group), &ShareGroupMetadataValue { epoch, metadata_hash }, 0)
}

pub(crate) fn group_tombstone(group: &str) -> Record {
    tombstone(GROUP, &group_key(group))
}

member_records!(
    /// A member and what it subscribes to.
    member, member_tombstone: MEMBER, ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue<'_>
);

fn target_key(group: &str) -> ShareGroupTargetAssignmentMetadataKey<'_> {
    ShareGroupTargetAssignmentMetadataKey { group_id: borrowed(group) }
}

/// The epoch of the target assignment, and when it was computed.
pub(crate) fn target(group: &str, assignment_epoch: i32, assignment_timestamp: i64) -> Record {
    let value = ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp };
    record(TARGET, &target_key(group), &value, 0)
}

pub(crate) fn target_tombstone(group: &str) -> Record {
    tombstone(TARGET, &target_key(group))
}

fn target_member_key<'a>(group: &'a str, member: &'a str) -> ShareGroupTargetAssignmentMemberKey<'a> {
    ShareGroupTargetAssignmentMemberKey { group_id: borrowed(group), member_id: borrowed(member) }
}

/// What a member shall have.
pub(crate) fn target_member(group: &str, member: &str, target: &Target) -> Record {
    let topics = target
        .iter()
        .map(|(topic, partitions)| TopicPartition { topic_id: uuid(*topic), partitions: partitions.clone() });
    let value = ShareGroupTargetAssignmentMemberValue { topic_partitions: topics.collect() };
    record(TARGET_MEMBER, &target_member_key(group, member), &value, 0)
}

pub(crate) fn target_member_tombstone(group: &str, member: &str) -> Record {
    tombstone(TARGET_MEMBER, &target_member_key(group, member))
}

member_records!(
    /// What a member has.
    current, current_tombstone:
    CURRENT, ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue
);

fn started_key(group: &str) -> ShareGroupStatePartitionMetadataKey<'_> {
    ShareGroupStatePartitionMetadataKey { group_id: borrowed(group) }
}

/// Where a group has positions: Kafka's list of partitions whose share state is initialized.
pub(crate) fn started(group: &str, topics: &BTreeMap<TopicId, Started>) -> Record {
    let topics = topics.iter().map(|(id, started)| TopicPartitionsInfo {
        topic_id: uuid(*id),
        topic_name: text(&started.name),
        partitions: started.partitions.iter().copied().collect(),
    });
    let value =
        ShareGroupStatePartitionMetadataValue { initialized_topics: topics.collect(), ..Default::default() };
    record(STARTED, &started_key(group), &value, 0)
}

pub(crate) fn started_tombstone(group: &str) -> Record {
    tombstone(STARTED, &started_key(group))
}
