//! The journal's bytes: a commit built of appends and sealed, and read back as recovery does; by how many batches there
//! are in it and how large they are.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use micro::batches::{TIMESTAMP_MS, batch};
use model::{PartitionId, TopicId, TopicPartition};
use std::hint::black_box;
use storage::inspect::{COMMIT_HEADER_BYTES, CommitHeader, Entries, Entry};

/// Name, batches in the commit, and the bytes of each one's value.
const SHAPES: [(&str, u32, usize); 5] = [
    ("1x100B", 1, 100),
    ("100x100B", 100, 100),
    ("16x1KB", 16, 1000),
    ("16x16KB", 16, 16_000),
    ("1x1MB", 1, 1_000_000),
];

/// An entry for each of so many partitions.
fn appends(count: u32, batch: &[u8]) -> Vec<Entry<'_>> {
    (0..count).map(|number| Entry::Append { number, position: 4096 * number, batch }).collect()
}

/// What a file says first of each partition that it has something of.
fn declarations(count: u32) -> Vec<Entry<'static>> {
    let declared = |number: u32| {
        let id = TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(number as i32) };
        Entry::Declare { number, id, segment: 1_000_000 }
    };
    (0..count).map(declared).collect()
}

fn commit_bytes(entries: &[Entry<'_>]) -> usize {
    COMMIT_HEADER_BYTES + entries.iter().map(Entry::bytes).sum::<usize>()
}

/// Puts the entries behind the place of the header; returns where they end.
fn encode(entries: &[Entry<'_>], commit: &mut [u8]) -> usize {
    entries.iter().fold(COMMIT_HEADER_BYTES, |at, entry| at + entry.encode(&mut commit[at..]))
}

fn seal(length: usize, entries: usize, commit: &mut [u8]) {
    let header = CommitHeader {
        length: length as u32,
        entries: entries as u32,
        sequence: 7,
        epoch: 2,
        file_sequence: 3,
        durable_through: 5,
        drained_through: 1,
        wall_clock_ms: TIMESTAMP_MS,
    };
    header.seal(commit);
}

/// Header, checksum and every entry: as a start looks at a commit.
fn read(commit: &[u8]) -> usize {
    let header = CommitHeader::verify(commit).expect("whole");
    Entries::of(commit, &header).filter(Result::is_ok).count()
}

fn commits(c: &mut Criterion) {
    for (name, count, value) in SHAPES {
        let bytes = batch(1, value).expect("builds");
        let entries = appends(count, &bytes);
        let mut commit = vec![0_u8; commit_bytes(&entries)];
        let mut group = c.benchmark_group("journal");
        group.throughput(Throughput::Bytes(commit.len() as u64));
        group.bench_function(BenchmarkId::new("encode", name), |b| {
            b.iter(|| black_box(encode(black_box(&entries), &mut commit)));
        });
        let length = encode(&entries, &mut commit);
        group.bench_function(BenchmarkId::new("seal", name), |b| {
            b.iter(|| {
                seal(length, entries.len(), black_box(&mut commit));
                black_box(commit[4])
            });
        });
        group.bench_function(BenchmarkId::new("read", name), |b| {
            b.iter(|| assert_eq!(read(black_box(&commit)), entries.len()));
        });
        group.finish();
    }
}

fn declare(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/declare");
    for count in [1, 1000] {
        let entries = declarations(count);
        let mut commit = vec![0_u8; commit_bytes(&entries)];
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(encode(black_box(&entries), &mut commit)));
        });
    }
    group.finish();
}

criterion_group!(benches, commits, declare);
criterion_main!(benches);
