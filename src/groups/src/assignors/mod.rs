//! Server-side assignors (KIP-848): which member of a group shall have which partitions.
//!
//! - [`even`]: `uniform` where all members subscribe to the same topics.
//! - [`mixed`]: `uniform` where they do not.
//! - [`mod@range`], the assignor of that name.
//!
//! All are functions of their input alone and sticky where their name allows: what a member has and may keep, it
//! keeps. Racks are not looked at, as in Kafka 4.

mod even;
mod mixed;
mod range;
#[cfg(test)]
mod tests;

use crate::settings::Assignor;
use model::TopicId;
use std::collections::BTreeMap;

/// Partitions by topic, sorted; no topic without partitions.
pub(crate) type Target = BTreeMap<TopicId, Vec<i32>>;

/// A member to assign to.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    pub instance: Option<&'a str>,
    /// The topics that it subscribes to and that exist, sorted.
    pub topics: &'a [TopicId],
    /// Its last target.
    pub current: &'a Target,
}

/// The targets of `members`, in their order, which must be that of their ids. `counts` has the number of
/// partitions of every topic that any of them subscribes to.
pub(crate) fn assign(
    assignor: Assignor,
    members: &[Candidate<'_>],
    counts: &BTreeMap<TopicId, i32>,
) -> Vec<Target> {
    let is_even = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    match assignor {
        Assignor::Range => range::assign(members, counts),
        Assignor::Uniform if is_even => even::assign(members, counts),
        Assignor::Uniform => mixed::assign(members, counts),
    }
}

/// Adds a partition to a target, which is sorted later by [`sorted`].
fn add(target: &mut Target, topic: TopicId, partition: i32) {
    target.entry(topic).or_default().push(partition);
}

fn sorted(mut targets: Vec<Target>) -> Vec<Target> {
    for partitions in targets.iter_mut().flat_map(|target| target.values_mut()) {
        partitions.sort_unstable();
    }
    targets
}
