//! Transactions through what a client sees, where their ends come in an order that no client wants.

use crate::setup;
use integration::joining::{JOIN_VERSION, begin_join};
use integration::offsets::find_coordinator;
use integration::raw::{ask, read};
use integration::records::{create, patient};
use integration::transactional::{Transactional, accepted};
use integration::{Scratch, eventually};
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
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
    find_coordinator(address, 0, ID);
    let producer = Transactional::init(address, ID);
    producer.add_offsets(GROUP);
    let commit = || producer.commit_offset(GROUP, "t", 1);
    accepted("offsets are committed", commit);
    assert_eq!(fetch(address), (-1, ErrorCode::UnstableOffsetCommit.code()));
    // The log knows the fence, its coordinator does not, as where a commit was let in before the fence came.
    let (id, epoch) = producer.id_and_epoch();
    mark(address, (id, epoch + 1));
    eventually("the marker is seen", LONG, || (fetch(address) == (-1, 0)).then_some(()));
    let mut join = begin_join(address, OTHER, "", 10_000);
    assert_eq!(commit(), ErrorCode::InvalidProducerEpoch);
    assert_eq!(fetch(address), (-1, 0), "nothing of it waits for an end");
    let answer = join.answer(LONG).expect("an answer");
    let joined: JoinGroupResponse<'_> = read(&answer, ApiKey::JoinGroup, JOIN_VERSION);
    assert_eq!(joined.error_code, 0);
    assert!(flumen.log_with("loaded again").is_empty(), "{:#?}", flumen.log());
    flumen.stop();
}
