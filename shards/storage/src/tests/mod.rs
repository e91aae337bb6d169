//! The store as a whole, over the simulator's driver.

mod again;
mod bad_days;
mod basics;
mod borders;
mod clock;
mod cold;
mod compaction;
mod crash;
mod epochs;
mod jitter;
mod lying;
mod more;
mod newest;
mod power;
mod producers;
mod recompress;
mod refused;
mod relaxed;
mod restart;
mod retention;
mod secured;
mod short;
mod transactions;
mod untold;

use crate::batch;
use crate::{
    AppendContext, LogConfig, Origin, Partition, PartitionSpec, ReadBound, Recovered, Store, StoreOptions,
};
use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use model::{LeaderEpoch, Offset, PartitionId, ShardId, TopicId, TopicPartition};
use sim_driver::{NodeId, World, WorldOptions};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) const POOL_BYTES: usize = 8 << 20;

/// A machine on which stores are started and crashed.
pub(crate) struct Rig {
    pub world: World,
    pub node: NodeId,
    seed: u64,
    starts: u64,
    pub tune: fn(&mut StoreOptions),
}

/// One run of a broker's storage: dropped at a crash.
pub(crate) struct Run {
    pub executor: Executor,
    pub pool: Pool,
}

impl Rig {
    pub fn new(seed: u64) -> Rig {
        let options = WorldOptions { log_lines: 50, ..WorldOptions::default() };
        let world = World::new(seed, options);
        let node = world.add_node();
        world.make_directory(node, Path::new("/data"));
        Rig { world, node, seed, starts: 0, tune: |_| {} }
    }

    /// A fresh executor and pool on the machine.
    pub fn begin(&mut self) -> Run {
        self.starts += 1;
        let pool = Pool::new(POOL_BYTES).expect("maps");
        let driver = self.world.driver(self.node, pool.clone());
        let options = Options { idle: IdlePolicy::Park, seed: Some(self.seed * 1000 + self.starts) };
        Run { executor: Executor::new(driver, options), pool }
    }

    /// Options that are small enough for everything to happen in a test.
    pub fn options(&self, run: &Run) -> StoreOptions {
        let mut options = StoreOptions::new("/data", ShardId(0), run.pool.clone());
        options.journal_file_bytes = 256 << 10;
        options.journal_files = 4;
        options.drain_interval = Duration::from_secs(1);
        (self.tune)(&mut options);
        options
    }

    /// Runs a body in a run of the storage.
    pub fn run<T: 'static>(&self, run: &Run, body: impl Future<Output = T> + 'static) -> T {
        match self.world.run(std::slice::from_ref(&run.executor), body) {
            Ok(result) => result,
            Err(error) => panic!("seed {}: {error}\n{}", self.seed, self.world.log().join("\n")),
        }
    }

    /// Power loss.
    pub fn crash(&self, run: Run) {
        self.world.crash(self.node);
        run.executor.drop_tasks();
    }

    /// Power loss, and what the next start begins with.
    pub fn after_crash(&mut self, run: Run) -> (Run, StoreOptions) {
        self.crash(run);
        let run = self.begin();
        let options = self.options(&run);
        (run, options)
    }

    /// The end of the process: what was written stays.
    pub fn kill(&self, run: Run) {
        self.world.kill(self.node);
        run.executor.drop_tasks();
    }

    /// A run that makes a partition, has it filled, and stops: the next one finds it on the device, and nothing in
    /// memory.
    pub fn leave<F: Future<Output = ()> + 'static>(
        &mut self,
        fill: impl FnOnce(Store, Partition) -> F + 'static,
    ) {
        let run = self.begin();
        let options = self.options(&run);
        self.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            fill(store.clone(), partition).await;
            store.stop().await.expect("stops");
        });
        self.kill(run);
    }

    /// A run that finds what [`leave`](Rig::leave) has left, and stops behind the body.
    pub fn find<F: Future<Output = ()> + 'static>(
        &mut self,
        body: impl FnOnce(Store, Partition, Pool) -> F + 'static,
    ) {
        let run = self.begin();
        let (options, pool) = (self.options(&run), run.pool.clone());
        self.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            body(store.clone(), partition, pool).await;
            store.stop().await.expect("stops");
            assert_eq!(store.stats().cache_bytes.load(Ordering::Relaxed), 0, "what was read is let go");
        });
    }
}

/// Recovery and a store.
pub(crate) async fn start(options: StoreOptions) -> (Store, Recovered) {
    let names = |_| Some("topic".to_string());
    let shards = [PathBuf::from("/data/shard-0")];
    let recovered = crate::recover(&options.data, &shards, &options.pool, &names).await.expect("recovers");
    (Store::open(options).await.expect("opens"), recovered)
}

/// Looks for old segments after so many seconds, and again and again.
pub(crate) fn look_every(options: &mut StoreOptions, seconds: u64) {
    options.retention_first = Duration::from_secs(seconds);
    options.retention_check = options.retention_first;
}

pub(crate) fn id(partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(partition) }
}

pub(crate) fn spec_with(partition: i32, config: LogConfig) -> PartitionSpec {
    PartitionSpec {
        id: id(partition),
        topic_name: "topic".to_string(),
        config: Rc::new(config),
        leader_epoch: LeaderEpoch(0),
    }
}

pub(crate) fn spec(partition: i32) -> PartitionSpec {
    spec_with(partition, LogConfig::default())
}

pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn context() -> AppendContext {
    AppendContext { now_ms: NOW, leader_epoch: LeaderEpoch(0), origin: Origin::Client, since: None }
}

/// A batch of `count` records as far as its header says; the records are `value`.
pub(crate) fn batch_of(count: i32, value: &[u8]) -> Vec<u8> {
    batch_at(count, value, NOW)
}

pub(crate) fn batch_at(count: i32, value: &[u8], timestamp: i64) -> Vec<u8> {
    let mut bytes = vec![0; batch::HEADER_BYTES];
    bytes.extend_from_slice(value);
    let length = (bytes.len() - batch::OVERHEAD_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&timestamp.to_be_bytes());
    bytes[35..43].copy_from_slice(&timestamp.to_be_bytes());
    bytes[43..51].copy_from_slice(&(-1i64).to_be_bytes());
    bytes[51..53].copy_from_slice(&(-1i16).to_be_bytes());
    bytes[53..57].copy_from_slice(&(-1i32).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    batch::seal(&mut bytes);
    bytes
}

/// The batch as that of a producer in its epoch, with this sequence number.
pub(crate) fn by_producer(mut batch: Vec<u8>, id: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    batch[43..51].copy_from_slice(&id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    batch::seal(&mut batch);
    batch
}

/// Appends, waiting for room as long as it takes; returns the base offset once it is durable.
pub(crate) async fn append(
    store: &Store,
    partition: &Partition,
    bytes: &[u8],
) -> Result<Offset, crate::AppendError> {
    loop {
        match partition.append(bytes, &context()) {
            Ok(appended) => {
                let done = store.committed(&appended.ticket).await;
                return done.map(|()| appended.base_offset).map_err(crate::AppendError::Storage);
            }
            Err(crate::AppendError::Busy) => store.room().await,
            Err(error) => return Err(error),
        }
    }
}

/// All of a partition's bytes from an offset to the high watermark, read in portions.
pub(crate) async fn read_all(
    partition: &Partition,
    from: Offset,
    portion: usize,
) -> Result<Vec<u8>, crate::ReadError> {
    let (mut at, mut all) = (from, Vec::new());
    loop {
        let read = partition.read(at, portion, true, ReadBound::HighWatermark).await?;
        if read.bytes == 0 {
            return Ok(all);
        }
        let begin = all.len();
        read.slices.iter().for_each(|slice| all.extend_from_slice(slice));
        assert_eq!(all.len() - begin, read.bytes);
        for (header, _) in batches(&all[begin..]) {
            assert!(header.last_offset() >= at.0);
            at = Offset(header.last_offset() + 1);
        }
    }
}

/// The batches in bytes; all of them, each verified.
pub(crate) fn batches(bytes: &[u8]) -> Vec<(batch::BatchHeader, Vec<u8>)> {
    let (mut rest, mut all) = (bytes, Vec::new());
    while !rest.is_empty() {
        let header = batch::BatchHeader::verify(rest).expect("a whole batch");
        all.push((header, rest[batch::HEADER_BYTES..header.bytes].to_vec()));
        rest = &rest[header.bytes..];
    }
    all
}
