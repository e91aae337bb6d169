//! `uniform` for members that all subscribe to the same topics: each has the same number of partitions, or one more.

use super::{Candidate, Target, add, sorted};
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// See [`super::assign`].
pub(super) fn assign(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<Target> {
    let Some(first) = members.first() else { return Vec::new() };
    let count = |topic: &TopicId| counts.get(topic).copied().unwrap_or(0).max(0);
    let total: usize = first.topics.iter().map(|topic| count(topic) as usize).sum();
    let quota = total / members.len();
    let mut extras = total % members.len();
    let mut free: BTreeSet<(TopicId, i32)> = first
        .topics
        .iter()
        .flat_map(|topic| (0..count(topic)).map(move |partition| (*topic, partition)))
        .collect();
    let mut targets = Vec::with_capacity(members.len());
    let mut sizes = Vec::with_capacity(members.len());
    for member in members {
        let (mut target, mut size) = (Target::new(), 0);
        let mine = member
            .current
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |one| (*topic, *one)));
        for (topic, partition) in mine {
            if size > quota || (size == quota && extras == 0) || !free.remove(&(topic, partition)) {
                continue;
            }
            // One more than the others, as long as there are partitions over.
            extras -= usize::from(size == quota);
            size += 1;
            add(&mut target, topic, partition);
        }
        targets.push(target);
        sizes.push(size);
    }
    let mut free = free.into_iter();
    for (target, size) in targets.iter_mut().zip(&mut sizes) {
        for (topic, partition) in free.by_ref().take(quota.saturating_sub(*size)) {
            add(target, topic, partition);
            *size += 1;
        }
    }
    let not_full = targets.iter_mut().zip(sizes).filter(|(_, size)| *size == quota);
    for ((target, _), (topic, partition)) in not_full.zip(free) {
        add(target, topic, partition);
    }
    sorted(targets)
}
