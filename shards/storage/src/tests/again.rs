//! A second crash after the first: what a start has made, or shown, must still be there.

use super::crash::{Book, PARTITIONS, check, produce};
use super::*;
use crate::journal::format::BLOCK_BYTES;
use base::Random;
use executor::{JoinHandle, io, race, sleep};
use std::cell::RefCell;

const JOURNAL: &str = "/data/shard-0/journal/0.journal";

fn segment(partition: i32) -> PathBuf {
    PathBuf::from(format!("/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/{partition}/00000000000000000000.log"))
}

/// The offsets of a log, all of which can be read.
async fn offsets(partition: &Partition) -> Vec<i64> {
    let from = partition.offsets().log_start;
    let found = batches(&read_all(partition, from, 20_000).await.expect("reads"));
    found.into_iter().map(|(header, _)| header.base_offset).collect()
}

#[test]
fn what_only_a_segment_has_is_there_after_a_power_loss_as_well() {
    // The commit with a log's only record is damaged: one before others, so that it is missed, and the last one,
    // which looks torn. The drain has written the record, and the kernel has it when the process is killed.
    for seed in 600..612 {
        let missed = seed % 2 == 0;
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let logs: &[i32] = if missed { &[0, 1, 0] } else { &[0, 1] };
            for &number in logs {
                let partition = store.open_partition(spec(number)).await.expect("opens");
                append(&store, &partition, &batch_of(1, &[7; 100])).await.expect("appends");
            }
            // Drained after one second, synced after three.
            sleep(Duration::from_secs(2)).await;
        });
        rig.kill(run);
        let files = rig.world.files(rig.node);
        let written = files.visible(&segment(1)).is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0));
        assert!(written && files.durable(&segment(1)).is_none(), "seed {seed}: drained, and not synced");
        rig.world.rot(rig.node, Path::new(JOURNAL), Some(2 * BLOCK_BYTES + 150)).expect("a byte of the file");
        for restart in 0..3 {
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, recovered) = start(options).await;
                let missing = usize::from(missed && restart == 0);
                assert_eq!(recovered.damage.len(), missing, "seed {seed}, start {restart}");
                let partition = store.open_partition(spec(1)).await.expect("opens");
                assert_eq!(partition.damage(), None, "seed {seed}, start {restart}");
                assert_eq!(offsets(&partition).await, [0], "seed {seed}, start {restart}");
            });
            rig.crash(run);
        }
    }
}

/// A recovery, given up as soon as it has made a file.
async fn recover_up_to(options: StoreOptions, path: PathBuf) {
    let names = |_| Some("topic".to_string());
    let shards = [PathBuf::from("/data/shard-0")];
    let made = async { while io::stat(path.clone()).await.is_err() {} };
    race(made, crate::recover(&options.data, &shards, &options.pool, &names)).await;
}

/// A log of which everything is deleted, with the file that it would have gone on in: until that is gone.
async fn expire(options: StoreOptions) {
    let (store, _) = start(options).await;
    let config = LogConfig { retention_ms: 10_000, ..LogConfig::default() };
    let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
    // Drained before the look for old segments, and synced after.
    sleep(Duration::from_millis(18_500)).await;
    append(&store, &partition, &batch_of(1, &[1; 100])).await.expect("appends");
    sleep(Duration::from_millis(1400)).await;
    while io::stat(segment(0)).await.is_ok() {}
}

#[test]
fn a_file_that_a_replay_has_made_anew_keeps_its_name() {
    // A file whose name is on the device is deleted. The process is killed before a checkpoint says so, and so is
    // the next one, which has made it anew for what the journal has of it. The log then goes on in it.
    for seed in 620..640 {
        let mut rig = Rig::new(seed);
        rig.tune = |options| look_every(options, 20);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &batch_of(1, &[0; 100])).await.expect("appends");
            store.stop().await.expect("stops");
        });
        rig.kill(run);
        let run = rig.begin();
        rig.run(&run, expire(rig.options(&run)));
        rig.kill(run);
        let run = rig.begin();
        rig.run(&run, recover_up_to(rig.options(&run), segment(0)));
        rig.kill(run);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!(partition.offsets().log_start, Offset(2), "seed {seed}");
            for number in 2..5 {
                let next = append(&store, &partition, &batch_of(1, &[number; 100])).await;
                assert_eq!(next, Ok(Offset(i64::from(number))), "seed {seed}");
            }
            // Drained and synced; and a commit that says so, in which the log has no part.
            sleep(Duration::from_secs(10)).await;
            let other = store.create_partition(spec(1)).await.expect("creates");
            append(&store, &other, &batch_of(1, &[0; 100])).await.expect("appends");
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!(partition.damage(), None, "seed {seed}");
            assert_eq!(offsets(&partition).await, [2, 3, 4], "seed {seed}");
        });
    }
}

/// A start with all logs.
async fn open_all(options: StoreOptions, config: LogConfig) -> Store {
    let (store, recovered) = start(options).await;
    assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
    let specs = (0..PARTITIONS).map(|number| spec_with(number, config.clone())).collect();
    for opened in store.open_partitions(specs).await {
        assert_eq!(opened.expect("opens").damage(), None);
    }
    store
}

/// Lets what was begun go on for a time, then ends the process, or the machine.
fn cut_short(rig: &Rig, run: Run, most_us: u64, random: &mut Random) {
    let until = rig.world.now() + Duration::from_micros(random.below(most_us));
    if let Err(error) = rig.world.run_to(std::slice::from_ref(&run.executor), until, || false) {
        panic!("{error}");
    }
    match random.one_in(2) {
        true => rig.kill(run),
        false => rig.crash(run),
    }
}

/// Rounds of appends that are cut short, and before each some starts that are.
fn rounds_of_starts(seed: u64, tune: fn(&mut StoreOptions)) {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    let mut random = Random::new(seed);
    let book: Rc<RefCell<Book>> = Rc::default();
    let config = LogConfig { segment_bytes: 200_000, ..LogConfig::default() };
    for round in 0..6 {
        for _ in 0..random.below(4) {
            let run = rig.begin();
            let begun = open_all(rig.options(&run), config.clone());
            rig.run(&run, async move { drop(executor::spawn("start", async move { drop(begun.await) })) });
            cut_short(&rig, run, 15_000, &mut random);
        }
        let run = rig.begin();
        let (options, config, ours) = (rig.options(&run), config.clone(), book.clone());
        let producers = rig.run(&run, async move {
            let store = open_all(options, config).await;
            let mut producers = Vec::new();
            for number in 0..PARTITIONS {
                let partition = store.partition(id(number)).expect("open");
                check(&partition, number, &ours).await;
                for producer in 0..2 {
                    let seed = seed * 1_000_000 + round * 1000 + number as u64 * 10 + producer;
                    let work = produce(store.clone(), partition.clone(), number, seed, 600, ours.clone());
                    producers.push(executor::spawn("producer", work));
                }
            }
            sleep(Duration::from_millis(20)).await;
            producers
        });
        if random.one_in(2) {
            // Until the drain has written some, or has synced it.
            let quiet = Duration::from_millis(random.below(4000));
            rig.run(&run, async move {
                producers.iter().for_each(JoinHandle::abort);
                sleep(quiet).await;
            });
        }
        cut_short(&rig, run, 10_000, &mut random);
    }
}

#[test]
fn starts_that_are_cut_short_lose_nothing() {
    for seed in 650..665 {
        rounds_of_starts(seed, |_| {});
        rounds_of_starts(seed + 20, |options| options.large_append_bytes = 3000);
    }
}

#[test]
fn a_commit_that_is_another_when_it_is_read_again_is_not_replayed() {
    // A byte of a commit changes at some moment of a start: before, between or after its two readings.
    for step in 0..160 {
        let mut rig = Rig::new(690);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            for _ in 0..3 {
                append(&store, &partition, &batch_of(1, &[7; 100])).await.expect("appends");
            }
        });
        rig.kill(run);
        let run = rig.begin();
        let options = rig.options(&run);
        let outcome: Rc<RefCell<Option<bool>>> = Rc::default();
        let (told, ours) = (outcome.clone(), options.clone());
        let recovery = async move {
            let names = |_| Some("topic".to_string());
            let shards = [PathBuf::from("/data/shard-0")];
            let recovered = crate::recover(&ours.data, &shards, &ours.pool, &names).await;
            let is_told = !recovered.is_ok_and(|recovered| recovered.damage.is_empty());
            *told.borrow_mut() = Some(is_told);
        };
        rig.run(&run, async move { drop(executor::spawn("recovery", recovery)) });
        let until = rig.world.now() + Duration::from_micros(25 * step);
        if let Err(error) = rig.world.run_to(std::slice::from_ref(&run.executor), until, || false) {
            panic!("{error}");
        }
        rig.world.rot(rig.node, Path::new(JOURNAL), Some(2 * BLOCK_BYTES + 150)).expect("a byte of the file");
        rig.run(&run, async { sleep(Duration::from_secs(1)).await });
        if outcome.take().expect("it has ended") {
            continue;
        }
        rig.run(&run, async move {
            let store = Store::open(options).await.expect("opens");
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!(offsets(&partition).await, [0, 1, 2], "step {step}");
        });
    }
}
