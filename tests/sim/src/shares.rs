//! What members of the share group (KIP-932) were given and said, and the rules that follow.
//!
//! Every record of the topic is given to somebody. What was accepted or rejected, or given back after its last
//! delivery, is not given to anybody who asks later; what was given back before that counts one delivery more. Whoever
//! says in time what it makes of a record, and is believed, was the only one to have it until then.

use crate::book::Place;
use crate::control::Control;
use checker::{Action, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the group.
pub(crate) const GROUP: &str = "sharers";
/// The topic that it reads: see [`Topic::judged`](crate::book::Topic::judged).
pub(crate) const SOURCE: usize = 0;
/// How long a member has a record for itself, in milliseconds: as short as may be set.
pub(crate) const LOCK_MS: u64 = 1_000;

/// A record, by its place and offset.
pub(crate) type Record = (Place, i64);

/// What a member says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Accept,
    Release,
    Reject,
}

impl Word {
    /// Its number on the wire.
    pub(crate) fn code(self) -> i8 {
        match self {
            Word::Accept => 1,
            Word::Release => 2,
            Word::Reject => 3,
        }
    }
}

/// A word that was believed: when it was said, and when that was answered.
#[derive(Clone, Copy, Debug)]
struct Said {
    word: Word,
    asked: Time,
    told: Time,
}

/// A record was given to a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// The member's session: within it no answer was lost.
    pub session: u64,
    /// When it asked, and when it was told.
    pub asked: Time,
    pub told: Time,
    /// How often the record has been given, this time included.
    pub count: i16,
    said: Option<Said>,
}

impl Delivery {
    pub(crate) fn new(session: u64, (asked, told): (Time, Time), count: i16) -> Delivery {
        Delivery { session, asked, told, count, said: None }
    }
}

/// All that was given.
#[derive(Default)]
pub(crate) struct Ledger {
    records: BTreeMap<Record, Vec<Delivery>>,
    sessions: u64,
    /// Fetches that found no answer, though the broker may have given records in it and counted that.
    lost: u64,
}

impl Ledger {
    /// A number that no session has had.
    pub(crate) fn new_session(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    /// A fetch found no answer: each record may have been given once without anybody knowing.
    pub(crate) fn lost(&mut self) {
        self.lost += 1;
    }

    /// A record was given; its place among the deliveries of this record.
    pub(crate) fn given(&mut self, record: Record, delivery: Delivery) -> usize {
        let all = self.records.entry(record).or_default();
        all.push(delivery);
        all.len() - 1
    }

    /// What a member said about a delivery was believed.
    pub(crate) fn believed(&mut self, record: Record, nth: usize, word: Word, (asked, told): (Time, Time)) {
        if let Some(delivery) = self.records.get_mut(&record).and_then(|all| all.get_mut(nth)) {
            delivery.said = Some(Said { word, asked, told });
        }
    }

    /// The first rule that is broken. `lock`: how long a member surely has a record; `None` if clocks jump.
    fn broken(&self, limit: i16, lock: Option<Time>) -> Option<String> {
        self.records.iter().find_map(|(record, all)| {
            let mut pairs = all.iter().flat_map(|one| all.iter().map(move |before| (before, one)));
            let why = pairs.find_map(|(before, one)| wrong(before, one, limit, lock))?;
            Some(format!("record {record:?} {why}: {all:?}"))
        })
    }

    /// The first of these records that nobody was given, where that cannot have happened unseen `limit` times.
    fn missed(&self, wanted: &BTreeSet<Record>, limit: i16) -> Option<Record> {
        if i64::try_from(self.lost).unwrap_or(i64::MAX) >= i64::from(limit) {
            return None;
        }
        wanted.iter().find(|record| !self.records.contains_key(record)).copied()
    }
}

/// What is wrong with one delivery, beside another one of the same record, which may be the same.
fn wrong(before: &Delivery, one: &Delivery, limit: i16, lock: Option<Time>) -> Option<&'static str> {
    if !(1..=limit).contains(&one.count) {
        return Some("was given more often than may be");
    }
    let said = before.said?;
    if one.asked > said.told {
        match said.word {
            Word::Accept => return Some("was given after it was accepted"),
            Word::Reject => return Some("was given after it was rejected"),
            Word::Release if before.count >= limit => return Some("was given after its last delivery"),
            Word::Release if one.count <= before.count => {
                return Some("has lost the count of its deliveries");
            }
            Word::Release => {}
        }
    }
    let in_time = lock.is_some_and(|lock| said.asked < before.asked.saturating_add(lock));
    let is_within = before.told < one.asked && one.told < said.asked;
    (before.session != one.session && in_time && is_within).then_some("was given to two at one time")
}

/// Judges what the share group was given. `clocks_jump`: so locks may be up early; `complete`: the run came to its
/// end, where everything was read, and everything was given.
///
/// # Errors
/// The first rule that is broken.
pub(crate) fn judge(control: &Control, limit: i16, clocks_jump: bool, complete: bool) -> Result<(), String> {
    let ledger = control.ledger.borrow();
    let lock = (!clocks_jump).then_some(LOCK_MS * 1_000_000);
    if let Some(why) = ledger.broken(limit, lock) {
        return Err(format!("the share group: {why}"));
    }
    let missed = if complete { ledger.missed(&shown(control), limit) } else { None };
    match missed {
        Some(record) => Err(format!("the share group was never given {record:?}")),
        None => Ok(()),
    }
}

/// Every record of the source that readers of all data were shown.
fn shown(control: &Control) -> BTreeSet<Record> {
    let book = control.book.borrow();
    let history = control.history.borrow();
    let places: BTreeSet<Place> = book.judged(SOURCE).into_iter().collect();
    let polls = history.operations().iter().filter_map(|operation| match &operation.action {
        Action::Poll(poll) => Some(poll),
        _ => None,
    });
    let mut all = BTreeSet::new();
    for read in polls.flat_map(|poll| &poll.reads) {
        let place = (read.partition.topic as usize, read.partition.number);
        if places.contains(&place) {
            all.extend(read.values.iter().map(|(offset, _)| (place, *offset)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = ((0, 0), 5);

    /// Deliveries by session, times of asking and telling, and count; the first is followed by a word.
    fn ledger(
        first: (u64, Time, Time, i16),
        said: (Word, Time, Time),
        then: (u64, Time, Time, i16),
    ) -> Ledger {
        let mut ledger = Ledger::default();
        let delivery = |(session, asked, told, count): (u64, Time, Time, i16)| {
            Delivery::new(session, (asked, told), count)
        };
        let nth = ledger.given(RECORD, delivery(first));
        let (word, asked, told) = said;
        ledger.believed(RECORD, nth, word, (asked, told));
        ledger.given(RECORD, delivery(then));
        ledger
    }

    #[test]
    fn what_was_accepted_or_rejected_is_not_given_again() {
        for word in [Word::Accept, Word::Reject] {
            let first = (1, 10, 20, 1);
            assert!(ledger(first, (word, 30, 40), (2, 50, 60, 2)).broken(5, None).is_some());
            assert!(
                ledger(first, (word, 30, 40), (2, 35, 60, 2)).broken(5, None).is_none(),
                "it may be late"
            );
        }
    }

    #[test]
    fn what_was_given_back_counts_once_more_and_only_so_often() {
        let given_back = (Word::Release, 30, 40);
        assert!(ledger((1, 10, 20, 1), given_back, (2, 50, 60, 2)).broken(2, None).is_none());
        assert!(ledger((1, 10, 20, 1), given_back, (2, 50, 60, 1)).broken(2, None).is_some());
        assert!(ledger((1, 10, 20, 2), given_back, (2, 50, 60, 2)).broken(2, None).is_some());
        assert!(ledger((1, 10, 20, 1), given_back, (2, 50, 60, 3)).broken(2, None).is_some());
    }

    #[test]
    fn whoever_is_believed_in_time_was_alone() {
        let (first, then) = ((1, 10, 20, 1), (2, 22, 28, 2));
        assert!(ledger(first, (Word::Accept, 30, 40), then).broken(5, Some(100)).is_some());
        assert!(ledger(first, (Word::Accept, 30, 40), then).broken(5, Some(15)).is_none(), "the lock was up");
        assert!(ledger(first, (Word::Accept, 30, 40), then).broken(5, None).is_none(), "it may have been");
        assert!(ledger(first, (Word::Accept, 25, 40), then).broken(5, Some(100)).is_none());
    }

    #[test]
    fn every_record_is_given_to_somebody() {
        let mut ledger = ledger((1, 10, 20, 1), (Word::Accept, 30, 40), (2, 12, 18, 1));
        let other = ((0, 0), 6);
        assert_eq!(ledger.missed(&BTreeSet::from([RECORD]), 1), None);
        assert_eq!(ledger.missed(&BTreeSet::from([RECORD, other]), 1), Some(other));
        ledger.lost();
        assert_eq!(ledger.missed(&BTreeSet::from([RECORD, other]), 1), None, "it may have been given up");
    }
}
