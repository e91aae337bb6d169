//! A member of a streams group.

use super::tasks::{Role, TaskSet, Tasks, listed};
use crate::wire::{optional_text, text};
use kafka_wire::messages::streams_group_current_member_assignment_value::{
    StreamsGroupCurrentMemberAssignmentValue, TaskIds,
};
use kafka_wire::messages::streams_group_member_metadata_value::{
    Endpoint, KeyValue, StreamsGroupMemberMetadataValue,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a member stands on the way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    Stable,
    UnrevokedTasks,
    UnreleasedTasks,
}

impl MemberState {
    fn code(self) -> i8 {
        match self {
            MemberState::Stable => 1,
            MemberState::UnrevokedTasks => 2,
            MemberState::UnreleasedTasks => 3,
        }
    }

    /// A state of a later version counts as waiting for tasks: the next heartbeat looks anew.
    fn of_code(code: i8) -> MemberState {
        match code {
            1 => MemberState::Stable,
            2 => MemberState::UnrevokedTasks,
            _ => MemberState::UnreleasedTasks,
        }
    }
}

/// What a member has said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Of records that others wrote: static members are not served.
    pub instance: Option<Arc<str>>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub topology_epoch: i32,
    /// Members with equal ones share the state on their disk.
    pub process: String,
    /// Where the application serves queries of its state: host and port.
    pub endpoint: Option<(String, u16)>,
    pub tags: BTreeMap<String, String>,
}

impl Profile {
    /// Whether the difference to `other` is one that assignments may depend on.
    pub fn weighs_against(&self, other: &Profile) -> bool {
        self.rack != other.rack
            || self.topology_epoch != other.topology_epoch
            || self.process != other.process
            || self.endpoint != other.endpoint
            || self.tags != other.tags
    }

    pub fn value(&self) -> StreamsGroupMemberMetadataValue<'static> {
        let tag = |(key, value): (&String, &String)| KeyValue { key: text(key), value: text(value) };
        StreamsGroupMemberMetadataValue {
            instance_id: optional_text(self.instance.as_deref()),
            rack_id: optional_text(self.rack.as_deref()),
            client_id: text(&self.client_id),
            client_host: text(&self.client_host),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            topology_epoch: self.topology_epoch,
            process_id: text(&self.process),
            user_endpoint: self
                .endpoint
                .as_ref()
                .map(|(host, port)| Endpoint { host: text(host), port: *port }),
            client_tags: self.tags.iter().map(tag).collect(),
        }
    }

    pub fn restore(value: &StreamsGroupMemberMetadataValue<'_>) -> Profile {
        let tags = value.client_tags.iter();
        Profile {
            instance: value.instance_id.as_deref().map(Arc::from),
            rack: value.rack_id.as_deref().map(str::to_owned),
            client_id: value.client_id.to_string(),
            client_host: value.client_host.to_string(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            topology_epoch: value.topology_epoch,
            process: value.process_id.to_string(),
            endpoint: value.user_endpoint.as_ref().map(|found| (found.host.to_string(), found.port)),
            tags: tags.map(|tag| (tag.key.to_string(), tag.value.to_string())).collect(),
        }
    }
}

/// What a member has, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: TaskSet,
    /// To be given back.
    pub revoking: TaskSet,
}

impl Progress {
    /// Of a member that has just come.
    pub fn new() -> Progress {
        Progress {
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: TaskSet::default(),
            revoking: TaskSet::default(),
        }
    }

    pub fn is_at(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Every task that it has or still has to give back, with its role.
    pub fn tasks(&self) -> impl Iterator<Item = (Role, &Arc<str>, i32)> + '_ {
        let all = self.assigned.each().chain(self.revoking.each());
        all.map(|(role, subtopology, partition, _)| (role, subtopology, partition))
    }

    /// The epoch at which an active task was given to the member, if it still has it.
    pub fn given_at(&self, subtopology: &str, partition: i32) -> Option<i32> {
        let find = |tasks: &Tasks| tasks.get(subtopology).and_then(|found| found.get(&partition).copied());
        find(&self.assigned.active).or_else(|| find(&self.revoking.active))
    }

    pub fn value(&self) -> StreamsGroupCurrentMemberAssignmentValue<'static> {
        StreamsGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            active_tasks: stored_active(&self.assigned.active),
            standby_tasks: stored(&self.assigned.standby),
            warmup_tasks: stored(&self.assigned.warmup),
            active_tasks_pending_revocation: stored_active(&self.revoking.active),
            standby_tasks_pending_revocation: stored(&self.revoking.standby),
            warmup_tasks_pending_revocation: stored(&self.revoking.warmup),
        }
    }

    pub fn restore(value: &StreamsGroupCurrentMemberAssignmentValue<'_>) -> Progress {
        let mut progress = Progress {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::of_code(value.state),
            ..Progress::new()
        };
        let (assigned, revoking) = (&mut progress.assigned, &mut progress.revoking);
        let lists = [
            (Role::Active, &value.active_tasks, &value.active_tasks_pending_revocation),
            (Role::Standby, &value.standby_tasks, &value.standby_tasks_pending_revocation),
            (Role::Warmup, &value.warmup_tasks, &value.warmup_tasks_pending_revocation),
        ];
        for (role, has, gives_back) in lists {
            restore_into(assigned, role, has, value.member_epoch);
            restore_into(revoking, role, gives_back, value.member_epoch);
        }
        progress
    }
}

fn stored_active(tasks: &Tasks) -> Vec<TaskIds<'static>> {
    let one = |(subtopology, partitions): (&Arc<str>, &BTreeMap<i32, i32>)| TaskIds {
        subtopology_id: text(subtopology),
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    tasks.iter().map(one).collect()
}

fn stored(tasks: &Tasks) -> Vec<TaskIds<'static>> {
    listed(tasks, |subtopology_id, partitions| TaskIds {
        subtopology_id,
        partitions,
        assignment_epochs: None,
    })
}

/// Records of Kafka before 4.3 have no epochs: the member's stands for them.
fn restore_into(set: &mut TaskSet, role: Role, tasks: &[TaskIds<'_>], epoch: i32) {
    for task in tasks {
        let subtopology = Arc::from(&*task.subtopology_id);
        let epochs = task.assignment_epochs.as_deref().unwrap_or_default();
        for (at, partition) in task.partitions.iter().enumerate() {
            set.add(role, &subtopology, *partition, epochs.get(at).copied().unwrap_or(epoch));
        }
    }
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: Arc<str>,
    pub profile: Profile,
    pub progress: Progress,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_all_of_a_member() {
        let profile = Profile {
            instance: Some(Arc::from("i")),
            rack: Some("r".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 5,
            topology_epoch: 3,
            process: "p".into(),
            endpoint: Some(("host".into(), 65_535)),
            tags: BTreeMap::from([("zone".into(), "a".into())]),
        };
        assert_eq!(Profile::restore(&profile.value()), profile);
        let subtopology = Arc::from("0");
        let mut progress = Progress { epoch: 4, previous_epoch: 3, ..Progress::new() };
        progress.state = MemberState::UnrevokedTasks;
        progress.assigned.add(Role::Active, &subtopology, 1, 2);
        progress.assigned.add(Role::Warmup, &subtopology, 2, 0);
        progress.revoking.add(Role::Standby, &subtopology, 3, 0);
        assert_eq!(Progress::restore(&progress.value()), progress);
        assert_eq!((progress.given_at("0", 1), progress.given_at("0", 2)), (Some(2), None));
    }

    #[test]
    fn only_what_assignments_depend_on_weighs() {
        let profile = Profile::default();
        let moved = Profile { client_host: "/other".into(), rebalance_timeout_ms: 9, ..Profile::default() };
        assert!(!moved.weighs_against(&profile));
        assert!(Profile { process: "p".into(), ..Profile::default() }.weighs_against(&profile));
    }
}
