//! Damaged files, full devices, failing writes.

use super::*;
use crate::journal::format::BLOCK_BYTES;
use crate::{AppendError, Damage, Durability, ReadError, StorageError};
use executor::{Either, race, sleep};
use sim_driver::DiskFault;
use std::time::Duration;

const JOURNAL: &str = "/data/shard-0/journal/0.journal";
const SEGMENT: &str = "/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/0/00000000000000000000.log";
/// Of a batch with 100 bytes of records.
const BATCH: u64 = 161;

/// Turns a bit of a file, on the device and in what the kernel has of it.
fn rot(rig: &Rig, path: &str, offset: u64) {
    rig.world.rot(rig.node, Path::new(path), Some(offset)).expect("a byte of a file");
}

/// The offsets of all that can be read, going on behind each hole; and the holes.
async fn survey(partition: &Partition) -> (Vec<i64>, Vec<Damage>) {
    let (mut at, mut found, mut holes) = (partition.offsets().log_start, Vec::new(), Vec::new());
    let end = partition.offsets().high_watermark;
    while at < end {
        match partition.read(at, 2000, true, ReadBound::HighWatermark).await {
            Ok(read) => {
                let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
                for (header, value) in batches(&bytes) {
                    assert_eq!(
                        value,
                        vec![header.base_offset as u8; 100],
                        "nothing is served that was not sent"
                    );
                    found.push(header.base_offset);
                    at = Offset(header.last_offset() + 1);
                }
                assert!(read.bytes > 0);
            }
            Err(ReadError::Damaged(damage)) => {
                let (from, to) = damage.offsets.expect("it knows which");
                assert!(from <= at && at < to, "{damage}");
                at = to;
                holes.push(*damage);
            }
            Err(other) => panic!("{other}"),
        }
    }
    (found, holes)
}

fn all_but(count: i64, missing: &[i64]) -> Vec<i64> {
    (0..count).filter(|offset| !missing.contains(offset)).collect()
}

/// One record after another, in turn to each of two partitions, each acknowledged: commit n has record n.
async fn fill(store: &Store, count: i64) {
    for number in 0..2 * count {
        let partition = store.open_partition(spec((number % 2) as i32)).await.expect("opens");
        append(store, &partition, &batch_of(1, &[(number / 2) as u8; 100])).await.expect("appends");
    }
}

#[test]
fn rot_in_a_segment_is_told_exactly_and_hits_nothing_else() {
    // In the base offset, the length, the magic, the CRC, the record; of the first, a middle and the last batch.
    for batch in [0u64, 40, 99] {
        for within in [7, 9, 11, 16, 19, 100] {
            let mut rig = Rig::new(batch * 1000 + within);
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                fill(&store, 100).await;
                store.stop().await.expect("stops");
            });
            rig.kill(run);
            rot(&rig, SEGMENT, batch * BATCH + within);
            let size =
                |rig: &Rig| rig.world.files(rig.node).visible(Path::new(SEGMENT)).expect("there").len();
            assert_eq!(size(&rig) as u64, 100 * BATCH);
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                let hurt = store.open_partition(spec(0)).await.expect("opens");
                let whole = store.open_partition(spec(1)).await.expect("opens");
                let (found, holes) = survey(&hurt).await;
                assert_eq!(found, all_but(100, &[batch as i64]), "byte {within} of batch {batch}");
                assert_eq!(holes.len(), 1);
                let hole = &holes[0];
                let (from, to) = (Offset(batch as i64), Offset(batch as i64 + 1));
                assert_eq!((hole.offsets, hole.position), (Some((from, to)), batch * BATCH));
                assert_eq!((hole.partition, hole.file.as_path()), (Some(id(0)), Path::new(SEGMENT)));
                assert!(hole.to_string().contains("choices: "));
                assert_eq!(survey(&hurt).await.1, holes);
                let logged = hurt.log.state.borrow().reported.len();
                assert_eq!(logged, 1, "one line for one place, however often it is read");
                assert_eq!(survey(&whole).await, (all_but(100, &[]), Vec::new()));
                store.stop().await.expect("stops");
            });
            assert_eq!(size(&rig) as u64, 100 * BATCH, "nothing is cut");
        }
    }
}

#[test]
fn a_base_offset_that_becomes_its_neighbours_is_told() {
    // Of 40, one bit makes 41; of 41, one makes 40. Which bit turns is up to the seed.
    for seed in 0..40u64 {
        let batch = 40 + seed % 2;
        let mut rig = Rig::new(9000 + seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            fill(&store, 100).await;
            store.stop().await.expect("stops");
        });
        rig.kill(run);
        rot(&rig, SEGMENT, batch * BATCH + 7);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let hurt = store.open_partition(spec(0)).await.expect("opens");
            let (found, holes) = survey(&hurt).await;
            assert_eq!(found, all_but(100, &[batch as i64]), "seed {seed}");
            let hole = (Offset(batch as i64), Offset(batch as i64 + 1));
            assert_eq!(holes.iter().map(|hole| hole.offsets).collect::<Vec<_>>(), [Some(hole)]);
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn rot_in_a_journal_loses_no_other_record_and_no_offset_is_given_twice() {
    // The first commit, which is the first to declare its partition; one in the middle; the last but one, with the
    // last record of its partition in it. In the magic, the length, the sequence, an entry's header, the batch.
    const COUNT: i64 = 20;
    for commit in [0i64, 1, 2, 17, 2 * COUNT - 2] {
        for within in [1, 9, 16, 40, 150] {
            let mut rig = Rig::new(commit as u64 * 1000 + within);
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                fill(&store, COUNT).await;
            });
            rig.kill(run);
            rot(&rig, JOURNAL, (1 + commit as u64) * BLOCK_BYTES + within);
            for restart in 0..3 {
                let run = rig.begin();
                let options = rig.options(&run);
                rig.run(&run, async move {
                    let (store, recovered) = start(options).await;
                    if restart == 0 {
                        assert_eq!((recovered.damage.len(), recovered.commits), (1, 2 * COUNT as u64 - 1));
                    }
                    let (number, lost) = ((commit % 2) as i32, commit / 2);
                    let hurt = store.open_partition(spec(number)).await.expect("opens");
                    let whole = store.open_partition(spec(1 - number)).await.expect("opens");
                    let name = format!("byte {within} of commit {commit}, start {restart}");
                    assert_eq!(survey(&whole).await, (all_but(COUNT, &[]), Vec::new()), "{name}");
                    assert_eq!(hurt.offsets().log_end, Offset(COUNT), "{name}");
                    let (found, holes) = survey(&hurt).await;
                    assert_eq!(found, all_but(COUNT, &[lost]), "{name}");
                    assert_eq!(holes[0].offsets, Some((Offset(lost), Offset(lost + 1))), "{name}");
                    let refused = hurt.append(&batch_of(1, &[1; 100]), &context()).map(|_| ());
                    assert!(matches!(refused, Err(AppendError::Storage(StorageError::Damaged(_)))), "{name}");
                    if restart == 1 {
                        store.stop().await.expect("stops");
                    }
                    if restart == 2 {
                        // One of the choices: to give up what is before the end of the hole.
                        hurt.delete_records(Offset(lost + 1)).await.expect("deletes");
                        let next = append(&store, &hurt, &batch_of(1, &[COUNT as u8; 100])).await;
                        assert_eq!(next, Ok(Offset(COUNT)), "{name}");
                        assert_eq!(survey(&hurt).await.0, (lost + 1..=COUNT).collect::<Vec<_>>(), "{name}");
                        store.stop().await.expect("stops");
                    }
                });
                rig.kill(run);
            }
        }
    }
}

/// Appends until the device is full.
async fn fill_up(store: &Store, partition: &Partition, value: &[u8]) -> u64 {
    for count in 0..100_000 {
        let bytes = batch_of(1, value);
        // A large append that was taken waits for room.
        let appended = race(append(store, partition, &bytes), sleep(Duration::from_secs(5))).await;
        let Either::Left(appended) = appended else { return count };
        match appended {
            Ok(_) => {}
            Err(AppendError::Storage(StorageError::NoSpace)) => return count,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the device is never full");
}

fn full_device(large_append_bytes: usize, segments: u32) {
    let mut rig = Rig::new(77 + segments as u64);
    let config = LogConfig { segment_bytes: segments, ..LogConfig::default() };
    let (run, ours) = (rig.begin(), config.clone());
    let options = StoreOptions { large_append_bytes, ..rig.options(&run) };
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        for _ in 0..200 {
            append(&store, &partition, &batch_of(1, &[1; 5000])).await.expect("appends");
        }
        sleep(Duration::from_secs(3)).await;
        (store, partition)
    });
    let used = rig.world.used_bytes(rig.node);
    rig.world.set_capacity(rig.node, used + 100_000);
    let (ours, log) = (store.clone(), partition.clone());
    rig.run(&run, async move {
        assert!(fill_up(&ours, &log, &[2; 5000]).await > 10);
        let end = log.offsets().high_watermark;
        assert_eq!(batches(&read_all(&log, Offset(0), 50_000).await.expect("reads")).len() as i64, end.0);
        // Deleting makes room, if there is a whole segment to be deleted.
        assert_eq!(log.delete_records(Offset(150)).await, Ok(Offset(150)));
        sleep(Duration::from_secs(3)).await;
        if log.config().segment_bytes < 500_000 {
            append(&ours, &log, &batch_of(1, &[3; 5000])).await.expect("there is room again");
        }
        fill_up(&ours, &log, &[4; 5000]).await;
    });
    rig.world.set_capacity(rig.node, 64 << 30);
    let (ours, log) = (store, partition);
    let end = rig.run(&run, async move {
        sleep(Duration::from_secs(3)).await;
        for _ in 0..300 {
            append(&ours, &log, &batch_of(1, &[5; 5000])).await.expect("it works again by itself");
        }
        log.offsets().high_watermark
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.damage.is_empty());
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        assert_eq!((partition.damage(), partition.offsets().log_end), (None, end));
        let all = batches(&read_all(&partition, Offset(150), 50_000).await.expect("reads"));
        assert_eq!(all.len() as i64, end.0 - 150);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_full_device_stops_appends_until_there_is_room() {
    full_device(1 << 20, 1 << 30);
    full_device(1 << 20, 200_000);
}

#[test]
fn a_full_device_stops_large_appends_until_there_is_room() {
    full_device(0, 1 << 30);
    full_device(0, 200_000);
}

#[test]
fn a_large_append_that_is_given_up_leaves_the_device_to_others() {
    let mut rig = Rig::new(79);
    let run = rig.begin();
    let options = StoreOptions { large_append_bytes: 0, ..rig.options(&run) };
    let (store, stays) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let stays = store.create_partition(spec(1)).await.expect("creates");
        append(&store, &stays, &batch_of(1, &[1; 5000])).await.expect("appends");
        let goes = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &goes, &batch_of(1, &[1; 5000])).await.expect("appends");
        (store, stays)
    });
    rig.world.set_capacity(rig.node, rig.world.used_bytes(rig.node) + 100_000);
    let ours = store.clone();
    rig.run(&run, async move {
        let goes = ours.partition(id(0)).expect("it is there");
        fill_up(&ours, &goes, &[2; 5000]).await;
        assert!(ours.stats().is_full());
        // Until the journal has no more to say.
        sleep(Duration::from_secs(30)).await;
        ours.delete_partition(id(0)).await.expect("deletes");
        sleep(Duration::from_secs(3)).await;
        assert!(!ours.stats().is_full(), "nobody waits any more");
    });
    rig.world.set_capacity(rig.node, 64 << 30);
    rig.run(&run, async move {
        append(&store, &stays, &batch_of(1, &[3; 5000])).await.expect("there is room");
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_stop_waits_for_no_room_for_a_large_append() {
    let mut rig = Rig::new(80);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &partition, &batch_of(1, &[0; 100])).await.expect("appends");
        sleep(Duration::from_secs(5)).await;
        (store, partition)
    });
    // Enough for a checkpoint, but not for a large append.
    rig.world.set_capacity(rig.node, rig.world.used_bytes(rig.node) + 20_000);
    let sent = by_producer(batch_of(1, &[1; 400_000]), 8, 0, 0);
    let again = sent.clone();
    rig.run(&run, async move {
        let waits = partition.append(&sent, &context()).expect("takes it");
        sleep(Duration::from_secs(3)).await;
        assert!(store.stats().is_full());
        let stopped = race(store.stop(), sleep(Duration::from_secs(30))).await;
        assert_eq!(stopped, Either::Left(Ok(())));
        assert_eq!(store.committed(&waits.ticket).await, Err(StorageError::Stopped));
    });
    rig.kill(run);
    rig.world.set_capacity(rig.node, 64 << 30);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.damage.is_empty());
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!(partition.offsets().log_end, Offset(1), "what was acknowledged, and nothing else");
        assert_eq!(append(&store, &partition, &again).await, Ok(Offset(1)), "it was never there");
        assert_eq!(batches(&read_all(&partition, Offset(0), 1 << 20).await.expect("reads")).len(), 2);
        store.stop().await.expect("stops");
    });
}

/// The append that meets the fault fails, those after it are refused, and what is durable can be read. Returns the
/// offset behind that.
async fn goes_offline(case: usize, store: &Store, log: &Partition) -> i64 {
    let next = log.offsets().log_end.0;
    let failed = append(store, log, &batch_of(1, &[next as u8; 100])).await;
    let offline =
        matches!(failed, Err(AppendError::Storage(StorageError::Offline(_) | StorageError::Io { .. })));
    assert!(offline, "case {case}: {failed:?}");
    let later = append(store, log, &batch_of(1, &[next as u8; 100])).await;
    let refused = matches!(later, Err(AppendError::Storage(StorageError::Offline(_))));
    assert!(refused, "case {case}: {later:?}");
    let durable = log.offsets().high_watermark.0;
    let read = batches(&read_all(log, Offset(0), 5000).await.expect("what is durable is read"));
    assert_eq!(read.len() as i64, durable);
    assert!(store.stats().offline.load(std::sync::atomic::Ordering::Relaxed));
    durable
}

/// After a start everything acknowledged is there. What was refused may be there too, but only behind it.
async fn comes_back_whole(case: usize, options: StoreOptions, acknowledged: i64) {
    let names = |_| Some("topic".to_string());
    let shards = [PathBuf::from("/data/shard-0"), PathBuf::from("/data/shard-1")];
    let recovered = crate::recover(&options.data, &shards, &options.pool, &names).await.expect("recovers");
    assert!(recovered.damage.is_empty(), "case {case}: {:?}", recovered.damage);
    let store = Store::open(options).await.expect("opens");
    let partition = store.open_partition(spec(0)).await.expect("opens");
    let end = partition.offsets().log_end.0;
    assert!((acknowledged..=acknowledged + 2).contains(&end), "case {case}: {end}");
    assert_eq!(survey(&partition).await, (all_but(end, &[]), Vec::new()), "case {case}");
    let neighbour = store.open_partition(spec(1)).await.expect("opens");
    assert_eq!(survey(&neighbour).await, (all_but(2, &[]), Vec::new()), "case {case}");
    store.stop().await.expect("stops");
}

#[test]
fn a_write_or_sync_that_fails_is_never_taken_for_done() {
    let bodies: [(DiskFault, usize, u64); 6] = [
        (DiskFault::Write, 1 << 20, 0),       // The journal.
        (DiskFault::Write, 1 << 20, 1500),    // The drain.
        (DiskFault::Sync, 1 << 20, 7000),     // The drain's sync.
        (DiskFault::Write, 0, 0),             // A direct write.
        (DiskFault::Sync, 0, 0),              // The sync of a new file.
        (DiskFault::FullSync, 1 << 20, 7000), // The drain's sync, for want of space.
    ];
    for (case, (fault, large_append_bytes, wait_ms)) in bodies.into_iter().enumerate() {
        let mut rig = Rig::new(90 + case as u64);
        let run = rig.begin();
        let mut options = StoreOptions { large_append_bytes, ..rig.options(&run) };
        let (store, other) = rig.run(&run, async move {
            let second = StoreOptions { shard: ShardId(1), ..options.clone() };
            options.shard = ShardId(0);
            let (store, _) = start(options).await;
            (store, Store::open(second).await.expect("opens"))
        });
        let (ours, theirs) = (store.clone(), other.clone());
        rig.run(&run, async move {
            let partition = ours.create_partition(spec(0)).await.expect("creates");
            for number in 0..30u8 {
                append(&ours, &partition, &batch_of(1, &[number; 100])).await.expect("appends");
            }
            let neighbour = theirs.create_partition(spec(1)).await.expect("creates");
            append(&theirs, &neighbour, &batch_of(1, &[0; 100])).await.expect("appends");
            sleep(Duration::from_secs(4)).await;
        });
        let (ours, log) = (store.clone(), store.partition(id(0)).expect("open"));
        if wait_ms > 0 {
            let (ours, log) = (ours.clone(), log.clone());
            rig.run(&run, async move {
                append(&ours, &log, &batch_of(1, &[30; 100])).await.expect("appends");
            });
        }
        rig.world.fail_next(rig.node, fault, 1);
        let acknowledged = rig.run(&run, async move {
            sleep(Duration::from_millis(wait_ms)).await;
            if fault == DiskFault::Sync && wait_ms == 0 {
                // A new file comes with a new segment.
                log.update_config(Rc::new(LogConfig { segment_bytes: 200, ..LogConfig::default() }));
            }
            goes_offline(case, &ours, &log).await
        });
        let theirs = other.clone();
        rig.run(&run, async move {
            let neighbour = theirs.partition(id(1)).expect("open");
            append(&theirs, &neighbour, &batch_of(1, &[1; 100])).await.expect("the other shard goes on");
        });
        drop((store, other));
        let (run, options) = rig.after_crash(run);
        rig.run(&run, comes_back_whole(case, options, acknowledged));
    }
}

#[test]
fn a_sync_of_names_that_finds_no_room_is_a_failed_sync() {
    // The name of a log's first file. Until it is on the device the journal must keep what the file holds.
    let mut rig = Rig::new(330);
    let run = rig.begin();
    let options = rig.options(&run);
    let store = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        // Until its journal is ready the drain is in a hurry.
        sleep(Duration::from_millis(10)).await;
        append(&store, &partition, &batch_of(1, &[0; 100])).await.expect("appends");
        // Drained after one second, synced after three.
        sleep(Duration::from_secs(2)).await;
        store
    });
    rig.world.fail_next(rig.node, DiskFault::FullNames, 1);
    rig.run(&run, async move {
        sleep(Duration::from_secs(5)).await;
        let partition = store.partition(id(0)).expect("open");
        goes_offline(0, &store, &partition).await;
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!(survey(&partition).await, (all_but(1, &[]), Vec::new()));
        store.stop().await.expect("stops");
    });
}

#[test]
fn damage_to_direct_writes_is_told_from_a_torn_end() {
    // In a commit of the note's own; in a journal that was used anew many times since.
    for (case, others) in [0, 3000].into_iter().enumerate() {
        for rotten in [19u64, 10] {
            let mut rig = Rig::new(300 + case as u64);
            let run = rig.begin();
            let options = StoreOptions { large_append_bytes: 150, ..rig.options(&run) };
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                let partition = store.create_partition(spec(0)).await.expect("creates");
                for number in 0..20u8 {
                    append(&store, &partition, &batch_of(1, &[number; 100])).await.expect("appends");
                }
                let small = store.create_partition(spec(1)).await.expect("creates");
                sleep(Duration::from_millis(150)).await;
                for _ in 0..others {
                    append(&store, &small, &batch_of(1, &[1; 20])).await.expect("appends");
                }
                let stats = store.stats();
                let direct = stats.direct_bytes.load(std::sync::atomic::Ordering::Relaxed);
                assert!(direct > 0 && stats.commits.load(std::sync::atomic::Ordering::Relaxed) > others);
            });
            rig.kill(run);
            rot(&rig, SEGMENT, rotten * BATCH + 100);
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                let partition = store.open_partition(spec(0)).await.expect("opens");
                assert_eq!(partition.offsets().log_end, Offset(20), "nothing is cut");
                let (found, holes) = survey(&partition).await;
                assert_eq!(found, all_but(20, &[rotten as i64]));
                assert_eq!(holes[0].offsets, Some((Offset(rotten as i64), Offset(rotten as i64 + 1))));
                let whole = store.open_partition(spec(1)).await.expect("opens");
                assert_eq!((whole.damage(), whole.offsets().log_end), (None, Offset(others as i64)));
                store.stop().await.expect("stops");
            });
        }
    }
}

#[test]
fn a_sync_of_reserved_space_that_fails_is_no_matter_of_space_alone() {
    // It is for what the drain wrote to the file just before, too: the next sync would succeed without it.
    for seed in 320..328 {
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        let store = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &batch_of(1, &[0; 100])).await.expect("appends");
            // Until the file has its name, and nothing is left to be synced.
            sleep(Duration::from_secs(10)).await;
            // In the journal only, until the large one that follows has the drain write it.
            append(&store, &partition, &batch_of(1, &[1; 20_000])).await.expect("appends");
            store
        });
        rig.world.fail_next(rig.node, DiskFault::Sync, 1);
        let ours = store.clone();
        rig.run(&run, async move {
            let partition = ours.partition(id(0)).expect("open");
            let failed = append(&ours, &partition, &batch_of(1, &[2; 500_000])).await;
            let offline = matches!(
                failed,
                Err(AppendError::Storage(StorageError::Offline(_) | StorageError::Io { .. }))
            );
            assert!(offline, "seed {seed}: {failed:?}");
            sleep(Duration::from_secs(10)).await;
        });
        drop(store);
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!(partition.damage(), None, "seed {seed}");
            let found = batches(&read_all(&partition, Offset(0), 1 << 20).await.expect("reads"));
            let found: Vec<usize> = found.iter().map(|(_, value)| value.len()).collect();
            assert_eq!(found[..2], [100, 20_000], "seed {seed}");
        });
    }
}

#[test]
fn a_lost_segment_takes_none_of_those_along_that_follow_on_a_checkpoint() {
    for durability in [Durability::Device, Durability::Memory] {
        let mut rig = Rig::new(1370);
        let config = || LogConfig { segment_bytes: 10 * BATCH as u32, ..LogConfig::default() };
        let run = rig.begin();
        let options = StoreOptions { durability, ..rig.options(&run) };
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
            let other = store.create_partition(spec(1)).await.expect("creates");
            for number in 0..40 {
                if number == 5 {
                    sleep(Duration::from_secs(5)).await;
                    // A checkpoint is due then, which tells of five records.
                    assert_eq!(partition.delete_records(Offset(1)).await, Ok(Offset(1)));
                    sleep(Duration::from_secs(5)).await;
                }
                append(&store, &partition, &batch_of(1, &[number; 100])).await.expect("appends");
            }
            sleep(Duration::from_secs(10)).await;
            // It is in the journal that all before is in segments.
            append(&store, &other, &batch_of(1, b"value")).await.expect("appends");
            sleep(Duration::from_millis(10)).await;
        });
        rig.kill(run);
        let run = rig.begin();
        let options = StoreOptions { durability, ..rig.options(&run) };
        rig.run(&run, async move {
            executor::io::remove(Path::new(SEGMENT)).await.expect("it is there");
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
            let damage = partition.damage().expect("records are missing");
            assert_eq!(damage.offsets, Some((Offset(5), Offset(10))));
            assert_eq!(partition.offsets().log_end, Offset(40));
            let found = batches(&read_all(&partition, Offset(10), 2000).await.expect("reads"));
            let found: Vec<u8> = found.iter().map(|(_, value)| value[0]).collect();
            assert_eq!(found, (10..40).collect::<Vec<u8>>());
            let refused = append(&store, &partition, &batch_of(1, &[40; 100])).await;
            assert!(matches!(refused, Err(AppendError::Storage(StorageError::Damaged(_)))), "{refused:?}");
            store.stop().await.expect("stops");
        });
    }
}
