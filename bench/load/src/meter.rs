//! What everyone used while a run was measured: the broker, this tool, all else on the machine.

use crate::{
    engine::Outcome,
    os::{Machine, Usage, machine, usage},
};

/// What everyone had used at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    broker: Option<Usage>,
    own: Usage,
    machine: Machine,
}

/// Between [`begin`](Self::begin) and [`end`](Self::end) a run is measured.
#[derive(Debug)]
pub struct Meter {
    broker_pid: Option<u32>,
    before: Sample,
    after: Sample,
    from: u64,
    to: Option<u64>,
    busy: u64,
}

impl Meter {
    /// With the process of the broker, where that is known.
    pub fn new(broker_pid: Option<u32>) -> Meter {
        let (before, after) = (Sample::default(), Sample::default());
        Meter { broker_pid, before, after, from: 0, to: None, busy: 0 }
    }

    fn sample(&self) -> Sample {
        Sample {
            broker: self.broker_pid.and_then(|pid| usage(pid).ok()),
            own: usage(std::process::id()).unwrap_or_default(),
            machine: machine().unwrap_or_default(),
        }
    }

    /// What is measured begins at `now`, in nanoseconds on the run's clock.
    pub fn begin(&mut self, now: u64) {
        (self.before, self.from) = (self.sample(), now);
    }

    /// It ends at `now`.
    pub fn end(&mut self, now: u64) {
        (self.after, self.to) = (self.sample(), Some(now));
    }

    /// When it ended, if it did.
    pub fn ended(&self) -> Option<u64> {
        self.to
    }

    /// Counts nanoseconds in which this tool did something.
    pub fn busy(&mut self, nanoseconds: u64) {
        self.busy += nanoseconds;
    }

    /// Writes down what was measured. `now` stands for the end of a run that has none.
    pub fn fill(&self, outcome: &mut Outcome, now: u64) {
        let span = self.to.unwrap_or(now).saturating_sub(self.from).max(1);
        let seconds = span as f64 / 1e9;
        outcome.seconds = seconds;
        outcome.busy = self.busy as f64 / span as f64;
        outcome.broker = self.before.broker.zip(self.after.broker);
        let broker = outcome.broker.map_or(0.0, |(before, after)| after.cpu_s - before.cpu_s);
        let known = broker + self.after.own.cpu_s - self.before.own.cpu_s;
        let machine = self.after.machine.busy_s - self.before.machine.busy_s;
        outcome.others = ((machine - known) / seconds).max(0.0);
        outcome.stolen = (self.after.machine.stolen_s - self.before.machine.stolen_s) / seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_from_begin_to_end_and_busy_is_a_share_of_it() {
        let mut meter = Meter::new(None);
        meter.begin(1_000_000_000);
        meter.busy(500_000_000);
        assert_eq!(meter.ended(), None);
        meter.end(3_000_000_000);
        let mut outcome = Outcome::default();
        meter.fill(&mut outcome, 9_000_000_000);
        assert_eq!((outcome.seconds, outcome.busy, outcome.broker), (2.0, 0.25, None));
    }
}
