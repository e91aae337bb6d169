//! Clients that want the broker's memory.

use crate::setup;
use integration::raw::{self, Raw};
use integration::records::{assert_unhurt, create, latency, patient, plain_producer, read_all, write};
use integration::{Flumen, Scratch, eventually, host};
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::{ApiKey, BatchBuilder, Records};
use std::time::{Duration, Instant};

const POOL_BYTES: u64 = 64 << 20;
const CACHE_BYTES: u64 = 16 << 20;
/// The largest answer that is asked for here.
const ANSWER_BYTES: u64 = 16 << 20;
/// What a connection may have unsent when its next request is begun.
const UNSENT_BYTES: u64 = 1 << 20;
/// The append of a client that does not read.
const APPEND_BYTES: usize = 900_000;
const SOON: Duration = Duration::from_secs(20);
/// What a broker uses besides its pools.
const OTHER_BYTES: u64 = 64 << 20;

/// A broker whose memory is bounded tightly enough to see the bound at work.
fn small(scratch: &Scratch) -> Flumen {
    host::raise_descriptors();
    let setup = setup(scratch).set("flumen.pool.bytes", POOL_BYTES).set("flumen.cache.bytes", CACHE_BYTES);
    // Memory is counted: with huge pages some of it is made ready meanwhile.
    setup.set("flumen.io.features.disable", "huge_pages").start()
}

fn bound() -> u64 {
    host::cores().len() as u64 * (POOL_BYTES + CACHE_BYTES) + OTHER_BYTES
}

#[test]
fn five_hundred_claims_of_90_mb_with_ten_bytes_behind_them_cost_nothing() {
    let scratch = Scratch::new("claims");
    let flumen = small(&scratch);
    let mut client = patient(flumen.address);
    create(&mut client, "others", 4, &[]);
    let (quiet, _) = latency(&mut client, "others", 4, 100).expect("it serves");
    let before = flumen.resident_bytes();
    let mut claim = 90_000_000_i32.to_be_bytes().to_vec();
    claim.extend_from_slice(&[0; 10]);
    let claims: Vec<Raw> = (0..500)
        .map(|_| {
            let mut connection = Raw::connect(flumen.address).expect("it listens");
            connection.send(&claim).expect("sent");
            connection
        })
        .collect();
    let (beside, slowest) = assert_unhurt(&mut client, "others", 4, 100, quiet);
    let grown = flumen.resident_bytes().saturating_sub(before);
    println!("500 claims of 90 MB: {grown} bytes more; a record takes {beside:?}, slowest {slowest:?}");
    assert!(grown < 16 << 20, "{grown} bytes more");
    drop(claims);
    flumen.stop();
}

#[test]
fn two_hundred_halves_of_requests_stay_within_the_pool_and_others_are_served() {
    let scratch = Scratch::new("halves");
    let flumen = small(&scratch);
    let mut client = patient(flumen.address);
    create(&mut client, "others", 4, &[]);
    let mut half = 90_000_000_i32.to_be_bytes().to_vec();
    half.extend_from_slice(&[0; 100_000]);
    let halves: Vec<Raw> = (0..200)
        .map(|_| {
            let mut connection = Raw::connect(flumen.address).expect("it listens");
            connection.send(&half).expect("the kernel takes it, whether the broker reads it or not");
            connection
        })
        .collect();
    let (beside, slowest) = latency(&mut client, "others", 4, 20).expect("others are served");
    let resident = flumen.resident_bytes();
    println!(
        "200 halves of requests: {resident} bytes resident; a record takes {beside:?}, slowest {slowest:?}"
    );
    assert!(resident < bound(), "{resident} bytes, the bound is {}", bound());
    drop(halves);
    latency(&mut client, "others", 4, 20).expect("it serves");
    flumen.stop();
}

#[test]
fn a_thousand_that_ask_and_never_read_stay_within_the_pool_and_others_are_served() {
    const RECORDS: usize = 32;
    let scratch = Scratch::new("deaf");
    let flumen = small(&scratch);
    let mut client = patient(flumen.address);
    create(&mut client, "others", 4, &[]);
    create(&mut client, "wanted", 1, &[]);
    let mut producer = plain_producer(&mut client, "wanted");
    for _ in 0..RECORDS {
        write(&mut client, &mut producer, 0, &[7; 500_000]).expect("acknowledged");
    }
    let (quiet, _) = latency(&mut client, "others", 4, 100).expect("it serves");
    let buffers = host::socket_pages();
    let fetches: Vec<u8> = (0..20).flat_map(fetch_wanted).collect();
    let deaf: Vec<Raw> = (0..1000)
        .map(|_| {
            let mut connection = Raw::connect(flumen.address).expect("it listens");
            connection.send(&fetches).expect("sent");
            connection
        })
        .collect();
    let (beside, slowest) = latency(&mut client, "others", 4, 50).expect("others are served");
    let (later, slowest_later) = latency(&mut client, "others", 4, 100).expect("others are served");
    let (resident, unsent) = (flumen.resident_bytes(), flumen.metric("flumen_unsent_bytes"));
    println!(
        "1000 that read nothing: {resident} bytes resident, {unsent} unsent, {} pages in buffers of sockets; \
         a record takes {beside:?}, slowest {slowest:?}, while they ask, {later:?}, slowest \
         {slowest_later:?}, afterwards, {quiet:?} without them; turns above 5 ms: {}, the longest of each \
         core together {} s",
        host::socket_pages().saturating_sub(buffers),
        flumen.metric("flumen_core_long_turns_total"),
        flumen.metric("flumen_core_longest_turn_seconds")
    );
    assert!(resident < bound(), "{resident} bytes, the bound is {}", bound());
    assert!(unsent > 0.0 && unsent <= (1000 * (ANSWER_BYTES + UNSENT_BYTES)) as f64, "{unsent} bytes");
    // While they ask they are served too; but nobody waits for all of them. If the machine is slow, it still is later.
    let most = quiet.max(later) * 5 + Duration::from_millis(100);
    assert!(beside < most, "{beside:?}, before {quiet:?}, later {later:?}");
    assert_unhurt(&mut client, "others", 4, 100, quiet);
    assert_eq!(read_all(&mut client, "wanted", 0).len(), RECORDS, "who reads gets all");
    drop(deaf);
    latency(&mut client, "others", 4, 20).expect("it serves");
    flumen.stop();
}

#[test]
fn who_vanishes_without_reading_gives_back_what_it_held() {
    let scratch = Scratch::new("unread");
    let flumen = small(&scratch);
    let mut client = patient(flumen.address);
    create(&mut client, "others", 4, &[]);
    create(&mut client, "wanted", 1, &[]);
    let mut producer = plain_producer(&mut client, "wanted");
    for _ in 0..8 {
        write(&mut client, &mut producer, 0, &[7; 500_000]).expect("acknowledged");
    }
    latency(&mut client, "others", 4, 20).expect("it serves");
    let open = flumen.descriptors();
    // Behind the fetch, one that is not begun, and not answered, before those before it are.
    let requests = [fetch_wanted(1), raw::api_versions(2), fetch_wanted(3), raw::api_versions(4)].concat();
    for _ in 0..3 {
        let gone: Vec<Raw> = (0..100)
            .map(|_| {
                let mut connection = Raw::connect(flumen.address).expect("it listens");
                connection.send(&requests).expect("sent");
                connection
            })
            .collect();
        eventually("all wait for their clients to read", SOON, || {
            (flumen.metric("flumen_unsent_bytes") > 100.0 * 1e6).then_some(())
        });
        drop(gone);
        eventually("they are gone, and what they held", SOON, || {
            let left = (flumen.descriptors().saturating_sub(open), flumen.metric("flumen_unsent_bytes"));
            (left.0 <= 5 && left.1 == 0.0).then_some(())
        });
    }
    latency(&mut client, "others", 4, 20).expect("it serves");
    flumen.stop();
}

#[test]
fn an_append_behind_an_answer_that_nobody_reads_keeps_nobody_waiting() {
    let scratch = Scratch::new("behind");
    // One core: the append waits on that of its connection.
    let flumen = setup(&scratch).cores(host::cores()[0].to_string()).start();
    let mut client = patient(flumen.address);
    create(&mut client, "wanted", 1, &[]);
    create(&mut client, "recompressed", 1, &[("compression.type", "zstd")]);
    let mut producer = plain_producer(&mut client, "wanted");
    for _ in 0..2 {
        // More than a socket takes, and less than keeps the next request from being begun.
        write(&mut client, &mut producer, 0, &[7; 520_000]).expect("acknowledged");
    }
    let mut deaf = Raw::connect(flumen.address).expect("it listens");
    deaf.send(&fetch_wanted(1)).expect("sent");
    let is_answered = || (flumen.metric("flumen_unsent_bytes") > 0.0).then_some(());
    eventually("the answer is on its way", SOON, is_answered);
    // The socket takes what it can.
    std::thread::sleep(Duration::from_millis(500));
    let unsent = flumen.metric("flumen_unsent_bytes");
    assert!(unsent > 0.0 && unsent < UNSENT_BYTES as f64, "{unsent} bytes: it should be on its way");
    let received = || flumen.metric("flumen_received_bytes_total");
    let before = received();
    deaf.send(&produce_recompressed(2)).expect("sent");
    eventually("the append is there", SOON, || (received() >= before + APPEND_BYTES as f64).then_some(()));
    let mut producer = plain_producer(&mut client, "recompressed");
    let began = Instant::now();
    write(&mut client, &mut producer, 0, b"behind it").expect("acknowledged");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let kept: Vec<usize> = read_all(&mut client, "recompressed", 0).iter().map(|r| r.value.len()).collect();
    assert_eq!(kept, [APPEND_BYTES, 9], "in the order in which they came");
    flumen.stop();
}

/// A record that takes its time to be compressed, and is not alone on the core meanwhile.
fn produce_recompressed(correlation_id: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(1, None, Some(&[7; APPEND_BYTES]), &[]).expect("a record");
    let batch = builder.build().expect("a batch");
    let partition = PartitionProduceData { index: 0, records: Records::Bytes(&batch) };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: "recompressed".into(),
            partition_data: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    raw::encoded(ApiKey::Produce, 9, correlation_id, &request)
}

/// A fetch of everything in the topic.
fn fetch_wanted(correlation_id: i32) -> Vec<u8> {
    let bytes_max = ANSWER_BYTES as i32;
    let partition = FetchPartition { partition: 0, partition_max_bytes: bytes_max, ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes_max,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: "wanted".into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    raw::encoded(ApiKey::Fetch, 12, correlation_id, &request)
}
