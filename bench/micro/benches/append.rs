//! A log's append: the batch checked, given its offsets, and copied into the commit that the journal will write;
//! commits that are full are sealed on the way. The device is the simulator's, and waiting for it is not measured.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use micro::batches::{TIMESTAMP_MS, batch};
use model::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicPartition};
use sim_driver::{World, WorldOptions};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use storage::{AppendContext, AppendError, LogConfig, Origin, PartitionSpec, Store, StoreOptions, recover};

const POOL_BYTES: usize = 256 << 20;
/// Appends between two waits for the device.
const PORTION: u64 = 64;
/// The simulator keeps files in memory: a partition that has so many bytes is deleted, and a new one begun.
const PARTITION_BYTES: u64 = 64 << 20;
const DATA: &str = "/data";

/// A store on a simulated machine.
struct Bed {
    world: World,
    executor: Executor,
    store: Rc<Store>,
    /// The number of the next partition: none is used twice.
    next: i32,
}

impl Bed {
    fn new() -> Bed {
        let options =
            WorldOptions { wall_clock_ms: TIMESTAMP_MS, steps_max: u64::MAX, ..WorldOptions::default() };
        let options = WorldOptions { time_max: Duration::from_secs(1_000_000), ..options };
        let world = World::new(1, options);
        let node = world.add_node();
        world.make_directory(node, Path::new(DATA));
        let pool = Pool::new(POOL_BYTES).expect("maps");
        let driver = world.driver(node, pool.clone());
        let executor = Executor::new(driver, Options { idle: IdlePolicy::Park, seed: None });
        let store = world.run(std::slice::from_ref(&executor), async move {
            let options = StoreOptions::new(DATA, ShardId(0), pool);
            let names = |_| Some("topic".to_owned());
            let shards = [PathBuf::from("/data/shard-0")];
            recover(&options.data, &shards, &options.pool, &names).await.expect("recovers");
            Store::open(options).await.expect("opens")
        });
        Bed { world, executor, store: Rc::new(store.expect("starts")), next: 0 }
    }

    /// How long so many appends of a batch take.
    fn appends(&mut self, batch: &Rc<[u8]>, count: u64) -> Duration {
        let (store, batch, first) = (self.store.clone(), batch.clone(), self.next);
        let took = async move {
            let (mut number, mut left, mut total) = (first, count, Duration::ZERO);
            while left > 0 {
                let portion = left.min(PARTITION_BYTES.div_ceil(batch.len() as u64));
                total += appended(&store, number, &batch, portion).await;
                (number, left) = (number + 1, left - portion);
            }
            (total, number)
        };
        let took = self.world.run(std::slice::from_ref(&self.executor), took);
        let (total, next) = took.expect("goes on");
        self.next = next;
        total
    }
}

/// Appends to a new partition, which is deleted at the end.
async fn appended(store: &Store, number: i32, batch: &[u8], count: u64) -> Duration {
    let id = TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(number) };
    let spec = PartitionSpec {
        id,
        topic_name: "topic".to_owned(),
        config: Rc::new(LogConfig::default()),
        leader_epoch: LeaderEpoch(0),
    };
    let context = AppendContext {
        now_ms: TIMESTAMP_MS,
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        since: None,
    };
    let partition = store.create_partition(spec).await.expect("creates");
    let (mut total, mut left) = (Duration::ZERO, count);
    while left > 0 {
        let (mut last, mut done) = (None, 0);
        let start = Instant::now();
        while done < left.min(PORTION) {
            match partition.append(batch, &context) {
                Ok(appended) => last = Some(appended.ticket),
                Err(AppendError::Busy) => break,
                Err(error) => panic!("{error}"),
            }
            done += 1;
        }
        total += start.elapsed();
        left -= done;
        match last {
            Some(ticket) => store.committed(&ticket).await.expect("is durable"),
            None => store.room().await,
        }
    }
    drop(partition);
    store.delete_partition(id).await.expect("deletes");
    total
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, records, value) in [("1x100B", 1, 100), ("1x1KB", 1, 1000), ("16x1KB", 16, 1000)] {
        let batch: Rc<[u8]> = batch(records, value).expect("builds").into();
        let mut bed = Bed::new();
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_custom(|count| bed.appends(&batch, count));
        });
        bed.executor.drop_tasks();
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
