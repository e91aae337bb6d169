//! What a core does without work, by each policy.

use super::{Clock, executor_over};
use crate::{Event, IdlePolicy, sleep};
use base::Instant;
use std::time::Duration;

/// What a turn takes that does not wait.
const TURN: Duration = Duration::from_micros(10);
const SPIN: Duration = Duration::from_micros(50);

fn micros(instant: Instant) -> u64 {
    instant.as_nanos() / 1000
}

/// Has nothing to do for so long; returns when it waited in the driver and until when, in microseconds.
fn waits(idle: IdlePolicy, gap: Duration) -> Vec<(u64, u64)> {
    let clock = Clock { turn: TURN, ..Clock::default() };
    let (now, waits) = (clock.now.clone(), clock.waits.clone());
    executor_over(clock, idle).run(async move { sleep(gap).await });
    assert!(now.get().since(Instant::ZERO) >= gap);
    let waits = waits.borrow();
    waits.iter().map(|(began, until)| (micros(*began), micros(*until))).collect()
}

#[test]
fn who_parks_waits_as_soon_as_a_turn_found_nothing() {
    let waits = waits(IdlePolicy::Park, Duration::from_millis(1));
    assert!(matches!(waits[..], [(0..=30, 1000)]), "{waits:?}");
}

#[test]
fn who_polls_never_waits() {
    let waits = waits(IdlePolicy::Poll, Duration::from_millis(1));
    assert!(waits.is_empty(), "{waits:?}");
}

#[test]
fn who_spins_waits_when_its_time_is_over_and_no_sooner() {
    let long = waits(IdlePolicy::Spin(SPIN), Duration::from_millis(1));
    assert!(matches!(long[..], [(60..=80, 1000)]), "after its last turn with work, and 50 µs more: {long:?}");
    let short = waits(IdlePolicy::Spin(SPIN), Duration::from_micros(40));
    assert!(short.is_empty(), "it was over sooner: {short:?}");
    let none = waits(IdlePolicy::Spin(Duration::ZERO), Duration::from_millis(1));
    assert!(matches!(none[..], [(0..=30, 1000)]), "{none:?}");
}

/// An inbox that something is put into at the worst time: when the core has looked into it, and is about to sleep. The
/// clock fails the test if it does, for nothing would wake it.
#[test]
fn a_core_that_says_it_sleeps_looks_once_more() {
    for idle in [IdlePolicy::Park, IdlePolicy::Spin(SPIN)] {
        let clock = Clock { turn: TURN, ..Clock::default() };
        let waits = clock.waits.clone();
        let executor = executor_over(clock, idle);
        let (sleeping, event) = (executor.sleeping(), Event::new());
        let arrived = event.clone();
        let mut told = false;
        executor.add_inbox(move || {
            let now = !told && sleeping.must_wake();
            if now {
                told = true;
                arrived.notify();
            }
            now
        });
        let sleeping = executor.sleeping();
        executor.run(async move { event.after(0).await });
        assert!(!sleeping.must_wake(), "it runs");
        assert!(waits.borrow().is_empty(), "{:?}", waits.borrow());
    }
}
