//! ConsumerGroupHeartbeat: from what a member says to what it is told.

use super::ConsumerGroup;
use super::check::{self, JOINS};
use super::member::{LEFT_STATIC, MemberState, Owned, Profile, Progress, sorted_names, without_epochs};
use super::reconcile::Step;
use crate::assignors::Target;
use crate::records;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::settings::Settings;
use crate::sizes;
use crate::timers::TimerKind;
use crate::wire::{text, uuid};
use base::mistakes;
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::{self, ConsumerGroupHeartbeatRequest};
use kafka_wire::messages::consumer_group_heartbeat_response::{
    Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use model::TopicId;
use std::sync::Arc;

impl ConsumerGroup {
    /// A heartbeat that joins or stays; [`check::request`] has been there.
    pub fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse<'static>, Refused> {
        let id: Arc<str> = match self.members.get(&*request.member_id) {
            Some(member) => member.id.clone(),
            None if request.member_id.is_empty() => Arc::from(context.fresh_text()),
            None => Arc::from(&*request.member_id),
        };
        self.check_room(&id, scene.settings.consumer_max_size)?;
        let undo = self.before_heartbeat(request, context, scene);
        let count = self.members.len();
        self.admit(&id, request, scene)?;
        // One that is new is assigned something, if only nothing: it may subscribe to nothing yet.
        let mut changed = self.members.len() > count;
        if let Some(profile) = self.new_profile(&id, request, context) {
            changed |= self.take_profile(&id, profile, scene);
        }
        let gained = self.bring_on(&id, changed, request.topic_partitions.as_deref(), scene);
        self.keep(&id, undo, scene)?;
        let session_ms = scene.consumer_session_timeout_ms(&self.id);
        scene.arm(&self.id, Some(&id), TimerKind::Session, session_ms);
        let says_all = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let wants_all = request.member_epoch == JOINS || says_all;
        Ok(self.told(&id, wants_all || gained, scene))
    }

    fn told(
        &self,
        id: &Arc<str>,
        with_assignment: bool,
        scene: &Scene<'_>,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        let progress = self.members.get(id).map(|member| &member.progress);
        let assigned = progress
            .filter(|_| with_assignment)
            .map(|progress| Assignment { topic_partitions: told_partitions(&progress.assigned) });
        ConsumerGroupHeartbeatResponse {
            member_id: Some(text(id)),
            member_epoch: progress.map_or(0, |progress| progress.epoch),
            heartbeat_interval_ms: scene.consumer_heartbeat_interval_ms(&self.id),
            assignment: assigned,
            ..Default::default()
        }
    }

    /// Takes in what a member says; true if that changes what it subscribes to.
    pub fn take_profile(&mut self, id: &Arc<str>, profile: Profile, scene: &mut Scene<'_>) -> bool {
        let before = self.members.get(id).map(|member| (&member.profile.topics, &member.profile.regex));
        let changed = before != Some((&profile.topics, &profile.regex));
        self.write_profile(id, profile, &mut scene.out.records);
        changed
    }

    /// Brings group, target and this member up to date, in this order; true if the member's partitions changed.
    pub fn bring_on(
        &mut self,
        id: &Arc<str>,
        mut changed: bool,
        owned: Option<&[consumer_group_heartbeat_request::TopicPartitions]>,
        scene: &mut Scene<'_>,
    ) -> bool {
        changed |= self.refresh_patterns(scene);
        self.refresh_epoch(changed, scene);
        self.refresh_target(scene);
        self.step_on(id, owned, scene)
    }

    fn step_on(
        &mut self,
        id: &Arc<str>,
        owned: Option<&[consumer_group_heartbeat_request::TopicPartitions]>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        if member.progress.is_at(self.assignment_epoch) {
            return false;
        }
        let nothing = Target::new();
        let step = Step {
            target_epoch: self.assignment_epoch,
            target: self.targets.get(id).unwrap_or(&nothing),
            owned,
            is_free: |topic: TopicId, partition: i32| {
                !self.owners.contains_key(&(topic, partition)) || mistakes::is_made("two owners")
            },
        };
        let Some(next) = step.next(&member.progress) else { return false };
        let changed = without_epochs(&next.assigned) != without_epochs(&member.progress.assigned);
        let revoke_within = (next.state == MemberState::UnrevokedPartitions && !member.profile.is_classic())
            .then_some(member.profile.rebalance_timeout_ms);
        self.write_progress(id, next, &mut scene.out.records);
        match revoke_within {
            Some(timeout_ms) => scene.arm(&self.id, Some(id), TimerKind::Rebalance, timeout_ms),
            None => scene.disarm(&self.id, Some(id), TimerKind::Rebalance),
        }
        changed
    }

    /// Finds the member of a heartbeat, or makes it if it joins.
    fn admit(
        &mut self,
        id: &Arc<str>,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<(), Refused> {
        let joins = request.member_epoch == JOINS;
        let owned = request.topic_partitions.as_deref();
        let holder = request.instance_id.as_deref().and_then(|instance| self.statics.get(instance).cloned());
        match (&request.instance_id, holder) {
            (Some(instance), Some(holder)) if joins => {
                self.check_released(instance, &holder)?;
                self.check_place(&holder, id, scene.settings)?;
                self.replace(&holder, id, scene);
                Ok(())
            }
            (Some(instance), _) if !joins => {
                check::epoch(self.member_of(id, Some(&**instance))?, request.member_epoch, owned)
            }
            _ => match self.members.get(id) {
                Some(member) => check::epoch(member, request.member_epoch, owned),
                None if joins => {
                    self.put_progress(id, Progress::new());
                    Ok(())
                }
                None => Err(self.unknown_member(id)),
            },
        }
    }

    /// The place of a static member is free when it left for a while, or was of the classic protocol.
    fn check_released(&self, instance: &str, holder: &Arc<str>) -> Result<(), Refused> {
        let is_held = self
            .members
            .get(holder)
            .is_some_and(|member| !member.profile.is_classic() && member.progress.epoch != LEFT_STATIC);
        if is_held {
            let message = format!(
                "Static member with instance id {instance} cannot join the group because the instance id is owned \
                 by member {holder}."
            );
            return Err(Refused::new(ErrorCode::UnreleasedInstanceId, message));
        }
        Ok(())
    }

    /// Whoever takes a place has first written, under its own name, what the one before has said. The log may take less
    /// by now than it did then.
    pub fn check_place(&self, holder: &Arc<str>, id: &Arc<str>, settings: &Settings) -> Result<(), Refused> {
        let Some(old) = self.members.get(holder) else { return Ok(()) };
        sizes::check(records::member(&self.id, id, &old.profile.value()).bytes(), settings)
    }

    /// Gives a static member's place to another member id.
    pub fn replace(&mut self, holder: &Arc<str>, id: &Arc<str>, scene: &mut Scene<'_>) {
        let target = self.targets.get(holder).cloned().unwrap_or_default();
        self.cancel_timers(holder, scene);
        let out = &mut scene.out.records;
        let Some(old) = self.write_removal(holder, out) else { return };
        self.write_profile(id, old.profile, out);
        if mistakes::is_made("places of instances lost") {
            self.write_target(id, Target::new(), out);
            return self.write_progress(id, Progress::new(), out);
        }
        self.write_target(id, target, out);
        self.write_progress(id, Progress { epoch: 0, previous_epoch: 0, ..old.progress }, out);
    }

    pub fn cancel_timers(&self, id: &Arc<str>, scene: &mut Scene<'_>) {
        for kind in [TimerKind::Session, TimerKind::Join, TimerKind::Sync, TimerKind::Rebalance] {
            scene.disarm(&self.id, Some(id), kind);
        }
    }

    /// The profile that a heartbeat adds to: that of the member whose place it takes, if it does, else its own.
    pub fn said_before(&self, request: &ConsumerGroupHeartbeatRequest<'_>) -> Option<&Profile> {
        let instance = request.instance_id.as_deref().filter(|_| request.member_epoch == JOINS);
        let holder = instance.and_then(|instance| self.members.get(self.statics.get(instance)?));
        holder.or_else(|| self.members.get(&*request.member_id)).map(|member| &member.profile)
    }

    /// What the member says of itself now; `None` if that is nothing new, as it mostly is.
    fn new_profile(
        &self,
        id: &Arc<str>,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
    ) -> Option<Profile> {
        let known = &self.members.get(id)?.profile;
        if known.hears_nothing_new(request, context) {
            return None;
        }
        let mut profile = known.clone();
        if let Some(instance) = request.instance_id.as_deref() {
            profile.instance = Some(Arc::from(instance));
        }
        if let Some(rack) = request.rack_id.as_deref() {
            profile.rack = Some(rack.to_owned());
        }
        if let Some(assignor) = request.server_assignor.as_deref() {
            profile.assignor = Some(assignor.to_owned());
        }
        if let Some(names) = &request.subscribed_topic_names {
            profile.topics = sorted_names(names.iter().map(|name| name.to_string()));
        }
        if let Some(pattern) = request.subscribed_topic_regex.as_deref() {
            profile.regex = (!pattern.is_empty()).then(|| Arc::from(pattern));
        }
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        profile.client_id = context.client_id.to_owned();
        profile.client_host = context.client_host.to_owned();
        profile.classic = None;
        (profile != *known).then_some(profile)
    }
}

impl Profile {
    /// Whether a heartbeat says nothing of the member, as most do, and comes from the client that it was.
    pub fn hears_nothing_new(
        &self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
    ) -> bool {
        let says_nothing = request.subscribed_topic_names.is_none()
            && request.subscribed_topic_regex.is_none()
            && request.server_assignor.is_none()
            && request.rack_id.is_none()
            && request.rebalance_timeout_ms == -1
            && request.instance_id.as_deref() == self.instance.as_deref();
        says_nothing && context.is_from(&self.client_id, &self.client_host) && !self.is_classic()
    }
}

fn told_partitions(owned: &Owned) -> Vec<TopicPartitions> {
    let topics = owned.iter().map(|(topic, partitions)| TopicPartitions {
        topic_id: uuid(*topic),
        partitions: partitions.keys().copied().collect(),
    });
    topics.collect()
}
