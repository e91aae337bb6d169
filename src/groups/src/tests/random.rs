//! What holds whatever clients do.

use super::*;
use crate::group::Group;
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use model::ProducerEpoch;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A step of a random client. Members are numbers; what they know of themselves is right or not.
#[derive(Clone, Debug)]
enum Move {
    Join { member: u8, is_static: bool },
    Sync { member: u8, shift: i32 },
    Heartbeat { member: u8, shift: i32 },
    Leave { member: u8 },
    Beat { member: u8, says: Says, shift: i32 },
    Commit { member: u8, partition: i32, in_transaction: bool },
    End { commit: bool },
    Grow,
    Pass { ms: i64 },
    Reload,
}

#[derive(Clone, Copy, Debug)]
enum Says {
    Joins,
    Nothing,
    WhatItHas,
    Leaves,
    LeavesForAWhile,
}

fn moves() -> impl Strategy<Value = Move> {
    let says = prop_oneof![
        3 => Just(Says::Joins), 2 => Just(Says::Nothing), 6 => Just(Says::WhatItHas), 1 => Just(Says::Leaves),
        1 => Just(Says::LeavesForAWhile),
    ];
    let shift = prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1)];
    prop_oneof![
        4 => (0u8..4, any::<bool>()).prop_map(|(member, is_static)| Move::Join { member, is_static }),
        3 => (0u8..4, shift.clone()).prop_map(|(member, shift)| Move::Sync { member, shift }),
        2 => (0u8..4, shift.clone()).prop_map(|(member, shift)| Move::Heartbeat { member, shift }),
        1 => (0u8..4).prop_map(|member| Move::Leave { member }),
        10 => (0u8..4, says, shift).prop_map(|(member, says, shift)| Move::Beat { member, says, shift }),
        3 => (0u8..4, 0i32..4, any::<bool>())
            .prop_map(|(member, partition, in_transaction)| Move::Commit { member, partition, in_transaction }),
        1 => any::<bool>().prop_map(|commit| Move::End { commit }),
        1 => Just(Move::Grow),
        4 => prop_oneof![Just(100i64), Just(3_000), Just(20_000), Just(70_000)].prop_map(|ms| Move::Pass { ms }),
        1 => Just(Move::Reload),
    ]
}

/// What a member knows of itself.
#[derive(Clone, Debug, Default)]
struct Known {
    id: String,
    generation: i32,
    join: Option<Waiter>,
    epoch: i32,
    owned: Vec<(TopicId, Vec<i32>)>,
}

struct World {
    driver: Driver,
    classic: Vec<Known>,
    consumers: Vec<Known>,
    ended: Vec<(usize, bool)>,
}

const CONSUMERS: [&str; 4] = ["m0", "m1", "m2", "m3"];
const INSTANCES: [&str; 4] = ["i0", "i1", "i2", "i3"];
const PRODUCER: i64 = 9;

impl World {
    fn new() -> World {
        let known = vec![Known::default(); 4];
        World { driver: Driver::eager(), classic: known.clone(), consumers: known, ended: Vec::new() }
    }

    /// Another coordinator from the log, markers included.
    fn reloaded(&self) -> Driver {
        let mut driver = Driver::eager();
        driver.coordinator = Coordinator::new(self.driver.coordinator.settings.clone());
        driver.cluster = self.driver.cluster.clone();
        driver.now = self.driver.now;
        let mut ended = self.ended.iter().peekable();
        for (at, (producer, record)) in self.driver.log.iter().enumerate() {
            while let Some((_, commit)) = ended.next_if(|(place, _)| *place == at) {
                driver.coordinator.end_transaction(ProducerId(PRODUCER), ProducerEpoch(0), *commit);
            }
            driver
                .coordinator
                .replay(*producer, &record.key, record.value.as_deref())
                .expect("a record of ours");
        }
        for (_, commit) in ended {
            driver.coordinator.end_transaction(ProducerId(PRODUCER), ProducerEpoch(0), *commit);
        }
        driver
    }

    fn go(&mut self, step: &Move) {
        match step {
            Move::Join { member, is_static } => self.join(usize::from(*member), *is_static),
            Move::Sync { member, shift } => self.sync(usize::from(*member), *shift),
            Move::Heartbeat { member, shift } => {
                let known = self.classic[usize::from(*member)].clone();
                self.driver.heartbeat(&known.id, known.generation + shift, None);
            }
            Move::Leave { member } => {
                let id = self.classic[usize::from(*member)].id.clone();
                self.driver.leave(&id, None);
            }
            Move::Beat { member, says, shift } => self.beat(usize::from(*member), *says, *shift),
            Move::Commit { member, partition, in_transaction } => {
                self.commit(usize::from(*member), *partition, *in_transaction);
            }
            Move::End { commit } => {
                self.ended.push((self.driver.log.len(), *commit));
                self.driver.coordinator.end_transaction(ProducerId(PRODUCER), ProducerEpoch(0), *commit);
            }
            Move::Grow => {
                self.driver.cluster.topics[0].partitions += 1;
                self.driver.cluster.version += 1;
            }
            Move::Pass { ms } => self.driver.pass(*ms),
            Move::Reload => self.reload(),
        }
    }

    fn reload(&mut self) {
        let mut fresh = self.reloaded();
        let effects = fresh.coordinator.loaded(fresh.now, &fresh.cluster);
        self.driver.coordinator = fresh.coordinator;
        self.driver.take_in(effects);
    }

    fn join(&mut self, member: usize, is_static: bool) {
        let instance = is_static.then_some(INSTANCES[member]);
        let id = if is_static { String::new() } else { self.classic[member].id.clone() };
        let waiter = self.driver.join(9, &id, instance);
        self.classic[member].join = Some(waiter);
        self.learn();
    }

    /// Takes in the answers to joins that have come.
    fn learn(&mut self) {
        for known in &mut self.classic {
            let Some(waiter) = known.join else { continue };
            let Some(Response::JoinGroup(answer)) = self.driver.answer(waiter) else { continue };
            known.join = None;
            let keeps = answer.error_code == 0 || code(answer.error_code) == ErrorCode::MemberIdRequired;
            known.id = if keeps { answer.member_id.into_owned() } else { String::new() };
            known.generation = answer.generation_id;
        }
    }

    fn sync(&mut self, member: usize, shift: i32) {
        self.learn();
        let known = self.classic[member].clone();
        let all = crate::wire::embed_assignment(vec![("t".to_owned(), vec![0, 1, 2, 3])], 0);
        let waiter = self.driver.sync(&known.id, known.generation + shift, &[(&known.id, &all)]);
        self.driver.answer(waiter);
    }

    fn beat(&mut self, member: usize, says: Says, shift: i32) {
        let id = CONSUMERS[member];
        let known = &self.consumers[member];
        let owned = known.owned.iter().map(|(topic, partitions)| TopicPartitions {
            topic_id: kafka_wire::Uuid(topic.0),
            partitions: partitions.clone(),
        });
        let epoch = known.epoch + shift;
        let mut request = match says {
            Says::Joins => first_beat(id),
            Says::Nothing => quiet_beat(id, epoch),
            Says::WhatItHas => ConsumerGroupHeartbeatRequest {
                topic_partitions: Some(owned.collect()),
                ..quiet_beat(id, epoch)
            },
            Says::Leaves => quiet_beat(id, -1),
            Says::LeavesForAWhile => quiet_beat(id, -2),
        };
        // Half of them are static.
        request.instance_id = member.is_multiple_of(2).then(|| INSTANCES[member].into());
        let answer = self.driver.beat(&request);
        let known = &mut self.consumers[member];
        if answer.error_code != 0 || answer.member_epoch < 0 {
            *known = Known::default();
            return;
        }
        known.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            known.owned = topics.map(|topic| (TopicId(topic.topic_id.0), topic.partitions)).collect();
        }
    }

    fn commit(&mut self, member: usize, partition: i32, in_transaction: bool) {
        let offset = i64::from(partition) * 100 + self.driver.log.len() as i64;
        if in_transaction {
            let partition =
                kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..Default::default()
                };
            let topic = kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![partition],
            };
            let request = kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequest {
                group_id: GROUP.into(),
                producer_id: PRODUCER,
                topics: vec![topic],
                ..Default::default()
            };
            self.driver.ask(3, &Request::TxnOffsetCommit(request));
        } else {
            let epoch = self.consumers[member].epoch;
            self.driver.commit(9, CONSUMERS[member], epoch, partition, offset);
            self.driver.commit(9, "", -1, partition, offset);
        }
    }

    /// What must hold after every step.
    fn check(&self) {
        for group in self.driver.coordinator.groups.values() {
            match group {
                Group::Classic(group) => {
                    let joined = group.members.values().filter(|member| member.joining.is_some()).count();
                    assert_eq!(joined, group.joined, "the count of joined members");
                    assert!(
                        group.leader.is_none()
                            || group.members.contains_key(group.leader.as_ref().expect("some"))
                    );
                }
                Group::Share(group) => assert!(group.assignment_epoch <= group.epoch),
                Group::Consumer(group) => {
                    let mut owned = BTreeSet::new();
                    for member in group.members.values() {
                        for partition in member.progress.partitions() {
                            assert!(owned.insert(partition), "{partition:?} is with two members");
                            assert_eq!(group.owners.get(&partition), Some(&member.id));
                        }
                    }
                    assert_eq!(owned.len(), group.owners.len());
                    let classic = group.members.values().filter(|member| member.profile.is_classic()).count();
                    assert_eq!(classic, group.classic_members);
                    assert!(group.assignment_epoch <= group.epoch);
                }
                Group::Streams(group) => assert!(group.assignment_epoch <= group.epoch),
            }
        }
        let waiting = self.driver.coordinator.groups.values().filter_map(|group| match group {
            Group::Classic(group) => Some(group.members.values()),
            Group::Consumer(_) | Group::Share(_) | Group::Streams(_) => None,
        });
        let waiting = waiting.flatten().flat_map(|member| member.joining.iter().chain(&member.syncing));
        let waiting = waiting.filter(|parked| parked.waiter.is_some()).count();
        assert_eq!(waiting, self.driver.coordinator.usage().waiters);
    }

    /// A coordinator from the log says the same of what is durable.
    fn check_log(&mut self) {
        let mut fresh = self.reloaded();
        for partition in 0..4 {
            let of = |driver: &Driver| driver.coordinator.committed(GROUP, "t", partition);
            assert_eq!(of(&fresh), of(&self.driver), "partition {partition}");
        }
        let describe = |driver: &mut Driver| {
            let group_ids = vec![GROUP.into()];
            let request = ConsumerGroupDescribeRequest { group_ids, ..Default::default() };
            let consumer = driver.ask(1, &Request::ConsumerGroupDescribe(request));
            let request = DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() };
            let classic = driver.ask(6, &Request::DescribeGroups(request));
            // Rounds in progress are not in the log.
            let is_agreed = match &classic {
                Response::DescribeGroups(answer) => {
                    matches!(&*answer.groups[0].group_state, "Stable" | "Empty" | "Dead")
                }
                other => panic!("{other:?}"),
            };
            (consumer, is_agreed.then_some(classic))
        };
        let (told, classic) = describe(&mut self.driver);
        let (told_from_log, classic_from_log) = describe(&mut fresh);
        assert_eq!(told, told_from_log);
        if classic.is_some() {
            assert_eq!(classic, classic_from_log);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_partition_has_two_owners_and_the_log_tells_all(steps in prop::collection::vec(moves(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.go(step);
            world.check();
        }
        world.check_log();
    }

    #[test]
    fn records_from_disk_never_panic(
        kind in 0i16..25,
        key in prop::collection::vec(any::<u8>(), 0..24),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
    ) {
        let mut coordinator = Coordinator::new(Settings::default());
        let mut whole = kind.to_be_bytes().to_vec();
        whole.extend(key);
        let _ = coordinator.replay(None, &whole, value.as_deref());
    }
}
