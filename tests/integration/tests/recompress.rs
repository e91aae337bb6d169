//! Topics that keep another codec than their producers send.

use crate::setup;
use client::compression::Compression;
use client::{ProduceOptions, Producer};
use integration::raw::{self, Raw};
use integration::records::{create, now_ms, patient, plain_producer, read_all, write};
use integration::{Scratch, files_below};
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::FetchResponse;
use kafka_wire::{ApiKey, Decode, ErrorCode, Reader, RecordBatch, ResponseHeader, response_header_version};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

const CODECS: [(&str, Compression); 5] = [
    ("uncompressed", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];
const RECORDS: usize = 3000;

fn value(number: usize) -> Vec<u8> {
    format!("record {number} of many that are alike; ").into_bytes().repeat(1 + number % 20)
}

/// The codecs of the batches that begin with this topic's records in the segments.
fn kept(scratch: &Scratch, topic: &str) -> BTreeSet<i16> {
    let mut found = BTreeSet::new();
    let files = files_below(&scratch.join("data").join("topics"), ".log");
    for file in files.iter().filter(|file| file.to_string_lossy().contains(topic)) {
        let bytes = fs::read(file).expect("a segment");
        let mut rest = &bytes[..];
        while let Ok((batch, behind)) = RecordBatch::split_first(rest) {
            assert_eq!(batch.crc(), batch.compute_crc());
            found.insert(batch.compression().expect("a codec") as i16);
            rest = behind;
        }
    }
    found
}

#[test]
fn batches_are_kept_in_the_topics_codec_and_in_their_order() {
    let scratch = Scratch::new("recompress");
    let flumen = setup(&scratch).set("compression.type", "lz4").set("compression.gzip.level", 9).start();
    let mut client = patient(flumen.address);
    let mut topics: Vec<(String, i16)> = Vec::new();
    for (name, codec) in CODECS {
        create(&mut client, &format!("into-{name}"), 1, &[("compression.type", name)]);
        topics.push((format!("into-{name}"), codec as i16));
    }
    create(&mut client, "by-default", 1, &[]);
    topics.push(("by-default".to_owned(), Compression::Lz4 as i16));
    for (topic, _) in &topics {
        for (round, (_, compression)) in CODECS.into_iter().enumerate() {
            // Idempotent, several batches under way: one that came before another would be refused.
            let options = ProduceOptions { compression, batch_bytes: 20_000, ..ProduceOptions::default() };
            let mut producer = Producer::open(&mut client, topic, options).expect("a producer");
            for number in 0..RECORDS {
                let value = value(round * RECORDS + number);
                producer.send(&mut client, Some(0), now_ms(), None, Some(&value[..]), &[]).expect("sent");
            }
            producer.flush(&mut client).expect("acknowledged");
            assert_eq!(producer.totals().retried, 0);
        }
        let found = read_all(&mut client, topic, 0);
        assert_eq!(found.len(), CODECS.len() * RECORDS, "{topic}");
        for (number, record) in found.iter().enumerate() {
            assert!(record.offset == number as i64 && record.value == value(number), "{topic} at {number}");
        }
    }
    flumen.stop();
    for (topic, codec) in &topics {
        assert_eq!(kept(&scratch, topic), BTreeSet::from([*codec]), "{topic}");
    }
}

fn fetch(topic: &str) -> FetchRequest<'static> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic =
        FetchTopic { topic: topic.to_owned().into(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

#[test]
fn consumers_that_are_older_than_zstd_are_told_so() {
    let scratch = Scratch::new("old-consumers");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "modern", 1, &[("compression.type", "zstd")]);
    create(&mut client, "any", 1, &[]);
    for topic in ["modern", "any"] {
        let mut producer = plain_producer(&mut client, topic);
        write(&mut client, &mut producer, 0, b"value").expect("acknowledged");
    }
    let cases = [
        ("modern", 9, ErrorCode::UnsupportedCompressionType),
        ("modern", 12, ErrorCode::None),
        ("any", 9, ErrorCode::None),
    ];
    for (topic, version, code) in cases {
        let mut connection = Raw::connect(flumen.address).expect("it listens");
        connection.send(&raw::encoded(ApiKey::Fetch, version, 1, &fetch(topic))).expect("sent");
        let answer = connection.answer(Duration::from_secs(30)).expect("an answer");
        let mut reader = Reader::new(&answer);
        let header = response_header_version(ApiKey::Fetch, version);
        ResponseHeader::decode(&mut reader, header).expect("a header");
        let response = FetchResponse::decode(&mut reader, version).expect("a response");
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, code.code(), "{topic}, version {version}");
        let is_empty = partition.records.bytes().is_empty();
        assert_eq!(is_empty, code != ErrorCode::None, "{topic}, version {version}");
    }
    flumen.stop();
}
