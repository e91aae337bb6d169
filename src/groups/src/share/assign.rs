//! The assignor of share groups, Kafka's `simple`: every partition has as many members as every other, every member
//! as many partitions, and what a member has it keeps as far as that allows.
//!
//! Where all members subscribe to the same topics this goes for all partitions together, else for each topic.

use crate::assignors::Target;
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// A member to assign to.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    /// The topics that it subscribes to and that exist.
    pub topics: BTreeSet<TopicId>,
    /// Its last target.
    pub current: &'a Target,
}

type One = (TopicId, i32);

/// The targets of members, in their order. `counts` has the partitions of every topic that any subscribes to.
pub(crate) fn assign(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<Target> {
    let mut targets = vec![Target::new(); members.len()];
    let is_even = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    let partitions = |topic: &TopicId| {
        let count = counts.get(topic).copied().unwrap_or(0);
        let topic = *topic;
        (0..count).map(move |partition| (topic, partition))
    };
    if is_even {
        let everybody: Vec<usize> = (0..members.len()).collect();
        let all: Vec<One> =
            members.iter().take(1).flat_map(|one| one.topics.iter().flat_map(partitions)).collect();
        share_out(members, &everybody, &all, &mut targets);
    } else {
        let topics: BTreeSet<TopicId> = members.iter().flat_map(|one| one.topics.iter().copied()).collect();
        for topic in &topics {
            let readers = (0..members.len()).filter(|index| members[*index].topics.contains(topic));
            let readers: Vec<usize> = readers.collect();
            let all: Vec<One> = partitions(topic).collect();
            share_out(members, &readers, &all, &mut targets);
        }
    }
    for partitions in targets.iter_mut().flat_map(|target| target.values_mut()) {
        partitions.sort_unstable();
    }
    targets
}

/// How many partitions each of so many readers shall have.
fn shares(readers: usize, partitions: usize, sharing: usize) -> Vec<usize> {
    let up_to = |count: usize| (sharing * partitions * count).div_ceil(readers.max(1));
    (0..readers).map(|index| up_to(index + 1) - up_to(index)).collect()
}

/// Gives `all` partitions to `readers`, and adds what each has to its target.
fn share_out(members: &[Candidate<'_>], readers: &[usize], all: &[One], targets: &mut [Target]) {
    if readers.is_empty() || all.is_empty() {
        return;
    }
    let sharing = readers.len().div_ceil(all.len());
    let wanted = shares(readers.len(), all.len(), sharing);
    let there: BTreeSet<One> = all.iter().copied().collect();
    let mut held: Vec<BTreeSet<One>> = readers
        .iter()
        .map(|index| {
            let current = members[*index].current.iter();
            let current =
                current.flat_map(|(topic, partitions)| partitions.iter().map(move |one| (*topic, *one)));
            current.filter(|one| there.contains(one)).collect()
        })
        .collect();
    let mut holders: BTreeMap<One, BTreeSet<usize>> = all.iter().map(|one| (*one, BTreeSet::new())).collect();
    for (reader, partitions) in held.iter().enumerate() {
        for one in partitions {
            holders.entry(*one).or_default().insert(reader);
        }
    }
    revoke(&mut held, &mut holders, &wanted, sharing);
    for (one, readers) in &mut holders {
        while readers.len() < sharing {
            let free = (0..held.len()).filter(|reader| !readers.contains(reader));
            let most = free.max_by_key(|reader| {
                (wanted[*reader] as i64 - held[*reader].len() as i64, std::cmp::Reverse(*reader))
            });
            // Those who have enough are asked only for a partition that nobody has.
            let Some(reader) = most.filter(|one| readers.is_empty() || held[*one].len() < wanted[*one])
            else {
                break;
            };
            readers.insert(reader);
            held[reader].insert(*one);
        }
    }
    for (index, partitions) in readers.iter().zip(held) {
        for (topic, partition) in partitions {
            targets[*index].entry(topic).or_default().push(partition);
        }
    }
}

/// Takes away what is shared by too many, first from those who have too much, and then what is still too much.
fn revoke(
    held: &mut [BTreeSet<One>],
    holders: &mut BTreeMap<One, BTreeSet<usize>>,
    wanted: &[usize],
    sharing: usize,
) {
    for (one, readers) in holders.iter_mut() {
        while readers.len() > sharing {
            let most = readers.iter().copied().max_by_key(|reader| {
                (held[*reader].len() as i64 - wanted[*reader] as i64, std::cmp::Reverse(*reader))
            });
            let Some(reader) = most else { break };
            readers.remove(&reader);
            held[reader].remove(one);
        }
    }
    for (reader, partitions) in held.iter_mut().enumerate() {
        while partitions.len() > wanted[reader] {
            let Some(one) = partitions.pop_last() else { break };
            if let Some(readers) = holders.get_mut(&one) {
                readers.remove(&reader);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicId = TopicId([1; 16]);
    const B: TopicId = TopicId([2; 16]);

    fn step(topics: &[&[TopicId]], current: &[Target], counts: &[(TopicId, i32)]) -> Vec<Target> {
        let members: Vec<Candidate<'_>> = topics
            .iter()
            .zip(current)
            .map(|(topics, current)| Candidate { topics: topics.iter().copied().collect(), current })
            .collect();
        assign(&members, &counts.iter().copied().collect())
    }

    fn target(topics: &[(TopicId, &[i32])]) -> Target {
        topics.iter().map(|(topic, partitions)| (*topic, partitions.to_vec())).collect()
    }

    #[test]
    fn fewer_members_than_partitions_have_equal_parts() {
        let nothing = vec![Target::new(); 2];
        let targets = step(&[&[A], &[A]], &nothing, &[(A, 4)]);
        assert_eq!(targets.iter().map(|one| one[&A].len()).collect::<Vec<_>>(), [2, 2]);
        let mut all: Vec<i32> = targets.iter().flat_map(|one| one[&A].clone()).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        assert_eq!(step(&[&[A], &[A]], &targets, &[(A, 4)]), targets, "it stays");
    }

    #[test]
    fn more_members_than_partitions_share_them() {
        let nothing = vec![Target::new(); 3];
        let targets = step(&[&[A], &[A], &[A]], &nothing, &[(A, 2)]);
        let mut times = [0; 2];
        for target in &targets {
            assert!(!target.is_empty(), "everybody has something");
            target[&A].iter().for_each(|partition| times[*partition as usize] += 1);
        }
        assert!(times.iter().all(|times| (1..=2).contains(times)), "{times:?}");
    }

    #[test]
    fn one_that_joins_is_given_what_others_have_too_much() {
        let alone = target(&[(A, &[0, 1, 2, 3])]);
        let targets = step(&[&[A], &[A]], &[alone, Target::new()], &[(A, 4)]);
        assert_eq!(targets, [target(&[(A, &[0, 1])]), target(&[(A, &[2, 3])])]);
        let targets = step(&[&[A]], &targets[1..], &[(A, 4)]);
        assert_eq!(targets, [target(&[(A, &[0, 1, 2, 3])])]);
    }

    #[test]
    fn each_topic_is_shared_by_those_who_read_it() {
        let nothing = vec![Target::new(); 3];
        let targets = step(&[&[A], &[B], &[A, B]], &nothing, &[(A, 2), (B, 2)]);
        assert_eq!(targets[0], target(&[(A, &[0])]));
        assert_eq!(targets[1], target(&[(B, &[0])]));
        assert_eq!(targets[2], target(&[(A, &[1]), (B, &[1])]));
        let targets = step(&[&[], &[B], &[A, B]], &targets, &[(A, 2), (B, 2)]);
        assert_eq!(targets[0], Target::new(), "what it does not read any more goes");
        assert_eq!(targets[2], target(&[(A, &[0, 1]), (B, &[1])]));
    }
}
