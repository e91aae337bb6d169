//! Which batches belong to aborted transactions, and which markers nothing needs any more: as a log is gone through
//! from its beginning.

use super::records;
use crate::batch::BatchHeader;
use std::collections::{BTreeMap, BTreeSet};

/// An aborted transaction in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedTransaction {
    pub producer_id: i64,
    /// Its first record's offset.
    pub first_offset: i64,
}

/// The transactions at a place in a log.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin further on.
    ahead: BTreeSet<(i64, i64)>,
    /// Producers in an aborted one; true if a batch of it was met.
    aborted: BTreeMap<i64, bool>,
    /// Producers of which a batch was met that is not of an aborted one.
    committed: BTreeSet<i64>,
}

/// Types of control records.
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// The type in a control record's key, which has a version before it.
fn control_type(mut records: &[u8]) -> Option<i16> {
    let key = records::take(&mut records)?.key?;
    Some(i16::from_be_bytes([*key.get(2)?, *key.get(3)?]))
}

impl Transactions {
    /// Those of a log, of which these were aborted.
    pub fn new(aborted: &[AbortedTransaction]) -> Transactions {
        let ahead = aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
        Transactions { ahead, ..Transactions::default() }
    }

    fn go_to(&mut self, offset: i64) {
        while self.ahead.first().is_some_and(|&(first, _)| first <= offset) {
            if let Some((_, producer_id)) = self.ahead.pop_first() {
                self.aborted.entry(producer_id).or_insert(false);
            }
        }
    }

    /// The next batch is one of data; true if it is part of an aborted transaction.
    pub fn on_data(&mut self, header: &BatchHeader) -> bool {
        self.go_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some(met) => {
                *met = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// The next batch is a marker; true if nothing of its transaction is left before it.
    pub fn on_control(&mut self, header: &BatchHeader, records: &[u8]) -> bool {
        self.go_to(header.last_offset());
        if header.count == 0 {
            return true;
        }
        match control_type(records) {
            Some(ABORT) => self.aborted.remove(&header.producer_id) != Some(true),
            Some(COMMIT) => !self.committed.remove(&header.producer_id),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(base_offset: i64, producer_id: i64, attributes: i16) -> BatchHeader {
        BatchHeader {
            base_offset,
            bytes: 100,
            leader_epoch: 0,
            crc: 0,
            attributes,
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            count: 1,
        }
    }

    /// A control record: length, attributes, time, offset, key of four bytes, no value, no headers.
    fn marker(kind: u8) -> [u8; 11] {
        [20, 0, 0, 0, 8, 0, 0, 0, kind, 1, 0]
    }

    #[test]
    fn aborted_batches_go_and_markers_stay_as_long_as_something_before_them_does() {
        let aborted = [AbortedTransaction { producer_id: 7, first_offset: 10 }];
        let mut all = Transactions::new(&aborted);
        let data = |offset, producer| header(offset, producer, 0x10);
        let control = |offset, producer| header(offset, producer, 0x30);
        assert!(!all.on_data(&data(5, 7)), "of the transaction before");
        assert!(!all.on_control(&control(6, 7), &marker(1)), "its commit has something before it");
        assert!(all.on_data(&data(10, 7)));
        assert!(!all.on_data(&data(11, 8)));
        assert!(!all.on_data(&header(12, 7, 0)), "not in a transaction");
        assert!(!all.on_control(&control(13, 7), &marker(0)), "its batch was met in this run");
        assert!(!all.on_data(&data(14, 7)), "the next one is not aborted");
        assert!(!all.on_control(&control(15, 8), &marker(1)));
        assert!(all.on_control(&control(16, 8), &marker(1)), "nothing is left of its transaction");
        assert!(all.on_control(&BatchHeader { count: 0, ..control(17, 8) }, &[]));
        assert!(!all.on_control(&control(18, 8), &[1, 2]), "what is not understood stays");
    }
}
