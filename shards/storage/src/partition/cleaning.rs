//! What the cleaner asks of a log.

use super::{Log, Partition};
use crate::cleaner::AbortedTransaction;
use crate::error::{ReadError, StorageError};
use model::Offset;
use std::rc::Rc;

impl Log {
    /// The first offset that may not be compacted, because a transaction that is open may still make something else
    /// of it, or because it is not durable. What is open is known when the producers are loaded.
    pub fn first_unstable(&self) -> i64 {
        self.state.borrow().last_stable()
    }

    /// The aborted transactions with records from `from` on to before `to`.
    pub async fn aborted_transactions(
        self: &Rc<Self>,
        from: i64,
        to: i64,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let partition = Partition { log: self.clone() };
        match partition.aborted(Offset(from), Offset(to)).await {
            Ok(found) => Ok(found
                .into_iter()
                .map(|(producer_id, first)| AbortedTransaction { producer_id, first_offset: first.0 })
                .collect()),
            Err(ReadError::Storage(error)) => Err(error),
            Err(ReadError::Damaged(damage)) => Err(StorageError::Damaged(damage)),
            // It was deleted meanwhile.
            Err(ReadError::OffsetOutOfRange { .. }) => Ok(Vec::new()),
        }
    }

    /// Whether offsets may be missing between batches without damage: compaction does that, nothing else.
    pub fn may_have_gaps(&self) -> bool {
        self.has_gaps.get() || self.config.borrow().compact
    }

    /// Whether the cleaner leaves it alone.
    pub fn is_uncleanable(&self) -> bool {
        let state = self.state.borrow();
        // What was deleted hurts no more.
        let hurts = self.uncleanable.get().is_some_and(|behind| state.log_start < behind);
        state.deleted || hurts || !state.damage.is_empty()
    }
}
