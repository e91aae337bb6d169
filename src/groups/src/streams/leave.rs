//! Members of streams groups that go, by their own will or not.

use super::StreamsGroup;
use super::member::MemberState;
use crate::effects::StreamsHeartbeat;
use crate::request::Refused;
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::wire::text;
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use kafka_wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use std::sync::Arc;

impl StreamsGroup {
    /// A heartbeat that leaves.
    pub fn leave(
        &mut self,
        request: &StreamsGroupHeartbeatRequest<'_>,
        scene: &mut Scene<'_>,
    ) -> Result<StreamsHeartbeat, Refused> {
        let member = self.members.get(&*request.member_id);
        let member = member.ok_or_else(|| self.unknown_member(&request.member_id))?;
        let id = member.id.clone();
        if request.shutdown_application {
            self.shutdown_by = Some(id.clone());
        }
        self.drop_member(&id, scene);
        let response = StreamsGroupHeartbeatResponse {
            member_id: text(&id),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        Ok(StreamsHeartbeat { response, create: Vec::new() })
    }

    /// Takes a member out and raises the epoch.
    fn drop_member(&mut self, id: &Arc<str>, scene: &mut Scene<'_>) {
        for kind in [TimerKind::Session, TimerKind::Rebalance] {
            scene.disarm(&self.id, Some(id), kind);
        }
        self.write_removal(id, &mut scene.out.records);
        self.raise_epoch(&mut scene.out.records);
    }

    /// A timer of a member is due.
    pub fn time_is_up(&mut self, id: &Arc<str>, kind: TimerKind, scene: &mut Scene<'_>) {
        let Some(member) = self.members.get(id) else { return };
        let is_late = match kind {
            TimerKind::Session => true,
            TimerKind::Rebalance => member.progress.state == MemberState::UnrevokedTasks,
            TimerKind::Join | TimerKind::Sync | TimerKind::Delay => false,
        };
        if is_late {
            self.drop_member(id, scene);
        }
    }
}
