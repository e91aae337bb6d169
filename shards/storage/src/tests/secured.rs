//! What producers wrote is known after its records were deleted, whatever a power loss takes.

use super::short::take_all;
use super::{
    NOW, Rig, Run, append, batch_at, batch_of, by_producer, context, look_every, spec, spec_with, start,
};
use crate::{LogConfig, Partition, ReadError, StorageError, Store, StoreOptions};
use driver::Errno;
use executor::{Either, io, race, sleep};
use model::Offset;
use sim_driver::DiskFault;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a producer may have in flight.
const IN_FLIGHT: i32 = 5;
/// Large batches that make a snapshot due, but no second one.
const PER_ROUND: i32 = 150;

fn small(sequence: i32) -> Vec<u8> {
    by_producer(batch_at(1, &[sequence as u8; 50], NOW - 1_000_000), 8, 0, sequence)
}

/// A batch of another producer.
fn large(sequence: i32) -> Vec<u8> {
    by_producer(batch_of(1, &[sequence as u8; 30_000]), 9, 0, sequence)
}

/// The offsets of the snapshots in a partition's directory, in order; none without a directory.
async fn snapshots(partition: &Partition) -> Vec<i64> {
    match io::list_directory(&partition.log.directory).await {
        Ok(entries) => {
            let offset = |name: &str| crate::segment::offset_of_name(name, "snapshot");
            entries.iter().filter_map(|entry| offset(&entry.name)).collect()
        }
        Err(Errno::NOENT) => Vec::new(),
        Err(errno) => panic!("{errno}"),
    }
}

/// Five batches, all of them in the journal only.
async fn send_five(store: &Store, partition: &Partition) {
    for sequence in 0..IN_FLIGHT {
        append(store, partition, &small(sequence)).await.expect("appends");
    }
    let directory = io::stat(&partition.log.directory).await.map(drop);
    assert_eq!(directory, Err(Errno::NOENT), "nothing was drained yet");
}

/// After a start each of the five is sent again, for its answer was lost, and then the next.
fn all_are_known(rig: &Rig, run: &Run, options: StoreOptions, config: LogConfig) {
    rig.run(run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        assert_eq!(partition.offsets().log_start, Offset(5), "all of them are deleted");
        for sequence in 0..IN_FLIGHT {
            let again = append(&store, &partition, &small(sequence)).await;
            assert_eq!(again, Ok(Offset(i64::from(sequence))), "sent twice, there once");
        }
        assert_eq!(append(&store, &partition, &small(IN_FLIGHT)).await, Ok(Offset(5)));
        store.stop().await.expect("stops");
    });
}

/// After a start the first record is sent again, for its answer was lost.
fn first_is_known(rig: &Rig, run: &Run, options: StoreOptions) {
    rig.run(run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!(append(&store, &partition, &small(0)).await, Ok(Offset(0)), "sent twice, there once");
        store.stop().await.expect("stops");
    });
}

#[test]
fn what_was_deleted_before_it_was_drained_is_known_when_it_is_sent_again() {
    let mut rig = Rig::new(1210);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        send_five(&store, &partition).await;
        assert_eq!(partition.delete_records(Offset(5)).await, Ok(Offset(5)));
        assert_eq!(snapshots(&partition).await, [5]);
    });
    let (run, options) = rig.after_crash(run);
    all_are_known(&rig, &run, options, LogConfig::default());
}

#[test]
fn what_expired_before_it_was_drained_is_known_when_it_is_sent_again() {
    let mut rig = Rig::new(1211);
    rig.tune = |options| {
        look_every(options, 10);
        options.drain_interval = Duration::from_secs(60);
    };
    let config = LogConfig { retention_ms: 60_000, ..LogConfig::default() };
    let run = rig.begin();
    let options = rig.options(&run);
    let ours = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        send_five(&store, &partition).await;
        sleep(Duration::from_secs(15)).await;
        assert_eq!(partition.offsets().log_start, Offset(5), "all of them are old");
    });
    let (run, options) = rig.after_crash(run);
    all_are_known(&rig, &run, options, config);
}

#[test]
fn a_log_start_waits_for_what_its_snapshot_holds_of_a_direct_write() {
    for seed in 1220..1226 {
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &small(0)).await.expect("appends");
            // Nobody waits for these: a commit overtakes them.
            for value in 1..3 {
                partition.append(&batch_of(1, &[value; 70_000]), &context()).map(drop).expect("appends");
            }
            assert_eq!(partition.offsets().high_watermark, Offset(1), "they are on their way");
            assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            let again = append(&store, &partition, &small(0)).await;
            let end = partition.offsets().log_end;
            assert_eq!((again, end), (Ok(Offset(0)), Offset(3)), "seed {seed}: sent twice, there once");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn records_are_deleted_though_a_direct_write_waits_for_room() {
    let mut rig = Rig::new(1227);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &partition, &small(0)).await.expect("appends");
        sleep(Duration::from_secs(5)).await;
        (store, partition)
    });
    // Enough for a snapshot, but not for a large append.
    rig.world.set_capacity(rig.node, rig.world.used_bytes(rig.node) + 20_000);
    let (ours, log) = (store, partition.clone());
    rig.run(&run, async move {
        log.append(&batch_of(1, &[1; 400_000]), &context()).map(drop).expect("takes it");
        sleep(Duration::from_secs(3)).await;
        assert!(ours.stats().is_full());
        let deleted = race(log.delete_records(Offset(1)), sleep(Duration::from_secs(10))).await;
        assert_eq!(deleted, Either::Left(Ok(Offset(1))));
        assert_eq!(log.offsets().high_watermark, Offset(1), "it waits still");
        assert_eq!(snapshots(&log).await, [2]);
    });
    rig.world.set_capacity(rig.node, 64 << 30);
    rig.run(&run, async move {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(partition.offsets().high_watermark, Offset(2));
    });
    let (run, options) = rig.after_crash(run);
    first_is_known(&rig, &run, options);
}

#[test]
fn a_sync_of_names_that_fails_for_a_snapshot_is_a_failed_sync() {
    // The log's first segment has no name on the device yet, and the next sync would not say that it is lost.
    let mut rig = Rig::new(1228);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        // Until its journal is ready the drain is in a hurry.
        sleep(Duration::from_millis(10)).await;
        append(&store, &partition, &small(0)).await.expect("appends");
        // Drained after one second, synced after three.
        sleep(Duration::from_secs(2)).await;
        (store, partition)
    });
    rig.world.fail_next(rig.node, DiskFault::FullNames, 1);
    rig.run(&run, async move {
        assert!(partition.delete_records(Offset(1)).await.is_err());
        assert!(store.stats().offline.load(Ordering::Relaxed));
        assert_eq!(partition.offsets().log_start, Offset(0));
    });
    let (run, options) = rig.after_crash(run);
    first_is_known(&rig, &run, options);
}

/// Sends so much that one snapshot more is saved, and waits for that.
async fn send_round(store: &Store, partition: &Partition, round: i32) {
    for sequence in round * PER_ROUND..(round + 1) * PER_ROUND {
        append(store, partition, &large(sequence)).await.expect("appends");
    }
    sleep(Duration::from_secs(10)).await;
}

#[test]
fn the_snapshot_that_a_log_start_relies_on_stays_beside_those_that_are_not_synced() {
    for seed in 1230..1236 {
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &small(0)).await.expect("appends");
            assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
            for round in 0..3 {
                send_round(&store, &partition, round).await;
                let found = snapshots(&partition).await;
                assert_eq!((found[0], found.len()), (1, (round as usize + 2).min(3)), "{found:?}");
            }
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            let again = append(&store, &partition, &small(0)).await;
            assert_eq!(again, Ok(Offset(0)), "seed {seed}: sent twice, there once");
            let last = 3 * PER_ROUND - 1;
            let again = append(&store, &partition, &large(last)).await;
            assert_eq!(again, Ok(Offset(1 + i64::from(last))), "seed {seed}: sent twice, there once");
            // Another takes its place.
            let end = partition.offsets().log_end;
            assert_eq!(partition.delete_records(end).await, Ok(end));
            let found = snapshots(&partition).await;
            assert!(found.len() <= 2 && found.last() == Some(&end.0), "{found:?}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn what_a_killed_process_did_not_sync_takes_the_place_of_nothing() {
    for seed in 1240..1244 {
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        let newest = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &small(0)).await.expect("appends");
            assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
            send_round(&store, &partition, 0).await;
            let found = snapshots(&partition).await;
            assert_eq!((found[0], found.len()), (1, 2), "{found:?}");
            found[1]
        });
        rig.kill(run);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            for round in 1..4 {
                send_round(&store, &partition, round).await;
            }
            let found = snapshots(&partition).await;
            assert_eq!((found[0], found.len()), (newest, 3), "{found:?}");
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            let again = append(&store, &partition, &small(0)).await;
            assert_eq!(again, Ok(Offset(0)), "seed {seed}: sent twice, there once");
            store.stop().await.expect("stops");
        });
    }
}

/// Sends `count` batches of 60,000 bytes that are of no producer.
async fn send_of_nobody(store: &Store, partition: &Partition, count: usize) {
    for _ in 0..count {
        append(store, partition, &batch_of(1, &[1; 60_000])).await.expect("appends");
    }
}

#[test]
fn that_there_are_no_producers_is_saved_now_and_then() {
    // Makes a snapshot due of a log without producers; and does not, but is more than a start should read.
    const MUCH: usize = 1200;
    const SOME: usize = 100;
    let mut rig = Rig::new(1250);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let mut partitions = Vec::new();
        for (number, count) in [MUCH, SOME, 10].into_iter().enumerate() {
            let partition = store.create_partition(spec(number as i32)).await.expect("creates");
            send_of_nobody(&store, &partition, count).await;
            partitions.push(partition);
        }
        sleep(Duration::from_secs(10)).await;
        let saved = snapshots(&partitions[0]).await;
        assert!(saved.len() == 1 && saved[0] > 1000, "{saved:?}");
        assert!(snapshots(&partitions[1]).await.is_empty());
        store.stop().await.expect("stops");
        assert_eq!(snapshots(&partitions[1]).await, [SOME as i64]);
        let little = snapshots(&partitions[2]).await;
        assert!(little.is_empty(), "a log of which little is read costs a stop nothing: {little:?}");
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(1)).await.expect("opens");
        let is_known = || partition.log.state.borrow().producers.is_some();
        assert!(!is_known(), "nobody has asked");
        send_of_nobody(&store, &partition, MUCH).await;
        sleep(Duration::from_secs(10)).await;
        assert!(is_known(), "it is found out before it is more");
        let saved = snapshots(&partition).await;
        assert!(saved.len() == 2 && saved[1] > 1000, "{saved:?}");
        store.stop().await.expect("stops");
    });
}

#[test]
fn records_are_not_deleted_while_there_is_no_memory_to_read_their_producers() {
    let mut rig = Rig::new(1260);
    rig.leave(|store, partition| async move {
        append(&store, &partition, &small(0)).await.map(drop).expect("appends");
    });
    rig.find(|store, partition, pool| async move {
        // Its journal is ready then.
        sleep(Duration::from_millis(10)).await;
        let held = take_all(&pool);
        let refused = partition.delete_records(Offset(1)).await;
        let is_short = matches!(refused, Err(ReadError::Storage(StorageError::OutOfMemory { .. })));
        assert!(is_short, "{refused:?}");
        assert_eq!(partition.offsets().log_start, Offset(0));
        drop(held);
        assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
        assert_eq!(append(&store, &partition, &small(0)).await, Ok(Offset(0)), "sent twice, there once");
    });
}
