//! `uniform` for members that subscribe to different topics: as even as their subscriptions allow, within a bound
//! on the work.

use super::{Candidate, Target, add, sorted};
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};

/// How often all topics are balanced: each time may open up better places for others.
const MAX_ROUNDS: usize = 16;

/// Numbers stand for members.
struct Plan {
    /// How many partitions each member has.
    load: Vec<usize>,
    /// Who may have each topic's partitions, and who has them.
    topics: BTreeMap<TopicId, Shares>,
}

struct Shares {
    subscribers: Vec<usize>,
    owners: Vec<Option<usize>>,
}

/// See [`super::assign`].
pub(super) fn assign(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<Target> {
    let mut plan = Plan::new(members, counts);
    plan.keep(members);
    let order = plan.order();
    for topic in &order {
        plan.give_out(topic);
    }
    for _ in 0..MAX_ROUNDS {
        let moved: usize = order.iter().map(|topic| plan.balance(topic)).sum();
        if moved == 0 {
            break;
        }
    }
    let mut targets = vec![Target::new(); members.len()];
    for (topic, shares) in &plan.topics {
        for (partition, owner) in shares.owners.iter().enumerate() {
            if let Some(owner) = owner {
                add(&mut targets[*owner], *topic, partition as i32);
            }
        }
    }
    sorted(targets)
}

impl Plan {
    fn new(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Plan {
        let mut topics: BTreeMap<TopicId, Shares> = BTreeMap::new();
        for (member, candidate) in members.iter().enumerate() {
            for topic in candidate.topics {
                let count = counts.get(topic).copied().unwrap_or(0).max(0) as usize;
                let shares = topics.entry(*topic);
                let shares =
                    shares.or_insert_with(|| Shares { subscribers: Vec::new(), owners: vec![None; count] });
                shares.subscribers.push(member);
            }
        }
        Plan { load: vec![0; members.len()], topics }
    }

    /// Leaves members what they have and still subscribe to.
    fn keep(&mut self, members: &[Candidate<'_>]) {
        for (member, candidate) in members.iter().enumerate() {
            for (topic, partitions) in candidate.current {
                let Some(shares) = self.topics.get_mut(topic) else { continue };
                if candidate.topics.binary_search(topic).is_err() {
                    continue;
                }
                for partition in partitions {
                    let owner = usize::try_from(*partition).ok().and_then(|at| shares.owners.get_mut(at));
                    let Some(owner) = owner else { continue };
                    if owner.is_none() {
                        *owner = Some(member);
                        self.load[member] += 1;
                    }
                }
            }
        }
    }

    /// The topics, those first that weigh most on each subscriber.
    fn order(&self) -> Vec<TopicId> {
        let mut order: Vec<(&TopicId, &Shares)> = self.topics.iter().collect();
        order.sort_by(|(id, one), (other_id, other)| {
            // a/b > c/d compared as a*d > c*b.
            let weight = |a: &Shares, b: &Shares| a.owners.len() as u128 * b.subscribers.len() as u128;
            let heavier = weight(other, one).cmp(&weight(one, other));
            heavier.then(one.subscribers.len().cmp(&other.subscribers.len())).then(id.cmp(other_id))
        });
        order.into_iter().map(|(id, _)| *id).collect()
    }

    /// Gives each partition that nobody has to the subscriber with the least.
    fn give_out(&mut self, topic: &TopicId) {
        let Some(shares) = self.topics.get_mut(topic) else { return };
        let load = &mut self.load;
        let mut queue: BTreeSet<(usize, usize)> =
            shares.subscribers.iter().map(|member| (load[*member], *member)).collect();
        for owner in shares.owners.iter_mut().filter(|owner| owner.is_none()) {
            let Some((_, member)) = queue.pop_first() else { return };
            *owner = Some(member);
            load[member] += 1;
            queue.insert((load[member], member));
        }
    }

    /// Moves partitions from subscribers with the most to those with the least; tells how many.
    fn balance(&mut self, topic: &TopicId) -> usize {
        let Some(shares) = self.topics.get_mut(topic) else { return 0 };
        let load = &mut self.load;
        let mut held: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in shares.owners.iter().enumerate() {
            held.entry(owner.unwrap_or_default()).or_default().push(partition);
        }
        let mut least: BTreeSet<(usize, usize)> =
            shares.subscribers.iter().map(|member| (load[*member], *member)).collect();
        let mut most: BTreeSet<(usize, usize)> = held.keys().map(|member| (load[*member], *member)).collect();
        let mut moved = 0;
        while let (Some((high, from)), Some((low, to))) = (most.pop_last(), least.first().copied()) {
            if high <= low + 1 {
                break;
            }
            let Some(partition) = held.get_mut(&from).and_then(Vec::pop) else { continue };
            shares.owners[partition] = Some(to);
            least.remove(&(high, from));
            least.remove(&(low, to));
            load[from] -= 1;
            load[to] += 1;
            least.insert((high - 1, from));
            least.insert((low + 1, to));
            // The one that received may stand among the givers too.
            if most.remove(&(low, to)) {
                most.insert((low + 1, to));
            }
            most.insert((high - 1, from));
            moved += 1;
        }
        moved
    }
}
