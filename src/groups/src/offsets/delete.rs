//! Offsets that go: asked for, with their group or topic, or because they are old.

use super::Offsets;
use crate::effects::Record;
use crate::records;
use crate::topics::Topics;
use crate::wire::text;
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_delete_request::OffsetDeleteRequest;
use kafka_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use model::TopicId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// From when the age of a group's offsets counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgeFrom {
    /// Each from its commit.
    Commit,
    /// All from this time, when the group became empty.
    Time(i64),
}

/// Bytes of keys, about, up to which old offsets are buried at a time: they go in one batch, for which the log has a
/// limit.
const BURIED_BYTES: usize = 256 << 10;

/// What is left of a group's offsets after a look at old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Nothing: the group may go.
    Nothing,
    /// What is not old, or is waited for.
    Something,
    /// Old ones too, for which there is no room in this batch.
    Old,
}

/// How many bytes of keys there is room for beside these records.
pub(crate) fn room(records: &[Record]) -> usize {
    BURIED_BYTES.saturating_sub(records.iter().map(|record| record.key.len()).sum())
}

impl Offsets {
    fn bury(&mut self, group: &str, topic: &str, partition: i32, out: &mut Vec<Record>) {
        out.push(records::offset_tombstone(group, topic, partition));
        self.remove(group, topic, partition);
    }

    /// OffsetDelete, of a group that was checked.
    pub fn delete(
        &mut self,
        request: &OffsetDeleteRequest<'_>,
        subscribed: impl Fn(&str) -> bool,
        topics: &dyn Topics,
        out: &mut Vec<Record>,
    ) -> OffsetDeleteResponse<'static> {
        let group = &*request.group_id;
        let mut answers = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let count = topics.by_name(&topic.name).map_or(0, |topic| topic.partitions);
            let is_subscribed = subscribed(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for one in &topic.partitions {
                let partition = one.partition_index;
                let code = if !(0..count).contains(&partition) {
                    ErrorCode::UnknownTopicOrPartition
                } else if is_subscribed {
                    ErrorCode::GroupSubscribedToTopic
                } else {
                    ErrorCode::None
                };
                if code.is_none() && self.has(group, &topic.name, partition) {
                    self.bury(group, &topic.name, partition, out);
                }
                let error_code = code.code();
                partitions.push(OffsetDeleteResponsePartition { partition_index: partition, error_code });
            }
            answers.push(OffsetDeleteResponseTopic { name: text(&topic.name), partitions });
        }
        OffsetDeleteResponse { topics: answers, ..Default::default() }
    }

    fn has(&self, group: &str, topic: &str, partition: i32) -> bool {
        let committed = self.of_group(group).and_then(|topics| topics.get(topic));
        committed.is_some_and(|partitions| partitions.contains_key(&partition))
            || self.is_pending(group, topic, partition)
    }

    /// Deletes all offsets of a group.
    pub fn delete_group(&mut self, group: &str, out: &mut Vec<Record>) {
        for (topic, partition) in self.partitions_of(group) {
            self.bury(group, &topic, partition, out);
        }
    }

    /// Deletes the offsets of a topic that is gone, in all groups: those that were committed for it, and those of
    /// which it is not known what they were committed for.
    pub fn delete_topic(&mut self, topic: &str, id: TopicId, out: &mut Vec<Record>) {
        // Each group is asked for the topic: to go through all that they have would hold the core for long.
        let mut gone: BTreeSet<(Arc<str>, i32)> = BTreeSet::new();
        for (group, topics) in self.pending.values().chain([&self.committed]).flatten() {
            let Some(partitions) = topics.get(topic) else { continue };
            let lost = partitions.iter().filter(|(_, committed)| !committed.is_of_another(id));
            gone.extend(lost.map(|(partition, _)| (group.clone(), *partition)));
        }
        for (group, partition) in gone {
            self.bury(&group, topic, partition, out);
        }
    }

    /// Deletes the offsets of topics that are not there, in all groups: those that were committed for an id that is gone,
    /// and those of which it is not known what they were committed for, if nothing has the name; then also what a
    /// transaction still decides on. Else that waits for it: it may be of another topic of the name.
    pub fn delete_orphans(&mut self, topics: &dyn Topics, out: &mut Vec<Record>) {
        let is_gone = |name: &str, id: TopicId| match id {
            TopicId::ZERO => topics.by_name(name).is_none(),
            id => topics.by_id(id).is_none(),
        };
        let mut gone: BTreeSet<(Arc<str>, Arc<str>, i32)> = BTreeSet::new();
        for (group, by_topic) in self.pending.values().chain([&self.committed]).flatten() {
            for (topic, partitions) in by_topic {
                let lost = partitions.iter().filter(|(_, committed)| is_gone(topic, committed.topic_id));
                gone.extend(lost.map(|(partition, _)| (group.clone(), topic.clone(), *partition)));
            }
        }
        for (group, topic, partition) in gone {
            if !self.is_pending(&group, &topic, partition) || topics.by_name(&topic).is_none() {
                self.bury(&group, &topic, partition, out);
            }
        }
    }

    /// Deletes what is too old of a group, as far as there is room for it.
    pub fn expire(
        &mut self,
        group: &str,
        from: Option<AgeFrom>,
        subscribed: impl Fn(&str) -> bool,
        limits: (i64, i64),
        out: &mut Vec<Record>,
    ) -> Remains {
        let (now, retention_ms) = limits;
        let may_go = match self.has_open(group) {
            true => Remains::Something,
            false => Remains::Nothing,
        };
        let Some(topics) = self.of_group(group) else { return may_go };
        let Some(from) = from else { return Remains::Something };
        let mut expired: Vec<(Arc<str>, i32)> = Vec::new();
        let mut is_empty = true;
        for (topic, partitions) in topics {
            let is_read = subscribed(topic);
            for (partition, committed) in partitions {
                let start = match from {
                    AgeFrom::Commit => committed.commit_ms,
                    AgeFrom::Time(time) => time,
                };
                let is_old = match committed.expire_ms {
                    Some(expire_ms) => now >= expire_ms,
                    None => now.saturating_sub(start) >= retention_ms,
                };
                if is_old && !is_read && !self.is_pending(group, topic, *partition) {
                    expired.push((topic.clone(), *partition));
                } else {
                    is_empty = false;
                }
            }
        }
        let mut room = room(out);
        for (topic, partition) in expired {
            let tombstone = records::offset_tombstone(group, &topic, partition);
            if tombstone.key.len() > room {
                return Remains::Old;
            }
            room -= tombstone.key.len();
            out.push(tombstone);
            self.remove(group, &topic, partition);
        }
        if is_empty { may_go } else { Remains::Something }
    }
}
