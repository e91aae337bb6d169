//! Assignors by example, and by what must hold of any assignment.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

fn target(parts: &[(u8, &[i32])]) -> Target {
    parts.iter().map(|(id, partitions)| (topic(*id), partitions.to_vec())).collect()
}

fn sizes(targets: &[Target]) -> Vec<usize> {
    targets.iter().map(|target| target.values().map(Vec::len).sum()).collect()
}

/// Assigns to members with these topics and targets.
fn assigned(
    assignor: Assignor,
    topics: &[Vec<TopicId>],
    current: &[Target],
    counts: &BTreeMap<TopicId, i32>,
) -> Vec<Target> {
    let nothing = Target::new();
    let members: Vec<Candidate<'_>> = (0..topics.len())
        .map(|at| Candidate {
            instance: None,
            topics: &topics[at],
            current: current.get(at).unwrap_or(&nothing),
        })
        .collect();
    assign(assignor, &members, counts)
}

#[test]
fn range_is_cut_as_kafkas_tests_have_it() {
    let counts = BTreeMap::from([(topic(1), 3), (topic(2), 3)]);
    let both = vec![topic(1), topic(2)];
    let targets = assigned(Assignor::Range, &[both.clone(), both.clone()], &[], &counts);
    assert_eq!(targets, [target(&[(1, &[0, 1]), (2, &[0, 1])]), target(&[(1, &[2]), (2, &[2])])]);
    let targets = assigned(Assignor::Range, &[both, vec![topic(1)]], &[], &counts);
    assert_eq!(targets, [target(&[(1, &[0, 1]), (2, &[0, 1, 2])]), target(&[(1, &[2])])]);
}

#[test]
fn range_has_static_members_first() {
    let (counts, topics, current) = (BTreeMap::from([(topic(1), 3)]), [topic(1)], Target::new());
    let member = |instance| Candidate { instance, topics: &topics, current: &current };
    let members = [member(None), member(Some("z")), member(Some("a"))];
    let targets = assign(Assignor::Range, &members, &counts);
    assert_eq!(targets, [target(&[(1, &[2])]), target(&[(1, &[1])]), target(&[(1, &[0])])]);
}

#[test]
fn uniform_moves_no_more_than_it_must() {
    let counts = BTreeMap::from([(topic(1), 5)]);
    let one = vec![topic(1)];
    let current = [target(&[(1, &[0, 1, 2, 3, 4])])];
    let targets = assigned(Assignor::Uniform, &[one.clone(), one.clone()], &current, &counts);
    assert_eq!(targets, [target(&[(1, &[0, 1, 2])]), target(&[(1, &[3, 4])])]);
    // The second has the partition that is over already, and keeps it.
    let current = [target(&[(1, &[0, 1])]), target(&[(1, &[2, 3, 4])])];
    let targets = assigned(Assignor::Uniform, &[one.clone(), one], &current, &counts);
    assert_eq!(targets, current);
}

#[test]
fn mixed_subscriptions_are_balanced_as_far_as_they_go() {
    let counts = BTreeMap::from([(topic(1), 4), (topic(2), 4)]);
    let topics = [vec![topic(1)], vec![topic(1), topic(2)], vec![topic(2)]];
    let targets = assigned(Assignor::Uniform, &topics, &[], &counts);
    assert_eq!(sizes(&targets).into_iter().max(), Some(3));
    // One has all that two could have: it gives.
    let current = [Target::new(), target(&[(1, &[0, 1, 2, 3])]), target(&[(2, &[0, 1, 2, 3])])];
    let targets = assigned(Assignor::Uniform, &topics, &current, &counts);
    assert!(sizes(&targets).into_iter().all(|size| (2..=3).contains(&size)), "{targets:?}");
}

proptest! {
    #[test]
    fn every_partition_goes_to_one_subscriber(
        subscriptions in prop::collection::vec(prop::collection::btree_set(0u8..4, 0..4), 1..12),
        counts in prop::collection::vec(0i32..9, 4),
        seeds in prop::collection::vec((0usize..12, 0u8..5, 0i32..12), 0..40),
        same in any::<bool>(),
        range in any::<bool>(),
    ) {
        let counts: BTreeMap<TopicId, i32> = counts.iter().enumerate().map(|(at, n)| (topic(at as u8), *n)).collect();
        let mut topics: Vec<Vec<TopicId>> =
            subscriptions.iter().map(|set| set.iter().map(|one| topic(*one)).collect()).collect();
        if same {
            let first = topics[0].clone();
            topics.fill(first);
        }
        // What they had is whatever: partitions that are gone, or had by two.
        let mut current = vec![Target::new(); topics.len()];
        for (member, id, partition) in seeds {
            let count = current.len();
            current[member % count].entry(topic(id)).or_default().push(partition);
        }
        let assignor = if range { Assignor::Range } else { Assignor::Uniform };
        let targets = assigned(assignor, &topics, &current, &counts);
        prop_assert_eq!(targets.len(), topics.len());
        let mut seen = BTreeSet::new();
        for (member, target) in targets.iter().enumerate() {
            for (id, partitions) in target {
                prop_assert!(!partitions.is_empty() && topics[member].contains(id));
                prop_assert!(partitions.windows(2).all(|pair| pair[0] < pair[1]));
                for partition in partitions {
                    prop_assert!((0..counts[id]).contains(partition));
                    prop_assert!(seen.insert((*id, *partition)), "{:?} twice", (id, partition));
                }
            }
        }
        let subscribed: BTreeSet<TopicId> = topics.iter().flatten().copied().collect();
        let all: i32 = subscribed.iter().map(|id| counts[id]).sum();
        prop_assert_eq!(seen.len(), all as usize);
        let sizes = sizes(&targets);
        if same && !range {
            let spread = sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0);
            prop_assert!(spread <= 1, "{:?}", sizes);
        }
        // The same again changes nothing.
        prop_assert_eq!(assigned(assignor, &topics, &targets, &counts), targets);
    }
}
