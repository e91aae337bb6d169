//! Bytes that no client means: they give an error or a message, quickly, and never take much memory.

use base::Random;

use super::every_version;
use crate::messages::metadata_request::MetadataRequest;
use crate::reader::first_capacity;
use crate::{Decode, Reader, RequestHeader, WireError, decode_any_request, decode_any_response, fill};

fn decode_both(key: i16, version: i16, bytes: &[u8]) -> [Result<(), WireError>; 2] {
    [decode_any_request(key, version, bytes), decode_any_response(key, version, bytes)]
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random::new(1);
    let mut bytes = [0; 200];
    for _ in 0..100 {
        random.fill(&mut bytes);
        // Small numbers go deeper than large ones, which are soon found to be impossible lengths.
        let ceiling = [1, 3, 16, 255][random.below(4) as usize];
        bytes.iter_mut().for_each(|byte| *byte = (*byte).min(ceiling));
        let length = random.below(200) as usize;
        for (key, version) in every_version() {
            let _ = decode_both(key, version, &bytes[..length]);
        }
        let _ = RequestHeader::read(&mut Reader::new(&bytes[..length]));
    }
}

/// Valid messages with one byte changed, in every version: reaches the ends of long messages.
#[test]
fn damaged_messages_never_panic() {
    let mut random = Random::new(2);
    let mut refused = 0;
    for (key, version) in every_version() {
        for seed in 0..4 {
            let originals = [fill::request(key, version, seed), fill::response(key, version, seed)];
            for mut bytes in originals.map(Result::unwrap) {
                for _ in 0..16.min(bytes.len()) {
                    let at = random.below(bytes.len() as u64) as usize;
                    let before = std::mem::replace(&mut bytes[at], random.next_u64() as u8);
                    refused += decode_both(key, version, &bytes).iter().filter(|it| it.is_err()).count();
                    bytes[at] = before;
                }
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}

/// No message is a prefix of itself: whatever is cut off is missed.
#[test]
fn every_cut_is_noticed() {
    for (key, version) in every_version() {
        for seed in 0..2 {
            let request = fill::request(key, version, seed).unwrap();
            for cut in 0..request.len().min(400) {
                let result = decode_any_request(key, version, &request[..cut]);
                assert!(result.is_err(), "request {key} version {version} cut at {cut}");
            }
            let response = fill::response(key, version, seed).unwrap();
            for cut in 0..response.len().min(400) {
                let result = decode_any_response(key, version, &response[..cut]);
                assert!(result.is_err(), "response {key} version {version} cut at {cut}");
            }
        }
    }
}

#[test]
fn huge_counts_are_refused_before_anything_is_reserved() {
    // 2^31 - 1 topics, in both encodings of lengths, with a few bytes to follow.
    let fixed = [0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
    let count = i32::MAX as usize;
    let error = MetadataRequest::decode(&mut Reader::new(&fixed), 1).unwrap_err();
    assert_eq!(error, WireError::CountExceedsFrame { count, remaining: 3 });
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3];
    let error = MetadataRequest::decode(&mut Reader::new(&compact), 9).unwrap_err();
    assert_eq!(error, WireError::CountExceedsFrame { count: u32::MAX as usize - 1, remaining: 3 });
    let negative = [0xff, 0xff, 0xff, 0xfe];
    let error = MetadataRequest::decode(&mut Reader::new(&negative), 1).unwrap_err();
    assert_eq!(error, WireError::InvalidLength(-2));
}

/// A count that the frame can hold, of elements that are larger in memory than on the wire.
#[test]
fn reserve_does_not_follow_the_count() {
    assert_eq!(first_capacity::<[u8; 256]>(1_000_000), 256);
    assert_eq!(first_capacity::<[u8; 256]>(3), 3);
    assert_eq!(first_capacity::<[u8; 1 << 20]>(3), 0);
    let honest = Reader::new(&[0, 0, 0, 2, 0, 1, 0, 2]).array(false, 2, Reader::i16).unwrap();
    assert_eq!((honest.as_slice(), honest.capacity()), (&[1, 2][..], 2));
}

#[test]
fn all_arrays_together_have_a_limit() {
    let two_arrays = [0, 0, 0, 2, 1, 2, 0, 0, 0, 2, 3, 4];
    let read = |limit| {
        let mut reader = Reader::with_element_limit(&two_arrays, limit);
        let first = reader.array(false, 1, Reader::i8)?;
        Ok((first, reader.array(false, 1, Reader::i8)?))
    };
    assert_eq!(read(4), Ok((vec![1, 2], vec![3, 4])));
    assert_eq!(read(3), Err(WireError::TooManyElements { limit: 3 }));
}
