//! What happens by itself: timeouts, expiry, markers that are tried again, requests that waited too long.

use crate::Coordinator;
use crate::coordinator::refuse_concurrent;
use crate::effects::Effects;
use crate::record;
use crate::{PartitionSet, State};
use std::rc::Rc;

/// Ids that one call looks after: what follows from it fits into one write.
const TICK_MAX: usize = 1000;

impl Coordinator {
    /// When [`Coordinator::tick`] has something to do, in ms since 1970; `None`: only after another input.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|&(deadline_ms, _)| deadline_ms)
    }

    /// Does what is due, for at most 1,000 ids: what is left is due still.
    ///
    /// Transactions over their time are aborted and their producers fenced; ids that were idle for long go;
    /// markers that failed are tried again; requests that waited are told CONCURRENT_TRANSACTIONS.
    pub fn tick(&mut self, now_ms: i64) -> Effects {
        let mut effects = Effects::default();
        for _ in 0..TICK_MAX {
            if self.next_deadline_ms().is_none_or(|deadline_ms| deadline_ms > now_ms) {
                break;
            }
            let Some((_, id)) = self.deadlines.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.deadline_ms = None;
            }
            self.due(&id, now_ms, &mut effects);
        }
        effects
    }

    fn due(&mut self, id: &Rc<str>, now_ms: i64, effects: &mut Effects) {
        self.give_up(id, now_ms, effects);
        self.retry(id, now_ms, effects);
        let Some(entry) = self.entries.get(id) else { return };
        let transaction = &entry.transaction;
        if transaction.timeout_at_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.fence_and_abort(id, now_ms, effects);
        } else if transaction.state.is_idle()
            && transaction.update_ms.saturating_add(self.config.expiration_ms) <= now_ms
        {
            self.expire(id, effects);
        }
        self.schedule(id);
    }

    /// Ends the wait of requests.
    fn give_up(&mut self, id: &Rc<str>, now_ms: i64, effects: &mut Effects) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let waiting = &mut self.waiting;
        entry.kept.retain(|asked| {
            let waits = asked.until_ms > now_ms;
            if !waits {
                waiting.remove(&asked.waiter);
                refuse_concurrent(asked, effects);
            }
            waits
        });
    }

    /// Tries markers again that failed.
    fn retry(&mut self, id: &Rc<str>, now_ms: i64, effects: &mut Effects) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.retry_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        entry.retry_at_ms = None;
        let partitions: PartitionSet = std::mem::take(&mut entry.retry);
        if let Some(entry) = self.entries.get(id) {
            effects.markers.push(self.marker_work(id, entry, partitions));
        }
    }

    /// The id is gone, and its record with the next compaction.
    fn expire(&mut self, id: &Rc<str>, effects: &mut Effects) {
        let Some(entry) = self.entries.remove(id) else { return };
        debug_assert!(State::Dead.may_follow(entry.transaction.state));
        if let Some(deadline_ms) = entry.deadline_ms {
            self.deadlines.remove(&(deadline_ms, id.clone()));
        }
        effects.records.push(record::tombstone(id));
    }
}
