//! How fast the cleaner goes: it lets others have the core, and keeps to its share of the device.

use super::CleanError;
use crate::store::Shared;
use base::Instant;
use executor::{now, race, sleep_until, yield_now};
use std::rc::Rc;
use std::time::Duration;

/// After so many bytes the core is given to others: about a tenth of a millisecond.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// Shorter waits are gathered.
const WAIT_MIN: Duration = Duration::from_millis(2);

/// The pace of a run.
pub(crate) struct Pace {
    shared: Rc<Shared>,
    since_yield: usize,
    /// When the device has had the time for what was asked of it.
    due: Instant,
}

impl Pace {
    pub fn new(shared: &Rc<Shared>) -> Pace {
        Pace { shared: shared.clone(), since_yield: 0, due: now() }
    }

    /// Whether the run should go on.
    pub fn check(&self) -> Result<(), CleanError> {
        match self.shared.check_online() {
            Ok(()) => Ok(()),
            Err(_) => Err(CleanError::Ended),
        }
    }

    /// So many bytes were worked on.
    pub async fn worked(&mut self, bytes: usize) -> Result<(), CleanError> {
        self.since_yield += bytes;
        if self.since_yield >= PIECE_BYTES {
            self.since_yield = 0;
            yield_now().await;
        }
        self.check()
    }

    /// So many bytes were read from the device, or written to it.
    pub async fn moved(&mut self, bytes: u64) -> Result<(), CleanError> {
        let rate = self.shared.cleaner.borrow().bytes_per_second;
        let seconds = bytes as f64 / rate.max(1.0);
        // What takes longer than an hour is not worth a larger number.
        self.due = self.due.max(now()) + Duration::from_secs_f64(seconds.min(3600.0));
        if self.due >= now() + WAIT_MIN {
            let stop = self.shared.stop.count();
            race(sleep_until(self.due), self.shared.stop.after(stop)).await;
        }
        self.check()
    }
}
