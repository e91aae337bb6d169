//! OffsetCommit and TxnOffsetCommit.

use super::{Committed, Holder, Offsets, entry};
use crate::effects::Producer;
use crate::records::{self, OffsetKeys};
use crate::request::Context;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::topics::Topic;
use crate::wire::{text, topic_id, uuid};
use kafka_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use kafka_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::messages::offset_commit_value::OffsetCommitValue;
use kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use kafka_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_wire::{ErrorCode, Str};
use model::{ProducerEpoch, ProducerId, TopicId};

/// From this version on topics are named by their ids.
pub(crate) const TOPIC_IDS: i16 = 10;

/// One partition's part of a commit.
struct Wish<'a> {
    topic: &'a str,
    /// Zero in transactions, whose requests never name topics by their ids: Kafka keeps none for them either.
    topic_id: TopicId,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a str>,
    expire_ms: i64,
}

impl<'a> Wish<'a> {
    /// What is written of it, and kept.
    fn value(&self, now: i64) -> OffsetCommitValue<'a> {
        OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: Str::Borrowed(self.metadata.unwrap_or_default()),
            commit_timestamp: now,
            expire_timestamp: self.expire_ms,
            topic_id: uuid(self.topic_id),
        }
    }
}

/// Whether a note is not too long. Kafka counts characters as Java does, of which there are at most as many as bytes.
fn check_note(note: Option<&str>, settings: &Settings) -> Result<(), ErrorCode> {
    let (note, limit) = (note.unwrap_or_default(), settings.offset_metadata_max_bytes);
    if note.len() > limit && note.encode_utf16().count() > limit {
        Err(ErrorCode::OffsetMetadataTooLarge)
    } else {
        Ok(())
    }
}

/// The topic of a commit, if there is such a topic.
pub(crate) fn topic_of(
    topic: &OffsetCommitRequestTopic<'_>,
    context: &Context<'_>,
) -> Result<Topic, ErrorCode> {
    let topics = context.topics;
    if context.version >= TOPIC_IDS {
        return topics.by_id(topic_id(topic.topic_id)).ok_or(ErrorCode::UnknownTopicId);
    }
    topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// A topic that has this partition; what is not there is refused before anything is asked of the group.
fn having(topic: &Result<Topic, ErrorCode>, partition: i32) -> Result<&Topic, ErrorCode> {
    match topic {
        Err(code) => Err(*code),
        Ok(topic) if (0..topic.partitions).contains(&partition) => Ok(topic),
        Ok(_) => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Every partition of a commit that is there, with its topic.
pub(crate) fn partitions_of(request: &OffsetCommitRequest<'_>, context: &Context<'_>) -> Vec<(Topic, i32)> {
    let mut all = Vec::new();
    for topic in &request.topics {
        let found = topic_of(topic, context);
        let there = topic.partitions.iter().filter_map(|one| {
            let topic = having(&found, one.partition_index).ok()?;
            Some((topic.clone(), one.partition_index))
        });
        all.extend(there);
    }
    all
}

/// The same of a commit in a transaction.
pub(crate) fn txn_partitions_of(
    request: &TxnOffsetCommitRequest<'_>,
    context: &Context<'_>,
) -> Vec<(Topic, i32)> {
    let mut all = Vec::new();
    for topic in &request.topics {
        let Some(found) = context.topics.by_name(&topic.name) else { continue };
        let indexes = topic.partitions.iter().map(|one| one.partition_index);
        let there = indexes.filter(|partition| (0..found.partitions).contains(partition));
        all.extend(there.map(|partition| (found.clone(), partition)));
    }
    all
}

/// The answer to a commit that the group refuses: of partitions that are not there this is said.
pub(crate) fn commit_refused(
    request: &OffsetCommitRequest<'_>,
    context: &Context<'_>,
    code: ErrorCode,
) -> OffsetCommitResponse<'static> {
    let topic = |topic: &OffsetCommitRequestTopic<'_>| {
        let found = topic_of(topic, context);
        let partitions = topic.partitions.iter().map(|one| {
            let code = having(&found, one.partition_index).err().unwrap_or(code);
            committed(one.partition_index, code)
        });
        OffsetCommitResponseTopic {
            name: text(&topic.name),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    };
    OffsetCommitResponse { topics: request.topics.iter().map(topic).collect(), ..Default::default() }
}

fn committed(partition_index: i32, code: ErrorCode) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition { partition_index, error_code: code.code() }
}

/// The answer to a transactional commit that the group refuses: of partitions that are not there this is said.
pub(crate) fn txn_commit_refused(
    request: &TxnOffsetCommitRequest<'_>,
    context: &Context<'_>,
    code: ErrorCode,
) -> TxnOffsetCommitResponse<'static> {
    let topics = request.topics.iter().map(|topic| {
        let found = context.topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition);
        let partitions = topic.partitions.iter().map(|one| {
            let code = having(&found, one.partition_index).err().unwrap_or(code);
            txn_committed(one.partition_index, code)
        });
        TxnOffsetCommitResponseTopic { name: text(&topic.name), partitions: partitions.collect() }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

fn txn_committed(partition_index: i32, code: ErrorCode) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition { partition_index, error_code: code.code() }
}

impl Offsets {
    /// Commits, for a member that was checked.
    pub fn commit(
        &mut self,
        request: &OffsetCommitRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> OffsetCommitResponse<'static> {
        let retention = request.retention_time_ms;
        let expire_ms = if retention == -1 { -1 } else { scene.now.saturating_add(retention.max(0)) };
        let settings = scene.settings;
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let found = topic_of(topic, context);
            let answers = topic.partitions.iter().map(|one| {
                let checked = having(&found, one.partition_index)
                    .and_then(|_| check_note(one.committed_metadata.as_deref(), settings));
                committed(one.partition_index, checked.err().unwrap_or(ErrorCode::None))
            });
            let partitions: Vec<OffsetCommitResponsePartition> = answers.collect();
            if let Ok(found) = &found {
                let checked = topic.partitions.iter().zip(&partitions);
                let right = checked.filter(|(_, answer)| answer.error_code == ErrorCode::None.code());
                let wishes = right.map(|(one, _)| Wish {
                    topic: &found.name,
                    topic_id: found.id,
                    partition: one.partition_index,
                    offset: one.committed_offset,
                    leader_epoch: one.committed_leader_epoch,
                    metadata: one.committed_metadata.as_deref(),
                    expire_ms,
                });
                self.commit_topic(&request.group_id, &found.name, wishes, scene);
            }
            let answer =
                OffsetCommitResponseTopic { name: text(&topic.name), topic_id: topic.topic_id, partitions };
            topics.push(answer);
        }
        OffsetCommitResponse { topics, ..Default::default() }
    }

    /// Commits for partitions of one topic, which were checked. Group and topic are looked for once for all of them.
    fn commit_topic<'a>(
        &mut self,
        group: &str,
        topic: &str,
        wishes: impl Iterator<Item = Wish<'a>>,
        scene: &mut Scene<'_>,
    ) {
        let mut wishes = wishes.peekable();
        if wishes.peek().is_none() {
            // What has no offsets has no entry.
            return;
        }
        let keys = OffsetKeys::new(group, topic);
        let Offsets { committed: groups, count, order, .. } = self;
        let partitions = entry(entry(groups, group), topic);
        for wish in wishes {
            let value = wish.value(scene.now);
            scene.out.records.push(keys.offset(wish.partition, &value));
            *order += 1;
            let committed = Committed::from_value(&value, *order);
            let is_new = partitions.insert(wish.partition, committed).is_none();
            *count += usize::from(is_new);
        }
    }

    /// Commits as part of a transaction, for a member that was checked.
    pub fn commit_in_transaction(
        &mut self,
        request: &TxnOffsetCommitRequest<'_>,
        context: &Context<'_>,
        scene: &mut Scene<'_>,
    ) -> TxnOffsetCommitResponse<'static> {
        let mut topics = Vec::with_capacity(request.topics.len());
        let write = self.next_write();
        for topic in &request.topics {
            let found = context.topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for one in &topic.partitions {
                let wish = Wish {
                    topic: &topic.name,
                    topic_id: TopicId::ZERO,
                    partition: one.partition_index,
                    offset: one.committed_offset,
                    leader_epoch: one.committed_leader_epoch,
                    metadata: one.committed_metadata.as_deref(),
                    expire_ms: -1,
                };
                let code = match having(&found, one.partition_index) {
                    Err(code) => code,
                    Ok(_) => self.commit_one((request.producer_id, write), &request.group_id, &wish, scene),
                };
                partitions.push(txn_committed(one.partition_index, code));
            }
            topics.push(TxnOffsetCommitResponseTopic { name: text(&topic.name), partitions });
        }
        if !scene.out.records.is_empty() {
            let epoch = ProducerEpoch(request.producer_epoch);
            scene.out.producer = Some(Producer { id: ProducerId(request.producer_id), epoch, write });
            self.begin_write(write, &request.group_id);
        }
        TxnOffsetCommitResponse { topics, ..Default::default() }
    }

    fn commit_one(
        &mut self,
        holder: Holder,
        group: &str,
        wish: &Wish<'_>,
        scene: &mut Scene<'_>,
    ) -> ErrorCode {
        if let Err(code) = check_note(wish.metadata, scene.settings) {
            return code;
        }
        let value = wish.value(scene.now);
        scene.out.records.push(records::offset(group, wish.topic, wish.partition, &value));
        self.put(Some(holder), group, wish.topic, wish.partition, &value);
        ErrorCode::None
    }
}
