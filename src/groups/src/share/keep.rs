//! Decisions of a share group, kept if the log takes their records.

use super::ShareGroup;
use crate::consumer::member::sorted_names;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::undo::{Undo, may_outgrow};
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;

/// The longest name that a topic may have, and its id, as the group's positions have them.
const TOPIC_BYTES: usize = 249 + 32;

impl ShareGroup {
    /// What a heartbeat may have to go back to.
    pub fn before_heartbeat(
        &self,
        request: &ShareGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &Scene<'_>,
    ) -> Undo<ShareGroup> {
        let is_needed = !self.is_at_rest(request, context) && self.may_outgrow(request, scene);
        Undo::of(self, is_needed, &scene.out.records)
    }

    /// Keeps a decision that a member's heartbeat has led to, if the log takes its records.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR if it does not. The group is as it was then. The session of who has asked begins anew, but
    /// not those of others: who is not heard of must not stay for as long as somebody asks for too much.
    pub fn keep(&mut self, id: &str, undo: Undo<ShareGroup>, scene: &mut Scene<'_>) -> Result<(), Refused> {
        let kept = undo.check(self, &mut scene.out.records, scene.settings);
        if kept.is_err() {
            self.heard_of(id, scene);
        }
        kept
    }

    /// Whether a heartbeat leads to no record: it says nothing new, and the member has what it shall have.
    fn is_at_rest(&self, request: &ShareGroupHeartbeatRequest<'_>, context: &Context<'_>) -> bool {
        let Some(member) = self.members.get(&*request.member_id) else { return false };
        self.epoch == self.assignment_epoch
            && self.seen_topics == Some(context.topics.version())
            && member.epoch == self.assignment_epoch
            && request.subscribed_topic_names.is_none()
    }

    /// Whether a record of what a member has, or of where the group has positions, may be more than the log takes.
    fn may_outgrow(&self, request: &ShareGroupHeartbeatRequest<'_>, scene: &Scene<'_>) -> bool {
        let asked = request.subscribed_topic_names.iter().flatten().map(|name| name.to_string());
        let read = sorted_names(asked.chain(self.named.keys().cloned()));
        let partitions = read.iter().filter_map(|name| scene.topics.by_name(name));
        let partitions: usize = partitions.map(|topic| usize::try_from(topic.partitions).unwrap_or(0)).sum();
        let started: usize = self.started.values().map(|started| started.partitions.len()).sum();
        let topics = read.len() + self.started.len();
        let texts = self.id.len() + request.member_id.len() + topics * TOPIC_BYTES;
        may_outgrow(partitions + started, texts, scene.settings)
    }
}
