//! Whole coordinators, driven by requests and time.
//!
//! - this module: the driver.
//! - [`classic`], [`consumer`], [`share`], [`streams`], [`migration`], [`offsets`], [`tools`]: what happens, step by
//!   step.
//! - [`topology`]: what topologies come to.
//! - [`large`]: what is larger than the log takes; [`outgrown`]: groups that have become so.
//! - [`bad_days`], [`extremes`]: very many and very much.
//! - [`random`], [`streams_random`]: what holds whatever happens.

mod bad_days;
mod classic;
mod consumer;
mod extremes;
mod large;
mod migration;
mod offsets;
mod outgrown;
mod random;
mod share;
mod streams;
mod streams_random;
mod tools;
mod topology;

use crate::*;
use base::Random;
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use kafka_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use model::{ProducerId, TopicId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The topics of a test.
#[derive(Clone, Debug, Default)]
struct Cluster {
    /// What is set for the one group of the test.
    numbers: BTreeMap<String, i32>,
    version: i64,
    topics: Vec<Topic>,
}

impl Topics for Cluster {
    fn version(&self) -> i64 {
        self.version
    }

    fn by_name(&self, name: &str) -> Option<Topic> {
        self.topics.iter().find(|topic| &*topic.name == name).cloned()
    }

    fn by_id(&self, id: TopicId) -> Option<Topic> {
        self.topics.iter().find(|topic| topic.id == id).cloned()
    }

    fn each_name(&self, show: &mut dyn FnMut(&str)) {
        self.topics.iter().for_each(|topic| show(&topic.name));
    }

    fn group_number(&self, group: &str, key: &str) -> Option<i32> {
        self.numbers.get(key).copied().filter(|_| group == GROUP)
    }
}

impl Cluster {
    fn add(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let id = TopicId([self.version as u8; 16]);
        self.topics.push(Topic { name: Arc::from(name), id, partitions });
        self.topics.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

/// A coordinator with a clock, a log and clients.
struct Driver {
    coordinator: Coordinator,
    cluster: Cluster,
    now: i64,
    log: Vec<(Option<ProducerId>, Record)>,
    answers: BTreeMap<Waiter, Answer>,
    waiters: Waiter,
    random: Random,
}

const GROUP: &str = "g";

impl Driver {
    fn new(settings: Settings) -> Driver {
        let mut cluster = Cluster::default();
        cluster.add("t", 4);
        let mut coordinator = Coordinator::new(settings);
        coordinator.loaded(1_000, &cluster);
        Driver {
            coordinator,
            cluster,
            now: 1_000,
            log: Vec::new(),
            answers: BTreeMap::new(),
            waiters: 0,
            random: Random::new(1),
        }
    }

    /// With assignments whenever there is a reason, which most tests want.
    fn eager() -> Driver {
        Driver::new(Settings { consumer_assignment_interval_ms: 0, ..Settings::default() })
    }

    fn take_in(&mut self, effects: Effects) {
        let producer = effects.producer.map(|producer| producer.id);
        self.log.extend(effects.records.into_iter().map(|record| (producer, record)));
        if let Some(producer) = effects.producer {
            self.coordinator.written(producer, true);
        }
        for answer in effects.answers {
            let twice = self.answers.insert(answer.waiter, answer);
            assert_eq!(twice, None, "answered twice");
        }
    }

    fn send(&mut self, version: i16, request: &Request<'_>) -> Waiter {
        self.waiters += 1;
        let mut fresh_id = [0; 16];
        self.random.fill(&mut fresh_id);
        let topics = &self.cluster;
        let context = Context { version, client_id: "client", client_host: "/127.0.0.1", fresh_id, topics };
        let effects = self.coordinator.handle(self.now, request, self.waiters, &context);
        self.take_in(effects);
        self.waiters
    }

    fn answer(&mut self, waiter: Waiter) -> Option<Response> {
        self.answers.remove(&waiter).map(|answer| answer.response)
    }

    fn ask(&mut self, version: i16, request: &Request<'_>) -> Response {
        let waiter = self.send(version, request);
        self.answer(waiter).expect("an answer at once")
    }

    /// Lets time pass, with ticks when the coordinator asks for them.
    fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(at) = self.coordinator.next_deadline_ms().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let effects = self.coordinator.tick(self.now, &self.cluster);
            self.take_in(effects);
        }
        self.now = until;
    }

    /// Another coordinator that has read the log.
    fn reloaded(&self) -> Driver {
        let mut driver = Driver::new(self.coordinator.settings.clone());
        driver.coordinator = Coordinator::new(self.coordinator.settings.clone());
        driver.cluster = self.cluster.clone();
        driver.now = self.now;
        for (producer, record) in &self.log {
            driver
                .coordinator
                .replay(*producer, &record.key, record.value.as_deref())
                .expect("a record of ours");
        }
        let effects = driver.coordinator.loaded(self.now, &self.cluster);
        driver.log = self.log.clone();
        driver.take_in(effects);
        driver
    }

    /// Sends a JoinGroup request that may have to wait.
    fn join(&mut self, version: i16, member: &str, instance: Option<&str>) -> Waiter {
        self.send(version, &Request::JoinGroup(join_request(member, instance, &["range"])))
    }

    /// Joins as a new dynamic member, and tells its id and the waiter of its join.
    fn join_new(&mut self) -> (String, Waiter) {
        let waiter = self.join(9, "", None);
        let told = self.joined(waiter);
        assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
        let id = told.member_id.into_owned();
        let waiter = self.join(9, &id, None);
        (id, waiter)
    }

    fn joined(&mut self, waiter: Waiter) -> JoinGroupResponse<'static> {
        match self.answer(waiter) {
            Some(Response::JoinGroup(response)) => response,
            other => panic!("no join but {other:?}"),
        }
    }

    fn sync(&mut self, member: &str, generation: i32, assigned: &[(&str, &[u8])]) -> Waiter {
        self.send(5, &Request::SyncGroup(sync_request(member, generation, assigned)))
    }

    fn synced(&mut self, waiter: Waiter) -> SyncGroupResponse<'static> {
        match self.answer(waiter) {
            Some(Response::SyncGroup(response)) => response,
            other => panic!("no sync but {other:?}"),
        }
    }

    fn heartbeat(&mut self, member: &str, generation_id: i32, instance: Option<&str>) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member.into(),
            generation_id,
            group_instance_id: instance.map(Cow::Borrowed),
        };
        match self.ask(4, &Request::Heartbeat(request)) {
            Response::Heartbeat(response) => code(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> ErrorCode {
        let identity = MemberIdentity {
            member_id: member.into(),
            group_instance_id: instance.map(Cow::Borrowed),
            ..Default::default()
        };
        let request =
            LeaveGroupRequest { group_id: GROUP.into(), members: vec![identity], ..Default::default() };
        match self.ask(5, &Request::LeaveGroup(request)) {
            Response::LeaveGroup(response) if response.error_code != 0 => code(response.error_code),
            Response::LeaveGroup(response) => code(response.members[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, version: i16, member: &str, epoch: i32, partition: i32, offset: i64) -> ErrorCode {
        let request = commit_request(member, epoch, partition, offset, "");
        match self.ask(version, &Request::OffsetCommit(request)) {
            Response::OffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    }

    fn beat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        match self.ask(1, &Request::ConsumerGroupHeartbeat(request.clone())) {
            Response::ConsumerGroupHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The id of topic `t`.
    fn topic(&self) -> TopicId {
        self.cluster.by_name("t").expect("the topic of all tests").id
    }
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::try_from(code).expect("a code of Kafka")
}

/// What a consumer that reads `topics` embeds in its join, version 0.
fn embedded(topics: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes
}

fn join_request<'a>(
    member: &'a str,
    instance: Option<&'a str>,
    protocols: &[&'a str],
) -> JoinGroupRequest<'a> {
    let protocol = |name: &&'a str| JoinGroupRequestProtocol {
        name: Cow::Borrowed(*name),
        metadata: Cow::Owned(embedded(&["t"])),
    };
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        group_instance_id: instance.map(Cow::Borrowed),
        protocol_type: "consumer".into(),
        protocols: protocols.iter().map(protocol).collect(),
        reason: None,
    }
}

fn sync_request<'a>(
    member: &'a str,
    generation_id: i32,
    assigned: &[(&'a str, &'a [u8])],
) -> SyncGroupRequest<'a> {
    let one = |(member, bytes): &(&'a str, &'a [u8])| SyncGroupRequestAssignment {
        member_id: Cow::Borrowed(*member),
        assignment: Cow::Borrowed(*bytes),
    };
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member.into(),
        group_instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assigned.iter().map(one).collect(),
    }
}

fn commit_request<'a>(
    member: &'a str,
    epoch: i32,
    partition: i32,
    offset: i64,
    metadata: &'a str,
) -> OffsetCommitRequest<'a> {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(metadata.into()),
    };
    OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: epoch,
        member_id: member.into(),
        group_instance_id: None,
        retention_time_ms: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        }],
    }
}

/// The first heartbeat of a member that reads topic `t`.
fn first_beat(member: &str) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..quiet_beat(member, 0)
    }
}

/// A heartbeat that says nothing new.
fn quiet_beat(member: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: None,
    }
}

/// A heartbeat of a member that has these partitions of one topic.
fn owning_beat<'a>(
    member: &'a str,
    member_epoch: i32,
    topic: TopicId,
    partitions: &[i32],
) -> ConsumerGroupHeartbeatRequest<'a> {
    let owned = TopicPartitions { topic_id: kafka_wire::Uuid(topic.0), partitions: partitions.to_vec() };
    let owned = if partitions.is_empty() { Vec::new() } else { vec![owned] };
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(owned), ..quiet_beat(member, member_epoch) }
}

/// The partitions that an answer assigns, if it does.
fn assigned(response: &ConsumerGroupHeartbeatResponse<'_>) -> Option<Vec<i32>> {
    let assignment = response.assignment.as_ref()?;
    Some(assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect())
}
