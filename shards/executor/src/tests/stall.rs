//! Tasks that hold the core are counted. The line in the log has a test program of its own: `tests/stall.rs`.

use super::{Clock, executor_over};
use crate::{IdlePolicy, Stats, spawn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an executor counts when one of its tasks holds the core so long, in one poll.
fn held(time: Duration) -> Arc<Stats> {
    let clock = Clock::default();
    let now = clock.now.clone();
    let executor = executor_over(clock, IdlePolicy::Park);
    let stats = executor.stats();
    executor.run(async move { spawn("holds its core", async move { now.set(now.get() + time) }).await });
    stats
}

fn nanos(counter: &AtomicU64) -> Duration {
    Duration::from_nanos(counter.load(Ordering::Relaxed))
}

#[test]
fn a_task_that_holds_the_core_longer_than_five_milliseconds_is_counted() {
    let time = Duration::from_millis(6);
    let stats = held(time);
    assert_eq!(stats.long_polls.load(Ordering::Relaxed), 1);
    assert_eq!((nanos(&stats.stalled_nanos), nanos(&stats.longest_poll_nanos)), (time, time));
    assert_eq!(stats.long_turns.load(Ordering::Relaxed), 1, "others waited for the turn as well");
    assert_eq!((nanos(&stats.longest_turn_nanos), nanos(&stats.busy_nanos)), (time, time));
}

#[test]
fn shorter_runs_are_no_stalls_however_many_there_are() {
    for time in [Duration::from_millis(4), Duration::from_millis(5)] {
        let stats = held(time);
        assert_eq!(stats.long_polls.load(Ordering::Relaxed), 0, "{time:?}");
        let counted = (nanos(&stats.stalled_nanos), nanos(&stats.longest_poll_nanos));
        assert_eq!(counted, (Duration::ZERO, Duration::ZERO), "{time:?}");
        assert_eq!(stats.long_turns.load(Ordering::Relaxed), 0, "{time:?}");
        assert_eq!(nanos(&stats.busy_nanos), time);
    }
}

#[test]
fn a_turn_of_many_short_runs_is_long_without_a_stall() {
    let clock = Clock::default();
    let now = clock.now.clone();
    let executor = executor_over(clock, IdlePolicy::Park);
    for _ in 0..4 {
        let now = now.clone();
        drop(executor.spawn("short", async move { now.set(now.get() + Duration::from_millis(2)) }));
    }
    executor.turn();
    let stats = executor.stats();
    assert_eq!(stats.long_polls.load(Ordering::Relaxed), 0);
    assert_eq!(stats.long_turns.load(Ordering::Relaxed), 1);
    assert_eq!(nanos(&stats.longest_turn_nanos), Duration::from_millis(8));
}
