//! The Kafka protocol: the hot requests, and the answer that every client asks for first.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kafka_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::produce_view::ProduceView;
use kafka_wire::{Decode, Encode, Reader, Records, Uuid, Writer};
use micro::batches::batch;
use std::hint::black_box;

const METADATA_VERSION: i16 = 13;
/// The last version by name: that of most clients in use.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 17;
const TOPICS: i32 = 10;
const PARTITIONS: i32 = 10;

fn encoded(message: &impl Encode, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).expect("encodes");
    writer.bytes().to_vec()
}

/// Encodes into the same memory again and again, as a connection does.
fn bench_encode(c: &mut Criterion, name: &str, message: &impl Encode, version: i16) {
    let mut writer = Writer::new();
    c.bench_function(name, |b| {
        b.iter(|| {
            writer.clear();
            black_box(message).encode(&mut writer, version).expect("encodes");
            black_box(writer.total_len())
        });
    });
}

fn metadata(c: &mut Criterion) {
    let names: Vec<String> = (0..TOPICS).map(|i| format!("orders-of-region-{i}")).collect();
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: 1,
        leader_epoch: 3,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..MetadataResponsePartition::default()
    };
    let topic = |name: &String| MetadataResponseTopic {
        name: Some(name.as_str().to_owned().into()),
        topic_id: Uuid([7; 16]),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..MetadataResponseTopic::default()
    };
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: "broker-1.example".into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let response = MetadataResponse {
        brokers: vec![broker],
        cluster_id: Some("AAECAwQFBgcICQoLDA0ODw".into()),
        controller_id: 1,
        topics: names.iter().map(topic).collect(),
        ..MetadataResponse::default()
    };
    bench_encode(c, "codec/metadata-response/encode", &response, METADATA_VERSION);
    let bytes = encoded(&response, METADATA_VERSION);
    c.bench_function("codec/metadata-response/decode", |b| {
        b.iter(|| {
            let decoded = MetadataResponse::decode(&mut Reader::new(black_box(&bytes)), METADATA_VERSION);
            black_box(decoded.expect("decodes"));
        });
    });
}

fn produce(c: &mut Criterion) {
    let records = batch(1, 1000).expect("builds");
    let mut group = c.benchmark_group("codec/produce-view");
    for partitions in [1, 100] {
        let part = |index| PartitionProduceData { index, records: Records::Bytes(&records) };
        let topic = TopicProduceData {
            name: "orders".into(),
            partition_data: (0..partitions).map(part).collect(),
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        };
        let bytes = encoded(&request, PRODUCE_VERSION);
        group.throughput(Throughput::Elements(partitions as u64));
        group.bench_with_input(BenchmarkId::from_parameter(partitions), &bytes, |b, bytes| {
            b.iter(|| {
                let mut reader = Reader::new(black_box(bytes));
                let view = ProduceView::decode(&mut reader, PRODUCE_VERSION).expect("decodes");
                let bytes: usize = view.partitions().map(|one| one.records.bytes().len()).sum();
                black_box(bytes)
            });
        });
    }
    group.finish();
}

/// Of 100 partitions: encoded with records that lie elsewhere, as the broker does; decoded with them in place.
fn fetch(c: &mut Criterion) {
    let batches = batch(1, 1000).expect("builds");
    let response = |records: &dyn Fn(i32) -> Records<'static>| {
        let part = |index| PartitionData {
            partition_index: index,
            high_watermark: 1000,
            last_stable_offset: 1000,
            log_start_offset: 0,
            aborted_transactions: None,
            records: records(index),
            ..PartitionData::default()
        };
        let topic = FetchableTopicResponse {
            topic_id: Uuid([7; 16]),
            partitions: (0..100).map(part).collect(),
            ..FetchableTopicResponse::default()
        };
        FetchResponse { session_id: 9, responses: vec![topic], ..FetchResponse::default() }
    };
    let len = batches.len() as u32;
    let outside = response(&|index| Records::External { index: index as u32, len });
    bench_encode(c, "codec/fetch-response/encode", &outside, FETCH_VERSION);
    let held: &'static [u8] = batches.leak();
    let bytes = encoded(&response(&|_| Records::Bytes(held)), FETCH_VERSION);
    c.bench_function("codec/fetch-response/decode", |b| {
        b.iter(|| {
            let decoded = FetchResponse::decode(&mut Reader::new(black_box(&bytes)), FETCH_VERSION);
            black_box(decoded.expect("decodes"));
        });
    });
}

criterion_group!(benches, metadata, produce, fetch);
criterion_main!(benches);
