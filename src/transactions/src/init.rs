//! InitProducerId: a producer begins, and those before it are fenced (KIP-98, KIP-360).

use crate::coordinator::{Entry, ProducerIds, Refusal};
use crate::effects::{Effects, Outcome};
use crate::{Coordinator, InitProducerId, NO_PRODUCER, State, Transaction};
use kafka_wire::ErrorCode;

/// The longest transactional id: what a string of the protocol holds.
const ID_BYTES_MAX: usize = i16::MAX as usize;

impl Coordinator {
    pub(crate) fn init(
        &mut self,
        now_ms: i64,
        asked: &InitProducerId,
        ids: &mut ProducerIds<'_>,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        let id = asked.transactional_id.as_str();
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Refusal::Invalid(ErrorCode::InvalidRequest));
        }
        if !(1..=self.config.timeout_max_ms).contains(&asked.timeout_ms) {
            return Err(Refusal::Invalid(ErrorCode::InvalidTransactionTimeout));
        }
        match self.entries.get(id).map(|entry| entry.transaction.state) {
            None => self.create(now_ms, asked, ids)?,
            Some(State::Ongoing) => {
                self.check_expected(asked)?;
                // The epoch of the fence is told to nobody. The client asks again, and gets the next.
                self.fence_and_abort(id, now_ms, effects);
                return Err(Refusal::Concurrent);
            }
            Some(state) if state.is_prepared() => {
                self.check_expected(asked)?;
                return Err(Refusal::Concurrent);
            }
            Some(_) => {
                self.check_expected(asked)?;
                self.begin_anew(now_ms, asked, ids)?;
            }
        }
        self.log(id, effects);
        let Some(transaction) = self.transaction(id) else {
            return Err(Refusal::State(ErrorCode::UnknownServerError));
        };
        let (producer_id, epoch) = transaction.identity();
        Ok(Outcome::Initialized { producer_id, epoch })
    }

    fn check_expected(&self, asked: &InitProducerId) -> Result<(), ErrorCode> {
        let (Some((producer_id, epoch)), Some(transaction)) =
            (asked.expected, self.transaction(&asked.transactional_id))
        else {
            return Ok(());
        };
        match transaction.accepts(producer_id, epoch) {
            true => Ok(()),
            false => Err(ErrorCode::ProducerFenced),
        }
    }

    /// An id that is new, or has expired: whatever producer it had, it gets a new one.
    fn create(
        &mut self,
        now_ms: i64,
        asked: &InitProducerId,
        ids: &mut ProducerIds<'_>,
    ) -> Result<(), Refusal> {
        if self.entries.len() >= self.config.ids_max {
            return Err(Refusal::State(ErrorCode::PolicyViolation));
        }
        let producer_id = ids().ok_or(Refusal::NeedsProducerId)?;
        let mut transaction = Transaction::new(producer_id, asked.timeout_ms, now_ms);
        transaction.raise_epoch(asked.timeout_ms, None, now_ms)?;
        self.entries.insert(asked.transactional_id.as_str().into(), Entry::new(transaction));
        Ok(())
    }

    fn begin_anew(
        &mut self,
        now_ms: i64,
        asked: &InitProducerId,
        ids: &mut ProducerIds<'_>,
    ) -> Result<(), Refusal> {
        let Some(entry) = self.entries.get_mut(asked.transactional_id.as_str()) else { return Ok(()) };
        let transaction = &mut entry.transaction;
        let epoch = asked.expected.map(|(_, epoch)| epoch);
        if transaction.is_exhausted() && epoch.is_none_or(|epoch| epoch == transaction.epoch) {
            let producer_id = ids().ok_or(Refusal::NeedsProducerId)?;
            transaction.rotate(producer_id, asked.timeout_ms, epoch.is_some(), now_ms);
            return Ok(());
        }
        Ok(transaction.raise_epoch(asked.timeout_ms, epoch, now_ms)?)
    }

    /// Shuts the producer of an open transaction out, and aborts it.
    pub(crate) fn fence_and_abort(&mut self, id: &str, now_ms: i64, effects: &mut Effects) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.transaction.fence();
        }
        // What the broker does of itself follows the feature; V1 and the level below it are one.
        let level = self.config.transaction_version;
        let client_version = if level >= crate::EPOCH_BUMP { level } else { 0 };
        self.prepare(id, false, client_version, NO_PRODUCER, now_ms, effects);
    }
}
