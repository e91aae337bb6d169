//! What single values and offsets tell.

use crate::anomaly::{Anomaly, Kind, Rules};
use crate::history::{Action, NEVER, Offset, Partition, Value};
use crate::index::{Fate, Index, Polled, ending, is_transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Finds all of them.
pub(crate) fn check(index: &Index<'_>, rules: &Rules, found: &mut Vec<Anomaly>) {
    offsets_and_values(index, found);
    let mut told = BTreeSet::new();
    for (polled, read) in index.reads() {
        for (offset, value) in &read.values {
            if let Some((kind, why)) = wrongly_shown(index, polled, read.partition, *value)
                && told.insert((kind, *value))
            {
                let writer = index.writers.get(value).map(|writer| writer.operation);
                let operations = writer.into_iter().chain([polled.operation]).collect();
                let evidence = format!("{} at {:?} offset {offset} {why}", name(*value), read.partition);
                found.push(Anomaly { kind, evidence, operations });
            }
        }
    }
    missing(index, found);
    beyond_the_end(index, found);
    if rules.drained {
        never_shown(index, found);
    }
}

fn name(value: Value) -> String {
    format!("value {value:#x}")
}

/// One value an offset, one offset a value.
fn offsets_and_values(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let mut places: BTreeMap<Value, Vec<(Partition, Offset)>> = BTreeMap::new();
    for (partition, log) in &index.logs {
        for (offset, values) in log {
            values.iter().for_each(|value| places.entry(*value).or_default().push((*partition, *offset)));
            if values.len() > 1 {
                let operations = values.iter().filter_map(|value| Some(index.writer(*value)?.0)).collect();
                let evidence = format!("{partition:?} has at offset {offset} the values {values:x?}");
                found.push(Anomaly { kind: Kind::InconsistentOffsets, evidence, operations });
            }
        }
    }
    for (value, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
        let operations = index.writer(value).map(|(operation, _)| operation).into_iter().collect();
        let evidence = format!("{} is at {places:?}", name(value));
        found.push(Anomaly { kind: Kind::Duplicate, evidence, operations });
    }
}

/// What is wrong with showing a value to a poll, if anything is.
fn wrongly_shown(
    index: &Index<'_>,
    polled: Polled<'_>,
    partition: Partition,
    value: Value,
) -> Option<(Kind, &'static str)> {
    let Some(writer) = index.writers.get(&value) else {
        return Some((Kind::UnwrittenRead, "was sent by nobody"));
    };
    if writer.send.partition != partition {
        return Some((Kind::UnwrittenRead, "was sent to another partition"));
    }
    let operation = &index.operations[writer.operation];
    if operation.invoked > polled.poll.at {
        return Some((Kind::UnwrittenRead, "was shown before it was sent"));
    }
    let hides = polled.poll.committed || !is_transaction(operation);
    if hides && index.fate(writer.operation) == Fate::Aborted {
        return Some((Kind::AbortedRead, "was shown and was aborted"));
    }
    if !polled.poll.committed || !is_transaction(operation) {
        return None;
    }
    if writer.operation == polled.operation {
        return Some((Kind::PrecommittedRead, "was shown to the transaction that wrote it"));
    }
    match ending(operation).is_some_and(|ending| ending > polled.poll.at) {
        true => Some((Kind::PrecommittedRead, "was shown before its commit was asked for")),
        false => None,
    }
}

/// Values within what polls passed over that were not shown.
fn missing(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let mut last_shown: BTreeMap<Value, u64> = BTreeMap::new();
    for (polled, read) in index.reads() {
        for (_, value) in &read.values {
            let at = last_shown.entry(*value).or_default();
            *at = polled.poll.at.max(*at);
        }
    }
    let mut told = BTreeSet::new();
    for (polled, read) in index.reads() {
        let shown: BTreeSet<Value> = read.values.iter().map(|(_, value)| *value).collect();
        for (offset, value) in index.between(read.partition, read.from, read.next) {
            let Some((writer, fate)) = index.writer(value) else { continue };
            // Uncommitted readers are shown what is there, whatever becomes of it.
            let is_due = fate == Fate::Committed || !polled.poll.committed;
            if shown.contains(&value) || !is_due || !told.insert(value) {
                continue;
            }
            let later = last_shown.get(&value).is_some_and(|at| *at > polled.poll.at);
            let kind = if later { Kind::IntPollSkip } else { Kind::LostWrite };
            let evidence = format!(
                "{} at {:?} offset {offset} was not shown to a poll of {}..{}",
                name(value),
                read.partition,
                read.from,
                read.next
            );
            found.push(Anomaly { kind, evidence, operations: vec![writer, polled.operation] });
        }
    }
}

/// A log that ends before what was acknowledged or shown in it.
fn beyond_the_end(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    // Since when each offset is known, by the first that proves it.
    let mut known: BTreeMap<Partition, BTreeMap<Offset, (u64, usize)>> = BTreeMap::new();
    let mut note = |partition, offset, at: u64, operation| {
        let since = known.entry(partition).or_default().entry(offset).or_insert((at, operation));
        if at < since.0 {
            *since = (at, operation);
        }
    };
    for writer in index.writers.values() {
        let completed = index.operations[writer.operation].completed;
        if let Some(offset) = writer.send.offset.filter(|_| completed != NEVER) {
            note(writer.send.partition, offset, completed, writer.operation);
        }
    }
    for (polled, read) in index.reads() {
        for (offset, _) in &read.values {
            note(read.partition, *offset, polled.poll.at, polled.operation);
        }
    }
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::End(partition, end) = operation.action else { continue };
        let Some(log) = known.get(&partition) else { continue };
        let cut = log.range(end..).find(|(_, (since, _))| *since < operation.invoked);
        if let Some((offset, (_, witness))) = cut {
            let evidence = format!("{partition:?} ends at {end}, and had a record at offset {offset}");
            found.push(Anomaly { kind: Kind::LostWrite, evidence, operations: vec![*witness, place] });
        }
    }
}

/// What was acknowledged, and no reader of committed data was ever shown.
fn never_shown(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let committed = index.reads().filter(|(polled, _)| polled.poll.committed);
    let shown: BTreeSet<Value> = committed.flat_map(|(_, read)| &read.values).map(|(_, v)| *v).collect();
    for (value, writer) in &index.writers {
        if index.fate(writer.operation) == Fate::Committed && !shown.contains(value) {
            let evidence = format!("{} was committed to {:?} and never shown", name(*value), writer.send);
            found.push(Anomaly { kind: Kind::LostWrite, evidence, operations: vec![writer.operation] });
        }
    }
}
