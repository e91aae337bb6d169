//! Committed offsets, asked for and committed request by request.

use crate::eventually;
use crate::raw::{ask, read};
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A code of Kafka.
///
/// # Panics
/// If it is none.
pub fn code(number: i16) -> ErrorCode {
    ErrorCode::try_from(number).expect("a code of Kafka")
}

/// Whether a coordinator will answer when it has been loaded, or is done with what was before.
pub fn passes(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator | ErrorCode::ConcurrentTransactions
    )
}

/// Has the topic of coordinators made: of groups (`key_type` 0) or of transactions (1).
///
/// # Panics
/// If it is not there within 30 s.
pub fn find_coordinator(address: SocketAddr, key_type: i8, key: &str) {
    let coordinator_keys = vec![key.into()];
    let request = FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() };
    eventually("the topic of coordinators is there", LONG, || {
        let answer = ask(address, ApiKey::FindCoordinator, 4, &request);
        let response: FindCoordinatorResponse<'_> = read(&answer, ApiKey::FindCoordinator, 4);
        (response.coordinators[0].error_code == 0).then_some(())
    });
}

/// Commits an offset of a topic's first partition for a group without members, and tells how the broker answers.
pub fn commit(address: SocketAddr, group: &str, topic: &str, offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: None,
        ..Default::default()
    };
    let topic =
        OffsetCommitRequestTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::OffsetCommit, 8, &request);
    let response: OffsetCommitResponse<'_> = read(&answer, ApiKey::OffsetCommit, 8);
    code(response.topics[0].partitions[0].error_code)
}

/// The offset of a topic's first partition that a group has committed, -1 if there is none; with the error for it, for
/// a reader that wants no undecided one. Waits until the group's coordinator is there.
///
/// # Panics
/// If it is not there within 30 s.
pub fn committed(address: SocketAddr, group: &str, topic: &str) -> (i64, ErrorCode) {
    let topic =
        OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![0], ..Default::default() };
    let group =
        OffsetFetchRequestGroup { group_id: group.into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
    eventually("the group's coordinator is there", LONG, || {
        let answer = ask(address, ApiKey::OffsetFetch, 8, &request);
        let response: OffsetFetchResponse<'_> = read(&answer, ApiKey::OffsetFetch, 8);
        let told = code(response.groups[0].error_code);
        assert!(told == ErrorCode::None || passes(told), "{told:?}");
        if told != ErrorCode::None {
            return None;
        }
        let one = &response.groups[0].topics[0].partitions[0];
        Some((one.committed_offset, code(one.error_code)))
    })
}
