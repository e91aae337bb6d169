//! Committed offsets.

use super::*;
use kafka_wire::Uuid;
use kafka_wire::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use model::ProducerEpoch;

const DAY_MS: i64 = 86_400_000;

fn fetch(driver: &mut Driver, version: i16, request: OffsetFetchRequest<'_>) -> OffsetFetchResponse<'static> {
    match driver.ask(version, &Request::OffsetFetch(request)) {
        Response::OffsetFetch(response) => response,
        other => panic!("{other:?}"),
    }
}

/// Fetches partition 0 of `t`, or all there is.
fn fetch_new(driver: &mut Driver, version: i16, all: bool, stable: bool) -> OffsetFetchResponse<'static> {
    let topic_id = if version >= 10 { Uuid(driver.topic().0) } else { Uuid::ZERO };
    let name = if version >= 10 { "" } else { "t" };
    let topic = OffsetFetchRequestTopics { name: name.into(), topic_id, partition_indexes: vec![0] };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        member_id: None,
        member_epoch: -1,
        topics: (!all).then(|| vec![topic]),
    };
    fetch(
        driver,
        version,
        OffsetFetchRequest { groups: vec![group], require_stable: stable, ..Default::default() },
    )
}

/// Offset and error of the only partition in an answer.
fn only(response: &OffsetFetchResponse<'_>) -> (i64, ErrorCode) {
    let one = &response.groups[0].topics[0].partitions[0];
    (one.committed_offset, code(one.error_code))
}

fn in_transaction(producer_id: i64, generation_id: i32, offset: i64) -> Request<'static> {
    in_transaction_as(producer_id, ("", generation_id), 0, offset)
}

/// The same for a partition and as a member with an epoch.
fn in_transaction_as(
    producer_id: i64,
    (member, generation_id): (&str, i32),
    partition_index: i32,
    committed_offset: i64,
) -> Request<'static> {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_leader_epoch: -1,
        committed_metadata: None,
    };
    let topic = TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] };
    Request::TxnOffsetCommit(TxnOffsetCommitRequest {
        transactional_id: "x".into(),
        group_id: GROUP.into(),
        producer_id,
        producer_epoch: 0,
        generation_id,
        member_id: member.to_string().into(),
        group_instance_id: None,
        topics: vec![topic],
    })
}

fn commit_in_transaction(
    driver: &mut Driver,
    producer_id: i64,
    generation_id: i32,
    offset: i64,
) -> ErrorCode {
    commit_as(driver, producer_id, ("", generation_id), 0, offset)
}

fn commit_as(
    driver: &mut Driver,
    producer_id: i64,
    member: (&str, i32),
    partition: i32,
    offset: i64,
) -> ErrorCode {
    match driver.ask(3, &in_transaction_as(producer_id, member, partition, offset)) {
        Response::TxnOffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_committed_and_fetched_in_all_versions() {
    let mut driver = Driver::eager();
    assert_eq!(only(&fetch_new(&mut driver, 8, false, false)), (-1, ErrorCode::None));
    assert_eq!(driver.commit(9, "", -1, 0, 42), ErrorCode::None);
    for version in [8, 9, 10] {
        for all in [false, true] {
            let response = fetch_new(&mut driver, version, all, true);
            assert_eq!(only(&response), (42, ErrorCode::None), "version {version}, all {all}");
            assert_eq!(response.groups[0].topics[0].topic_id == Uuid::ZERO, version < 10);
        }
    }
    let topics = vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0, 1] }];
    for topics in [Some(topics), None] {
        let request = OffsetFetchRequest { group_id: GROUP.into(), topics, ..Default::default() };
        let response = fetch(&mut driver, 7, request);
        assert_eq!(response.topics[0].partitions[0].committed_offset, 42);
        assert!(response.groups.is_empty());
    }
    assert_eq!(driver.reloaded().coordinator.committed(GROUP, "t", 0), Some(42));
    assert_eq!(driver.coordinator.usage(), Usage { classic_groups: 1, offsets: 1, ..Usage::default() });
}

#[test]
fn a_fetch_waits_for_the_commits_before_it() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 42);
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), member_epoch: -1, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let waiter = driver.send(8, &Request::OffsetFetch(request));
    assert!(driver.answers[&waiter].after_records);
}

#[test]
fn bad_commits_get_kafkas_errors() {
    let mut driver = Driver::eager();
    assert_eq!(driver.commit(8, "a", 1, 0, 1), ErrorCode::IllegalGeneration);
    assert_eq!(driver.commit(9, "a", 1, 0, 1), ErrorCode::GroupIdNotFound);
    let (id, join) = driver.join_new();
    driver.pass(5_000);
    assert_eq!(driver.joined(join).error_code, 0);
    assert_eq!(driver.commit(8, &id, 1, 0, 1), ErrorCode::RebalanceInProgress);
    let sync = driver.sync(&id, 1, &[]);
    assert_eq!(driver.synced(sync).error_code, 0);
    let cases = [
        (&*id, 1, ErrorCode::None),
        (&*id, 2, ErrorCode::IllegalGeneration),
        (&*id, -1, ErrorCode::IllegalGeneration),
        ("who", 1, ErrorCode::UnknownMemberId),
        ("", -1, ErrorCode::UnknownMemberId),
    ];
    for (member, generation, expected) in cases {
        assert_eq!(driver.commit(8, member, generation, 0, 1), expected, "{member} {generation}");
    }
    let written = driver.log.len();
    let note = "x".repeat(4_097);
    let mut requests = [commit_request(&id, 1, 0, 1, &note), commit_request(&id, 1, 0, 1, "")];
    requests[1].topics[0].name = "gone".into();
    for (request, expected) in
        requests.into_iter().zip([ErrorCode::OffsetMetadataTooLarge, ErrorCode::UnknownTopicOrPartition])
    {
        match driver.ask(9, &Request::OffsetCommit(request)) {
            Response::OffsetCommit(answer) => {
                assert_eq!(code(answer.topics[0].partitions[0].error_code), expected)
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(driver.log.len(), written);
}

#[test]
fn topic_ids_name_topics() {
    let mut driver = Driver::eager();
    let mut request = commit_request("", -1, 0, 5, "");
    request.topics[0].name = "".into();
    for (topic_id, expected) in
        [(Uuid(driver.topic().0), ErrorCode::None), (Uuid([9; 16]), ErrorCode::UnknownTopicId)]
    {
        request.topics[0].topic_id = topic_id;
        match driver.ask(10, &Request::OffsetCommit(request.clone())) {
            Response::OffsetCommit(answer) => {
                assert_eq!(answer.topics[0].topic_id, topic_id);
                assert_eq!(code(answer.topics[0].partitions[0].error_code), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(5));
    let topic = OffsetFetchRequestTopics {
        topic_id: Uuid([9; 16]),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        member_epoch: -1,
        ..Default::default()
    };
    let response = fetch(&mut driver, 10, OffsetFetchRequest { groups: vec![group], ..Default::default() });
    assert_eq!(only(&response), (-1, ErrorCode::UnknownTopicId));
}

#[test]
fn transactional_offsets_count_with_their_marker() {
    for commit in [true, false] {
        let mut driver = Driver::eager();
        driver.commit(9, "", -1, 0, 1);
        assert_eq!(commit_in_transaction(&mut driver, 7, -1, 2), ErrorCode::None);
        assert_eq!(driver.log.last().and_then(|(producer, _)| *producer), Some(ProducerId(7)));
        let mut reloaded = driver.reloaded();
        for driver in [&mut driver, &mut reloaded] {
            assert_eq!(only(&fetch_new(driver, 8, false, true)), (-1, ErrorCode::UnstableOffsetCommit));
            assert_eq!(only(&fetch_new(driver, 8, false, false)), (1, ErrorCode::None));
            driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), commit);
            let expected = if commit { 2 } else { 1 };
            assert_eq!(only(&fetch_new(driver, 8, false, true)), (expected, ErrorCode::None));
        }
    }
    let mut driver = Driver::eager();
    assert_eq!(commit_in_transaction(&mut driver, 7, 1, 2), ErrorCode::IllegalGeneration);
}

/// Commits in producer 7's transaction, and tells of which write the log is to say what becomes of it.
fn begin_in_transaction(driver: &mut Driver, offset: i64) -> Producer {
    let topics = &driver.cluster;
    let context =
        Context { version: 3, client_id: "client", client_host: "/127.0.0.1", fresh_id: [0; 16], topics };
    driver.waiters += 1;
    let request = in_transaction(7, -1, offset);
    let effects = driver.coordinator.handle(driver.now, &request, driver.waiters, &context);
    assert!(effects.answers[0].after_records && effects.records.len() == 1);
    effects.producer.expect("it is in a transaction")
}

#[test]
fn offsets_of_a_transaction_are_in_it_from_when_they_are_in_the_log() {
    let stable = |driver: &mut Driver| only(&fetch_new(driver, 8, false, true));
    let unstable = (-1, ErrorCode::UnstableOffsetCommit);
    let mut driver = Driver::eager();
    assert_eq!(commit_in_transaction(&mut driver, 7, -1, 2), ErrorCode::None);
    // The marker overtakes the next commit, which the log refuses then.
    let late = begin_in_transaction(&mut driver, 3);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(2));
    assert_eq!(stable(&mut driver), unstable, "it is not known yet what becomes of it");
    driver.coordinator.written(late, false);
    assert_eq!(stable(&mut driver), (2, ErrorCode::None));
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(2));
    // What is refused takes nothing of the same transaction along.
    let (taken, refused) = (begin_in_transaction(&mut driver, 4), begin_in_transaction(&mut driver, 5));
    assert_ne!(taken.write, refused.write);
    driver.coordinator.written(taken, true);
    driver.coordinator.written(refused, false);
    assert_eq!(stable(&mut driver), unstable);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(stable(&mut driver), (4, ErrorCode::None));
}

#[test]
fn what_comes_behind_offsets_on_their_way_to_the_log_counts() {
    let mut driver = Driver::eager();
    let first = begin_in_transaction(&mut driver, 2);
    driver.commit(9, "", -1, 0, 3);
    driver.coordinator.written(first, true);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(3), "the plain commit came later");
    let second = begin_in_transaction(&mut driver, 4);
    let id = driver.topic();
    let effects = driver.coordinator.topic_deleted("t", id);
    assert_eq!(effects.records.len(), 1);
    driver.coordinator.written(second, true);
    driver.take_in(effects);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.usage().offsets, 0);
    // Nothing is left that would keep the group.
    driver.pass(DAY_MS);
    assert_eq!(driver.coordinator.usage(), Usage::default());
}

#[test]
fn old_offsets_go_when_nobody_needs_them() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 1);
    driver.pass(6 * DAY_MS);
    driver.commit(9, "", -1, 1, 1);
    driver.pass(2 * DAY_MS);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), None);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 1), Some(1));
    driver.pass(6 * DAY_MS);
    // The last offset takes the group with it.
    assert_eq!(driver.coordinator.usage(), Usage::default());
    assert_eq!(driver.reloaded().coordinator.usage(), Usage::default());
}

#[test]
fn old_offsets_go_in_batches_of_a_size() {
    let mut driver = Driver::eager();
    let names: Vec<String> = (0..9).map(|number| format!("{number}{}", "g".repeat(30_000))).collect();
    for name in &names {
        for partition in 0..4 {
            let request = commit_request("", -1, partition, 1, "");
            let request = OffsetCommitRequest { group_id: name.as_str().into(), ..request };
            driver.ask(9, &Request::OffsetCommit(request));
        }
    }
    assert_eq!(driver.coordinator.usage().offsets, 36);
    driver.now += 8 * DAY_MS;
    for tick in 1.. {
        let effects = driver.coordinator.tick(driver.now, &driver.cluster);
        let bytes: usize = effects.records.iter().map(|record| record.key.len()).sum();
        assert!((1..300_000).contains(&bytes), "{bytes} bytes of keys in tick {tick}");
        driver.take_in(effects);
        if driver.coordinator.usage() == Usage::default() {
            break;
        }
    }
    assert_eq!(driver.reloaded().coordinator.usage(), Usage::default());
}

#[test]
fn offsets_of_a_group_age_from_when_it_was_left() {
    let mut driver = Driver::eager();
    let (id, join) = driver.join_new();
    driver.pass(5_000);
    assert_eq!(driver.joined(join).error_code, 0);
    let sync = driver.sync(&id, 1, &[]);
    assert_eq!(driver.synced(sync).error_code, 0);
    driver.commit(9, &id, 1, 0, 1);
    for _ in 0..(8 * DAY_MS / 9_000) {
        driver.pass(9_000);
        assert_eq!(driver.heartbeat(&id, 1, None), ErrorCode::None);
    }
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(1));
    assert_eq!(driver.leave(&id, None), ErrorCode::None);
    driver.pass(6 * DAY_MS);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(1));
    driver.pass(2 * DAY_MS);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), None);
    assert_eq!(driver.coordinator.usage(), Usage::default());
}

#[test]
fn a_pending_transaction_keeps_an_offset() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 1);
    commit_in_transaction(&mut driver, 7, -1, 2);
    driver.pass(9 * DAY_MS);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(1));
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), false);
    driver.pass(DAY_MS);
    assert_eq!(driver.coordinator.usage(), Usage::default());
}

#[test]
fn many_groups_are_swept_in_parts() {
    let mut driver = Driver::eager();
    for number in 0..200 {
        let name = format!("g{number}");
        let mut request = commit_request("", -1, 0, 1, "");
        request.group_id = name.as_str().into();
        driver.ask(9, &Request::OffsetCommit(request));
    }
    driver.now += 8 * DAY_MS;
    let effects = driver.coordinator.tick(driver.now, &driver.cluster);
    assert_eq!(effects.records.len(), 2 * 64);
    assert_eq!(driver.coordinator.next_deadline_ms(), Some(driver.now));
    driver.take_in(effects);
    driver.pass(1);
    assert_eq!(driver.coordinator.usage(), Usage::default());
}

#[test]
fn offsets_are_deleted_unless_somebody_reads_the_topic() {
    let mut driver = Driver::eager();
    let delete = |driver: &mut Driver, topic: &'static str| {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }];
        match driver.ask(0, &Request::OffsetDelete(OffsetDeleteRequest { group_id: GROUP.into(), topics })) {
            Response::OffsetDelete(answer) if answer.error_code != 0 => code(answer.error_code),
            Response::OffsetDelete(answer) => code(answer.topics[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut driver, "t"), ErrorCode::GroupIdNotFound);
    driver.beat(&first_beat("a"));
    assert_eq!(driver.commit(9, "a", 1, 0, 3), ErrorCode::None);
    assert_eq!(delete(&mut driver, "t"), ErrorCode::GroupSubscribedToTopic);
    assert_eq!(delete(&mut driver, "gone"), ErrorCode::UnknownTopicOrPartition);
    driver.beat(&quiet_beat("a", -1));
    assert_eq!(delete(&mut driver, "t"), ErrorCode::None);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), None);
    assert_eq!(driver.reloaded().coordinator.committed(GROUP, "t", 0), None);
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 1);
    commit_in_transaction(&mut driver, 7, -1, 2);
    let id = driver.topic();
    let effects = driver.coordinator.topic_deleted("t", id);
    assert_eq!(effects.records.len(), 1);
    driver.take_in(effects);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.usage().offsets, 0);
    assert_eq!(driver.coordinator.topic_deleted("t", id), Effects::default());
}

#[test]
fn offsets_are_those_of_one_topic_not_of_another_of_its_name() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 42);
    let before = driver.topic();
    driver.cluster.topics.clear();
    driver.cluster.add("t", 4);
    let mut reloaded = driver.reloaded();
    for driver in [&mut driver, &mut reloaded] {
        assert_eq!(only(&fetch_new(driver, 9, false, false)), (42, ErrorCode::None), "a name says no more");
        assert_eq!(only(&fetch_new(driver, 10, false, false)), (-1, ErrorCode::None));
        assert_eq!(only(&fetch_new(driver, 9, true, false)), (42, ErrorCode::None));
        assert!(fetch_new(driver, 10, true, false).groups[0].topics.is_empty(), "nor among all there are");
        let now = driver.topic();
        assert_eq!(driver.coordinator.topic_deleted("t", now), Effects::default(), "not of this one");
        assert_eq!(driver.coordinator.topic_deleted("t", before).records.len(), 1);
        assert_eq!(driver.commit(9, "", -1, 0, 43), ErrorCode::None);
        assert_eq!(only(&fetch_new(driver, 10, false, false)), (43, ErrorCode::None));
    }
    // A transaction's requests name no ids, so none is kept.
    let mut driver = Driver::eager();
    commit_in_transaction(&mut driver, 7, -1, 2);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    assert_eq!(only(&fetch_new(&mut driver, 10, false, false)), (2, ErrorCode::None));
    assert_eq!(driver.coordinator.topic_deleted("t", TopicId([9; 16])).records.len(), 1);
}

#[test]
fn offsets_of_topics_that_are_gone_are_found_in_the_log() {
    let mut driver = Driver::eager();
    assert_eq!(driver.coordinator.delete_orphans(&driver.cluster), Effects::default());
    // For its id, and in transactions, without one.
    driver.commit(9, "", -1, 0, 42);
    commit_as(&mut driver, 7, ("", -1), 1, 43);
    driver.coordinator.end_transaction(ProducerId(7), ProducerEpoch(0), true);
    commit_as(&mut driver, 8, ("", -1), 2, 44);
    assert_eq!(driver.coordinator.delete_orphans(&driver.cluster), Effects::default());
    driver.cluster.topics.clear();
    driver.cluster.add("t", 4);
    // Another topic has the name: what was committed without an id may be its.
    commit_as(&mut driver, 9, ("", -1), 0, 45);
    let undecided = driver.coordinator.delete_orphans(&driver.cluster);
    assert_eq!(undecided, Effects::default(), "a transaction decides");
    driver.coordinator.end_transaction(ProducerId(9), ProducerEpoch(0), false);
    let effects = driver.coordinator.delete_orphans(&driver.cluster);
    assert_eq!(effects.records.len(), 1);
    driver.take_in(effects);
    let committed = |driver: &Driver, partition| driver.coordinator.committed(GROUP, "t", partition);
    assert_eq!((committed(&driver, 0), committed(&driver, 1)), (None, Some(43)));
    driver.cluster.topics.clear();
    let effects = driver.coordinator.delete_orphans(&driver.cluster);
    assert_eq!(effects.records.len(), 2, "nothing has the name: a transaction has nothing to decide on");
    driver.take_in(effects);
    driver.coordinator.end_transaction(ProducerId(8), ProducerEpoch(0), true);
    assert_eq!(driver.coordinator.usage().offsets, 0);
}

#[test]
fn partitions_that_are_not_there_have_no_offsets() {
    let mut driver = Driver::eager();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    for partition in [-1, 4] {
        assert_eq!(driver.commit(9, "", -1, partition, 1), unknown);
        assert_eq!(driver.commit(9, "who", 3, partition, 1), unknown, "whatever the group says");
        assert_eq!(commit_as(&mut driver, 7, ("", -1), partition, 1), unknown);
        assert_eq!(commit_as(&mut driver, 7, ("who", 3), partition, 1), unknown);
    }
    assert!(driver.log.is_empty());
    driver.commit(9, "", -1, 0, 1);
    let partitions = [0, 4].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
    let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions: partitions.to_vec() }];
    match driver.ask(0, &Request::OffsetDelete(OffsetDeleteRequest { group_id: GROUP.into(), topics })) {
        Response::OffsetDelete(answer) => {
            let partitions = answer.topics[0].partitions.iter();
            let codes: Vec<ErrorCode> = partitions.map(|one| code(one.error_code)).collect();
            assert_eq!(codes, [ErrorCode::None, unknown]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_of_consumer_groups_commit_in_transactions_what_they_have() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1]));
    let cases = [
        ("a", 2, 0, ErrorCode::None),
        ("a", 1, 0, ErrorCode::None),
        ("a", 1, 3, ErrorCode::IllegalGeneration),
        ("a", 3, 0, ErrorCode::IllegalGeneration),
        ("who", 2, 0, ErrorCode::UnknownMemberId),
        ("", 2, 0, ErrorCode::UnknownMemberId),
        // Its transactional id fences who names nobody.
        ("", -1, 0, ErrorCode::None),
    ];
    for (member, epoch, partition, expected) in cases {
        let told = commit_as(&mut driver, 7, (member, epoch), partition, 5);
        assert_eq!(told, expected, "{member} at {epoch}, partition {partition}");
    }
}

#[test]
fn groups_are_fetched_together_and_each_has_its_own_answer() {
    let mut driver = Driver::eager();
    driver.commit(9, "", -1, 0, 42);
    let mut member = first_beat("a");
    member.group_id = "other".into();
    assert_eq!(driver.beat(&member).member_epoch, 1);
    let group = |name: &'static str, id: Option<&'static str>, member_epoch: i32| OffsetFetchRequestGroup {
        group_id: name.into(),
        member_id: id.map(Cow::Borrowed),
        member_epoch,
        topics: None,
    };
    let groups = vec![
        group(GROUP, None, -1),
        group("other", Some("a"), 1),
        group("other", Some("a"), 7),
        group("other", Some("who"), 1),
        group("nobody", None, -1),
    ];
    let response = fetch(&mut driver, 9, OffsetFetchRequest { groups, ..Default::default() });
    let told = response.groups.iter();
    let told = told.map(|group| (&*group.group_id, code(group.error_code), group.topics.len()));
    let expected = [
        (GROUP, ErrorCode::None, 1),
        ("other", ErrorCode::None, 0),
        ("other", ErrorCode::StaleMemberEpoch, 0),
        ("other", ErrorCode::UnknownMemberId, 0),
        ("nobody", ErrorCode::None, 0),
    ];
    assert!(told.eq(expected), "{response:?}");
}
