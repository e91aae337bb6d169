//! What the sequence of one client's polls and sends tells.

use crate::anomaly::{Anomaly, Kind};
use crate::history::{Action, NEVER, Offset, Outcome, Partition, Read};
use crate::index::{Fate, Index, polls, sends};
use std::collections::BTreeMap;

/// Finds all of it.
pub(crate) fn check(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    within(index, found);
    polls_in_order(index, found);
    sends_in_order(index, found);
}

/// Offsets within one poll, and within one transaction.
fn within(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    for (polled, read) in index.reads() {
        let offsets: Vec<Offset> = read.values.iter().map(|(offset, _)| *offset).collect();
        let grows = offsets.windows(2).all(|two| two[0] < two[1]);
        let fits = offsets.iter().all(|offset| (read.from..read.next).contains(offset));
        if !grows || !fits || read.next < read.from {
            let evidence =
                format!("{:?}: a poll of {}..{} shows {offsets:?}", read.partition, read.from, read.next);
            let operations = vec![polled.operation];
            found.push(Anomaly { kind: Kind::IntNonmonotonicPoll, evidence, operations });
        }
    }
    for (place, operation) in index.operations.iter().enumerate() {
        let mut last: BTreeMap<Partition, Offset> = BTreeMap::new();
        for send in sends(operation) {
            let Some(offset) = send.offset else { continue };
            let before = last.insert(send.partition, offset);
            if let Some(before) = before.filter(|before| *before >= offset) {
                let evidence = format!("{:?}: {offset} came after {before}", send.partition);
                found.push(Anomaly { kind: Kind::IntNonmonotonicSend, evidence, operations: vec![place] });
            }
        }
    }
}

/// Where each process stands in each partition, and by which operation.
type Positions = BTreeMap<(u32, Partition), (Offset, usize)>;

fn polls_in_order(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let mut positions = Positions::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let process = operation.process;
        match &operation.action {
            Action::Assign => positions.retain(|(who, _), _| *who != process),
            Action::Own(own) => {
                positions.retain(|(who, what), _| *who != process || own.partitions.contains(what));
            }
            _ => {}
        }
        for read in polls(operation).into_iter().flat_map(|poll| &poll.reads) {
            let before = positions.insert((process, read.partition), (read.next, place));
            if let Some((position, earlier)) = before {
                found.extend(moved(index, read, position, vec![earlier, place]));
            }
        }
    }
}

/// A poll that does not begin where the one before it ended.
fn moved(index: &Index<'_>, read: &Read, position: Offset, operations: Vec<usize>) -> Option<Anomaly> {
    if read.from < position {
        let evidence = format!("{:?}: from {position} back to {}", read.partition, read.from);
        return Some(Anomaly { kind: Kind::NonmonotonicPoll, evidence, operations });
    }
    let committed = |value| index.writer(value).is_some_and(|(_, fate)| fate == Fate::Committed);
    let mut between = index.between(read.partition, position, read.from);
    let (offset, _) = between.find(|(_, value)| committed(*value))?;
    let evidence = format!("{:?}: from {position} on to {}, past offset {offset}", read.partition, read.from);
    Some(Anomaly { kind: Kind::PollSkip, evidence, operations })
}

fn sends_in_order(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    // The largest offset so far, when it was known, and by which operation.
    let mut last: BTreeMap<(u32, Partition), (Offset, u64, usize)> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        if operation.outcome != Outcome::Ok {
            continue;
        }
        let mut here: BTreeMap<Partition, (Offset, Offset)> = BTreeMap::new();
        for send in sends(operation) {
            let Some(offset) = send.offset else { continue };
            let range = here.entry(send.partition).or_insert((offset, offset));
            *range = (range.0.min(offset), range.1.max(offset));
        }
        for (partition, (least, most)) in here {
            let entry = last.entry((operation.process, partition)).or_insert((-1, NEVER, place));
            let (before, known, earlier) = *entry;
            if known <= operation.invoked && least <= before {
                let evidence = format!("{partition:?}: {least} came after {before}");
                let operations = vec![earlier, place];
                found.push(Anomaly { kind: Kind::NonmonotonicSend, evidence, operations });
            }
            if most > before {
                *entry = (most, operation.completed, place);
            }
        }
    }
}
