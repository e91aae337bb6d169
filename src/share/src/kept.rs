//! What the state of a share partition adds up to, record by record.

use std::collections::BTreeMap;

/// Neighbouring records and what has become of them, in Kafka's numbers: 0 available, 2 acknowledged, 4 archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    /// The first offset.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// What has become of them.
    pub state: i8,
    /// How often they were handed out.
    pub deliveries: i16,
}

/// Batches by their first offset; none overlaps another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batches(BTreeMap<i64, StateBatch>);

impl Batches {
    /// Puts batches over those that are there; what is before `start` goes.
    pub fn put(&mut self, batches: &[StateBatch], start: i64) {
        for batch in batches.iter().filter(|batch| batch.first <= batch.last) {
            self.split(batch.first);
            self.split(batch.last.saturating_add(1));
            let under: Vec<i64> = self.0.range(batch.first..=batch.last).map(|(first, _)| *first).collect();
            for first in under {
                self.0.remove(&first);
            }
            self.0.insert(batch.first, *batch);
        }
        self.split(start);
        self.0 = self.0.split_off(&start);
        self.join();
    }

    /// All of them, in order.
    pub fn list(&self) -> Vec<StateBatch> {
        self.0.values().copied().collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn split(&mut self, at: i64) {
        let Some((_, batch)) = self.0.range_mut(..at).next_back() else { return };
        if batch.last < at {
            return;
        }
        let rest = StateBatch { first: at, ..*batch };
        batch.last = at - 1;
        self.0.insert(at, rest);
    }

    /// Makes neighbours of one kind one.
    fn join(&mut self) {
        let mut joined: BTreeMap<i64, StateBatch> = BTreeMap::new();
        for batch in std::mem::take(&mut self.0).into_values() {
            let is_joined = match joined.values_mut().next_back() {
                Some(before) if is_one(before, &batch) => {
                    before.last = batch.last;
                    true
                }
                _ => false,
            };
            if !is_joined {
                joined.insert(batch.first, batch);
            }
        }
        self.0 = joined;
    }
}

fn is_one(before: &StateBatch, batch: &StateBatch) -> bool {
    before.last.checked_add(1) == Some(batch.first)
        && before.state == batch.state
        && before.deliveries == batch.deliveries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: i64, last: i64, state: i8, deliveries: i16) -> StateBatch {
        StateBatch { first, last, state, deliveries }
    }

    #[test]
    fn the_newest_word_counts_and_what_is_before_the_start_goes() {
        let mut batches = Batches::default();
        batches.put(&[batch(0, 9, 0, 1)], 0);
        batches.put(&[batch(3, 4, 2, 1), batch(8, 12, 4, 2)], 0);
        let all = [batch(0, 2, 0, 1), batch(3, 4, 2, 1), batch(5, 7, 0, 1), batch(8, 12, 4, 2)];
        assert_eq!(batches.list(), all);
        batches.put(&[batch(0, 4, 2, 1)], 4);
        assert_eq!(batches.list(), [batch(4, 4, 2, 1), batch(5, 7, 0, 1), batch(8, 12, 4, 2)]);
        batches.put(&[batch(5, 7, 2, 1)], 4);
        assert_eq!(batches.list(), [batch(4, 7, 2, 1), batch(8, 12, 4, 2)], "neighbours are one");
        batches.put(&[], 13);
        assert_eq!(batches.len(), 0);
        batches.put(&[batch(9, 3, 2, 1)], 0);
        assert!(batches.list().is_empty(), "a batch that ends before it begins is none");
    }
}
