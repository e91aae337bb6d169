//! Clients that use more than they may.

use crate::setup;
use integration::raw::{self, Raw, read};
use integration::records::{create, patient};
use integration::{Flumen, Scratch, eventually};
use kafka_wire::messages::alter_client_quotas_request as alter;
use kafka_wire::messages::alter_client_quotas_response::AlterClientQuotasResponse;
use kafka_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_wire::messages::create_partitions_response::CreatePartitionsResponse;
use kafka_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_wire::messages::create_topics_response::CreateTopicsResponse;
use kafka_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_wire::messages::delete_topics_response::DeleteTopicsResponse;
use kafka_wire::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use kafka_wire::messages::describe_client_quotas_response::DescribeClientQuotasResponse;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::FetchResponse;
use kafka_wire::messages::metadata_request::MetadataRequest;
use kafka_wire::messages::metadata_response::MetadataResponse;
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::{ApiKey, BatchBuilder, Records};
use std::time::{Duration, Instant};

/// Longer than any wait that is imposed here.
const LONG: Duration = Duration::from_secs(30);
/// What [`raw`] calls itself.
const CLIENT: &str = "raw";
const TOPIC: &str = "metered";

/// Sets a quota, or with `None` takes it away.
fn set(connection: &mut Raw, (kind, name): (&str, Option<&str>), key: &str, limit: Option<f64>) {
    let part = alter::EntityData { entity_type: kind.into(), entity_name: name.map(Into::into) };
    let (value, remove) = (limit.unwrap_or_default(), limit.is_none());
    let op = alter::OpData { key: key.into(), value, remove };
    let entry = alter::EntryData { entity: vec![part], ops: vec![op] };
    let request = alter::AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
    let answer = connection.ask(ApiKey::AlterClientQuotas, 1, &request);
    let response: AlterClientQuotasResponse<'_> = read(&answer, ApiKey::AlterClientQuotas, 1);
    let codes: Vec<i16> = response.entries.iter().map(|entry| entry.error_code).collect();
    assert_eq!(codes, [0], "{response:?}");
}

/// Appends one record of so many bytes; gives the milliseconds that the answer tells to wait.
fn produce(connection: &mut Raw, bytes: usize) -> i32 {
    let mut builder = BatchBuilder::new();
    builder.append(1, None, Some(&vec![b'x'; bytes]), &[]).expect("a record");
    let batch = builder.build().expect("a batch");
    let partition = PartitionProduceData { index: 0, records: Records::Bytes(&batch) };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: TOPIC.into(),
            partition_data: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = connection.ask(ApiKey::Produce, 9, &request);
    let response: ProduceResponse<'_> = read(&answer, ApiKey::Produce, 9);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "what is too fast is no error");
    response.throttle_time_ms
}

/// A broker with a topic, and a connection to it.
fn begin(scratch: &Scratch, windows: u32) -> (Flumen, Raw) {
    let flumen = setup(scratch).set("quota.window.num", windows).start();
    create(&mut patient(flumen.address), TOPIC, 1, &[]);
    let connection = Raw::connect(flumen.address).expect("it listens");
    (flumen, connection)
}

#[test]
fn who_produces_too_much_is_told_to_wait_and_must() {
    let scratch = Scratch::new("produce-quota");
    let (flumen, mut connection) = begin(&scratch, 11);
    assert_eq!(produce(&mut connection, 60_000), 0, "nobody has a quota");
    let (entity, key) = (("client-id", Some(CLIENT)), "producer_byte_rate");
    set(&mut connection, entity, key, Some(5_000.0));
    let request = DescribeClientQuotasRequest { components: Vec::new(), strict: false };
    let answer = connection.ask(ApiKey::DescribeClientQuotas, 1, &request);
    let described: DescribeClientQuotasResponse<'_> = read(&answer, ApiKey::DescribeClientQuotas, 1);
    let entries = described.entries.expect("entries");
    assert_eq!((entries.len(), entries[0].values[0].value), (1, 5_000.0));
    assert_eq!(entries[0].entity[0].entity_name.as_deref(), Some(CLIENT));
    // Twelve seconds' worth; ten to eleven seconds count.
    let began = Instant::now();
    let wait = produce(&mut connection, 60_000);
    assert!((900..=2_200).contains(&wait), "{wait} ms");
    // Another connection, perhaps on another core, shares the quota, and more than the first has to wait for.
    let mut other = Raw::connect(flumen.address).expect("it listens");
    assert!(produce(&mut other, 10) > 0, "the quota is the client's, not the connection's");
    // What comes after the wait that was told is not served before that has passed.
    connection.send(&raw::api_versions(2)).expect("sent");
    connection.answer(LONG).expect("an answer");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(wait as u64 - 5), "told to wait {wait} ms, had to {waited:?}");
    set(&mut connection, entity, key, None);
    assert_eq!(produce(&mut connection, 60_000), 0, "the quota is gone");
    assert_eq!(produce(&mut other, 60_000), 0);
    flumen.stop();
}

#[test]
fn who_goes_on_producing_comes_near_the_quota() {
    let scratch = Scratch::new("produce-rate");
    // Of two windows one second counts besides the current one: the first burst is small.
    let (flumen, mut connection) = begin(&scratch, 2);
    // A record is a second's worth: however slow the disk is, more can be written than may be.
    let limit = 20_000.0;
    set(&mut connection, ("user", None), "producer_byte_rate", Some(limit));
    let (began, mut bytes, mut waits) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(6) {
        waits += i32::from(produce(&mut connection, 20_000) > 0);
        bytes += 20_000;
    }
    let rate = f64::from(bytes) / began.elapsed().as_secs_f64();
    println!("{rate:.0} bytes a second at a quota of {limit}, {waits} waits");
    assert!(waits > 0 && rate < 2.0 * limit, "{rate} bytes a second");
    flumen.stop();
}

/// What a fetch gives from an offset: whether records, and the milliseconds to wait.
fn fetch(connection: &mut Raw, offset: i64) -> (bool, i32) {
    let partition =
        FetchPartition { partition: 0, fetch_offset: offset, partition_max_bytes: 1, ..Default::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 1_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = connection.ask(ApiKey::Fetch, 12, &request);
    let response: FetchResponse<'_> = read(&answer, ApiKey::Fetch, 12);
    assert_eq!(response.error_code, 0);
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let some = partitions.any(|one| matches!(&one.records, Records::Bytes(bytes) if !bytes.is_empty()));
    (some, response.throttle_time_ms)
}

#[test]
fn who_fetches_too_much_is_given_nothing_for_a_while() {
    let scratch = Scratch::new("fetch-quota");
    let (flumen, mut connection) = begin(&scratch, 11);
    (0..3).for_each(|_| assert_eq!(produce(&mut connection, 30_000), 0));
    set(&mut connection, ("user", Some("ANONYMOUS")), "consumer_byte_rate", Some(6_000.0));
    // A batch each: the second may be one too many, the third is.
    let mut given = Vec::new();
    while given.len() < 3 && given.last().is_none_or(|(_, wait)| *wait == 0) {
        given.push(fetch(&mut connection, given.len() as i64));
    }
    let (last, before) = given.split_last().expect("the first was asked for");
    assert!(!last.0 && last.1 > 0, "throttled, without records: {given:?}");
    assert!(!before.is_empty() && before.iter().all(|one| *one == (true, 0)), "{given:?}");
    set(&mut connection, ("user", Some("ANONYMOUS")), "consumer_byte_rate", None);
    assert!((0..3).all(|offset| fetch(&mut connection, offset) == (true, 0)), "nothing was lost");
    flumen.stop();
}

#[test]
fn time_is_a_quota_too() {
    let scratch = Scratch::new("time-quota");
    let (flumen, mut connection) = begin(&scratch, 11);
    let mut wait = || {
        let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
        let answer = connection.ask(ApiKey::Metadata, 9, &request);
        read::<MetadataResponse<'_>>(&answer, ApiKey::Metadata, 9).throttle_time_ms
    };
    assert_eq!(wait(), 0);
    let mut admin = Raw::connect(flumen.address).expect("it listens");
    // A nanosecond a second: every request is too much, and the longest wait is a window.
    set(&mut admin, ("client-id", None), "request_percentage", Some(1e-7));
    assert_eq!((wait(), wait()), (1_000, 1_000));
    set(&mut admin, ("client-id", None), "request_percentage", None);
    assert_eq!(wait(), 0);
    flumen.stop();
}

#[test]
fn an_address_that_connects_too_often_waits_at_the_door() {
    let scratch = Scratch::new("connection-quota");
    let (flumen, mut admin) = begin(&scratch, 11);
    set(&mut admin, ("ip", None), "connection_creation_rate", Some(1.0));
    let began = Instant::now();
    let served = || {
        let mut connection = Raw::connect(flumen.address).expect("the kernel accepts for it");
        connection.send(&raw::api_versions(1)).is_ok() && connection.answer(LONG).is_some()
    };
    // Ten at once, since ten seconds count; who is refused is closed after a second at most.
    let count = (0..13).filter(|_| served()).count() as u64;
    assert!((10..=11 + began.elapsed().as_secs()).contains(&count), "{count} were served");
    set(&mut admin, ("ip", None), "connection_creation_rate", None);
    eventually("all are served again", LONG, || served().then_some(()));
    flumen.stop();
}

/// The errors of an answer, and the milliseconds that it tells to wait.
type Told = (Vec<i16>, i32);

fn create_topics(connection: &mut Raw, version: i16, topics: &[(&str, i32)], validate_only: bool) -> Told {
    let topics = topics.iter().map(|&(name, num_partitions)| CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        ..Default::default()
    });
    let topics = topics.collect();
    let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only };
    let answer = connection.ask(ApiKey::CreateTopics, version, &request);
    let response: CreateTopicsResponse<'_> = read(&answer, ApiKey::CreateTopics, version);
    (response.topics.iter().map(|topic| topic.error_code).collect(), response.throttle_time_ms)
}

fn delete_topic(connection: &mut Raw, version: i16, name: &str) -> Told {
    let request =
        DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: 10_000, ..Default::default() };
    let answer = connection.ask(ApiKey::DeleteTopics, version, &request);
    let response: DeleteTopicsResponse<'_> = read(&answer, ApiKey::DeleteTopics, version);
    (response.responses.iter().map(|topic| topic.error_code).collect(), response.throttle_time_ms)
}

fn grow(connection: &mut Raw, version: i16, name: &str, count: i32) -> Told {
    let topic = CreatePartitionsTopic { name: name.into(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    let answer = connection.ask(ApiKey::CreatePartitions, version, &request);
    let response: CreatePartitionsResponse<'_> = read(&answer, ApiKey::CreatePartitions, version);
    (response.results.iter().map(|topic| topic.error_code).collect(), response.throttle_time_ms)
}

#[test]
fn who_creates_and_deletes_too_much_is_refused_or_told_to_wait() {
    const EXCEEDED: i16 = 89;
    let scratch = Scratch::new("mutation-quota");
    let flumen = setup(&scratch).set("controller.quota.window.num", 10).start();
    let connect = || Raw::connect(flumen.address).expect("it listens");
    let (mut admin, key) = (connect(), "controller_mutation_rate");
    // A token in ten seconds, and ten seconds' worth at most: there is one, and debts last longer than this test.
    set(&mut admin, ("client-id", Some(CLIENT)), key, Some(0.1));
    let mut new = connect();
    assert_eq!(create_topics(&mut new, 7, &[("one", 1)], false), (vec![0], 0), "there is one token");
    let (codes, wait) = create_topics(&mut new, 7, &[("two", 4), ("three", 1)], true);
    assert_eq!(codes, [0, EXCEEDED], "without a debt an item may be larger than what is left");
    assert!((20_001..=40_000).contains(&wait), "a dry run costs four partitions too: {wait} ms");
    let (codes, wait) = create_topics(&mut connect(), 5, &[("two", 1)], false);
    assert_eq!(codes, [0], "old clients have their way");
    assert!((20_001..=50_000).contains(&wait), "{wait} ms");
    assert_eq!(grow(&mut connect(), 3, "two", 3).0, [EXCEEDED]);
    let (codes, wait) = grow(&mut connect(), 2, "two", 3);
    assert!(codes == [0] && wait > 20_000, "{codes:?} {wait} ms");
    let (codes, wait) = delete_topic(&mut connect(), 5, "two");
    assert!(codes == [EXCEEDED] && wait > 20_000, "{codes:?} {wait} ms");
    let (codes, wait) = delete_topic(&mut connect(), 4, "one");
    assert!(codes == [0] && wait > 20_000, "{codes:?} {wait} ms");
    set(&mut admin, ("client-id", Some(CLIENT)), key, None);
    // Its wait is over with the quota.
    assert_eq!(grow(&mut new, 3, "two", 3), (vec![37], 0), "it has three partitions by now");
    assert_eq!(delete_topic(&mut new, 5, "two"), (vec![0], 0));
    flumen.stop();
}
