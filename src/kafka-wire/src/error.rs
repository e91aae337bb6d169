//! What can be wrong with bytes from the wire, or with a message that is to become bytes.

use std::fmt;

/// Why a message could not be decoded or encoded.
///
/// Decoding never panics: any byte sequence gives a message or one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end before what was announced or must be there.
    UnexpectedEnd {
        /// Bytes that the next item needs.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length or count that is negative where null is not allowed, or below -1.
    InvalidLength(i64),
    /// An array announces more elements than the remaining bytes can hold.
    CountExceedsFrame {
        /// The announced number of elements.
        count: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// The frame holds more array elements, all arrays together, than the reader's limit.
    TooManyElements {
        /// The limit of [`Reader::with_element_limit`](crate::Reader::with_element_limit).
        limit: usize,
    },
    /// A variable-length integer is longer than its type allows.
    InvalidVarint,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// Null where the version does not allow null.
    UnexpectedNull,
    /// A nullable struct is introduced by something other than -1 or 1.
    InvalidPresence(i8),
    /// A tagged field whose content is not as long as its tag says.
    TagSizeMismatch {
        /// The number of the tagged field.
        tag: u32,
    },
    /// No API has this key.
    UnknownApi(i16),
    /// The message does not exist in this version.
    UnsupportedVersion {
        /// The message's name in the protocol.
        message: &'static str,
        /// The version that was asked for.
        version: i16,
    },
    /// Encoding: a field has a value that the version cannot carry, and that must not be dropped.
    UnsupportedField {
        /// The field's name in the protocol.
        field: &'static str,
        /// The version that was asked for.
        version: i16,
    },
    /// Encoding: a field is null, and the version does not allow that.
    NullField {
        /// The field's name in the protocol.
        field: &'static str,
    },
    /// Encoding: a string, byte array or array is longer than its length prefix can say.
    TooLong {
        /// The length in bytes, or elements for an array.
        length: usize,
    },
    /// A record batch of another format than 2, by its number. Those of 0 and 1 are old message sets.
    UnsupportedMagic(i8),
    /// A record batch whose header contradicts itself or the bytes around it; says what.
    InvalidBatch(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WireError::UnexpectedEnd { needed, remaining } => {
                write!(f, "{needed} bytes needed, {remaining} left")
            }
            WireError::InvalidLength(length) => write!(f, "invalid length {length}"),
            WireError::CountExceedsFrame { count, remaining } => {
                write!(f, "{count} array elements announced, {remaining} bytes left")
            }
            WireError::TooManyElements { limit } => write!(f, "more than {limit} array elements"),
            WireError::InvalidVarint => f.write_str("variable-length integer too long"),
            WireError::InvalidUtf8 => f.write_str("string is not UTF-8"),
            WireError::UnexpectedNull => f.write_str("null where null is not allowed"),
            WireError::InvalidPresence(byte) => write!(f, "{byte} where -1 or 1 introduces a struct"),
            WireError::TagSizeMismatch { tag } => {
                write!(f, "tagged field {tag} is not as long as announced")
            }
            WireError::UnknownApi(key) => write!(f, "unknown API key {key}"),
            WireError::UnsupportedVersion { message, version } => {
                write!(f, "{message} has no version {version}")
            }
            WireError::UnsupportedField { field, version } => {
                write!(f, "version {version} cannot carry the value of {field}")
            }
            WireError::NullField { field } => write!(f, "{field} must not be null in this version"),
            WireError::TooLong { length } => write!(f, "length {length} does not fit its prefix"),
            WireError::UnsupportedMagic(magic) => write!(f, "record format {magic} is not supported"),
            WireError::InvalidBatch(why) => write!(f, "invalid record batch: {why}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Refuses a version outside `min..=max`, the versions in which `message` exists.
pub(crate) fn check_version(
    message: &'static str,
    version: i16,
    min: i16,
    max: i16,
) -> Result<(), WireError> {
    if version < min || version > max {
        return Err(WireError::UnsupportedVersion { message, version });
    }
    Ok(())
}
