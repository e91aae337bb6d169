//! The transactions that are open in a log, and where readers of committed data end.

use super::AbortedTransaction;
use std::collections::BTreeMap;

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose it was.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: i64,
    /// The offset of its marker.
    pub last_offset: i64,
    /// The first offset of the transactions that are open still; without any, the one behind the marker.
    pub last_stable_offset: i64,
}

impl Ended {
    /// Its entry in the index, if it was aborted.
    pub fn aborted(self) -> AbortedTransaction {
        let Ended { producer_id, first_offset, last_offset, last_stable_offset } = self;
        AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset }
    }
}

/// The transactions of a log that hold readers of committed data back.
///
/// Those that are open; and those that have ended by a marker which is not below the high watermark yet: until it is,
/// nobody may rely on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTransactions {
    /// Where the open transaction of each producer began.
    open: BTreeMap<i64, i64>,
    /// The same by offset.
    by_offset: BTreeMap<i64, i64>,
    /// First offset, and the producer and marker of what ended there.
    ended: BTreeMap<i64, (i64, i64)>,
}

impl OpenTransactions {
    /// A transactional batch was appended: if its producer has no transaction open, one begins there. Tells whether it
    /// does.
    pub fn begin(&mut self, producer_id: i64, first_offset: i64) -> bool {
        if self.open.contains_key(&producer_id) {
            return false;
        }
        self.open.insert(producer_id, first_offset);
        self.by_offset.insert(first_offset, producer_id);
        true
    }

    /// A marker was appended: what it ends, if its producer has a transaction open.
    pub fn end(&mut self, producer_id: i64, marker_offset: i64) -> Option<Ended> {
        let first_offset = self.open.remove(&producer_id)?;
        self.by_offset.remove(&first_offset);
        self.ended.insert(first_offset, (producer_id, marker_offset));
        let last_stable_offset = self.first_open().unwrap_or(marker_offset.saturating_add(1));
        Some(Ended { producer_id, first_offset, last_offset: marker_offset, last_stable_offset })
    }

    /// The high watermark has moved: markers below it count.
    pub fn durable(&mut self, high_watermark: i64) {
        self.ended.retain(|_, &mut (_, marker_offset)| marker_offset >= high_watermark);
    }

    /// The first offset that readers of committed data may not see.
    pub fn last_stable(&self, log_start: i64, high_watermark: i64) -> i64 {
        let ended = self.ended.keys().next().copied();
        let unstable = self.first_open().into_iter().chain(ended).min();
        unstable.map_or(high_watermark, |offset| offset.max(log_start).min(high_watermark))
    }

    /// The log was cut off: what began from `end` on is gone, and what ended from there on is open again. Markers below
    /// the high watermark are never cut off.
    pub fn truncate(&mut self, end: i64) {
        self.open.retain(|_, &mut first_offset| first_offset < end);
        self.by_offset.retain(|&first_offset, _| first_offset < end);
        let (cut, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.ended)
            .into_iter()
            .partition(|&(_, (_, marker_offset))| marker_offset >= end);
        self.ended = kept;
        for (first_offset, (producer_id, _)) in cut {
            if first_offset < end {
                self.begin(producer_id, first_offset);
            }
        }
    }

    /// Where the open transaction of a producer began.
    pub fn first_offset(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// Where the oldest open transaction began.
    pub fn first_open(&self) -> Option<i64> {
        self.by_offset.keys().next().copied()
    }

    /// The open ones, the oldest first: producer and first offset.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.by_offset.iter().map(|(&first_offset, &producer_id)| (producer_id, first_offset))
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_wait_for_the_oldest() {
        let mut open = OpenTransactions::default();
        assert_eq!(open.last_stable(0, 10), 10);
        assert!(open.begin(7, 10) && open.begin(8, 12));
        assert!(!open.begin(7, 14), "it goes on");
        assert_eq!((open.first_offset(7), open.first_offset(9), open.len()), (Some(10), None, 2));
        assert_eq!(open.last_stable(0, 10), 10);
        assert_eq!(open.last_stable(0, 16), 10);

        let ended = open.end(7, 16).expect("it was open");
        let expected = Ended { producer_id: 7, first_offset: 10, last_offset: 16, last_stable_offset: 12 };
        assert_eq!(ended, expected);
        assert_eq!(open.end(7, 17), None, "a marker that came twice ends nothing");
        assert_eq!(open.last_stable(0, 16), 10, "the marker is not durable");
        open.durable(16);
        assert_eq!(open.last_stable(0, 16), 10, "it is the one above the high watermark");
        open.durable(17);
        assert_eq!(open.last_stable(0, 18), 12);

        let ended = open.end(8, 18).expect("it was open");
        assert_eq!(ended.last_stable_offset, 19, "nothing else is open");
        open.durable(19);
        assert_eq!((open.last_stable(0, 19), open.is_empty()), (19, true));
    }

    #[test]
    fn a_transaction_that_reaches_before_the_log_holds_all_of_it_back() {
        let mut open = OpenTransactions::default();
        open.begin(7, 10);
        assert_eq!(open.last_stable(15, 20), 15);
        assert_eq!(open.last_stable(25, 20), 20, "never above the high watermark");
    }

    #[test]
    fn a_producer_may_begin_again_before_the_marker_is_durable() {
        let mut open = OpenTransactions::default();
        open.begin(7, 1);
        open.end(7, 2);
        open.begin(7, 3);
        open.end(7, 4);
        open.begin(7, 5);
        assert_eq!(open.last_stable(0, 2), 1);
        open.durable(3);
        assert_eq!(open.last_stable(0, 3), 3);
        open.durable(5);
        assert_eq!(open.last_stable(0, 6), 5);
    }

    #[test]
    fn what_is_cut_off_never_happened() {
        let mut open = OpenTransactions::default();
        open.begin(7, 1);
        open.begin(8, 3);
        let before = open.clone();
        open.end(7, 5);
        let after_marker = open.clone();
        open.begin(7, 6);
        open.end(8, 8);
        open.begin(9, 9);
        let mut cut = open.clone();
        cut.truncate(6);
        assert_eq!(cut, after_marker);
        cut.truncate(5);
        assert_eq!(cut, before);
        cut.truncate(3);
        assert_eq!(cut.iter().collect::<Vec<_>>(), [(7, 1)]);
        cut.truncate(0);
        assert_eq!(cut, OpenTransactions::default());
    }
}
