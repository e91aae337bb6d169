//! Old segments go by age, by size and by deletion; what is left stays readable.

use super::*;
use crate::{AppendError, ReadError};
use base::Random;
use executor::{Either, race, sleep};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Ten batches of 961 bytes fill a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 10_000, ..LogConfig::default() }
}

fn often(options: &mut StoreOptions) {
    look_every(options, 10);
}

fn rig(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    rig.tune = often;
    rig
}

/// Batches with one record each, a second of time between them.
async fn fill(store: &Store, partition: &Partition, numbers: std::ops::Range<u8>, first_ms: i64) {
    for number in numbers {
        let bytes = batch_at(1, &[number; 900], first_ms + 1000 * i64::from(number));
        append(store, partition, &bytes).await.expect("appends");
    }
}

/// Whether everything from the log start on is there and as it was sent; returns the log start.
async fn check(partition: &Partition, end: i64) -> i64 {
    assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(end)));
    let start = partition.offsets().log_start;
    let all = batches(&read_all(partition, start, 5000).await.expect("reads"));
    let offsets: Vec<i64> = all.iter().map(|(header, _)| header.base_offset).collect();
    assert_eq!(offsets, (start.0..end).collect::<Vec<_>>());
    assert!(all.iter().all(|(header, value)| value == &[header.base_offset as u8; 900]));
    start.0
}

fn count(rig: &Rig, ending: &str) -> usize {
    rig.world.files(rig.node).list().iter().filter(|(name, _)| name.ends_with(ending)).count()
}

#[test]
fn segments_go_by_age_at_last_the_one_that_is_appended_to() {
    let mut rig = rig(300);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { retention_ms: 60_000, ..config() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        fill(&store, &partition, 0..50, NOW).await;
        sleep(Duration::from_secs(95)).await;
        assert_eq!(check(&partition, 50).await, 30);
        let early = partition.read(Offset(29), 100, true, ReadBound::HighWatermark).await;
        assert!(matches!(early, Err(ReadError::OffsetOutOfRange { .. })));
        let found = partition.offset_for_timestamp(NOW).await.expect("looks").expect("one");
        assert!(found.offset >= Offset(30));
        assert_eq!(store.stats().segments_deleted.load(Ordering::Relaxed), 3);
        assert_eq!(store.stats().deleted_bytes.load(Ordering::Relaxed), 3 * 9610);
        (store, partition)
    });
    assert_eq!((count(&rig, ".log"), count(&rig, ".deleted")), (2, 3));
    let (ours, log) = (store.clone(), partition.clone());
    rig.run(&run, async move {
        sleep(Duration::from_secs(120)).await;
        assert_eq!(check(&log, 50).await, 50);
        assert_eq!(log.size_bytes(), 0);
        // Kafka's rule for times in the future: they are not old yet.
        fill(&ours, &log, 50..51, NOW + 1_000_000).await;
        sleep(Duration::from_secs(90)).await;
        assert_eq!(check(&log, 51).await, 50);
    });
    assert_eq!((count(&rig, ".log"), count(&rig, ".deleted")), (1, 0));
    rig.run(&run, async move { store.stop().await.expect("stops") });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
        assert_eq!(check(&partition, 51).await, 50);
        store.stop().await.expect("stops");
    });
}

#[test]
fn the_first_look_and_those_after_it_have_times_of_their_own() {
    let mut rig = Rig::new(309);
    rig.tune = |options| {
        options.retention_first = Duration::from_secs(100);
        options.retention_check = Duration::from_secs(20);
    };
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { retention_ms: 1000, ..config() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        fill(&store, &partition, 0..10, NOW - 100_000).await;
        sleep(Duration::from_secs(95)).await;
        assert_eq!(check(&partition, 10).await, 0);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(check(&partition, 10).await, 10);
        fill(&store, &partition, 10..20, NOW - 100_000).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(check(&partition, 20).await, 10);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(check(&partition, 20).await, 20);
        store.stop().await.expect("stops");
    });
}

/// A rule, and where the log begins under it.
type Kept = (fn(&mut LogConfig), i64);

#[test]
fn segments_go_by_size_and_nothing_goes_without_a_rule() {
    let bodies: [Kept; 5] = [
        (|config| config.retention_bytes = 25_000, 20),
        (|config| config.retention_bytes = 0, 50),
        (|config| config.retention_ms = -1, 0),
        (|config| (config.retention_ms, config.retention_bytes) = (1_000_000, 48_050), 0),
        (|config| (config.delete, config.retention_ms, config.retention_bytes) = (false, 1, 1), 0),
    ];
    for (case, (change, begins)) in bodies.into_iter().enumerate() {
        let mut rig = rig(310 + case as u64);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let mut config = config();
            change(&mut config);
            let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
            fill(&store, &partition, 0..50, NOW - 100_000).await;
            sleep(Duration::from_secs(15)).await;
            assert_eq!(check(&partition, 50).await, begins, "case {case}");
            store.stop().await.expect("stops");
        });
        assert_eq!(count(&rig, ".log"), 5 - begins as usize / 10, "case {case}");
        assert_eq!(count(&rig, ".deleted"), 0, "case {case}: a clean stop leaves nothing to be removed");
    }
}

#[test]
fn a_full_device_keeps_no_old_segments_for_want_of_room_for_their_producers() {
    let kept = || LogConfig { retention_bytes: 25_000, ..config() };
    let batch = |id, sequence| by_producer(batch_at(1, &[7; 900], NOW), id, 0, sequence);
    let mut rig = rig(316);
    let run = rig.begin();
    let options = rig.options(&run);
    let (store, partition) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, kept())).await.expect("creates");
        // All that one of them writes is among what goes.
        append(&store, &partition, &batch(8, 0)).await.expect("appends");
        for sequence in 0..49 {
            append(&store, &partition, &batch(9, sequence)).await.expect("appends");
        }
        sleep(Duration::from_secs(5)).await;
        (store, partition)
    });
    rig.world.set_capacity(rig.node, rig.world.used_bytes(rig.node));
    let log = partition.clone();
    rig.run(&run, async move {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(log.offsets().log_start, Offset(20));
    });
    rig.world.set_capacity(rig.node, 64 << 30);
    rig.run(&run, async move {
        append(&store, &partition, &batch(9, 49)).await.expect("appends");
        sleep(Duration::from_secs(5)).await;
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, kept())).await.expect("opens");
        assert_eq!(append(&store, &partition, &batch(8, 0)).await, Ok(Offset(0)), "sent twice, there once");
        assert_eq!(append(&store, &partition, &batch(9, 49)).await, Ok(Offset(50)), "sent twice, there once");
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_partition_goes_while_its_old_files_are_removed() {
    for seed in 340..350 {
        let mut rig = rig(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let config = LogConfig { retention_bytes: 0, ..config() };
            let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
            fill(&store, &partition, 0..100, NOW - 100_000).await;
            // Until all of them have another name.
            sleep(Duration::from_secs(15)).await;
            let shared = partition.log.shared().expect("it is open");
            let emptying = async move { crate::upkeep::empty_trash(&shared, true).await };
            let emptying = executor::spawn("trash", emptying);
            assert_eq!(store.delete_partition(id(0)).await, Ok(()), "seed {seed}");
            emptying.await;
            store.stop().await.expect("stops");
        });
        assert_eq!(count(&rig, ".deleted"), 0, "seed {seed}");
    }
}

/// Opens a segment's file again and again, as readers do who have looked it up.
async fn open_repeatedly(partition: &Partition, base: i64) {
    let (shared, path) = (partition.log.shared().expect("it is open"), partition.log.segment_path(base));
    loop {
        drop(shared.files.open(&path, false).await);
        sleep(Duration::from_micros(2)).await;
    }
}

/// A segment's file is not there, and nobody has it open under its name.
async fn is_gone(partition: &Partition, base: i64) -> bool {
    let shared = partition.log.shared().expect("it is open");
    let opened = shared.files.open(&partition.log.segment_path(base), false).await;
    opened.is_err_and(|error| error.is_gone())
}

#[test]
fn a_file_that_is_opened_while_it_goes_is_closed() {
    for seed in 360..380 {
        let mut rig = rig(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
            fill(&store, &partition, 0..50, NOW).await;
            // Until they are in their files.
            sleep(Duration::from_secs(5)).await;
            let deleted = race(partition.delete_records(Offset(10)), open_repeatedly(&partition, 0)).await;
            assert_eq!(deleted, Either::Left(Ok(Offset(10))), "seed {seed}");
            assert!(is_gone(&partition, 0).await, "seed {seed}");
            assert!(!is_gone(&partition, 10).await, "seed {seed}");
            let deleted = race(store.delete_partition(id(0)), open_repeatedly(&partition, 10)).await;
            assert_eq!(deleted, Either::Left(Ok(())), "seed {seed}");
            assert!(is_gone(&partition, 10).await, "seed {seed}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn a_log_from_before_a_restart_is_looked_through_too() {
    for clean in [true, false] {
        let mut rig = rig(320);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
            fill(&store, &partition, 0..50, NOW - 1_000_000).await;
            sleep(Duration::from_secs(3)).await;
            if clean {
                store.stop().await.expect("stops");
            }
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let config = LogConfig { retention_ms: 1_000_000 - 25_000, ..config() };
            let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
            sleep(Duration::from_secs(15)).await;
            // The look is 10 s after the start, which is some 3 s after the records were sent.
            let start = check(&partition, 50).await;
            assert!((10..=40).contains(&start) && start % 10 == 0, "{start}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn a_crash_at_any_moment_of_a_deletion_leaves_nothing_half_done() {
    let mut begun = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut rig = rig(400 + seed);
        let mut random = Random::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        let expiring = LogConfig { retention_ms: 60_000, ..config() };
        let ours = expiring.clone();
        let opened = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let opened = executor::now();
            let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
            fill(&store, &partition, 0..50, NOW - 1_000_000).await;
            opened
        });
        // From the first look on, 10 s after the start.
        let until = opened + Duration::from_micros(10_000_000 + random.below(40_000));
        if let Err(error) = rig.world.run_to(std::slice::from_ref(&run.executor), until, || false) {
            panic!("seed {seed}: {error}");
        }
        if random.one_in(3) {
            rig.kill(run)
        } else {
            rig.crash(run)
        }
        let run = rig.begin();
        let options = rig.options(&run);
        let begins = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec_with(0, expiring)).await.expect("opens");
            let begins = check(&partition, 50).await;
            sleep(Duration::from_secs(15)).await;
            assert_eq!(check(&partition, 50).await, 50, "seed {seed}");
            fill(&store, &partition, 50..51, NOW).await;
            assert_eq!(check(&partition, 51).await, 50, "seed {seed}");
            store.stop().await.expect("stops");
            begins
        });
        begun.insert(begins);
        let debris = [".deleted", ".new"].map(|ending| count(&rig, ending));
        assert_eq!((debris, count(&rig, ".log")), ([0, 0], 1), "seed {seed}");
        assert!(count(&rig, "index") <= 2, "seed {seed}: index files without their log");
    }
    assert_eq!(
        begun.into_iter().collect::<Vec<_>>(),
        [0, 50],
        "some came before and some behind the deletion"
    );
}

#[test]
fn whoever_reads_meanwhile_gets_what_was_sent_or_is_told() {
    for seed in 0..10 {
        let mut rig = rig(500 + seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let config = LogConfig { retention_ms: 60_000, file_delete_delay_ms: 0, ..config() };
            let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
            fill(&store, &partition, 0..200, NOW).await;
            // Past what memory holds, so that files are read.
            let other = store.create_partition(spec(1)).await.expect("creates");
            for _ in 0..200 {
                append(&store, &other, &batch_of(1, &[1; 30_000])).await.expect("appends");
            }
            let (mut random, mut told, mut read) = (Random::new(seed), 0, 0);
            for _ in 0..3000 {
                let at = random.below(200) as i64;
                match partition.read(Offset(at), 3000, true, ReadBound::HighWatermark).await {
                    Ok(result) => {
                        let bytes: Vec<u8> = result.slices.iter().flat_map(|slice| slice.to_vec()).collect();
                        let found = batches(&bytes);
                        assert_eq!(found[0].0.base_offset, at, "seed {seed}");
                        assert!(
                            found.iter().all(|(header, value)| value == &[header.base_offset as u8; 900])
                        );
                        read += 1;
                    }
                    Err(ReadError::OffsetOutOfRange { log_start, .. }) => {
                        assert!(at < log_start.0, "seed {seed}");
                        told += 1;
                    }
                    Err(other) => panic!("seed {seed}: {other}"),
                }
                sleep(Duration::from_millis(random.below(100))).await;
            }
            assert!(told > 100 && read > 100, "seed {seed}: {told} and {read}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn a_restart_neither_ends_a_segment_nor_keeps_it_from_ending() {
    let mut rig = rig(330);
    let config = LogConfig { segment_ms: 100_000, ..LogConfig::default() };
    for (at_ms, segments) in [(0, 1), (50_000, 1), (100_001, 2)] {
        let run = rig.begin();
        let options = rig.options(&run);
        let config = config.clone();
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
            sleep(Duration::from_secs(12)).await;
            append(&store, &partition, &batch_at(1, b"value", NOW + at_ms)).await.expect("appends");
            store.stop().await.expect("stops");
        });
        rig.kill(run);
        assert_eq!(count(&rig, ".log"), segments, "at {at_ms}");
    }
}

#[test]
fn producers_outlive_their_records() {
    let produced = |sequence| by_producer(batch_at(1, &[7; 900], NOW - 1_000_000), 9, 0, sequence);
    let mut rig = rig(340);
    let config = LogConfig { retention_ms: 60_000, ..config() };
    let run = rig.begin();
    let options = rig.options(&run);
    let ours = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        for sequence in 0..30 {
            append(&store, &partition, &produced(sequence)).await.expect("appends");
        }
        sleep(Duration::from_secs(15)).await;
        assert_eq!(partition.offsets().log_start, Offset(30));
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        assert_eq!(append(&store, &partition, &produced(29)).await, Ok(Offset(29)), "sent twice");
        assert_eq!(append(&store, &partition, &produced(31)).await, Err(AppendError::OutOfOrderSequence));
        assert_eq!(append(&store, &partition, &produced(30)).await, Ok(Offset(30)));
        store.stop().await.expect("stops");
    });
}

#[test]
fn files_are_removed_while_a_look_at_another_log_takes_long() {
    let mut rig = Rig::new(1310);
    rig.tune = |options| look_every(options, 10);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { retention_ms: 60_000, ..LogConfig::default() };
        let slow = store.create_partition(spec_with(0, config)).await.expect("creates");
        let old = by_producer(batch_at(1, b"value", NOW - 1_000_000), 8, 0, 0);
        append(&store, &slow, &old).await.expect("appends");
        let config = LogConfig { segment_bytes: 200, file_delete_delay_ms: 2000, ..LogConfig::default() };
        let other = store.create_partition(spec_with(1, config)).await.expect("creates");
        for _ in 0..3 {
            append(&store, &other, &batch_of(1, &[1; 100])).await.expect("appends");
        }
        sleep(Duration::from_secs(5)).await;
        // Its producers cannot be put on the device as long as this is held.
        let writing = slow.log.writer.take(1).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(other.delete_records(Offset(2)).await, Ok(Offset(2)));
        assert_eq!(deleted_files(&other).await, 2);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(slow.offsets().log_start, Offset(0), "the look is not done");
        assert_eq!(deleted_files(&other).await, 0);
        drop(writing);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(slow.offsets().log_start, Offset(1));
        store.stop().await.expect("stops");
    });
}

/// How many files of a log wait to be removed.
async fn deleted_files(partition: &Partition) -> usize {
    let entries = executor::io::list_directory(&partition.log.directory).await.expect("lists");
    entries.iter().filter(|entry| entry.name.ends_with(".deleted")).count()
}
