//! A member of a share group.

use crate::assignors::Target;
use crate::wire::{optional_text, text, topic_id, uuid};
use kafka_wire::messages::share_group_current_member_assignment_value::{
    ShareGroupCurrentMemberAssignmentValue, TopicPartitions,
};
use kafka_wire::messages::share_group_member_metadata_value::ShareGroupMemberMetadataValue;
use std::sync::Arc;

/// What a member has said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Sorted, each once.
    pub topics: Vec<String>,
}

impl Profile {
    pub fn value(&self) -> ShareGroupMemberMetadataValue<'static> {
        ShareGroupMemberMetadataValue {
            rack_id: optional_text(self.rack.as_deref()),
            client_id: text(&self.client_id),
            client_host: text(&self.client_host),
            subscribed_topic_names: self.topics.iter().map(|topic| text(topic)).collect(),
        }
    }

    pub fn restore(value: &ShareGroupMemberMetadataValue<'_>) -> Profile {
        let names = value.subscribed_topic_names.iter().map(|topic| topic.to_string());
        Profile {
            rack: value.rack_id.as_deref().map(str::to_owned),
            client_id: value.client_id.to_string(),
            client_host: value.client_host.to_string(),
            topics: crate::consumer::member::sorted_names(names),
        }
    }
}

/// A member. There is nothing to give back first in a share group: it has what it was told last.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: Arc<str>,
    pub profile: Profile,
    pub epoch: i32,
    pub previous_epoch: i32,
    pub assigned: Target,
}

impl Member {
    pub fn new(id: Arc<str>) -> Member {
        Member { id, profile: Profile::default(), epoch: 0, previous_epoch: 0, assigned: Target::new() }
    }

    /// What it has, as it is written.
    pub fn value(&self) -> ShareGroupCurrentMemberAssignmentValue {
        let topic = |(topic, partitions): (&model::TopicId, &Vec<i32>)| TopicPartitions {
            topic_id: uuid(*topic),
            partitions: partitions.clone(),
        };
        ShareGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: 0,
            assigned_partitions: self.assigned.iter().map(topic).collect(),
        }
    }

    /// Takes in what was written.
    pub fn restore(&mut self, value: &ShareGroupCurrentMemberAssignmentValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.assigned.clear();
        for topic in value.assigned_partitions.iter().filter(|topic| !topic.partitions.is_empty()) {
            let mut partitions = topic.partitions.clone();
            partitions.sort_unstable();
            self.assigned.insert(topic_id(topic.topic_id), partitions);
        }
    }
}
