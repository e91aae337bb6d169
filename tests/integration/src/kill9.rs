//! A workload that goes on while the broker is killed again and again, and its judge.
//!
//! Producers write numbered records and note what was acknowledged; a watcher reads along and notes what it was
//! shown; the broker is killed at random moments, also while it recovers, and comes back on another number of
//! cores. In the end everything is read, and must be: without holes in the offsets; each producer's records in
//! their order, none missing up to the last acknowledged one, none twice where the producer is idempotent; and
//! what the watcher was shown still at its offset. Topics that were acknowledged are there too.

use crate::records::{Read, client, create, now_ms, patient, read_all};
use crate::{Flumen, Setup, host};
use base::Random;
use client::{Client, ClientError, ConsumedRecord, Consumer, FetchOptions, ProduceOptions, Producer};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const TOPIC: &str = "killed";
const PRODUCERS: usize = 4;
/// One for each producer alone, and one for all.
const PARTITIONS: i32 = PRODUCERS as i32 + 1;
const SHARED: i32 = PRODUCERS as i32;
/// How long clients go on trying: far longer than any restart.
const CLIENT_DEADLINE: Duration = Duration::from_secs(30);

/// What a run has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How often the broker was killed.
    pub kills: u32,
    /// Records whose acknowledgement reached a producer.
    pub acknowledged: u64,
    /// Records that are there.
    pub stored: u64,
    /// Of those, such that a producer without idempotence has written twice, as Kafka allows.
    pub repeated: u64,
    /// Records that were shown to the watcher, each of which is still there.
    pub shown: u64,
}

/// A record that says who wrote it and which of his it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    producer: usize,
    number: u64,
}

impl Mark {
    /// The value of a record: the mark, and a filling that follows from it.
    fn value(self, bytes: usize) -> Vec<u8> {
        let mut value = vec![0; bytes.max(16)];
        value[..8].copy_from_slice(&(self.producer as u64).to_be_bytes());
        value[8..16].copy_from_slice(&self.number.to_be_bytes());
        self.filling().fill(&mut value[16..]);
        value
    }

    fn filling(self) -> Random {
        Random::new(self.number << 8 | self.producer as u64)
    }

    /// Reads a mark, if every byte of the value is as it was written.
    fn of(value: &[u8]) -> Option<Mark> {
        let producer = u64::from_be_bytes(*value.first_chunk()?) as usize;
        let number = u64::from_be_bytes(*value[8..].first_chunk()?);
        let mark = Mark { producer, number };
        (mark.value(value.len()) == value).then_some(mark)
    }
}

/// What a producer knows at the end: how many of its records each partition has acknowledged.
struct Produced {
    acknowledged: HashMap<i32, u64>,
    idempotent: bool,
}

/// What the watcher was shown, by partition and offset.
type Shown = HashMap<(i32, i64), Mark>;

/// Runs the workload over `rounds` kills; everything random follows from `seed` but the machine's own timing.
/// The setup must name a steady port, since clients stay through restarts.
///
/// # Panics
/// With what was lost, repeated or changed.
pub fn run(setup: &Setup, rounds: u32, seed: u64) -> Report {
    let mut random = Random::new(seed);
    let mut flumen = setup.start();
    let mut admin = patient(flumen.address);
    // Small segments: they roll between kills.
    create(&mut admin, TOPIC, PARTITIONS, &[("segment.bytes", "1048576")]);
    let stop = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| spawn_producer(producer, flumen.address, random.fork(), stop.clone()))
        .collect();
    let watcher = spawn_watcher(flumen.address, stop.clone());
    let mut topics = Vec::new();
    for round in 0..rounds {
        thread::sleep(Duration::from_millis(random.between(20, 600)));
        let name = format!("round-{round}");
        create(&mut patient(flumen.address), &name, 2, &[]);
        topics.push(name);
        // The acknowledgement of the topic must not have been the last thing that happened.
        thread::sleep(Duration::from_millis(random.below(30)));
        flumen.kill();
        if random.one_in(3) {
            // Killed while it starts, which must not spoil what the next start finds.
            let starting = setup.spawn();
            thread::sleep(Duration::from_millis(random.between(1, 150)));
            starting.kill();
        }
        flumen = restart(setup, &mut random);
    }
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let produced: Vec<Produced> = producers.into_iter().map(joined).collect();
    let shown = joined(watcher);
    let mut report = judge(flumen.address, &produced, &shown);
    report.kills = rounds;
    judge_topics(flumen.address, &topics);
    // A clean stop changes nothing of it.
    flumen.stop();
    let flumen = setup.start();
    let again = judge(flumen.address, &produced, &shown);
    assert_eq!((again.stored, again.shown), (report.stored, report.shown));
    flumen.stop();
    report
}

/// On one core or on all, whichever comes.
fn restart(setup: &Setup, random: &mut Random) -> Flumen {
    let cores = host::cores();
    match random.one_in(3) {
        true => setup.clone().cores(cores[0].to_string()).start(),
        false => setup.start(),
    }
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn judge_topics(address: SocketAddr, topics: &[String]) {
    let known = patient(address).metadata(None).expect("metadata");
    for topic in topics {
        let found = known.topics.get(topic).map(|topic| topic.partitions.len());
        assert_eq!(found, Some(2), "topic {topic} was acknowledged");
    }
}

/// Every other producer is idempotent.
fn spawn_producer(
    producer: usize,
    address: SocketAddr,
    random: Random,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Produced> {
    thread::spawn(move || {
        let mut client = client(address, CLIENT_DEADLINE);
        match produce(&mut client, producer, random, &stop) {
            Ok(produced) => produced,
            Err(error) => panic!("producer {producer} was told: {error}"),
        }
    })
}

fn produce(
    client: &mut Client,
    number: usize,
    mut random: Random,
    stop: &AtomicBool,
) -> Result<Produced, ClientError> {
    let idempotent = number.is_multiple_of(2);
    let options = ProduceOptions {
        idempotent,
        in_flight_max: if idempotent { 4 } else { 1 },
        // Small, so that several requests are under way at once.
        batch_bytes: 128 << 10,
        ..ProduceOptions::default()
    };
    let mut producer = Producer::open(client, TOPIC, options)?;
    assert_eq!(producer.is_idempotent(), idempotent);
    let mut written = HashMap::from([(number as i32, 0), (SHARED, 0)]);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..random.between(1, 20) {
            let partition = if random.one_in(3) { SHARED } else { number as i32 };
            let bytes = match random.one_in(25) {
                true => random.between(50_000, 100_000),
                false => random.between(16, 1500),
            };
            let next = written.get_mut(&partition).expect("one of the two");
            let value = Mark { producer: number, number: *next }.value(bytes as usize);
            producer.send(client, Some(partition), now_ms(), None, Some(&value), &[])?;
            *next += 1;
        }
        producer.flush(client)?;
        thread::sleep(Duration::from_millis(random.below(8)));
    }
    // Every flush was a success: all that was written is acknowledged.
    Ok(Produced { acknowledged: written, idempotent })
}

fn spawn_watcher(address: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<Shown> {
    thread::spawn(move || {
        let mut client = client(address, CLIENT_DEADLINE);
        let options = FetchOptions { max_wait: Duration::from_millis(100), ..FetchOptions::default() };
        let mut consumer = Consumer::new(TOPIC, (0..PARTITIONS).map(|partition| (partition, 0)), options);
        let mut shown = Shown::new();
        while !stop.load(Ordering::Relaxed) {
            let polled = consumer.poll(&mut client, |record: &ConsumedRecord<'_>| {
                let mark = record.value.and_then(Mark::of).expect("a record as it was written");
                let before = shown.insert((record.partition, record.offset), mark);
                assert!(before.is_none_or(|before| before == mark), "a shown record has changed");
                ControlFlow::Continue(())
            });
            // OFFSET_OUT_OF_RANGE would mean that what was shown is gone.
            polled.expect("a watcher at the end is never out of range");
        }
        shown
    })
}

fn judge(address: SocketAddr, produced: &[Produced], shown: &Shown) -> Report {
    let mut client = patient(address);
    let mut report = Report { shown: shown.len() as u64, ..Report::default() };
    report.acknowledged = produced.iter().flat_map(|producer| producer.acknowledged.values()).sum();
    for partition in 0..PARTITIONS {
        let stored = read_all(&mut client, TOPIC, partition);
        report.stored += stored.len() as u64;
        let marks = marks(partition, &stored);
        for (index, producer) in produced.iter().enumerate() {
            let Some(&acknowledged) = producer.acknowledged.get(&partition) else { continue };
            let own: Vec<u64> =
                marks.iter().filter(|mark| mark.producer == index).map(|mark| mark.number).collect();
            report.repeated += judge_producer(partition, index, producer.idempotent, acknowledged, &own);
        }
        let seen = shown.iter().filter(|((of, _), _)| *of == partition);
        for ((_, offset), mark) in seen {
            let now = usize::try_from(*offset).ok().and_then(|at| marks.get(at));
            assert_eq!(now, Some(mark), "offset {offset} of partition {partition}, which had been shown");
        }
    }
    report
}

/// The marks of a partition's records, whose offsets must be a row without holes.
fn marks(partition: i32, stored: &[Read]) -> Vec<Mark> {
    let marks = stored.iter().enumerate().map(|(index, record)| {
        assert_eq!(record.offset, index as i64, "a hole in the offsets of partition {partition}");
        let mark = Mark::of(&record.value);
        mark.unwrap_or_else(|| panic!("offset {index} of partition {partition} is not as it was written"))
    });
    marks.collect()
}

/// Judges one producer's records of one partition; returns how many were there again.
fn judge_producer(partition: i32, producer: usize, idempotent: bool, acknowledged: u64, own: &[u64]) -> u64 {
    let place = format!("partition {partition}, producer {producer} (idempotent: {idempotent})");
    let (mut next, mut repeated) = (0, 0);
    for &number in own {
        match number {
            _ if number == next => next += 1,
            _ if number < next && !idempotent => repeated += 1,
            _ if number < next => panic!("{place}: record {number} is there twice"),
            _ => panic!("{place}: record {number} comes where {next} should: lost, or out of order"),
        }
    }
    assert_eq!(next, acknowledged, "{place}: as many records as were acknowledged");
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_only_from_an_untouched_value() {
        let mark = Mark { producer: 3, number: 77 };
        let mut value = mark.value(200);
        assert_eq!(Mark::of(&value), Some(mark));
        value[150] ^= 1;
        assert_eq!(Mark::of(&value), None);
        assert_eq!(Mark::of(&value[..10]), None);
    }

    #[test]
    fn the_judge_allows_what_kafka_allows() {
        assert_eq!(judge_producer(0, 0, true, 3, &[0, 1, 2]), 0);
        assert_eq!(judge_producer(0, 1, false, 3, &[0, 1, 0, 1, 2]), 2);
    }

    fn condemned(idempotent: bool, acknowledged: u64, own: &'static [u64]) -> bool {
        std::panic::catch_unwind(|| judge_producer(0, 0, idempotent, acknowledged, own)).is_err()
    }

    #[test]
    fn the_judge_condemns_loss_repetition_and_disorder() {
        assert!(condemned(true, 3, &[0, 1]), "the end is lost");
        assert!(condemned(false, 3, &[0, 2]), "a hole");
        assert!(condemned(true, 2, &[0, 1, 1]), "twice");
        assert!(condemned(false, 3, &[1, 0, 2]), "disorder");
    }
}
