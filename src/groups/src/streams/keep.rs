//! Decisions of a streams group, kept if the log takes their records.

use super::StreamsGroup;
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::settings::StreamsSettings;
use crate::undo::{Undo, may_outgrow};
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;

/// Lists of tasks in a record, at most: those that a member has and those that it gives back, in three roles each.
const LISTS: usize = 6;
/// What a subtopology takes in such a list besides its name and its tasks.
const SUBTOPOLOGY_BYTES: usize = 16;

impl StreamsGroup {
    /// What a heartbeat may have to go back to.
    pub fn before_heartbeat(
        &self,
        request: &StreamsGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        settings: StreamsSettings,
        scene: &Scene<'_>,
    ) -> Undo<StreamsGroup> {
        let is_needed =
            !self.is_at_rest(request, context, settings) && self.may_outgrow(&request.member_id, scene);
        Undo::of(self, is_needed, &scene.out.records)
    }

    /// What the first assignment may have to go back to.
    pub fn before_assignment(&self, scene: &Scene<'_>) -> Undo<StreamsGroup> {
        Undo::of(self, self.may_outgrow("", scene), &scene.out.records)
    }

    /// Keeps a decision, if the log takes its records.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR if it does not. The group is as it was then. Its members' sessions go on: who is not heard of
    /// must not stay for as long as somebody asks for too much.
    pub fn keep(&mut self, undo: Undo<StreamsGroup>, scene: &mut Scene<'_>) -> Result<(), Refused> {
        let kept = undo.check(self, &mut scene.out.records, scene.settings);
        if kept.is_err() {
            self.loaded(scene);
        }
        kept
    }

    /// Whether a heartbeat leads to no record: it says nothing new, and the member has what it shall have.
    fn is_at_rest(
        &self,
        request: &StreamsGroupHeartbeatRequest<'_>,
        context: &Context<'_>,
        settings: StreamsSettings,
    ) -> bool {
        let Some(member) = self.members.get(&*request.member_id) else { return false };
        self.epoch == self.assignment_epoch
            && self.seen_topics == Some(context.topics.version())
            && self.standby_replicas == Some(settings.standby_replicas)
            && member.progress.is_at(self.assignment_epoch)
            && member.profile.hears_nothing_new(request, context)
    }

    /// Whether a record of the tasks that a member has, or shall have, may be more than the log takes. What a topology
    /// comes to that has not been looked at with these topics is not known: then it may.
    fn may_outgrow(&self, member: &str, scene: &Scene<'_>) -> bool {
        let is_known = self.seen_topics == Some(scene.topics.version());
        let Some(configured) = self.configured.as_ref().filter(|_| is_known) else { return true };
        let tasks = configured.subtopologies.values();
        let tasks: usize = tasks.map(|work| usize::try_from(work.tasks).unwrap_or(0)).sum();
        let names = configured.subtopologies.keys();
        let names: usize = names.map(|name| LISTS * (name.len() + SUBTOPOLOGY_BYTES)).sum();
        let texts = self.id.len() + member.len() + names;
        may_outgrow(tasks + self.holders.len(), texts, scene.settings)
    }
}
