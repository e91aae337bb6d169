//! The book: what clients asked for, what they were told and shown, and the rules that follow.
//!
//! Everything a client learns goes through here, so that a contradiction is found when it happens, and what was shown
//! or acknowledged once can be asked for again after every restart. Rules that need a whole log are in [`check`].
//!
//! [`check`]: crate::check

use crate::record::{Found, RecordId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is known of a topic's existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exists {
    /// Its creation was asked for and never answered.
    Perhaps,
    /// Its creation was acknowledged, or it was seen after a restart.
    Yes,
    /// Its deletion was asked for and never answered.
    PerhapsGone,
    /// Its deletion was acknowledged, or it was missed after a restart, as it may.
    Gone,
}

/// A topic: one life of a name.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub id: Option<[u8; 16]>,
    pub exists: Exists,
    /// Partitions that were acknowledged.
    pub partitions: i32,
    /// Partitions that were asked for.
    pub partitions_asked: i32,
    /// Consumers read it and producers write to it for as long as the run lasts.
    pub lasting: bool,
    /// Groups and transactions work on it, and the checker judges it: 0 is what is read first, 1 what comes of it.
    pub judged: Option<usize>,
}

/// Names a partition by the place of its topic in the book.
pub(crate) type Place = (usize, i32);

/// A partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// What was shown or acknowledged at an offset. It must never be anything else.
    pub known: BTreeMap<i64, RecordId>,
    /// The largest high watermark that anybody was shown, or that follows from an acknowledgement.
    pub end: i64,
    /// Acknowledged as duplicates, without an offset.
    pub somewhere: BTreeSet<RecordId>,
    /// Where the log begins at least, by acknowledged DeleteRecords, and at most, by those asked for.
    pub start_least: i64,
    pub start_most: i64,
}

/// Who writes where, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub place: Place,
    pub idempotent: bool,
    /// Counters up to this one, exclusive, were sent.
    pub sent: u64,
}

/// What has happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were sent at least once.
    pub sent: u64,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Records that consumers were shown, each time counted.
    pub shown: u64,
    /// Records that were read and compared after restarts and at the end.
    pub verified: u64,
    /// Changes of metadata that were acknowledged.
    pub changes: u64,
    /// Starts of the broker that came to their end.
    pub starts: u64,
    /// Power losses, also during starts.
    pub crashes: u64,
    /// Ends of the process, by a kill or by a clean stop.
    pub kills: u64,
    /// Connections that were cut, and other mischief.
    pub mischief: u64,
    /// Requests that found no answer.
    pub lost_requests: u64,
    /// Requests that were answered with an error for their client to try again.
    pub refused: u64,
    /// Transactions that were committed, as their clients know.
    pub committed: u64,
    /// Of these, by the rules of KIP-890.
    pub committed_v2: u64,
    /// Transactions that were not, or of which nobody knows.
    pub uncommitted: u64,
    /// Commits of offsets that were acknowledged.
    pub offsets: u64,
    /// Operations that the checker judged.
    pub judged: u64,
    /// Anomalies that it found, and that Kafka permits.
    pub permitted: u64,
    /// Logs that the broker has compacted, each time counted.
    pub cleaner_runs: u64,
}

impl Counts {
    /// Adds another run's.
    pub fn add(&mut self, other: &Counts) {
        let Counts { sent, acknowledged, shown, verified, changes, starts, crashes, kills, mischief, .. } =
            other;
        self.sent += sent;
        self.acknowledged += acknowledged;
        self.shown += shown;
        self.verified += verified;
        self.changes += changes;
        self.starts += starts;
        self.crashes += crashes;
        self.kills += kills;
        self.mischief += mischief;
        self.lost_requests += other.lost_requests;
        self.refused += other.refused;
        self.committed += other.committed;
        self.committed_v2 += other.committed_v2;
        self.uncommitted += other.uncommitted;
        self.offsets += other.offsets;
        self.judged += other.judged;
        self.permitted += other.permitted;
        self.cleaner_runs += other.cleaner_runs;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { sent, acknowledged, shown, verified, changes, starts, crashes, kills, mischief, .. } =
            self;
        write!(
            out,
            "records: {sent} sent, {acknowledged} acknowledged, {shown} shown, {verified} verified; "
        )?;
        write!(
            out,
            "{changes} changes of metadata; {starts} starts, {crashes} power losses, {kills} other ends, "
        )?;
        write!(
            out,
            "{mischief} times mischief; requests: {} lost, {} refused; ",
            self.lost_requests, self.refused
        )?;
        write!(
            out,
            "transactions: {} committed, {} of them in V2, {} not; {} commits of offsets; ",
            self.committed, self.committed_v2, self.uncommitted, self.offsets
        )?;
        write!(
            out,
            "{} operations judged, {} permitted anomalies; {} runs of the cleaner",
            self.judged, self.permitted, self.cleaner_runs
        )
    }
}

/// The history of a run.
#[derive(Default)]
pub(crate) struct Book {
    pub topics: Vec<Topic>,
    pub logs: BTreeMap<Place, Log>,
    pub lanes: Vec<Lane>,
    pub batches: BTreeMap<RecordId, u64>,
    pub producer_ids: BTreeSet<i64>,
    pub counts: Counts,
    violation: Option<String>,
}

impl Book {
    /// Notes that a rule was broken; the first one counts.
    pub(crate) fn violated(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// The first rule that was broken.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// A new lane into a partition.
    pub(crate) fn lane(&mut self, place: Place, idempotent: bool) -> u32 {
        self.lanes.push(Lane { place, idempotent, sent: 0 });
        (self.lanes.len() - 1) as u32
    }

    /// A batch will be sent. Called once a batch, however often it is tried.
    pub(crate) fn will_send(&mut self, first: RecordId, count: u64) {
        self.batches.insert(first, count);
        self.lanes[first.lane as usize].sent = first.counter + count;
        self.counts.sent += count;
    }

    /// The name of a partition for people.
    pub(crate) fn name(&self, place: Place) -> String {
        format!("{}-{}", self.topics[place.0].name, place.1)
    }

    pub(crate) fn log(&mut self, place: Place) -> &mut Log {
        self.logs.entry(place).or_default()
    }

    /// Where the high watermark is at least.
    pub(crate) fn end(&self, place: Place) -> i64 {
        self.logs.get(&place).map_or(0, |log| log.end)
    }

    /// A batch was acknowledged; without an offset if it was called a duplicate.
    pub(crate) fn acknowledged(&mut self, first: RecordId, count: u64, base_offset: Option<i64>) {
        self.counts.acknowledged += count;
        let place = self.lanes[first.lane as usize].place;
        for nth in 0..count {
            let id = RecordId { counter: first.counter + nth, ..first };
            match base_offset {
                Some(base) => self.is_at(place, base + nth as i64, id, "acknowledged"),
                None => drop(self.log(place).somewhere.insert(id)),
            }
        }
    }

    /// A high watermark was shown. `least` is what it had to be when the request was sent.
    pub(crate) fn end_shown(&mut self, place: Place, high_watermark: i64, least: i64) {
        if high_watermark < least {
            let name = self.name(place);
            self.violated(format!("{name}: high watermark {high_watermark} after {least} was told"));
        }
        let log = self.log(place);
        log.end = log.end.max(high_watermark);
    }

    /// A record is at an offset, as somebody was just told.
    fn is_at(&mut self, place: Place, offset: i64, id: RecordId, how: &str) {
        let log = self.log(place);
        log.end = log.end.max(offset + 1);
        let before = log.known.insert(offset, id);
        if let Some(before) = before.filter(|before| *before != id) {
            let name = self.name(place);
            self.violated(format!("{name}: offset {offset} was {before:?} and is {how} as {id:?}"));
        }
    }

    /// Batches were shown to a consumer that asked for `from`; returns the offset to go on with.
    pub(crate) fn shown(&mut self, place: Place, from: i64, found: &[Found]) -> i64 {
        let mut next = from;
        for (number, batch) in found.iter().enumerate() {
            let fits = if number == 0 {
                batch.base_offset <= from && from < batch.end()
            } else {
                batch.base_offset == next
            };
            if !fits {
                let (name, base) = (self.name(place), batch.base_offset);
                self.violated(format!("{name}: a batch at {base} where {next} was due"));
            }
            self.batch_shown(place, batch);
            next = batch.end();
        }
        next
    }

    fn batch_shown(&mut self, place: Place, batch: &Found) {
        let (first, _) = batch.records[0];
        let count = batch.records.len() as u64;
        self.counts.shown += count;
        let in_order = batch
            .records
            .iter()
            .zip(0..)
            .all(|((id, _), nth)| *id == RecordId { lane: first.lane, counter: first.counter + nth });
        let sent = self.batches.get(&first) == Some(&count);
        let here = self.lanes.get(first.lane as usize).is_some_and(|lane| lane.place == place);
        if !in_order || !sent || !here {
            let (name, base) = (self.name(place), batch.base_offset);
            self.violated(format!("{name}: at {base} is a batch of {count} from {first:?} that nobody sent"));
            return;
        }
        for (nth, (id, _)) in batch.records.iter().enumerate() {
            self.is_at(place, batch.base_offset + nth as i64, *id, "shown");
        }
    }

    /// A producer was given an id, which nobody else may have.
    pub(crate) fn producer_id(&mut self, id: i64) {
        if !self.producer_ids.insert(id) {
            self.violated(format!("producer id {id} was given twice"));
        }
    }

    /// The judged partitions: of what is read first (0), or of what comes of it (1).
    pub(crate) fn judged(&self, which: usize) -> Vec<Place> {
        let topics = self.topics.iter().enumerate().filter(|(_, topic)| topic.judged == Some(which));
        topics.flat_map(|(number, topic)| (0..topic.partitions).map(move |p| (number, p))).collect()
    }

    /// The lasting partitions that are known to exist.
    pub(crate) fn lasting(&self) -> Vec<Place> {
        let topics = self.topics.iter().enumerate().filter(|(_, topic)| topic.lasting);
        topics.flat_map(|(number, topic)| (0..topic.partitions).map(move |p| (number, p))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        book.topics.push(Topic {
            name: "t".to_owned(),
            id: None,
            exists: Exists::Yes,
            partitions: 1,
            partitions_asked: 1,
            lasting: true,
            judged: None,
        });
        book.lane((0, 0), true);
        book.will_send(RecordId { lane: 0, counter: 0 }, 2);
        book
    }

    fn found(base_offset: i64, counters: &[u64]) -> Found {
        let records = counters.iter().map(|counter| (RecordId { lane: 0, counter: *counter }, 0)).collect();
        Found { base_offset, records }
    }

    #[test]
    fn what_fits_is_no_violation() {
        let mut book = book();
        assert_eq!(book.shown((0, 0), 0, &[found(0, &[0, 1])]), 2);
        assert_eq!(book.shown((0, 0), 1, &[found(0, &[0, 1])]), 2);
        book.acknowledged(RecordId { lane: 0, counter: 0 }, 2, Some(0));
        book.end_shown((0, 0), 2, 2);
        assert_eq!(book.violation(), None);
    }

    #[test]
    fn each_contradiction_is_a_violation() {
        let cases: [fn(&mut Book); 7] = [
            |book| assert!(book.shown((0, 0), 1, &[found(2, &[0, 1])]) > 0),
            |book| assert!(book.shown((0, 0), 0, &[found(0, &[0])]) > 0),
            |book| assert!(book.shown((0, 0), 0, &[found(0, &[1, 0])]) > 0),
            |book| assert!(book.shown((0, 0), 0, &[found(0, &[0, 1]), found(3, &[0, 1])]) > 0),
            |book| {
                book.acknowledged(RecordId { lane: 0, counter: 0 }, 2, Some(0));
                book.shown((0, 0), 1, &[found(1, &[0, 1])]);
            },
            |book| book.end_shown((0, 0), 2, 3),
            |book| {
                book.producer_id(1);
                book.producer_id(1);
            },
        ];
        for (number, case) in cases.iter().enumerate() {
            let mut book = book();
            case(&mut book);
            assert!(book.violation().is_some(), "case {number}");
        }
    }
}
