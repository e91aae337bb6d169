//! The partitions of a transaction, by the names of their topics.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a topic in a record beside its name, at most: the lengths of name and list, and the tags.
const TOPIC_OVERHEAD_BYTES: usize = 11;
const PARTITION_BYTES: usize = 4;

/// A set of partitions, in the order of names and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSet {
    topics: BTreeMap<String, BTreeSet<i32>>,
    len: usize,
}

impl PartitionSet {
    /// How many partitions there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a partition; false if it was there.
    pub fn insert(&mut self, topic: &str, partition: i32) -> bool {
        let is_new = match self.topics.get_mut(topic) {
            Some(partitions) => partitions.insert(partition),
            None => {
                self.topics.insert(topic.to_owned(), BTreeSet::from([partition]));
                true
            }
        };
        self.len += usize::from(is_new);
        is_new
    }

    /// Removes a partition; false if it was not there.
    pub fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let was_there = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        self.len -= usize::from(was_there);
        was_there
    }

    /// Whether a partition is there.
    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether all of `other` are there.
    pub fn contains_all(&self, other: &PartitionSet) -> bool {
        other.iter().all(|(topic, partition)| self.contains(topic, partition))
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &PartitionSet) {
        for (topic, partition) in other.iter() {
            self.insert(topic, partition);
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |&partition| (topic, partition)))
    }

    /// The topics, each with its partitions, in order.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &BTreeSet<i32>)> {
        self.topics.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// Bytes that they take in a record, rounded up.
    pub(crate) fn record_bytes(&self) -> usize {
        let names: usize = self.topics.keys().map(|topic| topic.len() + TOPIC_OVERHEAD_BYTES).sum();
        names + self.len * PARTITION_BYTES
    }

    /// How many partitions, and how many bytes of a record, adding `other` would bring.
    pub(crate) fn growth(&self, other: &PartitionSet) -> (usize, usize) {
        let fresh = other.iter().filter(|&(topic, partition)| !self.contains(topic, partition)).count();
        let topics = other.topics.keys().filter(|&topic| !self.topics.contains_key(topic));
        let names: usize = topics.map(|topic| topic.len() + TOPIC_OVERHEAD_BYTES).sum();
        (fresh, names + fresh * PARTITION_BYTES)
    }
}

impl<'a> FromIterator<(&'a str, i32)> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = (&'a str, i32)>>(all: I) -> PartitionSet {
        let mut set = PartitionSet::default();
        for (topic, partition) in all {
            set.insert(topic, partition);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_counts_what_it_has() {
        let mut set: PartitionSet = [("b", 1), ("a", 2), ("a", 0), ("b", 1)].into_iter().collect();
        assert_eq!(set.len(), 3);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", 0), ("a", 2), ("b", 1)]);
        assert!(set.contains("a", 2) && !set.contains("a", 1) && !set.contains("c", 0));
        let other: PartitionSet = [("a", 2), ("a", 3), ("c", 0)].into_iter().collect();
        assert!(!set.contains_all(&other));
        assert_eq!(set.growth(&other), (2, 1 + TOPIC_OVERHEAD_BYTES + 2 * PARTITION_BYTES));
        let before = set.record_bytes();
        let (partitions, bytes) = set.growth(&other);
        set.extend(&other);
        assert_eq!((set.len(), set.record_bytes()), (3 + partitions, before + bytes));
        assert!(set.contains_all(&other));
        assert!(set.remove("b", 1) && !set.remove("b", 1) && !set.remove("d", 1));
        assert_eq!(
            set.topics().map(|(topic, all)| (topic, all.len())).collect::<Vec<_>>(),
            [("a", 3), ("c", 1)]
        );
        assert_eq!(set.len(), 4);
    }
}
