//! A disk without a free block: topics come, change and go, and records go.

use crate::disk::{MIB, fill, on_small_disk, until_written};
use client::admin::ConfigChange;
use client::{Client, OffsetAt};
use integration::records::{create, patient, read_into};
use integration::{Scratch, raw};
use kafka_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_wire::messages::delete_records_response::DeleteRecordsResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::fs;
use std::net::SocketAddr;

/// Each change is a commit that waits for the device, and a full file system lets it wait: so there are few, and long
/// names make them large. The metadata log of so many has several blocks, of which one may have been begun before.
const TOPICS: usize = 40;

fn late(number: usize) -> String {
    format!("late-{number}-{}", "x".repeat(230))
}

/// Deletes what is before an offset of partition 0, and gives the error and where the log begins.
fn delete_records(address: SocketAddr, topic: &str, offset: i64) -> (i16, i64) {
    const VERSION: i16 = 2;
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset }],
        }],
        timeout_ms: 10_000,
    };
    let answer = raw::ask(address, ApiKey::DeleteRecords, VERSION, &request);
    let response: DeleteRecordsResponse<'_> = raw::read(&answer, ApiKey::DeleteRecords, VERSION);
    let result = &response.topics[0].partitions[0];
    (result.error_code, result.low_watermark)
}

fn setting(client: &mut Client, topic: &str, key: &str) -> Option<String> {
    let entries = client.topic_configs(topic).expect("settings");
    entries.into_iter().find(|entry| entry.name == key)?.value
}

#[test]
fn on_a_full_disk_topics_are_created_altered_and_deleted_and_records_deleted() {
    let scratch = Scratch::new("full-changes");
    let disk = on_small_disk(&scratch, 24);
    let flumen = disk.start();
    let mut admin = patient(flumen.address);
    create(&mut admin, "full", 1, &[("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")]);
    create(&mut admin, "bystander", 2, &[]);
    let (acknowledged, refusal) = fill(flumen.address, "full", 400);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError), "after {} records", acknowledged.len());
    // The file system keeps a little for itself: the rest of it goes as well.
    let rest = flumen.seen(&disk.data().join("rest"));
    fs::write(&rest, vec![0; 24 * MIB]).expect_err("it is full");
    for number in 0..TOPICS {
        create(&mut admin, &late(number), 1, &[]);
    }
    let change = ConfigChange::Set("retention.ms".to_owned(), "3600001".to_owned());
    admin.alter_topic_configs("bystander", &[change]).expect("settings go on");
    assert_eq!(setting(&mut admin, "bystander", "retention.ms").as_deref(), Some("3600001"));
    for number in 0..TOPICS / 2 {
        admin.delete_topic(&late(number)).expect("deletes go on");
    }
    let topics = admin.metadata(None).expect("metadata").topics;
    assert!(!topics.contains_key(&late(0)) && topics.contains_key(&late(TOPICS - 1)));
    // Nothing of that has made room, and deleting records does.
    let begin = acknowledged.len() as i64 / 2;
    assert_eq!(delete_records(flumen.address, "full", begin), (0, begin));
    let first = admin.offsets("full", &[0], OffsetAt::Beginning).expect("offsets")[0].offset;
    assert_eq!(first, begin);
    let mut kept = Vec::new();
    read_into(&mut admin, "full", 0, begin, &mut kept).expect("reads go on");
    let expected = &acknowledged[begin as usize..];
    assert!(kept.len() >= expected.len());
    assert!(kept.iter().zip(expected).all(|(found, value)| found.value == *value));
    until_written(&flumen, "full");
    flumen.kill();
}
