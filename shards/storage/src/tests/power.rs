//! Power loss where nobody waits for the device: it takes what was not synced, and that is no damage.

use super::*;
use crate::journal::format::BLOCK_BYTES;
use crate::partition::retention;
use crate::store::Shared;
use crate::{Durability, StorageError};
use base::Random;
use driver::OpenOptions;
use executor::io;
use memory::Slice;
use sim_driver::DiskFault;
use std::cell::RefCell;

const JOURNAL: &str = "/data/shard-0/journal/0.journal";
const SEGMENT: &str = "/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/0/00000000000000000000.log";
/// Longer than a commit gathers, and its write takes.
const REST: Duration = Duration::from_millis(10);

fn rig(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    rig.tune = |options| options.durability = Durability::Memory;
    rig
}

fn commits(store: &Store) -> u64 {
    store.stats().commits.load(Ordering::Relaxed)
}

/// A commit of one block gets lost: a new journal's file has zeros there.
async fn lose_commit(number: u64) {
    let file = io::open(JOURNAL, OpenOptions::CREATE).await.expect("it is there");
    let zeros = Slice::from(vec![0; BLOCK_BYTES as usize]);
    let (written, _) = io::write(file, (1 + number) * BLOCK_BYTES, zeros, false).await;
    written.expect("writes");
    io::close(file).await.expect("closes");
}

/// All of the first segment gets lost.
async fn lose_segment() {
    let file = io::open(SEGMENT, OpenOptions::CREATE).await.expect("it is there");
    io::truncate(file, 0).await.expect("cuts");
    io::close(file).await.expect("closes");
}

#[test]
fn a_commit_that_is_lost_before_one_that_is_kept_is_the_end_of_the_log() {
    const COUNT: u64 = 3;
    for lost in 0..COUNT {
        let mut rig = rig(500 + lost);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            // Until its journal is ready the drain is in a hurry.
            executor::sleep(REST).await;
            for number in 0..COUNT {
                append(&store, &partition, &batch_of(1, &[number as u8; 100])).await.expect("appends");
                executor::sleep(REST).await;
            }
            assert_eq!(commits(&store), COUNT);
        });
        rig.kill(run);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            lose_commit(lost).await;
            let (store, recovered) = start(options).await;
            assert!(recovered.damage.is_empty(), "commit {lost}: {:?}", recovered.damage);
            assert_eq!((recovered.commits, recovered.torn_commits), (lost, COUNT - 1 - lost));
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(lost as i64)));
            let next = append(&store, &partition, &batch_of(1, &[9; 100])).await;
            assert_eq!(next, Ok(Offset(lost as i64)), "appends go on");
            store.stop().await.expect("stops");
        });
        rig.kill(run);
        rig.find(move |_, partition, _| async move {
            let found = batches(&read_all(&partition, Offset(0), 1000).await.expect("reads"));
            let found: Vec<u8> = found.iter().map(|(_, value)| value[0]).collect();
            let expected: Vec<u8> = (0..lost as u8).chain([9]).collect();
            assert_eq!(found, expected);
        });
    }
}

#[test]
fn a_direct_write_that_is_lost_before_a_commit_that_is_kept_is_the_end_of_the_log() {
    let mut rig = rig(510);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        executor::sleep(REST).await;
        for bytes in [100, 70_000, 200] {
            append(&store, &partition, &batch_of(1, &vec![1; bytes])).await.expect("appends");
            executor::sleep(5 * REST).await;
        }
        assert_eq!(store.stats().direct_writes.load(Ordering::Relaxed), 1);
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        lose_segment().await;
        let (store, recovered) = start(options).await;
        assert_eq!((recovered.damage.len(), recovered.commits), (0, 2));
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(1)));
        let next = append(&store, &partition, &batch_of(1, &[2; 300])).await;
        assert_eq!(next, Ok(Offset(1)), "appends go on");
        let found = batches(&read_all(&partition, Offset(0), 1000).await.expect("reads"));
        let found: Vec<usize> = found.iter().map(|(_, value)| value.len()).collect();
        assert_eq!(found, [100, 300]);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_checkpoint_claims_what_is_synced_and_no_more() {
    let mut rig = rig(511);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        executor::sleep(REST).await;
        let claimed = || partition.log.checkpoint(false).map(|entry| (entry.verified, entry.claimed));
        append(&store, &partition, &batch_of(1, &[1; 100])).await.expect("appends");
        executor::sleep(Duration::from_secs(10)).await;
        let before = claimed().expect("it holds something");
        assert_eq!((before.0.offset, before.1.offset), (1, 1));
        // One by a direct write, then one by the drain a second later: written, and not synced for another one.
        for (bytes, pause) in [(70_000, 100), (200, 1500)] {
            append(&store, &partition, &batch_of(1, &vec![1; bytes])).await.expect("appends");
            executor::sleep(Duration::from_millis(pause)).await;
            assert!(partition.log.state.borrow().unsynced.first().is_some());
            assert_eq!(claimed(), Some(before), "{bytes} bytes");
        }
        executor::sleep(Duration::from_secs(10)).await;
        let after = claimed().expect("it holds something");
        assert_eq!((after.0.offset, after.1.offset), (3, 3));
        store.stop().await.expect("stops");
    });
}

#[test]
fn no_segment_goes_before_the_log_start_is_synced_whoever_lets_it_go() {
    let mut rig = rig(512);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { segment_bytes: 10_000, ..LogConfig::default() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        for _ in 0..30 {
            append(&store, &partition, &batch_of(1, &[1; 900])).await.expect("appends");
        }
        executor::sleep(Duration::from_secs(10)).await;
        let (ours, changed) = (partition.clone(), partition.changed());
        let deleter = executor::spawn("deleter", async move { ours.delete_records(Offset(20)).await });
        loop {
            let seen = changed.count();
            if partition.offsets().log_start == Offset(20) {
                break;
            }
            changed.after(seen).await;
        }
        let shared = partition.log.shared().expect("it runs");
        let through = shared.journal.borrow().durable_through;
        assert!(shared.journal.borrow().synced_through < through, "the deleter waits for the device");
        let (ours, log) = (shared.clone(), partition.log.clone());
        let upkeep = executor::spawn("upkeep", async move { retention::enforce(&ours, &log).await });
        while store.stats().segments_deleted.load(Ordering::Relaxed) == 0 {
            executor::sleep(Duration::from_micros(1)).await;
        }
        assert!(shared.journal.borrow().synced_through >= through);
        assert_eq!((deleter.await, upkeep.await), (Ok(Offset(20)), Ok(())));
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_sync_of_the_journal_that_fails_has_failed_for_all_who_wait_for_it() {
    let mut rig = rig(513);
    let run = rig.begin();
    let (options, world, node) = (rig.options(&run), rig.world.clone(), rig.node);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &partition, &batch_of(1, &[1; 100])).await.expect("appends");
        // Nobody else syncs anything then.
        executor::sleep(Duration::from_secs(10)).await;
        let shared = partition.log.shared().expect("it runs");
        assert_eq!(shared.sync_journal().await, Ok(()));
        let synced = shared.journal.borrow().synced_through;
        assert_eq!(synced, shared.journal.borrow().durable_through);
        world.fail_next(node, DiskFault::Sync, 1);
        assert_eq!(shared.sync_journal().await, Ok(()), "nothing was written since, and nothing is synced");
        append(&store, &partition, &batch_of(1, &[2; 100])).await.expect("appends");
        executor::sleep(REST).await;
        assert!(shared.journal.borrow().durable_through > synced);
        let sync = |shared: Rc<Shared>| async move { shared.sync_journal().await };
        let both = [sync(shared.clone()), sync(shared.clone())].map(|sync| executor::spawn("sync", sync));
        for one in both {
            let told = one.await;
            assert!(matches!(told, Err(StorageError::Offline(_))), "{told:?}");
        }
        assert_eq!(shared.journal.borrow().synced_through, synced);
    });
    rig.kill(run);
}

const PARTITIONS: i32 = 3;

/// What is known of a log.
#[derive(Default)]
struct Book {
    /// What was appended, by offset.
    values: Vec<Vec<u8>>,
    /// Up to where it was asked to delete.
    asked: i64,
    /// Up to where that was answered.
    deleted: i64,
    /// Everything before this was synced when the power went.
    synced: i64,
}

type Books = Rc<Vec<RefCell<Book>>>;

/// Appends a value and notes it, in the same turn.
async fn append_noted(store: &Store, partition: &Partition, value: Vec<u8>, book: &RefCell<Book>) {
    let offset = append(store, partition, &batch_of(1, &value)).await.expect("appends");
    let mut book = book.borrow_mut();
    assert_eq!(offset.0, book.values.len() as i64);
    book.values.push(value);
}

/// Appends until it is dropped: small ones most often, now and then one past the journal.
async fn produce(store: Store, number: usize, seed: u64, books: Books) {
    let partition = store.partition(id(number as i32)).expect("open");
    let mut random = Random::new(seed);
    loop {
        let size = match random.one_in(12) {
            true => random.below(35_000),
            false => random.below(800),
        };
        let mut value = vec![0; 16 + size as usize];
        random.fill(&mut value);
        append_noted(&store, &partition, value, &books[number]).await;
        executor::sleep(Duration::from_micros(random.below(1500))).await;
    }
}

/// Deletes records until it is dropped.
async fn delete(store: Store, number: usize, seed: u64, books: Books) {
    let partition = store.partition(id(number as i32)).expect("open");
    let mut random = Random::new(seed);
    loop {
        executor::sleep(Duration::from_millis(random.below(30))).await;
        let offsets = partition.offsets();
        let count = random.below((offsets.high_watermark.0 - offsets.log_start.0) as u64 + 1);
        let before = Offset(offsets.log_start.0 + count as i64);
        books[number].borrow_mut().asked = before.0;
        let start = partition.delete_records(before).await.expect("deletes");
        assert_eq!(start, before);
        books[number].borrow_mut().deleted = start.0;
    }
}

/// Checks a log against its book, and begins a new page with what is left; returns how many records are lost.
async fn check(partition: &Partition, book: &RefCell<Book>, name: &str) -> usize {
    assert_eq!(partition.damage(), None, "{name}");
    let offsets = partition.offsets();
    let (log_start, end) = (offsets.log_start.0, offsets.log_end.0);
    let read = read_all(partition, offsets.log_start, 100_000).await.expect("reads");
    let found = batches(&read);
    assert_eq!(offsets.high_watermark, offsets.log_end, "{name}");
    assert_eq!(found.len() as i64, end - log_start, "{name}: from {log_start} to {end}");
    let mut book = book.borrow_mut();
    assert!((book.deleted..=book.asked).contains(&log_start), "{name}: begins at {log_start}");
    assert!(end >= book.synced, "{name}: ends at {end}, {} was synced", book.synced);
    assert!(end <= book.values.len() as i64, "{name}: ends at {end}");
    for (offset, (header, value)) in (log_start..end).zip(&found) {
        assert_eq!(header.base_offset, offset, "{name}");
        assert!(book.values[offset as usize] == *value, "{name}: another record at {offset}");
    }
    let lost = book.values.len() - end as usize;
    book.values.truncate(end as usize);
    (book.asked, book.deleted) = (log_start, log_start);
    lost
}

/// A start, the checks, and work that the caller cuts short. Returns the store, and how many records were lost.
async fn begin(options: StoreOptions, config: LogConfig, books: Books, name: String) -> (Store, usize) {
    let (store, recovered) = start(options).await;
    assert!(recovered.damage.is_empty(), "{name}: {:?}", recovered.damage);
    let mut lost = 0;
    for (number, book) in books.iter().enumerate() {
        let spec = spec_with(number as i32, config.clone());
        let partition = store.open_partition(spec).await.expect("opens");
        lost += check(&partition, book, &format!("{name}, partition {number}")).await;
        append_noted(&store, &partition, b"appends go on".to_vec(), book).await;
    }
    (store, lost)
}

/// Several power losses, or ends of the process; how many records were appended, and how many of them lost.
fn rounds(seed: u64) -> (usize, usize) {
    let mut rig = Rig::new(seed);
    rig.tune = |options| {
        options.durability = Durability::Memory;
        options.drain_interval = Duration::from_millis(10);
        options.large_append_bytes = 20_000;
    };
    let file_delete_delay_ms = if seed.is_multiple_of(2) { 0 } else { 20 };
    let config = LogConfig { segment_bytes: 60_000, file_delete_delay_ms, ..LogConfig::default() };
    let books: Books = Rc::new((0..PARTITIONS).map(|_| RefCell::default()).collect());
    let mut random = Random::new(seed);
    let (mut kept, mut lost) = (0, 0);
    for round in 0..6 {
        let run = rig.begin();
        let begun = begin(rig.options(&run), config.clone(), books.clone(), format!("seed {seed}, {round}"));
        let ours = books.clone();
        let (store, missing) = rig.run(&run, async move {
            let (store, missing) = begun.await;
            for number in 0..PARTITIONS as usize {
                let seed = seed * 1000 + round * 10 + number as u64;
                let appends = produce(store.clone(), number, seed, ours.clone());
                drop(executor::spawn("producer", appends));
                drop(executor::spawn("deleter", delete(store.clone(), number, seed + 5, ours.clone())));
            }
            (store, missing)
        });
        lost += missing;
        let until = rig.world.now() + Duration::from_micros(random.below(120_000));
        if let Err(error) = rig.world.run_to(std::slice::from_ref(&run.executor), until, || false) {
            panic!("seed {seed}: {error}");
        }
        for (number, book) in books.iter().enumerate() {
            let log = store.partition(id(number as i32)).expect("open").log;
            book.borrow_mut().synced = log.checkpoint(false).map_or(0, |entry| entry.claimed.offset);
        }
        drop(store);
        match random.one_in(5) {
            true => rig.kill(run),
            false => rig.crash(run),
        }
    }
    for book in books.iter() {
        kept += book.borrow().values.len();
    }
    (kept, lost)
}

#[test]
fn a_power_loss_takes_the_end_of_a_log_and_nothing_before() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..36 {
        let (appended, missing) = rounds(seed);
        (kept, lost) = (kept + appended, lost + missing);
    }
    assert!(kept > 5_000 && lost > 500, "{kept} records and {lost} lost ones have little to say");
}
