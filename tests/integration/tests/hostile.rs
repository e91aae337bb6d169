//! Bytes that no client sends.

use crate::setup;
use integration::raw::{self, Raw};
use integration::records::{create, latency, patient};
use integration::{Flumen, Scratch};
use kafka_wire::ApiKey;
use kafka_wire::messages::api_versions_response::ApiVersionsResponse;
use kafka_wire::messages::fetch_request::FetchRequest;
use kafka_wire::messages::metadata_request::MetadataRequest;
use kafka_wire::{Decode, ErrorCode, Reader, ResponseHeader};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// How long a broker may take to show that it lives, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every way to be refused: a name, and the bytes.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let metadata = ApiKey::Metadata as i16;
    let (max, min) = (i32::MAX.to_be_bytes(), (-2_i32).to_be_bytes());
    // Compact arrays count in unsigned varints, one too many: this says 2^32 - 2 elements.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let fetch = raw::encoded(ApiKey::Fetch, 12, 7, &FetchRequest::default());
    vec![
        ("a frame of 2 GiB", max.to_vec()),
        ("a frame one byte over the limit", (100 * 1024 * 1024 + 1_i32).to_be_bytes().to_vec()),
        ("a frame of a negative length", (-1_i32).to_be_bytes().to_vec()),
        ("an empty frame", raw::frame(&[])),
        ("half a header", raw::frame(&[0, 3, 0])),
        ("a header without its client id", raw::frame(&[0, 3, 0, 1, 0, 0, 0, 1])),
        ("a client id longer than the frame", raw::frame(&[0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff])),
        ("a huge array", raw::request(metadata, 1, 7, &max)),
        ("a negative array", raw::request(metadata, 1, 7, &min)),
        ("a huge compact array", raw::request(metadata, 12, 7, &huge)),
        (
            "a huge array of topics to produce to",
            raw::request(0, 9, 7, &[&[0, 0xff, 0xff, 0, 0, 3, 0xe8], &huge[..]].concat()),
        ),
        (
            "a huge array of topics to fetch",
            raw::request(1, 4, 7, &[&[0xff; 4][..], &[0; 13], &max].concat()),
        ),
        ("a truncated request", raw::frame(&fetch[4..fetch.len() - 3])),
        ("an unknown API", raw::request(9999, 0, 7, &[])),
        ("a negative API", raw::request(-1, 0, 7, &[])),
        ("an API that is not served", raw::request(ApiKey::SaslHandshake as i16, 1, 7, &[])),
        ("a version that is not known", raw::request(metadata, 999, 7, &[])),
        ("a negative version", raw::request(metadata, -1, 7, &[])),
        ("a request of the past", raw::request(ApiKey::Fetch as i16, 0, 7, &[0; 30])),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ("noise", (0..999_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect()),
    ]
}

fn is_alive(flumen: &Flumen) {
    let mut connection = Raw::connect(flumen.address).expect("it listens");
    connection.send(&raw::api_versions(1)).expect("sent");
    assert!(connection.answer(PATIENCE).is_some_and(|answer| answer.starts_with(&[0, 0, 0, 1])));
}

#[test]
fn what_cannot_be_answered_is_closed() {
    let scratch = Scratch::new("refused");
    // Memory is counted: with huge pages some of it is made ready meanwhile.
    let flumen = setup(&scratch).set("flumen.io.features.disable", "huge_pages").start();
    let before = flumen.resident_bytes();
    for (name, bytes) in refused() {
        let mut connection = Raw::connect(flumen.address).expect("it listens");
        // It may be closed before all is sent.
        let _ = connection.send(&bytes);
        assert!(connection.is_closed_within(SOON), "{name} was neither answered nor closed");
        is_alive(&flumen);
    }
    let grown = flumen.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "nothing is allocated by a claimed size: {grown} bytes more");
    assert!(!flumen.log_with("closed the connection of 127.0.0.1").is_empty());
    assert!(flumen.log_with("panicked").is_empty());
    flumen.stop();
}

#[test]
fn what_follows_good_requests_does_not_spoil_their_answers() {
    let scratch = Scratch::new("follows");
    let flumen = setup(&scratch).start();
    for (name, bytes) in refused() {
        let mut connection = Raw::connect(flumen.address).expect("it listens");
        let together = [raw::api_versions(1), raw::api_versions(2), bytes].concat();
        let _ = connection.send(&together);
        for correlation_id in [1, 2] {
            let answer = connection.answer(SOON);
            let answer = answer.unwrap_or_else(|| panic!("request {correlation_id} before {name}"));
            assert!(answer.starts_with(&[0, 0, 0, correlation_id]), "{name}");
        }
        assert!(connection.is_closed_within(SOON), "{name}");
    }
    flumen.stop();
}

#[test]
fn api_versions_of_the_future_is_answered_in_version_0() {
    let scratch = Scratch::new("future");
    let flumen = setup(&scratch).start();
    let mut connection = Raw::connect(flumen.address).expect("it listens");
    connection.send(&raw::request(ApiKey::ApiVersions as i16, 99, 5, b"whatever it may hold")).expect("sent");
    let answer = connection.answer(SOON).expect("an answer");
    let mut reader = Reader::new(&answer);
    assert_eq!(ResponseHeader::decode(&mut reader, 0).expect("a header").correlation_id, 5);
    let response = ApiVersionsResponse::decode(&mut reader, 0).expect("version 0");
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion as i16);
    let own = response.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions as i16);
    assert!(own.is_some_and(|api| api.max_version >= 3), "the client can see what to ask: {own:?}");
    // On the same connection it goes on, as clients do.
    connection.send(&raw::api_versions(6)).expect("sent");
    assert!(connection.answer(SOON).is_some_and(|answer| answer.starts_with(&[0, 0, 0, 6])));
    flumen.stop();
}

#[test]
fn every_api_survives_every_cut_of_a_request() {
    let scratch = Scratch::new("cuts");
    let flumen = setup(&scratch).start();
    let whole = raw::encoded(ApiKey::Metadata, 12, 7, &MetadataRequest::default());
    for api in 0..100_i16 {
        for version in 0..4 {
            for body in [&[][..], &[0xff; 40], &[0x7f; 40], &[0; 3]] {
                let mut connection = Raw::connect(flumen.address).expect("it listens");
                let _ = connection.send(&raw::request(api, version, 7, body));
                drop(connection);
            }
        }
    }
    for cut in 4..whole.len() - 1 {
        let mut connection = Raw::connect(flumen.address).expect("it listens");
        let _ = connection.send(&raw::frame(&whole[4..=cut]));
        drop(connection);
    }
    is_alive(&flumen);
    assert!(flumen.log_with("panicked").is_empty());
    flumen.stop();
}

#[test]
fn refusals_are_told_at_most_once_a_second_and_core() {
    // What is sent, and what the line says of it.
    let kinds = [
        ("HTTP", "HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("TLS", "TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("an unknown API", "9999", raw::request(9999, 0, 7, &[])),
    ];
    for (kind, word, bytes) in kinds {
        let scratch = Scratch::new("told");
        let flumen = setup(&scratch).start();
        let began = Instant::now();
        for _ in 0..500 {
            let mut connection = Raw::connect(flumen.address).expect("it listens");
            let _ = connection.send(&bytes);
            assert!(connection.is_closed_within(SOON), "{kind}");
        }
        let seconds = began.elapsed().as_secs() as usize + 1;
        let lines = flumen.log_with("closed the connection of");
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(word)), "{kind}: {lines:#?}");
        // A second begins at another moment on each core.
        assert!(lines.len() <= (seconds + 1) * integration::host::cores().len(), "{kind}: {lines:#?}");
        flumen.stop();
    }
}

/// Produces these bytes to partition 0 of the topic `strict`; the error code.
fn produce(connection: &mut Raw, bytes: &[u8]) -> i16 {
    use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    use kafka_wire::messages::produce_response::ProduceResponse;
    let partition = PartitionProduceData { index: 0, records: kafka_wire::Records::Bytes(bytes) };
    let topic =
        TopicProduceData { name: "strict".into(), partition_data: vec![partition], ..Default::default() };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
    let answer = connection.ask(ApiKey::Produce, 9, &request);
    let response: ProduceResponse<'_> = raw::read(&answer, ApiKey::Produce, 9);
    response.responses[0].partition_responses[0].error_code
}

#[test]
fn damaged_batches_are_refused_with_kafkas_error_and_the_connection_stays() {
    use client::{Acks, ProduceOptions, Producer};
    let scratch = Scratch::new("batches");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "strict", 1, &[]);
    let mut builder = kafka_wire::BatchBuilder::new();
    builder.append(1, None, Some(b"a value"), &[]).expect("a record");
    let good = builder.build().expect("a batch");
    let mut connection = Raw::connect(flumen.address).expect("it listens");
    for at in 0..good.len() {
        let mut batch = good.clone();
        batch[at] ^= 0x41;
        let code = produce(&mut connection, &batch);
        // The leader epoch (12-15) is the broker's to write, outside of the CRC. So is the base offset (0-7), which is
        // 0 before that.
        assert_eq!(code == 0, (12..16).contains(&at), "byte {at} was changed: error {code}");
        assert!(at >= 8 || code == ErrorCode::InvalidRecord as i16, "byte {at} was changed: error {code}");
    }
    // A message of magic 1 without key and value is shorter than the header of a batch.
    let mut message = vec![0; 34];
    (message[11], message[16]) = (22, 1);
    for (what, bytes) in [("two batches", [&good[..], &good[..]].concat()), ("a message set", message)] {
        assert_eq!(produce(&mut connection, &bytes), ErrorCode::InvalidRecord as i16, "{what}");
    }
    let options = ProduceOptions { acks: Acks::All, ..ProduceOptions::default() };
    Producer::open(&mut client, "strict", options).expect("it goes on");
    latency(&mut client, "strict", 1, 5).expect("it goes on");
    flumen.stop();
}
