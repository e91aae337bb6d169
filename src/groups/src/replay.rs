//! Reading the log back: each record does to the state what it did when it was written.

use crate::classic::ClassicGroup;
use crate::committing::ensure_group;
use crate::consumer::ConsumerGroup;
use crate::consumer::member::{Profile, Progress};
use crate::coordinator::Coordinator;
use crate::group::Group;
use crate::offsets::IN_LOG;
use crate::records::{ReplayError, Stored};
use crate::wire::topic_id;
use kafka_wire::Str;
use kafka_wire::messages::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
use kafka_wire::messages::consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue;
use kafka_wire::messages::offset_commit_key::OffsetCommitKey;
use kafka_wire::messages::offset_commit_value::OffsetCommitValue;
use model::ProducerId;
use std::sync::Arc;

impl Coordinator {
    /// Takes in a record of the log; `producer` is that of a transactional batch, whose marker comes later
    /// ([`Coordinator::end_transaction`]). Types of record that are not known are left out, as Kafka does.
    ///
    /// # Errors
    /// If the record cannot be read. Nothing has changed then; the record can be left out.
    pub fn replay(
        &mut self,
        producer: Option<ProducerId>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match Stored::read(key, value)? {
            Stored::Offset(key, value) => self.replay_offset(producer, &key, value.as_ref()),
            Stored::ClassicGroup(key, Some(value)) => {
                let id: Arc<str> = Arc::from(&*key.group);
                let group = ClassicGroup::restore(id.clone(), &value);
                self.groups.insert(id, Group::Classic(group));
            }
            Stored::ClassicGroup(key, None) => {
                self.replay_end(&key.group, |group| matches!(group, Group::Classic(_)));
            }
            Stored::Group(key, Some(value)) => {
                let group = self.restored(&key.group_id);
                group.epoch = value.epoch;
                group.metadata_hash = value.metadata_hash;
            }
            Stored::Group(key, None) => {
                self.replay_end(&key.group_id, |group| matches!(group, Group::Consumer(_)));
            }
            Stored::Member(key, value) => {
                let profile = value.as_ref().map(Profile::restore);
                self.replay_member(&key.group_id, &key.member_id, profile);
            }
            Stored::Target(key, value) => {
                let is_there = value.is_some() || self.has_consumer(&key.group_id);
                if is_there {
                    let group = self.restored(&key.group_id);
                    let time = value.as_ref().map_or(0, |value| value.assignment_timestamp);
                    group.assignment_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
                    group.assigned_ms = (time > 0).then_some(time);
                }
            }
            Stored::TargetMember(key, value) => {
                self.replay_target(&key.group_id, &key.member_id, value.as_ref())
            }
            Stored::Current(key, value) => {
                let progress = value.as_ref().map(Progress::restore);
                self.replay_progress(&key.group_id, &key.member_id, progress);
            }
            Stored::Regex(key, value) => self.replay_regex(&key.group_id, &key.regular_expression, value),
            Stored::Streams(record) => self.replay_streams(record),
            Stored::Share(stored) => self.replay_share(&stored),
            Stored::Other => {}
        }
        Ok(())
    }

    fn replay_offset(
        &mut self,
        producer: Option<ProducerId>,
        key: &OffsetCommitKey<'_>,
        value: Option<&OffsetCommitValue<'_>>,
    ) {
        match value {
            Some(value) => {
                ensure_group(&mut self.groups, &key.group, value.commit_timestamp);
                let holder = producer.map(|producer| (producer.0, IN_LOG));
                self.offsets.put(holder, &key.group, &key.topic, key.partition, value);
            }
            None => self.offsets.remove(&key.group, &key.topic, key.partition),
        }
    }

    /// A group of one protocol has ended; if it has become one of another meanwhile, that stays.
    fn replay_end(&mut self, name: &str, is_of_protocol: fn(&Group) -> bool) {
        if self.groups.get(name).is_some_and(is_of_protocol) {
            self.groups.remove(name);
        }
    }

    fn has_consumer(&self, name: &str) -> bool {
        matches!(self.groups.get(name), Some(Group::Consumer(_)))
    }

    /// The consumer group of a name. One of another kind becomes it, for offsets may come first in the log.
    fn restored(&mut self, name: &str) -> &mut ConsumerGroup {
        let id: Arc<str> = Arc::from(name);
        let slot = self.groups.entry(id.clone());
        let slot = slot.or_insert_with(|| Group::Consumer(ConsumerGroup::new(id.clone())));
        if !matches!(slot, Group::Consumer(_)) {
            *slot = Group::Consumer(ConsumerGroup::new(id));
        }
        let Group::Consumer(group) = slot else { unreachable!("made one of the consumer protocol above") };
        group
    }

    fn replay_member(&mut self, group: &str, member: &str, profile: Option<Profile>) {
        let id: Arc<str> = Arc::from(member);
        match profile {
            Some(profile) => self.restored(group).put_profile(&id, profile),
            None if self.has_consumer(group) => {
                self.restored(group).remove(&id);
            }
            None => {}
        }
    }

    fn replay_progress(&mut self, group: &str, member: &str, progress: Option<Progress>) {
        let id: Arc<str> = Arc::from(member);
        match progress {
            Some(progress) => self.restored(group).put_progress(&id, progress),
            None if self.has_consumer(group) => {
                let group = self.restored(group);
                if group.members.contains_key(&id) {
                    group.put_progress(&id, Progress::new());
                }
            }
            None => {}
        }
    }

    fn replay_target(
        &mut self,
        group: &str,
        member: &str,
        value: Option<&ConsumerGroupTargetAssignmentMemberValue>,
    ) {
        let id: Arc<str> = Arc::from(member);
        let Some(value) = value else {
            if self.has_consumer(group) {
                self.restored(group).targets.remove(&id);
            }
            return;
        };
        let topics = value.topic_partitions.iter().filter(|topic| !topic.partitions.is_empty());
        let target = topics.map(|topic| {
            let mut partitions = topic.partitions.clone();
            partitions.sort_unstable();
            (topic_id(topic.topic_id), partitions)
        });
        let target = target.collect();
        self.restored(group).targets.insert(id, target);
    }

    fn replay_regex(
        &mut self,
        group: &str,
        pattern: &str,
        value: Option<ConsumerGroupRegularExpressionValue<'_>>,
    ) {
        if value.is_none() && !self.has_consumer(group) {
            return;
        }
        let resolved = self.restored(group).patterns.entry(Arc::from(pattern)).or_default();
        resolved.is_known = value.is_some();
        let Some(value) = value else {
            resolved.topics.clear();
            return;
        };
        resolved.topics = value.topics.into_iter().map(Str::into_owned).collect();
        resolved.topics.sort_unstable();
        resolved.version = value.version;
        resolved.at_ms = value.timestamp;
    }
}
