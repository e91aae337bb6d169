//! Committed offsets, by group, topic and partition; and those that a transaction still decides on.
//!
//! - this module: the store, and what a record does to it.
//! - [`commit`]: OffsetCommit and TxnOffsetCommit.
//! - [`mod@fetch`], which answers OffsetFetch.
//! - [`delete`]: OffsetDelete, deleted groups and topics, expiry.

pub(crate) mod commit;
pub(crate) mod delete;
pub(crate) mod fetch;

use crate::wire::topic_id;
use base::mistakes;
use kafka_wire::messages::offset_commit_value::OffsetCommitValue;
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Box<str>,
    pub commit_ms: i64,
    /// Set if the client asked for a retention of its own.
    pub expire_ms: Option<i64>,
    /// The topic's id when it was committed; zero if that was not known, as in transactions.
    pub topic_id: TopicId,
    /// Of two commits the one with the larger number came later.
    pub order: u64,
}

impl Committed {
    fn from_value(value: &OffsetCommitValue<'_>, order: u64) -> Committed {
        Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: Box::from(&*value.metadata),
            commit_ms: value.commit_timestamp,
            expire_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
            topic_id: topic_id(value.topic_id),
            order,
        }
    }

    /// Whether it was committed for another topic of the same name.
    fn is_of_another(&self, topic: TopicId) -> bool {
        self.topic_id != TopicId::ZERO && topic != TopicId::ZERO && self.topic_id != topic
    }
}

/// Offsets by partition.
pub(crate) type ByPartition = BTreeMap<i32, Committed>;
/// Offsets by topic.
pub(crate) type ByTopic = BTreeMap<Arc<str>, ByPartition>;
/// Offsets by group.
type ByGroup = BTreeMap<Arc<str>, ByTopic>;
/// Whose pending offsets: a producer, and the number of its write while that is not in the log.
pub(crate) type Holder = (i64, u64);
/// The number of all writes of a producer that are in the log.
pub(crate) const IN_LOG: u64 = 0;

/// All offsets of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: ByGroup,
    /// By producer, until its marker comes.
    pending: BTreeMap<Holder, ByGroup>,
    /// Those with pending offsets of each group.
    open: BTreeMap<Arc<str>, BTreeSet<Holder>>,
    /// The groups of the writes that are not in the log yet.
    unwritten: BTreeMap<u64, Arc<str>>,
    /// The number of the last write in a transaction.
    writes: u64,
    /// How many are committed.
    count: usize,
    order: u64,
}

fn insert(offsets: &mut ByGroup, group: &str, topic: &str, partition: i32, committed: Committed) -> bool {
    let topics = entry(offsets, group);
    let partitions = entry(topics, topic);
    partitions.insert(partition, committed).is_none()
}

/// The entry of a name; the name is copied only if it is new.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<Arc<str>, V>, name: &str) -> &'m mut V {
    if !map.contains_key(name) {
        map.insert(Arc::from(name), V::default());
    }
    map.get_mut(name).expect("inserted if it was not there")
}

fn remove(offsets: &mut ByGroup, group: &str, topic: &str, partition: i32) -> bool {
    let Some(topics) = offsets.get_mut(group) else { return false };
    let Some(partitions) = topics.get_mut(topic) else { return false };
    let removed = partitions.remove(&partition).is_some();
    if partitions.is_empty() {
        topics.remove(topic);
    }
    if topics.is_empty() {
        offsets.remove(group);
    }
    removed
}

impl Offsets {
    /// How many offsets are committed.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn of_group(&self, group: &str) -> Option<&ByTopic> {
        self.committed.get(group)
    }

    /// The number of the next write in a transaction.
    pub fn next_write(&self) -> u64 {
        self.writes + 1
    }

    /// The next write of a transaction was begun, with offsets of a group.
    pub fn begin_write(&mut self, write: u64, group: &str) {
        self.writes = write;
        self.unwritten.insert(write, Arc::from(group));
    }

    /// A write of a producer's transaction is in the log, and its offsets wait for the marker; or it never will be.
    pub fn written(&mut self, producer: i64, write: u64, is_in_log: bool) {
        let Some(group) = self.unwritten.remove(&write) else { return };
        let held = self.pending.remove(&(producer, write));
        self.close(&group, (producer, write));
        let topics = held.filter(|_| is_in_log).and_then(|mut groups| groups.remove(&group));
        for (topic, partitions) in topics.into_iter().flatten() {
            for (partition, committed) in partitions {
                self.pend((producer, IN_LOG), &group, &topic, partition, committed);
            }
        }
    }

    /// Takes a commit in. With a holder it is pending.
    pub fn put(
        &mut self,
        holder: Option<Holder>,
        group: &str,
        topic: &str,
        partition: i32,
        value: &OffsetCommitValue<'_>,
    ) {
        self.order += 1;
        let holder = holder.filter(|_| !mistakes::is_made("offsets of open transactions count"));
        let committed = Committed::from_value(value, self.order);
        match holder {
            None => {
                let is_new = insert(&mut self.committed, group, topic, partition, committed);
                self.count += usize::from(is_new);
            }
            Some(holder) => self.pend(holder, group, topic, partition, committed),
        }
    }

    fn pend(&mut self, holder: Holder, group: &str, topic: &str, partition: i32, committed: Committed) {
        insert(self.pending.entry(holder).or_default(), group, topic, partition, committed);
        entry(&mut self.open, group).insert(holder);
    }

    /// A holder has no offsets of a group any more.
    fn close(&mut self, group: &str, holder: Holder) {
        let Some(holders) = self.open.get_mut(group) else { return };
        holders.remove(&holder);
        if holders.is_empty() {
            self.open.remove(group);
        }
    }

    /// Takes a tombstone in: pending offsets of the partition go too.
    pub fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        if remove(&mut self.committed, group, topic, partition) {
            self.count -= 1;
        }
        let holders: Vec<Holder> = self.open.get(group).into_iter().flatten().copied().collect();
        for holder in holders {
            if let Some(pending) = self.pending.get_mut(&holder) {
                remove(pending, group, topic, partition);
            }
        }
    }

    /// A producer's transaction has ended, with all of it that is in the log.
    pub fn end_transaction(&mut self, producer: i64, commit: bool) {
        let holder = (producer, IN_LOG);
        let Some(pending) = self.pending.remove(&holder) else {
            return self.forget_open(holder);
        };
        self.forget_open(holder);
        if !commit {
            return;
        }
        for (group, topics) in pending {
            for (topic, partitions) in topics {
                for (partition, committed) in partitions {
                    self.commit_pending(&group, &topic, partition, committed);
                }
            }
        }
    }

    fn forget_open(&mut self, holder: Holder) {
        self.open.retain(|_, holders| {
            holders.remove(&holder);
            !holders.is_empty()
        });
    }

    /// A plain commit that came after the pending one stands.
    fn commit_pending(&mut self, group: &str, topic: &str, partition: i32, committed: Committed) {
        let present = self.committed.get(group).and_then(|topics| topics.get(topic)?.get(&partition));
        if present.is_some_and(|present| present.order > committed.order) {
            return;
        }
        let is_new = insert(&mut self.committed, group, topic, partition, committed);
        self.count += usize::from(is_new);
    }

    /// Whether a transaction still decides on a partition.
    pub fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let has = |holder: &Holder| {
            let topics = self.pending.get(holder).and_then(|groups| groups.get(group));
            topics.and_then(|topics| topics.get(topic)).is_some_and(|found| found.contains_key(&partition))
        };
        self.open.get(group).is_some_and(|holders| holders.iter().any(has))
    }

    /// Whether any transaction with offsets of the group is open.
    pub fn has_open(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// All partitions of a group that have an offset, committed or pending.
    fn partitions_of(&self, group: &str) -> BTreeSet<(Arc<str>, i32)> {
        let holders = self.open.get(group).into_iter().flatten();
        let pending = holders.filter_map(|holder| self.pending.get(holder)?.get(group));
        let all = self.committed.get(group).into_iter().chain(pending);
        let pairs = all.flatten().flat_map(|(topic, partitions)| {
            partitions.keys().map(move |partition| (topic.clone(), *partition))
        });
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> OffsetCommitValue<'static> {
        OffsetCommitValue { offset, ..Default::default() }
    }

    fn of(offsets: &Offsets) -> Option<i64> {
        Some(offsets.of_group("g")?.get("t")?.get(&0)?.offset)
    }

    #[test]
    fn a_transaction_counts_when_it_commits() {
        let cases =
            [(true, false, Some(7)), (false, false, Some(1)), (true, true, Some(9)), (false, true, Some(9))];
        for (commit, later, expected) in cases {
            let mut offsets = Offsets::default();
            offsets.put(None, "g", "t", 0, &at(1));
            offsets.put(Some((5, IN_LOG)), "g", "t", 0, &at(7));
            assert!(offsets.is_pending("g", "t", 0) && !offsets.is_pending("g", "t", 1));
            if later {
                offsets.put(None, "g", "t", 0, &at(9));
            }
            assert!(of(&offsets) != Some(7));
            offsets.end_transaction(6, true);
            assert!(offsets.has_open("g"));
            offsets.end_transaction(5, commit);
            assert_eq!((of(&offsets), offsets.len()), (expected, 1), "commit {commit}, later {later}");
            assert!(!offsets.has_open("g") && !offsets.is_pending("g", "t", 0));
        }
    }

    #[test]
    fn a_tombstone_takes_what_is_pending_too() {
        let mut offsets = Offsets::default();
        offsets.put(None, "g", "t", 0, &at(1));
        offsets.put(Some((5, IN_LOG)), "g", "t", 0, &at(7));
        offsets.remove("g", "t", 0);
        offsets.end_transaction(5, true);
        assert_eq!((of(&offsets), offsets.len(), offsets.committed.len() + offsets.open.len()), (None, 0, 0));
    }
}
