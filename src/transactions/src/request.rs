//! What a coordinator is asked, owned, so that it can be kept until the transaction before is complete.

use crate::PartitionSet;

/// A request for one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A producer begins, or begins anew.
    Init(InitProducerId),
    /// A producer, or the broker for it, adds partitions; or asks whether they were added.
    Add(AddPartitions),
    /// A producer ends its transaction.
    End(EndTransaction),
}

impl Request {
    /// Whose transaction it is about.
    pub fn transactional_id(&self) -> &str {
        match self {
            Request::Init(asked) => &asked.transactional_id,
            Request::Add(asked) => &asked.transactional_id,
            Request::End(asked) => &asked.transactional_id,
        }
    }
}

/// InitProducerId with a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    /// The transactional id.
    pub transactional_id: String,
    /// How long its transactions may be open, in milliseconds.
    pub timeout_ms: i32,
    /// The producer id and epoch that it has, when it goes on after an error (KIP-360).
    pub expected: Option<(i64, i16)>,
}

/// AddPartitionsToTxn and AddOffsetsToTxn; of the batched form, one of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The partitions.
    pub partitions: PartitionSet,
    /// Only asks whether they are in the transaction (KIP-890).
    pub verify_only: bool,
    /// The level of `transaction.version` that the request's version stands for: 0 or 2.
    pub client_version: i16,
}

/// EndTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Commit, or abort.
    pub commit: bool,
    /// The level of `transaction.version` that the request's version stands for: 0 or 2.
    pub client_version: i16,
}
