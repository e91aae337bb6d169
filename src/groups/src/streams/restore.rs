//! Reading the records of streams groups back: each does to the state what it did when it was written.

use super::member::{Profile, Progress};
use super::records::Stored;
use super::target::STANDBY_REPLICAS;
use super::tasks::{Role, TaskSet};
use super::{StreamsGroup, topology};
use crate::coordinator::Coordinator;
use crate::group::Group;
use kafka_wire::messages::streams_group_metadata_value::StreamsGroupMetadataValue;
use kafka_wire::messages::streams_group_target_assignment_member_value::StreamsGroupTargetAssignmentMemberValue;
use std::sync::Arc;

impl Coordinator {
    pub(crate) fn replay_streams(&mut self, record: Stored<'_>) {
        match record {
            Stored::Group(key, Some(value)) => restore_epoch(self.restored_streams(&key.group_id), &value),
            Stored::Group(key, None) => {
                if self.streams_group(&key.group_id).is_some() {
                    self.groups.remove(&*key.group_id);
                }
            }
            Stored::Member(key, value) => {
                let id: Arc<str> = Arc::from(&*key.member_id);
                match value {
                    Some(value) => {
                        self.restored_streams(&key.group_id).put_profile(&id, Profile::restore(&value));
                    }
                    None => {
                        if let Some(group) = self.streams_group(&key.group_id) {
                            group.remove(&id);
                        }
                    }
                }
            }
            Stored::Target(key, Some(value)) => {
                let group = self.restored_streams(&key.group_id);
                group.assignment_epoch = value.assignment_epoch;
                group.assigned_ms = (value.assignment_timestamp > 0).then_some(value.assignment_timestamp);
            }
            Stored::Target(key, None) => {
                if let Some(group) = self.streams_group(&key.group_id) {
                    (group.assignment_epoch, group.assigned_ms) = (0, None);
                }
            }
            Stored::TargetMember(key, value) => {
                self.replay_streams_target(&key.group_id, &key.member_id, value.as_ref());
            }
            Stored::Current(key, value) => {
                let progress = value.as_ref().map(Progress::restore);
                self.replay_streams_progress(&key.group_id, &key.member_id, progress);
            }
            Stored::Topology(key, Some(value)) => {
                self.restored_streams(&key.group_id).put_topology(Some(topology::restored(&value)));
            }
            Stored::Topology(key, None) => {
                if let Some(group) = self.streams_group(&key.group_id) {
                    group.put_topology(None);
                }
            }
        }
    }

    fn streams_group(&mut self, name: &str) -> Option<&mut StreamsGroup> {
        match self.groups.get_mut(name) {
            Some(Group::Streams(group)) => Some(group),
            _ => None,
        }
    }

    /// The streams group of a name. One of another kind becomes it, for offsets may come first in the log.
    fn restored_streams(&mut self, name: &str) -> &mut StreamsGroup {
        let id: Arc<str> = Arc::from(name);
        let slot = self.groups.entry(id.clone());
        let slot = slot.or_insert_with(|| Group::Streams(StreamsGroup::new(id.clone())));
        if !matches!(slot, Group::Streams(_)) {
            *slot = Group::Streams(StreamsGroup::new(id));
        }
        let Group::Streams(group) = slot else { unreachable!("made one of the streams protocol above") };
        group
    }

    fn replay_streams_progress(&mut self, group: &str, member: &str, progress: Option<Progress>) {
        let id: Arc<str> = Arc::from(member);
        match progress {
            Some(progress) => self.restored_streams(group).put_progress(&id, progress),
            None => {
                if let Some(group) = self.streams_group(group)
                    && group.members.contains_key(&id)
                {
                    group.put_progress(&id, Progress::new());
                }
            }
        }
    }

    fn replay_streams_target(
        &mut self,
        group: &str,
        member: &str,
        value: Option<&StreamsGroupTargetAssignmentMemberValue<'_>>,
    ) {
        let id: Arc<str> = Arc::from(member);
        let Some(value) = value else {
            if let Some(group) = self.streams_group(group) {
                group.targets.remove(&id);
            }
            return;
        };
        let mut target = TaskSet::default();
        let lists = [
            (Role::Active, &value.active_tasks),
            (Role::Standby, &value.standby_tasks),
            (Role::Warmup, &value.warmup_tasks),
        ];
        for (role, list) in lists {
            for tasks in list {
                let subtopology = Arc::from(&*tasks.subtopology_id);
                tasks.partitions.iter().for_each(|partition| target.add(role, &subtopology, *partition, 0));
            }
        }
        self.restored_streams(group).targets.insert(id, target);
    }
}

fn restore_epoch(group: &mut StreamsGroup, value: &StreamsGroupMetadataValue<'_>) {
    group.epoch = value.epoch;
    group.metadata_hash = value.metadata_hash;
    group.validated_epoch = value.validated_topology_epoch;
    let configs = value.last_assignment_configs.iter().flatten();
    let mut counts = configs.filter(|config| config.key == STANDBY_REPLICAS);
    group.standby_replicas = counts.next().and_then(|config| config.value.parse().ok());
}
