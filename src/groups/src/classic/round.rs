//! Rounds of joins: from the first member's wish to a generation that all have heard of.

use super::{ClassicGroup, ClassicState, InitialDelay};
use crate::effects::Response;
use crate::scene::{Parked, Scene};
use crate::timers::TimerKind;
use crate::wire::{optional_text, text};
use kafka_wire::ErrorCode;
use kafka_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use std::borrow::Cow;
use std::sync::Arc;

/// From this version on the name of the protocol may be null.
const NULLABLE_PROTOCOL: i16 = 7;

/// The answer to a join that failed.
pub(crate) fn join_refused(code: ErrorCode, member: &str, version: i16) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: code.code(),
        generation_id: -1,
        member_id: text(member),
        protocol_name: (version < NULLABLE_PROTOCOL).then(|| text("")),
        ..Default::default()
    }
}

impl ClassicGroup {
    /// The answer to a join of the present generation.
    pub fn joined_answer(
        &self,
        member: &str,
        version: i16,
        with_members: bool,
    ) -> JoinGroupResponse<'static> {
        let name = optional_text(self.protocol.as_deref());
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: optional_text(self.protocol_type.as_deref()),
            protocol_name: if version < NULLABLE_PROTOCOL { Some(name.unwrap_or_default()) } else { name },
            leader: text(self.leader.as_deref().unwrap_or_default()),
            member_id: text(member),
            members: if with_members { self.members_for_leader() } else { Vec::new() },
            ..Default::default()
        }
    }

    fn members_for_leader(&self) -> Vec<JoinGroupResponseMember<'static>> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let one = |member: &super::ClassicMember| JoinGroupResponseMember {
            member_id: text(&member.id),
            group_instance_id: optional_text(member.instance.as_deref()),
            metadata: Cow::Owned(member.metadata(protocol).to_vec()),
        };
        self.members.values().map(one).collect()
    }

    /// Answers a member's join, if it has one waiting.
    pub fn answer_join(
        &mut self,
        id: &str,
        scene: &mut Scene<'_>,
        answer: impl FnOnce(i16) -> JoinGroupResponse<'static>,
    ) {
        let Some(parked) = self.members.get_mut(id).and_then(|member| member.joining.take()) else { return };
        self.joined = self.joined.saturating_sub(1);
        scene.unpark(parked, Response::JoinGroup(answer(parked.version)), false);
    }

    /// Gives a member's join a place to wait in; whoever waited there before is told to start over.
    pub fn park_join(&mut self, id: &str, parked: Parked, scene: &mut Scene<'_>) {
        self.answer_join(id, scene, |version| join_refused(ErrorCode::RebalanceInProgress, id, version));
        if let Some(member) = self.members.get_mut(id) {
            member.joining = Some(parked);
            self.joined += 1;
        }
    }

    /// Sets the time by which a member must be heard of.
    pub fn touch(&self, id: &str, scene: &mut Scene<'_>) {
        if let Some(member) = self.members.get(id) {
            scene.arm(&self.id, Some(&member.id), TimerKind::Session, member.session_timeout_ms);
        }
    }

    /// A member has come or changed: starts a round, or ends the one that runs if it was the last.
    pub fn rebalance_or_complete(&mut self, scene: &mut Scene<'_>) {
        if self.state == ClassicState::PreparingRebalance {
            self.complete_if_joined(scene);
        } else {
            self.prepare(scene);
        }
    }

    /// Starts a round.
    pub fn prepare(&mut self, scene: &mut Scene<'_>) {
        if self.state == ClassicState::CompletingRebalance {
            self.members.values_mut().for_each(|member| member.assignment.clear());
            self.answer_syncs(ErrorCode::RebalanceInProgress, scene);
        }
        self.pending_sync.clear();
        scene.disarm(&self.id, None, TimerKind::Sync);
        let is_first = self.state == ClassicState::Empty;
        self.enter(ClassicState::PreparingRebalance, scene.now);
        if is_first {
            let delay_ms = scene.settings.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.newcomer = false;
            self.initial = Some(InitialDelay { delay_ms, remaining_ms });
            scene.arm(&self.id, None, TimerKind::Join, delay_ms);
        } else if self.all_joined() {
            self.complete(scene);
        } else {
            scene.arm(&self.id, None, TimerKind::Join, self.rebalance_timeout_ms());
        }
    }

    /// Ends the round if all have joined; the first round of a group waits for its time instead.
    pub fn complete_if_joined(&mut self, scene: &mut Scene<'_>) {
        if self.state == ClassicState::PreparingRebalance && self.initial.is_none() && self.all_joined() {
            self.complete(scene);
        }
    }

    /// The time of a round is up.
    pub fn round_is_up(&mut self, scene: &mut Scene<'_>) {
        if self.state != ClassicState::PreparingRebalance {
            return;
        }
        match self.initial {
            Some(initial) if self.newcomer && initial.remaining_ms > 0 => {
                let delay_ms = scene.settings.initial_rebalance_delay_ms.min(initial.remaining_ms);
                let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms).max(0);
                self.newcomer = false;
                self.initial = Some(InitialDelay { delay_ms, remaining_ms });
                scene.arm(&self.id, None, TimerKind::Join, delay_ms);
            }
            _ => self.complete(scene),
        }
    }

    /// Ends the round with those who have joined; static members may stay away until their session lapses.
    pub fn complete(&mut self, scene: &mut Scene<'_>) {
        scene.disarm(&self.id, None, TimerKind::Join);
        let absent =
            self.members.values().filter(|member| member.joining.is_none() && member.instance.is_none());
        let absent: Vec<Arc<str>> = absent.map(|member| member.id.clone()).collect();
        for id in absent {
            self.remove(&id);
            scene.disarm(&self.id, Some(&id), TimerKind::Session);
        }
        if !self.members.is_empty() && !self.elect() {
            // Nobody has joined: the static members have until their sessions lapse.
            scene.arm(&self.id, None, TimerKind::Join, self.rebalance_timeout_ms());
            return;
        }
        self.initial = None;
        self.generation = self.generation.wrapping_add(1).max(0);
        self.pending_sync.clear();
        self.protocol = self.vote();
        self.read_topics();
        if self.members.is_empty() {
            self.enter(ClassicState::Empty, scene.now);
            scene.out.records.push(self.record());
        } else {
            self.enter(ClassicState::CompletingRebalance, scene.now);
            self.announce(scene);
        }
    }

    /// Makes sure that the leader is one of those who have joined; false if nobody has.
    fn elect(&mut self) -> bool {
        let has_joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let next = self.members.values().find(|member| member.joining.is_some());
        let Some(next) = next.map(|member| member.id.clone()) else { return false };
        self.leader = Some(next);
        true
    }

    /// Tells all members of the new generation, and waits for their syncs.
    fn announce(&mut self, scene: &mut Scene<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            let Some(parked) = self.members.get_mut(id).and_then(|member| member.joining.take()) else {
                // A static member that stayed away: it has to sync or lapse.
                self.pending_sync.insert(id.clone());
                self.touch(id, scene);
                continue;
            };
            let answer = self.joined_answer(id, parked.version, self.is_leader(id));
            scene.unpark(parked, Response::JoinGroup(answer), false);
            self.touch(id, scene);
            self.pending_sync.insert(id.clone());
            if let Some(member) = self.members.get_mut(id) {
                member.is_new = false;
            }
        }
        self.joined = 0;
        scene.arm(&self.id, None, TimerKind::Sync, self.rebalance_timeout_ms());
    }
}
