//! Where leader epochs began is known after a start, whatever of the log was where when the broker ended.

use super::{Rig, batch_of, context, id, spec, start};
use crate::batch::HEADER_BYTES;
use crate::checkpoint::Checkpoint;
use crate::epochs::EPOCHS_MAX;
use crate::{AppendContext, Durability, LogConfig, Partition, PartitionSpec, Store, StoreOptions};
use driver::Errno;
use executor::{io, sleep};
use model::{LeaderEpoch, Offset};
use sim_driver::DiskFault;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Appends a batch of ten records in an epoch, which is durable then.
async fn append_in(store: &Store, partition: &Partition, epoch: i32, value: &[u8]) {
    let context = AppendContext { leader_epoch: LeaderEpoch(epoch), ..context() };
    let appended = partition.append(&batch_of(10, value), &context).expect("there is room");
    store.committed(&appended.ticket).await.expect("durable");
}

/// Appends a record in each of these epochs, which are durable then.
async fn append_each(store: &Store, partition: &Partition, epochs: Range<i32>) {
    let mut last = None;
    for epoch in epochs {
        let context = AppendContext { leader_epoch: LeaderEpoch(epoch), ..context() };
        let appended = loop {
            match partition.append(&batch_of(1, b"value"), &context) {
                Err(crate::AppendError::Busy) => store.room().await,
                taken => break taken.expect("there is room"),
            }
        };
        last = Some(appended.ticket);
    }
    store.committed(&last.expect("some")).await.expect("durable");
}

/// Deletes records, after which a checkpoint is written.
async fn checkpoint(partition: &Partition, before: i64) {
    assert_eq!(partition.delete_records(Offset(before)).await, Ok(Offset(before)));
    sleep(Duration::from_secs(5)).await;
    let shared = partition.log.shared().expect("it runs");
    assert!(!shared.checkpoint_due.get(), "it is written");
}

/// A run that leaves ten records of epoch 0.
fn leave_ten(rig: &mut Rig) {
    rig.leave(|store, partition| async move { append_in(&store, &partition, 0, b"value").await });
}

/// Epoch 1 begins at an offset, where epoch 0 ends.
fn check(partition: &Partition, begins: i64) {
    let epochs = [begins - 1, begins].map(|offset| partition.epoch_at(Offset(offset)));
    assert_eq!(epochs, [LeaderEpoch(0), LeaderEpoch(1)]);
    assert_eq!(partition.epoch_end(LeaderEpoch(0)), (LeaderEpoch(0), Offset(begins)));
}

/// The partition whose leader has an epoch.
fn of_epoch(epoch: i32) -> PartitionSpec {
    PartitionSpec { leader_epoch: LeaderEpoch(epoch), ..spec(0) }
}

/// What two starts find, each of them before a clean stop: where epoch 1 begins.
fn two_starts(rig: &mut Rig, begins: i64) {
    for _ in 0..2 {
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(of_epoch(1)).await.expect("opens");
            check(&partition, begins);
            store.stop().await.expect("stops");
        });
        rig.kill(run);
    }
}

#[test]
fn a_checkpoint_tells_of_no_epoch_that_only_the_journal_knows() {
    let mut rig = Rig::new(1300);
    rig.tune = |options| options.drain_interval = Duration::from_secs(60);
    leave_ten(&mut rig);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        // Until its journal is ready the drain is in a hurry.
        sleep(Duration::from_millis(10)).await;
        append_in(&store, &partition, 1, b"value").await;
        checkpoint(&partition, 5).await;
        assert!(partition.log.state.borrow().is_undrained(20), "and the records are in the journal only");
    });
    rig.crash(run);
    // The first start replays the journal, the second one looks at nothing.
    two_starts(&mut rig, 10);
}

#[test]
fn an_epoch_that_a_start_found_by_reading_is_known_after_a_clean_stop() {
    let mut rig = Rig::new(1301);
    leave_ten(&mut rig);
    let run = rig.begin();
    let options = rig.options(&run);
    let file = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        append_in(&store, &partition, 1, &[1; 70_000]).await;
        // The write is through, and what follows on it.
        sleep(Duration::from_millis(500)).await;
        partition.log.directory.join("leader-epoch-checkpoint")
    });
    rig.crash(run);
    // As if the power had gone in between.
    let run = rig.begin();
    rig.run(&run, async move { io::remove(&file).await.expect("was there") });
    rig.kill(run);
    // The first start looks at the batches, and nothing is appended; the second one looks at nothing.
    two_starts(&mut rig, 10);
}

#[test]
fn an_epoch_that_rot_has_made_too_large_hides_none_that_follow() {
    // Which bit turns is up to the seed: some make it negative.
    for seed in 1310..1316 {
        let mut rig = Rig::new(seed);
        leave_ten(&mut rig);
        let run = rig.begin();
        let options = rig.options(&run);
        let (segment, epochs) = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            append_in(&store, &partition, 0, &[1; 70_000]).await;
            append_in(&store, &partition, 1, &[1; 70_000]).await;
            sleep(Duration::from_millis(500)).await;
            (partition.log.segment_path(0), partition.log.directory.join("leader-epoch-checkpoint"))
        });
        rig.crash(run);
        let run = rig.begin();
        rig.run(&run, async move { io::remove(&epochs).await.expect("was there") });
        rig.kill(run);
        // The epoch of the second batch: it lies behind one with a value of five bytes.
        rig.world.rot(rig.node, &segment, Some(HEADER_BYTES as u64 + 5 + 12)).expect("it is there");
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(of_epoch(1)).await.expect("opens");
            let epochs = [19, 20].map(|offset| partition.epoch_at(Offset(offset)));
            assert_eq!(epochs, [LeaderEpoch(0), LeaderEpoch(1)], "seed {seed}");
            assert_eq!(partition.epoch_end(LeaderEpoch(0)), (LeaderEpoch(0), Offset(20)), "seed {seed}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn a_sync_of_names_that_finds_no_room_for_epochs_is_a_failed_sync() {
    // The log's first segment has no name on the device yet, and the next sync would not say that it is lost.
    let mut rig = Rig::new(1320);
    rig.tune = |options| options.drain_interval = Duration::from_secs(10);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        // Until its journal is ready the drain is in a hurry.
        sleep(Duration::from_millis(10)).await;
        append_in(&store, &partition, 0, b"value").await;
        // Drained after ten seconds, synced twenty seconds later.
        sleep(Duration::from_secs(15)).await;
        assert!(!partition.log.state.borrow().is_undrained(10), "it is in a segment");
        append_in(&store, &partition, 1, b"value").await;
        (store, partition)
    });
    rig.world.fail_next(rig.node, DiskFault::FullNames, 1);
    rig.run(&run, async move {
        sleep(Duration::from_secs(12)).await;
        assert!(!partition.log.state.borrow().is_undrained(20), "and so is this");
        assert!(store.stats().offline.load(Ordering::Relaxed));
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(of_epoch(1)).await.expect("opens");
        assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(20)));
        check(&partition, 10);
        store.stop().await.expect("stops");
    });
}

#[test]
fn an_epoch_begins_with_a_large_append_though_its_file_found_no_room() {
    // The journal has notes of large appends; or it has none, and the next batch that it has seems to follow.
    for (case, durability) in [Durability::Device, Durability::Memory].into_iter().enumerate() {
        let mut rig = Rig::new(1330 + case as u64);
        rig.tune = |options| options.drain_interval = Duration::from_secs(60);
        leave_ten(&mut rig);
        let run = rig.begin();
        let options = StoreOptions { durability, ..rig.options(&run) };
        let (store, partition) = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            // Reserves space, so that the next one syncs nothing but the file of epochs.
            append_in(&store, &partition, 0, &[1; 70_000]).await;
            sleep(Duration::from_secs(5)).await;
            (store, partition)
        });
        rig.world.fail_next(rig.node, DiskFault::FullSync, 1);
        rig.run(&run, async move {
            append_in(&store, &partition, 1, &[1; 70_000]).await;
            // The write is through, and what follows on it.
            sleep(Duration::from_millis(500)).await;
            assert_eq!(partition.offsets().high_watermark, Offset(30));
            let file = io::stat(partition.log.directory.join("leader-epoch-checkpoint")).await;
            assert_eq!(file.map(drop), Err(Errno::NOENT), "there was no room for it");
            checkpoint(&partition, 5).await;
            append_in(&store, &partition, 1, b"value").await;
            sleep(Duration::from_millis(20)).await;
            assert!(partition.log.state.borrow().is_undrained(40), "it is in the journal only");
        });
        rig.kill(run);
        two_starts(&mut rig, 20);
    }
}

#[test]
fn epochs_that_found_no_room_are_known_though_older_ones_go_for_them() {
    // The first one that makes an older one go, and where it begins.
    const NEXT: i32 = EPOCHS_MAX as i32;
    const BEGINS: i64 = EPOCHS_MAX as i64 + 10;
    let mut rig = Rig::new(1340);
    rig.tune = |options| options.drain_interval = Duration::from_secs(60);
    rig.leave(|store, partition| async move { append_each(&store, &partition, 0..NEXT).await });
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(of_epoch(NEXT - 1)).await.expect("opens");
        // Reserves space, so that the next one syncs nothing but the file of epochs.
        append_in(&store, &partition, NEXT - 1, &[1; 70_000]).await;
        sleep(Duration::from_secs(5)).await;
        (store, partition)
    });
    rig.world.fail_next(rig.node, DiskFault::FullSync, 1);
    rig.run(&run, async move {
        append_in(&store, &partition, NEXT, &[1; 70_000]).await;
        // Another follows in the next segment, and is in the journal only.
        partition.update_config(Rc::new(LogConfig { segment_bytes: 200_000, ..LogConfig::default() }));
        append_in(&store, &partition, NEXT + 1, b"value").await;
        checkpoint(&partition, 5).await;
        let state = partition.log.state.borrow();
        assert_eq!((state.segments.len(), state.is_undrained(BEGINS + 20)), (2, true));
    });
    rig.kill(run);
    // The first start finds both by reading, and the file has them when it has stopped.
    for in_file in [NEXT - 1, NEXT + 1] {
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(of_epoch(NEXT + 1)).await.expect("opens");
            let offsets = [100, BEGINS - 1, BEGINS, BEGINS + 9, BEGINS + 10];
            let epochs = offsets.map(|offset| partition.epoch_at(Offset(offset)).0);
            assert_eq!(epochs, [100, NEXT - 1, NEXT, NEXT, NEXT + 1]);
            let entry = partition.log.checkpoint(false).expect("it holds something");
            assert_eq!((entry.leader_epoch, entry.epoch_history), (in_file, true));
            store.stop().await.expect("stops");
        });
        rig.kill(run);
    }
}

#[test]
fn an_epoch_is_known_that_neither_a_checkpoint_nor_the_journal_tells_of() {
    let mut rig = Rig::new(1350);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append_in(&store, &partition, 0, b"value").await;
        // Until it is synced in its segment; a later commit says so.
        sleep(Duration::from_secs(10)).await;
        let other = store.create_partition(spec(1)).await.expect("creates");
        append_in(&store, &other, 0, b"value").await;
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(of_epoch(1)).await.expect("opens");
        // Until its journal is ready the drain is in a hurry.
        sleep(Duration::from_millis(10)).await;
        append_in(&store, &partition, 1, b"value").await;
        assert!(partition.log.state.borrow().is_undrained(20), "it is in the journal only");
    });
    let file = rig.world.files(rig.node).visible(Path::new("/data/checkpoint")).expect("there");
    let entries = Checkpoint::decode(&file).expect("whole").entries;
    assert!(entries.iter().all(|entry| entry.id != id(0)), "nothing is known of it");
    rig.kill(run);
    two_starts(&mut rig, 10);
}
