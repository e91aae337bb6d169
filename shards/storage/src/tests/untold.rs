//! A shard's checkpoint that cannot be read costs work, and nothing of a log.

use super::*;
use crate::Durability;
use executor::sleep;
use std::ops::Range;

const CHECKPOINT: &str = "/data/shard-0/checkpoint";
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
    executor::io::stat(Path::new(CHECKPOINT)).await.expect("it was written");
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
