//! Reads of what is not in memory: right, few, ahead of who goes through, and within their memory.

use super::*;
use crate::StoreStats;
use crate::open_files::OpenFiles;
use crate::read_cache::{CHUNK_BYTES, ReadCache, Reader};
use driver::OpenOptions;
use executor::{io, join_all, sleep};
use memory::Slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const VALUE_BYTES: usize = 10_000;
const BATCH_BYTES: usize = VALUE_BYTES + batch::HEADER_BYTES;
/// Of these batches, 12 chunks and a part of one.
const COUNT: i64 = 320;

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A batch of one record a number, each with a value of its own.
async fn fill(store: &Store, partition: &Partition, count: i64, salt: u8) {
    for number in 0..count {
        let bytes = batch_of(1, &[number as u8 ^ salt; VALUE_BYTES]);
        append(store, partition, &bytes).await.expect("appends");
    }
}

/// The partition that most tests find: [`COUNT`] batches.
async fn filled(store: Store, partition: Partition) {
    fill(&store, &partition, COUNT, 0).await;
}

/// Everything is there, as it was written.
async fn check(partition: &Partition, portion: usize, count: i64, salt: u8) {
    let all = batches(&read_all(partition, Offset(0), portion).await.expect("reads"));
    assert_eq!(all.len() as i64, count);
    for (number, (header, value)) in (0..count).zip(all) {
        assert_eq!(header.base_offset, number);
        assert!(value.len() == VALUE_BYTES && value.iter().all(|&byte| byte == number as u8 ^ salt));
    }
}

async fn read_one(partition: &Partition, at: i64) -> i64 {
    let read = partition.read(Offset(at), 1, true, ReadBound::HighWatermark).await.expect("reads");
    let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
    batches(&bytes)[0].0.base_offset
}

/// Runs a body in a run that finds a partition of [`COUNT`] batches on the device, and nothing in memory.
fn cold<F: Future<Output = ()> + 'static>(
    seed: u64,
    tune: fn(&mut StoreOptions),
    body: impl FnOnce(Store, Partition, Pool) -> F + 'static,
) {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    rig.leave(filled);
    rig.find(body);
}

#[test]
fn who_goes_through_a_segment_finds_it_in_memory() {
    // Portions within a chunk, of some chunks, and more than the cache holds.
    for portion in [30_000, 700_000, 50 << 20] {
        cold(
            700,
            |_| {},
            move |store, partition, _| async move {
                check(&partition, portion, COUNT, 0).await;
                let stats = store.stats();
                let size = partition.size_bytes();
                let read = get(&stats.read_bytes);
                // A place in the index may lie a batch before what is looked for, and so in the chunk before.
                assert!(
                    read >= size && read <= size + 4096 + CHUNK_BYTES,
                    "{portion}: each chunk once: {read} of {size}, {} missed",
                    get(&stats.cache_misses)
                );
                assert!(get(&stats.read_ahead_bytes) > size / 2, "{}", get(&stats.read_ahead_bytes));
                assert!(get(&stats.cache_misses) <= 4, "{}", get(&stats.cache_misses));
            },
        );
    }
}

#[test]
fn without_a_cache_all_is_read_as_well() {
    cold(
        710,
        |options| options.cache_bytes = 0,
        |store, partition, _| async move {
            check(&partition, 100_000, COUNT, 0).await;
            let stats = store.stats();
            assert_eq!((get(&stats.cache_bytes), get(&stats.read_ahead_bytes)), (0, 0));
        },
    );
}

#[test]
fn the_cache_stays_within_its_budget() {
    const BUDGET: usize = 3 * CHUNK_BYTES as usize;
    fn at_most(stats: &StoreStats, most: &mut u64) {
        let bytes = get(&stats.cache_bytes);
        assert!(bytes <= BUDGET as u64, "{bytes}");
        *most = bytes.max(*most);
    }
    cold(
        720,
        |options| options.cache_bytes = BUDGET,
        |store, partition, _| async move {
            let (stats, mut most) = (store.stats(), 0);
            for _ in 0..2 {
                for at in 0..COUNT {
                    assert_eq!(read_one(&partition, at).await, at);
                    at_most(&stats, &mut most);
                }
            }
            assert_eq!(most, BUDGET as u64);
            let read = get(&stats.read_bytes);
            check(&partition, 100_000, COUNT, 0).await;
            assert!(get(&stats.read_bytes) > read + partition.size_bytes() / 2, "the beginning was let go");
        },
    );
}

#[test]
fn single_reads_here_and_there_read_nothing_ahead() {
    cold(
        730,
        |_| {},
        |store, partition, _| async move {
            for at in (0..COUNT).rev().step_by(7) {
                assert_eq!(read_one(&partition, at).await, at);
            }
            sleep(Duration::from_millis(50)).await;
            assert_eq!(get(&store.stats().read_ahead_bytes), 0);
        },
    );
}

#[test]
fn reading_ahead_has_an_end() {
    cold(
        740,
        |_| {},
        |store, partition, _| async move {
            let stats = store.stats();
            // All within the first chunk. The cache has room for eight: half of it may be read ahead.
            for at in 0..20 {
                assert_eq!(read_one(&partition, at).await, at);
                sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(get(&stats.read_ahead_bytes), 4 * CHUNK_BYTES);
            assert_eq!(get(&stats.cache_bytes), 5 * CHUNK_BYTES);
            assert_eq!(get(&stats.cache_misses), 1);
        },
    );
}

/// Three readers have begun, each in a partition of its own, and ask for nothing more: what was read ahead of them.
fn ahead_of_three(seed: u64, tune: fn(&mut StoreOptions)) -> u64 {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    rig.leave(|store, first| async move {
        fill(&store, &first, COUNT, 0).await;
        for number in 1..3 {
            let partition = store.create_partition(spec(number)).await.expect("creates");
            fill(&store, &partition, COUNT, 0).await;
        }
    });
    let read = Rc::new(AtomicU64::new(0));
    let ahead = read.clone();
    rig.find(move |store, first, _| async move {
        let mut partitions = vec![first];
        for number in 1..3 {
            partitions.push(store.open_partition(spec(number)).await.expect("opens"));
        }
        // All within the first chunk of each.
        for at in 0..5 {
            for partition in &partitions {
                assert_eq!(read_one(partition, at).await, at);
            }
        }
        sleep(Duration::from_millis(200)).await;
        ahead.store(get(&store.stats().read_ahead_bytes), Ordering::Relaxed);
    });
    get(&read)
}

#[test]
fn reading_ahead_goes_on_when_reads_have_ended() {
    fn with_room(options: &mut StoreOptions) {
        options.pool = Pool::new(64 << 20).expect("maps");
        options.cache_bytes = 16 << 20;
    }
    // Twice as many as are under way at once.
    assert_eq!(ahead_of_three(745, with_room), 24 * CHUNK_BYTES);
}

#[test]
fn what_is_read_ahead_of_many_is_half_of_the_cache() {
    assert_eq!(ahead_of_three(746, |_| {}), 4 * CHUNK_BYTES);
}

#[test]
fn what_was_read_ahead_of_who_has_left_is_given_up() {
    let mut rig = Rig::new(747);
    rig.leave(|store, first| async move {
        fill(&store, &first, COUNT, 0).await;
        let second = store.create_partition(spec(1)).await.expect("creates");
        fill(&store, &second, COUNT, 1).await;
    });
    rig.find(|store, first, _| async move {
        // All within the first chunk: what is read ahead of it is all that may be.
        for at in 0..5 {
            assert_eq!(read_one(&first, at).await, at);
        }
        sleep(Duration::from_millis(50)).await;
        let stats = store.stats();
        assert_eq!(get(&stats.read_ahead_bytes), 4 * CHUNK_BYTES);
        let second = store.open_partition(spec(1)).await.expect("opens");
        // Some 24 chunks, three times what the cache has room for.
        for _ in 0..2 {
            check(&second, 30_000, COUNT, 1).await;
        }
        let before = get(&stats.read_ahead_bytes);
        check(&second, 30_000, COUNT, 1).await;
        let ahead = get(&stats.read_ahead_bytes) - before;
        assert!(ahead > second.size_bytes() / 2, "{ahead}");
    });
}

/// Opens one file of three chunks many times, each for a reader.
async fn readers(cache: &Rc<ReadCache>, count: usize) -> Vec<Reader> {
    let files = OpenFiles::new(1, false, cache.clone());
    let path = Path::new("/data/f");
    let file = io::open(path, OpenOptions::CREATE).await.expect("creates");
    let bytes = vec![7u8; 3 * CHUNK_BYTES as usize];
    io::write(file, 0, Slice::from(bytes), false).await.0.expect("writes");
    io::close(file).await.expect("closes");
    let mut readers = Vec::new();
    for _ in 0..count {
        let handle = io::open(path, OpenOptions::READ).await.expect("opens");
        readers.push(Reader::new(cache.clone(), Rc::new(files.own(handle, path.to_path_buf()))));
    }
    readers
}

#[test]
fn reading_ahead_that_found_no_room_does_not_go_on_much_later() {
    // Half of it is read ahead by reads that are all under way at once.
    const LIMIT: usize = 24 * CHUNK_BYTES as usize;
    const END: u64 = 3 * CHUNK_BYTES;
    let mut rig = Rig::new(748);
    let run = rig.begin();
    rig.run(&run, async move {
        let (pool, stats) = (Pool::new(4 * LIMIT).expect("maps"), Arc::new(StoreStats::default()));
        let cache = Rc::new(ReadCache::new(pool, LIMIT, stats.clone()));
        let mut readers = readers(&cache, 30).await;
        // Two chunks each: those of six are on their way, and more wait than reads will end.
        for reader in &mut readers {
            reader.wants(0, END, END);
        }
        sleep(Duration::from_millis(200)).await;
        assert_eq!(get(&stats.read_ahead_bytes), 12 * CHUNK_BYTES);
        // The first asks for one of them, which leaves room for another, and for one that is not there: a read ends.
        for position in [CHUNK_BYTES, 0] {
            let found = readers[0].some(position, 1, END).await.expect("reads");
            assert!(found.is_some_and(|(start, bytes)| start == position && bytes[0] == 7));
        }
        sleep(Duration::from_millis(200)).await;
        assert_eq!(get(&stats.read_bytes), 13 * CHUNK_BYTES);
        assert_eq!(get(&stats.read_ahead_bytes), 12 * CHUNK_BYTES, "the others have not come back");
        cache.close().await;
    });
}

#[test]
fn readers_of_one_chunk_read_it_once() {
    cold(
        750,
        |_| {},
        |store, partition, _| async move {
            // None begins where another ends, which would read ahead.
            let wanted = vec![3, 6, 9, 12, 15];
            let found = join_all(wanted.iter().map(|&at| read_one(&partition, at)).collect()).await;
            assert_eq!(found, wanted);
            let stats = store.stats();
            assert_eq!((get(&stats.read_bytes), get(&stats.cache_misses)), (CHUNK_BYTES, 1));
            assert!(get(&stats.cache_hits) >= 4);
        },
    );
}

#[test]
fn a_partition_made_anew_is_not_served_from_the_old_one() {
    cold(
        760,
        |_| {},
        |store, partition, _| async move {
            check(&partition, 100_000, COUNT, 0).await;
            sleep(Duration::from_millis(50)).await;
            let stats = store.stats();
            assert!(get(&stats.cache_bytes) > 0);
            store.delete_partition(id(0)).await.expect("deletes");
            assert_eq!(get(&stats.cache_bytes), 0, "what was read of it goes with it");
            let partition = store.create_partition(spec(0)).await.expect("creates");
            fill(&store, &partition, 100, 0x55).await;
            // Others take the memory of its tail.
            let other = store.create_partition(spec(1)).await.expect("creates");
            for _ in 0..200 {
                append(&store, &other, &batch_of(1, &[1; 30_000])).await.expect("appends");
            }
            let read = get(&stats.read_bytes);
            check(&partition, 100_000, 100, 0x55).await;
            assert!(get(&stats.read_bytes) > read, "from the device");
        },
    );
}

#[test]
fn what_is_appended_behind_a_chunk_that_was_read_is_found() {
    cold(
        770,
        |_| {},
        |store, partition, _| async move {
            assert_eq!(read_one(&partition, COUNT - 1).await, COUNT - 1);
            for number in COUNT..COUNT + 100 {
                let bytes = batch_of(1, &[number as u8; VALUE_BYTES]);
                append(&store, &partition, &bytes).await.expect("appends");
            }
            let other = store.create_partition(spec(1)).await.expect("creates");
            for _ in 0..200 {
                append(&store, &other, &batch_of(1, &[1; 30_000])).await.expect("appends");
            }
            check(&partition, 100_000, COUNT + 100, 0).await;
        },
    );
}

#[test]
fn appends_get_the_memory_of_old_data() {
    cold(
        780,
        |_| {},
        |store, partition, pool| async move {
            check(&partition, 100_000, COUNT, 0).await;
            sleep(Duration::from_millis(50)).await;
            let stats = store.stats();
            let before = get(&stats.cache_bytes);
            let held: Vec<_> = std::iter::from_fn(|| pool.take(CHUNK_BYTES as usize)).collect();
            let appended = partition.append(&batch_of(1, b"value"), &context()).expect("there is memory");
            assert!(get(&stats.cache_bytes) < before);
            drop(held);
            store.committed(&appended.ticket).await.expect("durable");
        },
    );
}

#[test]
fn a_read_that_fails_is_told_and_tried_again() {
    let mut rig = Rig::new(790);
    rig.leave(filled);
    let (world, node) = (rig.world.clone(), rig.node);
    rig.find(move |_, partition, _| async move {
        assert_eq!(read_one(&partition, 0).await, 0);
        world.fail_next(node, sim_driver::DiskFault::Read, 1);
        let hurt = partition.read(Offset(COUNT - 1), 1, true, ReadBound::HighWatermark).await;
        assert!(hurt.is_err());
        assert_eq!(read_one(&partition, COUNT - 1).await, COUNT - 1);
        check(&partition, 100_000, COUNT, 0).await;
    });
}

#[test]
fn batches_of_one_chunk_are_one_slice() {
    cold(
        800,
        |_| {},
        |_, partition, _| async move {
            let read = partition.read(Offset(0), 200_000, true, ReadBound::HighWatermark).await;
            let slices = read.expect("reads").slices;
            let [one] = &slices[..] else { panic!("{slices:?}") };
            assert_eq!(one.held_bytes(), CHUNK_BYTES as usize, "the chunk itself");
            let numbers: Vec<i64> = batches(one).iter().map(|(header, _)| header.base_offset).collect();
            assert_eq!(numbers, (0..200_000 / BATCH_BYTES as i64).collect::<Vec<_>>());
        },
    );
}

#[test]
fn what_does_not_fit_is_not_read() {
    // The last one begins in the first chunk, and would end in the next.
    const FITTING: usize = CHUNK_BYTES as usize / BATCH_BYTES;
    for (most, count) in [
        (FITTING * BATCH_BYTES, FITTING),
        ((FITTING + 1) * BATCH_BYTES - 1, FITTING),
        (BATCH_BYTES - 1, 1),
        (2 * BATCH_BYTES - 1, 1),
        (0, 1),
    ] {
        cold(
            810,
            |_| {},
            move |store, partition, _| async move {
                let read = partition.read(Offset(0), most, true, ReadBound::HighWatermark).await;
                let read = read.expect("reads");
                assert_eq!((read.bytes, read.end), (count * BATCH_BYTES, Offset(count as i64)));
                if most <= CHUNK_BYTES as usize {
                    assert_eq!(get(&store.stats().read_bytes), CHUNK_BYTES, "{most}");
                }
                let none = partition.read(Offset(0), BATCH_BYTES - 1, false, ReadBound::HighWatermark).await;
                assert_eq!(none.expect("reads").bytes, 0);
            },
        );
    }
}
