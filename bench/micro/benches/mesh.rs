//! The queues between cores: a message there and back, alone and in company.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mesh::{Port, build};
use model::ShardId;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CAPACITY: usize = 1024;
const HERE: ShardId = ShardId(0);
const THERE: ShardId = ShardId(1);

/// About as much as a call between cores carries.
type Message = [u64; 8];

/// Sends back whatever comes, until told to stop.
fn send_back(port: &Port<Message>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let count = port.receive(|from, message| {
            // The other side has no more under way than a queue holds.
            assert!(port.try_send(from, message).is_ok(), "a full queue");
        });
        if count == 0 {
            spin_loop();
        }
    }
}

/// Sends so many messages, and waits until all have come back.
fn there_and_back(port: &Port<Message>, count: usize) {
    for number in 0..count {
        assert!(port.try_send(THERE, black_box([number as u64; 8])).is_ok(), "a full queue");
    }
    let mut back = 0;
    while back < count {
        back += port.receive(|_, message| {
            black_box(message);
        });
        spin_loop();
    }
}

fn queues(c: &mut Criterion) {
    if thread::available_parallelism().map_or(1, |cores| cores.get()) < 2 {
        eprintln!("mesh: two cores are needed to measure what goes between them");
        return;
    }
    let mut ports = build::<Message>(2, CAPACITY);
    let (there, here) = (ports.pop().expect("two"), ports.pop().expect("two"));
    assert_eq!((here.shard(), there.shard()), (HERE, THERE));
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let other = thread::spawn(move || {
        load::os::pin(0).expect("pins");
        send_back(&there, &told);
    });
    load::os::pin(1).expect("pins");
    let mut group = c.benchmark_group("mesh/there-and-back");
    for count in [1, 64] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(|| there_and_back(&here, count)));
    }
    group.finish();
    stop.store(true, Ordering::Relaxed);
    other.join().expect("ends");
}

criterion_group!(benches, queues);
criterion_main!(benches);
