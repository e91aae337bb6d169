//! A member of a consumer group.

use crate::assignors::Target;
use crate::classic::member::Protocol;
use crate::wire::{optional_text, text, topic_id, uuid};
use kafka_wire::messages::consumer_group_current_member_assignment_value::{
    ConsumerGroupCurrentMemberAssignmentValue, TopicPartitions,
};
use kafka_wire::messages::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};
use model::TopicId;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Partitions by topic, each with the epoch at which the member was given it; no topic without partitions.
pub(crate) type Owned = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// The epoch of a static member that left to come again.
pub(crate) const LEFT_STATIC: i32 = -2;

/// Where a member stands on the way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    Stable,
    UnrevokedPartitions,
    UnreleasedPartitions,
}

impl MemberState {
    fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    /// A state of a later version counts as waiting for partitions: the next heartbeat looks anew.
    fn of_code(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            _ => MemberState::UnreleasedPartitions,
        }
    }
}

/// What a member of the classic protocol has said when it joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassicSide {
    pub session_timeout_ms: i32,
    /// In the order of its preference; never empty.
    pub protocols: Vec<Protocol>,
}

/// What a member has said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub instance: Option<Arc<str>>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Sorted, each once.
    pub topics: Vec<String>,
    /// Never empty.
    pub regex: Option<Arc<str>>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<String>,
    /// Set if it uses the classic protocol.
    pub classic: Option<ClassicSide>,
}

/// What a member has, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Owned,
    /// To be given back.
    pub revoking: Owned,
}

impl Progress {
    /// Of a member that has just come.
    pub fn new() -> Progress {
        let state = MemberState::Stable;
        Progress { epoch: 0, previous_epoch: 0, state, assigned: Owned::new(), revoking: Owned::new() }
    }

    pub fn is_at(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    pub fn value(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned_partitions: stored(&self.assigned),
            partitions_pending_revocation: stored(&self.revoking),
        }
    }

    pub fn restore(value: &ConsumerGroupCurrentMemberAssignmentValue) -> Progress {
        Progress {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::of_code(value.state),
            assigned: restored(&value.assigned_partitions, value.member_epoch),
            revoking: restored(&value.partitions_pending_revocation, value.member_epoch),
        }
    }

    /// The epoch at which a partition was given to the member, if it still has it.
    pub fn given_at(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let find =
            |owned: &Owned| owned.get(&topic).and_then(|partitions| partitions.get(&partition).copied());
        find(&self.assigned).or_else(|| find(&self.revoking))
    }

    /// Every partition that it has or still has to give back.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        let all = self.assigned.iter().chain(&self.revoking);
        all.flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (*topic, *partition)))
    }
}

fn stored(owned: &Owned) -> Vec<TopicPartitions> {
    let one = |(topic, partitions): (&TopicId, &BTreeMap<i32, i32>)| TopicPartitions {
        topic_id: uuid(*topic),
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    owned.iter().map(one).collect()
}

/// Records of Kafka before 4.3 have no epochs: the member's stands for them.
fn restored(topics: &[TopicPartitions], epoch: i32) -> Owned {
    let mut owned = Owned::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        let pairs = topic.partitions.iter().enumerate();
        let pairs = pairs.map(|(at, partition)| (*partition, epochs.get(at).copied().unwrap_or(epoch)));
        owned.entry(topic_id(topic.topic_id)).or_default().extend(pairs);
    }
    owned
}

/// The same partitions, as if they had been given before any epoch.
pub(crate) fn given_at_first(owned: &Owned) -> Owned {
    let mut all = owned.clone();
    all.values_mut().flat_map(BTreeMap::values_mut).for_each(|epoch| *epoch = 0);
    all
}

/// The partitions alone.
pub(crate) fn without_epochs(owned: &Owned) -> Target {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: Arc<str>,
    pub profile: Profile,
    pub progress: Progress,
}

impl Profile {
    pub fn is_classic(&self) -> bool {
        self.classic.is_some()
    }

    pub fn value(&self) -> ConsumerGroupMemberMetadataValue<'static> {
        let classic = self.classic.as_ref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic.protocols.iter().map(stored_protocol).collect(),
        });
        ConsumerGroupMemberMetadataValue {
            instance_id: optional_text(self.instance.as_deref()),
            rack_id: optional_text(self.rack.as_deref()),
            client_id: text(&self.client_id),
            client_host: text(&self.client_host),
            subscribed_topic_names: self.topics.iter().map(|topic| text(topic)).collect(),
            subscribed_topic_regex: optional_text(self.regex.as_deref()),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: optional_text(self.assignor.as_deref()),
            classic_member_metadata: classic,
        }
    }

    pub fn restore(value: &ConsumerGroupMemberMetadataValue<'_>) -> Profile {
        let classic = value.classic_member_metadata.as_ref().map(|classic| ClassicSide {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.supported_protocols.iter().map(restored_protocol).collect(),
        });
        Profile {
            instance: value.instance_id.as_deref().map(Arc::from),
            rack: value.rack_id.as_deref().map(str::to_owned),
            client_id: value.client_id.to_string(),
            client_host: value.client_host.to_string(),
            topics: sorted_names(value.subscribed_topic_names.iter().map(|topic| topic.to_string())),
            regex: value.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty()).map(Arc::from),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor.as_deref().map(str::to_owned),
            classic,
        }
    }
}

fn stored_protocol(protocol: &Protocol) -> ClassicProtocol<'static> {
    ClassicProtocol { name: text(&protocol.0), metadata: Cow::Owned(protocol.1.clone()) }
}

fn restored_protocol(protocol: &ClassicProtocol<'_>) -> Protocol {
    (protocol.name.to_string(), protocol.metadata.to_vec())
}

/// Names in order, each once.
pub(crate) fn sorted_names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
