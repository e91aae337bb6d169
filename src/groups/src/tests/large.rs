//! What clients send that is larger than the log takes: it fails alone, and leaves everything as it was. That of streams
//! groups is in their own module.

use super::*;
use crate::classic::ClassicState;
use crate::group::Group;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;

/// Bytes of a record in most of these tests.
const LIMIT: usize = 1_000;

pub(super) fn limited(record_bytes_max: usize) -> Settings {
    Settings {
        consumer_assignment_interval_ms: 0,
        share_assignment_interval_ms: 0,
        record_bytes_max,
        ..Settings::default()
    }
}

fn is_classic(driver: &Driver) -> bool {
    matches!(driver.coordinator.groups.get(GROUP), Some(Group::Classic(_)))
}

/// Two members that have joined and not synced: the leader first, and the generation.
fn joined(driver: &mut Driver) -> (Vec<String>, i32) {
    let joins = [driver.join_new(), driver.join_new()];
    driver.pass(10_000);
    settled(driver, joins)
}

fn settled(driver: &mut Driver, joins: [(String, Waiter); 2]) -> (Vec<String>, i32) {
    let answers = joins.each_ref().map(|(_, waiter)| driver.joined(*waiter));
    assert!(answers.iter().all(|answer| answer.error_code == 0));
    let mut ids = joins.map(|(id, _)| id).to_vec();
    ids.sort_by_key(|id| *id != answers[0].leader);
    (ids, answers[0].generation_id)
}

#[test]
fn an_assignment_that_is_too_large_fails_its_round() {
    let mut driver = Driver::new(limited(LIMIT));
    let (ids, generation) = joined(&mut driver);
    let written = driver.log.len();
    let follower = driver.sync(&ids[1], generation, &[]);
    let large = vec![7u8; LIMIT];
    let leader = driver.sync(&ids[0], generation, &[(&ids[1], &large)]);
    for waiter in [leader, follower] {
        let answer = driver.synced(waiter);
        assert_eq!((code(answer.error_code), answer.assignment.len()), (ErrorCode::UnknownServerError, 0));
    }
    assert_eq!(driver.log.len(), written, "nothing of it is written");
    for id in &ids {
        assert_eq!(driver.heartbeat(id, generation, None), ErrorCode::RebalanceInProgress);
    }
    // The next round is as good as any.
    let joins = [ids[0].clone(), ids[1].clone()].map(|id| {
        let waiter = driver.join(9, &id, None);
        (id, waiter)
    });
    let (ids, next) = settled(&mut driver, joins);
    assert_eq!(next, generation + 1);
    let follower = driver.sync(&ids[1], next, &[]);
    let leader = driver.sync(&ids[0], next, &[(&ids[1], b"a part")]);
    assert_eq!(driver.synced(leader).error_code, 0);
    assert_eq!(&*driver.synced(follower).assignment, b"a part");
    assert_eq!(driver.reloaded().heartbeat(&ids[1], next, None), ErrorCode::None);
}

#[test]
fn a_static_member_that_brings_too_much_does_not_take_its_place() {
    let mut driver = Driver::new(limited(LIMIT));
    let join = driver.join(9, "", Some("i"));
    driver.pass(10_000);
    let first = driver.joined(join);
    let (id, generation) = (first.member_id.into_owned(), first.generation_id);
    let sync = driver.sync(&id, generation, &[(&id, b"a part")]);
    assert_eq!(driver.synced(sync).error_code, 0);
    let written = driver.log.len();
    let mut request = join_request("", Some("i"), &["range"]);
    request.protocols[0].metadata = Cow::Owned(vec![0; LIMIT]);
    let again = driver.send(9, &Request::JoinGroup(request));
    assert_eq!(code(driver.joined(again).error_code), ErrorCode::UnknownServerError);
    assert_eq!(driver.log.len(), written);
    assert_eq!(driver.heartbeat(&id, generation, Some("i")), ErrorCode::None, "its place is its own still");
    let again = driver.join(9, "", Some("i"));
    assert_eq!(driver.joined(again).error_code, 0);
    assert_eq!(driver.heartbeat(&id, generation, Some("i")), ErrorCode::FencedInstanceId);
}

#[test]
fn a_commit_that_is_too_large_commits_nothing() {
    let mut driver = Driver::new(limited(LIMIT));
    let (note, long) = ("n".repeat(300), "n".repeat(5_000));
    let mut request = commit_request("", -1, 0, 7, &note);
    for partition_index in 1..4 {
        let one = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(OffsetCommitRequestPartition { partition_index, ..one });
    }
    let codes = |driver: &mut Driver, request: &OffsetCommitRequest<'_>| -> Vec<ErrorCode> {
        match driver.ask(9, &Request::OffsetCommit(request.clone())) {
            Response::OffsetCommit(response) => {
                response.topics[0].partitions.iter().map(|one| code(one.error_code)).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(codes(&mut driver, &request), [ErrorCode::UnknownServerError; 4]);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), (Usage::default(), 0));
    request.topics[0].partitions.truncate(2);
    assert_eq!(codes(&mut driver, &request), [ErrorCode::None; 2]);
    // Notes that are not taken count for nothing.
    request.topics[0].partitions[1].committed_metadata = Some(long.as_str().into());
    assert_eq!(codes(&mut driver, &request), [ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(7));
}

#[test]
fn topics_named_by_ids_are_measured_by_their_names() {
    let mut driver = Driver::new(limited(LIMIT));
    let mut request = commit_request("", -1, 0, 7, "");
    request.topics[0].topic_id = kafka_wire::Uuid(driver.topic().0);
    // Four would be too many with the longest of names.
    for partition_index in 1..4 {
        let one = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(OffsetCommitRequestPartition { partition_index, ..one });
    }
    match driver.ask(10, &Request::OffsetCommit(request)) {
        Response::OffsetCommit(response) => {
            assert!(response.topics[0].partitions.iter().all(|one| one.error_code == 0), "{response:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(driver.coordinator.usage().offsets, 4);
}

#[test]
fn a_member_that_says_too_much_changes_no_group() {
    let mut driver = Driver::new(limited(LIMIT));
    let name = "a".repeat(LIMIT);
    let mut large = first_beat("a");
    large.subscribed_topic_names = Some(vec![name.as_str().into()]);
    let told = driver.beat(&large);
    assert_eq!(code(told.error_code), ErrorCode::UnknownServerError);
    assert_eq!((driver.coordinator.usage(), driver.log.len()), (Usage::default(), 0), "no group is made");
    let member_epoch = driver.beat(&first_beat("b")).member_epoch;
    let before = (driver.coordinator.usage(), driver.log.len());
    for member_epoch in [0, member_epoch] {
        let large = ConsumerGroupHeartbeatRequest { member_id: "b".into(), member_epoch, ..large.clone() };
        assert_eq!(code(driver.beat(&large).error_code), ErrorCode::UnknownServerError);
    }
    assert_eq!((driver.coordinator.usage(), driver.log.len()), before);
    let told = driver.beat(&quiet_beat("b", member_epoch));
    assert_eq!((told.error_code, told.member_epoch), (0, member_epoch));
}

#[test]
fn a_member_of_a_share_group_that_says_too_much_changes_no_group() {
    let mut driver = Driver::new(limited(LIMIT));
    let name = "a".repeat(LIMIT);
    let mut request = ShareGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: "a".into(),
        member_epoch: 0,
        rack_id: None,
        subscribed_topic_names: Some(vec![name.as_str().into()]),
    };
    let mut told = |request: &ShareGroupHeartbeatRequest<'_>| {
        let told = match driver.ask(1, &Request::ShareGroupHeartbeat(request.clone())) {
            Response::ShareGroupHeartbeat(response) => code(response.error_code),
            other => panic!("{other:?}"),
        };
        (told, driver.coordinator.usage().share_groups, driver.log.len())
    };
    assert_eq!(told(&request), (ErrorCode::UnknownServerError, 0, 0));
    request.subscribed_topic_names = Some(vec!["t".into()]);
    let (accepted, groups, written) = told(&request);
    assert_eq!((accepted, groups), (ErrorCode::None, 1));
    request.subscribed_topic_names = Some(vec![name.as_str().into()]);
    assert_eq!(told(&request), (ErrorCode::UnknownServerError, 1, written));
}

#[test]
fn a_group_that_is_too_large_for_it_keeps_its_protocol() {
    let mut driver = Driver::new(limited(LIMIT));
    let joins = [driver.join_new(), driver.join_new()];
    let written = driver.log.len();
    // Room for the record of one member.
    driver.coordinator.configure(limited(150));
    assert_eq!(code(driver.beat(&first_beat("b")).error_code), ErrorCode::UnknownServerError);
    assert!(is_classic(&driver) && driver.log.len() == written);
    driver.coordinator.configure(limited(LIMIT));
    driver.pass(10_000);
    let (ids, _) = settled(&mut driver, joins);
    assert_eq!(driver.beat(&first_beat("b")).error_code, 0);
    assert!(!is_classic(&driver));
    // And back: it goes on without the one that leaves.
    driver.coordinator.configure(limited(150));
    assert_eq!(driver.beat(&quiet_beat("b", -1)).error_code, 0);
    assert!(!is_classic(&driver));
    let reloaded = driver.reloaded();
    assert!(!is_classic(&reloaded));
    assert_eq!(reloaded.coordinator.usage(), driver.coordinator.usage());
    assert_eq!(driver.coordinator.usage().members, ids.len());
}

#[test]
fn expiry_writes_nothing_but_deletions() {
    let mut driver = Driver::eager();
    assert_eq!(driver.commit(9, "", -1, 0, 7), ErrorCode::None);
    let retention = driver.coordinator.settings.offsets_retention_ms;
    // Another group has a member whose session lapses when the offsets are due.
    let mut first = first_beat("b");
    first.group_id = "h".into();
    driver.now += retention;
    assert_eq!(driver.beat(&first).error_code, 0);
    driver.now += 2 * driver.coordinator.settings.offsets_check_interval_ms;
    let effects = driver.coordinator.tick(driver.now, &driver.cluster);
    assert!(effects.records.iter().any(|record| record.value.is_some()), "the member has gone");
    driver.take_in(effects);
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(7));
    assert!(driver.coordinator.next_deadline_ms().is_some_and(|at| at <= driver.now), "there is more to do");
    let effects = driver.coordinator.tick(driver.now, &driver.cluster);
    assert!(!effects.records.is_empty() && effects.records.iter().all(|record| record.value.is_none()));
    assert_eq!(driver.coordinator.committed(GROUP, "t", 0), None);
}

#[test]
fn a_round_after_one_that_failed_waits_for_its_members() {
    let mut driver = Driver::new(limited(LIMIT));
    let (ids, generation) = joined(&mut driver);
    let large = vec![7u8; LIMIT];
    let leader = driver.sync(&ids[0], generation, &[(&ids[1], &large)]);
    assert_eq!(code(driver.synced(leader).error_code), ErrorCode::UnknownServerError);
    let Some(Group::Classic(group)) = driver.coordinator.groups.get(GROUP) else { panic!("a classic group") };
    assert_eq!((group.state, group.members.len()), (ClassicState::PreparingRebalance, 2));
    // Nobody comes: the round ends without members, and the group is empty.
    driver.pass(120_000);
    let Some(Group::Classic(group)) = driver.coordinator.groups.get(GROUP) else { panic!("a classic group") };
    assert_eq!((group.state, group.members.len()), (ClassicState::Empty, 0));
}
