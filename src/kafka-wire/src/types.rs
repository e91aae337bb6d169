//! The field types of messages that Rust does not have under the same name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A string field. Decoding borrows from the frame.
pub type Str<'a> = Cow<'a, str>;

/// A bytes field. Decoding borrows from the frame.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// A 128-bit identifier, in the byte order of the wire.
///
/// Its text form is Kafka's: base64 with the URL-safe alphabet, no padding, 22 characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Stands for "no id" everywhere in the protocol.
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// True of [`Uuid::ZERO`].
    pub fn is_zero(self) -> bool {
        self == Uuid::ZERO
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LENGTH: usize = 22;

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 128 bits are 21 full digits of six bits and one of two, filled up with zeros below.
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; TEXT_LENGTH];
        for (i, digit) in text.iter_mut().enumerate() {
            let value = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
            *digit = ALPHABET[(value & 63) as usize];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The text is not 22 characters of URL-safe base64 that stand for 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUuid;

impl fmt::Display for InvalidUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: 22 characters of A-Z a-z 0-9 - _ expected")
    }
}

impl std::error::Error for InvalidUuid {}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Uuid, InvalidUuid> {
        // Kafka itself prints no padding but accepts it.
        let text = text.strip_suffix("==").unwrap_or(text);
        if text.len() != TEXT_LENGTH {
            return Err(InvalidUuid);
        }
        let mut bits = 0u128;
        for (i, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&a| a == byte).ok_or(InvalidUuid)? as u128;
            if i < 21 {
                bits = bits << 6 | digit;
            } else if digit & 15 == 0 {
                bits = bits << 2 | digit >> 4;
            } else {
                return Err(InvalidUuid);
            }
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

/// A field of record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records<'a> {
    /// No records field at all, which is not the same as an empty one.
    #[default]
    Null,
    /// The batches themselves; decoding gives only this and [`Records::Null`].
    Bytes(&'a [u8]),
    /// Encoding only: `len` bytes that the caller sends after what was written so far.
    ///
    /// The writer puts down the length and notes the place with `index`, by which the caller
    /// knows which bytes belong there (see [`Writer::externals`](crate::Writer::externals)).
    External {
        /// Whatever tells the caller which bytes are meant.
        index: u32,
        /// How many bytes they are.
        len: u32,
    },
}

impl<'a> Records<'a> {
    /// The bytes at hand: none for null and external records.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Records::Bytes(bytes) => bytes,
            Records::Null | Records::External { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_is_kafkas() {
        // Bytes 00..0f in URL-safe base64, as any base64 tool prints them.
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8);
        assert_eq!(Uuid(bytes).to_string(), "AAECAwQFBgcICQoLDA0ODw");
        assert_eq!("AAECAwQFBgcICQoLDA0ODw".parse(), Ok(Uuid(bytes)));
        assert_eq!("AAECAwQFBgcICQoLDA0ODw==".parse(), Ok(Uuid(bytes)));
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
        assert_eq!("_____________________w".parse(), Ok(Uuid([0xff; 16])));
        assert_eq!(Uuid::ZERO.to_string(), "A".repeat(22));
    }

    #[test]
    fn uuid_text_is_checked() {
        for text in ["", "A", "AAECAwQFBgcICQoLDA0ODx", "AAECAwQFBgcICQoLDA0O/w", &"A".repeat(23)] {
            assert_eq!(text.parse::<Uuid>(), Err(InvalidUuid), "{text}");
        }
    }
}
