//! ShareGroupHeartbeat: from what a member says to what it is told.

use super::ShareGroup;
use super::assign::{Candidate, assign};
use super::member::Profile;
use super::records;
use crate::assignors::Target;
use crate::consumer::member::sorted_names;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::{text, uuid};
use kafka_wire::ErrorCode;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::{
    Assignment, ShareGroupHeartbeatResponse, TopicPartitions,
};
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Joins the group.
pub(crate) const JOINS: i32 = 0;
/// Leaves it.
const LEAVES: i32 = -1;
/// The longest name of a member that Kafka takes, in UTF-16 units: that of a UUID.
const MEMBER_MAX: usize = 36;

/// Checks what can be checked without the group.
pub(crate) fn check(request: &ShareGroupHeartbeatRequest<'_>) -> Result<(), Refused> {
    let is_blank = |text: &str| text.trim().is_empty();
    if is_blank(&request.member_id) {
        return Err(Refused::invalid("MemberId can't be empty."));
    }
    if request.member_id.encode_utf16().count() > MEMBER_MAX {
        return Err(Refused::invalid("Invalid member id in the request."));
    }
    if is_blank(&request.group_id) {
        return Err(Refused::invalid("GroupId can't be empty."));
    }
    if request.rack_id.as_deref().is_some_and(is_blank) {
        return Err(Refused::invalid("RackId can't be empty."));
    }
    if request.member_epoch < LEAVES {
        return Err(Refused::invalid("MemberEpoch is invalid."));
    }
    let names = request.subscribed_topic_names.as_ref();
    if request.member_epoch == JOINS && names.is_none_or(Vec::is_empty) {
        return Err(Refused::invalid("SubscribedTopicNames must be set in first request."));
    }
    Ok(())
}

impl ShareGroup {
    /// A heartbeat; [`check`] has been there.
    pub fn heartbeat(
        &mut self,
        request: &ShareGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<ShareGroupHeartbeatResponse<'static>, Refused> {
        let id: Arc<str> = match self.members.get(&*request.member_id) {
            Some(member) => member.id.clone(),
            None if request.member_epoch == JOINS => Arc::from(&*request.member_id),
            None => return Err(self.unknown_member(&request.member_id)),
        };
        if request.member_epoch == LEAVES {
            self.drop_member(&id, scene);
            return Ok(ShareGroupHeartbeatResponse {
                member_id: Some(text(&id)),
                member_epoch: LEAVES,
                ..Default::default()
            });
        }
        self.check_room(&id, scene.settings.share_max_size)?;
        self.check_epoch(&id, request.member_epoch)?;
        let undo = self.before_heartbeat(request, context, scene);
        let changed = self.take_profile(&id, request, context, scene);
        self.refresh_epoch(changed, scene);
        self.refresh_target(scene);
        self.step_on(&id, scene);
        self.keep(&id, undo, scene)?;
        self.heard_of(&id, scene);
        // Of one that names an older epoch the last answer may have been lost, and what it said with it.
        let is_behind = self.members.get(&id).is_some_and(|member| member.epoch != request.member_epoch);
        let wants_all = is_behind || request.subscribed_topic_names.is_some();
        Ok(self.told(&id, wants_all, scene))
    }

    fn told(
        &self,
        id: &Arc<str>,
        with_assignment: bool,
        scene: &Scene<'_>,
    ) -> ShareGroupHeartbeatResponse<'static> {
        let member = self.members.get(id);
        let assigned = member.filter(|_| with_assignment).map(|member| {
            let topics = member.assigned.iter().map(|(topic, partitions)| TopicPartitions {
                topic_id: uuid(*topic),
                partitions: partitions.clone(),
            });
            Assignment { topic_partitions: topics.collect() }
        });
        let broker = scene.settings.share_heartbeat_interval_ms;
        ShareGroupHeartbeatResponse {
            member_id: Some(text(id)),
            member_epoch: member.map_or(0, |member| member.epoch),
            heartbeat_interval_ms: scene.of_group(&self.id, "share.heartbeat.interval.ms", broker),
            assignment: assigned,
            ..Default::default()
        }
    }

    /// After how much silence a member is taken for dead.
    pub fn session_timeout_ms(&self, scene: &Scene<'_>) -> i32 {
        scene.of_group(&self.id, "share.session.timeout.ms", scene.settings.share_session_timeout_ms)
    }

    fn unknown_member(&self, member: &str) -> Refused {
        Refused::unknown_member(&self.id, member)
    }

    fn check_room(&self, member: &str, limit: usize) -> Result<(), Refused> {
        if self.members.len() >= limit && !self.members.contains_key(member) {
            let message = format!("The share group has reached its maximum capacity of {limit} members.");
            return Err(Refused::new(ErrorCode::GroupMaxSizeReached, message));
        }
        Ok(())
    }

    /// An epoch may be the last but one: the answer with the new one may have been lost. A member may also begin anew
    /// at any time (KAFKA-19233).
    fn check_epoch(&self, id: &str, epoch: i32) -> Result<(), Refused> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        if epoch == JOINS || epoch == member.epoch || epoch == member.previous_epoch {
            return Ok(());
        }
        let (known, previous) = (member.epoch, member.previous_epoch);
        let (order, besides) = match epoch > known {
            true => ("greater", String::new()),
            false => ("smaller", format!(", and it does not match the previous member epoch ({previous})")),
        };
        let message = format!(
            "The share group member has a {order} member epoch ({epoch}) than the one known by the group coordinator \
             ({known}){besides}. The member must abandon all its partitions and rejoin."
        );
        Err(Refused::new(ErrorCode::FencedMemberEpoch, message))
    }

    /// Takes in what a member says; true if that changes what the group subscribes to, or who is in it.
    fn take_profile(
        &mut self,
        id: &Arc<str>,
        request: &ShareGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let known = self.members.get(id).map(|member| &member.profile);
        if known.is_some_and(|known| known.hears_nothing_new(request, context)) {
            return false;
        }
        let mut profile = known.cloned().unwrap_or_default();
        if let Some(rack) = request.rack_id.as_deref() {
            profile.rack = Some(rack.to_owned());
        }
        if let Some(names) = &request.subscribed_topic_names {
            profile.topics = sorted_names(names.iter().map(|name| name.to_string()));
        }
        profile.client_id = context.client_id.to_owned();
        profile.client_host = context.client_host.to_owned();
        if known == Some(&profile) {
            return false;
        }
        let changed = known.map(|known| &known.topics) != Some(&profile.topics);
        self.write_profile(id, profile, &mut scene.out.records);
        changed
    }

    /// Computes the target if it is behind, but not more often than the assignment interval allows.
    fn refresh_target(&mut self, scene: &mut Scene<'_>) {
        if self.epoch <= self.assignment_epoch {
            return;
        }
        let interval = scene.settings.share_assignment_interval_ms;
        let interval = i64::from(scene.of_group(&self.id, "share.assignment.interval.ms", interval));
        if self.assigned_ms.is_some_and(|at| (0..interval).contains(&scene.now.saturating_sub(at))) {
            return;
        }
        for (id, target) in self.compute(scene.topics) {
            if self.targets.get(&id) != Some(&target) {
                self.write_target(&id, target, &mut scene.out.records);
            }
        }
        self.assignment_epoch = self.epoch;
        self.assigned_ms = Some(scene.now);
        scene.out.records.push(records::target(&self.id, self.assignment_epoch, scene.now));
    }

    fn compute(&self, topics: &dyn Topics) -> Vec<(Arc<str>, Target)> {
        let mut counts: BTreeMap<TopicId, i32> = BTreeMap::new();
        let mut ids: BTreeMap<&str, TopicId> = BTreeMap::new();
        for name in self.named.keys() {
            if let Some(topic) = topics.by_name(name) {
                counts.insert(topic.id, topic.partitions);
                ids.insert(name, topic.id);
            }
        }
        let nothing = Target::new();
        let candidates = self.members.values().map(|member| {
            let topics = member.profile.topics.iter();
            let topics: BTreeSet<TopicId> =
                topics.filter_map(|name| ids.get(name.as_str()).copied()).collect();
            Candidate { topics, current: self.targets.get(&member.id).unwrap_or(&nothing) }
        });
        let candidates: Vec<Candidate<'_>> = candidates.collect();
        let targets = assign(&candidates, &counts);
        self.members.keys().cloned().zip(targets).collect()
    }

    /// Brings a member to its target.
    fn step_on(&mut self, id: &Arc<str>, scene: &mut Scene<'_>) {
        let epoch = self.assignment_epoch;
        let target = self.targets.get(id).cloned().unwrap_or_default();
        let Some(member) = self.members.get_mut(id).filter(|member| member.epoch != epoch) else { return };
        member.previous_epoch = member.epoch;
        member.epoch = epoch;
        member.assigned = target;
        scene.out.records.push(records::current(&self.id, id, &member.value()));
    }

    /// Takes a member out and raises the epoch.
    pub fn drop_member(&mut self, id: &Arc<str>, scene: &mut Scene<'_>) {
        scene.disarm(&self.id, Some(id), TimerKind::Session);
        self.write_removal(id, &mut scene.out.records);
        self.refresh_epoch(true, scene);
    }
}

impl Profile {
    /// Whether a heartbeat says nothing of the member, as most do, and comes from the client that it was.
    pub fn hears_nothing_new(&self, request: &ShareGroupHeartbeatRequest<'_>, context: &Context<'_>) -> bool {
        let says_nothing = request.subscribed_topic_names.is_none() && request.rack_id.is_none();
        says_nothing && context.is_from(&self.client_id, &self.client_host)
    }
}
