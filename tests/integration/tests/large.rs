//! What a client would have a coordinator write that is larger than its log takes: it fails alone.

use crate::setup;
use integration::joining::{JOIN_VERSION, begin_join};
use integration::raw::{Raw, ask, read};
use integration::records::{create, patient};
use integration::{Scratch, eventually};
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
/// The group whose assignment is too large, and one that waits beside it.
const GROUP: &str = "large";
const OTHER: &str = "others";
/// More than `max.message.bytes`.
const TOO_LARGE: usize = 1_100_000;

/// Has the coordinators' topic made, and waits until its coordinator is loaded.
fn find(address: SocketAddr) {
    let request = FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    let answer = ask(address, ApiKey::FindCoordinator, 4, &request);
    let response: FindCoordinatorResponse<'_> = read(&answer, ApiKey::FindCoordinator, 4);
    assert_eq!(response.coordinators[0].error_code, 0);
    eventually("an offset is committed", LONG, || (commit(address, 1, "") == ErrorCode::None).then_some(()));
}

/// Commits offsets of so many partitions, each with a note, and tells the code that all of them have.
fn commit(address: SocketAddr, partitions: i32, note: &str) -> ErrorCode {
    let partition = |partition_index: i32| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1,
        committed_metadata: Some(note.into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "offsets".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::OffsetCommit, 8, &request);
    let response: OffsetCommitResponse<'_> = read(&answer, ApiKey::OffsetCommit, 8);
    let all = &response.topics[0].partitions;
    let other = all.iter().find(|one| one.error_code != all[0].error_code);
    assert!(other.is_none(), "{:?} and {other:?}", all[0]);
    ErrorCode::try_from(all[0].error_code).expect("a code of Kafka")
}

/// The member's id and its generation.
fn joined(mut connection: Raw) -> (String, i32) {
    let answer = connection.answer(LONG).expect("an answer");
    let response: JoinGroupResponse<'_> = read(&answer, ApiKey::JoinGroup, JOIN_VERSION);
    assert_eq!(response.error_code, 0);
    (response.member_id.to_string(), response.generation_id)
}

/// The leader assigns itself so many bytes, and is told a code and as many bytes.
fn sync(address: SocketAddr, member: &str, generation_id: i32, bytes: usize) -> (ErrorCode, usize) {
    let own = SyncGroupRequestAssignment { member_id: member.into(), assignment: vec![7u8; bytes].into() };
    let request = SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member.into(),
        assignments: vec![own],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::SyncGroup, 3, &request);
    let response: SyncGroupResponse<'_> = read(&answer, ApiKey::SyncGroup, 3);
    let code = ErrorCode::try_from(response.error_code).expect("a code of Kafka");
    (code, response.assignment.len())
}

#[test]
fn what_is_larger_than_the_log_takes_disturbs_no_other_group() {
    let scratch = Scratch::new("large-records");
    let setup = setup(&scratch).set("offsets.topic.num.partitions", 1);
    let flumen = setup.set("group.initial.rebalance.delay.ms", 4_000).start();
    let address = flumen.address;
    create(&mut patient(address), "t", 400, &[]);
    find(address);
    let (member, generation) = joined(begin_join(address, GROUP, "", 20_000));
    // Its answer comes in seconds, and all that is too large comes before.
    let other = begin_join(address, OTHER, "", 20_000);
    assert_eq!(sync(address, &member, generation, TOO_LARGE), (ErrorCode::UnknownServerError, 0));
    let note = "n".repeat(4_000);
    assert_eq!(commit(address, 400, &note), ErrorCode::UnknownServerError);
    // The group is in the next round, which its only member ends.
    let (member, next) = joined(begin_join(address, GROUP, &member, 20_000));
    assert_eq!(next, generation + 1);
    assert_eq!(sync(address, &member, next, 1_000), (ErrorCode::None, 1_000));
    assert_eq!(commit(address, 200, &note), ErrorCode::None);
    joined(other);
    assert!(flumen.log_with("loaded again").is_empty(), "{:#?}", flumen.log());
    flumen.stop();
}
