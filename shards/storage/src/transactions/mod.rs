//! What a log must know of transactions (KIP-98), as pure code.
//!
//! - [`marker`]: the control batch that ends a transaction.
//! - [`rules`]: which batches and markers a producer's epochs allow.
//! - [`open`]: [`OpenTransactions`], which transactions are open, and where readers of committed data end.
//! - [`aborted`]: [`AbortedIndex`], what such readers must skip; Kafka's `.txnindex`.
//! - [`TransactionScan`]: both again from the batches.
//!
//! `docs/transactions.md` says where each is to be called.

pub mod aborted;
pub mod marker;
pub mod open;
pub mod rules;

pub use aborted::{AbortedIndex, AbortedTransaction, BadIndex};
pub use marker::{BadMarker, EndMarker};
pub use open::{Ended, OpenTransactions};
pub use rules::{KnownProducer, Violation};

use crate::batch::BatchHeader;

/// Makes the state of a log's transactions again from its batches: at a start, and for an index that is missing.
///
/// It begins at a producer snapshot, with the transactions that were open there, or at the log's beginning with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionScan {
    /// The transactions that are open behind the last batch.
    pub open: OpenTransactions,
    /// Those that were aborted since [`TransactionScan::take_aborted`].
    aborted: Vec<AbortedTransaction>,
}

impl TransactionScan {
    /// A scan that begins where these transactions are open.
    pub fn new(open: OpenTransactions) -> TransactionScan {
        TransactionScan { open, aborted: Vec::new() }
    }

    /// Takes the next batch of the log. The batch must be whole; its CRC is not looked at.
    ///
    /// # Errors
    /// A control batch that holds no marker where it says that it does. Nothing has changed.
    pub fn batch(&mut self, batch: &[u8]) -> Result<(), BadMarker> {
        let Ok(header) = BatchHeader::parse(batch) else { return Err(BadMarker) };
        if header.is_control() {
            if let Some(marker) = marker::read(batch)? {
                let ended = self.open.end(marker.producer_id, header.base_offset);
                self.aborted.extend(ended.filter(|_| !marker.commit).map(Ended::aborted));
            }
        } else if header.is_transactional() && header.has_producer() {
            self.open.begin(header.producer_id, header.base_offset);
        }
        Ok(())
    }

    /// The transactions that were aborted by batches since the last call: what goes into the index of the segment
    /// that holds these batches.
    pub fn take_aborted(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.aborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{HEADER_BYTES, assign};

    /// The header of a batch of `count` records; the records are not looked at.
    fn data(base_offset: i64, count: i32, producer_id: i64, attributes: i16) -> Vec<u8> {
        let mut batch = vec![0; HEADER_BYTES];
        batch[8..12].copy_from_slice(&49i32.to_be_bytes());
        batch[16] = 2;
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        assign(&mut batch, base_offset, 0);
        batch
    }

    fn end(base_offset: i64, producer_id: i64, commit: bool) -> Vec<u8> {
        let marker = EndMarker { producer_id, producer_epoch: 0, commit, coordinator_epoch: 1 };
        let mut batch = marker::build(&marker, 5).to_vec();
        assign(&mut batch, base_offset, 0);
        batch
    }

    #[test]
    fn a_log_read_again_gives_the_same() {
        const TRANSACTIONAL: i16 = 0x10;
        let log = [
            data(0, 3, 7, TRANSACTIONAL),
            data(3, 1, 8, TRANSACTIONAL),
            // Neither of these is in a transaction.
            data(4, 1, -1, TRANSACTIONAL),
            data(5, 1, 9, 0),
            data(6, 2, 7, TRANSACTIONAL),
            end(8, 8, false),
            end(9, 7, true),
            data(10, 1, 7, TRANSACTIONAL),
            // A marker that came twice, and one of a producer that has nothing here.
            end(11, 8, false),
            end(12, 10, false),
            data(13, 1, 8, TRANSACTIONAL),
            end(14, 7, false),
        ];
        let mut scan = TransactionScan::default();
        for batch in &log {
            scan.batch(batch).expect("a batch");
        }
        let aborted = |producer_id, first_offset, last_offset, last_stable_offset| AbortedTransaction {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        };
        let all = scan.take_aborted();
        assert_eq!(all, [aborted(8, 3, 8, 0), aborted(7, 10, 14, 13)]);
        assert_eq!(scan.open.iter().collect::<Vec<_>>(), [(8, 13)]);
        assert_eq!(scan.open.last_stable(0, 15), 0, "markers that are not durable decide nothing");
        scan.open.durable(15);
        assert_eq!(scan.open.last_stable(0, 15), 13);

        // The second half, from a snapshot in between.
        let mut open = OpenTransactions::default();
        open.begin(7, 0);
        let mut half = TransactionScan::new(open);
        for batch in &log[6..] {
            half.batch(batch).expect("a batch");
        }
        assert_eq!(half.take_aborted(), all[1..]);
        assert_eq!(half.open.iter().collect::<Vec<_>>(), [(8, 13)]);
        assert_eq!(half.batch(&log[0][..40]), Err(BadMarker));
    }
}
