//! How far long work is: a line on stderr that is written over, if stderr is a terminal.

use crate::output::{byte_size, thousands};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(300);
/// Quick work needs no line.
const FIRST_AFTER: Duration = Duration::from_secs(1);
/// Moves to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// A line of records and bytes.
pub(crate) struct Progress {
    enabled: bool,
    began: Instant,
    next: Instant,
    shown: bool,
}

impl Progress {
    /// For work that begins now; `enabled` is false where the line would disturb what is printed.
    pub fn new(enabled: bool) -> Progress {
        let began = Instant::now();
        let enabled = enabled && io::stderr().is_terminal();
        Progress { enabled, began, next: began + FIRST_AFTER, shown: false }
    }

    /// Shows where things stand, if it is time.
    pub fn show(&mut self, records: u64, bytes: u64) {
        if !self.enabled {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        self.shown = true;
        let rate = bytes as f64 / now.duration_since(self.began).as_secs_f64();
        let line = format!(
            "{CLEAR}{} records, {}, {}/s",
            thousands(records),
            byte_size(bytes),
            byte_size(rate as u64)
        );
        // If stderr is gone, there is nobody to show it to.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Time since the work began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
    }
}
