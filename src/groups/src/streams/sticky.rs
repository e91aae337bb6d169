//! The assignor of streams groups, `sticky`: which member shall have which task in which role.
//!
//! Active tasks first: a member keeps those that it has as long as it is below its share; then whoever has a copy of
//! the state takes over; the rest goes to whoever has the least. Standby tasks, for stateful subtopologies alone, go
//! to other processes than the active task: they come back to where the state was, and then to whoever has the
//! least. A process never has a task twice. Warm-up tasks are not made, as in Kafka 4.3.
//!
//! A function of its input alone. Active tasks that it gave, it gives to the same members again, as long as their
//! share allows.

use super::configure::Work;
use super::tasks::{Role, TaskSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A member to assign to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub process: &'a str,
    /// Its last target.
    pub current: &'a TaskSet,
}

/// A subtopology and a partition of it.
type Task<'a> = (&'a Arc<str>, i32);

/// A number of tasks that members share evenly: how many one may take before the others have theirs.
#[derive(Debug)]
struct Quota {
    tasks: usize,
    members: usize,
    each: usize,
}

impl Quota {
    fn new(tasks: usize, members: usize) -> Quota {
        Quota { tasks, members, each: tasks.div_ceil(members.max(1)) }
    }

    /// A member has this many now. Once it has its share, the others share what is left.
    fn note(&mut self, count: usize) {
        if count == self.each && self.members > 0 {
            *self = Quota::new(self.tasks.saturating_sub(count), self.members - 1);
        }
    }
}

/// Who had what before, by places in the list of members.
#[derive(Debug, Default)]
struct Before<'a> {
    active: BTreeMap<Task<'a>, usize>,
    /// With a copy of the state, in the order of members.
    copies: BTreeMap<Task<'a>, Vec<usize>>,
}

#[derive(Debug)]
struct Plan<'a> {
    before: Before<'a>,
    /// Of each member.
    process_of: Vec<usize>,
    /// Tasks of each member, in any role.
    counts: Vec<usize>,
    targets: Vec<TaskSet>,
    /// Members and tasks of each process.
    processes: Vec<(usize, usize)>,
    /// Which processes have which task.
    held: BTreeSet<(Task<'a>, usize)>,
}

/// The targets of `members`, in their order, which must be that of their ids.
pub(crate) fn assign(
    members: &[Candidate<'_>],
    work: &BTreeMap<Arc<str>, Work>,
    standby_replicas: usize,
) -> Vec<TaskSet> {
    if members.is_empty() {
        return Vec::new();
    }
    let mut plan = Plan::new(members);
    let all: Vec<Task<'_>> = work.iter().flat_map(tasks_of).collect();
    let stateful = work.iter().filter(|(_, work)| work.is_stateful);
    let stateful: Vec<Task<'_>> = stateful.flat_map(tasks_of).collect();
    let total = all.len().saturating_add(stateful.len().saturating_mul(standby_replicas));
    plan.assign_active(all);
    if standby_replicas > 0 {
        plan.assign_standby(stateful, standby_replicas, total);
    }
    plan.targets
}

fn tasks_of<'a>((subtopology, work): (&'a Arc<str>, &'a Work)) -> impl Iterator<Item = Task<'a>> {
    (0..work.tasks).map(move |partition| (subtopology, partition))
}

/// In the order in which tasks of equal partitions stand together: they were given to one member, and stay with it.
fn by_partition(tasks: &mut [Task<'_>]) {
    tasks.sort_by_key(|(subtopology, partition)| (*partition, *subtopology));
}

impl<'a> Plan<'a> {
    fn new(members: &[Candidate<'a>]) -> Plan<'a> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut plan = Plan {
            before: Before::default(),
            process_of: Vec::with_capacity(members.len()),
            counts: vec![0; members.len()],
            targets: vec![TaskSet::default(); members.len()],
            processes: Vec::new(),
            held: BTreeSet::new(),
        };
        for (at, member) in members.iter().enumerate() {
            let next = places.len();
            let process = *places.entry(member.process).or_insert(next);
            if process == plan.processes.len() {
                plan.processes.push((0, 0));
            }
            plan.processes[process].0 += 1;
            plan.process_of.push(process);
            for (role, subtopology, partition, _) in member.current.each() {
                let task = (subtopology, partition);
                match role {
                    Role::Active => {
                        plan.before.active.insert(task, at);
                    }
                    Role::Standby | Role::Warmup => plan.before.copies.entry(task).or_default().push(at),
                }
            }
        }
        plan
    }

    fn give(&mut self, role: Role, task: Task<'a>, member: usize, quota: &mut Quota) {
        let process = self.process_of[member];
        self.held.insert((task, process));
        self.processes[process].1 += 1;
        self.counts[member] += 1;
        self.targets[member].add(role, task.0, task.1, 0);
        quota.note(self.counts[member]);
    }

    /// What makes a member the next to be given something: it has the least, and so has its process.
    fn load(&self, member: usize) -> (usize, usize) {
        let (members, tasks) = self.processes[self.process_of[member]];
        // A thousand parts are enough to tell processes apart.
        (self.counts[member], tasks * 1_000 / members.max(1))
    }

    fn least(&self, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.min_by_key(|member| self.load(*member))
    }

    fn is_held_near(&self, task: Task<'a>, member: usize) -> bool {
        self.held.contains(&(task, self.process_of[member]))
    }

    fn assign_active(&mut self, mut tasks: Vec<Task<'a>>) {
        let mut quota = Quota::new(tasks.len(), self.counts.len());
        by_partition(&mut tasks);
        let mut left = Vec::new();
        for task in tasks {
            let had = self.before.active.get(&task).copied();
            match had.filter(|member| self.counts[*member] < quota.each) {
                Some(member) => self.give(Role::Active, task, member, &mut quota),
                None => left.push(task),
            }
        }
        let mut rest = Vec::new();
        for task in left {
            let copies = self.before.copies.get(&task).map_or(&[][..], Vec::as_slice);
            let fits = copies.iter().copied().filter(|member| self.counts[*member] < quota.each);
            match self.least(fits) {
                Some(member) => self.give(Role::Active, task, member, &mut quota),
                None => rest.push(task),
            }
        }
        // Tasks of one subtopology are spread before the next one's.
        rest.sort_unstable();
        for task in rest {
            if let Some(member) = self.least(0..self.counts.len()) {
                self.give(Role::Active, task, member, &mut quota);
            }
        }
    }

    fn assign_standby(&mut self, mut tasks: Vec<Task<'a>>, replicas: usize, total: usize) {
        let mut quota = Quota::new(total, self.counts.len());
        self.counts.iter().for_each(|count| quota.note(*count));
        by_partition(&mut tasks);
        tasks.reverse();
        let mut left = Vec::new();
        for task in tasks {
            let mut missing = replicas;
            while missing > 0
                && let Some(member) = self.returning(task, &quota)
            {
                self.give(Role::Standby, task, member, &mut quota);
                missing -= 1;
            }
            if missing > 0 {
                left.push((task, missing));
            }
        }
        left.sort_unstable();
        for (task, missing) in left {
            for _ in 0..missing {
                let far = (0..self.counts.len()).filter(|member| !self.is_held_near(task, *member));
                // With fewer processes than copies, there are fewer copies.
                let Some(member) = self.least(far) else { break };
                self.give(Role::Standby, task, member, &mut quota);
            }
        }
    }

    /// A member with room that had the task before: as the active one, or else one of those with a copy.
    fn returning(&self, task: Task<'a>, quota: &Quota) -> Option<usize> {
        let fits = |member: &usize| self.counts[*member] < quota.each && !self.is_held_near(task, *member);
        let had = self.before.active.get(&task).copied().filter(fits);
        had.or_else(|| {
            let copies = self.before.copies.get(&task).map_or(&[][..], Vec::as_slice);
            self.least(copies.iter().copied().filter(fits))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn works(sizes: &[(i32, bool)]) -> BTreeMap<Arc<str>, Work> {
        let work = |(at, (tasks, is_stateful)): (usize, &(i32, bool))| {
            let id: Arc<str> = Arc::from(at.to_string());
            (id, Work { tasks: *tasks, is_stateful: *is_stateful })
        };
        sizes.iter().enumerate().map(work).collect()
    }

    /// Assigns to members of these processes, each with its last target.
    fn run(
        processes: &[&str],
        current: &[TaskSet],
        work: &BTreeMap<Arc<str>, Work>,
        standby: usize,
    ) -> Vec<TaskSet> {
        let members: Vec<Candidate<'_>> =
            processes.iter().zip(current).map(|(process, current)| Candidate { process, current }).collect();
        assign(&members, work, standby)
    }

    fn fresh(processes: &[&str], work: &BTreeMap<Arc<str>, Work>, standby: usize) -> Vec<TaskSet> {
        run(processes, &vec![TaskSet::default(); processes.len()], work, standby)
    }

    fn sizes(targets: &[TaskSet], role: Role) -> Vec<usize> {
        targets.iter().map(|target| target.of(role).values().map(BTreeMap::len).sum()).collect()
    }

    /// Every task is active once, no process has one twice, and there are no more copies than asked for.
    fn check(processes: &[&str], targets: &[TaskSet], work: &BTreeMap<Arc<str>, Work>, standby: usize) {
        for (subtopology, work) in work {
            for partition in 0..work.tasks {
                let with = |role: Role| {
                    let has = targets.iter().map(move |target| target.has(role, subtopology, partition));
                    let has = has.zip(processes).filter(|(has, _)| *has);
                    has.map(|(_, process)| *process).collect::<Vec<&str>>()
                };
                let (active, copies) = (with(Role::Active), with(Role::Standby));
                assert_eq!(active.len(), 1, "{subtopology}-{partition}");
                let near: BTreeSet<&str> = active.iter().chain(&copies).copied().collect();
                assert_eq!(near.len(), 1 + copies.len(), "{subtopology}-{partition} twice in a process");
                let different: BTreeSet<&str> = processes.iter().copied().collect();
                let wanted = if work.is_stateful { standby.min(different.len() - 1) } else { 0 };
                assert_eq!(copies.len(), wanted, "copies of {subtopology}-{partition}");
            }
        }
        assert!(targets.iter().all(|target| target.warmup.is_empty()));
    }

    #[test]
    fn tasks_are_spread_over_processes_before_threads() {
        let work = works(&[(2, false)]);
        let targets = fresh(&["a", "a", "b", "b"], &work, 0);
        assert_eq!(sizes(&targets, Role::Active), [1, 0, 1, 0]);
        let targets = fresh(&["a", "a", "b"], &works(&[(7, false)]), 0);
        let mut counts = sizes(&targets, Role::Active);
        counts.sort_unstable();
        assert_eq!(counts, [2, 2, 3]);
    }

    #[test]
    fn a_new_member_takes_its_share_and_no_more_moves() {
        let work = works(&[(6, true)]);
        let before = fresh(&["a", "b"], &work, 0);
        let mut current = before.clone();
        current.push(TaskSet::default());
        let after = run(&["a", "b", "c"], &current, &work, 0);
        assert_eq!(sizes(&after, Role::Active), [2, 2, 2]);
        assert!(before[0].has_all(&after[0]) && before[1].has_all(&after[1]));
    }

    #[test]
    fn whoever_has_the_state_takes_over() {
        let work = works(&[(3, true)]);
        let processes = ["a", "b", "c"];
        let before = fresh(&processes, &work, 1);
        check(&processes, &before, &work, 1);
        // The first member goes; its task goes to the one with the copy.
        let lost = before[0].active["0"].keys().copied().next().expect("a task");
        let holder = (1..3).find(|at| before[*at].has(Role::Standby, "0", lost)).expect("a copy");
        let after = run(&processes[1..], &before[1..], &work, 1);
        assert!(after[holder - 1].has(Role::Active, "0", lost));
        check(&processes[1..], &after, &work, 1);
    }

    #[test]
    fn stateless_tasks_have_no_copies_and_one_process_none_at_all() {
        let work = works(&[(2, false), (2, true)]);
        let targets = fresh(&["a", "b"], &work, 2);
        check(&["a", "b"], &targets, &work, 2);
        assert_eq!(sizes(&targets, Role::Standby).iter().sum::<usize>(), 2, "one other process, one copy");
        assert_eq!(sizes(&fresh(&["a", "a"], &work, 2), Role::Standby), [0, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn assignments_are_whole_even_and_sticky(
            threads in prop::collection::vec(0usize..4, 1..7),
            sizes_of in prop::collection::vec((1i32..6, any::<bool>()), 1..4),
            standby in 0usize..3,
            more in 0i32..3,
        ) {
            let names = ["a", "b", "c", "d"];
            let processes: Vec<&str> = threads.iter().map(|at| names[*at]).collect();
            let mut work = works(&sizes_of);
            let first = fresh(&processes, &work, standby);
            check(&processes, &first, &work, standby);
            let active = sizes(&first, Role::Active);
            let (least, most) = (active.iter().min().expect("one"), active.iter().max().expect("one"));
            prop_assert!(most - least <= 1, "{active:?}");
            let again = run(&processes, &first, &work, standby);
            check(&processes, &again, &work, standby);
            for (before, after) in first.iter().zip(&again) {
                prop_assert_eq!(&before.active, &after.active, "an active task moved without need");
            }
            // A topic grows: what was active stays where it was.
            for one in work.values_mut() {
                one.tasks += more;
            }
            let grown = run(&processes, &again, &work, standby);
            check(&processes, &grown, &work, standby);
            for (before, after) in again.iter().zip(&grown) {
                let kept = TaskSet { active: before.active.clone(), ..TaskSet::default() };
                prop_assert!(after.has_all(&kept), "an active task moved because others came");
            }
        }
    }
}
