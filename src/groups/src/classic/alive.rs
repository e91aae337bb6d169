//! Members that are there, that leave, and that are not heard of any more.

use super::round::join_refused;
use super::{ClassicGroup, ClassicState};
use crate::request::Refused;
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::wire::{optional_text, text};
use kafka_wire::ErrorCode;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::leave_group_request::MemberIdentity;
use kafka_wire::messages::leave_group_response::MemberResponse;

impl ClassicGroup {
    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        request: &HeartbeatRequest<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<(), Refused> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration.into());
        }
        match self.state {
            ClassicState::Empty => Err(ErrorCode::UnknownMemberId.into()),
            ClassicState::PreparingRebalance => {
                self.touch(&request.member_id, scene);
                Err(ErrorCode::RebalanceInProgress.into())
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.touch(&request.member_id, scene);
                Ok(())
            }
        }
    }

    /// LeaveGroup of any number of members, each with its own answer.
    pub fn leave(
        &mut self,
        members: &[MemberIdentity<'_>],
        scene: &mut Scene<'_>,
    ) -> Vec<MemberResponse<'static>> {
        let mut answers = Vec::with_capacity(members.len());
        for leaving in members {
            let left = self.leave_one(&leaving.member_id, leaving.group_instance_id.as_deref(), scene);
            answers.push(MemberResponse {
                member_id: text(&leaving.member_id),
                group_instance_id: optional_text(leaving.group_instance_id.as_deref()),
                error_code: left.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        if answers.iter().any(|answer| answer.error_code == ErrorCode::None.code()) {
            match self.state {
                ClassicState::Stable | ClassicState::CompletingRebalance => self.prepare(scene),
                ClassicState::PreparingRebalance => self.complete_if_joined(scene),
                ClassicState::Empty => {}
            }
        }
        answers
    }

    fn leave_one(
        &mut self,
        id: &str,
        instance: Option<&str>,
        scene: &mut Scene<'_>,
    ) -> Result<(), ErrorCode> {
        if id.is_empty() {
            // An administrator names the instance only.
            let found = instance.and_then(|instance| self.statics.get(instance).cloned());
            self.drop_member(&found.ok_or(ErrorCode::UnknownMemberId)?, scene);
        } else if let Some(pending) = self.pending_join.get(id).cloned() {
            scene.disarm(&self.id, Some(&pending), TimerKind::Session);
            self.remove(id);
        } else {
            self.check_member(id, instance).map_err(|refused| refused.code)?;
            self.drop_member(id, scene);
        }
        Ok(())
    }

    /// Takes a member out; if its requests still wait, it is told that it is not known.
    fn drop_member(&mut self, id: &str, scene: &mut Scene<'_>) {
        self.answer_join(id, scene, |version| join_refused(ErrorCode::UnknownMemberId, "", version));
        self.answer_sync(id, ErrorCode::UnknownMemberId, scene);
        if let Some(member) = self.remove(id) {
            scene.disarm(&self.id, Some(&member.id), TimerKind::Session);
        }
    }

    /// A member has not been heard of for its session timeout.
    pub fn session_is_up(&mut self, id: &str, scene: &mut Scene<'_>) {
        if self.pending_join.contains(id) {
            self.remove(id);
        } else if self.members.get(id).is_some_and(|member| !member.is_excused()) {
            self.drop_member(id, scene);
            if matches!(self.state, ClassicState::Stable | ClassicState::CompletingRebalance) {
                return self.prepare(scene);
            }
        } else {
            return;
        }
        if self.state == ClassicState::PreparingRebalance && self.all_joined() {
            self.complete(scene);
        }
    }
}
