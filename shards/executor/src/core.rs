//! The loop of one core.

use crate::ops::Ops;
use crate::ready::{self, Ready};
use crate::task::{Class, JoinHandle, Polled, Tasks, spawn_on};
use crate::timer::Timers;
use base::{Instant, Random};
use driver::{Completion, Driver, Operation, Outcome, Sleeping, Token, Wait};
use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Foreground polls in one turn before the driver is looked at again.
const FOREGROUND_POLLS_MAX: usize = 256;
/// Background polls in one turn when foreground work is there too.
const BACKGROUND_POLLS_MAX: usize = 4;
/// A poll longer than this is counted and logged; a turn longer than this is counted.
const LONG_POLL: Duration = Duration::from_millis(5);

/// What a core does when it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Sleeps in the kernel at once: least CPU.
    Park,
    /// Looks around for a time, then sleeps: short gaps cost no wake-up.
    Spin(Duration),
    /// Never sleeps: least latency, a whole core.
    Poll,
}

/// How an executor behaves.
///
/// By default it parks when it idles, as the broker does unless `flumen.idle` says otherwise; how long to spin is that
/// setting's to say alone.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it does when it has nothing to do.
    pub idle: IdlePolicy,
    /// Lets chance choose among the ready tasks; for the simulator.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options { idle: IdlePolicy::Park, seed: None }
    }
}

/// Counters of a core, readable on any other.
#[derive(Debug, Default)]
pub struct Stats {
    /// Turns of the loop.
    pub turns: AtomicU64,
    /// Polls of tasks.
    pub polls: AtomicU64,
    /// Nanoseconds in tasks.
    pub busy_nanos: AtomicU64,
    /// Nanoseconds asleep in the kernel.
    pub parked_nanos: AtomicU64,
    /// Nanoseconds in polls that held the core longer than 5 ms.
    pub stalled_nanos: AtomicU64,
    /// Polls that held the core longer than 5 ms.
    pub long_polls: AtomicU64,
    /// The longest poll, in nanoseconds.
    pub longest_poll_nanos: AtomicU64,
    /// Turns, waiting apart, that took longer than 5 ms.
    pub long_turns: AtomicU64,
    /// The longest of these, in nanoseconds.
    pub longest_turn_nanos: AtomicU64,
}

fn add(counter: &AtomicU64, amount: u64) {
    // One writer: no read-modify-write instruction is needed.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something ran, or is ready to run.
    Busy,
    /// Nothing is ready; the next timer falls due then ([`Instant::NEVER`]: no timer).
    Idle(Instant),
}

/// Looks for work from other cores; true if there was some.
type Inbox = Box<dyn FnMut() -> bool>;

struct Inner {
    number: u32,
    driver: RefCell<Box<dyn Driver>>,
    ops: RefCell<Ops>,
    tasks: Tasks,
    ready: Rc<Ready>,
    timers: RefCell<Timers>,
    inboxes: RefCell<Vec<Inbox>>,
    chance: RefCell<Option<Random>>,
    idle: IdlePolicy,
    sleeping: Sleeping,
    stats: Arc<Stats>,
    last_busy: Cell<Instant>,
    /// When the task that runs began to, or the last one did.
    running_since: Cell<Instant>,
    completions: RefCell<Vec<Completion>>,
}

/// One core's loop. Cloning shares it.
#[derive(Clone)]
pub struct Executor {
    inner: Rc<Inner>,
}

thread_local! {
    static CURRENT: RefCell<Vec<Executor>> = const { RefCell::new(Vec::new()) };
}

/// Calls `act` with the executor whose task is running.
pub(crate) fn with_current<T>(act: impl FnOnce(&Executor) -> T) -> T {
    match try_with_current(act) {
        Some(result) => result,
        None => panic!("this needs an executor: call it from a task"),
    }
}

pub(crate) fn try_with_current<T>(act: impl FnOnce(&Executor) -> T) -> Option<T> {
    // Borrowed meanwhile, which spares counting it: nothing that `act` may do enters an executor or leaves one.
    CURRENT.try_with(|current| current.borrow().last().map(act)).ok().flatten()
}

/// Makes an executor the current one until dropped.
struct Entered;

impl Entered {
    fn new(executor: &Executor) -> Entered {
        CURRENT.with_borrow_mut(|current| current.push(executor.clone()));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.with_borrow_mut(Vec::pop);
        drop(left);
    }
}

impl Executor {
    /// An executor over a driver, for this thread.
    pub fn new(driver: Box<dyn Driver>, options: Options) -> Executor {
        let ready = Rc::new(Ready::default());
        let inner = Inner {
            number: ready::register(ready.clone()),
            last_busy: Cell::new(driver.now()),
            running_since: Cell::new(driver.now()),
            driver: RefCell::new(driver),
            ops: RefCell::default(),
            tasks: Tasks::default(),
            ready,
            timers: RefCell::default(),
            inboxes: RefCell::default(),
            chance: RefCell::new(options.seed.map(Random::new)),
            idle: options.idle,
            sleeping: Sleeping::default(),
            stats: Arc::default(),
            completions: RefCell::default(),
        };
        Executor { inner: Rc::new(inner) }
    }

    /// Starts a task from outside of any.
    pub fn spawn<T: 'static>(
        &self,
        name: &'static str,
        body: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        let _entered = Entered::new(self);
        spawn_on(self, name, Class::Foreground, body)
    }

    /// Runs until `body` has a result.
    pub fn run<T: 'static>(&self, body: impl Future<Output = T> + 'static) -> T {
        let main = self.spawn("main", body);
        loop {
            if let Some(result) = main.take() {
                return result;
            }
            let progress = self.turn();
            if let Progress::Idle(until) = progress {
                self.idle(until);
            }
        }
    }

    /// Adds an inbox that each turn looks into.
    pub fn add_inbox(&self, inbox: impl FnMut() -> bool + 'static) {
        self.inner.inboxes.borrow_mut().push(Box::new(inbox));
    }

    /// Says while this core sleeps in the kernel and must be woken to see its inboxes.
    pub fn sleeping(&self) -> Sleeping {
        self.inner.sleeping.clone()
    }

    /// The counters of this core.
    pub fn stats(&self) -> Arc<Stats> {
        self.inner.stats.clone()
    }

    /// Tasks that are not finished.
    pub fn task_count(&self) -> usize {
        self.inner.tasks.count()
    }

    /// Operations that the driver has not completed.
    pub fn operations_under_way(&self) -> usize {
        self.inner.ops.borrow().under_way()
    }

    /// Calls the driver directly; for what happens at start, such as listening.
    pub fn with_driver<T>(&self, act: impl FnOnce(&mut dyn Driver) -> T) -> T {
        act(&mut **self.inner.driver.borrow_mut())
    }

    /// One turn: inboxes, timers, ready tasks, then the driver, without waiting.
    pub fn turn(&self) -> Progress {
        let _entered = Entered::new(self);
        add(&self.inner.stats.turns, 1);
        let began = self.inner.driver.borrow().now();
        let mut busy = self.look_into_inboxes();
        let now = if busy { self.inner.driver.borrow().now() } else { began };
        busy |= self.inner.timers.borrow_mut().fire(now) > 0;
        busy |= self.run_tasks(now);
        busy |= self.turn_driver(Wait::No);
        if busy || !self.inner.ready.is_empty() {
            let ended = self.inner.driver.borrow().now();
            self.inner.last_busy.set(ended);
            self.note_turn(ended.since(began));
            return Progress::Busy;
        }
        Progress::Idle(self.inner.timers.borrow().next())
    }

    /// A turn may be long without any long poll: of many short ones, or of what the kernel does as it is handed over,
    /// such as copying into sockets.
    fn note_turn(&self, took: Duration) {
        if took > LONG_POLL {
            let stats = &self.inner.stats;
            add(&stats.long_turns, 1);
            stats.longest_turn_nanos.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Drops all tasks and inboxes; for the simulator's crash, and the end of a run. What they closed is submitted.
    pub fn drop_tasks(&self) {
        let _entered = Entered::new(self);
        self.inner.tasks.clear();
        // They may hold this executor, and would keep it for ever.
        let inboxes = self.inner.inboxes.take();
        drop(inboxes);
    }

    /// Waits as the idle policy says, at most until an instant.
    fn idle(&self, until: Instant) {
        let now = self.inner.driver.borrow().now();
        match self.inner.idle {
            IdlePolicy::Poll => return,
            IdlePolicy::Spin(time) if now.since(self.inner.last_busy.get()) < time => {
                std::hint::spin_loop();
                return;
            }
            IdlePolicy::Spin(_) | IdlePolicy::Park => {}
        }
        let _entered = Entered::new(self);
        // Whoever puts something into an inbox after the last look into them wakes us.
        self.inner.sleeping.sleep(
            || self.look_into_inboxes(),
            || {
                self.turn_driver(Wait::Until(until));
                let after = self.inner.driver.borrow().now();
                add(&self.inner.stats.parked_nanos, after.since(now).as_nanos() as u64);
            },
        );
        self.inner.last_busy.set(self.inner.driver.borrow().now());
    }

    fn look_into_inboxes(&self) -> bool {
        let mut found = false;
        for inbox in self.inner.inboxes.borrow_mut().iter_mut() {
            found |= inbox();
        }
        found
    }

    fn run_tasks(&self, now: Instant) -> bool {
        let mut at = now;
        let waiting = self.inner.ready.len(Class::Foreground);
        let mut ran = false;
        for _ in 0..FOREGROUND_POLLS_MAX {
            let Some(task) = self.choose(Class::Foreground) else { break };
            at = self.poll_task(task, at);
            ran = true;
        }
        let portion = if waiting > 0 { BACKGROUND_POLLS_MAX } else { BACKGROUND_POLLS_MAX * 4 };
        for _ in 0..portion {
            let Some(task) = self.choose(Class::Background) else { break };
            at = self.poll_task(task, at);
            ran = true;
        }
        ran
    }

    fn choose(&self, class: Class) -> Option<u32> {
        let ready = &self.inner.ready;
        match &mut *self.inner.chance.borrow_mut() {
            None => ready.pop(class),
            Some(chance) => ready.pop_at(class, chance.below(ready.len(class) as u64) as usize),
        }
    }

    /// Polls a task and accounts for its time; returns when it ended.
    fn poll_task(&self, task: u32, began: Instant) -> Instant {
        self.inner.running_since.set(began);
        let Polled::Once(name) = self.inner.tasks.poll(task) else { return began };
        let ended = self.inner.driver.borrow().now();
        let held = ended.since(began);
        let stats = &self.inner.stats;
        add(&stats.polls, 1);
        add(&stats.busy_nanos, held.as_nanos() as u64);
        if held > LONG_POLL {
            add(&stats.long_polls, 1);
            let nanos = held.as_nanos() as u64;
            add(&stats.stalled_nanos, nanos);
            stats.longest_poll_nanos.fetch_max(nanos, Ordering::Relaxed);
            log::warn!("task {name} held its core for {held:?}; others waited");
        }
        ended
    }

    fn turn_driver(&self, wait: Wait) -> bool {
        let mut completions = self.inner.completions.take();
        self.inner.driver.borrow_mut().turn(wait, &mut completions);
        let found = !completions.is_empty();
        for completion in completions.drain(..) {
            let unowned = self.inner.ops.borrow_mut().complete(completion);
            if let Some(handle) = unowned {
                self.submit_detached(Operation::Close { handle });
            }
        }
        self.inner.completions.replace(completions);
        found
    }

    pub(crate) fn submit(&self, operation: Operation) -> Token {
        let token = self.inner.ops.borrow_mut().begin();
        self.inner.driver.borrow_mut().submit(token, operation);
        token
    }

    pub(crate) fn submit_detached(&self, operation: Operation) {
        let token = self.inner.ops.borrow_mut().begin_detached();
        self.inner.driver.borrow_mut().submit(token, operation);
    }

    pub(crate) fn poll_operation(&self, token: Token, context: &mut Context<'_>) -> Poll<Outcome> {
        self.inner.ops.borrow_mut().poll(token, context)
    }

    pub(crate) fn abandon(&self, token: Token, cancel: bool) {
        let (under_way, unowned) = self.inner.ops.borrow_mut().abandon(token);
        if under_way && cancel {
            self.inner.driver.borrow_mut().cancel(token);
        }
        if let Some(handle) = unowned {
            self.submit_detached(Operation::Close { handle });
        }
    }

    pub(crate) fn running_since(&self) -> Instant {
        self.inner.running_since.get()
    }

    pub(crate) fn number(&self) -> u32 {
        self.inner.number
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    pub(crate) fn ready(&self) -> &Ready {
        &self.inner.ready
    }

    pub(crate) fn timers(&self) -> RefMut<'_, Timers> {
        self.inner.timers.borrow_mut()
    }

    pub(crate) fn driver(&self) -> RefMut<'_, Box<dyn Driver>> {
        self.inner.driver.borrow_mut()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Tasks that are left find no executor any more when they are dropped, and need none.
        self.tasks.clear();
        ready::unregister(self.number);
    }
}
