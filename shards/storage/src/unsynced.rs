//! What is written and not synced yet, in its two states: a sync takes what there is, and until it has ended that is
//! as little on the device as what comes meanwhile.

use crate::checkpoint::LogPlace;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Something of which there can be more.
pub(crate) trait Gather: Default {
    fn gather(&mut self, more: Self);
}

/// The first place counts.
impl Gather for Option<LogPlace> {
    fn gather(&mut self, more: Self) {
        *self = self.iter().copied().chain(more).min();
    }
}

impl Gather for BTreeSet<PathBuf> {
    fn gather(&mut self, mut more: Self) {
        self.append(&mut more);
    }
}

/// What waits for a sync, and what one is under way for.
#[derive(Default)]
pub(crate) struct Unsynced<T> {
    /// Is part of the next sync.
    pub waiting: T,
    /// Is part of the one that is under way.
    pub under_way: T,
}

impl<T: Gather> Unsynced<T> {
    /// A sync begins with all that waits; what it takes care of.
    pub fn begin(&mut self) -> &T {
        self.under_way.gather(std::mem::take(&mut self.waiting));
        &self.under_way
    }

    /// The sync has ended.
    pub fn end(&mut self) {
        self.under_way = T::default();
    }
}

impl Unsynced<Option<LogPlace>> {
    /// The first place that may not be on the device.
    pub fn first(&self) -> Option<LogPlace> {
        self.under_way.into_iter().chain(self.waiting).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> LogPlace {
        LogPlace { segment: 0, position: offset as u32, offset }
    }

    #[test]
    fn what_comes_during_a_sync_waits_for_the_next() {
        let mut unsynced = Unsynced::<Option<LogPlace>>::default();
        assert_eq!(unsynced.first(), None);
        unsynced.waiting = Some(place(3));
        assert_eq!(*unsynced.begin(), Some(place(3)));
        unsynced.waiting = Some(place(5));
        assert_eq!(unsynced.first(), Some(place(3)));
        unsynced.end();
        assert_eq!(unsynced.first(), Some(place(5)));
        // One that has failed is under way for ever: the next takes its part over.
        unsynced.begin();
        unsynced.waiting = Some(place(9));
        assert_eq!(*unsynced.begin(), Some(place(5)));
        assert_eq!(unsynced.waiting, None);
    }
}
