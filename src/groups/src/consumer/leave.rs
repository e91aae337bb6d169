//! Members of consumer groups that go, by their own will or not.

use super::ConsumerGroup;
use super::member::{LEFT_STATIC, MemberState, Owned, Progress, given_at_first};
use super::migrate;
use crate::group::Group;
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::sizes;
use crate::timers::TimerKind;
use crate::wire::text;
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use std::sync::Arc;

/// A heartbeat that leaves: for good, or for a while if it is static and says so.
pub(crate) fn leave(
    slot: &mut Group,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    scene: &mut Scene<'_>,
) -> Result<ConsumerGroupHeartbeatResponse<'static>, Refused> {
    let group = slot.consumer_mut()?;
    let member = group.member_of(&request.member_id, request.instance_id.as_deref())?;
    let id = member.id.clone();
    if request.member_epoch == LEFT_STATIC {
        // Whoever comes with the instance id has them from the beginning, whatever its epochs.
        let assigned = given_at_first(&member.progress.assigned);
        let progress =
            Progress { epoch: LEFT_STATIC, assigned, revoking: Owned::new(), ..member.progress.clone() };
        // The log may take less by now than when it was given them.
        sizes::check(records::current(&group.id, &id, &progress.value()).bytes(), scene.settings)?;
        scene.disarm(&group.id, Some(&id), TimerKind::Rebalance);
        group.write_progress(&id, progress, &mut scene.out.records);
    } else {
        fence(slot, &id, scene);
    }
    Ok(ConsumerGroupHeartbeatResponse {
        member_id: Some(text(&id)),
        member_epoch: request.member_epoch,
        ..Default::default()
    })
}

/// Takes a member out; if it was the last of the consumer protocol, the group becomes a classic one.
pub(crate) fn fence(slot: &mut Group, id: &Arc<str>, scene: &mut Scene<'_>) {
    let Group::Consumer(group) = slot else { return };
    if migrate::can_downgrade_without(group, id, scene.settings)
        && let Some(mut classic) = migrate::downgrade(group, Some(id), scene)
    {
        classic.prepare(scene);
        *slot = Group::Classic(classic);
    } else if group.members.contains_key(id) {
        group.drop_members(std::slice::from_ref(id), scene);
    }
}

/// A timer of a member is due.
pub(crate) fn time_is_up(slot: &mut Group, id: &Arc<str>, kind: TimerKind, scene: &mut Scene<'_>) {
    let Group::Consumer(group) = slot else { return };
    let Some(member) = group.members.get(id) else { return };
    let is_late = match kind {
        TimerKind::Rebalance => member.progress.state == MemberState::UnrevokedPartitions,
        TimerKind::Session => true,
        // It may have begun anew with the other protocol, which knows neither.
        TimerKind::Join | TimerKind::Sync => member.profile.is_classic(),
        TimerKind::Delay => false,
    };
    if is_late {
        fence(slot, id, scene);
    }
}

impl ConsumerGroup {
    /// Takes members out and raises the epoch.
    pub fn drop_members(&mut self, ids: &[Arc<str>], scene: &mut Scene<'_>) {
        for id in ids {
            self.cancel_timers(id, scene);
            self.write_removal(id, &mut scene.out.records);
        }
        self.refresh_patterns(scene);
        self.refresh_epoch(true, scene);
    }
}
