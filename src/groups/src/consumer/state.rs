//! What a consumer group says of itself.

use super::ConsumerGroup;
use super::member::{Member, MemberState, without_epochs};
use crate::assignors::Target;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::{optional_text, text, uuid};
use kafka_wire::Str;
use kafka_wire::messages::consumer_group_describe_response::{self as described, Assignment, DescribedGroup};

impl ConsumerGroup {
    /// The name of the state in answers.
    pub fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().any(|member| !member.progress.is_at(self.assignment_epoch)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// Whether a member may read this topic, so that its offsets must stay.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        let by_pattern = |resolved: &super::Resolved| {
            resolved.members > 0 && resolved.topics.binary_search_by(|one| one.as_str().cmp(topic)).is_ok()
        };
        self.named.contains_key(topic) || self.patterns.values().any(by_pattern)
    }

    /// The log has been read, or a decision was taken back: sessions and times to give partitions back begin that do not
    /// run.
    pub fn loaded(&self, scene: &mut Scene<'_>) {
        for member in self.members.values() {
            let session = self.session_ms(member, scene);
            scene.arm_idle(&self.id, &member.id, TimerKind::Session, session);
            if member.progress.state == MemberState::UnrevokedPartitions && !member.profile.is_classic() {
                let timeout = member.profile.rebalance_timeout_ms;
                scene.arm_idle(&self.id, &member.id, TimerKind::Rebalance, timeout);
            }
        }
    }

    fn session_ms(&self, member: &Member, scene: &Scene<'_>) -> i32 {
        let classic = member.profile.classic.as_ref().map(|classic| classic.session_timeout_ms);
        classic.unwrap_or_else(|| scene.consumer_session_timeout_ms(&self.id))
    }

    /// A member was heard of, if it is one.
    pub fn heard_of(&self, id: &str, scene: &mut Scene<'_>) {
        if let Some(member) = self.members.get(id) {
            let session = self.session_ms(member, scene);
            scene.arm(&self.id, Some(&member.id), TimerKind::Session, session);
        }
    }

    /// The group for ConsumerGroupDescribe.
    pub fn describe(&self, settings: &Settings, topics: &dyn Topics) -> DescribedGroup<'static> {
        DescribedGroup {
            group_id: text(&self.id),
            group_state: Str::Borrowed(self.state_name()),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: Str::Borrowed(self.preferred_assignor(settings).name()),
            members: self.members.values().map(|member| self.describe_member(member, topics)).collect(),
            ..Default::default()
        }
    }

    fn describe_member(&self, member: &Member, topics: &dyn Topics) -> described::Member<'static> {
        let profile = &member.profile;
        let target = self.targets.get(&member.id).map(|target| describe_partitions(target, topics));
        described::Member {
            member_id: text(&member.id),
            instance_id: optional_text(profile.instance.as_deref()),
            rack_id: optional_text(profile.rack.as_deref()),
            member_epoch: member.progress.epoch,
            client_id: text(&profile.client_id),
            client_host: text(&profile.client_host),
            subscribed_topic_names: profile.topics.iter().map(|topic| text(topic)).collect(),
            subscribed_topic_regex: optional_text(profile.regex.as_deref()),
            assignment: describe_partitions(&without_epochs(&member.progress.assigned), topics),
            target_assignment: target.unwrap_or_default(),
            member_type: i8::from(!profile.is_classic()),
        }
    }
}

/// Partitions with the names of their topics; those of topics that are gone are left out.
fn describe_partitions(partitions: &Target, topics: &dyn Topics) -> Assignment<'static> {
    let known = partitions.iter().filter_map(|(id, partitions)| {
        let topic = topics.by_id(*id)?;
        let topic_name = text(&topic.name);
        Some(described::TopicPartitions { topic_id: uuid(*id), topic_name, partitions: partitions.clone() })
    });
    Assignment { topic_partitions: known.collect() }
}
