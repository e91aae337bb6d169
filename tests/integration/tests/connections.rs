//! Many connections, slow ones, and such whose client is gone.

use crate::setup;
use integration::raw::{self, Raw};
use integration::records::{assert_unhurt, create, is_unhurt, latency, patient};
use integration::{Flumen, Scratch, eventually, host};
use kafka_wire::ApiKey;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Long before any poll here is over.
const SOON: Duration = Duration::from_secs(30);
/// Descriptors of this process that other tests may use at the same time.
const DESCRIPTORS_SPARED: u64 = 3_000;
/// Idle connections, where the limit on descriptors lets this process have so many.
const CROWD: u64 = 10_000;

#[test]
fn ten_thousand_idle_connections_cost_little_and_hurt_nobody() {
    let scratch = Scratch::new("idle");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "busy", 4, &[]);
    let (quiet, _) = latency(&mut client, "busy", 4, 200).expect("it serves");
    let limit = host::raise_descriptors();
    let count = limit.saturating_sub(DESCRIPTORS_SPARED).min(CROWD) as usize;
    if (count as u64) < CROWD {
        println!("only {count} of {CROWD} connections: this process may have {limit} descriptors");
    }
    assert!(count >= 500, "the hard limit on descriptors leaves no room for a crowd");
    let before = flumen.resident_bytes();
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let connection = Raw::connect(flumen.address);
        idle.push(connection.unwrap_or_else(|error| panic!("connection {number}: {error}")));
    }
    for connection in &mut idle {
        connection.send(&raw::api_versions(1)).expect("sent");
    }
    for (number, connection) in idle.iter_mut().enumerate() {
        assert!(connection.answer(Duration::from_secs(20)).is_some(), "connection {number} was closed");
    }
    let open = flumen.descriptors();
    assert!(open >= count, "{open} descriptors are open for {count} connections");
    let each = flumen.resident_bytes().saturating_sub(before) / count as u64;
    let (crowded, slowest) = assert_unhurt(&mut client, "busy", 4, 200, quiet);
    println!(
        "{count} idle connections: {each} bytes of memory each; a record takes {crowded:?}, slowest {slowest:?}; \
         without them {quiet:?}"
    );
    assert!(each < 16 << 10, "{each} bytes a connection");
    drop(idle);
    let left = eventually("the descriptors come back", Duration::from_secs(20), || {
        Some(flumen.descriptors()).filter(|&open| open < 200)
    });
    println!("{left} descriptors are left open");
    latency(&mut client, "busy", 4, 20).expect("it serves");
    flumen.stop();
}

/// A fetch from the end of partition 0, to wait for a byte for a long time.
fn long_poll(topic: &str, offset: i64, max_wait: Duration) -> Vec<u8> {
    let partition = FetchPartition {
        partition: 0,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: max_wait.as_millis() as i32,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.to_owned().into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    raw::encoded(ApiKey::Fetch, 12, 1, &request)
}

#[test]
fn clients_that_vanish_in_a_long_poll_leave_nothing_behind() {
    let scratch = Scratch::new("vanish");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "slow", 1, &[]);
    create(&mut client, "busy", 4, &[]);
    latency(&mut client, "slow", 1, 20).expect("it serves");
    let (quiet, _) = latency(&mut client, "busy", 4, 200).expect("it serves");
    let (open, mut hurt) = (flumen.descriptors(), Vec::new());
    for _ in 0..5 {
        let polls = (0..100).map(|_| {
            let mut connection = Raw::connect(flumen.address).expect("it listens");
            connection.send(&long_poll("slow", 20, Duration::from_secs(120))).expect("sent");
            connection
        });
        let polls: Vec<Raw> = polls.collect();
        eventually("all are accepted", SOON, || (flumen.descriptors() >= open + 100).then_some(()));
        assert_unhurt(&mut client, "busy", 4, 50, quiet);
        drop(polls);
        let (vanishing, _) = latency(&mut client, "busy", 4, 50).expect("it serves");
        eventually("they are gone long before their polls end", SOON, || {
            (flumen.descriptors() <= open + 5).then_some(())
        });
        // If the machine is slow, it still is.
        let (gone, _) = latency(&mut client, "busy", 4, 50).expect("it serves");
        if !is_unhurt(vanishing, quiet.max(gone)) {
            hurt.push((vanishing, gone));
        }
    }
    assert!(hurt.len() < 3, "whenever clients vanish others wait: {hurt:?}, {quiet:?} when it is quiet");
    // What is written afterwards is offered to nobody who is gone.
    latency(&mut client, "slow", 1, 20).expect("it serves");
    assert!(flumen.log_with("panicked").is_empty());
    flumen.stop();
}

#[test]
fn a_long_poll_ends_with_the_record_it_waits_for() {
    let scratch = Scratch::new("poll");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "awaited", 1, &[]);
    let mut connection = Raw::connect(flumen.address).expect("it listens");
    connection.send(&long_poll("awaited", 0, Duration::from_secs(60))).expect("sent");
    thread::sleep(Duration::from_millis(300));
    latency(&mut client, "awaited", 1, 1).expect("it serves");
    let answer = connection.answer(SOON).expect("an answer");
    assert!(answer.windows(8).any(|bytes| bytes == b"how long"), "the record is in it");
    let began = Instant::now();
    connection.send(&long_poll("awaited", 1, Duration::from_millis(700))).expect("sent");
    connection.answer(SOON).expect("an answer without records");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(690) && took < SOON, "{took:?}");
    flumen.stop();
}

#[test]
fn a_byte_at_a_time_is_served_in_its_own_time() {
    let scratch = Scratch::new("byte");
    // Shorter than the request takes: who sends is not idle. And far longer than from byte to byte.
    let flumen = setup(&scratch).set("connections.max.idle.ms", 6_000).start();
    let mut client = patient(flumen.address);
    create(&mut client, "busy", 4, &[]);
    let (quiet, _) = latency(&mut client, "busy", 4, 200).expect("it serves");
    let (address, over) = (flumen.address, Arc::new(AtomicBool::new(false)));
    let seen = over.clone();
    // On a thread of its own: bytes come in time, however slow the disk is.
    let beside = thread::spawn(move || {
        let mut client = patient(address);
        let mut medians = Vec::new();
        while !seen.load(Ordering::Relaxed) {
            medians.push(latency(&mut client, "busy", 4, 50).expect("others are served").0);
            thread::sleep(Duration::from_millis(300));
        }
        medians
    });
    let mut connection = Raw::connect(address).expect("it listens");
    for byte in raw::request(ApiKey::ApiVersions as i16, 0, 9, &[]) {
        connection.send(&[byte]).expect("the connection is still there");
        thread::sleep(Duration::from_millis(500));
    }
    let answer = connection.answer(SOON).expect("an answer");
    assert!(answer.starts_with(&[0, 0, 0, 9]));
    over.store(true, Ordering::Relaxed);
    let mut medians = beside.join().expect("no panic");
    medians.sort_unstable();
    let beside = medians[medians.len() / 2];
    let (later, _) = latency(&mut patient(address), "busy", 4, 200).expect("it serves");
    assert!(
        is_unhurt(beside, quiet.max(later)),
        "a record takes {beside:?}; {quiet:?} before, {later:?} later"
    );
    flumen.stop();
}

#[test]
fn silent_connections_are_closed_after_connections_max_idle_ms() {
    // Far longer than a machine is away between two requests of the busy one.
    const IDLE: Duration = Duration::from_secs(4);
    let scratch = Scratch::new("silent");
    let flumen = setup(&scratch).set("connections.max.idle.ms", IDLE.as_millis()).start();
    let began = Instant::now();
    let mut silent = Raw::connect(flumen.address).expect("it listens");
    let mut begun = Raw::connect(flumen.address).expect("it listens");
    begun.send(&[0, 0]).expect("sent");
    let mut busy = Raw::connect(flumen.address).expect("it listens");
    while began.elapsed() < 2 * IDLE {
        busy.send(&raw::api_versions(1)).expect("sent");
        assert!(busy.answer(SOON).is_some(), "who asks is not silent");
        thread::sleep(Duration::from_millis(400));
        let is_closed = silent.is_closed_within(Duration::from_millis(1));
        assert!(!is_closed || began.elapsed() >= IDLE, "closed too soon");
    }
    assert!(silent.is_closed_within(SOON) && begun.is_closed_within(SOON));
    flumen.stop();
}

/// How many of `count` connections are served; all stay open until then.
pub(crate) fn served(flumen: &Flumen, count: usize) -> (usize, Vec<Raw>) {
    let mut open: Vec<Raw> =
        (0..count).map(|_| Raw::connect(flumen.address).expect("the kernel accepts for it")).collect();
    let mut served = 0;
    for connection in &mut open {
        if connection.send(&raw::api_versions(1)).is_ok() && connection.answer(SOON).is_some() {
            served += 1;
        }
    }
    (served, open)
}

#[test]
fn max_connections_and_max_connections_per_ip_are_obeyed() {
    for key in ["max.connections", "max.connections.per.ip"] {
        let scratch = Scratch::new("limit");
        // On all cores: where a connection lands is the kernel's choice, and the limit is one of them together.
        let flumen = setup(&scratch).set(key, 20).start();
        let (count, open) = served(&flumen, 50);
        assert_eq!(count, 20, "{key}");
        drop(open);
        // There is room again as soon as the broker has noticed.
        eventually("room for newcomers", SOON, || (served(&flumen, 1).0 == 1).then_some(()));
        flumen.stop();
    }
}
