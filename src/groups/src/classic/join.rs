//! JoinGroup of a classic group: who may join, and what that leads to.

use super::round::join_refused;
use super::{ClassicGroup, ClassicMember, ClassicState, protocols_of};
use crate::effects::{Response, Waiter};
use crate::request::Context;
use crate::scene::Scene;
use crate::timers::TimerKind;
use kafka_wire::ErrorCode;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use std::sync::Arc;

/// From this version on a dynamic member is given its id before it joins (KIP-394).
const ID_FIRST: i16 = 4;
/// How long a new member's join may wait before the member is taken for gone: it cannot heartbeat yet.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;
/// Client ids longer than this are cut in member ids, which must fit the wire's strings.
const MAX_NAME_IN_ID: usize = 1_000;

/// A join, and whoever sent it.
pub(crate) struct Join<'a> {
    pub request: &'a JoinGroupRequest<'a>,
    pub context: &'a Context<'a>,
    pub waiter: Waiter,
}

impl Join<'_> {
    /// Version 0 has one timeout for both.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        if self.context.version == 0 {
            self.request.session_timeout_ms
        } else {
            self.request.rebalance_timeout_ms
        }
    }

    pub fn instance(&self) -> Option<&str> {
        self.request.group_instance_id.as_deref()
    }

    pub fn refuse(&self, code: ErrorCode, member: &str, scene: &mut Scene<'_>) {
        self.answer(join_refused(code, member, self.context.version), scene);
    }

    pub fn answer(&self, response: JoinGroupResponse<'static>, scene: &mut Scene<'_>) {
        scene.out.answer(self.waiter, Response::JoinGroup(response), false);
    }

    /// True if the member has to come again with the id that it is told.
    pub fn must_know_its_id(&self) -> bool {
        self.context.version >= ID_FIRST && self.instance().is_none() && self.request.member_id.is_empty()
    }

    /// An id for the member: its instance id or its client's name, and a UUID.
    pub fn new_member_id(&self) -> Arc<str> {
        let name = self.instance().unwrap_or(self.context.client_id);
        let cut =
            (0..=name.len().min(MAX_NAME_IN_ID)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        Arc::from(format!("{}-{}", &name[..cut], self.context.fresh_uuid()))
    }

    fn accepted_by(&self, group: &ClassicGroup) -> bool {
        let names = self.request.protocols.iter().map(|one| &*one.name);
        group.accepts(&self.request.protocol_type, names)
    }

    /// The member as it describes itself.
    pub fn member(&self, id: Arc<str>) -> ClassicMember {
        ClassicMember {
            id,
            instance: self.instance().map(Arc::from),
            client_id: self.context.client_id.to_owned(),
            client_host: self.context.client_host.to_owned(),
            rebalance_timeout_ms: self.rebalance_timeout_ms(),
            session_timeout_ms: self.request.session_timeout_ms,
            protocols: protocols_of(&self.request.protocols),
            assignment: Vec::new(),
            joining: None,
            syncing: None,
            is_new: true,
        }
    }
}

impl ClassicGroup {
    /// JoinGroup.
    pub fn join(&mut self, join: &Join<'_>, scene: &mut Scene<'_>) {
        let id = &*join.request.member_id;
        if !self.has_room_for(id, scene.settings.max_size) {
            if let Some(member) = self.members.get(id) {
                scene.disarm(&self.id, Some(&member.id), TimerKind::Session);
            }
            self.remove(id);
            join.refuse(ErrorCode::GroupMaxSizeReached, "", scene);
        } else if !join.accepted_by(self) {
            join.refuse(ErrorCode::InconsistentGroupProtocol, id, scene);
        } else if !id.is_empty() {
            self.join_known(id, join, scene);
        } else if let Some(instance) = join.instance() {
            self.join_static(instance, join, scene);
        } else if join.must_know_its_id() {
            let id = join.new_member_id();
            scene.arm(&self.id, Some(&id), TimerKind::Session, join.request.session_timeout_ms);
            join.refuse(ErrorCode::MemberIdRequired, &id, scene);
            self.pending_join.insert(id);
        } else {
            self.add_and_rebalance(join.new_member_id(), join, scene);
        }
    }

    /// During a round those who have joined count, so that the last to come are those who are turned away when
    /// the limit was lowered.
    fn has_room_for(&self, id: &str, limit: usize) -> bool {
        let member = self.members.get(id);
        match self.state {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some()) || self.joined < limit
            }
            _ => member.is_some() || self.members.len() < limit,
        }
    }

    fn join_known(&mut self, id: &str, join: &Join<'_>, scene: &mut Scene<'_>) {
        if let (Some(pending), None) = (self.pending_join.get(id).cloned(), join.instance()) {
            return self.add_and_rebalance(pending, join, scene);
        }
        if let Err(refused) = self.check_member(id, join.instance()) {
            return join.refuse(refused.code, id, scene);
        }
        let offered = &join.request.protocols;
        let same = self.members.get(id).is_some_and(|member| {
            let mut pairs = member.protocols.iter().zip(offered);
            member.protocols.len() == offered.len()
                && pairs.all(|((name, metadata), new)| *name == *new.name && *metadata == *new.metadata)
        });
        match self.state {
            // It did not hear of the generation that it is in, or asks again without need.
            ClassicState::CompletingRebalance if same => {
                let answer = self.joined_answer(id, join.context.version, self.is_leader(id));
                join.answer(answer, scene);
            }
            ClassicState::Stable if same && !self.is_leader(id) => {
                join.answer(self.joined_answer(id, join.context.version, false), scene);
            }
            ClassicState::Empty => join.refuse(ErrorCode::UnknownMemberId, id, scene),
            _ => {
                self.update_and_park(id, join, scene);
                self.rebalance_or_complete(scene);
            }
        }
    }

    /// Takes in what a member says of itself now, and has its join wait.
    pub fn update_and_park(&mut self, id: &str, join: &Join<'_>, scene: &mut Scene<'_>) {
        self.update(id, |member| {
            member.protocols = protocols_of(&join.request.protocols);
            member.rebalance_timeout_ms = join.rebalance_timeout_ms();
            member.session_timeout_ms = join.request.session_timeout_ms;
        });
        let Some(key) = self.members.get(id).map(|member| member.id.clone()) else { return };
        let parked = scene.park(&self.id, &key, join.waiter, join.context.version);
        self.park_join(id, parked, scene);
    }

    /// Adds a member whose join waits, and starts a round or goes on with the one that runs.
    pub fn add_and_rebalance(&mut self, id: Arc<str>, join: &Join<'_>, scene: &mut Scene<'_>) {
        if self.initial.is_some() {
            self.newcomer = true;
        }
        let mut member = join.member(id.clone());
        member.joining = Some(scene.park(&self.id, &id, join.waiter, join.context.version));
        self.add(member, &join.request.protocol_type);
        scene.arm(&self.id, Some(&id), TimerKind::Session, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete(scene);
    }
}
