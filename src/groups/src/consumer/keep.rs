//! Decisions of a consumer group, kept if the log takes their records.

use super::ConsumerGroup;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::undo::{Undo, may_outgrow};
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;

impl ConsumerGroup {
    /// What a heartbeat may have to go back to.
    pub fn before_heartbeat(
        &self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &Scene<'_>,
    ) -> Undo<ConsumerGroup> {
        let is_needed = !self.is_at_rest(request, context, scene) && {
            // What a new pattern stands for nobody knows yet.
            let has_pattern = request.subscribed_topic_regex.as_deref().is_some_and(|one| !one.is_empty());
            let names = request.subscribed_topic_names.iter().flatten().map(|name| &**name);
            has_pattern || self.may_outgrow(&request.member_id, names, scene)
        };
        Undo::of(self, is_needed, &scene.out.records)
    }

    /// What the join of a classic member may have to go back to. `names`: the topics that it says it reads.
    pub fn before_join<'n>(
        &self,
        member: &str,
        names: impl Iterator<Item = &'n str>,
        scene: &Scene<'_>,
    ) -> Undo<ConsumerGroup> {
        Undo::of(self, self.may_outgrow(member, names, scene), &scene.out.records)
    }

    /// Keeps a decision that a member's request has led to, if the log takes its records.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR if it does not. The group is as it was then. The session of who has asked begins anew, but
    /// not those of others: who is not heard of must not stay for as long as somebody asks for too much.
    pub fn keep(
        &mut self,
        id: &str,
        undo: Undo<ConsumerGroup>,
        scene: &mut Scene<'_>,
    ) -> Result<(), Refused> {
        let kept = undo.check(self, &mut scene.out.records, scene.settings);
        if kept.is_err() {
            self.loaded(scene);
            self.heard_of(id, scene);
        }
        kept
    }

    /// Whether a heartbeat leads to no record but the member's own: it says nothing new, and all that it is to be told it
    /// has been told.
    fn is_at_rest(
        &self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        scene: &Scene<'_>,
    ) -> bool {
        let Some(member) = self.members.get(&*request.member_id) else { return false };
        self.epoch == self.assignment_epoch
            && self.seen_topics == Some(scene.topics.version())
            && member.progress.is_at(self.assignment_epoch)
            && member.profile.hears_nothing_new(request, context)
            && self.patterns.values().all(|one| one.members > 0 && !one.is_due(scene))
    }

    /// Whether a record of what a member has, or shall have, may be more than the log takes.
    fn may_outgrow<'n>(&self, member: &str, names: impl Iterator<Item = &'n str>, scene: &Scene<'_>) -> bool {
        // Nor does anybody know what a pattern stands for that is to be looked at again.
        if self.patterns.values().any(|one| one.members > 0 && one.is_due(scene)) {
            return true;
        }
        let partitions = |name: &str| {
            let topic = scene.topics.by_name(name);
            topic.map_or(0, |topic| usize::try_from(topic.partitions).unwrap_or(0))
        };
        let known = self.topics();
        let read: usize = known.iter().map(|name| partitions(name)).sum();
        let more: usize = names.filter(|name| !known.contains(name)).map(partitions).sum();
        // What members have yet to give back may be of topics that nobody reads any more.
        let all = read.saturating_add(more).saturating_add(self.owners.len());
        may_outgrow(all, self.id.len() + member.len(), scene.settings)
    }
}
