//! Where nobody waits for the device: records are answered and seen at once, and gather for their write.

use super::*;
use crate::Durability;
use crate::journal::committer::RELAXED_PAUSE;
use std::sync::atomic::Ordering;

/// Shorter than anything that is looked at, and long enough for every task that is ready.
const MOMENT: Duration = Duration::from_micros(1);

fn rig(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    rig.tune = |options| options.durability = Durability::Memory;
    rig
}

/// A store, and a partition of it. Until its journal is ready the drain is in a hurry.
async fn ready(options: StoreOptions) -> (Store, Partition) {
    let (store, _) = start(options).await;
    let partition = store.create_partition(spec(0)).await.expect("creates");
    executor::sleep(Duration::from_millis(10)).await;
    (store, partition)
}

fn commits(store: &Store) -> u64 {
    store.stats().commits.load(Ordering::Relaxed)
}

fn value(number: u8) -> Vec<u8> {
    vec![number; 100]
}

/// Appends a record, which is answered and seen in no time.
async fn append_seen(store: &Store, partition: &Partition, number: u8) {
    let (began, changed) = (executor::now(), partition.changed());
    let seen = changed.count();
    let appended = partition.append(&batch_of(1, &value(number)), &context()).expect("there is room");
    store.committed(&appended.ticket).await.expect("answered");
    changed.after(seen).await;
    assert_eq!(partition.offsets().high_watermark, Offset(appended.last_offset.0 + 1));
    let read = read_all(partition, appended.base_offset, 1000).await.expect("reads");
    let found = batches(&read);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, value(number));
    assert_eq!(executor::now(), began);
}

/// The log holds the records 0 to `count`, each once.
async fn check(partition: &Partition, count: u8) {
    let read = read_all(partition, Offset(0), 500).await.expect("reads");
    let found = batches(&read);
    assert_eq!(found.len(), usize::from(count));
    for (number, (header, found)) in (0..count).zip(&found) {
        assert_eq!((header.base_offset, found), (i64::from(number), &value(number)));
    }
}

#[test]
fn small_appends_share_commits() {
    let mut rig = rig(90);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        let began = executor::now();
        for number in 0..20 {
            append_seen(&store, &partition, number).await;
            executor::sleep(RELAXED_PAUSE / 25).await;
        }
        assert!(executor::now().since(began) < RELAXED_PAUSE);
        assert_eq!(commits(&store), 1, "the first goes at once, the others gather");
        executor::sleep(RELAXED_PAUSE).await;
        assert_eq!(commits(&store), 2);
        check(&partition, 20).await;
        store.stop().await.expect("stops");
    });
}

#[test]
fn what_gathers_is_written_after_a_pause_or_when_it_is_much() {
    let mut rig = rig(91);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        append_seen(&store, &partition, 0).await;
        append_seen(&store, &partition, 1).await;
        executor::sleep(RELAXED_PAUSE - MOMENT).await;
        assert_eq!(commits(&store), 1);
        executor::sleep(2 * MOMENT).await;
        assert_eq!(commits(&store), 2);
        // After a rest a lone record waits for nothing.
        executor::sleep(10 * RELAXED_PAUSE).await;
        assert_eq!(commits(&store), 2);
        append_seen(&store, &partition, 2).await;
        assert_eq!(commits(&store), 3);
        for _ in 0..70 {
            partition.append(&batch_of(1, &[7; 1000]), &context()).expect("there is room");
        }
        executor::sleep(MOMENT).await;
        assert_eq!(commits(&store), 4, "it did not wait for the pause");
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_clean_stop_loses_nothing_that_gathers() {
    let mut rig = rig(92);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        for number in 0..10 {
            append_seen(&store, &partition, number).await;
        }
        assert_eq!(commits(&store), 1);
        store.stop().await.expect("stops");
        assert_eq!(commits(&store), 2);
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.clean);
        let partition = store.open_partition(spec(0)).await.expect("opens");
        check(&partition, 10).await;
        store.stop().await.expect("stops");
    });
}

/// The commit's header is written when readers have its records already; what is on the device is whole.
#[test]
fn the_end_of_the_process_loses_nothing_that_came_before_the_pause() {
    let mut rig = rig(93);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        for number in 0..20 {
            append_seen(&store, &partition, number).await;
            executor::sleep(RELAXED_PAUSE / 25).await;
        }
        // The device's own time on top.
        executor::sleep(20 * RELAXED_PAUSE).await;
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert_eq!(recovered.commits, 2);
        let partition = store.open_partition(spec(0)).await.expect("opens");
        check(&partition, 20).await;
        store.stop().await.expect("stops");
    });
}

/// Files go after the log start has moved: the journal is to know it by then.
#[test]
fn a_log_start_does_not_gather() {
    let mut rig = rig(94);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        append_seen(&store, &partition, 0).await;
        append_seen(&store, &partition, 1).await;
        assert_eq!(commits(&store), 1);
        let start = partition.delete_records(Offset(1)).await.expect("deletes");
        assert_eq!(start, Offset(1));
        executor::sleep(MOMENT).await;
        assert_eq!(commits(&store), 2);
        store.stop().await.expect("stops");
    });
}

/// A process that ends between the two must not leave a log whose files are gone, and which is to begin with them.
#[test]
fn a_log_start_is_in_the_journal_before_files_may_go() {
    let mut rig = rig(97);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        append_seen(&store, &partition, 0).await;
        append_seen(&store, &partition, 1).await;
        let start = partition.delete_records(Offset(1)).await.expect("deletes");
        assert_eq!(start, Offset(1));
        {
            let shared = partition.log.shared().expect("it runs");
            let journal = shared.journal.borrow();
            let written = journal.durable_through + 1 == journal.next_sequence();
            assert!(journal.building_bytes() == 0 && written, "it is still on its way");
        }
        store.stop().await.expect("stops");
    });
}

/// A large append takes the drain's place for what came before it.
#[test]
fn what_goes_into_a_segment_is_on_its_way_into_the_journal_first() {
    let mut rig = rig(95);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        append_seen(&store, &partition, 0).await;
        append_seen(&store, &partition, 1).await;
        assert_eq!(commits(&store), 1);
        partition.append(&batch_of(1, &[2; 70_000]), &context()).expect("there is room");
        executor::sleep(MOMENT).await;
        assert_eq!(commits(&store), 2);
        executor::sleep(Duration::from_millis(100)).await;
        let read = read_all(&partition, Offset(0), 1000).await.expect("reads");
        assert_eq!(batches(&read).len(), 3);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_commit_that_is_waited_for_goes_at_once() {
    let mut rig = Rig::new(96);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, partition) = ready(options).await;
        for number in 1..=5 {
            let appended = partition.append(&batch_of(1, b"value"), &context()).expect("there is room");
            executor::sleep(MOMENT).await;
            assert_eq!(commits(&store), number);
            store.committed(&appended.ticket).await.expect("durable");
        }
        store.stop().await.expect("stops");
    });
}
