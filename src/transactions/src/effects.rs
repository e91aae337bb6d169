//! What follows from an input.

use crate::{PartitionSet, Record};
use kafka_wire::ErrorCode;
use std::rc::Rc;

/// What is to be done, in the order of the fields: write, then answer and begin the markers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Records for the coordinator's partition, to be written in one piece and in this order.
    pub records: Vec<Record>,
    /// Answers. A request that is kept has none yet.
    pub answers: Vec<Answer>,
    /// Markers to begin with when all records that the coordinator has returned are durable.
    pub markers: Vec<MarkerWork>,
    /// Markers that were refused for good; for the log of the broker.
    pub stopped: Vec<Stopped>,
    /// The request needs a new producer id and there was none; nothing has changed and nothing is answered. The
    /// request is to be handled again when there is one.
    pub needs_producer_id: bool,
}

impl Effects {
    pub(crate) fn answer(&mut self, waiter: u64, outcome: Outcome, after_records: bool) {
        self.answers.push(Answer { waiter, outcome, after_records });
    }
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who waits for it: the number that came with the request.
    pub waiter: u64,
    /// What it says.
    pub outcome: Outcome,
    /// It tells of a state, and so waits until all records that the coordinator has returned, with this answer or
    /// before, are durable. If that fails it is replaced by the error for it.
    pub after_records: bool,
}

/// What a request has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The producer may begin.
    Initialized {
        /// Its id.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
    },
    /// The partitions are in the transaction.
    Added,
    /// These of the partitions asked for are not in the transaction; the others are.
    Verified {
        /// Those that are not.
        missing: PartitionSet,
    },
    /// The end is decided.
    Ended {
        /// The producer id for the next transaction; [`NO_PRODUCER`](crate::NO_PRODUCER) to V1, which keeps it.
        producer_id: i64,
        /// The epoch for the next transaction; [`NO_EPOCH`](crate::NO_EPOCH) to V1.
        epoch: i16,
    },
    /// It was refused.
    Refused(ErrorCode),
}

/// Markers to write for one transaction: what WriteTxnMarkers says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerWork {
    /// Whose transaction it is.
    pub transactional_id: Rc<str>,
    /// The producer.
    pub producer_id: i64,
    /// The epoch of the markers.
    pub epoch: i16,
    /// Commit, or abort.
    pub commit: bool,
    /// The epoch of the coordinator.
    pub coordinator_epoch: i32,
    /// The level of `transaction.version` that the end was decided by: from 2 on partitions demand a newer epoch
    /// than that of the data (KIP-1228).
    pub transaction_version: i16,
    /// Where they go.
    pub partitions: PartitionSet,
}

/// What became of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerResult {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What became of it.
    pub marked: Marked,
}

/// What becomes of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It is durable.
    Written,
    /// The partition does not exist any more.
    Gone,
    /// Not now; it is to be tried again.
    Retry,
    /// Never: the partition has seen a newer epoch of the producer or of a coordinator.
    Refused(ErrorCode),
}

impl Marked {
    /// From the code that a log, or a broker in WriteTxnMarkers, gave. [`Marked::Gone`] is for the asker to know:
    /// UNKNOWN_TOPIC_OR_PARTITION may also be a partition that is still on its way.
    pub fn from_code(code: ErrorCode) -> Marked {
        match code {
            ErrorCode::None => Marked::Written,
            // An older message format has no transactions: there is nothing to end.
            ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion => Marked::Gone,
            ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
                Marked::Refused(code)
            }
            _ => Marked::Retry,
        }
    }
}

/// A transaction whose markers are not written any more: it stays prepared until the coordinator is loaded anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whose it is.
    pub transactional_id: Rc<str>,
    /// The topic of the partition that refused.
    pub topic: String,
    /// That partition.
    pub partition: i32,
    /// What it said.
    pub code: ErrorCode,
}
