//! Timers, clocks and wakes.

use crate::{Bed, checks};
use driver::Wait;
use executor::{join_all, now, random, sleep, sleep_until, spawn, timeout, wall_clock_ms};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

checks![timers_fire_in_order, clocks_go_forward, a_wake_ends_the_next_wait, random_numbers_differ];

async fn timers_fire_in_order(_: Bed) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let sleepers = [30, 10, 20, 0].map(|millis| {
        let order = order.clone();
        spawn("sleeper", async move {
            sleep(Duration::from_millis(millis)).await;
            order.borrow_mut().push(millis);
        })
    });
    join_all(sleepers.into()).await;
    assert_eq!(*order.borrow(), [0, 10, 20, 30]);
    assert!(timeout(Duration::from_millis(5), sleep(Duration::from_secs(100))).await.is_err());
    assert!(timeout(Duration::from_secs(10), sleep(Duration::from_millis(5))).await.is_ok());
}

async fn clocks_go_forward(_: Bed) {
    let (began, wall) = (now(), wall_clock_ms());
    let until = began + Duration::from_millis(50);
    sleep_until(until).await;
    assert!(now() >= until, "never early");
    let (passed, wall_passed) = (now().since(began).as_millis() as i64, wall_clock_ms() - wall);
    assert!((wall_passed - passed).abs() < 1000, "{passed} ms and {wall_passed} ms by the wall clock");
    assert!(wall > 1_500_000_000_000, "milliseconds since 1970: {wall}");
}

async fn a_wake_ends_the_next_wait(bed: Bed) {
    // No operation is under way: this turn takes nobody's completion.
    bed.executor.with_driver(|driver| {
        let began = driver.now();
        let waker = driver.waker();
        waker.wake();
        let mut completions = Vec::new();
        driver.turn(Wait::Until(began + Duration::from_secs(20)), &mut completions);
        assert!(driver.now().since(began) < Duration::from_secs(10), "slept over a wake");
        assert!(completions.is_empty());
        // And without one it waits as long as it may; an early return is not forbidden, so it is asked again.
        let until = driver.now() + Duration::from_millis(20);
        while driver.now() < until {
            driver.turn(Wait::Until(until), &mut completions);
        }
        assert!(completions.is_empty());
    });
}

async fn random_numbers_differ(_: Bed) {
    let mut numbers: Vec<u64> = (0..100).map(|_| random()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100);
}
