//! The committed inputs: how they are made, and that every target takes them.

mod seeds;

use controller::frame::{FileHeader, FileKind, FrameHeader};
use controller::record::PartitionRecord;
use controller::{Endpoint, QuotaEntity, QuotaKey, QuotaLimit, Record, Resource, ResourceKind};
use kafka_wire::{API_VERSIONS, BatchBuilder, fill};
use model::{NodeId, PartitionId, TopicId};
use std::fs;
use std::path::PathBuf;

/// A target by name.
type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

const TARGETS: &[Target] = &[
    ("append", fuzz::append::run, seeds::append),
    ("compression", fuzz::compression::run, compression),
    ("config", fuzz::config::run, config),
    ("coordinator_records", fuzz::coordinator_records::run, seeds::coordinator_records),
    ("frames", fuzz::frames::run, frames),
    ("front_door", fuzz::front_door::run, seeds::front_door),
    ("inspect", fuzz::inspect::run, seeds::inspect),
    ("metadata", fuzz::metadata::run, metadata),
    ("otlp", fuzz::otlp::run, pushes),
    ("record_batch", fuzz::record_batch::run, record_batches),
    ("recovery", fuzz::recovery::run, recovery),
    ("request", fuzz::request::run, requests),
    ("response", fuzz::response::run, responses),
    ("start_files", fuzz::start_files::run, seeds::start_files),
];

fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn every_target_takes_its_corpus() {
    for (target, run, _) in TARGETS {
        let files: Vec<_> =
            fs::read_dir(directory(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{target}");
        files.iter().for_each(|file| run(&fs::read(file).unwrap()));
    }
}

/// Makes the corpus again: `cargo xtask fuzz --corpus`.
#[test]
#[ignore = "writes files"]
fn make() {
    for (target, _, inputs) in TARGETS {
        let directory = directory(target);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        for (index, input) in inputs().iter().enumerate() {
            fs::write(directory.join(format!("{index:03}")), input).unwrap();
        }
    }
}

/// Every API in its newest version.
fn messages(make: fn(i16, i16, u64) -> Result<Vec<u8>, kafka_wire::WireError>) -> Vec<Vec<u8>> {
    let made = API_VERSIONS.iter().map(|api| {
        let (key, version) = (api.key as i16, api.max);
        let mut input = [key.to_be_bytes(), version.to_be_bytes()].concat();
        input.extend(make(key, version, 1).unwrap());
        input
    });
    made.collect()
}

fn requests() -> Vec<Vec<u8>> {
    messages(fill::request)
}

fn responses() -> Vec<Vec<u8>> {
    messages(fill::response)
}

fn batch(records: i32) -> BatchBuilder {
    let mut builder = BatchBuilder::new().producer(7, 0, 3);
    for record in 0..records {
        let key = record.to_be_bytes();
        let headers: &[(&str, Option<&[u8]>)] =
            if record % 2 == 0 { &[("h", Some(b"v")), ("h", None)] } else { &[] };
        builder.append(1_700_000_000_000 + i64::from(record), Some(&key), Some(b"value"), headers).unwrap();
    }
    builder
}

fn record_batches() -> Vec<Vec<u8>> {
    let one = batch(1).build().unwrap();
    let many = batch(20).build().unwrap();
    vec![one.clone(), many.clone(), [one, many].concat(), batch(3).transactional().build().unwrap()]
}

fn compression() -> Vec<Vec<u8>> {
    use kafka_wire::record_batch::Compression::{Gzip, Lz4, Snappy, Zstd};
    let records = b"a record, a record, a record and another record".repeat(20);
    let packed = [(1, Gzip), (2, Snappy), (3, Lz4), (4, Zstd)].map(|(number, codec)| {
        let mut input = vec![number];
        input.extend(client::compression::compress(codec, &records).unwrap());
        input
    });
    packed.to_vec()
}

fn frames() -> Vec<Vec<u8>> {
    let frame = |length: usize| [(length as u32).to_be_bytes().to_vec(), vec![b'x'; length]].concat();
    let stream = |parts: &[Vec<u8>]| [vec![1], parts.concat()].concat();
    vec![
        stream(&[frame(10)]),
        stream(&[frame(0), frame(3), frame(5000), frame(1)]),
        stream(&[frame(70_000), b"\0\0".to_vec()]),
        stream(&[90_000_000u32.to_be_bytes().to_vec(), b"ten bytes!".to_vec()]),
        stream(&[frame(4), vec![0x80, 0, 0, 0]]),
        stream(&[b"GET / HTTP/1.1\r\n\r\n".to_vec()]),
    ]
}

fn config() -> Vec<Vec<u8>> {
    let texts = [
        "num.partitions=3\nlog.segment.bytes=1048576\nlisteners=PLAINTEXT://:9092,PLAINTEXT://127.0.0.1:1\n",
        "retention.ms=-1\ncleanup.policy=compact,delete\nmin.cleanable.dirty.ratio=0.5\nsegment.byte=1\n",
        "advertised.listeners=PLAINTEXT://host:1\nlog.retention.hours=1\nlog.retention.ms=5\nflumen.cores=0-1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// A log, a snapshot, and records without a file around them.
fn metadata() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    all_records().iter().for_each(|record| record.encode(&mut records));
    let file = |kind| {
        let header = FrameHeader {
            payload_bytes: records.len() as u32,
            base_offset: 0,
            epoch: 1,
            records: all_records().len() as u32,
            payload_crc: crc32c::crc32c(&records),
        };
        let commit = [&header.encode()[..], &records].concat();
        [&FileHeader::new(kind, 0, 1).encode()[..], &commit, b"damage", &commit].concat()
    };
    let files = [file(FileKind::Log), file(FileKind::Snapshot)];
    files.into_iter().chain([records]).collect()
}

fn all_records() -> Vec<Record> {
    let topic = TopicId([7; 16]);
    let endpoint =
        Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092, security: 0 };
    let partition = PartitionRecord {
        topic,
        partition: PartitionId(0),
        leader: NodeId(1),
        leader_epoch: 2,
        partition_epoch: 3,
        replicas: [NodeId(1), NodeId(2)].into(),
        isr: [NodeId(1)].into(),
    };
    let resource = Resource::new(ResourceKind::Topic, "orders");
    vec![
        Record::Cluster { id: "a cluster".into() },
        Record::Node { node: NodeId(1), epoch: 5, rack: Some("r".into()), endpoints: vec![endpoint] },
        Record::Topic { id: topic, name: "orders".into() },
        Record::Partition(partition),
        Record::Config { resource, key: "retention.ms".into(), value: Some("5".into()) },
        Record::Feature { name: "metadata.version".into(), level: 29 },
        Record::ProducerIds { next: 1000 },
        Record::ClientQuota {
            entity: QuotaEntity::UserClientId(Some("u".into()), None),
            key: QuotaKey::ProducerByteRate,
            limit: QuotaLimit::new(1024.0),
        },
        Record::RemoveTopic { id: topic },
    ]
}

/// Each file as empty, as zeros and, where its format is another crate's, as it should be.
fn recovery() -> Vec<Vec<u8>> {
    let batch = batch(3).build().unwrap();
    let contents = |which: u8| match which {
        3 => vec![vec![], batch.clone(), [&batch[..], &[0; 100]].concat()],
        4 => vec![vec![], vec![0; 8], vec![0, 0, 0, 9, 0, 0, 0, 61]],
        5 => vec![vec![], vec![0; 12]],
        7 => vec![vec![], vec![0; 34]],
        8 => vec![vec![], b"0\n1\n0 0\n".to_vec()],
        9 => vec![vec![], cleaner_state()],
        _ => vec![vec![], vec![0; 4096], b"FLMK".to_vec()],
    };
    let inputs = (0..10u8).flat_map(|which| {
        let befores = [0, 3, 131].into_iter();
        befores
            .flat_map(move |before| {
                contents(which).into_iter().map(move |content| [vec![which, before], content].concat())
            })
            .collect::<Vec<_>>()
    });
    inputs.collect()
}

/// A log that was compacted up to its third record.
fn cleaner_state() -> Vec<u8> {
    let said = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &0i64.to_le_bytes(), &3i64.to_le_bytes()].concat();
    [&b"FLMC"[..], &crc32c::crc32c(&said).to_le_bytes(), &said].concat()
}

/// Pushes of a gauge and of a sum with an attribute.
fn pushes() -> Vec<Vec<u8>> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8][..], content].concat();
    let value = [&[4 << 3 | 1][..], &1.5f64.to_bits().to_le_bytes()].concat();
    let attribute = field(7, &[field(1, b"topic"), field(2, &field(1, b"t"))].concat());
    let gauge = field(5, &field(1, &value));
    let sum = field(7, &[field(1, &[value, attribute].concat()), vec![2 << 3, 2, 3 << 3, 1]].concat());
    let push = |data: Vec<u8>| field(1, &field(2, &field(2, &[field(1, b"a.b"), data].concat())));
    vec![push(gauge), push(sum)]
}
