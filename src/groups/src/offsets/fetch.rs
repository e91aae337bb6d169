//! OffsetFetch: one group in old versions, any number in new ones.

use super::{ByPartition, ByTopic, Offsets};
use crate::topics::Topics;
use crate::wire::{text, topic_id, uuid};
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use model::TopicId;
use std::sync::Arc;

/// From this version on a request may name several groups.
pub(crate) const MANY_GROUPS: i16 = 8;
/// From this version on topics are named by their ids.
const TOPIC_IDS: i16 = 10;
/// Up to this version there is no error of the whole group.
const NO_GROUP_ERROR: i16 = 1;

/// How a fetch is to be answered.
#[derive(Clone, Copy)]
pub(crate) struct FetchAs<'a> {
    pub version: i16,
    /// Refuse partitions that a transaction still decides on (KIP-447).
    pub stable: bool,
    pub topics: &'a dyn Topics,
}

/// A topic by its name, and by its id if the request has that; zero if not.
#[derive(Clone, Copy)]
struct Named<'a> {
    topic: &'a str,
    id: TopicId,
}

fn nothing(partition_index: i32, code: ErrorCode) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(text("")),
        error_code: code.code(),
    }
}

/// The answer for a group that may not be fetched.
pub(crate) fn fetch_refused(
    group: &OffsetFetchRequestGroup<'_>,
    code: ErrorCode,
    version: i16,
) -> OffsetFetchResponseGroup<'static> {
    let topic = |topic: &OffsetFetchRequestTopics<'_>| OffsetFetchResponseTopics {
        name: text(&topic.name),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(|one| nothing(*one, code)).collect(),
    };
    let each = if version <= NO_GROUP_ERROR { group.topics.as_deref().unwrap_or_default() } else { &[] };
    OffsetFetchResponseGroup {
        group_id: text(&group.group_id),
        topics: each.iter().map(topic).collect(),
        error_code: code.code(),
    }
}

/// Puts groups together as a version has them.
pub(crate) fn fetch_response(
    mut groups: Vec<OffsetFetchResponseGroup<'static>>,
    version: i16,
) -> OffsetFetchResponse<'static> {
    if version >= MANY_GROUPS {
        return OffsetFetchResponse { groups, ..Default::default() };
    }
    let Some(group) = groups.pop() else { return OffsetFetchResponse::default() };
    let partition = |one: OffsetFetchResponsePartitions<'static>| OffsetFetchResponsePartition {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: one.error_code,
    };
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), error_code: group.error_code, ..Default::default() }
}

impl Offsets {
    /// The offsets of a group, for a member that was checked. `exists` is false for a group that does not: it has
    /// no offsets, which is no error.
    pub fn fetch(
        &self,
        request: &OffsetFetchRequestGroup<'_>,
        exists: bool,
        how: FetchAs<'_>,
    ) -> OffsetFetchResponseGroup<'static> {
        let group = &*request.group_id;
        let held = if exists { self.of_group(group) } else { None };
        let topics = match &request.topics {
            None => held.into_iter().flatten().filter_map(|all| self.fetch_all(group, all, how)).collect(),
            Some(topics) => topics.iter().map(|topic| self.fetch_topic(group, held, topic, how)).collect(),
        };
        OffsetFetchResponseGroup { group_id: text(group), topics, error_code: ErrorCode::None.code() }
    }

    fn fetch_all(
        &self,
        group: &str,
        all: (&Arc<str>, &ByPartition),
        how: FetchAs<'_>,
    ) -> Option<OffsetFetchResponseTopics<'static>> {
        let (topic, partitions) = all;
        let id = if how.version >= TOPIC_IDS {
            // A topic that is gone cannot be named in this version, and what was committed for it is no other's.
            how.topics.by_name(topic)?.id
        } else {
            TopicId::ZERO
        };
        let named = Named { topic, id };
        let own = partitions.iter().filter(|(_, committed)| !committed.is_of_another(id));
        let found = own.map(|(one, _)| self.fetch_one(group, named, Some(partitions), *one, how));
        let partitions: Vec<_> = found.collect();
        if partitions.is_empty() {
            return None;
        }
        Some(OffsetFetchResponseTopics { name: text(topic), topic_id: uuid(id), partitions })
    }

    fn fetch_topic(
        &self,
        group: &str,
        held: Option<&ByTopic>,
        topic: &OffsetFetchRequestTopics<'_>,
        how: FetchAs<'_>,
    ) -> OffsetFetchResponseTopics<'static> {
        let known = (how.version >= TOPIC_IDS).then(|| how.topics.by_id(topic_id(topic.topic_id)));
        let indexes = topic.partition_indexes.iter();
        let partitions = match &known {
            Some(None) => indexes.map(|one| nothing(*one, ErrorCode::UnknownTopicId)).collect(),
            _ => {
                let name = known
                    .as_ref()
                    .and_then(|found| found.as_ref())
                    .map_or(&*topic.name, |found| &*found.name);
                let partitions = held.and_then(|held| held.get(name));
                let named = Named { topic: name, id: topic_id(topic.topic_id) };
                indexes.map(|one| self.fetch_one(group, named, partitions, *one, how)).collect()
            }
        };
        OffsetFetchResponseTopics { name: text(&topic.name), topic_id: topic.topic_id, partitions }
    }

    fn fetch_one(
        &self,
        group: &str,
        named: Named<'_>,
        held: Option<&ByPartition>,
        partition: i32,
        how: FetchAs<'_>,
    ) -> OffsetFetchResponsePartitions<'static> {
        if how.stable && self.is_pending(group, named.topic, partition) {
            return nothing(partition, ErrorCode::UnstableOffsetCommit);
        }
        let held = held.and_then(|held| held.get(&partition));
        match held.filter(|committed| !committed.is_of_another(named.id)) {
            None => nothing(partition, ErrorCode::None),
            Some(committed) => OffsetFetchResponsePartitions {
                partition_index: partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(text(&committed.metadata)),
                error_code: ErrorCode::None.code(),
            },
        }
    }
}
