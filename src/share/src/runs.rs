//! Runs: neighbouring offsets of equal state, kept as one.
//!
//! A window of thousands of records is a handful of runs as long as members acknowledge what they were given in one
//! piece, and at worst one run an offset. Offsets of the window without a run are done with: control records, what
//! compaction took away, what members acknowledged.

use base::mistakes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What has become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// To be handed out.
    Available,
    /// A member has it, until its lock is up, in milliseconds since 1970.
    Acquired { member: Arc<str>, until_ms: i64 },
    /// Accepted: never handed out again.
    Acknowledged,
    /// Given up: rejected, delivered too often, or not there.
    Archived,
}

impl State {
    pub fn is_final(&self) -> bool {
        matches!(self, State::Acknowledged | State::Archived)
    }

    /// Kafka's number, in records.
    pub fn code(&self) -> i8 {
        match self {
            State::Available => 0,
            State::Acquired { .. } => 1,
            State::Acknowledged => 2,
            State::Archived => 4,
        }
    }

    /// From Kafka's number. Locks are never written; a number of a later version counts as to be handed out.
    pub fn of_code(code: i8) -> State {
        match code {
            2 => State::Acknowledged,
            4 => State::Archived,
            _ => State::Available,
        }
    }
}

/// A change that is on its way to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub ticket: u64,
    pub to: State,
    /// How often they will have been handed out then.
    pub deliveries: i16,
}

/// Neighbouring offsets of equal state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub last: i64,
    pub state: State,
    /// How often they were handed out.
    pub deliveries: i16,
    pub pending: Option<Pending>,
}

impl Run {
    pub fn new(last: i64, state: State, deliveries: i16) -> Run {
        Run { last, state, deliveries, pending: None }
    }

    /// It may be handed out now.
    pub fn is_free(&self) -> bool {
        let is_there = match self.state {
            State::Available => true,
            State::Acquired { .. } => mistakes::is_made("shared records not kept"),
            State::Acknowledged | State::Archived => false,
        };
        is_there && self.pending.is_none()
    }

    /// It is done with, or will be when the change with this ticket counts.
    pub fn is_final_with(&self, ticket: Option<u64>) -> bool {
        match &self.pending {
            None => self.state.is_final(),
            Some(pending) => Some(pending.ticket) == ticket && pending.to.is_final(),
        }
    }
}

/// Runs by their first offset; none overlaps another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(BTreeMap<i64, Run>);

impl Runs {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &Run)> + '_ {
        self.0.iter().map(|(first, run)| (*first, run))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (i64, &mut Run)> + '_ {
        self.0.iter_mut().map(|(first, run)| (*first, run))
    }

    /// Puts a run where there is none.
    pub fn insert(&mut self, first: i64, run: Run) {
        self.0.insert(first, run);
    }

    /// Makes a run begin at `at`, if one covers it.
    pub fn split(&mut self, at: i64) {
        let Some((first, run)) = self.0.range_mut(..at).next_back() else { return };
        if run.last < at {
            return;
        }
        debug_assert!(*first < at, "a run that begins before");
        let rest = run.clone();
        run.last = at - 1;
        self.0.insert(at, rest);
    }

    /// The runs that have an offset of `first..=last`.
    pub fn over(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, &Run)> + '_ {
        let before = self.0.range(..first).next_back().filter(|(_, run)| run.last >= first);
        let inside = (first <= last).then(|| self.0.range(first..=last)).into_iter().flatten();
        before.into_iter().chain(inside).map(|(first, run)| (*first, run))
    }

    /// Cuts runs so that those of `first..=last` stand alone, and shows them.
    pub fn cut(&mut self, first: i64, last: i64) -> impl Iterator<Item = (i64, &mut Run)> + '_ {
        self.split(first);
        self.split(last.saturating_add(1));
        let inside = (first <= last).then(|| self.0.range_mut(first..=last)).into_iter().flatten();
        inside.map(|(first, run)| (*first, run))
    }

    /// Takes everything before an offset away.
    pub fn drop_before(&mut self, offset: i64) {
        self.split(offset);
        self.0 = self.0.split_off(&offset);
    }

    /// Takes away what is done with, and makes neighbours of equal state one.
    pub fn tidy(&mut self) {
        self.0.retain(|_, run| !run.is_final_with(None));
        let mut tidied: BTreeMap<i64, Run> = BTreeMap::new();
        for (first, run) in std::mem::take(&mut self.0) {
            let joined = match tidied.values_mut().next_back() {
                Some(before) if is_one(before, first, &run) => {
                    before.last = run.last;
                    true
                }
                _ => false,
            };
            if !joined {
                tidied.insert(first, run);
            }
        }
        self.0 = tidied;
    }
}

fn is_one(before: &Run, first: i64, run: &Run) -> bool {
    before.last.checked_add(1) == Some(first)
        && before.state == run.state
        && before.deliveries == run.deliveries
        && before.pending == run.pending
}
