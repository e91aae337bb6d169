//! What the tests of the built `flumen` share: starting, stopping and killing it, and talking to it.
//!
//! - [`Setup`], [`Flumen`]: a broker process: how it is started, its log, its memory, its end.
//! - [`closed_pipe`]: for what a process prints and nobody reads.
//! - [`Scratch`]: a directory of the test's own, removed when the test is over.
//! - [`host`]: what this machine lets a test do: descriptors, cores, free ports.
//! - [`raw`]: bytes to and from a socket, for what no client would send.
//! - [`joining`]: members of classic groups that wait for others.
//! - [`offsets`]: committed offsets, request by request.
//! - [`records`]: topics and records through the blocking client.
//! - [`transactional`]: a transactional producer, request by request, and what readers of committed records see.
//! - [`kill9`]: a workload that goes on while the broker is killed again and again, and its judge.
//!
//! The tests are in `tests/`, a module a row of bad days. Nothing here knows the broker's code: it sees what a
//! client or an operator sees.

mod flumen;
pub mod host;
pub mod joining;
pub mod kill9;
pub mod offsets;
pub mod raw;
pub mod records;
mod scratch;
pub mod transactional;

pub use flumen::{Flumen, Setup, closed_pipe};
pub use scratch::{Scratch, files_below};

use std::thread;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with `what` after `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        // Before the question: an answer that itself took long is not the last.
        let is_late = began.elapsed() >= limit;
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!is_late, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
