//! From the decision to the last marker.

use crate::coordinator::{ProducerIds, Refusal, refuse_concurrent};
use crate::effects::{Effects, Marked, MarkerResult, MarkerWork, Stopped};
use crate::{Coordinator, PartitionSet};
use std::rc::Rc;

impl Coordinator {
    /// Takes what became of markers, of all that `work` has or of some. Results of a transaction that has gone on
    /// since, or of a coordinator before this one, change nothing.
    ///
    /// Requests that waited for the transaction are decided when it is complete, as if they came now.
    pub fn markers_written(
        &mut self,
        now_ms: i64,
        work: &MarkerWork,
        results: &[MarkerResult],
        ids: &mut ProducerIds<'_>,
    ) -> Effects {
        let mut effects = Effects::default();
        let id = &work.transactional_id;
        let of_now = work.coordinator_epoch == self.epoch;
        let Some(entry) = self.entries.get_mut(id).filter(|_| of_now && self.is_loaded) else {
            return effects;
        };
        let transaction = &mut entry.transaction;
        let theirs = (work.producer_id, work.epoch);
        if !transaction.state.is_prepared() || theirs != (transaction.producer_id, transaction.epoch) {
            return effects;
        }
        for result in results {
            let (topic, partition) = (result.topic.as_str(), result.partition);
            match result.marked {
                Marked::Written | Marked::Gone => {
                    transaction.partitions.remove(topic, partition);
                    entry.retry.remove(topic, partition);
                }
                Marked::Retry if transaction.partitions.contains(topic, partition) => {
                    entry.retry.insert(topic, partition);
                }
                Marked::Retry => {}
                Marked::Refused(code) => {
                    entry.stopped = true;
                    let (transactional_id, topic) = (id.clone(), result.topic.clone());
                    effects.stopped.push(Stopped { transactional_id, topic, partition, code });
                }
            }
        }
        if entry.stopped {
            entry.retry = PartitionSet::default();
        }
        let waits = !entry.retry.is_empty();
        let retry_ms = now_ms.saturating_add(self.config.marker_retry_ms);
        entry.retry_at_ms = waits.then(|| entry.retry_at_ms.unwrap_or(retry_ms));
        if transaction.partitions.is_empty() && !entry.stopped {
            self.complete(id, now_ms, &mut effects);
            self.wake(id, now_ms, ids, &mut effects);
        }
        self.schedule(id);
        effects
    }

    /// What comes next of a transaction that is decided: all its markers, or, when it has none, its completion.
    pub(crate) fn go_on(&mut self, id: &str, now_ms: i64, effects: &mut Effects) {
        let Some((id, entry)) = self.entries.get_key_value(id) else { return };
        if !entry.transaction.state.is_prepared() {
            return;
        }
        if entry.transaction.partitions.is_empty() {
            let id = id.clone();
            self.complete(&id, now_ms, effects);
        } else {
            effects.markers.push(self.marker_work(id, entry, entry.transaction.partitions.clone()));
        }
    }

    fn complete(&mut self, id: &Rc<str>, now_ms: i64, effects: &mut Effects) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.transaction.complete(now_ms);
            entry.retry = PartitionSet::default();
            entry.retry_at_ms = None;
            entry.stopped = false;
        }
        self.log(id, effects);
    }

    /// Decides the requests that waited. One of them may open the next transaction, and end it, and the others then
    /// wait on for what is left of their time.
    fn wake(&mut self, id: &Rc<str>, now_ms: i64, ids: &mut ProducerIds<'_>, effects: &mut Effects) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        for asked in std::mem::take(&mut entry.kept) {
            self.waiting.remove(&asked.waiter);
            let again = asked.clone();
            if self.serve(now_ms, asked, ids, effects) == Some(Refusal::NeedsProducerId) {
                // There is time to fetch one until the client asks again.
                refuse_concurrent(&again, effects);
            }
        }
    }
}
