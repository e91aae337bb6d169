//! Whether the cores turn.
//!
//! A core that works counts its turns; one that sleeps in the kernel says so. A core that does neither for
//! [`STILL_MAX`] hangs: a task does not give it back, or the machine does not run it.

use std::time::{Duration, Instant};

/// How long a core may be awake without a turn.
pub const STILL_MAX: Duration = Duration::from_secs(10);

/// How often the cores are looked at. Much shorter than [`STILL_MAX`], so that a core that happens to wake up at the
/// moment of a look is not taken for one that hangs.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A core, as seen at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Turns of its loop so far.
    pub turns: u64,
    /// It sleeps in the kernel until something happens.
    pub parked: bool,
}

/// What was seen of the cores so far.
#[derive(Debug, Default)]
pub struct Pulse {
    /// By core: its turns when it was last seen alive, and when that was.
    seen: Vec<(u64, Instant)>,
}

impl Pulse {
    /// Looks at all cores.
    pub fn look(&mut self, beats: &[Beat], now: Instant) {
        self.seen.truncate(beats.len());
        for (core, beat) in beats.iter().enumerate() {
            match self.seen.get_mut(core) {
                Some(seen) if seen.0 != beat.turns || beat.parked => *seen = (beat.turns, now),
                Some(_) => {}
                None => self.seen.push((beat.turns, now)),
            }
        }
    }

    /// All cores turn, or the first that does not.
    pub fn check(&self, now: Instant) -> Result<(), String> {
        for (core, (_, alive)) in self.seen.iter().enumerate() {
            let still = now.saturating_duration_since(*alive);
            if still > STILL_MAX {
                return Err(format!("core {core} has not turned for {} s", still.as_secs()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(turns: u64, parked: bool) -> Beat {
        Beat { turns, parked }
    }

    #[test]
    fn only_a_core_that_neither_turns_nor_sleeps_hangs() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            pulse.look(&[beat(5, true), beat(second, false), beat(7, second < 30)], now);
            let hangs = second > 29 + STILL_MAX.as_secs();
            let checked = pulse.check(now);
            assert_eq!(checked.is_err(), hangs, "second {second}: {checked:?}");
            if let Err(why) = checked {
                assert!(why.starts_with("core 2 "), "{why}");
            }
        }
        let later = start + Duration::from_secs(60);
        pulse.look(&[beat(5, true), beat(60, false), beat(8, false)], later);
        assert_eq!(pulse.check(later), Ok(()), "it turns again");
    }
}
