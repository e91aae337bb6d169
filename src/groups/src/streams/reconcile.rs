//! A member's next step from the tasks that it has to those that it shall have.
//!
//! First it gives back what is not in its target; when it has, it comes to the target's epoch and is given what is
//! free; what is not free yet it is given later. An active task is free when no other member has it as one; and no
//! process is given a task that another of its members still has, in whatever role: they share one disk.

use super::member::{MemberState, Progress};
use super::tasks::{Role, TaskSet};
use std::sync::Arc;

/// What the step depends on.
pub(crate) struct Step<'a, F> {
    pub target_epoch: i32,
    pub target: &'a TaskSet,
    /// What the member says it has; `None` if it does not say.
    pub owned: Option<&'a TaskSet>,
    /// Whether nobody else stands in the way of giving the member a task in a role.
    pub is_free: F,
}

impl<F: Fn(Role, &Arc<str>, i32) -> bool> Step<'_, F> {
    /// The member's progress after the step; `None` if nothing changes.
    pub fn next(&self, now: &Progress) -> Option<Progress> {
        let next = match now.state {
            MemberState::Stable if now.epoch == self.target_epoch => return None,
            MemberState::UnrevokedTasks if self.still_has(&now.revoking) => return None,
            MemberState::UnrevokedTasks => self.advance(now, now.epoch.saturating_add(1)),
            MemberState::Stable | MemberState::UnreleasedTasks => self.advance(now, now.epoch),
        };
        (next != *now).then_some(next)
    }

    /// Whether the member still has any of these tasks, or does not say.
    fn still_has(&self, tasks: &TaskSet) -> bool {
        self.owned.is_none_or(|owned| owned.has_any(tasks))
    }

    fn advance(&self, now: &Progress, epoch_while_revoking: i32) -> Progress {
        let (mut kept, mut revoked) = (TaskSet::default(), TaskSet::default());
        for (role, subtopology, partition, epoch) in now.assigned.each() {
            let stays = self.target.has(role, subtopology, partition);
            let place = if stays { &mut kept } else { &mut revoked };
            place.add(role, subtopology, partition, epoch);
        }
        if !revoked.is_empty() && self.still_has(&revoked) {
            return moved(now, epoch_while_revoking, MemberState::UnrevokedTasks, kept, revoked);
        }
        let mut waits = false;
        for (role, subtopology, partition, _) in self.target.each() {
            if kept.has(role, subtopology, partition) {
                continue;
            }
            if (self.is_free)(role, subtopology, partition) {
                kept.add(role, subtopology, partition, self.target_epoch);
            } else {
                waits = true;
            }
        }
        let state = if waits { MemberState::UnreleasedTasks } else { MemberState::Stable };
        moved(now, self.target_epoch, state, kept, TaskSet::default())
    }
}

fn moved(now: &Progress, epoch: i32, state: MemberState, assigned: TaskSet, revoking: TaskSet) -> Progress {
    let previous_epoch = if epoch == now.epoch { now.previous_epoch } else { now.epoch };
    Progress { epoch, previous_epoch, state, assigned, revoking }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemberState::{Stable, UnreleasedTasks as Waits, UnrevokedTasks as Revokes};

    /// Active tasks, then standby tasks, of subtopology `0`.
    type Lists = (&'static [i32], &'static [i32]);

    fn set((active, standby): Lists) -> TaskSet {
        let subtopology = Arc::from("0");
        let mut set = TaskSet::default();
        active.iter().for_each(|one| set.add(Role::Active, &subtopology, *one, 1));
        standby.iter().for_each(|one| set.add(Role::Standby, &subtopology, *one, 0));
        set
    }

    fn at(epoch: i32, state: MemberState, assigned: Lists, revoking: Lists) -> Progress {
        let (assigned, revoking) = (set(assigned), set(revoking));
        Progress { epoch, previous_epoch: epoch - 1, state, assigned, revoking }
    }

    /// Epoch, state, assigned, to be revoked.
    type Expected = (i32, MemberState, Lists, Lists);

    /// Takes a step to epoch 3; `expected` is `None` if nothing changes.
    fn check(
        name: &str,
        now: &Progress,
        target: Lists,
        owned: Option<Lists>,
        taken: &[i32],
        expected: Option<Expected>,
    ) {
        let (target, owned) = (set(target), owned.map(set));
        let is_free = |_: Role, _: &Arc<str>, partition: i32| !taken.contains(&partition);
        let step = Step { target_epoch: 3, target: &target, owned: owned.as_ref(), is_free };
        let told = step.next(now).map(|next| {
            (next.epoch, next.state, next.assigned.without_epochs(), next.revoking.without_epochs())
        });
        let expected = expected.map(|(epoch, state, assigned, revoking)| {
            (epoch, state, set(assigned).without_epochs(), set(revoking).without_epochs())
        });
        assert_eq!(told, expected, "{name}");
    }

    const NONE: Lists = (&[], &[]);

    #[test]
    fn a_member_goes_to_its_target_step_by_step() {
        let stable = |assigned| at(2, Stable, assigned, NONE);
        let there = at(3, Stable, (&[1], &[]), NONE);
        check("is there", &there, (&[1], &[]), None, &[], None);
        let expected = (3, Waits, (&[1, 2][..], &[4][..]), NONE);
        let now = stable((&[1], &[]));
        check(
            "is given what is free, waits for what is not",
            &now,
            (&[1, 2, 3], &[4]),
            None,
            &[3],
            Some(expected),
        );
        let now = stable((&[1], &[2]));
        let expected = (2, Revokes, (&[1][..], &[][..]), (&[][..], &[2][..]));
        check("has to give back first, a standby too", &now, (&[1], &[3]), None, &[], Some(expected));
        let expected = (3, Stable, (&[1][..], &[3][..]), NONE);
        check("has nothing of it any more", &now, (&[1], &[3]), Some((&[1], &[])), &[], Some(expected));
        let now = stable((&[], &[2]));
        let expected = (2, Revokes, NONE, (&[][..], &[2][..]));
        let owned: Lists = (&[], &[2]);
        check(
            "a standby is given back before it is active",
            &now,
            (&[2], &[]),
            Some(owned),
            &[],
            Some(expected),
        );
    }

    #[test]
    fn a_member_that_revokes_or_waits_goes_on_when_it_can() {
        let now = at(2, Revokes, (&[1], &[]), (&[2], &[]));
        check("does not say", &now, (&[1, 3], &[]), None, &[], None);
        check("still has it", &now, (&[1, 3], &[]), Some((&[1, 2], &[])), &[], None);
        let expected = (3, Stable, (&[1, 3][..], &[][..]), NONE);
        check("has given back", &now, (&[1, 3], &[]), Some((&[1], &[])), &[], Some(expected));
        let expected = (3, Revokes, NONE, (&[1][..], &[][..]));
        check("has given back, then more", &now, (&[3], &[]), Some((&[1], &[])), &[], Some(expected));
        let now = at(3, Waits, (&[1], &[]), NONE);
        check("waits on", &now, (&[1, 2], &[]), None, &[2], None);
        let expected = (3, Stable, (&[1, 2][..], &[][..]), NONE);
        check("is given what became free", &now, (&[1, 2], &[]), None, &[], Some(expected));
    }

    #[test]
    fn an_active_task_keeps_the_epoch_at_which_it_was_given() {
        let target = set((&[1, 2], &[]));
        let is_free = |_: Role, _: &Arc<str>, _: i32| true;
        let step = Step { target_epoch: 3, target: &target, owned: None, is_free };
        let next = step.next(&at(2, Stable, (&[1], &[]), NONE)).expect("a step");
        assert_eq!(
            (next.given_at("0", 1), next.given_at("0", 2), next.given_at("0", 3)),
            (Some(1), Some(3), None)
        );
        assert_eq!((next.epoch, next.previous_epoch), (3, 2));
    }
}
