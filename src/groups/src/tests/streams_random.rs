//! What holds of streams groups, whatever their members do.

use super::streams::{joins, quiet, topology};
use super::*;
use crate::group::Group;
use crate::streams::tasks::Role;
use kafka_wire::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Subtopology, TaskIds, Topology,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A step of a random world. What members say of themselves is right or not.
#[derive(Clone, Debug)]
enum Move {
    Beat { member: usize, says: Says, shift: i32 },
    Commit { member: usize, partition: i32 },
    Grow,
    Create,
    Standby { replicas: i32 },
    Pass { ms: i64 },
    Reload,
}

#[derive(Clone, Copy, Debug)]
enum Says {
    Joins,
    Nothing,
    WhatItHas,
    Leaves,
}

fn moves() -> impl Strategy<Value = Move> {
    let says = prop_oneof![
        3 => Just(Says::Joins), 2 => Just(Says::Nothing), 8 => Just(Says::WhatItHas), 1 => Just(Says::Leaves),
    ];
    let shift = prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1)];
    prop_oneof![
        16 => (0..MEMBERS.len(), says, shift)
            .prop_map(|(member, says, shift)| Move::Beat { member, says, shift }),
        2 => (0..MEMBERS.len(), 0i32..4).prop_map(|(member, partition)| Move::Commit { member, partition }),
        1 => Just(Move::Grow),
        2 => Just(Move::Create),
        1 => (0i32..3).prop_map(|replicas| Move::Standby { replicas }),
        4 => prop_oneof![Just(100i64), Just(3_000), Just(20_000), Just(50_000)].prop_map(|ms| Move::Pass { ms }),
        1 => Just(Move::Reload),
    ]
}

const MEMBERS: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];
const PROCESSES: [&str; 5] = ["p", "p", "q", "r", "r"];

/// What a member knows of itself.
#[derive(Clone, Debug, Default)]
struct Known {
    epoch: i32,
    /// Active, standby and warm-up tasks.
    tasks: [Vec<(String, Vec<i32>)>; 3],
}

struct World {
    driver: Driver,
    known: Vec<Known>,
    wanted: Vec<InternalTopic>,
}

/// Subtopology `0` reads `t` and keeps a store, `1` reads `u` and keeps nothing.
fn two() -> Topology<'static> {
    let mut topology = topology();
    topology.subtopologies.push(Subtopology {
        subtopology_id: "1".into(),
        source_topics: vec!["u".into()],
        ..Default::default()
    });
    topology
}

impl World {
    fn new() -> World {
        let mut driver = Driver::new(Settings::default());
        driver.cluster.add("u", 3);
        World { driver, known: vec![Known::default(); MEMBERS.len()], wanted: Vec::new() }
    }

    fn go(&mut self, step: &Move) {
        match step {
            Move::Beat { member, says, shift } => self.beat(*member, *says, *shift),
            Move::Commit { member, partition } => {
                let epoch = self.known[*member].epoch;
                self.driver.commit(9, MEMBERS[*member], epoch, *partition, 1);
            }
            Move::Grow => {
                let topics = self.driver.cluster.topics.iter_mut();
                topics.filter(|topic| &*topic.name == "u").for_each(|topic| topic.partitions += 1);
                self.driver.cluster.version += 1;
            }
            Move::Create => self.create(),
            Move::Standby { replicas } => {
                self.driver.cluster.numbers.insert("streams.num.standby.replicas".to_owned(), *replicas);
            }
            Move::Pass { ms } => self.driver.pass(*ms),
            Move::Reload => {
                let fresh = self.driver.reloaded();
                self.driver = fresh;
            }
        }
    }

    fn create(&mut self) {
        for topic in std::mem::take(&mut self.wanted) {
            if self.driver.cluster.by_name(&topic.name).is_none() {
                self.driver.cluster.add(&topic.name, topic.partitions);
            }
        }
    }

    fn beat(&mut self, member: usize, says: Says, shift: i32) {
        let (id, known) = (MEMBERS[member], self.known[member].clone());
        let epoch = known.epoch + shift;
        let tasks = |role: usize| {
            let tasks = known.tasks[role].iter();
            let tasks = tasks.map(|(subtopology, partitions)| TaskIds {
                subtopology_id: subtopology.clone().into(),
                partitions: partitions.clone(),
            });
            Some(tasks.collect::<Vec<TaskIds<'_>>>())
        };
        let request = match says {
            Says::Joins => {
                StreamsGroupHeartbeatRequest { topology: Some(two()), ..joins(id, PROCESSES[member]) }
            }
            Says::Nothing => quiet(id, epoch),
            Says::WhatItHas => StreamsGroupHeartbeatRequest {
                active_tasks: tasks(0),
                standby_tasks: tasks(1),
                warmup_tasks: tasks(2),
                ..quiet(id, epoch)
            },
            Says::Leaves => quiet(id, -1),
        };
        let StreamsHeartbeat { response, create } = self.driver.streams_beat(&request);
        if !create.is_empty() {
            self.wanted = create;
        }
        if response.error_code != 0 || response.member_epoch < 0 {
            self.known[member] = Known::default();
            return;
        }
        let known = &mut self.known[member];
        known.epoch = response.member_epoch;
        let told = [response.active_tasks, response.standby_tasks, response.warmup_tasks];
        for (tasks, told) in known.tasks.iter_mut().zip(told) {
            let Some(told) = told else { continue };
            *tasks =
                told.into_iter().map(|task| (task.subtopology_id.into_owned(), task.partitions)).collect();
        }
    }

    /// What must hold after every step.
    fn check(&self) {
        let Some(Group::Streams(group)) = self.driver.coordinator.groups.get(GROUP) else { return };
        let (mut active, mut near, mut held) = (BTreeSet::new(), BTreeSet::new(), 0);
        for member in group.members.values() {
            for (role, subtopology, partition) in member.progress.tasks() {
                let task = (subtopology.clone(), partition);
                held += 1;
                assert!(role != Role::Active || active.insert(task.clone()), "{task:?} is active twice");
                let place = (member.profile.process.as_str(), task.clone());
                assert!(near.insert(place), "{task:?} is twice in a process");
                assert!(group.holders[&task].contains(&(role, member.id.clone())), "{task:?} has no holder");
            }
            assert!(member.progress.epoch <= group.epoch.max(1));
        }
        assert_eq!(held, group.holders.values().map(BTreeSet::len).sum::<usize>());
        assert!(group.assignment_epoch <= group.epoch);
        assert!(group.targets.keys().all(|id| group.members.contains_key(id)));
    }

    /// A coordinator from the log says the same.
    fn check_log(&mut self) {
        let mut fresh = self.driver.reloaded();
        assert_eq!(fresh.streams_group(), self.driver.streams_group());
        for partition in 0..4 {
            let of = |driver: &Driver| driver.coordinator.committed(GROUP, "t", partition);
            assert_eq!(of(&fresh), of(&self.driver), "partition {partition}");
        }
    }

    /// Everybody does what it is told until there is nothing more to do; who is not heard of goes.
    fn settle(&mut self) {
        for _ in 0..40 {
            for member in 0..MEMBERS.len() {
                if self.known[member].epoch > 0 {
                    self.beat(member, Says::WhatItHas, 0);
                    self.check();
                }
            }
            self.create();
            self.driver.pass(2_000);
        }
    }

    /// Every task is active once, and everybody is where it shall be.
    fn check_settled(&self) {
        let Some(Group::Streams(group)) = self.driver.coordinator.groups.get(GROUP) else { return };
        if group.members.is_empty() {
            return;
        }
        assert_eq!(group.state_name(), "Stable");
        let configured = group.configured.as_ref().expect("a heartbeat looked at it");
        for (subtopology, work) in &configured.subtopologies {
            for partition in 0..work.tasks {
                let has = |role: Role| {
                    let all = group.members.values();
                    all.filter(|member| member.progress.assigned.has(role, subtopology, partition)).count()
                };
                assert_eq!(has(Role::Active), 1, "{subtopology}-{partition}");
                assert!(work.is_stateful || has(Role::Standby) == 0, "{subtopology}-{partition}");
            }
        }
        for (id, member) in &group.members {
            assert_eq!(member.progress.assigned.without_epochs(), group.targets[id], "{id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_task_is_active_twice_and_all_are_in_the_end(steps in prop::collection::vec(moves(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.go(step);
            world.check();
        }
        world.check_log();
        world.settle();
        world.check_settled();
        world.check_log();
    }
}
