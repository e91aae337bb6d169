//! The line in the log about a task that holds its core: one for each time, with the task's name, and none for others.
//!
//! A program of its own: the log is the process's.

use base::Instant;
use driver::{Capabilities, Completion, Driver, Handle, Operation, Token, Wait, Wake};
use executor::{Executor, IdlePolicy, Options, spawn};
use log::{Level, LevelFilter, Log, Record};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The lines that were logged.
struct Lines(Mutex<Vec<(Level, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = self.0.lock().expect("no holder panics");
        lines.push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

/// A clock that is set by hand. No operation is ever submitted to it.
struct Clock {
    now: Rc<Cell<Instant>>,
    capabilities: Capabilities,
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Driver for Clock {
    fn submit(&mut self, _: Token, _: Operation) {
        unreachable!("these tasks submit nothing");
    }

    fn cancel(&mut self, _: Token) {
        unreachable!("nothing was submitted");
    }

    fn turn(&mut self, _: Wait, _: &mut Vec<Completion>) {}

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

#[test]
fn who_holds_the_core_is_named_once_each_time() {
    log::set_logger(&LINES).expect("the first");
    log::set_max_level(LevelFilter::Trace);
    let now = Rc::new(Cell::new(Instant::ZERO));
    let clock = Clock { now: now.clone(), capabilities: Capabilities::default() };
    let executor = Executor::new(Box::new(clock), Options { idle: IdlePolicy::Park, seed: None });
    executor.run(async move {
        for (name, held) in [("quick", 4), ("greedy", 6), ("just in time", 5), ("greedier", 1500)] {
            let now = now.clone();
            spawn(name, async move { now.set(now.get() + Duration::from_millis(held)) }).await;
        }
    });
    let lines = LINES.0.lock().expect("no holder panics");
    let told = |(level, line): &(Level, String), name: &str, time: &str| {
        *level == Level::Warn && line.contains(&format!("task {name} ")) && line.contains(time)
    };
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(told(&lines[0], "greedy", "6ms") && told(&lines[1], "greedier", "1.5s"), "{lines:?}");
}
