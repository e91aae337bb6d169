//! Tests of the loop over a driver that only keeps time.

mod idle;
mod stall;

use crate::{
    Class, Either, Event, Executor, IdlePolicy, Options, Progress, Semaphore, join_all, join_some, now,
    oneshot, race, sleep, spawn, spawn_class, timeout, yield_now,
};
use base::Instant;
use driver::{Capabilities, Completion, Driver, Handle, Operation, Outcome, Token, Wait, Wake};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A clock that jumps to where the executor wants to wait until, and syncs that succeed at once.
#[derive(Default)]
struct Clock {
    /// Tasks may move it on: so long they held the core.
    now: Rc<Cell<Instant>>,
    /// How much time each turn takes that does not wait.
    turn: Duration,
    /// The waits: when each began, and how long it might have lasted at most.
    waits: Rc<RefCell<Vec<(Instant, Instant)>>>,
    done: Vec<Completion>,
    capabilities: Capabilities,
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Driver for Clock {
    fn submit(&mut self, token: Token, operation: Operation) {
        let outcome = match operation {
            Operation::Accept { .. } => return,
            _ => Outcome::Done(Ok(())),
        };
        self.done.push(Completion { token, outcome });
    }

    fn cancel(&mut self, token: Token) {
        let outcome = Outcome::Accepted(Err(driver::Errno::CANCELED));
        self.done.push(Completion { token, outcome });
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        let now = self.now.get();
        match wait {
            Wait::No => self.now.set(now + self.turn),
            Wait::Until(until) => {
                assert_ne!(until, Instant::NEVER, "asleep for ever: a lost wake-up");
                self.waits.borrow_mut().push((now, until));
                self.now.set(now.max(until));
            }
        }
        completions.append(&mut self.done);
    }

    fn now(&self) -> Instant {
        self.now.get()
    }

    fn wall_clock_ms(&self) -> i64 {
        0
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }

    fn listen(&mut self, _: SocketAddr, _: bool) -> io::Result<(Handle, SocketAddr)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

fn executor() -> Executor {
    executor_over(Clock::default(), IdlePolicy::Park)
}

fn executor_over(clock: Clock, idle: IdlePolicy) -> Executor {
    Executor::new(Box::new(clock), Options { idle, seed: None })
}

#[test]
fn timers_fire_in_order_and_take_no_real_time() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let seen = order.clone();
    executor().run(async move {
        let handles = [30u64, 10, 20].map(|seconds| {
            let order = order.clone();
            spawn("sleeper", async move {
                sleep(Duration::from_secs(seconds)).await;
                order.borrow_mut().push(seconds);
            })
        });
        join_all(handles.into()).await;
    });
    assert_eq!(*seen.borrow(), [10, 20, 30]);
}

#[test]
fn no_more_than_a_few_are_under_way_and_results_keep_their_order() {
    for (count, limit, most) in [(20u64, 3, 3), (3, 3, 3), (2, 3, 2), (0, 3, 0), (4, 0, 1)] {
        let (running, peak) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (ours, seen) = (running.clone(), peak.clone());
        let results = executor().run(async move {
            let works = (0..count).map(|number| {
                let (running, peak) = (ours.clone(), seen.clone());
                async move {
                    running.set(running.get() + 1);
                    peak.set(peak.get().max(running.get()));
                    // Later ones end before earlier ones, and some at once.
                    if number % 5 != 4 {
                        sleep(Duration::from_millis(100 - number)).await;
                    }
                    running.set(running.get() - 1);
                    number
                }
            });
            join_some(works, limit).await
        });
        assert_eq!(results, (0..count).collect::<Vec<_>>());
        assert_eq!((running.get(), peak.get()), (0, most), "{count} by {limit}");
    }
}

#[test]
fn a_timeout_drops_what_it_bounds_and_cancels_the_operation() {
    let executor = executor();
    let looked = executor.clone();
    executor.run(async move {
        let result = timeout(Duration::from_secs(1), crate::io::accept(Handle(1))).await;
        assert_eq!(result.err(), Some(crate::Elapsed));
        assert_eq!(looked.operations_under_way(), 1, "the cancelled operation is still with the driver");
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(looked.operations_under_way(), 0);
        assert!(timeout(Duration::from_secs(1), crate::io::sync(Handle(1))).await.is_ok());
    });
}

#[test]
fn an_aborted_task_is_dropped_where_it_waits() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let flag = Flag(dropped.clone());
    executor().run(async move {
        let task = spawn("waits", async move {
            sleep(Duration::from_secs(1000)).await;
            drop(flag);
        });
        yield_now().await;
        task.abort();
        yield_now().await;
        yield_now().await;
        assert!(!task.is_finished());
    });
    assert!(dropped.get());
}

#[test]
fn background_work_does_not_starve_foreground_work_nor_is_it_starved() {
    let executor = executor();
    let (front, back) = (Rc::new(Cell::new(0u32)), Rc::new(Cell::new(0u32)));
    for (count, class) in [(front.clone(), Class::Foreground), (back.clone(), Class::Background)] {
        drop(executor.spawn("spawner", async move {
            spawn_class("busy", class, async move {
                loop {
                    count.set(count.get() + 1);
                    yield_now().await;
                }
            });
        }));
    }
    for _ in 0..100 {
        assert_eq!(executor.turn(), Progress::Busy);
    }
    assert!(back.get() >= 100, "background ran {} times", back.get());
    assert!(front.get() > 10 * back.get(), "{} against {}", front.get(), back.get());
}

#[test]
fn oneshots_events_and_semaphores() {
    executor().run(async {
        let (sender, receiver) = oneshot::<u32>();
        drop(sender);
        assert_eq!(receiver.receive().await, None);
        let (sender, receiver) = oneshot();
        spawn("sender", async move { sender.send(5) });
        assert_eq!(receiver.receive().await, Some(5));

        let event = Event::new();
        let seen = event.count();
        event.notify();
        event.after(seen).await;
        assert_eq!(race(event.next(), sleep(Duration::from_millis(1))).await, Either::Right(()));

        for _ in 0..100 {
            let _ = race(event.next(), yield_now()).await;
        }
        assert_eq!(event.waiting(), 0, "a wait that is given up leaves nothing behind");

        let budget = Semaphore::new(10);
        let big = budget.take(8).await;
        let waiting = spawn("waits for five", {
            let budget = budget.clone();
            async move { drop(budget.take(5).await) }
        });
        yield_now().await;
        assert!(budget.try_take(1).is_none(), "nobody overtakes the queue");
        drop(big);
        waiting.await;
        assert_eq!(budget.free(), 10);
    });
}

#[test]
fn a_wait_that_is_looked_at_again_keeps_its_timer_and_rings_for_who_looked_last() {
    executor().run(async {
        let (began, time) = (now(), Duration::from_secs(1));
        let mut alarm = sleep(time);
        for _ in 0..3 {
            assert_eq!(race(&mut alarm, yield_now()).await, Either::Right(()));
        }
        // Another task's from here on.
        let waiting = spawn("waits", async move {
            alarm.await;
            now()
        });
        assert_eq!(waiting.await, began + time);
    });
}

#[test]
fn an_event_wakes_those_that_are_left_in_the_order_of_their_waits() {
    executor().run(async {
        let (event, order) = (Event::new(), Rc::new(RefCell::new(Vec::new())));
        let wait = |number: u32| {
            let (next, order) = (event.after(event.count()), order.clone());
            spawn("waits", async move {
                next.await;
                order.borrow_mut().push(number);
            })
        };
        let mut tasks = vec![wait(0), wait(1), wait(2)];
        yield_now().await;
        assert_eq!(event.waiting(), 3);
        tasks.remove(0).abort();
        yield_now().await;
        tasks.push(wait(3));
        yield_now().await;
        assert_eq!(event.waiting(), 3, "the first has left, and a fourth has come");
        event.notify();
        assert_eq!(event.waiting(), 0);
        join_all(tasks).await;
        assert_eq!(order.take(), [1, 2, 3]);
    });
}

#[test]
fn the_same_seed_schedules_the_same_way() {
    let run = |seed| {
        let executor =
            Executor::new(Box::<Clock>::default(), Options { idle: IdlePolicy::Park, seed: Some(seed) });
        let order = Rc::new(RefCell::new(Vec::new()));
        let seen = order.clone();
        executor.run(async move {
            let tasks = (0..20).map(|number| {
                let order = order.clone();
                spawn("numbered", async move { order.borrow_mut().push(number) })
            });
            join_all(tasks.collect()).await;
        });
        seen.take()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_ne!(run(1), (0..20).collect::<Vec<u32>>());
}
