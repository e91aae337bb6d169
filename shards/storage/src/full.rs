//! Who has found the device full and waits for room: the drain, and direct writes.

use crate::stats::{self, StoreStats};
use std::sync::atomic::Ordering;

/// One that waits for room on the device, as long as this lives.
pub(crate) struct Waiting<'a>(&'a StoreStats);

impl<'a> Waiting<'a> {
    /// The first that waits says `what` that means.
    pub fn new(stats: &'a StoreStats, what: &str) -> Waiting<'a> {
        if !stats.is_full() {
            log::error!("no space left on the device: {what}");
        }
        stats::add(&stats.waiting_for_room, 1);
        Waiting(stats)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let others = self.0.waiting_for_room.load(Ordering::Relaxed).saturating_sub(1);
        self.0.waiting_for_room.store(others, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_full_until_the_last_has_found_room() {
        let stats = StoreStats::default();
        let (one, other) = (Waiting::new(&stats, "one waits"), Waiting::new(&stats, "another waits"));
        drop(one);
        assert!(stats.is_full());
        drop(other);
        assert!(!stats.is_full());
    }
}
