//! Every message in every version comes back as it went.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use base::Random;

use super::every_version;
use crate::fill::Fill;
use crate::messages::offset_commit_key::OffsetCommitKey;
use crate::messages::offset_commit_value::OffsetCommitValue;
use crate::messages::{with_each_record, with_request, with_response};
use crate::{Decode, Encode, Reader, WireError, Writer};

const SEEDS: u64 = 20;

/// Encodes, decodes a leaked copy (so that any lifetime will do), compares, and encodes again.
fn check<T>(version: i16, message: &T) -> Result<(), WireError>
where
    T: Decode<'static> + Encode + PartialEq + Debug,
{
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    let bytes: &'static [u8] = Box::leak(writer.into_parts().0.into_boxed_slice());
    let mut reader = Reader::new(bytes);
    let decoded = T::decode(&mut reader, version)?;
    assert_eq!(&decoded, message, "version {version}");
    assert_eq!(reader.remaining(), 0, "version {version} of {message:?}");
    let mut again = Writer::new();
    decoded.encode(&mut again, version)?;
    assert_eq!(again.bytes(), bytes, "version {version} of {message:?}");
    Ok(())
}

fn filled<T>(version: i16) -> Result<(), WireError>
where
    T: Decode<'static> + Encode + PartialEq + Debug + Fill,
{
    for seed in 0..SEEDS {
        check(version, &T::fill(&mut Random::new(seed), version))?;
    }
    Ok(())
}

fn default<T>(version: i16) -> Result<(), WireError>
where
    T: Decode<'static> + Encode + PartialEq + Debug + Default,
{
    check(version, &T::default())
}

#[test]
fn filled_messages_round_trip() {
    let mut versions = 0;
    for (key, version) in every_version() {
        let unknown = || Err(WireError::UnknownApi(key));
        with_request!(key, filled(version), unknown()).unwrap();
        with_response!(key, filled(version), unknown()).unwrap();
        versions += 1;
    }
    // The definitions of Kafka 4.3.1 have this many pairs of API and version among what brokers serve.
    assert_eq!(versions, 278);
}

#[test]
fn records_of_coordinators_round_trip() {
    fn record<T>(versions: RangeInclusive<i16>)
    where
        T: Decode<'static> + Encode + PartialEq + Debug + Fill + Default,
    {
        for version in versions {
            filled::<T>(version).unwrap();
            default::<T>(version).unwrap();
        }
    }
    with_each_record!(record);
}

/// An offset commit as Kafka 4 writes it, from the format's description: version, then the fields.
#[test]
fn an_offset_commit_record_to_the_byte() {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
    let mut writer = Writer::new();
    key.encode(&mut writer, 0).unwrap();
    assert_eq!(writer.bytes(), [0, 1, b'g', 0, 1, b't', 0, 0, 0, 3]);
    let value = OffsetCommitValue { offset: 258, commit_timestamp: 7, ..OffsetCommitValue::default() };
    writer.clear();
    value.encode(&mut writer, 3).unwrap();
    let expected = [0, 0, 0, 0, 0, 0, 1, 2, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    assert_eq!(writer.bytes(), expected);
}

#[test]
fn default_messages_round_trip() {
    for (key, version) in every_version() {
        let unknown = || Err(WireError::UnknownApi(key));
        with_request!(key, default(version), unknown()).unwrap();
        with_response!(key, default(version), unknown()).unwrap();
    }
}

#[test]
fn versions_outside_are_refused() {
    for (key, min, max) in [(0, 3, 13), (1, 4, 18), (3, 0, 13), (22, 0, 6)] {
        for version in [min - 1, max + 1, i16::MIN, i16::MAX] {
            let unsupported = |result| matches!(result, Err(WireError::UnsupportedVersion { .. }));
            assert!(unsupported(crate::decode_any_request(key, version, &[0; 100])));
            assert!(unsupported(crate::decode_any_response(key, version, &[0; 100])));
            assert!(unsupported(crate::fill::default_request(key, version).map(drop)));
        }
    }
    assert_eq!(crate::decode_any_request(4, 0, &[]), Err(WireError::UnknownApi(4)));
}
