//! What both loops have in common: when a run is measured and how much of that time this thread was busy, and that
//! at its end what is still to come is waited for.

use crate::{error::Error, meter::Meter, os::Ready, stats::Window};

/// How long answers are waited for when the measured time is over.
const DRAIN: u64 = 60_000_000_000;

/// A loop, as [`drive`] turns it. Times are nanoseconds on the run's clock.
pub(crate) trait Turns {
    /// The time now.
    fn now(&self) -> u64;

    /// Whether what is measured is over before its time. `heard`: the last turn heard something.
    fn is_over(&self, heard: bool) -> bool;

    /// What is measured is over: tells the meter so, and the clients before that or after it.
    fn end(&mut self, now: u64, meter: &mut Meter) -> Result<(), Error>;

    /// One turn: hears what has come, which is left in `ready`, and says what there is to say. Whether there was
    /// anything. Nothing new is begun once it is no longer `measured`.
    fn turn(&mut self, now: u64, measured: bool, ready: &mut Vec<Ready>) -> Result<bool, Error>;

    /// Whether nothing is waited for after the end.
    fn drained(&self) -> bool;
}

/// Turns until what is measured is over and all is drained, or patience is. Returns the time at which that was.
pub(crate) fn drive(run: &mut impl Turns, window: Window, meter: &mut Meter) -> Result<u64, Error> {
    let mut ready: Vec<Ready> = Vec::with_capacity(1024);
    let mut begun = false;
    let mut now = run.now();
    loop {
        if !begun && now >= window.from {
            begun = true;
            meter.begin(now);
        }
        if meter.ended().is_none() && (now >= window.to || run.is_over(!ready.is_empty())) {
            run.end(now, meter)?;
        }
        let measured = meter.ended().is_none();
        let worked = run.turn(now, measured, &mut ready)?;
        let later = run.now();
        if worked && begun && measured {
            meter.busy(later - now);
        }
        if !worked {
            // The kernel's workers on this core end the broker's durable writes: a loop that only looks must not
            // keep them waiting for the end of its slice.
            std::thread::yield_now();
        }
        now = later;
        if let Some(at) = meter.ended()
            && (run.drained() || now > at + DRAIN)
        {
            return Ok(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use std::cell::Cell;

    /// Its clock goes on by 100 with every look.
    struct Looks {
        clock: Cell<u64>,
        ends: u32,
        left: u32,
    }

    impl Turns for Looks {
        fn now(&self) -> u64 {
            self.clock.set(self.clock.get() + 100);
            self.clock.get()
        }

        fn is_over(&self, _heard: bool) -> bool {
            false
        }

        fn end(&mut self, now: u64, meter: &mut Meter) -> Result<(), Error> {
            self.ends += 1;
            meter.end(now);
            Ok(())
        }

        fn turn(&mut self, now: u64, measured: bool, _ready: &mut Vec<Ready>) -> Result<bool, Error> {
            self.left -= u32::from(!measured);
            // Every other turn of those that are measured has nothing to do.
            Ok(now.is_multiple_of(200))
        }

        fn drained(&self) -> bool {
            self.left == 0
        }
    }

    #[test]
    fn a_run_is_measured_in_its_window_and_then_drained() {
        let mut run = Looks { clock: Cell::new(0), ends: 0, left: 3 };
        let mut meter = Meter::new(None);
        let end = drive(&mut run, Window { from: 1000, to: 3000 }, &mut meter).unwrap();
        assert_eq!((run.ends, meter.ended(), end), (1, Some(3000), 3300));
        let mut outcome = Outcome::default();
        meter.fill(&mut outcome, end);
        assert_eq!((outcome.seconds, outcome.busy), (2e-6, 0.5));
    }
}
