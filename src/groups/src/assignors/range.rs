//! `range`: each topic cut into as many ranges as it has subscribers, in one order of members, so that who has a
//! partition of one topic has the same of others with as many partitions.

use super::{Candidate, Target};
use model::TopicId;
use std::collections::BTreeMap;

/// How a topic is being cut.
struct Cut {
    subscribers: i32,
    next: i32,
    given: i32,
}

/// See [`super::assign`].
pub(super) fn assign(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<Target> {
    let mut cuts: BTreeMap<TopicId, Cut> = BTreeMap::new();
    for topic in members.iter().flat_map(|member| member.topics) {
        cuts.entry(*topic).or_insert(Cut { subscribers: 0, next: 0, given: 0 }).subscribers += 1;
    }
    // Static members first, by their instance ids, which stay; then the others, by their ids.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| (members[*at].instance.is_none(), members[*at].instance, *at));
    let mut targets = vec![Target::new(); members.len()];
    for at in order {
        for topic in members[at].topics {
            let (Some(cut), Some(count)) = (cuts.get_mut(topic), counts.get(topic)) else { continue };
            let extra = i32::from(cut.given < count % cut.subscribers);
            let end = (cut.next + count / cut.subscribers + extra).min(*count);
            if cut.next < end {
                targets[at].insert(*topic, (cut.next..end).collect());
            }
            cut.next = end;
            cut.given += 1;
        }
    }
    targets
}
