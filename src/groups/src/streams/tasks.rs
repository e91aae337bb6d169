//! Tasks: what a streams group shares out. A task is a partition of a subtopology; a member has it in one of three
//! roles.

use crate::wire::text;
use kafka_wire::Str;
use kafka_wire::messages::streams_group_heartbeat_request::{StreamsGroupHeartbeatRequest, TaskIds};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a member does with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It processes; one member at a time does.
    Active,
    /// It keeps a copy of the state, so that it could take over.
    Standby,
    /// It builds a copy of the state, so that it can take over soon.
    Warmup,
}

/// Every role.
pub(crate) const ROLES: [Role; 3] = [Role::Active, Role::Standby, Role::Warmup];

/// Partitions by subtopology, each with the epoch at which the member was given it; 0 where that is not kept, which
/// is for active tasks alone. No subtopology without partitions.
pub(crate) type Tasks = BTreeMap<Arc<str>, BTreeMap<i32, i32>>;

/// Tasks in each role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskSet {
    pub active: Tasks,
    pub standby: Tasks,
    pub warmup: Tasks,
}

impl TaskSet {
    pub fn of(&self, role: Role) -> &Tasks {
        match role {
            Role::Active => &self.active,
            Role::Standby => &self.standby,
            Role::Warmup => &self.warmup,
        }
    }

    fn of_mut(&mut self, role: Role) -> &mut Tasks {
        match role {
            Role::Active => &mut self.active,
            Role::Standby => &mut self.standby,
            Role::Warmup => &mut self.warmup,
        }
    }

    pub fn add(&mut self, role: Role, subtopology: &Arc<str>, partition: i32, epoch: i32) {
        let epoch = if role == Role::Active { epoch } else { 0 };
        self.of_mut(role).entry(subtopology.clone()).or_default().insert(partition, epoch);
    }

    pub fn has(&self, role: Role, subtopology: &str, partition: i32) -> bool {
        self.of(role).get(subtopology).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    pub fn is_empty(&self) -> bool {
        ROLES.iter().all(|role| self.of(*role).is_empty())
    }

    /// Every task: its role, subtopology, partition, and the epoch at which it was given.
    pub fn each(&self) -> impl Iterator<Item = (Role, &Arc<str>, i32, i32)> + '_ {
        ROLES.into_iter().flat_map(move |role| {
            self.of(role).iter().flat_map(move |(subtopology, partitions)| {
                partitions.iter().map(move |(partition, epoch)| (role, subtopology, *partition, *epoch))
            })
        })
    }

    /// The tasks alone.
    pub fn without_epochs(&self) -> TaskSet {
        let mut tasks = TaskSet::default();
        for (role, subtopology, partition, _) in self.each() {
            tasks.add(role, subtopology, partition, 0);
        }
        tasks
    }

    /// Whether every task of `other` is in this, in the same role.
    pub fn has_all(&self, other: &TaskSet) -> bool {
        other.each().all(|(role, subtopology, partition, _)| self.has(role, subtopology, partition))
    }

    /// Whether any task of `other` is in this, in the same role.
    pub fn has_any(&self, other: &TaskSet) -> bool {
        other.each().any(|(role, subtopology, partition, _)| self.has(role, subtopology, partition))
    }
}

/// What a member says it has; `None` if it does not say.
pub(crate) fn owned_of(request: &StreamsGroupHeartbeatRequest<'_>) -> Option<TaskSet> {
    let lists = [
        (Role::Active, &request.active_tasks),
        (Role::Standby, &request.standby_tasks),
        (Role::Warmup, &request.warmup_tasks),
    ];
    if lists.iter().all(|(_, list)| list.is_none()) {
        return None;
    }
    let mut owned = TaskSet::default();
    for (role, list) in lists {
        for TaskIds { subtopology_id, partitions } in list.iter().flatten() {
            let subtopology = Arc::from(&**subtopology_id);
            partitions.iter().for_each(|partition| owned.add(role, &subtopology, *partition, 0));
        }
    }
    Some(owned)
}

/// Tasks in one of the wire's forms, which all have a subtopology and its partitions.
pub(crate) fn listed<T>(tasks: &Tasks, make: impl Fn(Str<'static>, Vec<i32>) -> T) -> Vec<T> {
    tasks
        .iter()
        .map(|(subtopology, partitions)| make(text(subtopology), partitions.keys().copied().collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_its_tasks_by_role() {
        let subtopology: Arc<str> = Arc::from("0");
        let mut set = TaskSet::default();
        assert!(set.is_empty());
        set.add(Role::Active, &subtopology, 1, 7);
        set.add(Role::Standby, &subtopology, 2, 7);
        assert_eq!(set.active["0"][&1], 7);
        assert_eq!(set.standby["0"][&2], 0, "the epoch of an active task is kept, no other");
        assert!(
            set.has(Role::Active, "0", 1)
                && !set.has(Role::Standby, "0", 1)
                && !set.has(Role::Active, "1", 1)
        );
        let bare = set.without_epochs();
        assert!(bare != set && bare.has_all(&set) && set.has_all(&bare));
        let mut other = TaskSet::default();
        other.add(Role::Standby, &subtopology, 1, 0);
        assert!(!set.has_any(&other));
        other.add(Role::Standby, &subtopology, 2, 0);
        assert!(set.has_any(&other) && !set.has_all(&other));
    }

    #[test]
    fn a_member_that_says_nothing_is_not_one_that_has_nothing() {
        let mut request = StreamsGroupHeartbeatRequest::default();
        assert_eq!(owned_of(&request), None);
        request.active_tasks = Some(vec![TaskIds { subtopology_id: "0".into(), partitions: vec![3, 1] }]);
        request.standby_tasks = Some(Vec::new());
        let owned = owned_of(&request).expect("it says");
        assert_eq!(owned.active["0"].keys().copied().collect::<Vec<i32>>(), [1, 3]);
        assert!(owned.standby.is_empty() && owned.warmup.is_empty());
    }
}
