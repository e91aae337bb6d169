//! CRC32C, the checksum of record batches and of every file of ours.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn crc(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for size in [1 << 10, 16 << 10, 1 << 20] {
        let bytes: Vec<u8> = (0..size).map(|i: usize| (i * 31 % 251) as u8).collect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("crc32c", size), &bytes, |b, bytes| {
            b.iter(|| crc32c::crc32c(black_box(bytes)));
        });
        #[cfg(feature = "comparators")]
        group.bench_with_input(BenchmarkId::new("crc-fast", size), &bytes, |b, bytes| {
            b.iter(|| crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, black_box(bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, crc);
criterion_main!(benches);
