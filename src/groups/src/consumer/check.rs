//! Whether a heartbeat of the consumer protocol can be taken.

use super::ConsumerGroup;
use super::member::{LEFT_STATIC, Member, Owned};
use super::subscription::compiled;
use crate::request::Refused;
use crate::settings::{Assignor, Settings};
use crate::statics;
use crate::topics::Topic;
use crate::wire::topic_id;
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};

/// Joins the group.
pub(crate) const JOINS: i32 = 0;
/// Leaves it for good.
const LEFT: i32 = -1;
/// From this version on the client makes up its member id.
const CLIENT_MAKES_ID: i16 = 1;

fn require(holds: bool, otherwise: &str) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::invalid(otherwise)) }
}

fn not_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| !text.trim().is_empty())
}

/// Checks what can be checked without the group.
pub(crate) fn request(
    request: &ConsumerGroupHeartbeatRequest<'_>,
    version: i16,
    settings: &Settings,
) -> Result<(), Refused> {
    require(not_blank(Some(&request.group_id)), "GroupId can't be empty.")?;
    require(not_blank(request.instance_id.as_deref()), "InstanceId can't be empty.")?;
    require(not_blank(request.rack_id.as_deref()), "RackId can't be empty.")?;
    let epoch = request.member_epoch;
    if version >= CLIENT_MAKES_ID || epoch > JOINS || epoch == LEFT {
        require(not_blank(Some(&request.member_id)), "MemberId can't be empty.")?;
    }
    require(epoch >= LEFT_STATIC, "MemberEpoch is invalid.")?;
    if epoch == LEFT_STATIC {
        require(request.instance_id.is_some(), "InstanceId can't be null.")?;
    }
    if epoch == JOINS {
        let owned = request.topic_partitions.as_ref();
        require(request.rebalance_timeout_ms != -1, "RebalanceTimeoutMs must be provided in first request.")?;
        require(owned.is_some_and(Vec::is_empty), "TopicPartitions must be empty when (re-)joining.")?;
        // Either may be empty: a consumer whose own pattern matches no topic yet joins without any.
        let says = request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let either =
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
        require(says, either)?;
    }
    if let Some(name) = &request.server_assignor {
        let known = Assignor::named(name).filter(|one| settings.consumer_assignors.contains(one));
        if known.is_none() {
            let offered: Vec<&str> = settings.consumer_assignors.iter().map(|one| one.name()).collect();
            let message = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                offered.join(", ")
            );
            return Err(Refused::new(ErrorCode::UnsupportedAssignor, message));
        }
    }
    if let Some(pattern) = request.subscribed_topic_regex.as_deref().filter(|pattern| !pattern.is_empty()) {
        compiled(pattern)?;
    }
    Ok(())
}

/// Whether a member says that it has nothing but what it was given.
fn has_no_more(owned: Option<&[TopicPartitions]>, assigned: &Owned) -> bool {
    let Some(owned) = owned else { return false };
    owned.iter().all(|topic| {
        let given = assigned.get(&topic_id(topic.topic_id));
        given.is_some_and(|given| topic.partitions.iter().all(|partition| given.contains_key(partition)))
    })
}

/// Checks a member's epoch: it may be the last but one if the answer with the new one was lost. A member may also
/// begin anew at any time (KAFKA-19233): it has nothing then.
pub(crate) fn epoch(member: &Member, epoch: i32, owned: Option<&[TopicPartitions]>) -> Result<(), Refused> {
    let known = member.progress.epoch;
    let is_retry = epoch == member.progress.previous_epoch && has_no_more(owned, &member.progress.assigned);
    if epoch == known || epoch == JOINS || (epoch < known && is_retry) {
        return Ok(());
    }
    let order = if epoch > known { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {order} member epoch ({epoch}) than the one known by the group \
         coordinator ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refused::new(ErrorCode::FencedMemberEpoch, message))
}

/// A member of the classic protocol calls its epoch a generation.
fn bad_epoch(member: &Member) -> ErrorCode {
    if member.profile.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}

impl ConsumerGroup {
    pub fn check_room(&self, member: &str, limit: usize) -> Result<(), Refused> {
        if self.members.len() >= limit && !self.members.contains_key(member) {
            let message = format!("The consumer group has reached its maximum capacity of {limit} members.");
            return Err(Refused::new(ErrorCode::GroupMaxSizeReached, message));
        }
        Ok(())
    }

    pub fn unknown_member(&self, member: &str) -> Refused {
        Refused::unknown_member(&self.id, member)
    }

    /// The member of a request, by its id or, where it names an instance, by both.
    pub fn member_of(&self, id: &str, instance: Option<&str>) -> Result<&Member, Refused> {
        statics::member_of(&self.id, &self.members, &self.statics, id, instance)
    }

    /// Whether an offset commit or fetch with this epoch may be taken. A commit may be late, which each of its
    /// partitions answers for (KIP-1251): then it is `Ok(true)`.
    pub fn check_offsets(&self, member: &Member, epoch: i32, may_be_late: bool) -> Result<bool, Refused> {
        let known = member.progress.epoch;
        if epoch == known {
            return Ok(false);
        }
        if may_be_late && epoch < known {
            return Ok(true);
        }
        Err(bad_epoch(member).into())
    }

    /// Whether a member has had all these partitions since an epoch or longer.
    pub fn check_late(&self, member: &Member, epoch: i32, all: &[(Topic, i32)]) -> Result<(), Refused> {
        let had = |(topic, partition): &(Topic, i32)| {
            let given_at = member.progress.given_at(topic.id, *partition);
            given_at.is_some_and(|given_at| given_at <= epoch)
        };
        if all.iter().all(had) { Ok(()) } else { Err(bad_epoch(member).into()) }
    }
}
