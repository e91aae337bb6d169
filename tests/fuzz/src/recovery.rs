//! Recovery, over a simulated disk on which one file is what the fuzzer says.

use driver::OpenOptions;
use executor::{Executor, IdlePolicy, Options, io};
use memory::{Pool, Slice};
use model::{LeaderEpoch, Offset, PartitionId, ShardId, TopicId, TopicPartition};
use sim_driver::{World, WorldOptions};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use storage::{
    AppendContext, AppendError, LogConfig, Origin, PartitionSpec, ReadBound, Store, StoreOptions, recover,
};

const POOL_BYTES: usize = 8 << 20;
const INPUT_BYTES_MAX: usize = 64 << 10;
const DATA: &str = "/data";
const TOPIC: TopicId = TopicId([7; 16]);
/// The files that a start may read: the input's first byte chooses one.
const FILES: [&str; 10] = [
    "shard-0/journal/0.journal",
    "checkpoint",
    "shard-0/checkpoint",
    "topics/t.{topic}/0/00000000000000000000.log",
    "topics/t.{topic}/0/00000000000000000000.index",
    "topics/t.{topic}/0/00000000000000000000.timeindex",
    "topics/t.{topic}/0/00000000000000000000.snapshot",
    "topics/t.{topic}/0/00000000000000000000.txnindex",
    "topics/t.{topic}/0/leader-epoch-checkpoint",
    "topics/t.{topic}/0/cleaner-state",
];

fn id() -> TopicPartition {
    TopicPartition { topic: TOPIC, partition: PartitionId(0) }
}

/// One byte for the file, one for what an ordinary run left there before, then the file's bytes.
///
/// A start must end, with a store or an error; and what is then served must be whole batches.
pub fn run(data: &[u8]) {
    let Some(([which, before], content)) = data.split_first_chunk::<2>() else { return };
    if content.len() > INPUT_BYTES_MAX {
        return;
    }
    let world = World::new(1, WorldOptions::default());
    let node = world.add_node();
    world.make_directory(node, Path::new(DATA));
    let turn = |body: Turn| {
        let pool = Pool::new(POOL_BYTES).expect("maps");
        let options = Options { idle: IdlePolicy::Park, seed: Some(1) };
        let executor = Executor::new(world.driver(node, pool.clone()), options);
        let content = content.to_vec();
        let (which, before) = (usize::from(*which), *before);
        let result = world.run(std::slice::from_ref(&executor), async move {
            match body {
                Turn::Before => ordinary(pool, before).await,
                Turn::Write => put(FILES[which % FILES.len()], &content).await,
                Turn::Start => start_and_read(pool).await,
            }
        });
        world.kill(node);
        executor.drop_tasks();
        result.expect("comes to an end");
    };
    turn(Turn::Before);
    turn(Turn::Write);
    turn(Turn::Start);
    turn(Turn::Start);
}

#[derive(Clone, Copy)]
enum Turn {
    Before,
    Write,
    Start,
}

fn options(pool: Pool) -> StoreOptions {
    let mut options = StoreOptions::new(DATA, ShardId(0), pool);
    (options.journal_file_bytes, options.journal_files) = (64 << 10, 2);
    options
}

async fn start(pool: Pool) -> Option<(Store, storage::Partition)> {
    let known = |topic| (topic == TOPIC).then(|| "t".to_owned());
    let shards = [PathBuf::from(DATA).join("shard-0")];
    recover(Path::new(DATA), &shards, &pool, &known).await.ok()?;
    let store = Store::open(options(pool)).await.ok()?;
    let config = Rc::new(LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() });
    let spec = PartitionSpec { id: id(), topic_name: "t".into(), config, leader_epoch: LeaderEpoch(0) };
    let partition = store.open_partition(spec).await.ok()?;
    Some((store, partition))
}

/// A few appends; then a clean stop, or none.
async fn ordinary(pool: Pool, how: u8) {
    let (store, partition) = start(pool).await.expect("an empty directory is a good one");
    for count in 1..=i32::from(how % 8) {
        let context = AppendContext {
            now_ms: 1_700_000_000_000,
            leader_epoch: LeaderEpoch(0),
            origin: Origin::Client,
            since: None,
        };
        // What is known of the producer may have to be loaded first.
        let appended = loop {
            match partition.append(&batch(count), &context) {
                Err(AppendError::Busy) => store.room().await,
                appended => break appended.expect("takes a good batch"),
            }
        };
        store.committed(&appended.ticket).await.expect("is durable");
    }
    if how >= 128 {
        store.stop().await.expect("stops");
    }
}

fn batch(count: i32) -> Vec<u8> {
    let mut builder = kafka_wire::BatchBuilder::new().producer(5, 0, count * (count - 1) / 2);
    for _ in 0..count {
        builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[]).expect("fits");
    }
    builder.build().expect("fits")
}

/// Writes a file of the data directory, whatever was there.
async fn put(file: &str, content: &[u8]) {
    let path = PathBuf::from(DATA).join(file.replace("{topic}", &TOPIC.to_string()));
    io::make_directories(path.parent().expect("lies in a directory")).await.expect("makes directories");
    // A journal file keeps its size: what is there beyond the input stays.
    let whole = !file.ends_with(".journal");
    let handle = io::open(path, OpenOptions { truncate: whole, ..OpenOptions::CREATE }).await.expect("opens");
    if !content.is_empty() {
        io::write(handle, 0, Slice::from(content.to_vec()), true).await.0.expect("writes");
    }
    io::close(handle).await.expect("closes");
}

async fn start_and_read(pool: Pool) {
    let Some((store, partition)) = start(pool).await else { return };
    let offsets = partition.offsets();
    assert!(offsets.log_start <= offsets.high_watermark && offsets.high_watermark <= offsets.log_end);
    let mut at = offsets.log_start;
    while at < offsets.high_watermark {
        let Ok(read) = partition.read(at, 1 << 20, true, ReadBound::HighWatermark).await else { break };
        let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let mut rest = &bytes[..];
        let mut next = at;
        while !rest.is_empty() {
            let (batch, after) = kafka_wire::RecordBatch::split_first(rest).expect("whole batches");
            assert!(batch.last_offset() >= next.0, "{} comes after {next:?}", batch.last_offset());
            next = Offset(batch.last_offset() + 1);
            rest = after;
        }
        if next <= at {
            break;
        }
        at = next;
    }
    let _ = partition.offset_for_timestamp(0).await;
    let _ = partition.load_producers().await;
    if let Ok(aborted) = partition.aborted(offsets.log_start, offsets.log_end).await {
        assert!(aborted.iter().all(|(_, first)| *first < offsets.log_end), "{aborted:?}");
    }
    let _ = (partition.epoch_end(LeaderEpoch(0)), partition.epoch_at(offsets.log_start));
    let _ = store.stop().await;
}
