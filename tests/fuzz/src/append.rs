//! What producers send, appended to a log on a simulated disk: validation, keys of a compacted topic, batches that are
//! compressed anew, markers, compaction, and what a restart finds of it.

use executor::{Executor, IdlePolicy, Options, sleep};
use kafka_wire::RecordBatch;
use kafka_wire::record_batch::layout::{
    ATTRIBUTES, BATCH_LENGTH, CRC, HEADER_LENGTH, LENGTH_OVERHEAD, MAGIC,
};
use memory::Pool;
use model::{LeaderEpoch, Offset, PartitionId, ShardId, TopicId, TopicPartition};
use sim_driver::{World, WorldOptions};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use storage::transactions::EndMarker;
use storage::{
    AppendContext, AppendError, Appended, Compression, CompressionTarget, LogConfig, Origin, Partition,
    PartitionSpec, ReadBound, Store, StoreOptions, TimestampType, recover,
};

const POOL_BYTES: usize = 8 << 20;
const INPUT_BYTES_MAX: usize = 32 << 10;
const DATA: &str = "/data";
const TOPIC: TopicId = TopicId([7; 16]);
const NOW_MS: i64 = 1_700_000_000_000;
const READ_BYTES: usize = 64 << 10;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// One byte for the log's settings, then appends: see [`Step::take`].
///
/// What is taken must be found again as whole batches with right checksums, at the offsets that were told; after
/// compaction what is left of it; after a restart the same.
pub fn run(data: &[u8]) {
    let Some((settings, input)) = data.split_first() else { return };
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let config = config(*settings);
    let steps = steps(input);
    let world = World::new(1, WorldOptions::default());
    let node = world.add_node();
    world.make_directory(node, Path::new(DATA));
    let mut ends = [Offset(0); 2];
    for (life, end) in ends.iter_mut().enumerate() {
        let pool = Pool::new(POOL_BYTES).expect("maps");
        let options = Options { idle: IdlePolicy::Park, seed: Some(1) };
        let executor = Executor::new(world.driver(node, pool.clone()), options);
        let (config, steps) = (config.clone(), if life == 0 { steps.clone() } else { Vec::new() });
        let result = world.run(std::slice::from_ref(&executor), live(pool, config, steps));
        world.kill(node);
        executor.drop_tasks();
        *end = result.expect("comes to an end");
    }
    assert_eq!(ends[0], ends[1], "a restart changes nothing");
}

/// The lowest bit: compaction; then the broker's timestamps; then small segments; then whether batches keep their
/// producer's codec, or the one that they get.
fn config(settings: u8) -> LogConfig {
    let codec = CODECS[usize::from(settings >> 4) % CODECS.len()];
    let compact = settings & 1 != 0;
    LogConfig {
        compact,
        delete: !compact,
        timestamp_type: match settings & 2 {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        segment_bytes: if settings & 4 != 0 { 1000 } else { 1 << 20 },
        compression: (settings & 8 != 0).then_some(CompressionTarget { codec, gzip_level: None }),
        min_cleanable_ratio: 0.01,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// What is appended next.
#[derive(Clone)]
enum Step {
    /// Batches of a client; `verified`: its coordinator knows of the transaction.
    Batches { bytes: Vec<u8>, verified: bool },
    /// The end of a transaction.
    Marker(EndMarker),
}

fn steps(mut input: &[u8]) -> Vec<Step> {
    std::iter::from_fn(|| Step::take(&mut input)).collect()
}

impl Step {
    /// One byte says what comes, of which the highest bit is whether it is verified. A marker: producer, epoch and
    /// coordinator's epoch, a byte each. Else two bytes of length, and so many of
    /// - batches as they are,
    /// - or a batch from its attributes on, to which the rest of a right header is made,
    /// - or several of those, each with two bytes of length.
    fn take(input: &mut &[u8]) -> Option<Step> {
        let what = take(input, 1)?[0];
        if what & 3 == 3 {
            let numbers = take(input, 3)?;
            return Some(Step::Marker(EndMarker {
                producer_id: i64::from(numbers[0]),
                producer_epoch: i16::from(numbers[1]),
                commit: what & 4 != 0,
                coordinator_epoch: i32::from(numbers[2]),
            }));
        }
        let mut content = sized(input)?;
        let bytes = match what & 3 {
            0 => content.to_vec(),
            1 => batch(content),
            _ => std::iter::from_fn(|| sized(&mut content)).flat_map(batch).collect(),
        };
        Some(Step::Batches { bytes, verified: what & 128 != 0 })
    }
}

/// So many bytes, or as many as there are; `None` at the end.
fn take<'a>(input: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(bytes)?;
    *input = rest;
    Some(taken)
}

/// Two bytes of length, and so many bytes.
fn sized<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(input, 2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    take(input, length.min(input.len()))
}

/// A batch with this content from the attributes on: length, magic and checksum, which a fuzzer cannot guess, are
/// right.
pub fn batch(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ATTRIBUTES];
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().max(HEADER_LENGTH), 0);
    let length = (bytes.len() - LENGTH_OVERHEAD) as i32;
    bytes[BATCH_LENGTH..BATCH_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC] = 2;
    let crc = RecordBatch::split_first(&bytes).map(|(batch, _)| batch.compute_crc());
    bytes[CRC..CRC + 4].copy_from_slice(&crc.expect("a whole batch").to_be_bytes());
    bytes
}

/// A life of the store: appends, some time, a look at all, and a stop. Returns where the log ends.
async fn live(pool: Pool, config: LogConfig, steps: Vec<Step>) -> Offset {
    let known = |topic| (topic == TOPIC).then(|| "t".to_owned());
    let shards = [PathBuf::from(DATA).join("shard-0")];
    recover(Path::new(DATA), &shards, &pool, &known).await.expect("recovers what it wrote");
    let mut options = StoreOptions::new(DATA, ShardId(0), pool);
    (options.journal_file_bytes, options.journal_files) = (256 << 10, 2);
    (options.drain_interval, options.cleaner.backoff) = (Duration::from_secs(1), Duration::from_secs(1));
    let compact = config.compact;
    let store = Store::open(options).await.expect("opens");
    let id = TopicPartition { topic: TOPIC, partition: PartitionId(0) };
    let config = Rc::new(config);
    let spec = PartitionSpec { id, topic_name: "t".into(), config, leader_epoch: LeaderEpoch(0) };
    let partition = store.open_partition(spec).await.expect("opens");
    for step in &steps {
        append(&store, &partition, step).await;
    }
    look(&partition, !compact).await;
    if compact {
        sleep(Duration::from_secs(10)).await;
        look(&partition, false).await;
    }
    let end = partition.offsets().log_end;
    store.stop().await.expect("stops");
    end
}

async fn append(store: &Store, partition: &Partition, step: &Step) {
    let mut context =
        AppendContext { now_ms: NOW_MS, leader_epoch: LeaderEpoch(0), origin: Origin::Client, since: None };
    let before = partition.offsets().log_end;
    let appended = match step {
        Step::Marker(marker) => {
            context.origin = Origin::Coordinator;
            persist(store, || partition.append_marker(marker, 2, &context)).await
        }
        Step::Batches { bytes, verified } => {
            if *verified {
                (context.origin, context.since) = (Origin::Verified { bumps_epoch: true }, Some(before));
            }
            match persist(store, || partition.append(bytes, &context)).await {
                Err(AppendError::OtherCodec) => anew(store, partition, bytes, &context).await,
                appended => appended,
            }
        }
    };
    let after = partition.offsets().log_end;
    let Ok(appended) = appended else {
        assert_eq!(after, before, "what is refused leaves nothing");
        return;
    };
    store.committed(&appended.ticket).await.expect("is durable");
    match appended.duplicate {
        true => assert!(after == before && appended.last_offset < before),
        false => assert_eq!((appended.base_offset, appended.last_offset.0 + 1), (before, after.0)),
    }
}

/// Appends what batches of another codec are made into.
async fn anew(
    store: &Store,
    partition: &Partition,
    bytes: &[u8],
    context: &AppendContext,
) -> Result<Appended, AppendError> {
    let made = partition.recompress(bytes, context).await?;
    let appended = persist(store, || partition.append(&made, context)).await;
    assert!(!matches!(appended, Err(AppendError::OtherCodec)), "once more another codec");
    appended
}

/// Waits for room as long as it takes.
async fn persist(
    store: &Store,
    append: impl Fn() -> Result<Appended, AppendError>,
) -> Result<Appended, AppendError> {
    loop {
        match append() {
            Err(AppendError::Busy) => store.room().await,
            appended => return appended,
        }
    }
}

/// Reads everything; `whole`: no offset may be missing.
async fn look(partition: &Partition, whole: bool) {
    let offsets = partition.offsets();
    assert_eq!(offsets.high_watermark, offsets.log_end);
    assert!(!whole || partition.damage().is_none(), "{:?}", partition.damage());
    let mut next = offsets.log_start;
    loop {
        let read = partition.read(next, READ_BYTES, true, ReadBound::HighWatermark).await;
        let read = read.expect("what was appended can be read");
        if read.bytes == 0 {
            break;
        }
        let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (batch, behind) = RecordBatch::split_first(rest).expect("whole batches");
            assert_eq!(batch.crc(), batch.compute_crc());
            assert!(batch.last_offset() >= next.0 && (!whole || batch.base_offset() == next.0));
            next = Offset(batch.last_offset() + 1);
            rest = behind;
        }
    }
    assert!(!whole || next == offsets.log_end, "{next:?} of {offsets:?}");
    let _ = partition.offset_for_timestamp(NOW_MS).await;
    let _ = partition.max_timestamp().await;
    partition.load_producers().await.expect("its own log is well");
    partition.aborted(offsets.log_start, offsets.log_end).await.expect("its own log is well");
}
