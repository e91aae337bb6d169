//! Made-up messages for tests, the same for the same seed: of this crate's own, and of crates that enable the
//! feature `fill`. Nothing of it is in a normal build.

use base::Random;

use crate::messages::{with_request, with_response};
use crate::{Bytes, Decode, Encode, Reader, Records, Str, Uuid, WireError, Writer};

/// A message that can be made up.
pub trait Fill: Sized {
    /// A value that `version` can carry: fields that it lacks are at their defaults.
    fn fill(random: &mut Random, version: i16) -> Self;
}

/// A made-up request in its encoded form.
///
/// # Errors
/// [`WireError::UnknownApi`] and [`WireError::UnsupportedVersion`].
pub fn request(api_key: i16, version: i16, seed: u64) -> Result<Vec<u8>, WireError> {
    with_request!(api_key, encode_filled(version, seed), Err(WireError::UnknownApi(api_key)))
}

/// A made-up response in its encoded form. Errors as in [`request`].
pub fn response(api_key: i16, version: i16, seed: u64) -> Result<Vec<u8>, WireError> {
    with_response!(api_key, encode_filled(version, seed), Err(WireError::UnknownApi(api_key)))
}

/// A request of nothing but defaults, encoded.
pub fn default_request(api_key: i16, version: i16) -> Result<Vec<u8>, WireError> {
    with_request!(api_key, encode_default(version), Err(WireError::UnknownApi(api_key)))
}

/// A response of nothing but defaults, encoded.
pub fn default_response(api_key: i16, version: i16) -> Result<Vec<u8>, WireError> {
    with_response!(api_key, encode_default(version), Err(WireError::UnknownApi(api_key)))
}

/// Decodes a request, which must take all of `body`, and encodes it again.
pub fn reencode_request(api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, WireError> {
    with_request!(api_key, reencode(version, body), Err(WireError::UnknownApi(api_key)))
}

/// Decodes a response, which must take all of `body`, and encodes it again.
pub fn reencode_response(api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, WireError> {
    with_response!(api_key, reencode(version, body), Err(WireError::UnknownApi(api_key)))
}

fn encode_filled<T: Fill + Encode>(version: i16, seed: u64) -> Result<Vec<u8>, WireError> {
    encode(&T::fill(&mut Random::new(seed), version), version)
}

fn encode_default<T: Default + Encode>(version: i16) -> Result<Vec<u8>, WireError> {
    encode(&T::default(), version)
}

fn reencode<'a, T: Decode<'a> + Encode>(version: i16, body: &'a [u8]) -> Result<Vec<u8>, WireError> {
    let mut reader = Reader::new(body);
    let message = T::decode(&mut reader, version)?;
    match reader.remaining() {
        0 => encode(&message, version),
        remaining => Err(WireError::InvalidLength(remaining as i64)),
    }
}

fn encode(message: &impl Encode, version: i16) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.into_parts().0)
}

/// Mostly short; now and then one whose length takes two bytes as a variable-length integer.
fn length(random: &mut Random) -> usize {
    if random.one_in(8) { random.between(127, 300) as usize } else { random.below(12) as usize }
}

pub(crate) fn string(random: &mut Random) -> Str<'static> {
    const LETTERS: [char; 8] = ['a', 'Z', '0', '.', '-', 'ü', '日', '🦀'];
    let length = length(random);
    Str::Owned((0..length).map(|_| LETTERS[random.below(8) as usize]).collect())
}

pub(crate) fn bytes(random: &mut Random) -> Bytes<'static> {
    let mut bytes = vec![0; length(random)];
    random.fill(&mut bytes);
    Bytes::Owned(bytes)
}

pub(crate) fn records(random: &mut Random) -> Records<'static> {
    const PATTERN: [u8; 300] = {
        let mut pattern = [0; 300];
        let mut i = 0;
        while i < pattern.len() {
            pattern[i] = (i * 7) as u8;
            i += 1;
        }
        pattern
    };
    static BYTES: [u8; 300] = PATTERN;
    Records::Bytes(&BYTES[..length(random)])
}

pub(crate) fn nullable_records(random: &mut Random, nullable: bool) -> Records<'static> {
    if nullable && random.one_in(4) { Records::Null } else { records(random) }
}

pub(crate) fn uuid(random: &mut Random) -> Uuid {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    Uuid(bytes)
}

/// Never NaN, which is not equal to itself.
pub(crate) fn f64(random: &mut Random) -> f64 {
    (random.next_u64() as i32) as f64 / 16.0
}

pub(crate) fn nullable<T>(
    random: &mut Random,
    nullable: bool,
    make: impl FnOnce(&mut Random) -> T,
) -> Option<T> {
    if nullable && random.one_in(4) { None } else { Some(make(random)) }
}

/// Nought to three elements: messages nest four deep.
pub(crate) fn array<T>(random: &mut Random, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
    let count = random.below(4);
    (0..count).map(|_| make(random)).collect()
}
