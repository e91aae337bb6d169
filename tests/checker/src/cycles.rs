//! Which operation must come before which, and the cycles in that.
//!
//! - ww: one wrote the record right before the other's in a partition.
//! - wr: one was shown what the other wrote. Reads of committed data only: others promise nothing.
//! - rw: one read up to a record, and the other wrote the next.

use crate::anomaly::{Anomaly, Kind};
use crate::graph::{Edges, components, way};
use crate::history::{Offset, Partition};
use crate::index::{Fate, Index, polls};
use std::collections::{BTreeMap, BTreeSet};

fn add(edges: &mut Edges, from: usize, to: usize) {
    if from != to {
        edges.entry(from).or_default().insert(to);
    }
}

/// Committed writers of a partition by offset.
type Writers = BTreeMap<Partition, BTreeMap<Offset, usize>>;

fn writers(index: &Index<'_>) -> Writers {
    let mut writers = Writers::new();
    for partition in index.logs.keys() {
        let places = index.between(*partition, Offset::MIN, Offset::MAX);
        let committed = places.filter_map(|(offset, value)| {
            let (operation, fate) = index.writer(value)?;
            (fate == Fate::Committed).then_some((offset, operation))
        });
        writers.insert(*partition, committed.collect());
    }
    writers
}

fn write_write(writers: &Writers) -> Edges {
    let mut edges = Edges::new();
    for log in writers.values() {
        let by_offset: Vec<usize> = log.values().copied().collect();
        by_offset.windows(2).for_each(|two| add(&mut edges, two[0], two[1]));
    }
    edges
}

fn write_read(index: &Index<'_>) -> Edges {
    let mut edges = Edges::new();
    for (polled, read) in index.reads().filter(|(polled, _)| polled.poll.committed) {
        for (_, value) in &read.values {
            if let Some((writer, Fate::Committed)) = index.writer(*value) {
                add(&mut edges, writer, polled.operation);
            }
        }
    }
    edges
}

fn read_write(index: &Index<'_>, writers: &Writers) -> Edges {
    let mut edges = Edges::new();
    for (place, operation) in index.operations.iter().enumerate() {
        // Only the last state that it saw of a partition is followed by what it did not see.
        let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
        for read in polls(operation).iter().filter(|poll| poll.committed).flat_map(|poll| &poll.reads) {
            let end = ends.entry(read.partition).or_insert(read.next);
            *end = read.next.max(*end);
        }
        for (partition, end) in ends {
            let next = writers.get(&partition).and_then(|log| log.range(end..).next());
            if let Some((_, writer)) = next {
                add(&mut edges, place, *writer);
            }
        }
    }
    edges
}

fn joined(all: &[&Edges]) -> Edges {
    let mut joined = Edges::new();
    for (from, targets) in all.iter().flat_map(|edges| edges.iter()) {
        joined.entry(*from).or_default().extend(targets);
    }
    joined
}

/// One cycle in each part of the graph, through one of these edges.
fn cycles(index: &Index<'_>, kind: Kind, edges: &Edges, through: &Edges, found: &mut Vec<Anomaly>) {
    for part in components(edges) {
        let of = |from: &usize| through.get(from).into_iter().flatten().copied();
        let all = part.iter().flat_map(|from| of(from).map(move |to| (*from, to)));
        let mut inside = all.filter(|(_, to)| part.contains(to));
        let cycle = inside.find_map(|(from, to)| way(edges, &part, to, from));
        if let Some(cycle) = cycle {
            found.push(Anomaly { kind, evidence: told(index, &part, &cycle), operations: cycle });
        }
    }
}

fn told(index: &Index<'_>, part: &BTreeSet<usize>, cycle: &[usize]) -> String {
    let steps: Vec<String> = cycle
        .iter()
        .map(|place| format!("{place} of process {}", index.operations[*place].process))
        .collect();
    format!("{} before the first again, in a part of {} operations", steps.join(" before "), part.len())
}

/// Finds the cycles.
pub(crate) fn check(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let writers = writers(index);
    let (ww, wr, rw) = (write_write(&writers), write_read(index), read_write(index, &writers));
    cycles(index, Kind::G0, &ww, &ww, found);
    cycles(index, Kind::G1c, &wr, &wr, found);
    let both = joined(&[&ww, &wr]);
    // A cycle of one kind alone has been told.
    let mixed = |kind, edges: &Edges, through: &Edges, found: &mut Vec<Anomaly>| {
        let before = found.len();
        cycles(index, kind, edges, through, found);
        let told: BTreeSet<Vec<usize>> = found[..before].iter().map(|one| one.operations.clone()).collect();
        let new = found.split_off(before);
        found.extend(new.into_iter().filter(|one| !told.contains(&one.operations)));
    };
    mixed(Kind::G1cWithWrites, &both, &wr, found);
    mixed(Kind::G2, &joined(&[&both, &rw]), &rw, found);
}
