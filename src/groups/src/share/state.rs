//! What a share group says of itself.

use super::ShareGroup;
use super::member::Member;
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::{optional_text, text, uuid};
use kafka_wire::Str;
use kafka_wire::messages::share_group_describe_response::{self as described, Assignment, DescribedGroup};

impl ShareGroup {
    /// The name of the state in answers.
    pub fn state_name(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    /// The log has been read: sessions begin.
    pub fn loaded(&self, scene: &mut Scene<'_>) {
        for id in self.members.keys() {
            self.heard_of(id, scene);
        }
    }

    /// A member was heard of, if it is one.
    pub fn heard_of(&self, id: &str, scene: &mut Scene<'_>) {
        if let Some(member) = self.members.get(id) {
            let timeout_ms = self.session_timeout_ms(scene);
            scene.arm(&self.id, Some(&member.id), TimerKind::Session, timeout_ms);
        }
    }

    /// The group for ShareGroupDescribe.
    pub fn describe(&self, topics: &dyn Topics) -> DescribedGroup<'static> {
        DescribedGroup {
            group_id: text(&self.id),
            group_state: Str::Borrowed(self.state_name()),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: Str::Borrowed("simple"),
            members: self.members.values().map(|member| describe_member(member, topics)).collect(),
            ..Default::default()
        }
    }
}

/// Topics that are gone are left out of what a member has.
fn describe_member(member: &Member, topics: &dyn Topics) -> described::Member<'static> {
    let assigned = member.assigned.iter().filter_map(|(id, partitions)| {
        let topic_name = text(&topics.by_id(*id)?.name);
        Some(described::TopicPartitions { topic_id: uuid(*id), topic_name, partitions: partitions.clone() })
    });
    described::Member {
        member_id: text(&member.id),
        rack_id: optional_text(member.profile.rack.as_deref()),
        member_epoch: member.epoch,
        client_id: text(&member.profile.client_id),
        client_host: text(&member.profile.client_host),
        subscribed_topic_names: member.profile.topics.iter().map(|topic| text(topic)).collect(),
        assignment: Assignment { topic_partitions: assigned.collect() },
    }
}
