//! Whether a connection's socket takes its answers, as seen by the task that reads its requests.
//!
//! The parts of large answers have a timer each, and small answers none: most are taken at once, and all would pay for
//! it. But who reads requests has a timer, set anew only when a wait outlasts it. While requests or answers are under
//! way, it is one of the time that a peer has to take something: then it looks here.

use crate::connection::Ended;
use crate::limits::Limits;
use crate::pipeline::Pipeline;
use base::Instant;
use executor::{Sleep, sleep_until};

/// What was seen of a connection's answers. It outlasts single waits: a peer gains no time by sending more.
pub(crate) struct Watch<'a> {
    pipeline: &'a Pipeline,
    limits: &'a Limits,
    /// The pipeline's pulse as it was last seen.
    pulse: u64,
    /// The first look at that pulse.
    since: Instant,
    /// How often memory had been refused by then.
    refused: u64,
    /// When to look again.
    next: Instant,
    /// The connection's one timer.
    alarm: Sleep,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(pipeline: &'a Pipeline, limits: &'a Limits, now: Instant) -> Watch<'a> {
        let alarm = sleep_until(now + limits.idle_max);
        let mut watch = Watch { pipeline, limits, pulse: 0, since: now, refused: 0, next: now, alarm };
        watch.has_moved(now);
        watch
    }

    /// When to [`look`](Watch::look) next. The time of a peer begins when its socket is first seen to take nothing, at
    /// the latest at this look, and is over at the next one.
    pub(crate) fn next_look(&mut self, now: Instant) -> Instant {
        self.has_moved(now);
        self.next
    }

    /// What rings at a look at the latest. Mostly it was set for a wait before, and may ring too early: a wait that is
    /// short, as nearly all are, sets no timer.
    pub(crate) fn alarm(&mut self, look: Instant, now: Instant) -> &mut Sleep {
        if self.alarm.at() > look || self.alarm.at() <= now {
            self.alarm = sleep_until(look);
        }
        &mut self.alarm
    }

    /// An end if the socket has taken nothing of its answers for longer than a connection may be idle, or nothing of
    /// small ones for too long while others waited for memory. Large ones are seen to by who sends them, for they also
    /// wait for their turns.
    pub(crate) fn look(&mut self, now: Instant) -> Result<(), Ended> {
        if self.has_moved(now) {
            return Ok(());
        }
        let waited = now.since(self.since);
        if waited >= self.limits.idle_max {
            return Err(Ended::Idle);
        }
        if waited >= self.limits.memory_wait_max
            && self.pipeline.is_watched()
            && self.pipeline.outgoing().is_short(self.refused)
        {
            return Err(Ended::Unread);
        }
        self.put_off(now);
        Ok(())
    }

    /// Whether the socket has taken something, or has nothing to take: then its time begins anew.
    fn has_moved(&mut self, now: Instant) -> bool {
        let pulse = self.pipeline.pulse();
        if pulse == self.pulse && self.pipeline.is_sending() {
            return false;
        }
        (self.pulse, self.since) = (pulse, now);
        self.refused = self.pipeline.outgoing().refused();
        self.put_off(now);
        true
    }

    fn put_off(&mut self, now: Instant) {
        self.next = (now + self.limits.memory_wait_max).min(self.since + self.limits.idle_max);
    }
}
