//! What a batch goes through before it is believed: its header, its checksum; and, for readers, its records.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_wire::RecordBatch;
use micro::batches::batch;
use std::hint::black_box;

fn checks(c: &mut Criterion) {
    for (name, records, value) in [("1x100B", 1, 100), ("16x1KB", 16, 1000), ("1000x1KB", 1000, 1000)] {
        let bytes = batch(records, value).expect("builds");
        let mut group = c.benchmark_group("record-batch");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("header-and-checksum", name), &bytes, |b, bytes| {
            b.iter(|| {
                let (batch, _) = RecordBatch::split_first(black_box(bytes)).expect("a batch");
                assert_eq!(batch.compute_crc(), batch.crc());
            });
        });
        group.bench_with_input(BenchmarkId::new("records", name), &bytes, |b, bytes| {
            b.iter(|| {
                let (batch, _) = RecordBatch::split_first(black_box(bytes)).expect("a batch");
                let records = batch.records().expect("not compressed");
                black_box(records.filter(Result::is_ok).count())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, checks);
criterion_main!(benches);
