//! Who has which partition, and from whom offsets are taken.

use crate::anomaly::{Anomaly, Kind};
use crate::history::{Action, Commit, NEVER, Offset, Outcome, Own, Partition, Step, Time};
use crate::index::{Fate, Index};
use std::collections::BTreeMap;

/// A partition of a group.
type Share = (u32, Partition);

/// A time during which a member had a partition for certain: from when it was told so to when it asked and was told so
/// again. What lies between cannot have taken it away.
struct Reign {
    member: u32,
    from: Time,
    to: Time,
    operation: usize,
}

/// A moment, somewhere within these two, when the coordinator took a partition for a member's.
struct Claim {
    member: u32,
    asked: Time,
    told: Time,
    operation: usize,
}

/// Finds all that is wrong with them.
pub(crate) fn check(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    one_generation(index, found);
    let reigns = reigns(index);
    for (share, claims) in claims(index) {
        for claim in claims {
            if let Some(reign) = contradicted(&reigns, share, &claim) {
                let evidence = format!(
                    "{:?} of group {} was member {}'s while it was member {}'s",
                    share.1, share.0, claim.member, reign.member
                );
                let operations = vec![reign.operation, claim.operation];
                found.push(Anomaly { kind: Kind::TwoOwners, evidence, operations });
                break;
            }
        }
    }
    stale_commits(index, &reigns, found);
    consumed_twice(index, found);
}

/// Within one generation every partition has one owner; a static member in all its incarnations is one.
fn one_generation(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let mut owners: BTreeMap<(u32, i32, Partition), (&Own, usize)> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Own(own) = &operation.action else { continue };
        let Some(generation) = own.generation else { continue };
        for partition in &own.partitions {
            let key = (own.group, generation, *partition);
            let (owner, first) = *owners.entry(key).or_insert((own, place));
            let is_same =
                owner.member == own.member || owner.instance.is_some() && owner.instance == own.instance;
            if !is_same {
                let evidence = format!(
                    "{partition:?} of group {} has in generation {generation} the members {} and {}",
                    own.group, owner.member, own.member
                );
                found.push(Anomaly { kind: Kind::TwoOwners, evidence, operations: vec![first, place] });
            }
        }
    }
}

fn claims(index: &Index<'_>) -> BTreeMap<Share, Vec<Claim>> {
    let mut claims: BTreeMap<Share, Vec<Claim>> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Own(own) = &operation.action else { continue };
        if operation.outcome != Outcome::Ok {
            continue;
        }
        for partition in &own.partitions {
            claims.entry((own.group, *partition)).or_default().push(Claim {
                member: own.member,
                asked: operation.invoked,
                told: operation.completed,
                operation: place,
            });
        }
    }
    claims
}

/// By partition; each member's are as long as it kept the partition without a break.
fn reigns(index: &Index<'_>) -> BTreeMap<Share, Vec<Reign>> {
    let mut all: BTreeMap<Share, Vec<Reign>> = BTreeMap::new();
    // The reigns that go on, by member.
    let mut open: BTreeMap<(u32, u32), BTreeMap<Partition, usize>> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Own(own) = &operation.action else { continue };
        let mine = open.entry((own.group, own.member)).or_default();
        for partition in own.held.iter().filter(|_| operation.outcome == Outcome::Ok) {
            let reigns = all.entry((own.group, *partition)).or_default();
            if let Some(at) = mine.get(partition) {
                reigns[*at].to = operation.invoked;
            }
        }
        mine.retain(|partition, _| own.partitions.contains(partition));
        if operation.outcome != Outcome::Ok {
            continue;
        }
        for partition in &own.partitions {
            let reigns = all.entry((own.group, *partition)).or_default();
            match mine.get(partition) {
                Some(at) => reigns[*at].to = operation.invoked,
                None => {
                    mine.insert(*partition, reigns.len());
                    let (from, to) = (operation.completed, operation.completed);
                    reigns.push(Reign { member: own.member, from, to, operation: place });
                }
            }
        }
    }
    all
}

fn contradicted<'r>(
    reigns: &'r BTreeMap<Share, Vec<Reign>>,
    share: Share,
    claim: &Claim,
) -> Option<&'r Reign> {
    let mut others = reigns.get(&share)?.iter().filter(|reign| reign.member != claim.member);
    others.find(|reign| reign.from < claim.asked && claim.told < reign.to)
}

/// Every commit of an index, with its operation.
pub(crate) fn commits<'h>(index: &Index<'h>) -> Vec<(usize, &'h Commit)> {
    let mut all = Vec::new();
    for (place, operation) in index.operations.iter().enumerate() {
        match &operation.action {
            Action::Commit(commit) => all.push((place, commit)),
            Action::Transaction(transaction) => {
                let commits = transaction.steps.iter().filter_map(|step| match step {
                    Step::Commit(commit) => Some((place, commit)),
                    _ => None,
                });
                all.extend(commits);
            }
            _ => {}
        }
    }
    all
}

fn stale_commits(index: &Index<'_>, reigns: &BTreeMap<Share, Vec<Reign>>, found: &mut Vec<Anomaly>) {
    // When each generation was first told to a member.
    let mut begun: BTreeMap<u32, BTreeMap<i32, (Time, usize)>> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Own(own) = &operation.action else { continue };
        if let Some(generation) = own.generation {
            let since = begun.entry(own.group).or_default().entry(generation);
            let since = since.or_insert((operation.completed, place));
            *since = (*since).min((operation.completed, place));
        }
    }
    for (place, commit) in commits(index) {
        let Some(member) = commit.member.filter(|_| commit.accepted != NEVER) else { continue };
        let (asked, told) = (commit.asked, commit.accepted);
        let generations = commit.generation.and_then(|own| Some((own, begun.get(&commit.group)?)));
        let later =
            generations.and_then(|(own, all)| all.range(own + 1..).find(|(_, (since, _))| *since < asked));
        if let Some((generation, (_, witness))) = later {
            let evidence = format!(
                "group {} took {:?} from member {member}, and was in generation {generation}",
                commit.group, commit
            );
            found.push(Anomaly { kind: Kind::StaleCommit, evidence, operations: vec![*witness, place] });
        }
        let claim = Claim { member, asked, told, operation: place };
        for (partition, offset) in &commit.offsets {
            if let Some(reign) = contradicted(reigns, (commit.group, *partition), &claim) {
                let evidence = format!(
                    "group {} took offset {offset} of {partition:?} from member {member} while it was {}'s",
                    commit.group, reign.member
                );
                let operations = vec![reign.operation, place];
                found.push(Anomaly { kind: Kind::StaleCommit, evidence, operations });
            }
        }
    }
}

/// What a committed transaction polled and committed for a group, no other one of the group may have.
fn consumed_twice(index: &Index<'_>, found: &mut Vec<Anomaly>) {
    let mut consumed: BTreeMap<(u32, Partition, Offset), usize> = BTreeMap::new();
    for (place, operation) in index.operations.iter().enumerate() {
        let Action::Transaction(transaction) = &operation.action else { continue };
        if index.fate(place) != Fate::Committed {
            continue;
        }
        let group = transaction.steps.iter().find_map(|step| match step {
            Step::Commit(commit) => Some(commit.group),
            _ => None,
        });
        let Some(group) = group else { continue };
        let polls = transaction.steps.iter().filter_map(|step| match step {
            Step::Poll(poll) => Some(poll),
            _ => None,
        });
        for read in polls.flat_map(|poll| &poll.reads) {
            for (offset, _) in &read.values {
                let first = *consumed.entry((group, read.partition, *offset)).or_insert(place);
                if first != place {
                    let evidence = format!("group {group}: {:?} offset {offset}", read.partition);
                    let operations = vec![first, place];
                    found.push(Anomaly { kind: Kind::ConsumedTwice, evidence, operations });
                    break;
                }
            }
        }
    }
}
