//! Whether a heartbeat of the streams protocol can be taken.

use super::StreamsGroup;
use super::member::Member;
use super::tasks::TaskSet;
use super::topology::{self, Topology};
use crate::request::Refused;
use kafka_wire::ErrorCode;
use kafka_wire::messages::streams_group_heartbeat_request::{StreamsGroupHeartbeatRequest, TaskIds};

/// Joins the group.
pub(crate) const JOINS: i32 = 0;
/// Leaves it for a while, as static members do.
const LEAVES_FOR_A_WHILE: i32 = -2;

fn require(holds: bool, otherwise: &str) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::invalid(otherwise)) }
}

fn not_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| !text.trim().is_empty())
}

/// Checks what can be checked without the group.
pub(crate) fn request(request: &StreamsGroupHeartbeatRequest<'_>) -> Result<(), Refused> {
    check_served(request)?;
    require(not_blank(Some(&request.member_id)), "MemberId can't be empty.")?;
    require(not_blank(Some(&request.group_id)), "GroupId can't be empty.")?;
    require(not_blank(request.rack_id.as_deref()), "RackId can't be empty.")?;
    match request.member_epoch {
        JOINS => check_join(request)?,
        LEAVES_FOR_A_WHILE => return Err(Refused::invalid("InstanceId can't be null.")),
        epoch if epoch < LEAVES_FOR_A_WHILE => {
            let message = format!("MemberEpoch is {epoch}, but must be greater than or equal to -2.");
            return Err(Refused::new(ErrorCode::InvalidRequest, message));
        }
        _ => {}
    }
    let lists = [&request.active_tasks, &request.standby_tasks, &request.warmup_tasks];
    let said = lists.iter().filter(|list| list.is_some()).count();
    require(said == 0 || said == lists.len(), "If one task-type is non-null, all must be non-null.")?;
    let is_join = request.member_epoch == JOINS;
    require(is_join || request.topology.is_none(), "Topology can only be provided when (re-)joining.")
}

/// Refuses what Kafka 4.3 does not serve of KIP-1071 either: static members, warm-up tasks and the offsets that decide
/// on them, source topics by patterns.
fn check_served(request: &StreamsGroupHeartbeatRequest<'_>) -> Result<(), Refused> {
    require(request.instance_id.is_none(), "Static membership is not yet supported.")?;
    require(request.task_offsets.is_none(), "TaskOffsets are not supported yet.")?;
    require(request.task_end_offsets.is_none(), "TaskEndOffsets are not supported yet.")?;
    let warms_up = request.warmup_tasks.as_ref().is_some_and(|tasks| !tasks.is_empty());
    require(!warms_up, "WarmupTasks are not supported yet.")?;
    let mut subtopologies = request.topology.iter().flat_map(|topology| topology.subtopologies.iter());
    let by_names = subtopologies.all(|subtopology| subtopology.source_topic_regex.is_empty());
    require(by_names, "Regular expressions for source topics are not supported yet.")
}

/// Checks what a member says that joins, or begins anew.
fn check_join(request: &StreamsGroupHeartbeatRequest<'_>) -> Result<(), Refused> {
    let is_empty = |list: &Option<Vec<TaskIds<'_>>>| list.as_ref().is_some_and(Vec::is_empty);
    require(request.rebalance_timeout_ms != -1, "RebalanceTimeoutMs must be provided in first request.")?;
    require(is_empty(&request.active_tasks), "ActiveTasks must be empty when (re-)joining.")?;
    require(is_empty(&request.standby_tasks), "StandbyTasks must be empty when (re-)joining.")?;
    require(is_empty(&request.warmup_tasks), "WarmupTasks must be empty when (re-)joining.")?;
    require(request.topology.is_some(), "Topology must be non-null when (re-)joining.")
}

/// Checks a member's epoch: it may be the last but one if the answer with the new one was lost. A member may also
/// begin anew at any time: it has nothing then.
pub(crate) fn epoch(member: &Member, epoch: i32, owned: Option<&TaskSet>) -> Result<(), Refused> {
    let known = member.progress.epoch;
    let has_no_more = || owned.is_some_and(|owned| member.progress.assigned.has_all(owned));
    let is_retry = epoch < known && epoch == member.progress.previous_epoch && has_no_more();
    if epoch == known || epoch == JOINS || is_retry {
        return Ok(());
    }
    let order = if epoch > known { "greater" } else { "smaller" };
    let message = format!(
        "The streams group member has a {order} member epoch ({epoch}) than the one known by the group \
         coordinator ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refused::new(ErrorCode::FencedMemberEpoch, message))
}

impl StreamsGroup {
    pub fn check_room(&self, member: &str, limit: usize) -> Result<(), Refused> {
        if self.members.len() >= limit && !self.members.contains_key(member) {
            let message = format!("The streams group has reached its maximum capacity of {limit} members.");
            return Err(Refused::new(ErrorCode::GroupMaxSizeReached, message));
        }
        Ok(())
    }

    /// Checks that the tasks are those of the topology, if it is known what these are.
    pub fn check_tasks(&self, owned: Option<&TaskSet>) -> Result<(), Refused> {
        let configured = self.configured.as_ref().filter(|configured| configured.is_ready());
        let (Some(configured), Some(owned)) = (configured, owned) else { return Ok(()) };
        for (_, subtopology, partition, _) in owned.each() {
            let Some(work) = configured.subtopologies.get(subtopology) else {
                let message = format!("Subtopology {subtopology} does not exist in the topology.");
                return Err(Refused::new(ErrorCode::InvalidRequest, message));
            };
            if !(0..work.tasks).contains(&partition) {
                let count = work.tasks;
                let message = format!(
                    "Task {partition} for subtopology {subtopology} is invalid. Number of tasks for this \
                     subtopology: {count}"
                );
                return Err(Refused::new(ErrorCode::InvalidRequest, message));
            }
        }
        Ok(())
    }

    /// The topology that a request brings, if the group has to take it: it has none yet.
    ///
    /// A group stays with its topology, as in Kafka 4.3. A member with an older epoch may join, and is told so.
    pub fn new_topology(
        &self,
        request: &StreamsGroupHeartbeatRequest<'_>,
    ) -> Result<Option<Topology>, Refused> {
        let Some(said) = &request.topology else {
            // Nobody can have joined without one; should the log have lost it, members bring it again.
            let is_known = self.topology.is_some();
            return if is_known { Ok(None) } else { Err(ErrorCode::FencedMemberEpoch.into()) };
        };
        if self.topology.as_ref().is_some_and(|known| known.epoch > said.epoch) {
            return Ok(None);
        }
        let brought = topology::brought(said);
        match &self.topology {
            Some(known) if *known == brought => Ok(None),
            Some(_) => Err(Refused::invalid("Topology updates are not supported yet.")),
            None => {
                topology::check(&brought)?;
                Ok(Some(brought))
            }
        }
    }

    pub fn unknown_member(&self, member: &str) -> Refused {
        Refused::unknown_member(&self.id, member)
    }

    /// Whether an offset commit or fetch with this epoch may be taken. A commit may be late, which each of its
    /// partitions answers for (KIP-1251): then it is `Ok(true)`.
    pub fn check_offsets(&self, member: &Member, epoch: i32, may_be_late: bool) -> Result<bool, Refused> {
        let known = member.progress.epoch;
        if epoch == known {
            return Ok(false);
        }
        if may_be_late && epoch < known && epoch > 0 {
            return Ok(true);
        }
        Err(ErrorCode::StaleMemberEpoch.into())
    }

    /// Whether a member has had the task that reads this partition since an epoch or longer.
    pub fn has_had(&self, member: &Member, topic: &str, partition: i32, epoch: i32) -> bool {
        let reader = self.topology.as_ref().and_then(|topology| topology::reader_of(topology, topic));
        let given_at = reader.and_then(|reader| member.progress.given_at(reader, partition));
        given_at.is_some_and(|given_at| given_at <= epoch)
    }
}
