//! A member's next step from what it has to what it shall have.
//!
//! First it gives back what is not in its target; when it has, it comes to the target's epoch and is given what is
//! free; what is not free yet it is given later. Nothing is given that anybody still has.

use super::member::{MemberState, Owned, Progress};
use crate::assignors::Target;
use crate::wire::topic_id;
use kafka_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use model::TopicId;

/// What the step depends on.
pub(crate) struct Step<'a, F> {
    pub target_epoch: i32,
    pub target: &'a Target,
    /// What the member says it has; `None` if it does not say.
    pub owned: Option<&'a [TopicPartitions]>,
    /// Whether nobody has a partition.
    pub is_free: F,
}

/// The result of sorting partitions by what is to happen to them.
struct Sorted {
    kept: Owned,
    revoked: Owned,
    given: Vec<(TopicId, i32)>,
    waits: bool,
}

impl<F: Fn(TopicId, i32) -> bool> Step<'_, F> {
    /// The member's progress after the step; `None` if nothing changes.
    pub fn next(&self, now: &Progress) -> Option<Progress> {
        let next = match now.state {
            MemberState::Stable if now.epoch == self.target_epoch => return None,
            MemberState::UnrevokedPartitions if self.still_has(&now.revoking) => return None,
            MemberState::UnrevokedPartitions => self.advance(now, now.epoch.saturating_add(1)),
            MemberState::Stable | MemberState::UnreleasedPartitions => self.advance(now, now.epoch),
        };
        (next != *now).then_some(next)
    }

    /// Whether the member still has any of these partitions, or does not say.
    fn still_has(&self, partitions: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            let of_topic = partitions.get(&topic_id(topic.topic_id));
            of_topic.is_some_and(|of_topic| topic.partitions.iter().any(|one| of_topic.contains_key(one)))
        })
    }

    fn advance(&self, now: &Progress, epoch_while_revoking: i32) -> Progress {
        let Sorted { mut kept, revoked, given, waits } = self.sort(now);
        if !revoked.is_empty() && self.still_has(&revoked) {
            let state = MemberState::UnrevokedPartitions;
            return moved(now, epoch_while_revoking, state, kept, revoked);
        }
        for (topic, partition) in given {
            kept.entry(topic).or_default().insert(partition, self.target_epoch);
        }
        let state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        moved(now, self.target_epoch, state, kept, Owned::new())
    }

    fn sort(&self, now: &Progress) -> Sorted {
        let mut sorted =
            Sorted { kept: Owned::new(), revoked: Owned::new(), given: Vec::new(), waits: false };
        for (topic, partitions) in &now.assigned {
            let target = self.target.get(topic).map_or(&[][..], Vec::as_slice);
            for (partition, epoch) in partitions {
                let stays = target.binary_search(partition).is_ok();
                let place = if stays { &mut sorted.kept } else { &mut sorted.revoked };
                place.entry(*topic).or_default().insert(*partition, *epoch);
            }
        }
        for (topic, partitions) in self.target {
            let assigned = now.assigned.get(topic);
            let has = |partition: &i32| assigned.is_some_and(|assigned| assigned.contains_key(partition));
            for partition in partitions.iter().filter(|partition| !has(partition)) {
                if (self.is_free)(*topic, *partition) {
                    sorted.given.push((*topic, *partition));
                } else {
                    sorted.waits = true;
                }
            }
        }
        sorted
    }
}

fn moved(now: &Progress, epoch: i32, state: MemberState, assigned: Owned, revoking: Owned) -> Progress {
    let previous_epoch = if epoch == now.epoch { now.previous_epoch } else { now.epoch };
    Progress { epoch, previous_epoch, state, assigned, revoking }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::Uuid;
    use std::collections::BTreeMap;

    const TOPIC: TopicId = TopicId([1; 16]);

    fn owned(partitions: &[i32], epoch: i32) -> Owned {
        let partitions: BTreeMap<i32, i32> = partitions.iter().map(|one| (*one, epoch)).collect();
        if partitions.is_empty() { Owned::new() } else { Owned::from([(TOPIC, partitions)]) }
    }

    fn at(epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) -> Progress {
        let previous_epoch = epoch - 1;
        Progress { epoch, previous_epoch, state, assigned: owned(assigned, 1), revoking: owned(revoking, 1) }
    }

    struct Case {
        name: &'static str,
        now: Progress,
        target: (i32, &'static [i32]),
        owned: Option<&'static [i32]>,
        taken: &'static [i32],
        /// Epoch, state, assigned, to be revoked; `None` if nothing changes.
        expected: Option<(i32, MemberState, &'static [i32], &'static [i32])>,
    }

    fn check(case: Case) {
        let Case { name, now, target, owned, taken, expected } = case;
        let owned: Option<Vec<TopicPartitions>> = owned.map(|partitions| {
            vec![TopicPartitions { topic_id: Uuid(TOPIC.0), partitions: partitions.to_vec() }]
        });
        let wanted = Target::from([(TOPIC, target.1.to_vec())]);
        let is_free = |_: TopicId, partition: i32| !taken.contains(&partition);
        let step = Step { target_epoch: target.0, target: &wanted, owned: owned.as_deref(), is_free };
        let next = step.next(&now).map(|next| {
            let names =
                |owned: &Owned| owned.values().flat_map(|one| one.keys().copied()).collect::<Vec<i32>>();
            (next.epoch, next.state, names(&next.assigned), names(&next.revoking))
        });
        let expected = expected
            .map(|(epoch, state, assigned, revoking)| (epoch, state, assigned.to_vec(), revoking.to_vec()));
        assert_eq!(next, expected, "{name}");
    }

    #[test]
    fn a_member_goes_to_its_target_step_by_step() {
        use MemberState::{Stable, UnreleasedPartitions as Waits, UnrevokedPartitions as Revokes};
        let none: &[i32] = &[];
        let cases = [
            ("is there", at(2, Stable, &[1], none), (2, &[1][..]), None, none, None),
            (
                "new epoch, nothing else",
                at(2, Stable, &[1], none),
                (3, &[1][..]),
                None,
                none,
                Some((3, Stable, &[1][..], none)),
            ),
            (
                "is given what is free",
                at(2, Stable, &[1], none),
                (3, &[1, 2][..]),
                None,
                none,
                Some((3, Stable, &[1, 2][..], none)),
            ),
            (
                "waits for what is not",
                at(2, Stable, &[1], none),
                (3, &[1, 2, 3][..]),
                None,
                &[3][..],
                Some((3, Waits, &[1, 2][..], none)),
            ),
            (
                "has to give back first",
                at(2, Stable, &[1, 2], none),
                (3, &[1, 3][..]),
                Some(&[1, 2][..]),
                none,
                Some((2, Revokes, &[1][..], &[2][..])),
            ),
            (
                "has nothing to give back",
                at(2, Stable, &[1, 2], none),
                (3, &[1, 3][..]),
                Some(&[1][..]),
                none,
                Some((3, Stable, &[1, 3][..], none)),
            ),
        ];
        for (name, now, target, owned, taken, expected) in cases {
            check(Case { name, now, target, owned, taken, expected });
        }
    }

    #[test]
    fn a_member_that_revokes_or_waits_goes_on_when_it_can() {
        use MemberState::{Stable, UnreleasedPartitions as Waits, UnrevokedPartitions as Revokes};
        let none: &[i32] = &[];
        let cases = [
            ("does not say", at(2, Revokes, &[1], &[2]), (3, &[1, 3][..]), None, none, None),
            ("still has it", at(2, Revokes, &[1], &[2]), (3, &[1, 3][..]), Some(&[1, 2][..]), none, None),
            (
                "has given back",
                at(2, Revokes, &[1], &[2]),
                (3, &[1, 3][..]),
                Some(&[1][..]),
                none,
                Some((3, Stable, &[1, 3][..], none)),
            ),
            (
                "has given back, then more",
                at(2, Revokes, &[1, 4], &[2]),
                (5, &[1][..]),
                Some(&[1, 4][..]),
                none,
                Some((3, Revokes, &[1][..], &[4][..])),
            ),
            ("waits on", at(3, Waits, &[1], none), (3, &[1, 2][..]), None, &[2][..], None),
            (
                "is given what became free",
                at(3, Waits, &[1], none),
                (3, &[1, 2][..]),
                None,
                none,
                Some((3, Stable, &[1, 2][..], none)),
            ),
        ];
        for (name, now, target, owned, taken, expected) in cases {
            check(Case { name, now, target, owned, taken, expected });
        }
    }

    #[test]
    fn a_partition_keeps_the_epoch_at_which_it_was_given() {
        let target = Target::from([(TOPIC, vec![1, 2])]);
        let step = Step { target_epoch: 3, target: &target, owned: None, is_free: |_: TopicId, _: i32| true };
        let next = step.next(&at(2, MemberState::Stable, &[1], &[])).expect("a step");
        assert_eq!(
            (next.given_at(TOPIC, 1), next.given_at(TOPIC, 2), next.given_at(TOPIC, 3)),
            (Some(1), Some(3), None)
        );
        assert_eq!((next.epoch, next.previous_epoch), (3, 2));
    }
}
