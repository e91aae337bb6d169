//! The clock, and what a run finds wrong.

mod common;

use common::{Cores, executor, run, world};
use driver::OpenOptions;
use executor::{Event, io, now, sleep, spawn, wall_clock_ms, yield_now};
use memory::Slice;
use sim_driver::{RunError, WorldOptions};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn time_passes_only_when_everybody_waits() {
    let (world, node) = world(1, WorldOptions::default());
    let jumping = world.clone();
    run(&world, node, async move {
        let (began, wall) = (now(), wall_clock_ms());
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(now(), began);
        sleep(1000 * SECOND).await;
        assert_eq!(now().since(began), 1000 * SECOND);
        assert_eq!(wall_clock_ms() - wall, 1_000_000);
        jumping.jump_wall_clock(node, -5_000);
        assert_eq!(wall_clock_ms() - wall, 995_000);
        assert_eq!(now().since(began), 1000 * SECOND, "the other clock does not jump");
    });
}

#[test]
fn a_deadlock_is_found_and_says_who_waits() {
    let (world, node) = world(2, WorldOptions::default());
    let executors = Cores(vec![executor(&world, node)]);
    let address = (world.address(node), 1).into();
    let (listener, _) = executors[0].with_driver(|driver| driver.listen(address, false)).expect("listens");
    match world.run(&executors, async move { io::accept(listener).await.map(drop) }) {
        Err(RunError::Deadlock { pending, tasks, .. }) => {
            assert!(pending.len() == 1 && pending[0].contains("Accept"), "{pending:?}");
            assert_eq!(tasks, [1]);
        }
        other => panic!("{other:?}"),
    }
    let nobody = world.run(&executors, async { Event::new().next().await });
    assert!(matches!(nobody, Err(RunError::Deadlock { .. })));
}

#[test]
fn a_livelock_is_found() {
    let (world, node) = world(3, WorldOptions { steps_max: 10_000, ..WorldOptions::default() });
    let executors = Cores(vec![executor(&world, node)]);
    let spins = async {
        loop {
            yield_now().await;
        }
    };
    let result: Result<(), _> = world.run(&executors, spins);
    assert!(matches!(result, Err(RunError::Livelock { steps: 10_000, .. })), "{result:?}");
}

#[test]
fn time_without_end_is_found() {
    let (world, node) = world(4, WorldOptions { time_max: 60 * SECOND, ..WorldOptions::default() });
    let executors = Cores(vec![executor(&world, node)]);
    let waits = async {
        loop {
            sleep(SECOND).await;
        }
    };
    let result: Result<(), _> = world.run(&executors, waits);
    assert!(matches!(result, Err(RunError::TimeUp { .. })), "{result:?}");
    assert!(world.now().as_nanos() <= 60_000_000_000);
}

/// One core sends another a message through an inbox, ten seconds in.
fn message(wakes: bool, check_wakes: bool) -> Result<(), RunError> {
    let (world, node) = world(5, WorldOptions { check_wakes, ..WorldOptions::default() });
    let executors = Cores(vec![executor(&world, node), executor(&world, node)]);
    let queue = Rc::new(RefCell::new(VecDeque::new()));
    let (arrived, event) = (Rc::new(Cell::new(0)), Event::new());
    let (inbox, heard, signal) = (queue.clone(), arrived.clone(), event.clone());
    executors[1].add_inbox(move || match inbox.borrow_mut().pop_front() {
        Some(message) => {
            heard.set(message);
            signal.notify();
            true
        }
        None => false,
    });
    let receiver = executors[1].spawn("receiver", async move { event.after(0).await });
    let (sleeping, waker) = (executors[1].sleeping(), executors[1].with_driver(|driver| driver.waker()));
    drop(executors[0].spawn("sender", async move {
        sleep(10 * SECOND).await;
        queue.borrow_mut().push_back(7);
        if wakes && sleeping.must_wake() {
            waker.wake();
        }
    }));
    world.run_until(&executors, || receiver.is_finished())?;
    assert_eq!(arrived.get(), 7);
    Ok(())
}

#[test]
fn wakes_work_across_cores_and_missing_ones_are_found() {
    assert_eq!(message(true, true), Ok(()));
    assert_eq!(message(true, false), Ok(()));
    assert_eq!(message(false, false), Ok(()));
    assert!(matches!(message(false, true), Err(RunError::LostWake { executor: 1, .. })));
}

#[test]
fn disk_work_of_two_cores_is_the_same_for_the_same_seed() {
    let trace = |seed| {
        let (world, node) = world(seed, WorldOptions { log_lines: 10_000, ..WorldOptions::default() });
        let executors = Cores(vec![executor(&world, node), executor(&world, node)]);
        let tasks = [0u8, 1].map(|core| {
            executors[usize::from(core)].spawn("writes", async move {
                let writers = (0..10u8).map(|number| {
                    spawn("writer", async move {
                        let path = format!("/d/{core}-{number}");
                        let file = io::open(path, OpenOptions::CREATE).await.expect("opens");
                        for at in 0..10 {
                            let data = Slice::from(vec![number; 700]);
                            io::write(file, at * 700, data, at % 3 == 0).await.0.expect("writes");
                        }
                        io::sync(file).await.expect("syncs");
                        io::close(file).await.expect("closes");
                    })
                });
                executor::join_all(writers.collect()).await;
                io::sync_directory("/d").await.expect("syncs");
            })
        });
        world.run_until(&executors, || tasks.iter().all(|task| task.is_finished())).expect("runs");
        let fates = world.crash(node);
        assert_eq!(fates, sim_driver::Fates::default(), "all was synced");
        (world.trace_hash(), world.log())
    };
    let (first, again, other) = (trace(1), trace(1), trace(2));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    assert!(first.1.len() > 500 && first.1.iter().any(|line| line.contains("write durably")));
}
