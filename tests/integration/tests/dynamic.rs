//! Settings of the broker that are changed while it runs hold at once, and still after a restart.

use crate::connections::served;
use crate::setup;
use client::OffsetAt;
use integration::raw::{Raw, read};
use integration::records::{create, end, now_ms, patient, plain_producer};
use integration::{Flumen, Scratch, Setup, eventually};
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_wire::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::{ApiKey, BatchBuilder, Records};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// Kafka's number of brokers among resources.
const BROKER: i8 = 4;
const HOUR_MS: i64 = 3_600_000;
const MESSAGE_TOO_LARGE: i16 = 10;

/// Sets a key for all brokers, or with `None` takes it back; gives the error code.
fn alter(connection: &mut Raw, key: &'static str, value: Option<&str>) -> i16 {
    let config = AlterableConfig {
        name: key.into(),
        config_operation: i8::from(value.is_none()),
        value: value.map(|value| value.to_owned().into()),
    };
    let resource =
        AlterConfigsResource { resource_type: BROKER, resource_name: "".into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = connection.ask(ApiKey::IncrementalAlterConfigs, 1, &request);
    let response: IncrementalAlterConfigsResponse<'_> = read(&answer, ApiKey::IncrementalAlterConfigs, 1);
    response.responses[0].error_code
}

fn connect(flumen: &Flumen) -> Raw {
    Raw::connect(flumen.address).expect("it listens")
}

#[test]
fn limits_on_connections() {
    for (key, value) in [
        ("max.connections", "6"),
        ("max.connections.per.ip", "6"),
        ("max.connections.per.ip.overrides", "127.0.0.1:6"),
        ("listener.name.plaintext.max.connections", "6"),
    ] {
        let scratch = Scratch::new("limits");
        let flumen = setup(&scratch).start();
        let mut admin = connect(&flumen);
        assert_eq!(alter(&mut admin, key, None), 0, "{key}: nothing is set");
        let (count, open) = served(&flumen, 8);
        assert_eq!(count, 8, "{key}: as many as come");
        assert_eq!(alter(&mut admin, key, Some(value)), 0, "{key}");
        assert_eq!(served(&flumen, 1).0, 0, "{key}: those from before are counted");
        assert_eq!(alter(&mut admin, key, Some(value)), 0, "{key}: and stay");
        drop(open);
        eventually("there is room beside the first for five", SOON, || {
            (served(&flumen, 10).0 == 5).then_some(())
        });
        flumen.stop();
        let flumen = setup(&scratch).start();
        let (count, open) = served(&flumen, 10);
        assert_eq!(count, 6, "{key}: after a restart");
        drop(open);
        let mut admin = eventually("a connection that is served", SOON, || {
            let (count, mut open) = served(&flumen, 1);
            (count == 1).then(|| open.remove(0))
        });
        assert_eq!(alter(&mut admin, key, None), 0, "{key}");
        assert_eq!(served(&flumen, 10).0, 10, "{key}: the limit is gone");
        flumen.stop();
    }
}

#[test]
fn a_pace_of_connections() {
    let scratch = Scratch::new("pace");
    // Of two windows one second counts besides the current one.
    let flumen = setup(&scratch).set("quota.window.num", 2).start();
    let mut admin = connect(&flumen);
    assert_eq!(served(&flumen, 50).0, 50);
    assert_eq!(alter(&mut admin, "max.connection.creation.rate", Some("10")), 0);
    let began = Instant::now();
    assert_eq!(served(&flumen, 35).0, 35, "they wait, and nobody is turned away");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_000), "35 connections at 10 a second took {took:?}");
    assert_eq!(alter(&mut admin, "max.connection.creation.rate", None), 0);
    flumen.stop();
}

/// A broker that drains, and looks for old segments, from the start on and all the time.
fn hasty(scratch: &Scratch) -> Setup {
    let setup = setup(scratch).set("log.retention.check.interval.ms", 50);
    setup.set("log.initial.task.delay.ms", 50).set("flumen.drain.interval.ms", 50)
}

#[test]
fn what_topics_inherit() {
    let scratch = Scratch::new("inherited");
    let setup = hasty(&scratch);
    let flumen = setup.start();
    let mut client = patient(flumen.address);
    ["large", "old"].into_iter().for_each(|topic| create(&mut client, topic, 1, &[]));
    let mut admin = connect(&flumen);
    assert_eq!(write_large(&mut admin), 0, "smaller than a megabyte");
    assert_eq!(alter(&mut admin, "message.max.bytes", Some("4000")), 0);
    assert_eq!(write_large(&mut admin), MESSAGE_TOO_LARGE);
    old_records_go(&flumen, false);
    assert_eq!(alter(&mut admin, "log.retention.ms", Some("60000")), 0);
    old_records_go(&flumen, true);
    flumen.stop();
    let flumen = setup.start();
    assert_eq!(write_large(&mut connect(&flumen)), MESSAGE_TOO_LARGE, "after a restart too");
    old_records_go(&flumen, true);
    flumen.stop();
}

/// Appends one record of 5,000 bytes; gives the error code. A client of ours would ask first how large it may be.
fn write_large(connection: &mut Raw) -> i16 {
    let mut builder = BatchBuilder::new();
    builder.append(now_ms(), None, Some(&[b'x'; 5_000]), &[]).expect("a record");
    let batch = builder.build().expect("a batch");
    let partition = PartitionProduceData { index: 0, records: Records::Bytes(&batch) };
    let topic =
        TopicProduceData { name: "large".into(), partition_data: vec![partition], ..Default::default() };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() };
    let answer = connection.ask(ApiKey::Produce, 9, &request);
    let response: ProduceResponse<'_> = read(&answer, ApiKey::Produce, 9);
    response.responses[0].partition_responses[0].error_code
}

/// Writes a record of an hour ago and looks whether retention takes it away.
fn old_records_go(flumen: &Flumen, expected: bool) {
    let mut client = patient(flumen.address);
    let mut producer = plain_producer(&mut client, "old");
    producer.send(&mut client, Some(0), now_ms() - HOUR_MS, None, Some(b"old"), &[]).expect("sent");
    producer.flush(&mut client).expect("acknowledged");
    let end = end(&mut client, "old", 0).expect("an offset");
    let mut is_empty =
        || client.offsets("old", &[0], OffsetAt::Beginning).expect("an offset")[0].offset == end;
    match expected {
        true => eventually("the old record goes", SOON, || is_empty().then_some(())),
        false => {
            thread::sleep(Duration::from_millis(500));
            assert!(!is_empty(), "a week is not over");
        }
    }
}

/// What all topics inherit may contradict what one of them has: that one stays what it is, and above all compacted.
#[test]
fn what_contradicts_a_topics_own_settings() {
    let scratch = Scratch::new("contradiction");
    let setup = hasty(&scratch);
    let flumen = setup.start();
    let mut client = patient(flumen.address);
    create(&mut client, "kept", 1, &[("cleanup.policy", "compact"), ("max.compaction.lag.ms", "3600000")]);
    let mut producer = plain_producer(&mut client, "kept");
    // Older than what is deleted by default.
    let old = now_ms() - 10 * 24 * HOUR_MS;
    producer.send(&mut client, Some(0), old, Some(b"key"), Some(b"value"), &[]).expect("sent");
    producer.flush(&mut client).expect("acknowledged");
    assert_eq!(alter(&mut connect(&flumen), "log.cleaner.min.compaction.lag.ms", Some("7200000")), 0);
    let still_there = |flumen: &Flumen| {
        thread::sleep(Duration::from_millis(1_000));
        let begin = patient(flumen.address).offsets("kept", &[0], OffsetAt::Beginning).expect("an offset");
        assert_eq!(begin[0].offset, 0, "a compacted topic's records do not grow too old");
    };
    still_there(&flumen);
    flumen.stop();
    let flumen = setup.start();
    still_there(&flumen);
    flumen.stop();
}

#[test]
fn the_pace_of_the_cleaner() {
    const RUNS: &str = "flumen_cleaner_runs_total";
    let scratch = Scratch::new("backoff");
    let setup = setup(&scratch).set("log.cleaner.backoff.ms", HOUR_MS).set("flumen.drain.interval.ms", 50);
    let flumen = setup.start();
    let mut client = patient(flumen.address);
    // Each record begins a segment of its own.
    let compacted = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")];
    create(&mut client, "compacted", 1, &compacted);
    let fill = |flumen: &Flumen| {
        let mut client = patient(flumen.address);
        let mut producer = plain_producer(&mut client, "compacted");
        for _ in 0..10 {
            producer.send(&mut client, Some(0), now_ms(), Some(b"key"), Some(b"value"), &[]).expect("sent");
            producer.flush(&mut client).expect("acknowledged");
            thread::sleep(Duration::from_millis(5));
        }
    };
    fill(&flumen);
    thread::sleep(Duration::from_millis(1_000));
    assert_eq!(flumen.metric(RUNS), 0.0, "it sleeps for an hour");
    assert_eq!(alter(&mut connect(&flumen), "log.cleaner.backoff.ms", Some("50")), 0);
    eventually("it is woken", SOON, || (flumen.metric(RUNS) > 0.0).then_some(()));
    flumen.stop();
    let flumen = setup.start();
    // It looks when it begins, whatever is set.
    thread::sleep(Duration::from_millis(500));
    let before = flumen.metric(RUNS);
    fill(&flumen);
    eventually("it looks again after a restart", SOON, || (flumen.metric(RUNS) > before).then_some(()));
    flumen.stop();
}
