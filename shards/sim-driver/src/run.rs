//! Runs executors against the virtual clock.

use crate::world::World;
use base::Instant;
use driver::{Sleeping, Wake};
use executor::{Executor, Progress};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a run ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Nothing will ever happen again: no event, no timer, nothing ready.
    Deadlock {
        /// When.
        at: Instant,
        /// Operations that will never complete.
        pending: Vec<String>,
        /// Unfinished tasks of each executor.
        tasks: Vec<usize>,
    },
    /// The budget of steps is used up: something keeps itself busy.
    Livelock {
        /// When.
        at: Instant,
        /// Turns that were made.
        steps: u64,
    },
    /// The budget of virtual time is used up.
    TimeUp {
        /// When.
        at: Instant,
        /// Operations under way.
        pending: Vec<String>,
    },
    /// A sleeping executor had work that it was not woken for.
    LostWake {
        /// When.
        at: Instant,
        /// Which, in the order given to the run.
        executor: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Deadlock { at, pending, tasks } => {
                write!(out, "deadlock at {at:?}: unfinished tasks {tasks:?}; waiting for {pending:#?}")
            }
            RunError::Livelock { at, steps } => {
                write!(out, "livelock at {at:?}: not done after {steps} turns")
            }
            RunError::TimeUp { at, pending } => {
                write!(out, "not done at {at:?}, the end of the time given; under way: {pending:#?}")
            }
            RunError::LostWake { at, executor } => {
                write!(out, "at {at:?} executor {executor} slept over work: a wake is missing")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// An executor in a run.
struct Runner<'a> {
    executor: &'a Executor,
    /// Its driver's, by which the world knows it.
    waker: Arc<dyn Wake>,
    sleeping: Sleeping,
    next_timer: Instant,
}

impl World {
    /// Runs `body` as a task of the first executor, and the others beside it, until it has a result.
    pub fn run<T: 'static>(
        &self,
        executors: &[Executor],
        body: impl Future<Output = T> + 'static,
    ) -> Result<T, RunError> {
        let main = executors[0].spawn("main", body);
        let mut result = None;
        self.run_until(executors, || {
            result = main.take();
            result.is_some()
        })?;
        match result {
            Some(result) => Ok(result),
            None => unreachable!("the run ended because there is a result"),
        }
    }

    /// Runs executors until `done`, which is asked after each turn and each step of the clock. Whoever stops a run
    /// in the middle, to crash a node or to look, may go on with another one.
    pub fn run_until(&self, executors: &[Executor], mut done: impl FnMut() -> bool) -> Result<(), RunError> {
        self.run_to(executors, Instant::NEVER, &mut done).map(drop)
    }

    /// As [`run_until`](World::run_until), but at the latest until an instant, which is no failure then. Returns
    /// whether it was `done`.
    pub fn run_to(
        &self,
        executors: &[Executor],
        until: Instant,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool, RunError> {
        let (steps_max, time_max, check_wakes) = {
            let state = self.state.borrow();
            (state.options.steps_max, state.options.time_max, state.options.check_wakes)
        };
        let end = self.now() + time_max;
        let mut runners: Vec<Runner<'_>> = executors.iter().map(Runner::new).collect();
        let mut steps = 0;
        loop {
            loop {
                if steps >= steps_max {
                    return Err(RunError::Livelock { at: self.now(), steps });
                }
                match self.round(&mut runners, check_wakes, &mut steps, &mut done) {
                    Round::Done => return Ok(true),
                    Round::Busy => {}
                    Round::Idle => break,
                }
            }
            if check_wakes {
                self.look_for_lost_wakes(&mut runners)?;
            }
            let timer = runners.iter().map(|runner| runner.next_timer).min().unwrap_or(Instant::NEVER);
            let next = timer.min(self.state.borrow().next_event());
            if next == Instant::NEVER && until == Instant::NEVER {
                let tasks = executors.iter().map(Executor::task_count).collect();
                return Err(RunError::Deadlock { at: self.now(), pending: self.pending(), tasks });
            }
            if next > end && end < until {
                return Err(RunError::TimeUp { at: self.now(), pending: self.pending() });
            }
            self.state.borrow_mut().advance(next.min(until));
            if done() {
                return Ok(true);
            }
            if next >= until {
                return Ok(false);
            }
        }
    }

    /// Turns every executor that is awake once, in an order left to chance.
    fn round(
        &self,
        runners: &mut [Runner<'_>],
        check_wakes: bool,
        steps: &mut u64,
        done: &mut impl FnMut() -> bool,
    ) -> Round {
        let mut order: Vec<usize> = (0..runners.len()).collect();
        for at in (1..order.len()).rev() {
            let other = self.state.borrow_mut().order.below(at as u64 + 1) as usize;
            order.swap(at, other);
        }
        let mut busy = false;
        for index in order {
            let runner = &mut runners[index];
            if check_wakes && runner.sleeping.is_raised() && !self.must_wake(runner) {
                continue;
            }
            *steps += 1;
            let was_asleep = runner.sleeping.is_raised();
            runner.sleeping.lower();
            match runner.executor.turn() {
                Progress::Busy => busy = true,
                Progress::Idle(next) => {
                    runner.next_timer = next;
                    if check_wakes {
                        // As a core that goes to sleep: it says so, and looks into its inboxes once more.
                        runner.sleeping.raise();
                        if !was_asleep && runner.executor.turn() == Progress::Busy {
                            runner.sleeping.lower();
                            busy = true;
                        }
                    }
                }
            }
            if done() {
                return Round::Done;
            }
        }
        if busy { Round::Busy } else { Round::Idle }
    }

    fn must_wake(&self, runner: &Runner<'_>) -> bool {
        let state = self.state.borrow();
        let waker = Arc::as_ptr(&runner.waker).cast::<()>();
        let core = state.cores.iter().find(|core| Arc::as_ptr(&core.flag).cast::<()>() == waker);
        runner.next_timer <= state.now
            || core.is_some_and(|core| !core.done.is_empty() || core.flag.0.load(Ordering::SeqCst))
    }

    fn look_for_lost_wakes(&self, runners: &mut [Runner<'_>]) -> Result<(), RunError> {
        for (index, runner) in runners.iter_mut().enumerate() {
            if runner.executor.turn() == Progress::Busy {
                return Err(RunError::LostWake { at: self.now(), executor: index });
            }
        }
        Ok(())
    }
}

enum Round {
    Busy,
    Idle,
    Done,
}

impl<'a> Runner<'a> {
    fn new(executor: &'a Executor) -> Runner<'a> {
        let sleeping = executor.sleeping();
        // Tasks may have been started between two runs.
        sleeping.lower();
        let waker = executor.with_driver(|driver| driver.waker());
        Runner { executor, waker, sleeping, next_timer: Instant::NEVER }
    }
}
