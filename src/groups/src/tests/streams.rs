//! The streams protocol, step by step.

use super::*;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use kafka_wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use kafka_wire::messages::streams_group_describe_response::DescribedGroup;
use kafka_wire::messages::streams_group_heartbeat_request::{
    Endpoint, KeyValue, StreamsGroupHeartbeatRequest, Subtopology, TaskIds, TopicInfo, Topology,
};
use kafka_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

/// The changelog of the store of subtopology `0`.
pub(super) const CHANGELOG: &str = "app-store-changelog";

/// Subtopology `0` reads `t` and keeps a store.
pub(super) fn topology() -> Topology<'static> {
    let config = KeyValue { key: "cleanup.policy".into(), value: "compact".into() };
    let changelog = TopicInfo { name: CHANGELOG.into(), topic_configs: vec![config], ..Default::default() };
    let subtopology = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["t".into()],
        state_changelog_topics: vec![changelog],
        ..Default::default()
    };
    Topology { epoch: 0, subtopologies: vec![subtopology] }
}

/// The first heartbeat of a member.
pub(super) fn joins<'a>(member: &'a str, process: &'a str) -> StreamsGroupHeartbeatRequest<'a> {
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 30_000,
        topology: Some(topology()),
        process_id: Some(process.into()),
        ..has(member, 0, &[])
    }
}

/// A heartbeat that says nothing new.
pub(super) fn quiet(member: &str, member_epoch: i32) -> StreamsGroupHeartbeatRequest<'_> {
    StreamsGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch,
        endpoint_information_epoch: -1,
        ..Default::default()
    }
}

/// A heartbeat of a member with these active tasks of subtopology `0`.
fn has<'a>(member: &'a str, member_epoch: i32, active: &[i32]) -> StreamsGroupHeartbeatRequest<'a> {
    let tasks = TaskIds { subtopology_id: "0".into(), partitions: active.to_vec() };
    StreamsGroupHeartbeatRequest {
        active_tasks: Some(if active.is_empty() { Vec::new() } else { vec![tasks] }),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..quiet(member, member_epoch)
    }
}

impl Driver {
    /// A coordinator that gives tasks at once.
    pub(super) fn streams(settings: StreamsSettings) -> Driver {
        let mut driver = Driver::new(Settings { streams: settings, ..Settings::default() });
        driver.cluster.add(CHANGELOG, 4);
        driver
    }

    pub(super) fn streams_beat(&mut self, request: &StreamsGroupHeartbeatRequest<'_>) -> StreamsHeartbeat {
        match self.ask(0, &Request::StreamsGroupHeartbeat(request.clone())) {
            Response::StreamsGroupHeartbeat(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// What a heartbeat leads to: the error, the epoch, and the active tasks of subtopology `0` if they are told.
    fn tell(&mut self, request: &StreamsGroupHeartbeatRequest<'_>) -> (ErrorCode, i32, Option<Vec<i32>>) {
        let StreamsHeartbeat { response, .. } = self.streams_beat(request);
        let tasks =
            response.active_tasks.map(|tasks| tasks.into_iter().flat_map(|task| task.partitions).collect());
        (code(response.error_code), response.member_epoch, tasks)
    }

    fn statuses(&mut self, request: &StreamsGroupHeartbeatRequest<'_>) -> Vec<i8> {
        let told = self.streams_beat(request).response;
        told.status.into_iter().flatten().map(|status| status.status_code).collect()
    }

    pub(super) fn streams_group(&mut self) -> DescribedGroup<'static> {
        let group_ids = vec![GROUP.into()];
        let request = StreamsGroupDescribeRequest { group_ids, ..Default::default() };
        match self.ask(0, &Request::StreamsGroupDescribe(request)) {
            Response::StreamsGroupDescribe(mut answer) => answer.groups.remove(0),
            other => panic!("{other:?}"),
        }
    }
}

fn at_once() -> StreamsSettings {
    StreamsSettings { initial_rebalance_delay_ms: 0, assignment_interval_ms: 0, ..StreamsSettings::default() }
}

fn fine(epoch: i32, active: &[i32]) -> (ErrorCode, i32, Option<Vec<i32>>) {
    (ErrorCode::None, epoch, Some(active.to_vec()))
}

/// The same without tasks in the answer.
fn silent(epoch: i32) -> (ErrorCode, i32, Option<Vec<i32>>) {
    (ErrorCode::None, epoch, None)
}

#[test]
fn the_first_members_wait_for_each_other() {
    let mut driver = Driver::streams(StreamsSettings::default());
    assert_eq!(driver.tell(&joins("a", "p")), fine(1, &[]));
    driver.pass(1_000);
    assert_eq!(driver.statuses(&joins("b", "q")), [5], "the assignment is delayed");
    assert_eq!(driver.streams_group().group_state, "Assigning");
    driver.pass(2_000);
    assert_eq!(driver.tell(&quiet("a", 1)), fine(3, &[0, 2]));
    assert_eq!(driver.streams_group().group_state, "Reconciling");
    assert_eq!(driver.tell(&quiet("b", 1)), fine(3, &[1, 3]));
    assert_eq!(driver.tell(&quiet("b", 3)), silent(3));
    let group = driver.streams_group();
    assert_eq!((&*group.group_state, group.group_epoch, group.assignment_epoch), ("Stable", 3, 3));
    assert_eq!(driver.statuses(&quiet("a", 3)), [] as [i8; 0]);
}

#[test]
fn a_member_gives_back_before_another_is_given() {
    let mut driver = Driver::streams(at_once());
    assert_eq!(driver.tell(&joins("a", "p")), fine(2, &[0, 1, 2, 3]));
    assert_eq!(driver.tell(&joins("b", "q")), fine(3, &[]), "nothing is free yet");
    assert_eq!(driver.tell(&has("a", 2, &[0, 1, 2, 3])), fine(2, &[0, 1]), "told to give back");
    assert_eq!(driver.tell(&quiet("b", 3)), silent(3));
    assert_eq!(driver.tell(&has("a", 2, &[0, 1, 2])), silent(2), "not all of it yet");
    assert_eq!(driver.tell(&has("a", 2, &[0, 1])), silent(3));
    assert_eq!(driver.tell(&quiet("b", 3)), fine(3, &[2, 3]));
    assert_eq!(driver.streams_group().group_state, "Stable");
    // Whoever leaves leaves its tasks to the others.
    assert_eq!(driver.tell(&quiet("b", -1)), silent(-1));
    assert_eq!(driver.tell(&quiet("a", 3)), fine(4, &[0, 1, 2, 3]));
}

#[test]
fn a_member_that_gives_nothing_back_is_fenced() {
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    driver.streams_beat(&joins("b", "q"));
    driver.streams_beat(&has("a", 2, &[0, 1, 2, 3]));
    driver.pass(20_000);
    driver.streams_beat(&quiet("b", 3));
    assert_eq!(driver.tell(&has("a", 2, &[0, 1, 2, 3])), silent(2));
    driver.pass(10_001);
    assert_eq!(driver.tell(&quiet("a", 2)).0, ErrorCode::UnknownMemberId);
    assert_eq!(driver.tell(&quiet("b", 3)), fine(4, &[0, 1, 2, 3]));
    // A member that is not heard of goes too, and so its group is empty.
    driver.pass(45_001);
    assert_eq!(driver.streams_group().group_state, "Empty");
}

#[test]
fn epochs_fence() {
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    driver.streams_beat(&joins("b", "q"));
    driver.streams_beat(&has("a", 2, &[0, 1]));
    let cases = [
        ("ahead", has("a", 9, &[0, 1]), ErrorCode::FencedMemberEpoch),
        ("behind by one, the answer was lost", has("a", 2, &[0, 1]), ErrorCode::None),
        ("the same with what it must not have", has("a", 2, &[0, 1, 2]), ErrorCode::FencedMemberEpoch),
        ("the same without saying what it has", quiet("a", 2), ErrorCode::FencedMemberEpoch),
        ("further behind", has("a", 1, &[]), ErrorCode::FencedMemberEpoch),
        ("anew", joins("a", "p"), ErrorCode::None),
        ("a stranger", quiet("c", 3), ErrorCode::UnknownMemberId),
        ("a task that there is none of", has("a", 3, &[4]), ErrorCode::InvalidRequest),
    ];
    for (name, request, expected) in cases {
        assert_eq!(driver.tell(&request).0, expected, "{name}");
    }
    assert_eq!(driver.tell(&has("a", 2, &[0, 1])), fine(3, &[0, 1]), "told again");
    let elsewhere = StreamsGroupHeartbeatRequest { group_id: "no".into(), ..quiet("a", 3) };
    assert_eq!(driver.tell(&elsewhere).0, ErrorCode::GroupIdNotFound);
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    type Change = fn(&mut StreamsGroupHeartbeatRequest<'static>);
    let cases: [(Change, ErrorCode); 12] = [
        (|request| request.group_id = " ".into(), ErrorCode::InvalidRequest),
        (|request| request.member_id = "".into(), ErrorCode::InvalidRequest),
        (|request| request.instance_id = Some("".into()), ErrorCode::InvalidRequest),
        (|request| request.rack_id = Some("".into()), ErrorCode::InvalidRequest),
        (|request| request.member_epoch = -3, ErrorCode::InvalidRequest),
        (|request| request.member_epoch = -2, ErrorCode::InvalidRequest),
        (|request| request.member_epoch = 1, ErrorCode::InvalidRequest),
        (|request| request.rebalance_timeout_ms = -1, ErrorCode::InvalidRequest),
        (|request| request.standby_tasks = None, ErrorCode::InvalidRequest),
        (|request| request.topology = None, ErrorCode::InvalidRequest),
        (
            |request| wrong(request).state_changelog_topics[0].partitions = 3,
            ErrorCode::StreamsInvalidTopology,
        ),
        (|request| wrong(request).source_topic_regex = vec!["t.*".into()], ErrorCode::InvalidRequest),
    ];
    let mut driver = Driver::streams(at_once());
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let mut request = joins("a", "p");
        change(&mut request);
        assert_eq!(driver.tell(&request).0, expected, "case {at}");
    }
    assert!(driver.log.is_empty() && driver.coordinator.groups.is_empty(), "nothing came of them");
}

fn wrong<'a>(request: &'a mut StreamsGroupHeartbeatRequest<'static>) -> &'a mut Subtopology<'static> {
    &mut request.topology.as_mut().expect("a topology").subtopologies[0]
}

#[test]
fn internal_topics_are_asked_for_until_they_are_there() {
    let mut driver = Driver::new(Settings { streams: at_once(), ..Settings::default() });
    let told = driver.streams_beat(&joins("a", "p"));
    let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let wanted = InternalTopic { name: CHANGELOG.into(), partitions: 4, replication_factor: -1, configs };
    assert_eq!(told.create, std::slice::from_ref(&wanted));
    assert_eq!((told.response.member_epoch, driver.statuses(&quiet("a", 2))), (2, vec![3]));
    assert_eq!(driver.streams_group().group_state, "NotReady");
    assert_eq!(driver.streams_beat(&quiet("a", 2)).create, [wanted], "as long as it is not there");
    driver.cluster.add(CHANGELOG, 4);
    assert_eq!(driver.tell(&quiet("a", 2)), fine(3, &[0, 1, 2, 3]));
    let told = driver.streams_beat(&quiet("a", 3));
    assert_eq!((told.create, told.response.status), (Vec::new(), Some(Vec::new())));
    // Without its source the application has no tasks.
    driver.cluster.topics.retain(|topic| &*topic.name != "t");
    driver.cluster.version += 1;
    assert_eq!(driver.statuses(&has("a", 3, &[0, 1, 2, 3])), [1]);
    assert_eq!(driver.tell(&has("a", 3, &[])), silent(4));
    assert_eq!(driver.streams_group().group_state, "NotReady");
}

#[test]
fn a_topology_stays_and_older_members_are_told() {
    let mut driver = Driver::streams(at_once());
    let newer = |member| {
        let topology = Topology { epoch: 2, ..topology() };
        StreamsGroupHeartbeatRequest { topology: Some(topology), ..joins(member, member) }
    };
    assert_eq!(driver.statuses(&newer("a")), [] as [i8; 0]);
    assert_eq!(driver.statuses(&joins("b", "b")), [0], "its topology is stale");
    let mut other = newer("c");
    other.topology.as_mut().expect("a topology").epoch = 3;
    assert_eq!(driver.tell(&other).0, ErrorCode::InvalidRequest);
    assert_eq!(driver.streams_group().members.len(), 2);
}

#[test]
fn one_member_can_end_the_application() {
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    driver.streams_beat(&joins("b", "q"));
    let ends = StreamsGroupHeartbeatRequest { shutdown_application: true, ..quiet("b", -1) };
    assert_eq!(driver.tell(&ends), silent(-1));
    assert_eq!(driver.statuses(&quiet("a", 2)), [4]);
    assert_eq!(driver.statuses(&joins("c", "r")), [4], "those who come are told as well");
    driver.streams_beat(&quiet("a", -1));
    driver.streams_beat(&quiet("c", -1));
    assert_eq!(driver.statuses(&joins("a", "p")), [] as [i8; 0], "an empty group begins anew");
}

#[test]
fn standby_tasks_are_in_other_processes() {
    let mut driver = Driver::streams(at_once());
    driver.cluster.numbers.insert("streams.num.standby.replicas".to_owned(), 1);
    driver.streams_beat(&joins("a", "p"));
    driver.streams_beat(&joins("b", "q"));
    driver.streams_beat(&has("a", 2, &[0, 1]));
    driver.streams_beat(&quiet("b", 3));
    let group = driver.streams_group();
    let tasks: Vec<(Vec<i32>, Vec<i32>)> = group
        .members
        .iter()
        .map(|member| {
            let of = |tasks: &[kafka_wire::messages::streams_group_describe_response::TaskIds<'_>]| {
                tasks.iter().flat_map(|task| task.partitions.clone()).collect::<Vec<i32>>()
            };
            (of(&member.assignment.active_tasks), of(&member.assignment.standby_tasks))
        })
        .collect();
    assert_eq!(tasks, [(vec![0, 1], vec![2, 3]), (vec![2, 3], vec![0, 1])]);
    // With no copies any more they are given back.
    driver.cluster.numbers.clear();
    let told = driver.streams_beat(&quiet("b", 3)).response;
    assert_eq!((told.member_epoch, told.standby_tasks), (3, Some(Vec::new())));
}

#[test]
fn what_kafka_does_not_serve_either_is_refused_in_its_words() {
    type Change = fn(&mut StreamsGroupHeartbeatRequest<'static>);
    let cases: [(Change, &str); 6] = [
        (|request| request.instance_id = Some("i".into()), "Static membership is not yet supported."),
        (|request| request.task_offsets = Some(Vec::new()), "TaskOffsets are not supported yet."),
        (|request| request.task_end_offsets = Some(Vec::new()), "TaskEndOffsets are not supported yet."),
        (
            |request| {
                let task = TaskIds { subtopology_id: "0".into(), partitions: vec![0] };
                request.warmup_tasks = Some(vec![task]);
            },
            "WarmupTasks are not supported yet.",
        ),
        (
            |request| wrong(request).source_topic_regex = vec!["t.*".into()],
            "Regular expressions for source topics are not supported yet.",
        ),
        (|request| request.member_epoch = -2, "InstanceId can't be null."),
    ];
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    let before = (driver.coordinator.usage(), driver.log.len());
    for (change, why) in cases {
        let mut request = joins("b", "q");
        change(&mut request);
        let told = driver.streams_beat(&request).response;
        assert_eq!(code(told.error_code), ErrorCode::InvalidRequest, "{why}");
        assert_eq!(told.error_message.as_deref(), Some(why));
    }
    let leaves = StreamsGroupHeartbeatRequest { instance_id: Some("i".into()), ..quiet("a", -2) };
    assert_eq!(driver.tell(&leaves).0, ErrorCode::InvalidRequest);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), before, "nothing came of them");
    assert_eq!(driver.tell(&quiet("a", 2)), silent(2));
}

#[test]
fn those_who_query_the_state_are_told_where_it_is() {
    let mut driver = Driver::streams(at_once());
    let endpoint = Endpoint { host: "h".into(), port: 8_080 };
    let request = StreamsGroupHeartbeatRequest { user_endpoint: Some(endpoint), ..joins("a", "p") };
    let told = driver.streams_beat(&request).response;
    let epoch = told.endpoint_information_epoch;
    let endpoints = told.partitions_by_user_endpoint.expect("they are news");
    assert_eq!((endpoints.len(), endpoints[0].user_endpoint.port), (1, 8_080));
    let active = &endpoints[0].active_partitions;
    assert_eq!((&*active[0].topic, active[0].partitions.as_slice()), ("t", &[0, 1, 2, 3][..]));
    let knows = StreamsGroupHeartbeatRequest { endpoint_information_epoch: epoch, ..quiet("a", 2) };
    assert_eq!(driver.streams_beat(&knows).response.partitions_by_user_endpoint, None);
    driver.streams_beat(&joins("b", "q"));
    driver.streams_beat(&quiet("a", -1));
    let told = driver.streams_beat(&StreamsGroupHeartbeatRequest { member_id: "b".into(), ..knows }).response;
    assert_eq!(told.error_code, ErrorCode::FencedMemberEpoch.code());
    let knows = StreamsGroupHeartbeatRequest { endpoint_information_epoch: epoch, ..quiet("b", 3) };
    assert_eq!(driver.streams_beat(&knows).response.partitions_by_user_endpoint, Some(Vec::new()));
}

#[test]
fn offsets_are_for_members_and_late_ones_for_their_tasks() {
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    driver.streams_beat(&joins("b", "q"));
    driver.streams_beat(&has("a", 2, &[0, 1]));
    let cases = [
        (9, "a", 3, 0, ErrorCode::None),
        (9, "a", 2, 0, ErrorCode::None),
        (9, "a", 2, 2, ErrorCode::StaleMemberEpoch),
        (9, "a", 4, 0, ErrorCode::StaleMemberEpoch),
        (8, "a", 3, 0, ErrorCode::UnsupportedVersion),
        (9, "", -1, 0, ErrorCode::UnknownMemberId),
        (9, "c", 3, 0, ErrorCode::UnknownMemberId),
    ];
    for (version, member, epoch, partition, expected) in cases {
        let told = driver.commit(version, member, epoch, partition, 7);
        assert_eq!(told, expected, "version {version}, {member} at {epoch}, partition {partition}");
    }
    let mut in_transaction = |member: &'static str, generation_id: i32, partition_index: i32| {
        let partition = TxnOffsetCommitRequestPartition { partition_index, ..Default::default() };
        let topic = TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            group_id: GROUP.into(),
            member_id: member.into(),
            generation_id,
            topics: vec![topic],
            ..Default::default()
        };
        match driver.ask(3, &Request::TxnOffsetCommit(request)) {
            Response::TxnOffsetCommit(answer) => code(answer.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(in_transaction("a", 3, 0), ErrorCode::None);
    assert_eq!(in_transaction("a", 2, 1), ErrorCode::None);
    assert_eq!(in_transaction("a", 2, 2), ErrorCode::IllegalGeneration);
    assert_eq!(in_transaction("c", 2, 2), ErrorCode::UnknownMemberId);
    assert_eq!(in_transaction("", -1, 2), ErrorCode::None);
    for (member, epoch, expected) in [
        (None, -1, ErrorCode::None),
        (Some("a"), 3, ErrorCode::None),
        (Some("a"), 2, ErrorCode::StaleMemberEpoch),
    ] {
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            member_id: member.map(Cow::Borrowed),
            member_epoch: epoch,
            topics: None,
        };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        match driver.ask(9, &Request::OffsetFetch(request)) {
            Response::OffsetFetch(answer) => assert_eq!(code(answer.groups[0].error_code), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn groups_of_other_protocols_stay_what_they_are() {
    let mut driver = Driver::streams(at_once());
    driver.commit(9, "", -1, 0, 7);
    assert_eq!(driver.tell(&joins("a", "p")), fine(2, &[0, 1, 2, 3]), "a group of offsets alone becomes one");
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(7));
    assert_eq!(code(driver.beat(&first_beat("c")).error_code), ErrorCode::GroupIdNotFound);
    let waiter = driver.join(9, "", None);
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(driver.heartbeat("a", 2, None), ErrorCode::UnknownMemberId);
    let mut driver = Driver::streams(at_once());
    driver.beat(&first_beat("c"));
    assert_eq!(driver.tell(&joins("a", "p")).0, ErrorCode::GroupIdNotFound);
}

#[test]
fn an_empty_group_is_listed_and_deleted() {
    let mut driver = Driver::streams(at_once());
    driver.streams_beat(&joins("a", "p"));
    let request = ListGroupsRequest { types_filter: vec!["streams".into()], ..Default::default() };
    match driver.ask(5, &Request::ListGroups(request)) {
        Response::ListGroups(answer) => {
            let group = &answer.groups[0];
            assert_eq!(
                (&*group.group_type, &*group.protocol_type, &*group.group_state),
                ("streams", "streams", "Stable")
            );
        }
        other => panic!("{other:?}"),
    }
    let delete = |driver: &mut Driver| {
        let request = DeleteGroupsRequest { groups_names: vec![GROUP.into()] };
        match driver.ask(2, &Request::DeleteGroups(request)) {
            Response::DeleteGroups(answer) => code(answer.results[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut driver), ErrorCode::NonEmptyGroup);
    driver.streams_beat(&quiet("a", -1));
    assert!(driver.reloaded().coordinator.groups.contains_key(GROUP));
    assert_eq!(delete(&mut driver), ErrorCode::None);
    assert!(driver.reloaded().coordinator.groups.is_empty());
}

#[test]
fn a_member_or_topology_that_is_too_large_changes_no_group() {
    let mut driver = Driver::streams(StreamsSettings::default());
    let limited = |record_bytes_max: usize| Settings { record_bytes_max, ..Settings::default() };
    driver.coordinator.configure(limited(400));
    let long = "x".repeat(400);
    let tag = KeyValue { key: "zone".into(), value: long.as_str().into() };
    let tagged = StreamsGroupHeartbeatRequest { client_tags: Some(vec![tag]), ..joins("a", "p") };
    let mut wide = topology();
    wide.subtopologies[0].state_changelog_topics[0].topic_configs[0].value = long.as_str().into();
    let wide = StreamsGroupHeartbeatRequest { topology: Some(wide), ..joins("a", "p") };
    for large in [&tagged, &wide] {
        let told = driver.streams_beat(large).response;
        assert_eq!(code(told.error_code), ErrorCode::UnknownServerError);
        assert_eq!((driver.coordinator.usage(), driver.log.len()), (Usage::default(), 0), "no group is made");
    }
    let told = driver.streams_beat(&joins("a", "p")).response;
    assert_eq!(code(told.error_code), ErrorCode::None);
    let before = (driver.coordinator.usage(), driver.log.len());
    assert_eq!(code(driver.streams_beat(&tagged).response.error_code), ErrorCode::UnknownServerError);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), before);
    let told = driver.streams_beat(&quiet("a", told.member_epoch)).response;
    assert_eq!(code(told.error_code), ErrorCode::None);
}

#[test]
fn tasks_that_the_log_does_not_take_are_not_given() {
    let limited = |streams: StreamsSettings, record_bytes_max: usize| Settings {
        streams,
        record_bytes_max,
        ..Settings::default()
    };
    let mut driver = Driver::streams(at_once());
    driver.cluster.topics.iter_mut().for_each(|topic| topic.partitions = 300);
    driver.cluster.version += 1;
    driver.coordinator.configure(limited(at_once(), 1_000));
    assert_eq!(driver.tell(&joins("a", "p")).0, ErrorCode::UnknownServerError);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), (Usage::default(), 0), "no group is made");
    // One that only keeps offsets stays that.
    let mut other = Driver::streams(at_once());
    other.cluster = driver.cluster.clone();
    other.coordinator.configure(limited(at_once(), 1_000));
    other.commit(9, "", -1, 0, 7);
    let before = (other.coordinator.usage(), other.log.len());
    assert_eq!(other.tell(&joins("a", "p")).0, ErrorCode::UnknownServerError);
    assert_eq!((other.coordinator.usage(), other.log.len()), before);
    assert!(other.reloaded().coordinator.groups.contains_key(GROUP));
    // Nor are they when the first members have waited for each other.
    driver.coordinator.configure(limited(StreamsSettings::default(), 1_000));
    assert_eq!(driver.tell(&joins("a", "p")), fine(1, &[]));
    let before = (driver.coordinator.usage(), driver.log.len());
    driver.pass(3_000);
    assert_eq!(driver.tell(&quiet("a", 1)).0, ErrorCode::UnknownServerError);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), before);
    assert_eq!(driver.reloaded().tell(&quiet("a", 1)).0, ErrorCode::UnknownServerError);
    driver.coordinator.configure(limited(StreamsSettings::default(), 1 << 20));
    let (told, epoch, tasks) = driver.tell(&quiet("a", 1));
    assert_eq!((told, epoch, tasks.map(|tasks| tasks.len())), (ErrorCode::None, 2, Some(300)));
}

#[test]
fn who_is_silent_goes_while_somebody_asks_for_too_much() {
    let mut driver = Driver::streams(StreamsSettings::default());
    driver.cluster.topics.iter_mut().for_each(|topic| topic.partitions = 300);
    driver.cluster.version += 1;
    driver.coordinator.configure(Settings { record_bytes_max: 1_000, ..Settings::default() });
    assert_eq!(driver.tell(&joins("a", "p")), fine(1, &[]));
    for _ in 0..2 {
        driver.pass(15_000);
        assert_eq!(driver.tell(&joins("b", "q")).0, ErrorCode::UnknownServerError);
        assert_eq!(driver.coordinator.usage().members, 1);
    }
    driver.pass(15_000);
    assert_eq!(driver.coordinator.usage().members, 0, "it was not heard of for a session");
}
