//! AddPartitionsToTxn and AddOffsetsToTxn: a partition is in the transaction before anything is written to it.

use crate::coordinator::Refusal;
use crate::effects::{Effects, Outcome};
use crate::{AddPartitions, Coordinator, PartitionSet, State, Transaction};
use kafka_wire::ErrorCode;

/// The longest name that a topic may have.
const TOPIC_BYTES_MAX: usize = 249;

impl Coordinator {
    pub(crate) fn add(
        &mut self,
        now_ms: i64,
        asked: &AddPartitions,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let id = asked.transactional_id.as_str();
        if id.is_empty() {
            return Err(Refusal::Invalid(ErrorCode::InvalidRequest));
        }
        if asked.partitions.topics().any(|(topic, _)| topic.len() > TOPIC_BYTES_MAX) {
            return Err(Refusal::Invalid(ErrorCode::InvalidTopicException));
        }
        let Some(entry) = self.entries.get_mut(id) else {
            return Err(Refusal::State(ErrorCode::InvalidProducerIdMapping));
        };
        let transaction = &mut entry.transaction;
        transaction.check_producer(asked.producer_id, asked.epoch)?;
        if asked.verify_only {
            return verify(transaction, &asked.partitions);
        }
        if transaction.state.is_prepared() {
            return Err(Refusal::Concurrent);
        }
        if transaction.state == State::Ongoing && transaction.partitions.contains_all(&asked.partitions) {
            return Ok(Outcome::Added);
        }
        let (more, bytes) = transaction.partitions.growth(&asked.partitions);
        if transaction.partitions.len() + more > self.config.partitions_max
            || transaction.partitions.record_bytes() + bytes > self.config.record_bytes_max
        {
            return Err(Refusal::State(ErrorCode::UnknownServerError));
        }
        transaction.add(&asked.partitions, asked.client_version, now_ms);
        self.log(id, effects);
        Ok(Outcome::Added)
    }
}

/// Whether partitions are in the transaction (KIP-890). It does not wait: what asks is a batch on its way, and one
/// that comes while the transaction is being ended comes late.
fn verify(transaction: &Transaction, partitions: &PartitionSet) -> Result<Outcome, Refusal> {
    if transaction.state.is_prepared() {
        return Err(Refusal::State(ErrorCode::ConcurrentTransactions));
    }
    let missing =
        partitions.iter().filter(|&(topic, partition)| !transaction.partitions.contains(topic, partition));
    Ok(Outcome::Verified { missing: missing.collect() })
}
