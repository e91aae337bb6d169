//! Who wrote what, which offset has which value, and what became of each operation.

use crate::history::{Action, Offset, Operation, Outcome, Partition, Poll, Read, Send, Step, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Whether what an operation writes counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was acknowledged, or seen to be there.
    Committed,
    /// It must never be seen.
    Aborted,
    /// Nobody knows, and nobody has seen it.
    Unknown,
}

/// Who sent a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    pub operation: usize,
    pub send: Send,
}

/// A poll, and the operation that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polled<'h> {
    pub operation: usize,
    pub poll: &'h Poll,
}

/// A history, looked up.
pub(crate) struct Index<'h> {
    pub operations: &'h [Operation],
    pub writers: BTreeMap<Value, Writer>,
    /// What was acknowledged or shown at each offset; more than one value is an anomaly.
    pub logs: BTreeMap<Partition, BTreeMap<Offset, BTreeSet<Value>>>,
    pub polls: Vec<Polled<'h>>,
    fates: Vec<Fate>,
}

/// What an operation sends.
pub(crate) fn sends(operation: &Operation) -> Vec<Send> {
    match &operation.action {
        Action::Send(send) => vec![*send],
        Action::Transaction(transaction) => {
            let sends = transaction.steps.iter().filter_map(|step| match step {
                Step::Send(send) => Some(*send),
                _ => None,
            });
            sends.collect()
        }
        _ => Vec::new(),
    }
}

/// What an operation polls.
pub(crate) fn polls(operation: &Operation) -> Vec<&Poll> {
    match &operation.action {
        Action::Poll(poll) => vec![poll],
        Action::Transaction(transaction) => {
            let polls = transaction.steps.iter().filter_map(|step| match step {
                Step::Poll(poll) => Some(poll),
                _ => None,
            });
            polls.collect()
        }
        _ => Vec::new(),
    }
}

/// When the commit of a transaction was asked for; `None` if the operation is none, or is not to be committed.
pub(crate) fn ending(operation: &Operation) -> Option<u64> {
    match &operation.action {
        Action::Transaction(transaction) => transaction.ending,
        _ => None,
    }
}

/// Whether an operation is a transaction.
pub(crate) fn is_transaction(operation: &Operation) -> bool {
    matches!(operation.action, Action::Transaction(_))
}

impl<'h> Index<'h> {
    pub(crate) fn new(operations: &'h [Operation]) -> Index<'h> {
        let mut index = Index {
            operations,
            writers: BTreeMap::new(),
            logs: BTreeMap::new(),
            polls: Vec::new(),
            fates: Vec::new(),
        };
        let mut found = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            for send in sends(operation) {
                index.writers.insert(send.value, Writer { operation: place, send });
                if let Some(offset) = send.offset {
                    index.is_at(send.partition, offset, send.value);
                }
            }
            found.extend(polls(operation).into_iter().map(|poll| Polled { operation: place, poll }));
        }
        for read in found.iter().flat_map(|polled| &polled.poll.reads) {
            read.values.iter().for_each(|(offset, value)| index.is_at(read.partition, *offset, *value));
        }
        index.polls = found;
        index.fates = index.find_fates();
        index
    }

    fn is_at(&mut self, partition: Partition, offset: Offset, value: Value) {
        self.logs.entry(partition).or_default().entry(offset).or_default().insert(value);
    }

    fn find_fates(&self) -> Vec<Fate> {
        let fate = |operation: &Operation| match operation.outcome {
            Outcome::Ok => Fate::Committed,
            Outcome::Fail => Fate::Aborted,
            Outcome::Info if is_transaction(operation) && ending(operation).is_none() => Fate::Aborted,
            Outcome::Info => Fate::Unknown,
        };
        let mut fates: Vec<Fate> = self.operations.iter().map(fate).collect();
        for polled in &self.polls {
            for (_, value) in polled.poll.reads.iter().flat_map(|read| &read.values) {
                let Some(writer) = self.writers.get(value) else { continue };
                let tells = polled.poll.committed || !is_transaction(&self.operations[writer.operation]);
                if tells && fates[writer.operation] == Fate::Unknown {
                    fates[writer.operation] = Fate::Committed;
                }
            }
        }
        fates
    }

    /// What became of an operation.
    pub(crate) fn fate(&self, operation: usize) -> Fate {
        self.fates[operation]
    }

    /// The operation that sent a value, and its fate.
    pub(crate) fn writer(&self, value: Value) -> Option<(usize, Fate)> {
        self.writers.get(&value).map(|writer| (writer.operation, self.fate(writer.operation)))
    }

    /// All reads, with their polls.
    pub(crate) fn reads(&self) -> impl Iterator<Item = (Polled<'h>, &'h Read)> {
        self.polls.iter().flat_map(|polled| polled.poll.reads.iter().map(move |read| (*polled, read)))
    }

    /// What is known to lie in a range of a partition, where that is one value an offset.
    pub(crate) fn between(
        &self,
        partition: Partition,
        from: Offset,
        to: Offset,
    ) -> impl Iterator<Item = (Offset, Value)> {
        let log = self.logs.get(&partition).filter(|_| from < to);
        let range = log.into_iter().flat_map(move |log| log.range(from..to));
        range.filter_map(|(offset, values)| match values.len() {
            1 => values.first().map(|value| (*offset, *value)),
            _ => None,
        })
    }
}
