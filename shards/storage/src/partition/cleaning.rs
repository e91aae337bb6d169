//! What the cleaner asks of a log. Transactions are wired in here.

use super::Log;
use crate::cleaner::AbortedTransaction;

impl Log {
    /// The first offset that may not be compacted, because a transaction that is open may still make something else
    /// of it, or because it is not durable.
    pub fn first_unstable(&self) -> i64 {
        self.state.borrow().high_watermark
    }

    /// The aborted transactions with records from `from` on to before `to`. No log holds any yet: clients cannot
    /// begin them.
    pub fn aborted_transactions(&self, _from: i64, _to: i64) -> Vec<AbortedTransaction> {
        Vec::new()
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
