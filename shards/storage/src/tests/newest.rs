//! The record with the largest timestamp: the first one of those that may be seen.

use super::more::{packed, put_varint, timed};
use super::*;
use base::Random;
use executor::sleep;
use std::cmp::Reverse;

async fn newest(partition: &Partition) -> Option<(i64, i64)> {
    let found = partition.max_timestamp().await.expect("looks");
    found.map(|found| (found.offset.0, found.timestamp - NOW))
}

async fn at_or_after(partition: &Partition, ahead: i64) -> Option<(i64, i64)> {
    let found = partition.offset_for_timestamp(NOW + ahead).await.expect("looks");
    found.map(|found| (found.offset.0, found.timestamp - NOW))
}

/// A batch with a record at each of these times from now.
fn ahead(times: &[i64]) -> Vec<u8> {
    timed(&times.iter().map(|time| NOW + time).collect::<Vec<_>>())
}

/// Small segments, whose indexes have an entry for every few batches.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 1500, index_interval_bytes: 200, retention_ms: -1, ..LogConfig::default() }
}

#[test]
fn deleted_records_are_not_the_newest() {
    for on_device in [false, true] {
        let mut rig = Rig::new(900);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            for times in [&[90][..], &[1, 5], &[80, 5, 2], &[3]] {
                append(&store, &partition, &ahead(times)).await.expect("appends");
            }
            if on_device {
                sleep(Duration::from_secs(10)).await;
            }
            // The largest is deleted with its batch, then from within one; of equal ones the first is told.
            for (log_start, expected) in [
                (0, Some((0, 90))),
                (1, Some((3, 80))),
                (3, Some((3, 80))),
                (4, Some((4, 5))),
                (5, Some((6, 3))),
                (6, Some((6, 3))),
                (7, None),
            ] {
                partition.delete_records(Offset(log_start)).await.expect("deletes");
                assert_eq!(newest(&partition).await, expected, "the log begins at {log_start}");
            }
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn deleted_records_of_a_compressed_batch_are_not_found() {
    for codec in 0..5 {
        let mut rig = Rig::new(901);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            let plain = ahead(&[40, 20, 30]);
            let batch = if codec == 0 { plain } else { packed(&plain, codec) };
            append(&store, &partition, &batch).await.expect("appends");
            assert_eq!(at_or_after(&partition, 35).await, Some((0, 40)));
            partition.delete_records(Offset(1)).await.expect("deletes");
            assert_eq!(newest(&partition).await, Some((2, 30)), "codec {codec}");
            assert_eq!(at_or_after(&partition, 21).await, Some((2, 30)), "codec {codec}");
            assert_eq!(at_or_after(&partition, 35).await, None, "codec {codec}");
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn what_is_not_durable_yet_hides_nothing() {
    let mut rig = Rig::new(902);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &partition, &ahead(&[10, 20])).await.expect("appends");
        let appended = partition.append(&ahead(&[50]), &context()).expect("taken");
        assert_eq!(partition.offsets().high_watermark, Offset(2));
        assert_eq!(newest(&partition).await, Some((1, 20)));
        store.committed(&appended.ticket).await.expect("durable");
        assert_eq!(newest(&partition).await, Some((2, 50)));
        store.stop().await.expect("stops");
    });
}

/// The same with a header that tells of a later one.
fn boasting(times: &[i64]) -> Vec<u8> {
    let mut batch = ahead(times);
    batch[35..43].copy_from_slice(&(NOW + 1000).to_be_bytes());
    batch::seal(&mut batch);
    batch
}

#[test]
fn a_log_that_is_shortened_meanwhile_hides_nothing() {
    let mut rig = Rig::new(905);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let mut late = 0;
        for pause in 0..60 {
            let partition = store.create_partition(spec(pause)).await.expect("creates");
            for batch in [ahead(&[50]), boasting(&[5]), ahead(&[30])] {
                append(&store, &partition, &batch).await.expect("appends");
            }
            // Long enough for the drain: what is looked for is read, and time passes.
            sleep(Duration::from_secs(10)).await;
            let asked = partition.clone();
            let looks = executor::spawn("looks", async move { newest(&asked).await });
            sleep(Duration::from_micros(10 * pause as u64)).await;
            partition.delete_records(Offset(1)).await.expect("deletes");
            let found = looks.await;
            assert!([Some((0, 50)), Some((2, 30))].contains(&found), "{pause}: {found:?}");
            late += usize::from(found == Some((2, 30)));
        }
        assert!((1..60).contains(&late), "{late} answers of 60 came after the deletion");
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_header_that_says_more_than_its_records_hides_nothing() {
    for on_device in [false, true] {
        let mut rig = Rig::new(903);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            append(&store, &partition, &ahead(&[10])).await.expect("appends");
            append(&store, &partition, &boasting(&[30, 20])).await.expect("appends");
            append(&store, &partition, &ahead(&[25])).await.expect("appends");
            if on_device {
                sleep(Duration::from_secs(10)).await;
            }
            assert_eq!(newest(&partition).await, Some((1, 30)));
            store.stop().await.expect("stops");
        });
    }
}

/// The times of a log's records, and where it begins.
#[derive(Default)]
struct Model {
    times: Vec<i64>,
    log_start: usize,
}

impl Model {
    fn left(&self) -> impl Iterator<Item = (i64, i64)> {
        (0..).zip(self.times.iter().copied()).skip(self.log_start)
    }

    async fn write(&mut self, store: &Store, partition: &Partition, random: &mut Random) {
        for _ in 0..60 {
            // Few times, so that many are equal.
            let times: Vec<i64> = (0..random.between(1, 4)).map(|_| random.below(40) as i64).collect();
            let (plain, codec) = (ahead(&times), random.below(5) as i16);
            let batch = if codec == 0 { plain } else { packed(&plain, codec) };
            append(store, partition, &batch).await.expect("appends");
            self.times.extend(times);
        }
    }

    async fn check(&self, partition: &Partition, what: &str) {
        let expected = self.left().max_by_key(|&(offset, time)| (time, Reverse(offset)));
        assert_eq!(newest(partition).await, expected, "{what}: {}", self.log_start);
        for ahead in [0, 20, 38, 39, 40] {
            let expected = self.left().find(|&(_, time)| time >= ahead);
            assert_eq!(at_or_after(partition, ahead).await, expected, "{what}: {} {ahead}", self.log_start);
        }
    }

    /// Deletes about so many times so many records.
    async fn delete(&mut self, partition: &Partition, random: &mut Random, times: usize, what: &str) {
        for _ in 0..times {
            self.log_start = (self.log_start + random.below(12) as usize).min(self.times.len());
            partition.delete_records(Offset(self.log_start as i64)).await.expect("deletes");
            self.check(partition, what).await;
        }
    }
}

#[test]
fn it_is_the_first_of_the_largest_wherever_the_log_begins_and_lies() {
    for seed in 0..6 {
        let mut rig = Rig::new(910 + seed);
        let (mut model, mut random) = (Model::default(), Random::new(seed));
        for round in 0..3 {
            let run = rig.begin();
            let options = rig.options(&run);
            let stop = random.one_in(2);
            (model, random) = rig.run(&run, async move {
                let (store, _) = start(options).await;
                let partition = store.open_partition(spec_with(0, small())).await.expect("opens");
                model.check(&partition, "found").await;
                model.delete(&partition, &mut random, 8, "found").await;
                model.write(&store, &partition, &mut random).await;
                model.delete(&partition, &mut random, 8, "written").await;
                sleep(Duration::from_secs(10)).await;
                model.delete(&partition, &mut random, 8, "drained").await;
                if round == 2 {
                    model.delete(&partition, &mut random, 80, "ends").await;
                    assert!(model.left().next().is_none(), "all is deleted");
                }
                if stop {
                    store.stop().await.expect("stops");
                }
                (model, random)
            });
            if stop || random.one_in(2) { rig.kill(run) } else { rig.crash(run) }
        }
    }
}

/// A batch of one record with this key.
fn keyed(key: u8, time: i64) -> Vec<u8> {
    let mut record = Vec::new();
    // Attributes, two deltas of 0, a key of one byte, a value of 100, no headers.
    record.extend_from_slice(&[0, 0, 0, 2, key]);
    put_varint(&mut record, 100);
    record.extend_from_slice(&[b'v'; 100]);
    record.push(0);
    let mut records = Vec::new();
    put_varint(&mut records, record.len() as i64);
    records.extend_from_slice(&record);
    batch_at(1, &records, NOW + time)
}

#[test]
fn compacted_records_are_not_the_newest() {
    let mut rig = Rig::new(904);
    rig.tune = |options| options.cleaner.backoff = Duration::from_secs(1);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { compact: true, delete: false, min_cleanable_ratio: 0.01, ..small() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        // The newest record goes; its batch stays without it, for it is the last of its producer.
        append(&store, &partition, &by_producer(keyed(0, 90), 9, 0, 0)).await.expect("appends");
        append(&store, &partition, &keyed(0, 50)).await.expect("appends");
        for key in 1..40 {
            append(&store, &partition, &keyed(key, i64::from(key))).await.expect("appends");
        }
        sleep(Duration::from_secs(30)).await;
        let all = batches(&read_all(&partition, Offset(0), 5000).await.expect("reads"));
        assert_eq!((all[0].0.count, all[0].0.max_timestamp), (0, NOW + 90), "it is compacted");
        assert_eq!(newest(&partition).await, Some((1, 50)));
        assert_eq!(at_or_after(&partition, 51).await, None);
        store.stop().await.expect("stops");
    });
}
