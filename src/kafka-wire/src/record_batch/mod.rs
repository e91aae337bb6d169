//! Record batches of magic 2, viewed where they lie.
//!
//! A batch is a header of 61 bytes and records, which are compressed together or not at all. All integers of
//! the header are big-endian; the records use variable-length ones (see [`RecordIter`]).
//!
//! The checksum covers everything behind itself. Base offset and leader epoch lie before it, so that a broker
//! can write them without touching the rest: [`set_base_offset`], [`set_leader_epoch`].

mod builder;
mod records;

pub use builder::BatchBuilder;
pub use records::{Header, Headers, Record, RecordIter};

use crate::WireError;

/// Where the fields of the header lie, in bytes from the start of the batch.
pub mod layout {
    /// `int64`: the offset of the first record; of a batch from a producer, 0.
    pub const BASE_OFFSET: usize = 0;
    /// `int32`: bytes behind this field, the rest of the header included.
    pub const BATCH_LENGTH: usize = 8;
    /// `int32`: the leader's epoch when it appended the batch; -1 from a producer.
    pub const LEADER_EPOCH: usize = 12;
    /// `int8`: the version of the format, 2.
    pub const MAGIC: usize = 16;
    /// `uint32`: CRC32C of all that follows it.
    pub const CRC: usize = 17;
    /// `int16`: see the `*_MASK` constants.
    pub const ATTRIBUTES: usize = 21;
    /// `int32`: offset of the last record less the base offset.
    pub const LAST_OFFSET_DELTA: usize = 23;
    /// `int64`: milliseconds since 1970 that the records' timestamps count from.
    pub const BASE_TIMESTAMP: usize = 27;
    /// `int64`: the greatest timestamp in the batch, or the time of the append.
    pub const MAX_TIMESTAMP: usize = 35;
    /// `int64`: -1 from a producer that is not idempotent.
    pub const PRODUCER_ID: usize = 43;
    /// `int16`: -1 from a producer that is not idempotent.
    pub const PRODUCER_EPOCH: usize = 51;
    /// `int32`: sequence number of the first record; -1 from a producer that is not idempotent.
    pub const BASE_SEQUENCE: usize = 53;
    /// `int32`: how many records follow.
    pub const RECORD_COUNT: usize = 57;
    /// Length of the header, and where the records start.
    pub const HEADER_LENGTH: usize = 61;
    /// What the batch length does not count: itself and the base offset.
    pub const LENGTH_OVERHEAD: usize = 12;

    /// Attributes: the codec.
    pub const COMPRESSION_MASK: i16 = 0x07;
    /// Attributes: timestamps are those of the append.
    pub const TIMESTAMP_TYPE_MASK: i16 = 0x08;
    /// Attributes: part of a transaction.
    pub const TRANSACTIONAL_MASK: i16 = 0x10;
    /// Attributes: holds a control record, not data.
    pub const CONTROL_MASK: i16 = 0x20;
    /// Attributes: the base timestamp is the time from which tombstones may go.
    pub const DELETE_HORIZON_MASK: i16 = 0x40;

    const _: () = {
        assert!(BATCH_LENGTH == BASE_OFFSET + 8);
        assert!(LEADER_EPOCH == BATCH_LENGTH + 4 && LENGTH_OVERHEAD == LEADER_EPOCH);
        assert!(MAGIC == LEADER_EPOCH + 4);
        assert!(CRC == MAGIC + 1);
        assert!(ATTRIBUTES == CRC + 4);
        assert!(LAST_OFFSET_DELTA == ATTRIBUTES + 2);
        assert!(BASE_TIMESTAMP == LAST_OFFSET_DELTA + 4);
        assert!(MAX_TIMESTAMP == BASE_TIMESTAMP + 8);
        assert!(PRODUCER_ID == MAX_TIMESTAMP + 8);
        assert!(PRODUCER_EPOCH == PRODUCER_ID + 8);
        assert!(BASE_SEQUENCE == PRODUCER_EPOCH + 2);
        assert!(RECORD_COUNT == BASE_SEQUENCE + 4);
        assert!(HEADER_LENGTH == RECORD_COUNT + 4);
    };
}

use layout::*;

/// The format's version.
pub const MAGIC_V2: i8 = 2;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Compression {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// What the timestamps of a batch mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// Each record has the time that its producer gave it.
    CreateTime,
    /// All have the time of the append, which is the batch's max timestamp.
    LogAppendTime,
}

/// One whole batch, in place. The header's fields are as the batch has them, unchecked unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordBatch<'a> {
    bytes: &'a [u8],
}

impl<'a> RecordBatch<'a> {
    /// The batch at the start of `bytes`, and what follows it.
    ///
    /// Checked are magic and length only: neither the checksum nor anything that the header says.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] if `bytes` do not hold the whole batch, [`WireError::UnsupportedMagic`],
    /// [`WireError::InvalidBatch`] for a length below that of the header.
    pub fn split_first(bytes: &'a [u8]) -> Result<(RecordBatch<'a>, &'a [u8]), WireError> {
        let remaining = bytes.len();
        if remaining <= MAGIC {
            return Err(WireError::UnexpectedEnd { needed: HEADER_LENGTH, remaining });
        }
        // Older formats have their magic at the same place, but nothing else where it is here.
        let magic = i8::from_be_bytes(at(bytes, MAGIC));
        if magic != MAGIC_V2 {
            return Err(WireError::UnsupportedMagic(magic));
        }
        let length = usize::try_from(i32::from_be_bytes(at(bytes, BATCH_LENGTH)))
            .map_err(|_| WireError::InvalidBatch("negative length"))?
            + LENGTH_OVERHEAD;
        if length < HEADER_LENGTH {
            return Err(WireError::InvalidBatch("shorter than its header"));
        }
        match bytes.split_at_checked(length) {
            Some((batch, rest)) => Ok((RecordBatch { bytes: batch }, rest)),
            None => Err(WireError::UnexpectedEnd { needed: length, remaining }),
        }
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they are, compressed or not.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LENGTH..]
    }

    /// See [`layout::BASE_OFFSET`].
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, BASE_OFFSET))
    }

    /// See [`layout::BATCH_LENGTH`]; the whole batch has 12 bytes more.
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, BATCH_LENGTH))
    }

    /// See [`layout::LEADER_EPOCH`].
    pub fn leader_epoch(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, LEADER_EPOCH))
    }

    /// Always [`MAGIC_V2`].
    pub fn magic(&self) -> i8 {
        i8::from_be_bytes(at(self.bytes, MAGIC))
    }

    /// The checksum that the batch carries.
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(at(self.bytes, CRC))
    }

    /// The checksum that it ought to carry.
    pub fn compute_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[ATTRIBUTES..])
    }

    /// See [`layout::ATTRIBUTES`].
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(at(self.bytes, ATTRIBUTES))
    }

    /// The codec of the payload.
    ///
    /// # Errors
    /// [`WireError::InvalidBatch`] for a number that stands for no codec.
    pub fn compression(&self) -> Result<Compression, WireError> {
        match self.attributes() & COMPRESSION_MASK {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            _ => Err(WireError::InvalidBatch("unknown compression")),
        }
    }

    /// Whose time the timestamps are.
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes() & TIMESTAMP_TYPE_MASK {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// True if the batch is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL_MASK != 0
    }

    /// True if the batch holds a control record, which consumers do not see.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL_MASK != 0
    }

    /// True if the base timestamp is the time from which tombstones may be dropped.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & DELETE_HORIZON_MASK != 0
    }

    /// See [`layout::LAST_OFFSET_DELTA`].
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, LAST_OFFSET_DELTA))
    }

    /// The offset of the last record; saturates for a header that leads beyond the last offset there is.
    pub fn last_offset(&self) -> i64 {
        self.base_offset().saturating_add(self.last_offset_delta().into())
    }

    /// See [`layout::BASE_TIMESTAMP`].
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, BASE_TIMESTAMP))
    }

    /// See [`layout::MAX_TIMESTAMP`].
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, MAX_TIMESTAMP))
    }

    /// See [`layout::PRODUCER_ID`].
    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, PRODUCER_ID))
    }

    /// See [`layout::PRODUCER_EPOCH`].
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(at(self.bytes, PRODUCER_EPOCH))
    }

    /// See [`layout::BASE_SEQUENCE`].
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, BASE_SEQUENCE))
    }

    /// See [`layout::RECORD_COUNT`].
    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, RECORD_COUNT))
    }

    /// The records of a batch that is not compressed.
    ///
    /// # Errors
    /// [`WireError::InvalidBatch`] if it is compressed: decompress the payload, then [`RecordIter::new`];
    /// and if the count is impossible.
    pub fn records(&self) -> Result<RecordIter<'a>, WireError> {
        match self.compression()? {
            Compression::None => RecordIter::new(self.payload(), self.record_count()),
            _ => Err(WireError::InvalidBatch("compressed")),
        }
    }
}

/// The `N` bytes at `position`, which the caller knows to be there.
fn at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[position..position + N]);
    field
}

/// Overwrites a field of the header in a batch that starts at the start of `batch`.
fn put(batch: &mut [u8], position: usize, field: &[u8]) -> Result<(), WireError> {
    let remaining = batch.len();
    if remaining < HEADER_LENGTH {
        return Err(WireError::UnexpectedEnd { needed: HEADER_LENGTH, remaining });
    }
    batch[position..position + field.len()].copy_from_slice(field);
    Ok(())
}

/// Writes the base offset of the batch at the start of `batch`; the checksum stays right.
///
/// # Errors
/// [`WireError::UnexpectedEnd`] if there is no whole header.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) -> Result<(), WireError> {
    put(batch, BASE_OFFSET, &base_offset.to_be_bytes())
}

/// Writes the leader epoch of the batch at the start of `batch`; the checksum stays right.
///
/// # Errors
/// [`WireError::UnexpectedEnd`] if there is no whole header.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) -> Result<(), WireError> {
    put(batch, LEADER_EPOCH, &leader_epoch.to_be_bytes())
}

/// Gives the batch at the start of `batch` the time of its append, and a new checksum.
///
/// This is what `message.timestamp.type=LogAppendTime` asks for: the timestamp type and the max timestamp
/// change, the records stay as they are.
///
/// # Errors
/// As [`RecordBatch::split_first`].
pub fn set_log_append_time(batch: &mut [u8], timestamp: i64) -> Result<(), WireError> {
    let (view, _) = RecordBatch::split_first(batch)?;
    let (length, attributes) = (view.bytes.len(), view.attributes() | TIMESTAMP_TYPE_MASK);
    put(batch, ATTRIBUTES, &attributes.to_be_bytes())?;
    put(batch, MAX_TIMESTAMP, &timestamp.to_be_bytes())?;
    let crc = crc32c::crc32c(&batch[ATTRIBUTES..length]);
    put(batch, CRC, &crc.to_be_bytes())
}

#[cfg(test)]
mod tests;
