//! Members of the classic protocol in a consumer group: JoinGroup is how they say what they subscribe to and have
//! given back, SyncGroup how they learn what they have, and their generation is the member epoch.

use super::ConsumerGroup;
use super::member::{ClassicSide, Member, MemberState, Profile, Progress, sorted_names};
use super::migrate;
use crate::classic::join::Join;
use crate::classic::{CONSUMER_PROTOCOL, protocols_of};
use crate::effects::Response;
use crate::group::Group;
use crate::request::Refused;
use crate::scene::Scene;
use crate::sizes;
use crate::timers::{Timer, TimerKind};
use crate::topics::Topics;
use crate::wire::{embed_assignment, embedded_version, optional_text, subscription, text, uuid};
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::leave_group_request::MemberIdentity;
use kafka_wire::messages::leave_group_response::MemberResponse;
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use std::borrow::Cow;
use std::sync::Arc;

/// JoinGroup to a consumer group with members. Whoever replaces the last static member of the consumer protocol
/// makes it a classic group.
///
/// # Errors
/// What the join is to be answered with; it has been answered otherwise.
pub(crate) fn join(slot: &mut Group, join: &Join<'_>, scene: &mut Scene<'_>) -> Result<(), Refused> {
    let group = slot.consumer_mut()?;
    let request = join.request;
    let is_unknown = request.member_id.is_empty();
    let id: Arc<str> =
        if is_unknown { Arc::from(join.context.fresh_text()) } else { Arc::from(&*request.member_id) };
    group.check_room(&id, scene.settings.consumer_max_size)?;
    let protocol = group.common_protocol(request).ok_or(ErrorCode::InconsistentGroupProtocol)?;
    if is_unknown && join.must_know_its_id() {
        join.refuse(ErrorCode::MemberIdRequired, &id, scene);
        return Ok(());
    }
    let says = subscription(protocol).ok_or(ErrorCode::InconsistentGroupProtocol)?;
    let holder = join.instance().and_then(|instance| group.members.get(group.statics.get(instance)?));
    let known = holder.or_else(|| group.members.get(&id)).map(|member| &member.profile);
    sizes::check_joining(known, join, &says, scene.settings)?;
    let undo = group.before_join(&id, says.topics.iter().map(|topic| &**topic), scene);
    let replaced = group.admit_classic(&id, join, scene)?;
    let owned = owned_partitions(&says, scene.topics);
    let mut changed = false;
    if let Some(profile) = group.classic_profile(&id, join, &says) {
        changed = group.take_profile(&id, profile, scene);
    }
    group.bring_on(&id, changed, Some(&owned), scene);
    group.keep(&id, undo, scene)?;
    let epoch = group.members.get(&id).map_or(0, |member| member.progress.epoch);
    let answer = JoinGroupResponse {
        member_id: text(&id),
        generation_id: epoch,
        protocol_type: Some(text(CONSUMER_PROTOCOL)),
        protocol_name: request.protocols.first().map(|protocol| text(&protocol.name)),
        ..Default::default()
    };
    let may_downgrade = replaced && migrate::can_downgrade(group, scene.settings);
    if may_downgrade && let Some(classic) = migrate::downgrade(group, None, scene) {
        *slot = Group::Classic(classic);
    } else {
        scene.disarm(&group.id, Some(&id), TimerKind::Join);
        scene.arm(&group.id, Some(&id), TimerKind::Session, request.session_timeout_ms);
        scene.arm(&group.id, Some(&id), TimerKind::Sync, join.rebalance_timeout_ms());
    }
    scene.out.answer(join.waiter, Response::JoinGroup(answer), true);
    Ok(())
}

/// The partitions that a joining member still has, by the topics that are there.
fn owned_partitions(says: &ConsumerProtocolSubscription<'_>, topics: &dyn Topics) -> Vec<TopicPartitions> {
    let known = says.owned_partitions.iter().filter_map(|owned| {
        let topic = topics.by_name(&owned.topic)?;
        Some(TopicPartitions { topic_id: uuid(topic.id), partitions: owned.partitions.clone() })
    });
    known.collect()
}

impl ConsumerGroup {
    /// What a member embeds in its first protocol, if it has one in common with the other classic members.
    fn common_protocol<'r>(&self, request: &'r JoinGroupRequest<'_>) -> Option<&'r [u8]> {
        let is_common =
            |name: &str| self.classic_offers.get(name).copied().unwrap_or(0) == self.classic_members;
        let fits = request.protocol_type == CONSUMER_PROTOCOL
            && request.protocols.iter().any(|protocol| is_common(&protocol.name));
        request.protocols.first().filter(|_| fits).map(|protocol| &*protocol.metadata)
    }

    /// Finds or makes the member of a join; true if it takes the place of one of the consumer protocol.
    fn admit_classic(
        &mut self,
        id: &Arc<str>,
        join: &Join<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<bool, Refused> {
        let instance = join.instance();
        let holder = instance.and_then(|instance| self.statics.get(instance).cloned());
        match (instance, holder) {
            (Some(_), Some(holder)) if join.request.member_id.is_empty() => {
                let was_classic = self.members.get(&holder).is_some_and(|member| member.profile.is_classic());
                self.check_place(&holder, id, scene.settings)?;
                self.replace(&holder, id, scene);
                Ok(!was_classic)
            }
            (Some(instance), _) if !join.request.member_id.is_empty() => {
                self.member_of(id, Some(instance)).map(|_| false)
            }
            _ => {
                if !self.members.contains_key(id) {
                    self.put_progress(id, Progress::new());
                }
                Ok(false)
            }
        }
    }

    fn classic_profile(
        &self,
        id: &Arc<str>,
        join: &Join<'_>,
        says: &ConsumerProtocolSubscription<'_>,
    ) -> Option<Profile> {
        let known = &self.members.get(id)?.profile;
        let profile = Profile {
            instance: join.instance().map(Arc::from).or_else(|| known.instance.clone()),
            rack: says.rack_id.as_deref().map(str::to_owned).or_else(|| known.rack.clone()),
            client_id: join.context.client_id.to_owned(),
            client_host: join.context.client_host.to_owned(),
            topics: sorted_names(says.topics.iter().map(|topic| topic.to_string())),
            regex: None,
            rebalance_timeout_ms: join.rebalance_timeout_ms(),
            assignor: known.assignor.clone(),
            classic: Some(ClassicSide {
                session_timeout_ms: join.request.session_timeout_ms,
                protocols: protocols_of(&join.request.protocols),
            }),
        };
        (profile != *known).then_some(profile)
    }

    /// The classic member of a request, at the generation that it says.
    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(&Member, &ClassicSide), Refused> {
        let member = self.member_of(id, instance)?;
        let classic = member.profile.classic.as_ref().ok_or_else(|| self.unknown_member(id))?;
        if generation != member.progress.epoch {
            return Err(ErrorCode::IllegalGeneration.into());
        }
        Ok((member, classic))
    }

    /// Starts the time within which a member has to join again, unless it runs.
    fn expect_join(&self, member: &Member, scene: &mut Scene<'_>) {
        let kind = TimerKind::Join;
        let timer = Timer { group: self.id.clone(), member: Some(member.id.clone()), kind };
        if !scene.timers.is_set(&timer) {
            scene.arm(&self.id, Some(&member.id), kind, member.profile.rebalance_timeout_ms);
        }
    }

    /// SyncGroup of a classic member.
    pub fn classic_sync(
        &self,
        request: &SyncGroupRequest<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<SyncGroupResponse<'static>, Refused> {
        let instance = request.group_instance_id.as_deref();
        let (member, classic) = self.classic_member(&request.member_id, instance, request.generation_id)?;
        let chosen = classic.protocols.first();
        let other_type = request.protocol_type.as_deref().is_some_and(|asked| asked != CONSUMER_PROTOCOL);
        let other_name = request.protocol_name.as_deref();
        let other_name = other_name.is_some_and(|asked| chosen.is_none_or(|(name, _)| name != asked));
        if other_type || other_name {
            return Err(ErrorCode::InconsistentGroupProtocol.into());
        }
        let revokes = member.progress.state == MemberState::UnrevokedPartitions;
        if self.assignment_epoch > member.progress.epoch && !revokes {
            self.expect_join(member, scene);
            return Err(ErrorCode::RebalanceInProgress.into());
        }
        let named = member.progress.assigned.iter().filter_map(|(topic, partitions)| {
            let topic = scene.topics.by_id(*topic)?;
            Some((topic.name.to_string(), partitions.keys().copied().collect()))
        });
        let version = chosen.and_then(|(_, metadata)| embedded_version(metadata)).unwrap_or(0);
        let assignment = embed_assignment(named.collect(), version);
        scene.disarm(&self.id, Some(&member.id), TimerKind::Sync);
        scene.arm(&self.id, Some(&member.id), TimerKind::Session, classic.session_timeout_ms);
        Ok(SyncGroupResponse {
            protocol_type: optional_text(request.protocol_type.as_deref()),
            protocol_name: optional_text(request.protocol_name.as_deref()),
            assignment: Cow::Owned(assignment),
            ..Default::default()
        })
    }

    /// Heartbeat of a classic member: REBALANCE_IN_PROGRESS if it has reason to join again.
    pub fn classic_heartbeat(
        &self,
        request: &HeartbeatRequest<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<(), Refused> {
        let instance = request.group_instance_id.as_deref();
        let (member, classic) = self.classic_member(&request.member_id, instance, request.generation_id)?;
        scene.arm(&self.id, Some(&member.id), TimerKind::Session, classic.session_timeout_ms);
        let progress = &member.progress;
        let has_reason = progress.epoch < self.assignment_epoch
            || self.is_target_due(scene)
            || progress.state == MemberState::UnrevokedPartitions
            || (progress.state == MemberState::UnreleasedPartitions && !self.waits_for_others(member));
        if has_reason {
            self.expect_join(member, scene);
            return Err(ErrorCode::RebalanceInProgress.into());
        }
        Ok(())
    }

    /// Whether anything that the member shall have is still with others.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.targets.get(&member.id).into_iter().flatten();
        let wanted = target.flat_map(|(topic, partitions)| partitions.iter().map(move |one| (*topic, *one)));
        let mut missing = wanted.filter(|(topic, partition)| {
            member.progress.assigned.get(topic).is_none_or(|assigned| !assigned.contains_key(partition))
        });
        missing.any(|partition| self.owners.contains_key(&partition))
    }

    /// LeaveGroup of classic members.
    pub fn classic_leave(
        &mut self,
        members: &[MemberIdentity<'_>],
        scene: &mut Scene<'_>,
    ) -> Vec<MemberResponse<'static>> {
        let mut left: Vec<Arc<str>> = Vec::new();
        let mut answers = Vec::with_capacity(members.len());
        for leaving in members {
            let instance = leaving.group_instance_id.as_deref();
            let found = self.leaving_member(&leaving.member_id, instance);
            let found = found
                .and_then(|id| if left.contains(&id) { Err(ErrorCode::UnknownMemberId) } else { Ok(id) });
            answers.push(MemberResponse {
                member_id: text(found.as_deref().unwrap_or(&leaving.member_id)),
                group_instance_id: optional_text(instance),
                error_code: found.as_ref().err().copied().unwrap_or(ErrorCode::None).code(),
            });
            left.extend(found);
        }
        if !left.is_empty() {
            self.drop_members(&left, scene);
        }
        answers
    }

    fn leaving_member(&self, id: &str, instance: Option<&str>) -> Result<Arc<str>, ErrorCode> {
        let holder = instance.and_then(|instance| self.statics.get(instance));
        // An administrator names the instance only.
        let id = match holder {
            Some(holder) if id.is_empty() => &**holder,
            _ => id,
        };
        let member = self.member_of(id, instance).map_err(|refused| refused.code)?;
        if member.profile.is_classic() { Ok(member.id.clone()) } else { Err(ErrorCode::UnknownMemberId) }
    }
}
