//! The alarm clock of the task that keeps a coordinator's time.

use executor::{Event, race, sleep};
use std::cell::Cell;
use std::time::Duration;

/// Lets a task sleep until something is due, and wakes it when something is due sooner than it thought.
pub(crate) struct Alarm {
    rings: Event,
    /// Until when the task sleeps, in milliseconds since 1970; the smallest number while it is awake.
    sleeps_until: Cell<i64>,
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm { rings: Event::new(), sleeps_until: Cell::new(i64::MAX) }
    }
}

impl Alarm {
    /// Whatever is due is to be looked at anew.
    pub(crate) fn ring(&self) {
        self.rings.notify();
    }

    /// The next that is due is due at `deadline_ms`: whoever would sleep longer is woken.
    pub(crate) fn due(&self, deadline_ms: Option<i64>) {
        if deadline_ms.is_some_and(|at| at < self.sleeps_until.get()) {
            self.ring();
        }
    }

    /// How often it has rung. Read it before looking at what is due, then [`sleep`](Alarm::sleep).
    pub(crate) fn count(&self) -> u64 {
        self.rings.count()
    }

    /// Sleeps until the deadline, for ever if there is none, or until it has rung more than `seen` times.
    pub(crate) async fn sleep(&self, seen: u64, now_ms: i64, deadline_ms: Option<i64>) {
        self.sleeps_until.set(deadline_ms.unwrap_or(i64::MAX));
        let rings = self.rings.after(seen);
        match deadline_ms.map(|at| u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0)) {
            Some(left) => {
                race(rings, sleep(Duration::from_millis(left))).await;
            }
            None => rings.await,
        }
        self.sleeps_until.set(i64::MIN);
    }
}
