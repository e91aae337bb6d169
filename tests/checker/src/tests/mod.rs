//! A small history for each anomaly, and clean ones.

mod data;
mod groups;
mod transactions;

use crate::{
    Action, Commit, Committed, History, Kind, Offset, Outcome, Own, Partition, Poll, Read, Rules, Send, Step,
    Time, Transaction, Value, Verdict, check,
};

/// Partitions of the tests.
const P: Partition = Partition { topic: 0, number: 0 };
const Q: Partition = Partition { topic: 0, number: 1 };

/// A history that is written down line by line; each operation takes ten units of time.
#[derive(Default)]
struct Story {
    history: History,
    now: Time,
}

fn send(partition: Partition, value: Value, offset: Offset) -> Send {
    Send { partition, value, offset: Some(offset) }
}

fn read(partition: Partition, from: Offset, next: Offset, values: &[(Offset, Value)]) -> Read {
    Read { partition, from, next, values: values.to_vec() }
}

impl Story {
    fn times(&mut self) -> (Time, Time) {
        self.now += 10;
        (self.now, self.now + 5)
    }

    fn does(&mut self, process: u32, action: Action) -> &mut Story {
        let times = self.times();
        self.history.done(process, times, action);
        self
    }

    fn sends(&mut self, process: u32, partition: Partition, value: Value, offset: Offset) -> &mut Story {
        self.does(process, Action::Send(send(partition, value, offset)))
    }

    /// A poll of committed data.
    fn polls(&mut self, process: u32, read: Read) -> &mut Story {
        let poll = self.poll(true, read);
        self.does(process, Action::Poll(poll))
    }

    /// A poll of all data.
    fn peeks(&mut self, process: u32, read: Read) -> &mut Story {
        let poll = self.poll(false, read);
        self.does(process, Action::Poll(poll))
    }

    /// A poll that will be answered when the next operation is.
    fn poll(&self, committed: bool, read: Read) -> Poll {
        Poll { committed, at: self.now + 15, reads: vec![read] }
    }

    /// A transaction whose commit is asked for just before it comes to its end; aborted without being asked for.
    fn transacts(&mut self, process: u32, outcome: Outcome, steps: Vec<Step>) -> &mut Story {
        let (invoked, completed) = self.times();
        let ending = (outcome != Outcome::Fail).then_some(completed - 1);
        let action = Action::Transaction(Transaction { steps, ending });
        let ticket = self.history.invoke(process, invoked, action);
        self.history.complete(ticket, completed, outcome);
        self
    }

    fn judged(&self, drained: bool) -> Verdict {
        check(&self.history, &Rules::kafka(drained))
    }

    /// The kinds of errors that are found.
    fn errors(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.judged(false).errors.iter().map(|one| one.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    fn permitted(&self) -> Vec<Kind> {
        self.judged(false).permitted.iter().map(|one| one.kind).collect()
    }
}

#[test]
fn an_empty_history_is_clean() {
    assert_eq!(Story::default().judged(true), Verdict::default());
}

#[test]
fn thousands_of_operations_are_judged_soon() {
    let mut story = Story::default();
    for nth in 0..5_000 {
        let offset = nth as Offset;
        story.transacts(nth % 7, Outcome::Ok, vec![Step::Send(send(P, u64::from(nth), offset))]);
        story.polls(100, read(P, offset, offset + 1, &[(offset, u64::from(nth))]));
    }
    assert_eq!(story.judged(true), Verdict::default());
}
