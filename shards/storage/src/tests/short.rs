//! Short of memory, and memory of what is no more: nothing is forgotten, and nothing kept.

use super::*;
use crate::AppendError;
use memory::Block;

/// All that a pool has left.
pub(super) fn take_all(pool: &Pool) -> Vec<Block> {
    let (mut held, mut bytes) = (Vec::new(), POOL_BYTES);
    while bytes >= 4096 {
        match pool.take(bytes) {
            Some(block) => held.push(block),
            None => bytes /= 2,
        }
    }
    held
}

fn large() -> Vec<u8> {
    batch_of(1, &[1; 26_000])
}

/// A store, and a partition that was appended to until there was no memory for more. What comes now goes into the
/// journal's second file, and the memory is there again; in what was begun of it there is room for a small commit.
async fn refused(options: StoreOptions, pool: &Pool) -> (Store, Partition) {
    let (store, _) = start(options).await;
    let partition = store.create_partition(spec(0)).await.expect("creates");
    append(&store, &partition, &batch_of(1, b"the first")).await.expect("appends");
    executor::sleep(Duration::from_millis(10)).await;
    let shared = partition.log.shared().expect("it runs");
    let first = shared.journal.borrow().file_sequence();
    let held = take_all(pool);
    let refused = (0..100).find_map(|_| partition.append(&large(), &context()).err());
    assert_eq!(refused, Some(AppendError::Busy));
    assert_eq!(shared.journal.borrow().file_sequence(), first + 1, "memory and file end together");
    drop(held);
    store.room().await;
    (store, partition)
}

/// The file after the next is made ready though there was no memory when the next one was begun: else appends would
/// wait for the drain to sync.
#[test]
fn the_journal_goes_on_to_its_next_file_though_memory_was_short() {
    let mut rig = Rig::new(700);
    let run = rig.begin();
    let (options, pool) = (rig.options(&run), run.pool.clone());
    rig.run(&run, async move {
        let (store, partition) = refused(options, &pool).await;
        let began = executor::now();
        // More than a file holds.
        for _ in 0..16 {
            append(&store, &partition, &large()).await.expect("appends");
        }
        assert!(executor::now().since(began) < Duration::from_secs(1), "it waited for a sync");
        store.stop().await.expect("stops");
    });
}

/// A block stays that is built in again, because a larger append found no other: let go of too early, it would be kept
/// by its last records for as long as nobody appends behind them.
#[test]
fn memory_that_is_built_in_again_goes_after_what_it_holds_then() {
    let mut rig = Rig::new(701);
    let run = rig.begin();
    let (options, pool) = (rig.options(&run), run.pool.clone());
    rig.run(&run, async move {
        let (store, partition) = refused(options, &pool).await;
        let quiet = store.create_partition(spec(1)).await.expect("creates");
        // All of it goes into segments.
        executor::sleep(Duration::from_secs(3)).await;
        append(&store, &quiet, &batch_of(1, b"the only one")).await.expect("appends");
        store.give_back();
        // This one finds another block.
        append(&store, &partition, &large()).await.expect("appends");
        executor::sleep(Duration::from_secs(3)).await;
        assert!(!quiet.log.state.borrow().is_undrained(1));
        while store.give_back() {}
        assert!(quiet.log.state.borrow().tail.is_empty(), "it keeps a block that nobody knows of");
        let read = read_all(&quiet, Offset(0), 1000).await.expect("reads");
        assert_eq!(batches(&read)[0].1, b"the only one");
        store.stop().await.expect("stops");
    });
}

#[test]
fn memory_of_a_large_append_to_a_partition_that_is_deleted_counts_no_more() {
    let mut rig = Rig::new(702);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let appended = partition.append(&batch_of(1, &[1; 70_000]), &context()).expect("there is room");
        store.delete_partition(id(0)).await.expect("deletes");
        assert!(store.committed(&appended.ticket).await.is_err());
        while store.give_back() {}
        assert_eq!(store.stats().tail_bytes.load(Ordering::Relaxed), 0);
        store.stop().await.expect("stops");
    });
}

#[test]
fn records_of_a_partition_that_is_deleted_at_once_wait_for_no_drain() {
    let mut rig = Rig::new(703);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let appended = partition.append(&batch_of(1, b"value"), &context()).expect("there is room");
        let undrained = || store.stats().undrained_bytes.load(Ordering::Relaxed);
        assert_eq!(undrained(), 66);
        store.delete_partition(id(0)).await.expect("deletes");
        store.committed(&appended.ticket).await.expect("durable");
        assert_eq!(undrained(), 0);
        store.stop().await.expect("stops");
    });
}
