//! Suites that are built while others run.
//!
//! Much of what suites take is waiting, for sessions to end and brokers to start; a client in Rust is compiled meanwhile.
//! Only those whose build shares no file with another's, and out of the way of the tests.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::{Place, Suite};

/// Cargo's: each has a target directory of its own.
const SUITES: &[&str] = &["rdkafka", "rskafka"];

/// What is prepared ahead, by name.
pub struct Ahead(BTreeMap<&'static str, Receiver<Result<(), String>>>);

impl Ahead {
    /// Begins with those of these suites that can be, if any runs before them.
    pub fn begin(place: &Place, suites: &[&'static Suite]) -> Self {
        let mut receivers = BTreeMap::new();
        let mut work = Vec::new();
        for suite in suites.iter().copied().skip(1).filter(|suite| SUITES.contains(&suite.name)) {
            let (sender, receiver) = channel();
            receivers.insert(suite.name, receiver);
            work.push((suite, sender));
        }
        let place = place.clone();
        thread::spawn(move || {
            give_way();
            for (suite, sender) in work {
                // Nobody listens when the command is ending.
                let _ = sender.send((suite.prepare)(&place));
            }
        });
        Self(receivers)
    }

    /// Prepares a suite, or waits until that is done.
    pub fn prepare(&self, place: &Place, suite: &Suite) -> Result<(), String> {
        let Some(receiver) = self.0.get(suite.name) else { return (suite.prepare)(place) };
        receiver.recv().unwrap_or_else(|_| Err("what builds it ended early".into()))
    }
}

/// This thread, and what it starts, run when nothing else does. Without it they are as any other.
fn give_way() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else { return };
    let Some(number) = thread.file_name() else { return };
    let mut renice = Command::new("renice");
    let _ = renice.args(["-n", "19", "-p"]).arg(number).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_ahead_is_a_suite() {
        for name in SUITES {
            assert!(crate::compat::SUITES.iter().any(|suite| suite.name == *name), "{name}");
        }
    }
}
