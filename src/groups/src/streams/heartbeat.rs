//! StreamsGroupHeartbeat: from what a member says to what it is told.

use super::StreamsGroup;
use super::check::{self, JOINS};
use super::configure::Status;
use super::member::{Member, MemberState, Profile, Progress};
use super::reconcile::Step;
use super::target::Wait;
use super::tasks::{Role, TaskSet, listed, owned_of};
use crate::effects::StreamsHeartbeat;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::settings::StreamsSettings;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::text;
use kafka_wire::Str;
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use kafka_wire::messages::streams_group_heartbeat_response::{
    self as told, StreamsGroupHeartbeatResponse, TaskIds,
};
use std::sync::Arc;

impl StreamsGroup {
    /// A heartbeat that joins or stays; [`check::request`] has been there. Nothing has changed if it is refused.
    pub fn heartbeat(
        &mut self,
        request: &StreamsGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<StreamsHeartbeat, Refused> {
        let settings = scene.streams_settings(&self.id);
        let owned = owned_of(request);
        self.check_room(&request.member_id, settings.max_size)?;
        self.check_tasks(owned.as_ref())?;
        let topology = self.new_topology(request)?;
        let was_empty = self.members.is_empty();
        let id: Arc<str> = match self.members.get(&*request.member_id) {
            Some(member) => member.id.clone(),
            None => Arc::from(&*request.member_id),
        };
        let undo = self.before_heartbeat(request, context, settings, scene);
        let is_new = self.admit(&id, request, owned.as_ref())?;
        let known_epoch = self.members.get(&id).map(|member| member.progress.epoch);
        let is_behind = known_epoch.is_some_and(|epoch| epoch != request.member_epoch);
        let mut changed = self.take_profile(&id, is_new, request, context, scene);
        if let Some(topology) = topology {
            self.write_topology(topology, &mut scene.out.records);
            changed = true;
        }
        self.refresh_epoch(changed, settings, scene);
        if was_empty && settings.initial_rebalance_delay_ms > 0 {
            scene.arm(&self.id, None, TimerKind::Delay, settings.initial_rebalance_delay_ms);
        }
        let wait = self.refresh_target(settings, scene);
        let gained = self.step_on(&id, owned.as_ref(), wait, scene);
        scene.arm(&self.id, Some(&id), TimerKind::Session, settings.session_timeout_ms);
        if request.shutdown_application {
            self.shutdown_by = Some(id.clone());
        }
        let joins = request.member_epoch == JOINS;
        self.note_endpoint(&id, joins || gained);
        self.keep(undo, scene)?;
        // A member that begins anew after an error says all that it has.
        let says_all = request.rebalance_timeout_ms != -1 && owned.is_some();
        let with_tasks = joins || gained || is_behind || says_all;
        Ok(self.told(&id, request.endpoint_information_epoch, with_tasks, wait, (settings, scene.topics)))
    }

    /// Finds the member of a heartbeat, or makes it if it joins: then it is true.
    fn admit(
        &mut self,
        id: &Arc<str>,
        request: &StreamsGroupHeartbeatRequest<'_>,
        owned: Option<&TaskSet>,
    ) -> Result<bool, Refused> {
        match self.members.get(id) {
            Some(member) => check::epoch(member, request.member_epoch, owned).map(|()| false),
            None if request.member_epoch == JOINS => {
                self.put_progress(id, Progress::new());
                Ok(true)
            }
            None => Err(self.unknown_member(id)),
        }
    }

    /// Takes in what a member says of itself; true if assignments may depend on it.
    fn take_profile(
        &mut self,
        id: &Arc<str>,
        is_new: bool,
        request: &StreamsGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let Some(known) = self.members.get(id).map(|member| &member.profile) else { return false };
        if !is_new && known.hears_nothing_new(request, context) {
            return false;
        }
        let profile = with_said(known.clone(), id, request, context);
        let weighs = is_new || profile.weighs_against(known);
        let moved = profile.endpoint != known.endpoint;
        if is_new || profile != *known {
            self.write_profile(id, profile, &mut scene.out.records);
        }
        if moved && !is_new {
            self.raise_endpoint_epoch();
        }
        weighs
    }

    /// Brings a member nearer to its target; true if its tasks changed.
    fn step_on(
        &mut self,
        id: &Arc<str>,
        owned: Option<&TaskSet>,
        wait: Option<Wait>,
        scene: &mut Scene<'_>,
    ) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        let nothing = TaskSet::default();
        let (target_epoch, target) = match wait {
            // An epoch that says that the member is in, and has no tasks.
            Some(Wait::ForMembers) => (self.assignment_epoch.max(1), &nothing),
            _ => (self.assignment_epoch, self.targets.get(id).unwrap_or(&nothing)),
        };
        if member.progress.is_at(target_epoch) {
            return false;
        }
        let is_free = |role: Role, subtopology: &Arc<str>, partition: i32| {
            self.is_free(member, role, subtopology, partition)
        };
        let Some(next) = (Step { target_epoch, target, owned, is_free }).next(&member.progress) else {
            return false;
        };
        let changed = next.assigned.without_epochs() != member.progress.assigned.without_epochs();
        let revokes = next.state == MemberState::UnrevokedTasks;
        let revoke_within = revokes.then_some(member.profile.rebalance_timeout_ms);
        self.write_progress(id, next, &mut scene.out.records);
        match revoke_within {
            Some(timeout_ms) => scene.arm(&self.id, Some(id), TimerKind::Rebalance, timeout_ms),
            None => scene.disarm(&self.id, Some(id), TimerKind::Rebalance),
        }
        changed
    }

    /// Whether no other member stands in the way of giving a task to this one in a role.
    fn is_free(&self, member: &Member, role: Role, subtopology: &Arc<str>, partition: i32) -> bool {
        let Some(holders) = self.holders.get(&(subtopology.clone(), partition)) else { return true };
        holders.iter().filter(|(_, holder)| *holder != member.id).all(|(held, holder)| {
            let other = self.members.get(holder);
            let is_near = other.is_some_and(|other| other.profile.process == member.profile.process);
            !(is_near || role == Role::Active && *held == Role::Active)
        })
    }

    /// What a member has changed: those who query the application's state look for it where it is.
    fn note_endpoint(&mut self, id: &Arc<str>, changed: bool) {
        let has_endpoint = self.members.get(id).is_some_and(|member| member.profile.endpoint.is_some());
        if changed && has_endpoint {
            self.raise_endpoint_epoch();
        }
    }

    fn told(
        &self,
        id: &Arc<str>,
        endpoint_epoch: i32,
        with_tasks: bool,
        wait: Option<Wait>,
        (settings, topics): (StreamsSettings, &dyn Topics),
    ) -> StreamsHeartbeat {
        let member = self.members.get(id);
        let assigned = member.filter(|_| with_tasks).map(|member| &member.progress.assigned);
        let one = |subtopology_id: Str<'static>, partitions: Vec<i32>| TaskIds { subtopology_id, partitions };
        let tasks = |role| assigned.map(|assigned| listed(assigned.of(role), one));
        let shows_endpoints = self.endpoint_epoch != endpoint_epoch;
        let response = StreamsGroupHeartbeatResponse {
            member_id: text(id),
            member_epoch: member.map_or(0, |member| member.progress.epoch),
            heartbeat_interval_ms: settings.heartbeat_interval_ms,
            status: Some(self.statuses(id, wait)),
            active_tasks: tasks(Role::Active),
            standby_tasks: tasks(Role::Standby),
            warmup_tasks: tasks(Role::Warmup),
            endpoint_information_epoch: self.endpoint_epoch,
            partitions_by_user_endpoint: shows_endpoints.then(|| self.endpoints(topics)),
            ..Default::default()
        };
        let create = self.configured.as_ref().map(|configured| configured.missing.clone());
        StreamsHeartbeat { response, create: create.unwrap_or_default() }
    }

    fn statuses(&self, id: &Arc<str>, wait: Option<Wait>) -> Vec<told::Status<'static>> {
        let mut statuses = Vec::new();
        let mut add = |status: Status, detail: String| {
            statuses.push(told::Status { status_code: status as i8, status_detail: Str::Owned(detail) });
        };
        let member_epoch = self.members.get(id).map_or(0, |member| member.profile.topology_epoch);
        if let Some(known) = self.topology.as_ref().filter(|topology| member_epoch < topology.epoch) {
            let known = known.epoch;
            let detail = format!("The member's topology has epoch {member_epoch}, the group's has {known}.");
            add(Status::StaleTopology, detail);
        }
        if let Some(wait) = wait {
            add(Status::AssignmentDelayed, wait.detail().to_owned());
        }
        if let Some(problem) = self.configured.as_ref().and_then(|configured| configured.problem.as_ref()) {
            add(problem.status, problem.detail.clone());
        }
        if let Some(by) = &self.shutdown_by {
            add(Status::ShutdownApplication, format!("Member {by} asks the whole application to end."));
        }
        statuses
    }
}

impl Profile {
    /// Whether a heartbeat says nothing of the member, as most do, and comes from the client that it was.
    pub fn hears_nothing_new(
        &self,
        request: &StreamsGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
    ) -> bool {
        let says_nothing = request.rack_id.is_none()
            && request.topology.is_none()
            && request.process_id.is_none()
            && request.user_endpoint.is_none()
            && request.client_tags.is_none()
            && request.rebalance_timeout_ms == -1;
        says_nothing && context.is_from(&self.client_id, &self.client_host)
    }
}

fn with_said(
    mut profile: Profile,
    id: &Arc<str>,
    request: &StreamsGroupHeartbeatRequest<'_>,
    context: &Context<'_>,
) -> Profile {
    if let Some(rack) = request.rack_id.as_deref() {
        profile.rack = Some(rack.to_owned());
    }
    if let Some(topology) = &request.topology {
        profile.topology_epoch = topology.epoch;
    }
    if let Some(process) = request.process_id.as_deref() {
        process.clone_into(&mut profile.process);
    }
    if profile.process.is_empty() {
        // Without a name the member is a process of its own.
        profile.process = id.to_string();
    }
    if let Some(endpoint) = &request.user_endpoint {
        profile.endpoint = Some((endpoint.host.to_string(), endpoint.port));
    }
    if let Some(tags) = &request.client_tags {
        profile.tags = tags.iter().map(|tag| (tag.key.to_string(), tag.value.to_string())).collect();
    }
    if request.rebalance_timeout_ms != -1 {
        profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    profile.client_id = context.client_id.to_owned();
    profile.client_host = context.client_host.to_owned();
    profile
}
