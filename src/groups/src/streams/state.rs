//! What a streams group says of itself.

use super::StreamsGroup;
use super::configure::{Counts, configure};
use super::member::{Member, MemberState};
use super::tasks::{Role, TaskSet, listed};
use super::topology::{self, Topology};
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::{optional_text, text};
use kafka_wire::Str;
use kafka_wire::messages::streams_group_describe_response::{self as described, Assignment, DescribedGroup};
use kafka_wire::messages::streams_group_topology_value::{Subtopology, TopicInfo};

impl StreamsGroup {
    /// The name of the state in answers.
    pub fn state_name(&self) -> &'static str {
        let runs = self.topology.as_ref().is_some_and(|topology| topology.epoch == self.validated_epoch);
        if self.members.is_empty() {
            "Empty"
        } else if !runs {
            "NotReady"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().any(|member| !member.progress.is_at(self.assignment_epoch)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// Whether the application reads this topic, so that its offsets must stay.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        let topology = self.topology.as_ref().filter(|_| !self.members.is_empty());
        topology.is_some_and(|topology| topology::reader_of(topology, topic).is_some())
    }

    /// The log has been read, or a decision was taken back: sessions and times to give tasks back begin that do not run.
    pub fn loaded(&self, scene: &mut Scene<'_>) {
        let settings = scene.streams_settings(&self.id);
        for member in self.members.values() {
            scene.arm_idle(&self.id, &member.id, TimerKind::Session, settings.session_timeout_ms);
            if member.progress.state == MemberState::UnrevokedTasks {
                let timeout = member.profile.rebalance_timeout_ms;
                scene.arm_idle(&self.id, &member.id, TimerKind::Rebalance, timeout);
            }
        }
    }

    /// The group for StreamsGroupDescribe.
    pub fn describe(&self, topics: &dyn Topics) -> DescribedGroup<'static> {
        DescribedGroup {
            group_id: text(&self.id),
            group_state: Str::Borrowed(self.state_name()),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            topology: self.topology.as_ref().map(|topology| describe_topology(topology, topics)),
            members: self.members.values().map(|member| self.describe_member(member)).collect(),
            ..Default::default()
        }
    }

    fn describe_member(&self, member: &Member) -> described::Member<'static> {
        let profile = &member.profile;
        let target = self.targets.get(&member.id).map(describe_tasks);
        let tag =
            |(key, value): (&String, &String)| described::KeyValue { key: text(key), value: text(value) };
        let endpoint = profile.endpoint.as_ref();
        described::Member {
            member_id: text(&member.id),
            member_epoch: member.progress.epoch,
            instance_id: optional_text(profile.instance.as_deref()),
            rack_id: optional_text(profile.rack.as_deref()),
            client_id: text(&profile.client_id),
            client_host: text(&profile.client_host),
            topology_epoch: profile.topology_epoch,
            process_id: text(&profile.process),
            user_endpoint: endpoint.map(|(host, port)| described::Endpoint { host: text(host), port: *port }),
            client_tags: profile.tags.iter().map(tag).collect(),
            task_offsets: Vec::new(),
            task_end_offsets: Vec::new(),
            assignment: describe_tasks(&member.progress.assigned),
            target_assignment: target.unwrap_or_default(),
            is_classic: false,
        }
    }
}

fn describe_tasks(tasks: &TaskSet) -> Assignment<'static> {
    let one = |subtopology_id: Str<'static>, partitions: Vec<i32>| described::TaskIds {
        subtopology_id,
        partitions,
    };
    Assignment {
        active_tasks: listed(tasks.of(Role::Active), one),
        standby_tasks: listed(tasks.of(Role::Standby), one),
        warmup_tasks: listed(tasks.of(Role::Warmup), one),
    }
}

/// The topology with the numbers of partitions that it comes to, as far as they can be told.
fn describe_topology(topology: &Topology, topics: &dyn Topics) -> described::Topology<'static> {
    let counts = configure(topology, topics).counts;
    let describe = |one: &Subtopology<'static>| described::Subtopology {
        subtopology_id: one.subtopology_id.clone(),
        source_topics: one.source_topics.clone(),
        repartition_sink_topics: one.repartition_sink_topics.clone(),
        state_changelog_topics: describe_topics(&one.state_changelog_topics, &counts),
        repartition_source_topics: describe_topics(&one.repartition_source_topics, &counts),
    };
    let subtopologies = topology.subtopologies.iter().map(describe).collect();
    described::Topology { epoch: topology.epoch, subtopologies: Some(subtopologies) }
}

fn describe_topics(topics: &[TopicInfo<'static>], counts: &Counts) -> Vec<described::TopicInfo<'static>> {
    let describe = |topic: &TopicInfo<'static>| described::TopicInfo {
        name: topic.name.clone(),
        partitions: counts.get(&*topic.name).copied().unwrap_or(topic.partitions),
        replication_factor: topic.replication_factor,
        topic_configs: topic
            .topic_configs
            .iter()
            .map(|one| described::KeyValue { key: one.key.clone(), value: one.value.clone() })
            .collect(),
    };
    topics.iter().map(describe).collect()
}
