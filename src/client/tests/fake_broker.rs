//! The client against a broker that misbehaves on purpose: it answers by script, over a real socket.

use client::admin::NewTopic;
use client::{
    Client, ClientError, ClientOptions, Consumer, FetchOptions, Member, MemberOptions, OffsetAt, Part,
    ProduceOptions, Producer,
};
use kafka_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use kafka_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use kafka_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_wire::messages::leave_group_request::LeaveGroupRequest;
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use kafka_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire::messages::offset_commit_request::OffsetCommitRequest;
use kafka_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_wire::messages::produce_request::ProduceRequest;
use kafka_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::{
    ApiKey, BatchBuilder, Decode, Encode, ErrorCode, Reader, RecordBatch, Records, RequestHeader,
    ResponseHeader, Writer, response_header_version,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const TOPIC: &str = "t";
const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(2);
/// The versions that the fake speaks.
const VERSIONS: [(ApiKey, i16); 15] = [
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::ApiVersions, 3),
    (ApiKey::CreateTopics, 5),
    (ApiKey::InitProducerId, 4),
    (ApiKey::FindCoordinator, 6),
    (ApiKey::OffsetCommit, 10),
    (ApiKey::OffsetFetch, 10),
    (ApiKey::DeleteGroups, 2),
    (ApiKey::JoinGroup, 9),
    (ApiKey::SyncGroup, 5),
    (ApiKey::Heartbeat, 4),
    (ApiKey::LeaveGroup, 5),
];

/// What the fake does with a request that the common answers do not cover.
enum Answer {
    Body(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
    /// Never answers.
    Silence,
}

/// What the fake was asked: API, version, body.
type Asked = Arc<Mutex<Vec<(ApiKey, i16, Vec<u8>)>>>;

struct Fake {
    address: String,
    asked: Asked,
}

impl Fake {
    /// Answers ApiVersions and Metadata by itself, the rest by `script`, which gets the number of the request
    /// among those of its API, from 0 on.
    fn start(script: impl FnMut(ApiKey, i16, usize) -> Answer + Send + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let (shared, script) = (asked.clone(), Arc::new(Mutex::new(script)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, script) = (shared.clone(), script.clone());
                let port = address.port();
                thread::spawn(move || {
                    serve(stream.unwrap(), port, &asked, &mut |api, version, nth| {
                        (script.lock().unwrap())(api, version, nth)
                    })
                });
            }
        });
        Fake { address: address.to_string(), asked }
    }

    /// Patient: what a busy machine keeps waiting is not to be taken for silence, and asked again.
    fn client(&self) -> Client {
        self.client_within(PATIENCE, PATIENCE)
    }

    /// One that tries for so long, and waits so long for an answer.
    fn client_within(&self, deadline: Duration, request_timeout: Duration) -> Client {
        let options = ClientOptions { deadline, request_timeout, ..ClientOptions::new(&self.address) };
        Client::connect(options).unwrap()
    }

    fn bodies(&self, api: ApiKey) -> Vec<Vec<u8>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.0 == api).map(|asked| asked.2.clone()).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    port: u16,
    asked: &Asked,
    script: &mut dyn FnMut(ApiKey, i16, usize) -> Answer,
) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::read(&mut reader).unwrap();
        let api = ApiKey::try_from(header.api_key).unwrap();
        let version = header.api_version;
        let nth = {
            let mut asked = asked.lock().unwrap();
            asked.push((api, version, frame[reader.position()..].to_vec()));
            asked.iter().filter(|asked| asked.0 == api).count() - 1
        };
        let answer = match api {
            ApiKey::ApiVersions => Answer::Body(encode(&versions(), version)),
            ApiKey::Metadata => Answer::Body(encode(&metadata(port), version)),
            _ => script(api, version, nth),
        };
        match answer {
            Answer::Close => return,
            Answer::Silence => {}
            Answer::Raw(bytes) => stream.write_all(&bytes).unwrap(),
            Answer::Body(body) => {
                let mut writer = Writer::new();
                let response = ResponseHeader { correlation_id: header.correlation_id };
                response.encode(&mut writer, response_header_version(api, version)).unwrap();
                let length = (writer.position() + body.len()) as u32;
                let parts = [&length.to_be_bytes()[..], writer.bytes(), &body];
                stream.write_all(&parts.concat()).unwrap();
            }
        }
    }
}

fn encode(message: &impl Encode, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    writer.into_parts().0
}

fn versions() -> ApiVersionsResponse<'static> {
    let apis = VERSIONS.iter().map(|&(api, max)| ApiVersion {
        api_key: api as i16,
        min_version: api.versions().min,
        max_version: max,
    });
    ApiVersionsResponse { api_keys: apis.collect(), ..Default::default() }
}

/// One broker, one topic, one partition.
fn metadata(port: u16) -> MetadataResponse<'static> {
    let broker = MetadataResponseBroker {
        node_id: 7,
        host: "127.0.0.1".into(),
        port: port.into(),
        ..Default::default()
    };
    let partition = MetadataResponsePartition { leader_id: 7, ..Default::default() };
    let topic =
        MetadataResponseTopic { name: Some(TOPIC.into()), partitions: vec![partition], ..Default::default() };
    MetadataResponse { brokers: vec![broker], controller_id: 7, topics: vec![topic], ..Default::default() }
}

fn produced(code: ErrorCode, version: i16) -> Answer {
    let partition = PartitionProduceResponse { error_code: code.code(), ..Default::default() };
    let topic = TopicProduceResponse {
        name: TOPIC.into(),
        partition_responses: vec![partition],
        ..Default::default()
    };
    Answer::Body(encode(&ProduceResponse { responses: vec![topic], ..Default::default() }, version))
}

fn producer_id(version: i16) -> Answer {
    let response = InitProducerIdResponse { producer_id: 4711, producer_epoch: 3, ..Default::default() };
    Answer::Body(encode(&response, version))
}

fn fetched(code: ErrorCode, records: &[u8], version: i16) -> Answer {
    let partition =
        PartitionData { error_code: code.code(), records: Records::Bytes(records), ..Default::default() };
    let topic =
        FetchableTopicResponse { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    Answer::Body(encode(&FetchResponse { responses: vec![topic], ..Default::default() }, version))
}

/// The base sequence of the batch in a Produce request.
fn base_sequence(body: &[u8]) -> i32 {
    let request = ProduceRequest::decode(&mut Reader::new(body), 9).unwrap();
    let records = request.topic_data[0].partition_data[0].records.bytes();
    let (batch, _) = RecordBatch::split_first(records).unwrap();
    assert_eq!((batch.producer_id(), batch.producer_epoch()), (4711, 3));
    batch.base_sequence()
}

/// Produces so many records, each in a batch of its own.
fn produce(fake: &Fake, records: usize) -> Result<Producer, ClientError> {
    produce_by(&mut fake.client(), records)
}

fn produce_by(client: &mut Client, records: usize) -> Result<Producer, ClientError> {
    let options = ProduceOptions { batch_bytes: 1, ..ProduceOptions::default() };
    let mut producer = Producer::open(client, TOPIC, options)?;
    for _ in 0..records {
        producer.send(client, None, 1, None, Some(b"value"), &[])?;
    }
    producer.flush(client)?;
    Ok(producer)
}

#[test]
fn a_retriable_error_is_tried_again_in_order() {
    let fake = Fake::start(|api, version, nth| match (api, nth) {
        (ApiKey::InitProducerId, _) => producer_id(version),
        // The second batch fails, and so the third is out of order.
        (_, 1) => produced(ErrorCode::NotLeaderOrFollower, version),
        (_, 2) => produced(ErrorCode::OutOfOrderSequenceNumber, version),
        _ => produced(ErrorCode::None, version),
    });
    let producer = produce(&fake, 3).unwrap();
    let totals = producer.totals();
    assert!(producer.is_idempotent());
    assert_eq!((totals.records, totals.batches, totals.retried), (3, 3, 2));
    let sequences: Vec<i32> = fake.bodies(ApiKey::Produce).iter().map(|body| base_sequence(body)).collect();
    assert_eq!(sequences, [0, 1, 2, 1, 2]);
}

#[test]
fn a_lost_connection_is_made_again_and_a_duplicate_is_success() {
    let fake = Fake::start(|api, version, nth| match (api, nth) {
        (ApiKey::InitProducerId, _) => producer_id(version),
        (_, 0) => Answer::Close,
        (_, 1) => produced(ErrorCode::DuplicateSequenceNumber, version),
        _ => produced(ErrorCode::None, version),
    });
    let totals = produce(&fake, 1).unwrap().totals();
    assert_eq!((totals.records, totals.retried), (1, 1));
}

#[test]
fn a_final_error_is_not_tried_again() {
    let fake = Fake::start(|api, version, _| match api {
        ApiKey::InitProducerId => producer_id(version),
        _ => produced(ErrorCode::MessageTooLarge, version),
    });
    let error = produce(&fake, 1).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    assert_eq!(fake.bodies(ApiKey::Produce).len(), 1);
}

#[test]
fn trying_ends_at_the_deadline() {
    let fake = Fake::start(|api, version, _| match api {
        ApiKey::InitProducerId => producer_id(version),
        _ => produced(ErrorCode::NotEnoughReplicas, version),
    });
    let began = Instant::now();
    let error = produce_by(&mut fake.client_within(SOON, PATIENCE), 1).unwrap_err();
    assert!(matches!(error, ClientError::Deadline { .. }), "{error}");
    assert_eq!(error.code(), Some(ErrorCode::NotEnoughReplicas));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(fake.bodies(ApiKey::Produce).len() > 3);
}

#[test]
fn silence_is_a_time_out() {
    let fake = Fake::start(|_, _, _| Answer::Silence);
    let topic = NewTopic { name: "new".to_owned(), ..NewTopic::default() };
    let error = fake.client_within(SOON, SOON / 4).create_topic(&topic, false).unwrap_err();
    assert!(matches!(error.root(), ClientError::TimedOut { .. }), "{error}");
}

#[test]
fn an_answer_that_is_none_is_named() {
    for raw in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        // Too short for a header; the wrong correlation id; the right frame, nothing in it.
        vec![0, 0, 0, 2, 0, 0],
        vec![0, 0, 0, 5, 9, 9, 9, 9, 0],
        vec![255; 4],
    ] {
        let fake = Fake::start(move |_, _, _| Answer::Raw(raw.clone()));
        let topic = NewTopic { name: "new".to_owned(), ..NewTopic::default() };
        let error = fake.client().create_topic(&topic, false).unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
}

#[test]
fn an_api_that_is_not_offered_is_named() {
    let fake = Fake::start(|_, _, _| Answer::Close);
    let error = fake.client().delete_topic(TOPIC).unwrap_err();
    let api = ApiKey::DeleteTopics;
    assert!(matches!(error, ClientError::UnsupportedApi { api: named, .. } if named == api), "{error}");
}

#[test]
fn the_brokers_own_words_are_passed_on() {
    let fake = Fake::start(|_, version, _| {
        let result = CreatableTopicResult {
            name: "new".into(),
            error_code: ErrorCode::PolicyViolation.code(),
            error_message: Some("Not on Sundays.".into()),
            ..Default::default()
        };
        Answer::Body(encode(&CreateTopicsResponse { topics: vec![result], ..Default::default() }, version))
    });
    let topic = NewTopic { name: "new".to_owned(), ..NewTopic::default() };
    let error = fake.client().create_topic(&topic, false).unwrap_err();
    assert_eq!(error.to_string(), "topic new: Not on Sundays (POLICY_VIOLATION)");
}

/// Two batches, offsets 10 to 12 and 13 to 15.
fn batches() -> Vec<u8> {
    let mut bytes = Vec::new();
    for base in [10, 13] {
        let mut builder = BatchBuilder::new().base_offset(base);
        for _ in 0..3 {
            builder.append(5, None, Some(b"v"), &[]).unwrap();
        }
        bytes.extend(builder.build().unwrap());
    }
    bytes
}

fn offsets_of(fake: &Fake, from: i64, count: usize) -> (Vec<i64>, Result<u64, ClientError>, i64) {
    let mut consumer = Consumer::new(TOPIC, [(0, from)], FetchOptions::default());
    let mut offsets = Vec::new();
    let polled = consumer.poll(&mut fake.client(), |record| {
        offsets.push(record.offset);
        if offsets.len() == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (offsets, polled, consumer.positions()[0].offset)
}

#[test]
fn reading_begins_and_ends_within_batches() {
    let fake = Fake::start(|_, version, _| fetched(ErrorCode::None, &batches(), version));
    let (offsets, polled, position) = offsets_of(&fake, 11, 3);
    assert_eq!((offsets, polled.unwrap(), position), (vec![11, 12, 13], 3, 14));
    let (offsets, polled, position) = offsets_of(&fake, 15, 100);
    assert_eq!((offsets, polled.unwrap(), position), (vec![15], 1, 16));
}

#[test]
fn a_batch_that_is_cut_off_is_left_for_the_next_time() {
    let cut = batches().len() - 1;
    let fake = Fake::start(move |_, version, _| fetched(ErrorCode::None, &batches()[..cut], version));
    let (offsets, polled, position) = offsets_of(&fake, 10, 100);
    assert_eq!((offsets, polled.unwrap(), position), (vec![10, 11, 12], 3, 13));
}

#[test]
fn a_damaged_batch_is_not_passed_on() {
    let mut bytes = batches();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let fake = Fake::start(move |_, version, _| fetched(ErrorCode::None, &bytes, version));
    let (offsets, polled, position) = offsets_of(&fake, 10, 100);
    assert_eq!((offsets, position), (vec![10, 11, 12], 13));
    let error = polled.unwrap_err();
    assert!(matches!(error, ClientError::Batch { offset: 13, .. }), "{error}");
}

#[test]
fn an_offset_out_of_range_is_not_retried() {
    let fake = Fake::start(|_, version, _| fetched(ErrorCode::OffsetOutOfRange, &[], version));
    let (_, polled, _) = offsets_of(&fake, 99, 1);
    let error = polled.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange));
    assert!(error.to_string().contains("99"), "{error}");
    assert_eq!(fake.bodies(ApiKey::Fetch).len(), 1);
}

#[test]
fn offsets_are_asked_for_again_while_a_leader_is_elected() {
    let fake = Fake::start(|_, version, nth| {
        let code = if nth < 2 { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
        let partition =
            ListOffsetsPartitionResponse { error_code: code.code(), offset: 5, ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: TOPIC.into(), partitions: vec![partition] };
        Answer::Body(encode(&ListOffsetsResponse { topics: vec![topic], ..Default::default() }, version))
    });
    let offsets = fake.client().offsets(TOPIC, &[0], OffsetAt::End).unwrap();
    assert_eq!((offsets.len(), offsets[0].offset), (1, 5));
    let error = fake.client().offsets(TOPIC, &[3], OffsetAt::End).unwrap_err();
    assert!(matches!(error, ClientError::NoSuchPartition { partition: 3, partitions: 1, .. }), "{error}");
}

fn coordinator(version: i16) -> Answer {
    let response = FindCoordinatorResponse { node_id: 7, ..Default::default() };
    Answer::Body(encode(&response, version))
}

fn committed(code: ErrorCode, version: i16) -> Answer {
    let partition = OffsetCommitResponsePartition { partition_index: 0, error_code: code.code() };
    let topic =
        OffsetCommitResponseTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    Answer::Body(encode(&OffsetCommitResponse { topics: vec![topic], ..Default::default() }, version))
}

#[test]
fn a_coordinator_that_has_moved_is_looked_for_again() {
    let fake = Fake::start(|api, version, nth| match api {
        ApiKey::FindCoordinator => coordinator(version),
        _ if nth == 0 => committed(ErrorCode::NotCoordinator, version),
        _ => committed(ErrorCode::None, version),
    });
    fake.client().commit_group_offsets("g", TOPIC, &[(0, 5)]).unwrap();
    assert_eq!(fake.bodies(ApiKey::FindCoordinator).len(), 2);
    // Version 10 would name the topic by its id.
    let bodies = fake.bodies(ApiKey::OffsetCommit);
    let asked = OffsetCommitRequest::decode(&mut Reader::new(&bodies[1]), 9).unwrap();
    assert_eq!((&*asked.group_id, asked.generation_id_or_member_epoch), ("g", -1));
    let offsets = asked.topics[0].partitions.iter().map(|one| (one.partition_index, one.committed_offset));
    assert_eq!((&*asked.topics[0].name, offsets.collect::<Vec<_>>()), (TOPIC, vec![(0, 5)]));
}

#[test]
fn a_group_in_use_is_neither_reset_nor_deleted() {
    let fake = Fake::start(|api, version, _| match api {
        ApiKey::FindCoordinator => coordinator(version),
        ApiKey::DeleteGroups => {
            let error_code = ErrorCode::NonEmptyGroup.code();
            let results = vec![DeletableGroupResult { group_id: "g".into(), error_code }];
            Answer::Body(encode(&DeleteGroupsResponse { results, ..Default::default() }, version))
        }
        _ => committed(ErrorCode::UnknownMemberId, version),
    });
    let mut client = fake.client();
    let reset = client.commit_group_offsets("g", TOPIC, &[(0, 5)]).unwrap_err();
    assert_eq!(reset.code(), Some(ErrorCode::UnknownMemberId));
    let delete = client.delete_group("g").unwrap_err();
    assert_eq!(delete.code(), Some(ErrorCode::NonEmptyGroup));
    assert_eq!((fake.bodies(ApiKey::OffsetCommit).len(), fake.bodies(ApiKey::DeleteGroups).len()), (1, 1));
}

#[test]
fn partitions_without_a_committed_offset_are_left_out() {
    let fake = Fake::start(|api, version, _| match api {
        ApiKey::FindCoordinator => coordinator(version),
        _ => {
            let partition = |partition_index, committed_offset| OffsetFetchResponsePartition {
                partition_index,
                committed_offset,
                ..Default::default()
            };
            let partitions = vec![partition(1, 42), partition(0, -1)];
            let topic = OffsetFetchResponseTopic { name: TOPIC.into(), partitions };
            Answer::Body(encode(&OffsetFetchResponse { topics: vec![topic], ..Default::default() }, version))
        }
    });
    let offsets = fake.client().group_offsets("g").unwrap();
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), [((TOPIC.to_owned(), 1), 42)]);
}

fn joined(code: ErrorCode, leader: &str, others: &[(&str, &[u8])], version: i16) -> Answer {
    let members = others.iter().map(|(id, metadata)| JoinGroupResponseMember {
        member_id: (*id).to_owned().into(),
        metadata: metadata.to_vec().into(),
        ..Default::default()
    });
    let response = JoinGroupResponse {
        error_code: code.code(),
        generation_id: 5,
        protocol_name: Some("range".into()),
        leader: leader.to_owned().into(),
        member_id: "m-1".into(),
        members: members.collect(),
        ..Default::default()
    };
    Answer::Body(encode(&response, version))
}

fn synced(code: ErrorCode, assignment: &[u8], version: i16) -> Answer {
    let response = SyncGroupResponse {
        error_code: code.code(),
        assignment: assignment.to_vec().into(),
        ..Default::default()
    };
    Answer::Body(encode(&response, version))
}

fn beaten(code: ErrorCode, version: i16) -> Answer {
    let response = HeartbeatResponse { error_code: code.code(), ..Default::default() };
    Answer::Body(encode(&response, version))
}

/// Version 0, one topic with one partition, no user data.
const ASSIGNED: [u8; 21] = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
/// Version 0, one topic, no user data.
const SUBSCRIBED: [u8; 13] = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];

/// Says that it lives at every occasion.
fn lively() -> Member {
    Member::new("g", TOPIC, MemberOptions { heartbeat_interval: Duration::ZERO, ..Default::default() })
}

#[test]
fn a_member_joins_under_the_id_that_it_is_given_and_deals_out_what_there_is() {
    let fake = Fake::start(|api, version, nth| match (api, nth) {
        (ApiKey::FindCoordinator, _) => coordinator(version),
        (ApiKey::JoinGroup, 0) => joined(ErrorCode::MemberIdRequired, "", &[], version),
        (ApiKey::JoinGroup, _) => {
            joined(ErrorCode::None, "m-1", &[("m-2", &SUBSCRIBED[..]), ("m-1", &SUBSCRIBED[..])], version)
        }
        (ApiKey::SyncGroup, _) => synced(ErrorCode::None, &ASSIGNED, version),
        (ApiKey::Heartbeat, _) => beaten(ErrorCode::None, version),
        (ApiKey::LeaveGroup, _) => Answer::Body(encode(&LeaveGroupResponse::default(), version)),
        _ => committed(ErrorCode::None, version),
    });
    let (mut client, mut member) = (fake.client(), lively());
    assert_eq!(member.take_part(&mut client).unwrap(), Part::Outside);
    assert_eq!(member.take_part(&mut client).unwrap(), Part::Assigned(vec![0]));
    assert_eq!(member.take_part(&mut client).unwrap(), Part::Kept);
    assert!(member.commit(&mut client, &[(0, 42)]).unwrap());
    member.leave(&mut client).unwrap();
    member.leave(&mut client).unwrap();

    let joins = fake.bodies(ApiKey::JoinGroup);
    let ids: Vec<String> = joins.iter().map(|body| join(body).member_id.into_owned()).collect();
    assert_eq!(ids, ["", "m-1"]);
    let request = join(&joins[1]);
    assert_eq!((&*request.protocol_type, &*request.protocols[0].name), ("consumer", "range"));
    assert_eq!(&*request.protocols[0].metadata, SUBSCRIBED);
    // There is one partition for two: the first by id has it.
    let syncs = fake.bodies(ApiKey::SyncGroup);
    let sync = SyncGroupRequest::decode(&mut Reader::new(&syncs[0]), 5).unwrap();
    let dealt: Vec<(&str, &[u8])> =
        sync.assignments.iter().map(|one| (&*one.member_id, &*one.assignment)).collect();
    assert_eq!(dealt, [("m-1", &ASSIGNED[..]), ("m-2", &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..])]);
    let bodies = fake.bodies(ApiKey::OffsetCommit);
    let commit = OffsetCommitRequest::decode(&mut Reader::new(&bodies[0]), 9).unwrap();
    assert_eq!((&*commit.member_id, commit.generation_id_or_member_epoch), ("m-1", 5));
    assert_eq!(commit.topics[0].partitions[0].committed_offset, 42);
    let leaves = fake.bodies(ApiKey::LeaveGroup);
    let leave = LeaveGroupRequest::decode(&mut Reader::new(&leaves[0]), 5).unwrap();
    assert_eq!((leaves.len(), &*leave.members[0].member_id), (1, "m-1"));
    assert_eq!(fake.bodies(ApiKey::FindCoordinator).len(), 1);
}

fn join(body: &[u8]) -> JoinGroupRequest<'_> {
    JoinGroupRequest::decode(&mut Reader::new(body), 9).unwrap()
}

#[test]
fn a_member_joins_again_when_it_is_told_to() {
    let fake = Fake::start(|api, version, nth| match (api, nth) {
        (ApiKey::FindCoordinator, _) => coordinator(version),
        (ApiKey::JoinGroup, _) => joined(ErrorCode::None, "another", &[], version),
        (ApiKey::SyncGroup, 1) => synced(ErrorCode::RebalanceInProgress, &[], version),
        (ApiKey::SyncGroup, _) => synced(ErrorCode::None, &ASSIGNED, version),
        (ApiKey::Heartbeat, 0) => beaten(ErrorCode::RebalanceInProgress, version),
        (ApiKey::Heartbeat, 1) => beaten(ErrorCode::UnknownMemberId, version),
        (ApiKey::Heartbeat, 2) => beaten(ErrorCode::NotCoordinator, version),
        (ApiKey::Heartbeat, 3) => beaten(ErrorCode::None, version),
        (ApiKey::Heartbeat, _) => beaten(ErrorCode::GroupAuthorizationFailed, version),
        _ => committed(ErrorCode::IllegalGeneration, version),
    });
    let (mut client, mut member) = (fake.client(), lively());
    let assigned = Part::Assigned(vec![0]);
    assert_eq!(member.take_part(&mut client).unwrap(), assigned);
    // Told so by the answer to its heartbeat, and then by that to its sync.
    assert_eq!(member.take_part(&mut client).unwrap(), Part::Outside);
    assert_eq!(member.take_part(&mut client).unwrap(), assigned);
    // Out of the group: it comes back as somebody else.
    assert_eq!(member.take_part(&mut client).unwrap(), assigned);
    // The coordinator has moved.
    assert_eq!(member.take_part(&mut client).unwrap(), Part::Kept);
    assert!(!member.commit(&mut client, &[(0, 42)]).unwrap(), "others have the partition by now");
    assert!(!member.commit(&mut client, &[(0, 43)]).unwrap(), "it is not even asked");
    assert_eq!(member.take_part(&mut client).unwrap(), assigned);
    let error = member.take_part(&mut client).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupAuthorizationFailed));
    let ids: Vec<String> =
        fake.bodies(ApiKey::JoinGroup).iter().map(|body| join(body).member_id.into_owned()).collect();
    assert_eq!(ids, ["", "m-1", "m-1", "", "m-1"]);
    assert_eq!((fake.bodies(ApiKey::FindCoordinator).len(), fake.bodies(ApiKey::OffsetCommit).len()), (2, 1));
}
