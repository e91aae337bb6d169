//! Many logs at a start after a kill or a power loss.

use super::*;
use crate::AppendError;
use crate::checkpoint::Checkpoint;

const LOGS: i32 = 60;

fn segment(partition: i32) -> PathBuf {
    PathBuf::from(format!("/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/{partition}/00000000000000000000.log"))
}

/// The size of a log's file.
fn size(rig: &Rig, partition: i32) -> u64 {
    rig.world.files(rig.node).visible(&segment(partition)).expect("there").len() as u64
}

/// The record of a log at an offset: of another size in each log.
fn value(partition: i32, offset: i64) -> Vec<u8> {
    vec![(i64::from(partition) * 7 + offset) as u8; 100 + partition as usize * 40]
}

/// Bytes of a log's batches.
fn bytes(partition: i32, count: i64) -> u64 {
    count as u64 * batch_of(1, &value(partition, 0)).len() as u64
}

/// Appends records to each log up to offset `to`.
async fn fill(store: &Store, from: i64, to: i64) {
    for offset in from..to {
        for number in 0..LOGS {
            let partition = store.open_partition(spec(number)).await.expect("opens");
            append(store, &partition, &batch_of(1, &value(number, offset))).await.expect("appends");
        }
    }
}

/// Waits until everything is in segments, and synced there.
async fn drained() {
    executor::sleep(Duration::from_secs(10)).await;
}

async fn check(partition: &Partition, number: i32, count: i64) {
    assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(count)), "log {number}");
    let found = batches(&read_all(partition, Offset(0), 20_000).await.expect("reads"));
    let found: Vec<_> = found.into_iter().map(|(header, value)| (header.base_offset, value)).collect();
    let expected: Vec<_> = (0..count).map(|offset| (offset, value(number, offset))).collect();
    assert!(found == expected, "log {number}");
}

/// Opens all logs side by side, the last one first.
async fn open_all(store: &Store) -> Vec<Partition> {
    let opened = store.open_partitions((0..LOGS).rev().map(spec).collect()).await;
    let opened: Vec<Partition> = opened.into_iter().map(|one| one.expect("opens")).collect();
    let ids: Vec<_> = opened.iter().map(Partition::id).collect();
    assert_eq!(ids, (0..LOGS).rev().map(id).collect::<Vec<_>>(), "in the order that was asked for");
    opened.into_iter().rev().collect()
}

#[test]
fn logs_that_are_opened_side_by_side_are_what_they_are_one_by_one() {
    // Killed, or without power; with everything in segments, or some in the journal only.
    for (case, (power, all_drained)) in
        [(false, true), (false, false), (true, true), (true, false)].into_iter().enumerate()
    {
        let mut rig = Rig::new(500 + case as u64);
        let mut run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            fill(&store, 0, 3).await;
            drained().await;
            fill(&store, 3, 6).await;
            if all_drained {
                drained().await;
            }
        });
        for side_by_side in [true, false, true] {
            match power {
                true => rig.crash(run),
                false => rig.kill(run),
            }
            run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, recovered) = start(options).await;
                assert!(recovered.damage.is_empty());
                if side_by_side {
                    open_all(&store).await;
                }
                for number in 0..LOGS {
                    let partition = store.open_partition(spec(number)).await.expect("opens");
                    check(&partition, number, 6).await;
                }
            });
        }
    }
}

#[test]
fn the_same_seed_opens_them_the_same_way() {
    let trace = || {
        let mut rig = Rig::new(510);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            fill(&store, 0, 3).await;
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            open_all(&store).await;
        });
        rig.world.trace_hash()
    };
    assert_eq!(trace(), trace());
}

#[test]
fn damage_to_one_of_many_is_told_and_the_others_are_whole() {
    const HURT: i32 = 41;
    let mut rig = Rig::new(520);
    // So that no checkpoint calls verified what is hurt later.
    rig.tune = |options| options.journal_file_bytes = 1 << 20;
    let run = rig.begin();
    // Past the journal: nothing puts it right.
    let options = StoreOptions { large_append_bytes: 0, ..rig.options(&run) };
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        fill(&store, 0, 4).await;
        executor::sleep(Duration::from_millis(300)).await;
    });
    rig.kill(run);
    let byte = bytes(HURT, 2) + 70;
    rig.world.rot(rig.node, &segment(HURT), Some(byte)).expect("a byte of the file");
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        for (number, partition) in (0..LOGS).zip(open_all(&store).await) {
            if number != HURT {
                check(&partition, number, 4).await;
                append(&store, &partition, &batch_of(1, &value(number, 4))).await.expect("appends");
                continue;
            }
            let damage = partition.damage().expect("it is told");
            assert_eq!(damage.offsets, Some((Offset(2), Offset(3))));
            assert_eq!((damage.file, damage.position), (segment(HURT), bytes(HURT, 2)));
            let refused = partition.append(&batch_of(1, &[1; 100]), &context()).map(|_| ());
            assert!(matches!(refused, Err(AppendError::Storage(crate::StorageError::Damaged(_)))));
        }
    });
}

#[test]
fn reserved_space_stays_until_a_clean_stop_and_what_was_written_there_is_cut_off() {
    const TORN: i32 = 17;
    let mut rig = Rig::new(530);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        fill(&store, 0, 3).await;
        drained().await;
    });
    rig.kill(run);
    let before: Vec<u64> = (0..LOGS).map(|number| size(&rig, number)).collect();
    assert!((0..LOGS).all(|number| before[number as usize] > bytes(number, 3) + 8192), "there is some");
    // As a write does that the power took while it was under way: far behind the end, with nothing before it.
    rig.world.rot(rig.node, &segment(TORN), Some(before[TORN as usize] - 1)).expect("a byte of the file");
    let run = rig.begin();
    let options = rig.options(&run);
    let store = rig.run(&run, async move {
        let (store, _) = start(options).await;
        for (number, partition) in (0..LOGS).zip(open_all(&store).await) {
            check(&partition, number, 3).await;
        }
        store
    });
    for number in 0..LOGS {
        let expected = if number == TORN { bytes(number, 3) } else { before[number as usize] };
        assert_eq!(size(&rig, number), expected, "log {number}");
    }
    rig.run(&run, async move {
        // What comes next goes into it; most logs get nothing.
        let partition = store.partition(id(5)).expect("open");
        append(&store, &partition, &batch_of(1, &value(5, 3))).await.expect("appends");
        store.stop().await.expect("stops");
    });
    for number in 0..LOGS {
        let count = if number == 5 { 4 } else { 3 };
        assert_eq!(size(&rig, number), bytes(number, count), "log {number} is cut to its size");
    }
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.clean);
        for (number, partition) in (0..LOGS).zip(open_all(&store).await) {
            check(&partition, number, if number == 5 { 4 } else { 3 }).await;
        }
    });
}

#[test]
fn what_was_replayed_is_verified_unless_something_else_lies_between() {
    // Past the journal goes none of the records, or one in the middle.
    for (case, large_append_bytes) in [1 << 20, 200].into_iter().enumerate() {
        let mut rig = Rig::new(540 + case as u64);
        let run = rig.begin();
        let options = StoreOptions { large_append_bytes, ..rig.options(&run) };
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            for number in 0..20u8 {
                let value = vec![number; if number == 10 { 300 } else { 50 }];
                append(&store, &partition, &batch_of(1, &value)).await.expect("appends");
            }
        });
        rig.kill(run);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, recovered) = start(options).await;
            assert!(recovered.damage.is_empty() && recovered.commits > 0);
            let partition = store.open_partition(spec(0)).await.expect("opens");
            let found = batches(&read_all(&partition, Offset(0), 20_000).await.expect("reads"));
            assert_eq!((found.len(), partition.offsets().log_end), (20, Offset(20)));
        });
        let file = rig.world.files(rig.node).visible(Path::new("/data/checkpoint")).expect("there");
        let entry = Checkpoint::decode(&file).expect("whole").entries[0];
        assert_eq!(entry.claimed.offset, 20);
        assert_eq!(entry.verified.offset, if case == 0 { 20 } else { 0 }, "case {case}");
    }
}
