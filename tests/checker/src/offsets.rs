//! Committed offsets: each one that is asked for must be one that was committed, and not an old one.

use crate::anomaly::{Anomaly, Kind};
use crate::groups::commits;
use crate::history::{Action, Committed, NEVER, Offset, Operation, Outcome, Partition, Time};
use crate::index::{Fate, Index, ending, is_transaction};
use std::collections::BTreeMap;

/// An offset that was to be committed.
struct Write {
    offset: Offset,
    operation: usize,
    fate: Fate,
    /// It cannot count before this, when its commit was asked for ([`NEVER`]: it never was),
    earliest: Time,
    /// was begun then,
    begun: Time,
    /// and counts for certain from then on, if it was not written over.
    certain: Time,
}

type Writes = BTreeMap<(u32, Partition), Vec<Write>>;

fn writes(index: &Index<'_>) -> Writes {
    let mut writes = Writes::new();
    for (place, commit) in commits(index) {
        let operation = &index.operations[place];
        let in_transaction = is_transaction(operation);
        let ending = if in_transaction { ending(operation).unwrap_or(NEVER) } else { commit.asked };
        let fate = index.fate(place);
        // Of a transaction that was committed, only what was accepted is a part for certain.
        let is_certain = operation.outcome == Outcome::Ok && commit.accepted != NEVER;
        let certain = if is_certain { operation.completed } else { NEVER };
        for (partition, offset) in &commit.offsets {
            writes.entry((commit.group, *partition)).or_default().push(Write {
                offset: *offset,
                operation: place,
                fate,
                earliest: ending,
                begun: commit.asked,
                certain,
            });
        }
    }
    writes
}

/// Compares every offset that was asked for with those that were committed.
pub(crate) fn check(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let writes = writes(index);
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Committed(asked) = operation.action else { continue };
        if operation.outcome != Outcome::Ok {
            continue;
        }
        let all = writes.get(&(asked.group, asked.partition)).map_or(&[][..], Vec::as_slice);
        if let Some((kind, why, witness)) = judged(all, operation, &asked) {
            let evidence =
                format!("group {}: {:?} is at {:?}: {why}", asked.group, asked.partition, asked.offset);
            let operations = witness.into_iter().chain([place]).collect();
            found.push(Anomaly { kind, evidence, operations });
        }
    }
}

type Judgement = (Kind, &'static str, Option<usize>);

fn judged(all: &[Write], read: &Operation, asked: &Committed) -> Option<Judgement> {
    // What counted for certain before it was asked for, and when that was begun: nothing older may be told.
    let certain = all.iter().filter(|one| asked.stable && one.certain < read.invoked);
    let last = certain.max_by_key(|one| one.begun);
    let Some(offset) = asked.offset else {
        return last.map(|one| (Kind::CommittedOffsetLost, "an offset was committed", Some(one.operation)));
    };
    let same = || all.iter().filter(move |one| one.offset == offset);
    let possible = |one: &&Write| one.fate != Fate::Aborted && one.earliest <= read.completed;
    // A commit that was over before the last certain one began is written over.
    let is_current = |one: &&Write| last.is_none_or(|last| one.certain >= last.begun);
    if same().filter(possible).any(|one| is_current(&one)) {
        return None;
    }
    if let Some(old) = same().find(possible) {
        return Some((Kind::CommittedOffsetLost, "a later one was committed", Some(old.operation)));
    }
    match same().next() {
        Some(one) if one.fate == Fate::Aborted => {
            Some((Kind::AbortedOffset, "its transaction was aborted", Some(one.operation)))
        }
        Some(one) if one.earliest > read.completed => {
            Some((Kind::PrecommittedOffset, "its commit was not asked for yet", Some(one.operation)))
        }
        _ => Some((Kind::CommittedOffsetLost, "nobody committed that", last.map(|one| one.operation))),
    }
}
