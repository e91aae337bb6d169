//! Compaction: of every key the last record stays, at its offset, whatever happens meanwhile.

use super::*;
use crate::batch::{BatchHeader, HEADER_BYTES, varint};
use crate::{CleanerOptions, ReadError};
use base::Random;
use executor::sleep;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

type Written = (String, Option<String>);

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        compact: true,
        delete: false,
        min_cleanable_ratio: 0.01,
        ..LogConfig::default()
    }
}

fn quick(options: &mut StoreOptions) {
    options.cleaner.backoff = Duration::from_secs(1);
}

fn slow(options: &mut StoreOptions) {
    quick(options);
    options.cleaner.bytes_per_second = 100_000.0;
}

fn rig(seed: u64, tune: fn(&mut StoreOptions)) -> Rig {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    rig
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn field(out: &mut Vec<u8>, text: Option<&str>) {
    put_varint(out, text.map_or(-1, |text| text.len() as i64));
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// A batch of these records, compressed by a codec.
fn keyed(all: &[Written], codec: i16) -> Vec<u8> {
    let mut records = Vec::new();
    for (delta, (key, value)) in all.iter().enumerate() {
        let mut record = vec![0, 0];
        put_varint(&mut record, delta as i64);
        field(&mut record, Some(key));
        field(&mut record, value.as_deref());
        record.push(0);
        put_varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    let packed = compression::codec(codec).expect("one");
    let payload = compression::compress(packed, &records).expect("compresses");
    let mut bytes = batch_of(all.len() as i32, &payload);
    bytes[22] |= codec as u8;
    batch::seal(&mut bytes);
    bytes
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(varint(bytes).expect("a length")).ok()?;
    let (field, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(String::from_utf8(field.to_vec()).expect("text"))
}

/// The records of a batch, with their offsets and timestamps.
fn records(header: &BatchHeader, payload: &[u8]) -> Vec<(i64, i64, Written)> {
    let mut plain = Vec::new();
    let codec = compression::codec(header.compression()).expect("one");
    compression::decompress(codec, payload, &mut plain).expect("whole");
    let (mut rest, mut all) = (&plain[..], Vec::new());
    for _ in 0..header.count {
        let length = varint(&mut rest).expect("a length") as usize;
        let (mut record, behind) = rest.split_at(length);
        rest = behind;
        record = &record[1..];
        let timestamp = header.base_timestamp + varint(&mut record).expect("a time");
        let offset = header.base_offset + varint(&mut record).expect("an offset");
        let key = text(&mut record).expect("a key");
        let value = text(&mut record);
        all.push((offset, timestamp, (key, value)));
    }
    assert!(rest.is_empty());
    all
}

/// What was written, by offset.
#[derive(Default)]
struct History(Vec<Written>);

impl History {
    /// Writes `count` records for random ones of `keys` keys, in batches of up to five, with all codecs.
    async fn write(
        &mut self,
        store: &Store,
        partition: &Partition,
        random: &mut Random,
        count: usize,
        keys: u64,
    ) {
        let until = self.0.len() + count;
        while self.0.len() < until {
            let some = (until - self.0.len()).min(1 + random.below(5) as usize);
            let begin = self.0.len();
            for number in begin..begin + some {
                let key = format!("key {}", random.below(keys));
                let value = (!random.one_in(10)).then(|| format!("value {number} {}", "x".repeat(60)));
                self.0.push((key, value));
            }
            let bytes = keyed(&self.0[begin..], random.below(5) as i16);
            let offset = append(store, partition, &bytes).await.expect("appends");
            assert_eq!(offset, Offset(begin as i64));
        }
    }

    /// Whether a log holds what it must, and nothing that was not written; returns how many records there are.
    async fn check(&self, partition: &Partition) -> usize {
        assert_eq!((partition.damage(), partition.offsets().log_end.0), (None, self.0.len() as i64));
        let bytes = read_all(partition, Offset(0), 3000).await.expect("reads");
        let mut found = BTreeMap::new();
        let mut next = 0;
        for (header, payload) in batches(&bytes) {
            assert!(header.base_offset >= next, "offsets go on");
            next = header.last_offset() + 1;
            for (offset, timestamp, written) in records(&header, &payload) {
                assert_eq!((timestamp, &written), (NOW, &self.0[offset as usize]), "offset {offset}");
                assert!((header.base_offset..next).contains(&offset));
                found.insert(offset, written);
            }
        }
        let mut last = BTreeMap::new();
        for (offset, (key, value)) in self.0.iter().enumerate() {
            last.insert(key, (offset as i64, value));
        }
        for (key, (offset, value)) in last {
            assert!(value.is_none() || found.contains_key(&offset), "{key} at {offset} is lost");
        }
        found.len()
    }
}

fn files(rig: &Rig, ending: &str) -> Vec<String> {
    let all = rig.world.files(rig.node).list().into_iter().map(|(name, _)| name);
    all.filter(|name| name.ends_with(ending)).collect()
}

fn no_debris(rig: &Rig) {
    for ending in [".cleaned", ".swap", ".deleted", ".new"] {
        assert_eq!(files(rig, ending), Vec::<String>::new());
    }
    let logs = files(rig, ".log");
    for ending in [".index", ".timeindex"] {
        for file in files(rig, ending) {
            assert!(logs.contains(&file.replace(ending, ".log")), "{file} has no log");
        }
    }
}

#[test]
fn the_last_record_of_every_key_stays_also_over_restarts() {
    for seed in 0..6 {
        let mut rig = rig(600 + seed, quick);
        let (mut history, mut random) = (History::default(), Random::new(seed));
        for round in 0..4 {
            let run = rig.begin();
            let options = rig.options(&run);
            let stop = random.one_in(2);
            (history, random) = rig.run(&run, async move {
                let (store, recovered) = start(options).await;
                assert!(recovered.damage.is_empty());
                let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
                history.check(&partition).await;
                for _ in 0..3 {
                    history.write(&store, &partition, &mut random, 300, 20).await;
                    sleep(Duration::from_secs(6)).await;
                    let left = history.check(&partition).await;
                    // What is in the segment that is appended to is not touched.
                    assert!(left < 180, "seed {seed}, round {round}: {left} records are left");
                }
                assert!(store.stats().cleaner_runs.load(Ordering::Relaxed) > 0);
                if stop {
                    store.stop().await.expect("stops");
                }
                (history, random)
            });
            if stop || random.one_in(2) { rig.kill(run) } else { rig.crash(run) }
        }
        assert!(files(&rig, ".log").len() < 12, "small segments become one");
    }
}

#[test]
fn a_compacted_segment_is_not_served_from_what_was_read_before() {
    fn off(options: &mut StoreOptions) {
        quick(options);
        options.cleaner.enabled = false;
    }
    let mut rig = rig(605, off);
    let run = rig.begin();
    let options = rig.options(&run);
    let history = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        let mut history = History::default();
        history.write(&store, &partition, &mut Random::new(5), 500, 7).await;
        store.stop().await.expect("stops");
        history
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let mut cleaner = options.cleaner.clone();
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
        assert_eq!(history.check(&partition).await, 500);
        assert!(store.stats().cache_bytes.load(Ordering::Relaxed) > 0, "it is in memory now");
        cleaner.enabled = true;
        store.configure_cleaner(cleaner);
        sleep(Duration::from_secs(10)).await;
        assert!(store.stats().cleaner_runs.load(Ordering::Relaxed) > 0);
        let left = history.check(&partition).await;
        assert!(left < 180, "{left} records are left");
        store.stop().await.expect("stops");
    });
}

#[test]
fn every_offset_can_be_asked_for() {
    let mut rig = rig(610, quick);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        let (mut history, mut random) = (History::default(), Random::new(1));
        history.write(&store, &partition, &mut random, 500, 7).await;
        sleep(Duration::from_secs(6)).await;
        let end = partition.offsets().high_watermark.0;
        for at in 0..end {
            let read = partition.read(Offset(at), 1, true, ReadBound::HighWatermark).await.expect("reads");
            let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let first = batches(&bytes)[0].0;
            assert!(first.last_offset() >= at, "there is always something behind");
        }
        // The gaps are no damage when the policy has changed.
        partition.update_config(Rc::new(LogConfig { compact: false, ..config() }));
        history.check(&partition).await;
        store.stop().await.expect("stops");
    });
}

/// Runs until a file with this ending is there, and a moment longer; false if none comes.
fn run_until(rig: &Rig, run: &Run, ending: &str, more: Duration) -> bool {
    let executors = std::slice::from_ref(&run.executor);
    let until = rig.world.now() + Duration::from_secs(20);
    rig.world.run_to(executors, until, || !files(rig, ending).is_empty()).expect("runs");
    let there = !files(rig, ending).is_empty();
    rig.world.run_to(executors, rig.world.now() + more, || false).expect("runs");
    there
}

#[test]
fn a_crash_at_any_step_loses_nothing_and_leaves_nothing() {
    let (mut met, seeds) = (BTreeMap::<&str, u32>::new(), 60);
    for seed in 0..seeds {
        let mut rig = rig(700 + seed, quick);
        let mut random = Random::new(seed);
        let ending = [".cleaned", ".swap", "cleaner-state"][seed as usize % 3];
        let (mut history, mut chance) = (History::default(), random.fork());
        let run = rig.begin();
        let options = rig.options(&run);
        history = rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
            history.write(&store, &partition, &mut chance, 400, 20).await;
            history
        });
        let there = run_until(&rig, &run, ending, Duration::from_micros(random.below(6000)));
        *met.entry(ending).or_default() += u32::from(there);
        if random.one_in(4) {
            rig.kill(run)
        } else {
            rig.crash(run)
        }
        for round in 0..2 {
            let run = rig.begin();
            let options = rig.options(&run);
            history = rig.run(&run, async move {
                let (store, recovered) = start(options).await;
                assert!(recovered.damage.is_empty(), "seed {seed}");
                let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
                history.check(&partition).await;
                let mut random = Random::new(seed + 1000);
                history.write(&store, &partition, &mut random, 50, 20).await;
                sleep(Duration::from_secs(6)).await;
                let left = history.check(&partition).await;
                assert!(left < 180, "seed {seed}, round {round}: {left} records are left");
                store.stop().await.expect("stops");
                history
            });
            rig.kill(run);
            no_debris(&rig);
        }
    }
    assert!(met.values().all(|count| *count > seeds as u32 / 6), "{met:?}");
}

#[test]
fn a_log_that_grows_and_is_read_meanwhile() {
    for seed in 0..6 {
        let mut rig = rig(800 + seed, slow);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
            let written: Rc<RefCell<Vec<Written>>> = Rc::default();
            let (ours, log, book) = (store.clone(), partition.clone(), written.clone());
            let writer = executor::spawn("writer", async move {
                let (mut history, mut random) = (History::default(), Random::new(seed));
                for _ in 0..40 {
                    history.write(&ours, &log, &mut random, 50, 30).await;
                    *book.borrow_mut() = history.0.clone();
                    sleep(Duration::from_millis(500)).await;
                }
                history
            });
            let mut random = Random::new(seed + 50);
            while store.stats().cleaner_runs.load(Ordering::Relaxed) < 4 || random.one_in(2) {
                sleep(Duration::from_millis(random.below(50))).await;
                let all = written.borrow().clone();
                let Some(at) = (!all.is_empty()).then(|| random.below(all.len() as u64) as i64) else {
                    continue;
                };
                let read = partition.read(Offset(at), 2000, true, ReadBound::HighWatermark).await;
                let read = read.expect("whatever the cleaner does");
                let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
                for (header, payload) in batches(&bytes) {
                    assert!(header.last_offset() >= at);
                    for (offset, _, record) in records(&header, &payload) {
                        let known = all.get(offset as usize);
                        assert!(known.is_none_or(|known| known == &record), "seed {seed}, offset {offset}");
                    }
                }
            }
            let history = writer.await;
            sleep(Duration::from_secs(20)).await;
            history.check(&partition).await;
            let stats = store.stats();
            assert!(stats.cleaner_runs.load(Ordering::Relaxed) >= 4);
            assert!(stats.cleaner_read_bytes.load(Ordering::Relaxed) > 0);
            assert!(stats.cleaner_written_bytes.load(Ordering::Relaxed) > 0);
            assert_eq!(stats.uncleanable_partitions.load(Ordering::Relaxed), 0);
            store.stop().await.expect("stops");
        });
        no_debris(&rig);
    }
}

fn one(key: &str, value: Option<&str>) -> Vec<u8> {
    keyed(&[(key.to_string(), value.map(str::to_string))], 0)
}

/// Enough that the segment that is appended to is another one.
async fn pad(store: &Store, partition: &Partition, name: &str) {
    for number in 0..60 {
        let value = "y".repeat(70);
        append(store, partition, &one(&format!("{name} {number}"), Some(&value))).await.expect("appends");
    }
    sleep(Duration::from_secs(5)).await;
}

async fn keys(partition: &Partition) -> BTreeMap<String, (i64, Option<String>, i16)> {
    let bytes = read_all(partition, Offset(0), 3000).await.expect("reads");
    let mut found = BTreeMap::new();
    for (header, payload) in batches(&bytes) {
        for (offset, timestamp, (key, value)) in records(&header, &payload) {
            assert_eq!(timestamp, NOW);
            found.insert(key, (offset, value, header.attributes));
        }
    }
    found
}

#[test]
fn tombstones_stay_for_their_time() {
    let mut rig = rig(620, quick);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { delete_retention_ms: 20_000, ..config() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        append(&store, &partition, &one("gone", Some("value"))).await.expect("appends");
        append(&store, &partition, &one("gone", None)).await.expect("appends");
        append(&store, &partition, &one("here", Some("value"))).await.expect("appends");
        pad(&store, &partition, "first").await;
        let found = keys(&partition).await;
        assert_eq!(found["gone"], (1, None, 0x40), "with a horizon");
        assert_eq!(found["here"], (2, Some("value".to_string()), 0));
        pad(&store, &partition, "second").await;
        assert_eq!(keys(&partition).await["gone"], (1, None, 0x40));
        sleep(Duration::from_secs(20)).await;
        pad(&store, &partition, "third").await;
        let found = keys(&partition).await;
        assert!(!found.contains_key("gone") && found.contains_key("here"));
        store.stop().await.expect("stops");
    });
}

fn produced(sequence: i32) -> Vec<u8> {
    by_producer(one("key", Some(&format!("{sequence}"))), 9, 0, sequence)
}

#[test]
fn a_producers_last_batch_stays_for_its_sequence() {
    let mut rig = rig(630, quick);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        for sequence in 0..10 {
            append(&store, &partition, &produced(sequence)).await.expect("appends");
        }
        append(&store, &partition, &one("key", Some("other"))).await.expect("appends");
        pad(&store, &partition, "first").await;
        let all = batches(&read_all(&partition, Offset(0), 3000).await.expect("reads"));
        let first = all[0].0;
        assert_eq!((first.base_offset, first.base_sequence, first.count), (9, 9, 0));
        assert_eq!(keys(&partition).await["key"].0, 10);
    });
    // The snapshot is not there: the batches are all there is of the producer.
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config())).await.expect("opens");
        let gap = append(&store, &partition, &produced(11)).await;
        assert_eq!(gap, Err(crate::AppendError::OutOfOrderSequence));
        assert_eq!(append(&store, &partition, &produced(9)).await, Ok(Offset(9)), "sent twice");
        assert_eq!(append(&store, &partition, &produced(10)).await, Ok(Offset(71)));
        store.stop().await.expect("stops");
    });
}

/// A setting, and whether a log is cleaned with it.
type Lag = (fn(&mut LogConfig), bool);

#[test]
fn lags_are_kept() {
    let bodies: [Lag; 4] = [
        (|config| config.min_cleanable_ratio = 1.0, false),
        (|config| config.min_compaction_lag_ms = 3_600_000, false),
        (|config| config.min_compaction_lag_ms = 2000, true),
        (|config| (config.min_cleanable_ratio, config.max_compaction_lag_ms) = (1.0, 3000), true),
    ];
    for (case, (change, cleaned)) in bodies.into_iter().enumerate() {
        let mut rig = rig(640 + case as u64, quick);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let mut config = config();
            change(&mut config);
            let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
            let (mut history, mut random) = (History::default(), Random::new(1));
            history.write(&store, &partition, &mut random, 300, 10).await;
            sleep(Duration::from_secs(8)).await;
            let left = history.check(&partition).await;
            assert_eq!(left < 300, cleaned, "case {case}: {left} are left");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn more_keys_than_the_map_holds_take_several_runs() {
    let small = |options: &mut StoreOptions| {
        quick(options);
        options.cleaner = CleanerOptions { map_bytes: 1, load_factor: 0.01, ..options.cleaner.clone() };
    };
    let mut rig = rig(650, small);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        let (mut history, mut random) = (History::default(), Random::new(1));
        // 27 keys fit.
        history.write(&store, &partition, &mut random, 600, 100).await;
        sleep(Duration::from_secs(30)).await;
        let left = history.check(&partition).await;
        assert!(left < 250, "{left} are left");
        assert!(store.stats().cleaner_runs.load(Ordering::Relaxed) > 5);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_damaged_log_is_left_alone_and_others_go_on() {
    let mut rig = rig(660, |_| {});
    let run = rig.begin();
    let options = rig.options(&run);
    let history = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let mut history = History::default();
        for number in 0..2 {
            let partition = store.create_partition(spec_with(number, config())).await.expect("creates");
            history = History::default();
            let mut random = Random::new(1);
            history.write(&store, &partition, &mut random, 300, 10).await;
        }
        store.stop().await.expect("stops");
        history
    });
    rig.kill(run);
    let first = files(&rig, "/0/00000000000000000000.log");
    rig.world.rot(rig.node, Path::new(&first[0]), Some(500)).expect("a byte of a file");
    rig.tune = quick;
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let hurt = store.open_partition(spec_with(0, config())).await.expect("opens");
        let whole = store.open_partition(spec_with(1, config())).await.expect("opens");
        sleep(Duration::from_secs(8)).await;
        assert!(history.check(&whole).await < 200, "the other one is compacted");
        assert_eq!(store.stats().uncleanable_partitions.load(Ordering::Relaxed), 1);
        let read = read_all(&hurt, Offset(0), 3000).await;
        assert!(matches!(read, Err(ReadError::Damaged(_))), "nothing was made of it");
        let bytes = one("key", Some("value"));
        assert_eq!(append(&store, &hurt, &bytes).await, Ok(Offset(300)), "it takes appends");
        // One of the choices: to give up the damaged part.
        hurt.delete_records(Offset(150)).await.expect("deletes");
        sleep(Duration::from_secs(8)).await;
        assert_eq!(store.stats().uncleanable_partitions.load(Ordering::Relaxed), 0);
        store.stop().await.expect("stops");
    });
    no_debris(&rig);
}

#[test]
fn both_policies_at_once() {
    let mut rig = rig(670, |options| {
        quick(options);
        look_every(options, 5);
    });
    let expiring = LogConfig { delete: true, retention_ms: 30_000, ..config() };
    let run = rig.begin();
    let options = rig.options(&run);
    let ours = expiring.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        let (mut history, mut random) = (History::default(), Random::new(1));
        history.write(&store, &partition, &mut random, 300, 10).await;
        sleep(Duration::from_secs(10)).await;
        assert!(history.check(&partition).await < 200);
        sleep(Duration::from_secs(40)).await;
        assert_eq!(partition.offsets().log_start, Offset(300), "all of it is old");
        partition.update_config(Rc::new(LogConfig { retention_ms: -1, ..config() }));
        assert_eq!(append(&store, &partition, &one("key", Some("value"))).await, Ok(Offset(300)));
        sleep(Duration::from_secs(3)).await;
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, expiring)).await.expect("opens");
        assert_eq!((partition.damage(), partition.offsets().log_end), (None, Offset(301)));
        let bytes = read_all(&partition, partition.offsets().log_start, 3000).await.expect("reads");
        assert_eq!((batches(&bytes).len(), HEADER_BYTES < bytes.len()), (1, true));
        store.stop().await.expect("stops");
    });
    no_debris(&rig);
}

/// What the cleaner reads or writes at once at most, of segments as small as these.
const AT_ONCE_BYTES: f64 = 16_384.0;

/// Lets the cleaner at a log that is dirty all over. Tells the bytes that it has read and written and how long that
/// took, during which they are never more than `bytes_per_second` allows.
fn cleaned_at(bytes_per_second: f64) -> (f64, Duration) {
    let mut rig = rig(900, |options| {
        quick(options);
        options.cleaner.enabled = false;
    });
    let run = rig.begin();
    let options = rig.options(&run);
    let cleaner = CleanerOptions { enabled: true, bytes_per_second, ..options.cleaner.clone() };
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        let (mut history, mut random) = (History::default(), Random::new(900));
        history.write(&store, &partition, &mut random, 3000, 50).await;
        // Until all of it is in segments.
        sleep(Duration::from_secs(5)).await;
        store.configure_cleaner(cleaner);
        let stats = store.stats();
        let moved = || {
            let read = stats.cleaner_read_bytes.load(Ordering::Relaxed);
            (read + stats.cleaner_written_bytes.load(Ordering::Relaxed)) as f64
        };
        while moved() == 0.0 {
            sleep(Duration::from_millis(1)).await;
        }
        let began = executor::now();
        let (mut all, mut ended) = (moved(), began);
        while executor::now().since(ended) < Duration::from_secs(10) {
            sleep(Duration::from_millis(10)).await;
            let (bytes, took) = (moved(), executor::now().since(began));
            let allowed = bytes_per_second * took.as_secs_f64() * 1.1 + AT_ONCE_BYTES;
            assert!(bytes <= allowed, "{bytes} bytes within {took:?}");
            if bytes > all {
                (all, ended) = (bytes, executor::now());
            }
        }
        assert!(history.check(&partition).await < 1000, "it has cleaned");
        store.stop().await.expect("stops");
        (all, ended.since(began))
    })
}

#[test]
fn the_cleaner_keeps_to_its_rate() {
    let (bytes, took) = cleaned_at(20_000.0);
    assert!(bytes > 100_000.0, "{bytes} bytes say little");
    let wanted = bytes / 20_000.0;
    assert!(took.as_secs_f64() < wanted * 1.5, "{bytes} bytes took {took:?}: it may go faster");
    let (_, unlimited) = cleaned_at(1e12);
    assert!(unlimited * 5 < took, "{unlimited:?} without a limit, {took:?} with one");
}
