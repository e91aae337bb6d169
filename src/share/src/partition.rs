//! The records of one partition that one share group has in flight.

use crate::Write;
use crate::kept::StateBatch;
use crate::runs::{Pending, Run, Runs, State};
use crate::state::Loaded;

/// What bounds a share partition. The broker fills it from its own settings and from those of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `share.partition.max.record.locks`: offsets from the group's position to the last that was handed out. One
    /// batch more may be in flight, for batches are handed out whole.
    pub locks_max: i64,
    /// `share.delivery.count.limit`: how often a record is handed out at most.
    pub deliveries_max: i16,
    /// `share.record.lock.duration.ms`: how long a member has a record.
    pub lock_ms: i64,
}

/// A share partition.
///
/// [`SharePartition::restore`] makes it of what is durable. Reading: [`SharePartition::fetch_from`] says from where,
/// [`SharePartition::acquire`] hands out what was found. Writing: acknowledging, releasing and locks that are up give
/// a [`Write`]; the records stay as they were, and nobody else is given them, until [`SharePartition::written`] says
/// whether it is durable.
#[derive(Clone, Debug)]
pub struct SharePartition {
    pub(crate) limits: Limits,
    /// The group's position: everything before it is done with.
    pub(crate) start: i64,
    /// The first offset that was never looked at.
    pub(crate) next: i64,
    pub(crate) runs: Runs,
    state_epoch: i32,
    last_ticket: u64,
    under_way: usize,
}

impl SharePartition {
    /// From what is durable: what was acquired then is to be handed out again, with the deliveries that were written.
    /// `loaded.start_offset` is an offset of the log.
    pub fn restore(limits: Limits, loaded: &Loaded) -> SharePartition {
        let start = loaded.start_offset;
        let mut partition = SharePartition {
            limits,
            start,
            next: start,
            runs: Runs::default(),
            state_epoch: loaded.state_epoch,
            last_ticket: 0,
            under_way: 0,
        };
        for batch in &loaded.batches {
            let (first, last) = (batch.first.max(partition.next), batch.last);
            if first > last {
                continue;
            }
            if partition.next < first {
                // Handed out before the crash, and never heard of.
                partition.runs.insert(partition.next, Run::new(first - 1, State::Available, 0));
            }
            let run = Run::new(last, State::of_code(batch.state), batch.deliveries.max(0));
            partition.runs.insert(first, run);
            partition.next = last.saturating_add(1);
        }
        partition.advance();
        partition
    }

    /// Goes by other limits from now on; locks that are held stay as long as they were.
    pub fn configure(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The epoch of the state, which a write has to name.
    pub fn state_epoch(&self) -> i32 {
        self.state_epoch
    }

    /// The group's position.
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// Offsets from the group's position to the last that was looked at.
    pub fn window(&self) -> i64 {
        self.next - self.start
    }

    /// How many records members have.
    pub fn acquired(&self) -> i64 {
        let acquired = self.runs.iter().filter(|(_, run)| matches!(run.state, State::Acquired { .. }));
        acquired.map(|(first, run)| run.last - first + 1).sum()
    }

    /// Nobody has anything and nothing is on its way to the device.
    pub fn is_idle(&self) -> bool {
        self.under_way == 0 && self.acquired() == 0
    }

    /// From where to read what may be handed out next; `None` if nothing may now.
    pub fn fetch_from(&self) -> Option<i64> {
        let free = self.runs.iter().find(|(_, run)| run.is_free()).map(|(first, _)| first);
        free.or((self.window() < self.limits.locks_max).then_some(self.next))
    }

    /// The log begins here now: what was before is gone.
    pub fn trim(&mut self, log_start: i64) {
        if log_start > self.start {
            self.runs.drop_before(log_start);
            self.start = log_start;
            self.next = self.next.max(log_start);
            self.advance();
        }
    }

    /// When the next lock is up, in milliseconds since 1970.
    pub fn next_deadline(&self) -> Option<i64> {
        let held = self.runs.iter().filter(|(_, run)| run.pending.is_none());
        held.filter_map(|(_, run)| match run.state {
            State::Acquired { until_ms, .. } => Some(until_ms),
            _ => None,
        })
        .min()
    }

    /// Takes back what members have had for too long.
    pub fn expire(&mut self, now_ms: i64) -> Option<Write> {
        let limit = self.limits.deliveries_max;
        self.take_back(
            |_, until_ms| until_ms <= now_ms,
            |deliveries| (released(deliveries, limit), deliveries),
        )
    }

    /// Takes back everything that a member has: its session is over. As in Kafka this delivery does not count, for
    /// it is not known to have come to anything.
    pub fn release(&mut self, member: &str) -> Option<Write> {
        self.take_back(|holder, _| holder == member, |deliveries| (State::Available, (deliveries - 1).max(0)))
    }

    /// Takes back what is meant; `after` says from the deliveries so far what becomes of it, and how many there are
    /// then.
    fn take_back(
        &mut self,
        is_meant: impl Fn(&str, i64) -> bool,
        after: impl Fn(i16) -> (State, i16),
    ) -> Option<Write> {
        let ticket = self.last_ticket + 1;
        let mut batches = Vec::new();
        for (first, run) in self.runs.iter_mut().filter(|(_, run)| run.pending.is_none()) {
            let State::Acquired { member, until_ms } = &run.state else { continue };
            if !is_meant(member, *until_ms) {
                continue;
            }
            let (to, deliveries) = after(run.deliveries);
            batches.push(batch(first, run.last, &to, deliveries));
            run.pending = Some(Pending { ticket, to, deliveries });
        }
        self.begin(batches)
    }

    /// What runs that were just marked with the next ticket need written.
    pub(crate) fn begin(&mut self, batches: Vec<StateBatch>) -> Option<Write> {
        if batches.is_empty() {
            return None;
        }
        self.last_ticket += 1;
        self.under_way += 1;
        let ticket = self.last_ticket;
        let (mut start_offset, mut open) = (None, 0);
        for (first, run) in self.runs.iter().filter(|(_, run)| !run.is_final_with(Some(ticket))) {
            start_offset.get_or_insert(first);
            open += run.last - first + 1;
        }
        let start_offset = start_offset.unwrap_or(self.next);
        let complete_count = i32::try_from(self.next - start_offset - open).unwrap_or(i32::MAX);
        let batches = batches.into_iter().filter(|batch| batch.last >= start_offset).collect();
        Some(Write { ticket, start_offset, complete_count, batches })
    }

    /// The number that the next change will have.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.last_ticket + 1
    }

    /// A write has come to its end: what it was for counts if it is durable, else it is as it was before. True if
    /// there may be something to hand out now that there was not.
    pub fn written(&mut self, ticket: u64, durable: bool) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        let mut freed = false;
        for (_, run) in self.runs.iter_mut() {
            let Some(pending) = run.pending.take_if(|pending| pending.ticket == ticket) else { continue };
            if durable {
                freed |= pending.to == State::Available;
                run.state = pending.to;
                run.deliveries = pending.deliveries;
            }
        }
        let window = self.window();
        self.advance();
        freed || self.window() < window
    }

    /// Forgets what is done with, and moves the position behind it.
    pub(crate) fn advance(&mut self) {
        self.runs.tidy();
        self.start = self.runs.iter().next().map_or(self.next, |(first, _)| first);
    }

    /// How many runs it is made of.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }
}

/// What becomes of a record that a member gives back, or loses.
pub(crate) fn released(deliveries: i16, limit: i16) -> State {
    if deliveries >= limit { State::Archived } else { State::Available }
}

/// Records as they are written when they change.
pub(crate) fn batch(first: i64, last: i64, to: &State, deliveries: i16) -> StateBatch {
    StateBatch { first, last, state: to.code(), deliveries }
}
