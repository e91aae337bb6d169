//! Clocks and timers.

use crate::core::{Executor, try_with_current, with_current};
use base::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Timers in the order in which they fall due; those of one instant in the order in which they were set.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Instant, u64), Waker>,
    last: u64,
}

impl Timers {
    fn set(&mut self, at: Instant, waker: Waker) -> (Instant, u64) {
        self.last += 1;
        let key = (at, self.last);
        self.due.insert(key, waker);
        key
    }

    /// When the next timer falls due.
    pub(crate) fn next(&self) -> Instant {
        self.due.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at)
    }

    /// Wakes all that are due; returns how many.
    pub(crate) fn fire(&mut self, now: Instant) -> usize {
        let mut fired = 0;
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
            fired += 1;
        }
        fired
    }
}

/// Monotonic time now, as this core's driver has it.
pub fn now() -> Instant {
    with_current(|executor| executor.driver().now())
}

/// When the task that asks began to run: [`now`], less what it has held its core for. It costs no look at the clock; for
/// what may be off by so much.
pub fn recently() -> Instant {
    with_current(Executor::running_since)
}

/// The wall clock in milliseconds since 1970-01-01 UTC. It may jump.
pub fn wall_clock_ms() -> i64 {
    with_current(|executor| executor.driver().wall_clock_ms())
}

/// A random number from this core's driver.
pub fn random() -> u64 {
    with_current(|executor| executor.driver().random())
}

/// Waits for a time.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(now() + duration)
}

/// Waits until an instant.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { at, set: None }
}

/// A wait for an instant. Dropping it removes the timer.
pub struct Sleep {
    at: Instant,
    /// Its timer, and whom that wakes.
    set: Option<((Instant, u64), Waker)>,
}

impl Sleep {
    /// The instant.
    pub fn at(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        with_current(|executor| {
            let due = executor.driver().now() >= self.at;
            // It has not fired yet, and wakes whom it should: a task that waits for several things looks often.
            if !due && self.set.as_ref().is_some_and(|(_, waker)| waker.will_wake(context.waker())) {
                return Poll::Pending;
            }
            let mut timers = executor.timers();
            if let Some((key, _)) = self.set.take() {
                timers.due.remove(&key);
            }
            if due {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            self.set = Some((timers.set(self.at, waker.clone()), waker));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((key, _)) = self.set.take() {
            try_with_current(|executor| executor.timers().due.remove(&key));
        }
    }
}

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the time was up")
    }
}

impl std::error::Error for Elapsed {}

/// The future's result, or [`Elapsed`] if it has none within the time; then it is dropped.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    match crate::race(pin!(future), sleep(duration)).await {
        crate::Either::Left(result) => Ok(result),
        crate::Either::Right(()) => Err(Elapsed),
    }
}
