//! Reading the records of share groups back.

use super::member::Profile;
use super::records::{CURRENT, GROUP, MEMBER, STARTED, TARGET, TARGET_MEMBER};
use super::{ShareGroup, Started};
use crate::coordinator::Coordinator;
use crate::group::Group;
use crate::records::{ReplayError, decoded_value};
use crate::wire::topic_id;
use kafka_wire::messages::share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey;
use kafka_wire::messages::share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue;
use kafka_wire::messages::share_group_member_metadata_key::ShareGroupMemberMetadataKey;
use kafka_wire::messages::share_group_member_metadata_value::ShareGroupMemberMetadataValue;
use kafka_wire::messages::share_group_metadata_key::ShareGroupMetadataKey;
use kafka_wire::messages::share_group_metadata_value::ShareGroupMetadataValue;
use kafka_wire::messages::share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey;
use kafka_wire::messages::share_group_state_partition_metadata_value::ShareGroupStatePartitionMetadataValue;
use kafka_wire::messages::share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey;
use kafka_wire::messages::share_group_target_assignment_member_value::ShareGroupTargetAssignmentMemberValue;
use kafka_wire::messages::share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey;
use kafka_wire::messages::share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue;
use kafka_wire::{Decode, Reader};
use std::sync::Arc;

/// A record of a share group that was read back; without a value it is a tombstone.
#[derive(Debug)]
pub(crate) enum Stored<'a> {
    Group(ShareGroupMetadataKey<'a>, Option<ShareGroupMetadataValue>),
    Member(ShareGroupMemberMetadataKey<'a>, Option<ShareGroupMemberMetadataValue<'a>>),
    Target(ShareGroupTargetAssignmentMetadataKey<'a>, Option<ShareGroupTargetAssignmentMetadataValue>),
    TargetMember(ShareGroupTargetAssignmentMemberKey<'a>, Option<ShareGroupTargetAssignmentMemberValue>),
    Current(ShareGroupCurrentMemberAssignmentKey<'a>, Option<ShareGroupCurrentMemberAssignmentValue>),
    Started(ShareGroupStatePartitionMetadataKey<'a>, Option<ShareGroupStatePartitionMetadataValue<'a>>),
}

impl<'a> Stored<'a> {
    /// Reads a record of this type; `None` if it is none of a share group. `key` is behind the type.
    pub fn read(
        kind: i16,
        key: &mut Reader<'a>,
        value: Option<&'a [u8]>,
    ) -> Result<Option<Stored<'a>>, ReplayError> {
        let bad = ReplayError::Key;
        Ok(Some(match kind {
            GROUP => Stored::Group(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?),
            MEMBER => Stored::Member(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?),
            TARGET => Stored::Target(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?),
            TARGET_MEMBER => {
                Stored::TargetMember(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?)
            }
            CURRENT => Stored::Current(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?),
            STARTED => Stored::Started(Decode::decode(key, 0).map_err(bad)?, decoded_value(value)?),
            _ => return Ok(None),
        }))
    }
}

impl Coordinator {
    /// Takes in a record of a share group.
    pub(crate) fn replay_share(&mut self, stored: &Stored<'_>) {
        match stored {
            Stored::Group(key, value) => match value {
                Some(value) => {
                    let group = self.share_restored(&key.group_id);
                    group.epoch = value.epoch;
                    group.metadata_hash = value.metadata_hash;
                }
                // Under this name there may be a group of another kind meanwhile.
                None if self.share_known(&key.group_id).is_some() => {
                    self.groups.remove(&*key.group_id);
                }
                None => {}
            },
            Stored::Member(key, Some(value)) => {
                let group = self.share_restored(&key.group_id);
                group.put_profile(&Arc::from(&*key.member_id), Profile::restore(value));
            }
            Stored::Member(key, None) => {
                if let Some(group) = self.share_known(&key.group_id) {
                    group.remove(&Arc::from(&*key.member_id));
                }
            }
            Stored::Target(key, value) => {
                let group = match value {
                    Some(_) => Some(self.share_restored(&key.group_id)),
                    None => self.share_known(&key.group_id),
                };
                let Some(group) = group else { return };
                let time = value.as_ref().map_or(0, |value| value.assignment_timestamp);
                group.assignment_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
                group.assigned_ms = (time > 0).then_some(time);
            }
            Stored::TargetMember(key, value) => self.replay_share_target(key, value.as_ref()),
            Stored::Current(key, value) => {
                let id: Arc<str> = Arc::from(&*key.member_id);
                if let Some(value) = value {
                    self.share_restored(&key.group_id).member_mut(&id).restore(value);
                } else if let Some(member) =
                    self.share_known(&key.group_id).and_then(|group| group.members.get_mut(&id))
                {
                    member.restore(&ShareGroupCurrentMemberAssignmentValue::default());
                }
            }
            Stored::Started(key, value) => self.replay_share_started(key, value.as_ref()),
        }
    }

    /// The share group of a name, if it is one.
    fn share_known(&mut self, name: &str) -> Option<&mut ShareGroup> {
        match self.groups.get_mut(name) {
            Some(Group::Share(group)) => Some(group),
            _ => None,
        }
    }

    /// The share group of a name. One that only kept offsets becomes it.
    fn share_restored(&mut self, name: &str) -> &mut ShareGroup {
        let id: Arc<str> = Arc::from(name);
        let slot = self.groups.entry(id.clone());
        let slot = slot.or_insert_with(|| Group::Share(ShareGroup::new(id.clone())));
        if !matches!(slot, Group::Share(_)) {
            *slot = Group::Share(ShareGroup::new(id));
        }
        let Group::Share(group) = slot else { unreachable!("made a share group above") };
        group
    }

    fn replay_share_target(
        &mut self,
        key: &ShareGroupTargetAssignmentMemberKey<'_>,
        value: Option<&ShareGroupTargetAssignmentMemberValue>,
    ) {
        let id: Arc<str> = Arc::from(&*key.member_id);
        let Some(value) = value else {
            if let Some(group) = self.share_known(&key.group_id) {
                group.targets.remove(&id);
            }
            return;
        };
        let topics = value.topic_partitions.iter().filter(|topic| !topic.partitions.is_empty());
        let target = topics.map(|topic| {
            let mut partitions = topic.partitions.clone();
            partitions.sort_unstable();
            (topic_id(topic.topic_id), partitions)
        });
        let target = target.collect();
        self.share_restored(&key.group_id).targets.insert(id, target);
    }

    /// Kafka may have stopped between beginning a position and noting that it is there: here both are one.
    fn replay_share_started(
        &mut self,
        key: &ShareGroupStatePartitionMetadataKey<'_>,
        value: Option<&ShareGroupStatePartitionMetadataValue<'_>>,
    ) {
        let Some(value) = value else {
            if let Some(group) = self.share_known(&key.group_id) {
                group.started.clear();
            }
            return;
        };
        let group = self.share_restored(&key.group_id);
        group.started.clear();
        for topic in value.initialized_topics.iter().chain(&value.initializing_topics) {
            let started: &mut Started = group.started.entry(topic_id(topic.topic_id)).or_default();
            started.name = topic.topic_name.to_string();
            started.partitions.extend(topic.partitions.iter().copied());
        }
    }
}
