//! The target assignment: computed anew when the group's epoch has left it behind.

use super::ConsumerGroup;
use crate::assignors::{Candidate, Target, assign};
use crate::records;
use crate::scene::Scene;
use crate::settings::{Assignor, Settings};
use crate::topics::Topics;
use model::TopicId;
use std::collections::BTreeMap;
use std::sync::Arc;

impl ConsumerGroup {
    /// The assignor that most members ask for; the default if none asks.
    pub fn preferred_assignor(&self, settings: &Settings) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        let asked =
            self.members.values().filter_map(|member| Assignor::named(member.profile.assignor.as_deref()?));
        for assignor in asked.filter(|one| settings.consumer_assignors.contains(one)) {
            *votes.entry(assignor).or_default() += 1;
        }
        let default = settings.consumer_assignors.first().copied().unwrap_or(Assignor::Uniform);
        let most = votes.values().copied().max();
        votes.into_iter().find(|(_, count)| Some(*count) == most).map_or(default, |(assignor, _)| assignor)
    }

    /// Whether the target is behind the group, and may be computed already.
    pub fn is_target_due(&self, scene: &Scene<'_>) -> bool {
        if self.epoch <= self.assignment_epoch {
            return false;
        }
        let interval = i64::from(scene.consumer_assignment_interval_ms(&self.id));
        let age = self.assigned_ms.map(|at| scene.now.saturating_sub(at));
        !age.is_some_and(|age| (0..interval).contains(&age))
    }

    /// Computes the target if it is behind, but not more often than the assignment interval allows.
    pub fn refresh_target(&mut self, scene: &mut Scene<'_>) {
        if !self.is_target_due(scene) {
            return;
        }
        let assignor = self.preferred_assignor(scene.settings);
        let targets = self.compute(assignor, scene.topics);
        for (id, target) in targets {
            if self.targets.get(&id) != Some(&target) {
                self.write_target(&id, target, &mut scene.out.records);
            }
        }
        self.assignment_epoch = self.epoch;
        self.assigned_ms = Some(scene.now);
        scene.out.records.push(records::target(&self.id, self.assignment_epoch, scene.now));
    }

    fn compute(&self, assignor: Assignor, topics: &dyn Topics) -> Vec<(Arc<str>, Target)> {
        // Members with equal subscriptions share one list.
        let mut lists: BTreeMap<(&[String], Option<&str>), Vec<TopicId>> = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for member in self.members.values() {
            let key = (member.profile.topics.as_slice(), member.profile.regex.as_deref());
            lists.entry(key).or_insert_with(|| self.resolve(key, topics, &mut counts));
        }
        let nothing = Target::new();
        let mut candidates = Vec::with_capacity(self.members.len());
        for member in self.members.values() {
            let key = (member.profile.topics.as_slice(), member.profile.regex.as_deref());
            candidates.push(Candidate {
                instance: member.profile.instance.as_deref(),
                topics: lists.get(&key).map_or(&[][..], Vec::as_slice),
                current: self.targets.get(&member.id).unwrap_or(&nothing),
            });
        }
        let targets = assign(assignor, &candidates, &counts);
        self.members.keys().cloned().zip(targets).collect()
    }

    /// The ids of the topics of a subscription, in order, and the partitions of each.
    fn resolve(
        &self,
        (names, pattern): (&[String], Option<&str>),
        topics: &dyn Topics,
        counts: &mut BTreeMap<TopicId, i32>,
    ) -> Vec<TopicId> {
        let by_pattern = pattern.and_then(|pattern| self.patterns.get(pattern));
        let by_pattern = by_pattern.into_iter().flat_map(|resolved| resolved.topics.iter());
        let found = names.iter().chain(by_pattern).filter_map(|name| topics.by_name(name));
        let mut ids: Vec<TopicId> = found
            .map(|topic| {
                counts.insert(topic.id, topic.partitions);
                topic.id
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
