//! Static members of classic groups (KIP-345): one that comes again takes the place it had.

use super::join::Join;
use super::round::join_refused;
use super::{ClassicGroup, ClassicState};
use crate::effects::Response;
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::wire::text;
use base::mistakes;
use kafka_wire::ErrorCode;
use std::sync::Arc;

/// From this version on a leader can be told to skip the assignment (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;

impl ClassicGroup {
    /// A join without a member id, of an instance.
    pub fn join_static(&mut self, instance: &str, join: &Join<'_>, scene: &mut Scene<'_>) {
        let id = join.new_member_id();
        match self.statics.get(instance).cloned() {
            Some(old) => self.rejoin_static(&old, id, join, scene),
            None => self.add_and_rebalance(id, join, scene),
        }
    }

    fn rejoin_static(&mut self, old: &Arc<str>, id: Arc<str>, join: &Join<'_>, scene: &mut Scene<'_>) {
        if self.state == ClassicState::Stable && !self.has_room_for_change(old, join, scene.settings) {
            return join.refuse(ErrorCode::UnknownServerError, "", scene);
        }
        let leader_before = self.leader.clone();
        self.rename(old, &id, scene);
        self.update_and_park(&id, join, scene);
        self.touch(&id, scene);
        match self.state {
            ClassicState::Stable if self.protocol.is_some() && self.protocol == self.vote() => {
                self.keep_generation(&id, leader_before, scene);
            }
            ClassicState::Stable => self.rebalance_or_complete(scene),
            // The leader may have seen the old id, and would assign to it.
            ClassicState::CompletingRebalance => self.prepare(scene),
            _ => self.complete_if_joined(scene),
        }
    }

    /// Gives a static member another id; whoever waits under the old one is fenced.
    fn rename(&mut self, old: &Arc<str>, id: &Arc<str>, scene: &mut Scene<'_>) {
        self.answer_join(old, scene, |version| join_refused(ErrorCode::FencedInstanceId, old, version));
        self.answer_sync(old, ErrorCode::FencedInstanceId, scene);
        scene.disarm(&self.id, Some(old), TimerKind::Session);
        let led = self.is_leader(old);
        let pending = self.pending_sync.contains(old);
        let Some(mut member) = self.members.remove(old) else { return };
        member.id = id.clone();
        if mistakes::is_made("places of instances lost") {
            member.assignment.clear();
        }
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        self.pending_sync.remove(old);
        if pending {
            self.pending_sync.insert(id.clone());
        }
        if led {
            self.leader = Some(id.clone());
        }
    }

    /// Nothing changes for the others: the new id is written, and the member syncs for the assignment it had.
    fn keep_generation(&mut self, id: &Arc<str>, leader_before: Option<Arc<str>>, scene: &mut Scene<'_>) {
        let taken = self.members.get_mut(id).and_then(|member| member.joining.take());
        let Some(parked) = taken else { return };
        self.joined = self.joined.saturating_sub(1);
        scene.out.records.push(self.record());
        let is_leader = self.is_leader(id);
        let can_skip = parked.version >= SKIPS_ASSIGNMENT;
        let mut answer = self.joined_answer(id, parked.version, is_leader && can_skip);
        answer.skip_assignment = is_leader && can_skip;
        if !can_skip {
            // A leader that cannot skip must not take itself for the leader, or it would assign anew.
            answer.leader = text(leader_before.as_deref().unwrap_or_default());
        }
        if let Some(member) = self.members.get_mut(id) {
            member.is_new = false;
        }
        scene.unpark(parked, Response::JoinGroup(answer), true);
    }
}
