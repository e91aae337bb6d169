//! Where leader epochs began is known after a start, whatever of the log was where when the broker ended.

use super::{Rig, batch_of, context, spec, start};
use crate::batch::HEADER_BYTES;
use crate::{AppendContext, Partition, PartitionSpec, Store};
use executor::{io, sleep};
use model::{LeaderEpoch, Offset};
use sim_driver::DiskFault;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Appends a batch of ten records in an epoch, which is durable then.
async fn append_in(store: &Store, partition: &Partition, epoch: i32, value: &[u8]) {
    let context = AppendContext { leader_epoch: LeaderEpoch(epoch), ..context() };
    let appended = partition.append(&batch_of(10, value), &context).expect("there is room");
    store.committed(&appended.ticket).await.expect("durable");
}

/// A run that leaves ten records of epoch 0.
fn leave_ten(rig: &mut Rig) {
    rig.leave(|store, partition| async move { append_in(&store, &partition, 0, b"value").await });
}

/// Epoch 1 begins at offset 10, where epoch 0 ends.
fn check(partition: &Partition) {
    let epochs = [9, 10].map(|offset| partition.epoch_at(Offset(offset)));
    assert_eq!(epochs, [LeaderEpoch(0), LeaderEpoch(1)]);
    assert_eq!(partition.epoch_end(LeaderEpoch(0)), (LeaderEpoch(0), Offset(10)));
}

/// The partition whose leader has epoch 1.
fn of_epoch_1() -> PartitionSpec {
    PartitionSpec { leader_epoch: LeaderEpoch(1), ..spec(0) }
}

/// What two starts find, each of them before a clean stop.
fn two_starts(rig: &mut Rig) {
    for _ in 0..2 {
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(of_epoch_1()).await.expect("opens");
            check(&partition);
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
        // A checkpoint follows.
        assert_eq!(partition.delete_records(Offset(5)).await, Ok(Offset(5)));
        sleep(Duration::from_secs(5)).await;
        let shared = partition.log.shared().expect("it runs");
        assert!(!shared.checkpoint_due.get(), "it is written");
        assert!(partition.log.state.borrow().is_undrained(20), "and the records are in the journal only");
    });
    rig.crash(run);
    // The first start replays the journal, the second one looks at nothing.
    two_starts(&mut rig);
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
    two_starts(&mut rig);
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
            let partition = store.open_partition(of_epoch_1()).await.expect("opens");
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
        let partition = store.open_partition(of_epoch_1()).await.expect("opens");
        assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(20)));
        check(&partition);
        store.stop().await.expect("stops");
    });
}
