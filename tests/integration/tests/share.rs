//! Share groups through what a client sees: records are handed out once, given back where nobody speaks of them, and
//! what was accepted never comes again, whatever becomes of the broker.

use crate::setup;
use integration::raw::{Raw, read};
use integration::records::{create, patient, plain_producer, write};
use integration::{Scratch, eventually, host};
use kafka_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_wire::messages::alter_share_group_offsets_response::AlterShareGroupOffsetsResponse;
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch, ShareAcknowledgeRequest,
};
use kafka_wire::messages::share_acknowledge_response::ShareAcknowledgeResponse;
use kafka_wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ShareFetchRequest};
use kafka_wire::messages::share_fetch_response::ShareFetchResponse;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use kafka_wire::{ApiKey, ErrorCode, Uuid};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const GROUP: &str = "sharers";

fn connect(address: SocketAddr) -> Raw {
    Raw::connect(address).expect("it listens")
}

/// Has the topic of groups made, and begins the group at the start of topic `t`.
fn begin(address: SocketAddr) {
    let mut connection = connect(address);
    let find = FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    let answer = connection.ask(ApiKey::FindCoordinator, 4, &find);
    let response: FindCoordinatorResponse<'_> = read(&answer, ApiKey::FindCoordinator, 4);
    assert_eq!(response.coordinators[0].error_code, 0);
    let one = AlterShareGroupOffsetsRequestPartition { partition_index: 0, start_offset: 0 };
    let topic = AlterShareGroupOffsetsRequestTopic { topic_name: "t".into(), partitions: vec![one] };
    let alter = AlterShareGroupOffsetsRequest { group_id: GROUP.into(), topics: vec![topic] };
    let answer = connection.ask(ApiKey::AlterShareGroupOffsets, 0, &alter);
    let response: AlterShareGroupOffsetsResponse<'_> = read(&answer, ApiKey::AlterShareGroupOffsets, 0);
    assert_eq!((response.error_code, response.responses[0].partitions[0].error_code), (0, 0));
}

/// A member on one connection; its session ends with it.
struct Member {
    connection: Raw,
    name: &'static str,
    epoch: i32,
    topic: Uuid,
}

impl Member {
    /// Joins, and is given the one partition of the topic.
    fn join(address: SocketAddr, name: &'static str) -> Member {
        let mut connection = connect(address);
        let request = ShareGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: name.into(),
            subscribed_topic_names: Some(vec!["t".into()]),
            ..Default::default()
        };
        let api = ApiKey::ShareGroupHeartbeat;
        let topic = eventually("a member has its partition", LONG, || {
            let answer = connection.ask(api, 1, &request);
            let response: ShareGroupHeartbeatResponse<'_> = read(&answer, api, 1);
            let code = ErrorCode::try_from(response.error_code).expect("a code of Kafka");
            assert!(matches!(code, ErrorCode::None | ErrorCode::CoordinatorLoadInProgress), "{code:?}");
            let topic = response.assignment?.topic_partitions.first()?.topic_id;
            Some(topic)
        });
        Member { connection, name, epoch: 0, topic }
    }

    /// Fetches until there is something: first and last offsets, and how often they were handed out.
    fn fetch(&mut self) -> Vec<(i64, i64, i16)> {
        eventually("there are records", LONG, || {
            let one = FetchPartition { partition_index: 0, ..Default::default() };
            let topics = vec![FetchTopic { topic_id: self.topic, partitions: vec![one] }];
            let request = ShareFetchRequest {
                group_id: Some(GROUP.into()),
                member_id: Some(self.name.into()),
                share_session_epoch: self.epoch,
                max_wait_ms: 200,
                min_bytes: 1,
                max_bytes: 1 << 20,
                max_records: 100,
                batch_size: 100,
                topics: if self.epoch == 0 { topics } else { Vec::new() },
                ..Default::default()
            };
            let answer = self.connection.ask(ApiKey::ShareFetch, 1, &request);
            let response: ShareFetchResponse<'_> = read(&answer, ApiKey::ShareFetch, 1);
            assert_eq!(response.error_code, 0, "{:?}", response.error_message);
            self.epoch += 1;
            let told = response.responses.iter().flat_map(|topic| &topic.partitions);
            let acquired = told.flat_map(|one| {
                assert_eq!(one.error_code, 0);
                one.acquired_records.iter().map(|one| (one.first_offset, one.last_offset, one.delivery_count))
            });
            let acquired: Vec<(i64, i64, i16)> = acquired.collect();
            (!acquired.is_empty()).then_some(acquired)
        })
    }

    /// Says something about records: first and last offset, and Kafka's number for what.
    fn say(&mut self, words: &[(i64, i64, i8)]) -> ErrorCode {
        let batches = words.iter().map(|(first, last, kind)| AcknowledgementBatch {
            first_offset: *first,
            last_offset: *last,
            acknowledge_types: vec![*kind],
        });
        let one = AcknowledgePartition { partition_index: 0, acknowledgement_batches: batches.collect() };
        let request = ShareAcknowledgeRequest {
            group_id: Some(GROUP.into()),
            member_id: Some(self.name.into()),
            share_session_epoch: self.epoch,
            topics: vec![AcknowledgeTopic { topic_id: self.topic, partitions: vec![one] }],
            ..Default::default()
        };
        let answer = self.connection.ask(ApiKey::ShareAcknowledge, 1, &request);
        let response: ShareAcknowledgeResponse<'_> = read(&answer, ApiKey::ShareAcknowledge, 1);
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        self.epoch += 1;
        ErrorCode::try_from(response.responses[0].partitions[0].error_code).expect("a code of Kafka")
    }
}

fn produce(address: SocketAddr, count: usize) {
    let mut client = patient(address);
    let mut producer = plain_producer(&mut client, "t");
    for _ in 0..count {
        write(&mut client, &mut producer, 0, b"value").expect("written");
    }
}

#[test]
fn accepted_records_never_come_again_and_the_others_do() {
    let cores = host::cores();
    let (one, two) = (cores[0].to_string(), format!("{},{}", cores[0], cores[1 % cores.len()]));
    let scratch = Scratch::new("share");
    let flumen = setup(&scratch).cores(two.as_str()).start();
    create(&mut patient(flumen.address), "t", 1, &[]);
    begin(flumen.address);
    produce(flumen.address, 10);
    let mut member = Member::join(flumen.address, "first");
    assert_eq!(member.fetch(), [(0, 9, 1)]);
    assert_eq!(member.say(&[(0, 4, 1), (5, 5, 2), (7, 7, 3)]), ErrorCode::None);
    assert_eq!(member.say(&[(0, 0, 1)]), ErrorCode::None, "before the position nobody looks");
    assert_eq!(member.say(&[(7, 7, 1)]), ErrorCode::InvalidRecordState);
    flumen.kill();

    let flumen = setup(&scratch).cores(one.as_str()).start();
    let mut member = Member::join(flumen.address, "second");
    assert_eq!(
        member.fetch(),
        [(5, 5, 2), (6, 6, 1), (8, 9, 1)],
        "5 was released, 6, 8 and 9 were not spoken of"
    );
    assert_eq!(member.say(&[(5, 6, 1), (8, 9, 1)]), ErrorCode::None);
    flumen.kill();

    let flumen = setup(&scratch).cores(two.as_str()).start();
    produce(flumen.address, 1);
    let mut member = Member::join(flumen.address, "third");
    assert_eq!(member.fetch(), [(10, 10, 1)], "all before it is done with");
    flumen.stop();
}

#[test]
fn what_a_client_had_that_went_away_is_given_to_another() {
    let scratch = Scratch::new("share-gone");
    let flumen = setup(&scratch).start();
    create(&mut patient(flumen.address), "t", 1, &[]);
    begin(flumen.address);
    produce(flumen.address, 3);
    let mut one = Member::join(flumen.address, "one");
    assert_eq!(one.fetch(), [(0, 2, 1)]);
    let mut other = Member::join(flumen.address, "other");
    drop(one);
    // Long before its locks are up, which takes 30 s.
    assert_eq!(other.fetch(), [(0, 2, 1)], "what it did not come to does not count");
    assert_eq!(other.say(&[(0, 2, 1)]), ErrorCode::None);
    flumen.stop();
}
