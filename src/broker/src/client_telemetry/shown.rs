//! The numbers of a core's clients as the HTTP thread reads them.

use kafka_wire::Uuid;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use telemetry::SeriesSet;

/// What clients have pushed. The HTTP thread holds it for as long as it takes to copy pointers; the core never waits
/// for that, but comes again.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    sets: Mutex<BTreeMap<Uuid, Arc<SeriesSet>>>,
}

impl Shown {
    /// Puts a client's numbers, or takes them away; false, and nothing done, if they are being read.
    pub(crate) fn try_put(&self, id: Uuid, set: Option<&Arc<SeriesSet>>) -> bool {
        let mut sets = match self.sets.try_lock() {
            Ok(sets) => sets,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        match set {
            Some(set) => drop(sets.insert(id, set.clone())),
            None => drop(sets.remove(&id)),
        }
        true
    }

    /// All of them, in the order of the clients' ids.
    pub(crate) fn all(&self) -> Vec<Arc<SeriesSet>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_reader() {
        let shown = Shown::default();
        let set = Arc::new(SeriesSet::default());
        let reading = shown.sets.lock().expect("not poisoned");
        assert!(!shown.try_put(Uuid([1; 16]), Some(&set)));
        drop(reading);
        assert!(shown.try_put(Uuid([1; 16]), Some(&set)));
        assert_eq!(shown.all().len(), 1);
        assert!(shown.try_put(Uuid([1; 16]), None));
        assert!(shown.all().is_empty());
    }
}
