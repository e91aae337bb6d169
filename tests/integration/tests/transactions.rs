//! Transactions through what a client sees, where their ends come in an order that no client wants.

use crate::setup;
use integration::joining::{JOIN_VERSION, begin_join};
use integration::raw::{ask, read};
use integration::records::{create, patient};
use integration::{Scratch, eventually};
use kafka_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_wire::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_wire::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use kafka_wire::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use kafka_wire::messages::write_txn_markers_response::WriteTxnMarkersResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const ID: &str = "producer";
const GROUP: &str = "readers";
const OTHER: &str = "others";

/// Waits until a coordinator is loaded: `code` asks it.
fn accepted(what: &str, mut code: impl FnMut() -> i16) {
    eventually(what, LONG, || {
        let code = ErrorCode::try_from(code()).expect("a code of Kafka");
        let passes = [
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::NotCoordinator,
            ErrorCode::ConcurrentTransactions,
        ];
        assert!(code == ErrorCode::None || passes.contains(&code), "{what}: {code:?}");
        (code == ErrorCode::None).then_some(())
    });
}

/// Has the topic of coordinators made: of groups 0, of transactions 1.
fn find(address: SocketAddr, key_type: i8) {
    accepted("the topic of coordinators is there", || {
        let request =
            FindCoordinatorRequest { key_type, coordinator_keys: vec![ID.into()], ..Default::default() };
        let answer = ask(address, ApiKey::FindCoordinator, 4, &request);
        let response: FindCoordinatorResponse<'_> = read(&answer, ApiKey::FindCoordinator, 4);
        response.coordinators[0].error_code
    });
}

/// A producer of V1 with a transaction open that has the offsets of the group: its id and epoch.
fn begin(address: SocketAddr) -> (i64, i16) {
    let mut producer = (-1, -1);
    accepted("the producer has an id", || {
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let answer = ask(address, ApiKey::InitProducerId, 4, &request);
        let response: InitProducerIdResponse = read(&answer, ApiKey::InitProducerId, 4);
        producer = (response.producer_id, response.producer_epoch);
        response.error_code
    });
    accepted("the offsets are in the transaction", || {
        let request = AddOffsetsToTxnRequest {
            transactional_id: ID.into(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            group_id: GROUP.into(),
        };
        let answer = ask(address, ApiKey::AddOffsetsToTxn, 3, &request);
        let response: AddOffsetsToTxnResponse = read(&answer, ApiKey::AddOffsetsToTxn, 3);
        response.error_code
    });
    producer
}

/// Commits offset 1 of the only partition in the transaction.
fn commit(address: SocketAddr, (producer_id, producer_epoch): (i64, i16)) -> i16 {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 1,
        committed_leader_epoch: -1,
        committed_metadata: None,
    };
    let request = TxnOffsetCommitRequest {
        transactional_id: ID.into(),
        group_id: GROUP.into(),
        producer_id,
        producer_epoch,
        generation_id: -1,
        topics: vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] }],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::TxnOffsetCommit, 3, &request);
    let response: TxnOffsetCommitResponse<'_> = read(&answer, ApiKey::TxnOffsetCommit, 3);
    response.topics[0].partitions[0].error_code
}

/// Ends a transaction in the partition of all groups, behind the back of its coordinator.
fn mark(address: SocketAddr, (producer_id, producer_epoch): (i64, i16)) {
    let topic = WritableTxnMarkerTopic { name: "__consumer_offsets".into(), partition_indexes: vec![0] };
    let marker = WritableTxnMarker { producer_id, producer_epoch, topics: vec![topic], ..Default::default() };
    let request = WriteTxnMarkersRequest { markers: vec![marker] };
    let answer = ask(address, ApiKey::WriteTxnMarkers, 1, &request);
    let response: WriteTxnMarkersResponse<'_> = read(&answer, ApiKey::WriteTxnMarkers, 1);
    assert_eq!(response.markers[0].topics[0].partitions[0].error_code, 0);
}

/// The committed offset of the group and its error, for a reader that wants no undecided one.
fn fetch(address: SocketAddr) -> (i64, i16) {
    let topic =
        OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let group =
        OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
    let answer = ask(address, ApiKey::OffsetFetch, 8, &request);
    let response: OffsetFetchResponse<'_> = read(&answer, ApiKey::OffsetFetch, 8);
    assert_eq!(response.groups[0].error_code, 0, "its coordinator is there");
    let one = &response.groups[0].topics[0].partitions[0];
    (one.committed_offset, one.error_code)
}

#[test]
fn offsets_of_a_fenced_producer_disturb_no_other_group() {
    let scratch = Scratch::new("fenced-offsets");
    let setup = setup(&scratch).set("offsets.topic.num.partitions", 1);
    let flumen = setup.set("group.initial.rebalance.delay.ms", 4_000).start();
    let address = flumen.address;
    create(&mut patient(address), "t", 1, &[]);
    find(address, 0);
    find(address, 1);
    let producer = begin(address);
    accepted("offsets are committed", || commit(address, producer));
    assert_eq!(fetch(address), (-1, ErrorCode::UnstableOffsetCommit.code()));
    // The log knows the fence, its coordinator does not, as where a commit was let in before the fence came.
    mark(address, (producer.0, producer.1 + 1));
    eventually("the marker is seen", LONG, || (fetch(address) == (-1, 0)).then_some(()));
    let mut join = begin_join(address, OTHER, "", 10_000);
    assert_eq!(commit(address, producer), ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(fetch(address), (-1, 0), "nothing of it waits for an end");
    let answer = join.answer(LONG).expect("an answer");
    let joined: JoinGroupResponse<'_> = read(&answer, ApiKey::JoinGroup, JOIN_VERSION);
    assert_eq!(joined.error_code, 0);
    assert!(flumen.log_with("loaded again").is_empty(), "{:#?}", flumen.log());
    flumen.stop();
}
