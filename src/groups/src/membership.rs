//! The requests of members: each finds its group, of its protocol, and is handed on. Those of streams groups are in
//! `streams::membership`.

use crate::classic::join::Join;
use crate::classic::sync::sync_refused;
use crate::classic::{ClassicGroup, ClassicState};
use crate::consumer::check::{self, JOINS};
use crate::consumer::{ConsumerGroup, leave, legacy, migrate};
use crate::coordinator::{Call, Coordinator};
use crate::effects::{Effects, Response};
use crate::group::Group;
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::share::heartbeat as share;
use crate::sizes;
use crate::wire::text;
use base::mistakes;
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use std::sync::Arc;

/// From this version on LeaveGroup names any number of members.
const LEAVES_MANY: i16 = 3;

impl Coordinator {
    pub(crate) fn join(&mut self, call: &Call<'_>, request: &JoinGroupRequest<'_>, out: &mut Effects) {
        let join = Join { request, context: call.context, waiter: call.waiter };
        let limits = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        let refused = if request.group_id.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else if !limits.contains(&request.session_timeout_ms) {
            Some(ErrorCode::InvalidSessionTimeout)
        } else {
            None
        };
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        if let Some(code) = refused {
            return join.refuse(code, &request.member_id, &mut scene);
        }
        let id: Arc<str> = Arc::from(&*request.group_id);
        if let Some(slot @ Group::Consumer(_)) = groups.get_mut(&id)
            && !slot.is_empty()
        {
            if let Err(refused) = legacy::join(slot, &join, &mut scene) {
                join.refuse(refused.code, &request.member_id, &mut scene);
            }
            return;
        }
        if matches!(groups.get(&id), Some(Group::Share(_) | Group::Streams(_))) {
            return join.refuse(ErrorCode::InconsistentGroupProtocol, &request.member_id, &mut scene);
        }
        let mut is_new = false;
        if !matches!(groups.get(&id), Some(Group::Classic(_))) {
            // Nothing is made for somebody who will be turned away.
            let fits = !request.protocol_type.is_empty() && !request.protocols.is_empty();
            if !request.member_id.is_empty() || !fits {
                let unknown = !request.member_id.is_empty();
                let code =
                    if unknown { ErrorCode::UnknownMemberId } else { ErrorCode::InconsistentGroupProtocol };
                return join.refuse(code, &request.member_id, &mut scene);
            }
            if let Some(Group::Consumer(empty)) = groups.remove(&id) {
                empty.write_end(&mut scene.out.records);
            }
            groups.insert(id.clone(), Group::Classic(ClassicGroup::new(id.clone(), call.now)));
            is_new = true;
        }
        let Some(Group::Classic(group)) = groups.get_mut(&id) else { return };
        group.join(&join, &mut scene);
        if is_new {
            scene.out.records.push(group.empty_record());
        }
    }

    pub(crate) fn sync(&mut self, call: &Call<'_>, request: &SyncGroupRequest<'_>, out: &mut Effects) {
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let answer = match groups.get_mut(&*request.group_id) {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId.into()),
            None | Some(Group::Share(_) | Group::Streams(_)) => Err(ErrorCode::UnknownMemberId.into()),
            Some(Group::Classic(group)) => {
                return group.sync(request, call.context.version, call.waiter, &mut scene);
            }
            Some(Group::Consumer(group)) => group.classic_sync(request, &mut scene),
        };
        let answer = answer.unwrap_or_else(|refused: Refused| sync_refused(refused.code));
        let shows_state = answer.error_code == ErrorCode::None.code();
        out.answer(call.waiter, Response::SyncGroup(answer), shows_state);
    }

    pub(crate) fn heartbeat(&mut self, call: &Call<'_>, request: &HeartbeatRequest<'_>, out: &mut Effects) {
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let beat: Result<(), Refused> = match groups.get_mut(&*request.group_id) {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId.into()),
            None | Some(Group::Share(_) | Group::Streams(_)) => Err(ErrorCode::UnknownMemberId.into()),
            Some(Group::Classic(group)) => group.heartbeat(request, &mut scene),
            Some(Group::Consumer(group)) => group.classic_heartbeat(request, &mut scene),
        };
        let error_code = beat.err().map_or(ErrorCode::None, |refused| refused.code).code();
        let answer = HeartbeatResponse { error_code, ..Default::default() };
        out.answer(call.waiter, Response::Heartbeat(answer), false);
    }

    pub(crate) fn leave(&mut self, call: &Call<'_>, request: &LeaveGroupRequest<'_>, out: &mut Effects) {
        let leaves_one = call.context.version < LEAVES_MANY;
        let one = [MemberIdentity { member_id: request.member_id.clone(), ..Default::default() }];
        let leaving: &[MemberIdentity<'_>] = if leaves_one { &one } else { &request.members };
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let left = match groups.get_mut(&*request.group_id) {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId),
            None | Some(Group::Share(_) | Group::Streams(_)) => Err(ErrorCode::UnknownMemberId),
            Some(Group::Classic(group)) => Ok(group.leave(leaving, &mut scene)),
            Some(Group::Consumer(group)) => Ok(group.classic_leave(leaving, &mut scene)),
        };
        let answer = match left {
            Err(code) => LeaveGroupResponse { error_code: code.code(), ..Default::default() },
            Ok(members) if leaves_one => {
                let error_code = members.first().map_or(0, |member| member.error_code);
                LeaveGroupResponse { error_code, ..Default::default() }
            }
            Ok(members) => LeaveGroupResponse { members, ..Default::default() },
        };
        // Those who left a consumer group must not come back by a crash.
        out.answer(call.waiter, Response::LeaveGroup(answer), true);
    }

    pub(crate) fn consumer_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) {
        let answer = self.try_consumer_heartbeat(call, request, out);
        let shows_state = answer.is_ok();
        let answer = answer.unwrap_or_else(|refused| ConsumerGroupHeartbeatResponse {
            error_code: refused.code.code(),
            error_message: Some(text(&refused.message)),
            ..Default::default()
        });
        out.answer(call.waiter, Response::ConsumerGroupHeartbeat(answer), shows_state);
    }

    fn try_consumer_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatResponse<'static>, Refused> {
        let Coordinator { settings, groups, timers, parked, offsets, .. } = self;
        check::request(request, call.context.version, settings)?;
        let known = match groups.get(&*request.group_id) {
            Some(Group::Consumer(group)) => group.said_before(request),
            _ => None,
        };
        sizes::check_consumer(known, request, call.context, settings)?;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let name = &*request.group_id;
        let is_new = request.member_epoch == JOINS && !groups.contains_key(name);
        if is_new {
            let id: Arc<str> = Arc::from(name);
            groups.insert(id.clone(), Group::Consumer(ConsumerGroup::new(id)));
        }
        let Some(slot) = groups.get_mut(name) else {
            return Err(Refused::new(ErrorCode::GroupIdNotFound, format!("Group {name} not found.")));
        };
        if request.member_epoch < JOINS {
            return leave::leave(slot, request, &mut scene);
        }
        let mut before = None;
        if request.member_epoch == JOINS {
            let changes = matches!(slot, Group::Classic(_));
            before = to_consumer(slot, &mut scene)?;
            if changes && mistakes::is_made("offsets lost by an upgrade") {
                offsets.delete_group(name, &mut scene.out.records);
            }
        }
        let told = slot.consumer_mut()?.heartbeat(request, call.context, &mut scene);
        if told.is_err()
            && let Some(classic) = before
        {
            // Else the log would say that the group has ended, and its offsets would be nobody's.
            *slot = classic;
            scene.out.records.clear();
        }
        if is_new && told.is_err() {
            // Nothing is made for somebody who is turned away.
            groups.remove(name);
        }
        told
    }

    pub(crate) fn share_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &ShareGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) {
        let answer = self.try_share_heartbeat(call, request, out);
        let shows_state = answer.is_ok();
        let answer = answer.unwrap_or_else(|refused| ShareGroupHeartbeatResponse {
            error_code: refused.code.code(),
            error_message: Some(text(&refused.message)),
            ..Default::default()
        });
        out.answer(call.waiter, Response::ShareGroupHeartbeat(answer), shows_state);
    }

    fn try_share_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &ShareGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) -> Result<ShareGroupHeartbeatResponse<'static>, Refused> {
        share::check(request)?;
        let name = &*request.group_id;
        let known = match self.groups.get(name) {
            Some(Group::Share(group)) => group.members.get(&*request.member_id).map(|member| &member.profile),
            _ => None,
        };
        sizes::check_share(known, request, call.context, &self.settings)?;
        let is_new = request.member_epoch == share::JOINS && !self.groups.contains_key(name);
        if request.member_epoch == share::JOINS {
            self.share_for(name)?;
        }
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let told = match groups.get_mut(name) {
            Some(Group::Share(group)) => group.heartbeat(request, call.context, &mut scene),
            other => {
                let why = if other.is_some() { "is not a share group" } else { "not found" };
                Err(Refused::new(ErrorCode::GroupIdNotFound, format!("Group {name} {why}.")))
            }
        };
        if is_new && told.is_err() {
            groups.remove(name);
        }
        told
    }
}

/// Makes a consumer group of a classic one that a member of that protocol joins. If nobody was in that, it is returned:
/// it is to take its place again if the member is turned away. Whoever was about to join it has to begin anew.
fn to_consumer(slot: &mut Group, scene: &mut Scene<'_>) -> Result<Option<Group>, Refused> {
    let Group::Classic(classic) = slot else { return Ok(None) };
    if classic.state != ClassicState::Empty {
        migrate::check_upgrade(classic, scene.settings)?;
        let made = migrate::upgrade(classic, scene)?;
        *slot = Group::Consumer(made);
        return Ok(None);
    }
    classic.pending_join.clear();
    scene.timers.cancel_group(&classic.id);
    scene.out.records.push(records::classic_group_tombstone(&classic.id));
    let made = ConsumerGroup::new(classic.id.clone());
    Ok(Some(std::mem::replace(slot, Group::Consumer(made))))
}
