//! EndTxn: the decision, by the rules of V1 and of V2 (KIP-890).

use crate::coordinator::{ProducerIds, Refusal};
use crate::effects::{Effects, Outcome};
use crate::{Coordinator, EPOCH_BUMP, EndTransaction, NO_EPOCH, NO_PRODUCER, State, Transaction};
use base::mistakes;
use kafka_wire::ErrorCode;

/// What is to be done about an EndTxn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Decide.
    Decide,
    /// It was decided so, and is complete: the answer was lost.
    Repeated,
    /// It was decided so and is not complete, or that of the transaction before is not.
    Busy,
}

impl Coordinator {
    pub(crate) fn end(
        &mut self,
        now_ms: i64,
        asked: &EndTransaction,
        ids: &mut ProducerIds<'_>,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let id = asked.transactional_id.as_str();
        if id.is_empty() {
            return Err(Refusal::Invalid(ErrorCode::InvalidRequest));
        }
        let Some(transaction) = self.transaction(id) else {
            return Err(Refusal::State(ErrorCode::InvalidProducerIdMapping));
        };
        let is_v2 = asked.client_version >= EPOCH_BUMP;
        let step = if is_v2 { judge_v2(transaction, asked)? } else { judge_v1(transaction, asked)? };
        let mut identity = transaction.identity();
        match step {
            Step::Busy => return Err(Refusal::Concurrent),
            Step::Repeated => {}
            Step::Decide => {
                let next = match is_v2 && transaction.is_exhausted() {
                    true => ids().ok_or(Refusal::NeedsProducerId)?,
                    false => NO_PRODUCER,
                };
                self.prepare(id, asked.commit, asked.client_version, next, now_ms, effects);
                identity = self.transaction(id).map_or(identity, Transaction::identity);
            }
        }
        let (producer_id, epoch) = if is_v2 { identity } else { (NO_PRODUCER, NO_EPOCH) };
        Ok(Outcome::Ended { producer_id, epoch })
    }

    /// Decides how a transaction ends: the record of it, and the markers. Without partitions it is complete at once.
    pub(crate) fn prepare(
        &mut self,
        id: &str,
        commit: bool,
        client_version: i16,
        next_producer_id: i64,
        now_ms: i64,
        effects: &mut Effects,
    ) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.transaction.prepare(commit, client_version, next_producer_id, now_ms);
        }
        self.log(id, effects);
        self.go_on(id, now_ms, effects);
    }
}

/// With V1 the epoch stays, so only the state tells a retry.
fn judge_v1(transaction: &Transaction, asked: &EndTransaction) -> Result<Step, ErrorCode> {
    if transaction.producer_id != asked.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if transaction.epoch != asked.epoch && !mistakes::is_made("fencing not checked") {
        return Err(ErrorCode::ProducerFenced);
    }
    match (transaction.state, asked.commit) {
        (State::Ongoing, _) => Ok(Step::Decide),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(Step::Repeated),
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => Ok(Step::Busy),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

/// With V2 the epoch was raised by the decision, so the epoch tells a retry from the end of the next transaction.
fn judge_v2(transaction: &Transaction, asked: &EndTransaction) -> Result<Step, ErrorCode> {
    use State::*;
    let is_current = asked.epoch == transaction.epoch;
    let was_raised = i32::from(asked.epoch) + 1 == i32::from(transaction.epoch);
    // The raise used up the epochs, and the transaction has gone over to the next producer id.
    let was_rotated = asked.producer_id == transaction.previous_producer_id
        && asked.epoch == i16::MAX - 1
        && transaction.epoch == 0;
    if transaction.state.is_prepared() && (asked.producer_id, asked.epoch) == transaction.identity() {
        // The client was told of the decision, and already ends what it began after it: an abort that overtook the
        // markers. Only that client has this epoch, so nobody is to be shut out. Kafka does, with PRODUCER_FENCED.
        return Ok(Step::Busy);
    }
    if transaction.producer_id != asked.producer_id && !was_rotated {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let is_retry = was_raised || was_rotated;
    let is_valid = match transaction.state {
        Ongoing | Empty | Dead | PrepareEpochFence => is_current,
        PrepareCommit | PrepareAbort => was_raised,
        CompleteCommit | CompleteAbort => is_retry || is_current,
    };
    if !is_valid && !mistakes::is_made("fencing not checked") {
        return Err(ErrorCode::ProducerFenced);
    }
    match (transaction.state, asked.commit) {
        (Ongoing, _) | (Empty, false) => Ok(Step::Decide),
        (CompleteCommit, true) | (CompleteAbort, false) if is_retry => Ok(Step::Repeated),
        // A client that does not know whether its transaction has begun here aborts it to be sure.
        (CompleteCommit | CompleteAbort, false) if !is_retry => Ok(Step::Decide),
        (PrepareCommit, true) | (PrepareAbort, false) => Ok(Step::Busy),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}
