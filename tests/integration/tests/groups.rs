//! Groups through what a client sees: what was committed outlives the broker, on any number of cores, and members
//! find each other wherever their connections are.

use crate::setup;
use integration::raw::{ask, read};
use integration::records::{create, patient};
use integration::{Scratch, eventually, host};
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::list_groups_response::ListGroupsResponse;
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// Has the coordinators' topic made.
fn find(address: SocketAddr) {
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    let answer = ask(address, ApiKey::FindCoordinator, 4, &request);
    let response: FindCoordinatorResponse<'_> = read(&answer, ApiKey::FindCoordinator, 4);
    assert_eq!(response.coordinators[0].error_code, 0);
}

fn commit(address: SocketAddr, group: &str, offset: i64) {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some("note".into()),
        ..Default::default()
    };
    let topic =
        OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group.to_owned().into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    eventually("the offset is committed", LONG, || {
        let answer = ask(address, ApiKey::OffsetCommit, 8, &request);
        let response: OffsetCommitResponse<'_> = read(&answer, ApiKey::OffsetCommit, 8);
        let code = response.topics[0].partitions[0].error_code;
        let loading = code == ErrorCode::CoordinatorLoadInProgress.code();
        assert!(code == 0 || loading, "{group}: error {code}");
        (code == 0).then_some(())
    });
}

/// The committed offsets of groups, all asked for at once.
fn fetch(address: SocketAddr, groups: &[String]) -> Vec<i64> {
    let groups = groups.iter().map(|group| OffsetFetchRequestGroup {
        group_id: group.clone().into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    });
    let request = OffsetFetchRequest { groups: groups.collect(), ..Default::default() };
    eventually("all groups are loaded", LONG, || {
        let answer = ask(address, ApiKey::OffsetFetch, 8, &request);
        let response: OffsetFetchResponse<'_> = read(&answer, ApiKey::OffsetFetch, 8);
        let loading = ErrorCode::CoordinatorLoadInProgress.code();
        if response.groups.iter().any(|group| group.error_code == loading) {
            return None;
        }
        Some(response.groups.iter().map(|group| group.topics[0].partitions[0].committed_offset).collect())
    })
}

#[test]
fn committed_offsets_outlive_the_broker() {
    let cores = host::cores();
    let (one, two) = (cores[0].to_string(), format!("{},{}", cores[0], cores[1 % cores.len()]));
    let scratch = Scratch::new("offsets");
    let names: Vec<String> = (0..20).map(|number| format!("group-{number}")).collect();
    let mut expected = vec![-1; names.len()];
    for (round, list) in [&one, &two, &one].into_iter().enumerate() {
        let flumen = setup(&scratch).cores(list.as_str()).start();
        if round == 0 {
            create(&mut patient(flumen.address), "t", 1, &[]);
            find(flumen.address);
        }
        assert_eq!(fetch(flumen.address, &names), expected, "round {round} on cores {list}");
        for (number, name) in names.iter().enumerate() {
            expected[number] = (round * 100 + number) as i64;
            commit(flumen.address, name, expected[number]);
        }
        assert_eq!(fetch(flumen.address, &names), expected);
        flumen.kill();
    }
    let flumen = setup(&scratch).start();
    assert_eq!(fetch(flumen.address, &names), expected);
    let answer = ask(flumen.address, ApiKey::ListGroups, 4, &ListGroupsRequest::default());
    let listed: ListGroupsResponse<'_> = read(&answer, ApiKey::ListGroups, 4);
    assert_eq!(listed.groups.len(), names.len());
    flumen.stop();
}

fn join(address: SocketAddr, member: &str) -> (i16, String, String, usize) {
    let protocol = JoinGroupRequestProtocol { name: "p".into(), metadata: b"m".as_slice().into() };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.to_owned().into(),
        protocol_type: "test".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::JoinGroup, 5, &request);
    let response: JoinGroupResponse<'_> = read(&answer, ApiKey::JoinGroup, 5);
    let (leader, own) = (response.leader.to_string(), response.member_id.to_string());
    (response.error_code, leader, own, response.members.len())
}

/// A member's first generation: its id, and what it was assigned.
fn member(address: SocketAddr) -> (String, Vec<u8>) {
    let (code, _, id, _) = join(address, "");
    assert_eq!(code, ErrorCode::MemberIdRequired.code());
    let (code, leader, own, members) = join(address, &id);
    assert_eq!((code, &own), (0, &id));
    let is_leader = leader == own;
    assert_eq!(members, if is_leader { 2 } else { 0 }, "the leader is told who is there");
    let mut request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: own.clone().into(),
        ..Default::default()
    };
    if is_leader {
        // Only its own part: the other is told that it has none.
        let own = SyncGroupRequestAssignment {
            member_id: own.clone().into(),
            assignment: b"all".as_slice().into(),
        };
        request.assignments = vec![own];
    }
    let answer = ask(address, ApiKey::SyncGroup, 3, &request);
    let response: SyncGroupResponse<'_> = read(&answer, ApiKey::SyncGroup, 3);
    assert_eq!(response.error_code, 0);
    (own, response.assignment.to_vec())
}

#[test]
fn members_come_together_from_all_cores() {
    let scratch = Scratch::new("members");
    let flumen = setup(&scratch).set("group.initial.rebalance.delay.ms", 2_000).start();
    let address = flumen.address;
    find(address);
    // Each request has a connection of its own, so that they come to the group from different cores.
    let threads = [0, 1].map(|_| thread::spawn(move || member(address)));
    let members = threads.map(|thread| thread.join().expect("a member"));
    assert_ne!(members[0].0, members[1].0);
    let mut assigned: Vec<Vec<u8>> = members.into_iter().map(|(_, assignment)| assignment).collect();
    assigned.sort();
    assert_eq!(assigned, [b"".to_vec(), b"all".to_vec()]);
    flumen.stop();
}
