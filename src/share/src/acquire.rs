//! Handing records out.

use crate::partition::SharePartition;
use crate::runs::{Run, State};
use std::sync::Arc;

/// A batch of the log, as it was found by a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its first offset.
    pub first: i64,
    /// Its last.
    pub last: i64,
    /// Members see its records: it is no control batch, nor aborted where only committed records are wanted.
    pub is_visible: bool,
}

/// How much a member wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Records at most; of the last batch all, unless `is_strict`.
    pub records_max: i64,
    /// Not one record more (KIP-1206).
    pub is_strict: bool,
    /// Records that one [`Acquired`] has at most where it can end with a batch of the log.
    pub batch_size: i64,
}

/// Neighbouring records that a member was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The first offset.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// How often they have been handed out, this time included.
    pub deliveries: i16,
}

impl Acquired {
    fn len(&self) -> i64 {
        self.last - self.first + 1
    }
}

/// One call of [`SharePartition::acquire`].
struct Hand<'a> {
    member: &'a Arc<str>,
    until_ms: i64,
    wish: Wish,
    left: i64,
    given: Vec<Acquired>,
    /// While what failed often is handed out: how often it was before, and how many more of it there may be.
    little: Option<(i16, i64)>,
}

/// Neighbouring records that may be handed out.
struct Free {
    first: i64,
    last: i64,
    /// How often they were handed out before.
    deliveries: i16,
    /// How many of their kind are neighbours, outside of what was found too.
    neighbours: i64,
}

impl Hand<'_> {
    fn holds(&self) -> State {
        State::Acquired { member: self.member.clone(), until_ms: self.until_ms }
    }

    /// Notes what was given; neighbours of one kind are one as long as that is no more than was wished for.
    fn give(&mut self, one: Acquired, within_batch: bool) {
        self.left -= one.len();
        match self.given.last_mut() {
            Some(before)
                if before.last.checked_add(1) == Some(one.first)
                    && before.deliveries == one.deliveries
                    && (within_batch || before.len() + one.len() <= self.wish.batch_size) =>
            {
                before.last = one.last;
            }
            _ => self.given.push(one),
        }
    }

    /// How many more of so many may be given.
    fn most(&self, count: i64) -> i64 {
        if self.wish.is_strict { count.min(self.left) } else { count }
    }
}

impl SharePartition {
    /// Hands out what a read from `from` has found, as far as it may be handed out and is wished for. What a read
    /// should have found and has not is not there any more, and is done with.
    pub fn acquire(
        &mut self,
        member: &Arc<str>,
        now_ms: i64,
        from: i64,
        found: &[Found],
        wish: Wish,
    ) -> Vec<Acquired> {
        let until_ms = now_ms.saturating_add(self.limits.lock_ms);
        let left = wish.records_max;
        let mut hand = Hand { member, until_ms, wish, left, given: Vec::new(), little: None };
        let mut at = from.max(self.start);
        for one in found.iter().filter(|one| one.first <= one.last) {
            if one.last < at {
                continue;
            }
            if hand.left <= 0 {
                break;
            }
            let first = one.first.max(at);
            self.archive(at, first - 1);
            if !one.is_visible {
                self.archive(first, one.last);
            } else if !self.hand_out(first, one.last, &mut hand) {
                break;
            }
            at = one.last.saturating_add(1);
        }
        self.advance();
        hand.given
    }

    /// Offsets that nobody is to be given: those of the window that nobody has are done with, and the window moves
    /// over those behind it.
    fn archive(&mut self, first: i64, last: i64) {
        if first > last {
            return;
        }
        for (_, run) in self.runs.cut(first, last).filter(|(_, run)| run.is_free()) {
            run.state = State::Archived;
        }
        if first <= self.next {
            self.next = self.next.max(last.saturating_add(1));
        }
    }

    /// Hands out one batch of the log, or as much of it as may be; false if that was not all that there is.
    fn hand_out(&mut self, first: i64, last: i64, hand: &mut Hand<'_>) -> bool {
        let known_last = last.min(self.next - 1);
        let mut is_first = true;
        while let Some(free) = self.first_free(first, known_last) {
            let from = free.first;
            let count = hand.most(free.last - from + 1).min(self.part(&free, hand));
            if count <= 0 {
                return false;
            }
            if let Some((_, rest)) = &mut hand.little {
                *rest -= count;
            }
            let to = from + count - 1;
            let state = hand.holds();
            let Some((_, run)) = self.runs.cut(from, to).next() else { return false };
            run.state = state;
            run.deliveries = run.deliveries.saturating_add(1);
            let deliveries = run.deliveries;
            hand.give(Acquired { first: from, last: to, deliveries }, !is_first);
            is_first = false;
        }
        let from = first.max(self.next);
        if from > last {
            return true;
        }
        if hand.little.is_some() {
            return false;
        }
        let room = self.limits.locks_max - self.window();
        let mut count = hand.most(last - from + 1);
        if hand.wish.is_strict {
            count = count.min(room);
        }
        if room <= 0 || count <= 0 {
            return false;
        }
        let to = from + count - 1;
        self.runs.insert(from, Run::new(to, hand.holds(), 1));
        self.next = to + 1;
        hand.give(Acquired { first: from, last: to, deliveries: 1 }, !is_first);
        to == last
    }

    /// The first of the offsets `first..=last` that may be handed out, as far as its run goes.
    fn first_free(&self, first: i64, last: i64) -> Option<Free> {
        let (at, run) = self.runs.over(first, last).find(|(_, run)| run.is_free())?;
        let neighbours = run.last - at + 1;
        let deliveries = run.deliveries;
        Some(Free { first: at.max(first), last: run.last.min(last), deliveries, neighbours })
    }

    /// How many of these may be given beside what was given before: what failed often is given without others.
    fn part(&self, free: &Free, hand: &mut Hand<'_>) -> i64 {
        match (hand.little, self.little(free)) {
            (Some((deliveries, rest)), Some(_)) if deliveries == free.deliveries => rest,
            (None, Some(_)) | (Some(_), _) if !hand.given.is_empty() => 0,
            (_, None) => i64::MAX,
            (_, Some(rest)) => {
                hand.little = Some((free.deliveries, rest));
                rest
            }
        }
    }

    /// How many records are given at once of those that failed often; `None` if these did not.
    ///
    /// As in Kafka: from half of the deliveries on in parts that become smaller with each, the last time alone. So a
    /// record that breaks whoever gets it takes no others with it.
    fn little(&self, free: &Free) -> Option<i64> {
        let most = self.limits.deliveries_max;
        let often = (most / 2 + most % 2).max(2);
        if free.deliveries < often {
            return None;
        }
        if most > 2 && free.deliveries >= most - 1 {
            return Some(1);
        }
        let halvings = u32::from((free.deliveries - often).unsigned_abs()) + 1;
        Some((free.neighbours >> halvings.min(62)).max(1))
    }
}
