//! Groups of the streams protocol (KIP-1071): an application of Kafka Streams, whose tasks the coordinator shares out.
//!
//! - this module: a group, and how each part of it changes together with its record.
//! - [`topology`]: what the application is made of; [`configure`]: what that comes to with the topics there are.
//! - [`tasks`], [`member`]: what is shared out; who has it, and what it said.
//! - [`membership`]: heartbeats find their group; [`check`]: whether one can be taken; [`heartbeat`]: what it leads to.
//! - [`target`]: when the group's epoch goes up, and the target assignment; [`sticky`]: the assignor.
//! - [`reconcile`]: a member's next step towards its target.
//! - [`keep`]: decisions that the log takes, and those that are taken back.
//! - [`leave`]: members that go.
//! - [`state`]: what a group says of itself; [`endpoints`]: where the application can be asked for its state.
//! - [`records`]: its records; [`restore`]: reading them back.

pub(crate) mod check;
pub(crate) mod configure;
pub(crate) mod endpoints;
pub(crate) mod heartbeat;
pub(crate) mod keep;
pub(crate) mod leave;
pub(crate) mod member;
mod membership;
pub(crate) mod reconcile;
pub(crate) mod records;
pub(crate) mod restore;
pub(crate) mod state;
pub(crate) mod sticky;
pub(crate) mod target;
pub(crate) mod tasks;
pub(crate) mod topology;

use crate::effects::Record;
use configure::Configured;
use kafka_wire::messages::streams_group_target_assignment_member_value::{
    StreamsGroupTargetAssignmentMemberValue, TaskIds,
};
use member::{Member, Profile, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tasks::{Role, TaskSet, listed};
use topology::Topology;

/// The protocol type of such groups in lists.
pub(crate) const STREAMS_PROTOCOL: &str = "streams";

/// The epoch of a topology that no topics have been found for yet.
const NOT_VALIDATED: i32 = -1;

/// Members by task, a subtopology and a partition of it, each with its role.
type Holders = BTreeMap<(Arc<str>, i32), BTreeSet<(Role, Arc<str>)>>;

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct StreamsGroup {
    pub id: Arc<str>,
    /// Goes up when members, the topology or its topics change.
    pub epoch: i32,
    /// A digest of the topics that the topology needs, as the epoch knows them.
    pub metadata_hash: i64,
    /// The epoch of the topology that could run when the epoch last went up.
    pub validated_epoch: i32,
    /// Standby copies that the epoch was made for; `None` if that is not known.
    pub standby_replicas: Option<i32>,
    /// The epoch that the target was computed for.
    pub assignment_epoch: i32,
    /// When that was, if it ever was.
    pub assigned_ms: Option<i64>,
    pub members: BTreeMap<Arc<str>, Member>,
    pub targets: BTreeMap<Arc<str>, TaskSet>,
    /// Who has each task in which role, or has still to give it back.
    pub holders: Holders,
    pub topology: Option<Topology>,
    /// What the topology came to when it was last looked at; never in the log.
    pub configured: Option<Configured>,
    /// The version of the topics at that time.
    pub seen_topics: Option<i64>,
    /// The member that asked the whole application to end. Lost in a crash, as in Kafka.
    pub shutdown_by: Option<Arc<str>>,
    /// Goes up when something changes that those who query the application's state want to know. Not in the log:
    /// whoever has another one is told everything.
    pub endpoint_epoch: i32,
}

impl StreamsGroup {
    pub fn new(id: Arc<str>) -> StreamsGroup {
        StreamsGroup {
            id,
            epoch: 0,
            metadata_hash: 0,
            validated_epoch: NOT_VALIDATED,
            standby_replicas: None,
            assignment_epoch: 0,
            assigned_ms: None,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            holders: BTreeMap::new(),
            topology: None,
            configured: None,
            seen_topics: None,
            shutdown_by: None,
            endpoint_epoch: -1,
        }
    }

    /// The member, made if it is new.
    fn member_mut(&mut self, id: &Arc<str>) -> &mut Member {
        self.members.entry(id.clone()).or_insert_with(|| Member {
            id: id.clone(),
            profile: Profile::default(),
            progress: Progress::new(),
        })
    }

    /// Takes in what a member says of itself.
    pub fn put_profile(&mut self, id: &Arc<str>, profile: Profile) {
        self.member_mut(id).profile = profile;
    }

    /// Takes in what a member has.
    pub fn put_progress(&mut self, id: &Arc<str>, progress: Progress) {
        self.release(id);
        for (role, subtopology, partition) in progress.tasks() {
            let holders = self.holders.entry((subtopology.clone(), partition)).or_default();
            holders.insert((role, id.clone()));
        }
        self.member_mut(id).progress = progress;
    }

    fn release(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        for (role, subtopology, partition) in member.progress.tasks() {
            let task = (subtopology.clone(), partition);
            let Some(holders) = self.holders.get_mut(&task) else { continue };
            holders.remove(&(role, id.clone()));
            if holders.is_empty() {
                self.holders.remove(&task);
            }
        }
    }

    /// Takes a member out, with all that it had.
    pub fn remove(&mut self, id: &Arc<str>) {
        self.release(id);
        let Some(member) = self.members.remove(id) else { return };
        self.targets.remove(id);
        if member.profile.endpoint.is_some() {
            self.raise_endpoint_epoch();
        }
        if self.members.is_empty() {
            self.shutdown_by = None;
        }
    }

    /// Those who query the application's state have to be told anew.
    pub fn raise_endpoint_epoch(&mut self) {
        self.endpoint_epoch = self.endpoint_epoch.saturating_add(1);
    }

    /// Sets the topology. What it comes to is to be looked at anew.
    pub fn put_topology(&mut self, topology: Option<Topology>) {
        self.topology = topology;
        self.configured = None;
    }

    /// [`StreamsGroup::put_topology`], and its record.
    pub fn write_topology(&mut self, topology: Topology, out: &mut Vec<Record>) {
        out.push(records::topology(&self.id, &topology));
        self.put_topology(Some(topology));
    }

    /// [`StreamsGroup::put_profile`], and its record.
    pub fn write_profile(&mut self, id: &Arc<str>, profile: Profile, out: &mut Vec<Record>) {
        out.push(records::member(&self.id, id, &profile.value()));
        self.put_profile(id, profile);
    }

    /// [`StreamsGroup::put_progress`], and its record.
    pub fn write_progress(&mut self, id: &Arc<str>, progress: Progress, out: &mut Vec<Record>) {
        out.push(records::current(&self.id, id, &progress.value()));
        self.put_progress(id, progress);
    }

    /// Sets a member's target, and writes it.
    pub fn write_target(&mut self, id: &Arc<str>, target: TaskSet, out: &mut Vec<Record>) {
        let tasks = |role| {
            listed(target.of(role), |subtopology_id, partitions| TaskIds { subtopology_id, partitions })
        };
        let value = StreamsGroupTargetAssignmentMemberValue {
            active_tasks: tasks(Role::Active),
            standby_tasks: tasks(Role::Standby),
            warmup_tasks: tasks(Role::Warmup),
        };
        out.push(records::target_member(&self.id, id, &value));
        self.targets.insert(id.clone(), target);
    }

    /// [`StreamsGroup::remove`], and its tombstones.
    pub fn write_removal(&mut self, id: &Arc<str>, out: &mut Vec<Record>) {
        out.push(records::current_tombstone(&self.id, id));
        out.push(records::target_member_tombstone(&self.id, id));
        out.push(records::member_tombstone(&self.id, id));
        self.remove(id);
    }

    /// Everything that is written of the group is deleted.
    pub fn write_end(&self, out: &mut Vec<Record>) {
        for id in self.members.keys() {
            out.push(records::current_tombstone(&self.id, id));
            out.push(records::target_member_tombstone(&self.id, id));
        }
        out.push(records::target_tombstone(&self.id));
        for id in self.members.keys() {
            out.push(records::member_tombstone(&self.id, id));
        }
        out.push(records::topology_tombstone(&self.id));
        out.push(records::group_tombstone(&self.id));
    }
}
