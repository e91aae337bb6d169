//! A shard's checkpoint that cannot be read costs work, and nothing of a log.

use super::*;
use crate::Durability;
use crate::window::put_file;
use executor::{io, sleep};
use std::ops::Range;

const CHECKPOINT: &str = "/data/shard-0/checkpoint";
const SEGMENT: &str = "/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/0/00000000000000000000.log";
/// The first segment that is left when half of the log is deleted.
const FIRST: u8 = 20;

/// Ten batches of 961 bytes fill a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 10_000, ..LogConfig::default() }
}

async fn fill(store: &Store, partition: &Partition, offsets: Range<u8>) {
    for number in offsets {
        let offset = append(store, partition, &batch_of(1, &[number; 900])).await;
        assert_eq!(offset, Ok(Offset(i64::from(number))));
    }
}

/// Half of a log is deleted, and a checkpoint that says so is on the device.
async fn work(options: StoreOptions, from: u8, last: u8) {
    let (store, _) = start(options).await;
    let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
    fill(&store, &partition, from..40).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(partition.delete_records(Offset(25)).await, Ok(Offset(25)));
    // The first has the drain look, and the second says that all before is in segments.
    let other = store.open_partition(spec(1)).await.expect("opens");
    for _ in 0..2 {
        append(&store, &other, &batch_of(1, b"value")).await.expect("appends");
        sleep(Duration::from_secs(10)).await;
    }
    io::stat(Path::new(CHECKPOINT)).await.expect("it was written");
    fill(&store, &partition, 40..last).await;
    // Until it is in the journal, and not in a segment.
    sleep(Duration::from_millis(10)).await;
}

/// The log is what was left, up to its end.
async fn check(store: &Store, partition: &Partition, end: u8) {
    let offsets = partition.offsets();
    let found = (offsets.log_start, offsets.log_end, offsets.high_watermark);
    let behind = Offset(i64::from(end));
    assert_eq!((partition.damage(), found), (None, (Offset(i64::from(FIRST)), behind, behind)));
    let found = batches(&read_all(partition, offsets.log_start, 5000).await.expect("reads"));
    let found: Vec<(i64, u8)> = found.iter().map(|(header, value)| (header.base_offset, value[0])).collect();
    assert_eq!(found, (FIRST..end).map(|number| (i64::from(number), number)).collect::<Vec<_>>());
    fill(store, partition, end..end + 1).await;
}

fn case(seed: u64, durability: Durability, from: u8, last: u8) {
    let mut rig = Rig::new(seed);
    if from > 0 {
        // The node's checkpoint tells of the first segment.
        rig.leave(move |store, partition| async move { fill(&store, &partition, 0..from).await });
    }
    let run = rig.begin();
    let options = StoreOptions { durability, ..rig.options(&run) };
    rig.run(&run, work(options, from, last));
    rig.kill(run);
    rig.world.rot(rig.node, Path::new(CHECKPOINT), Some(20)).expect("a byte of it");
    for end in [last, last + 1] {
        let run = rig.begin();
        let options = StoreOptions { durability, ..rig.options(&run) };
        rig.run(&run, async move {
            let (store, recovered) = start(options).await;
            assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
            let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
            check(&store, &partition, end).await;
            store.stop().await.expect("stops");
        });
        rig.kill(run);
    }
}

#[test]
fn a_log_of_which_only_a_lost_checkpoint_told_where_it_begins_keeps_its_segments() {
    for durability in [Durability::Device, Durability::Memory] {
        // Whether an older checkpoint knows the log, and whether the journal has something of it to be replayed.
        for (number, (from, last)) in [(0, 40), (0, 41), (5, 40), (5, 41)].into_iter().enumerate() {
            case(1360 + number as u64, durability, from, last);
        }
    }
}

#[test]
fn a_lost_segment_is_missed_though_another_shards_checkpoint_cannot_be_read() {
    let mut rig = Rig::new(1368);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        fill(&store, &partition, 0..5).await;
        sleep(Duration::from_secs(5)).await;
        // A checkpoint is due then, which tells of the first segment.
        assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
        sleep(Duration::from_secs(5)).await;
        fill(&store, &partition, 5..40).await;
        sleep(Duration::from_secs(10)).await;
        // It is in the journal that all before is in segments.
        let other = store.create_partition(spec(1)).await.expect("creates");
        append(&store, &other, &batch_of(1, b"value")).await.expect("appends");
        sleep(Duration::from_millis(10)).await;
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        io::remove(Path::new(SEGMENT)).await.expect("it is there");
        io::make_directories(Path::new("/data/shard-1")).await.expect("makes");
        put_file(Path::new("/data/shard-1/checkpoint"), b"rotten".to_vec()).await.expect("writes");
        let names = |_| Some("topic".to_string());
        let shards = ["/data/shard-0", "/data/shard-1"].map(PathBuf::from);
        crate::recover(&options.data, &shards, &options.pool, &names).await.expect("recovers");
        let store = Store::open(options).await.expect("opens");
        let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
        let missed = partition.damage().and_then(|damage| damage.offsets);
        assert_eq!((missed, partition.offsets().log_start), (Some((Offset(5), Offset(10))), Offset(1)));
        store.stop().await.expect("stops");
    });
}
