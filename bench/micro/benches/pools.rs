//! Memory: a block from the pool and home again, against fresh memory.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use memory::Pool;
use std::hint::black_box;

const BUDGET: usize = 64 << 20;
const LARGE: usize = 1 << 20;

fn take_and_drop(c: &mut Criterion) {
    let pool = Pool::new(BUDGET).expect("maps");
    let mut group = c.benchmark_group("pools/take-and-drop");
    for bytes in [4 << 10, 64 << 10, LARGE] {
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| {
            b.iter(|| black_box(pool.take(black_box(bytes)).expect("free")));
        });
    }
    group.finish();
}

/// Blocks of several sizes held at once, as on a busy core.
fn mixed(c: &mut Criterion) {
    let pool = Pool::new(BUDGET).expect("maps");
    let sizes: Vec<usize> = (0..64).map(|i| (4 << 10) << (i * 7 % 5)).collect();
    c.bench_function("pools/64-of-mixed-sizes", |b| {
        b.iter(|| {
            let held: Vec<_> = sizes.iter().map(|bytes| pool.take(*bytes).expect("free")).collect();
            black_box(held.len())
        });
    });
}

/// A MiB that is written from one end to the other: of the pool, and of the allocator, which fetches pages anew.
fn written(c: &mut Criterion) {
    let pool = Pool::new(BUDGET).expect("maps");
    let mut group = c.benchmark_group("pools/written-1MiB");
    group.bench_function("pooled", |b| {
        b.iter(|| {
            let mut block = pool.take(LARGE).expect("free");
            block.fill(7);
            black_box(block)
        });
    });
    group.bench_function("fresh", |b| {
        b.iter(|| {
            let mut block: Vec<u8> = Vec::with_capacity(LARGE);
            block.resize(LARGE, 7);
            black_box(block)
        });
    });
    group.finish();
}

criterion_group!(benches, take_and_drop, mixed, written);
criterion_main!(benches);
