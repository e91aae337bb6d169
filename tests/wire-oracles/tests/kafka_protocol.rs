//! Against the crate kafka-protocol.

mod common;

use base::Random;
use bytes::{Bytes, BytesMut};
use common::{Direction, Sample, every_version, samples};
use kafka_protocol::messages::{ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::messages::{RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_wire::fill::Fill;
use kafka_wire::{Encode, Writer, messages};

/// What version 0.18 of the oracle lacks: API key and version, and whether only the request.
const HOLES: &[(i16, i16, bool)] = &[
    (2, 11, false),
    (8, 10, true),
    (9, 10, true),
    (22, 6, true),
    (27, 2, false),
    (35, 5, false),
    (78, 2, false),
    (79, 2, false),
    (80, 1, false),
    (85, 1, false),
    (87, 1, false),
    (88, 0, false),
    (89, 0, false),
    (90, 1, false),
];

fn is_hole(key: i16, version: i16, direction: Direction) -> bool {
    HOLES.iter().any(|&(hole, missing, only_request)| {
        (hole, missing) == (key, version) && (direction == Direction::Request || !only_request)
    })
}

fn reencode(sample: &Sample) -> Result<(usize, BytesMut), String> {
    let key = ApiKey::try_from(sample.key).map_err(|()| "unknown key".to_owned())?;
    let mut bytes = Bytes::copy_from_slice(&sample.bytes);
    let mut out = BytesMut::new();
    let text = |error| format!("{error:#}");
    match sample.direction {
        Direction::Request => {
            let message = RequestKind::decode(key, &mut bytes, sample.version).map_err(text)?;
            message.encode(&mut out, sample.version).map_err(text)?;
        }
        Direction::Response => {
            let message = ResponseKind::decode(key, &mut bytes, sample.version).map_err(text)?;
            message.encode(&mut out, sample.version).map_err(text)?;
        }
    }
    Ok((bytes.len(), out))
}

#[test]
fn every_message_is_the_same() {
    let mut compared = 0;
    for (key, version) in every_version() {
        for direction in [Direction::Request, Direction::Response] {
            for sample in samples(key, version, direction) {
                let result = reencode(&sample);
                if is_hole(key, version, direction) {
                    // A newer oracle may fill its holes: then they must go from the list.
                    assert!(result.is_err(), "{direction:?} {key} v{version} is no hole any more");
                    continue;
                }
                let (left_over, theirs) = result.unwrap_or_else(|error| {
                    panic!("{direction:?} {key} v{version} {}: {error}", sample.origin)
                });
                sample.compare(left_over, &theirs);
                compared += 1;
            }
        }
    }
    // 278 versions in two directions, less the holes, each with 31 samples.
    assert_eq!(compared, (2 * 278 - 25) * 31);
}

/// The same for a message without an API key, in versions 0 to 3.
fn compare_data<Ours: Fill + Encode, Theirs: Decodable + Encodable>() {
    for version in 0..=3 {
        for seed in 0..30 {
            let mut writer = Writer::new();
            Ours::fill(&mut Random::new(seed), version).encode(&mut writer, version).unwrap();
            let mut bytes = Bytes::copy_from_slice(writer.bytes());
            let message = Theirs::decode(&mut bytes, version).unwrap();
            let mut out = BytesMut::new();
            message.encode(&mut out, version).unwrap();
            assert!(bytes.is_empty() && out == writer.bytes(), "version {version} seed {seed}");
        }
    }
}

#[test]
fn consumer_protocol_is_the_same() {
    use messages::consumer_protocol_assignment::ConsumerProtocolAssignment as OurAssignment;
    use messages::consumer_protocol_subscription::ConsumerProtocolSubscription as OurSubscription;
    compare_data::<OurSubscription<'_>, ConsumerProtocolSubscription>();
    compare_data::<OurAssignment<'_>, ConsumerProtocolAssignment>();
}
