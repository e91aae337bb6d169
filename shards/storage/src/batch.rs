//! The fixed part of a record batch (magic 2), as far as the log looks at it, and what the log writes into it.
//!
//! The CRC covers everything from the attributes on. Base offset and leader epoch lie before it, so the log
//! sets them without touching the CRC; a topic with `LogAppendTime` needs a new one.

use memory::Slice;

/// Bytes before the records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes of base offset and length, which the length does not count.
pub(crate) const OVERHEAD_BYTES: usize = 12;
/// Where what the CRC covers begins.
pub(crate) const CRC_FROM: usize = 21;

const ATTRIBUTE_TIMESTAMP: i16 = 0x08;
const ATTRIBUTE_TRANSACTIONAL: i16 = 0x10;
const ATTRIBUTE_CONTROL: i16 = 0x20;

/// The fixed part, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub base_offset: i64,
    /// Of the whole batch, header included.
    pub bytes: usize,
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

/// What keeps bytes from being a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchError {
    /// Fewer bytes than a header, or than the batch's length says.
    Short,
    /// A length below the smallest that a batch can have.
    Length,
    /// Another magic than 2.
    Magic(i8),
    /// The CRC is another.
    Crc,
}

/// The bytes from `at` on, which must be there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

impl BatchHeader {
    /// The header at the beginning of `bytes`, which may end before the batch does. The length is only
    /// checked to be possible.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Short);
        }
        let length = i32::from_be_bytes(array(bytes, 8));
        let bytes_all = usize::try_from(length).map_err(|_| BatchError::Length)? + OVERHEAD_BYTES;
        let magic = bytes[16] as i8;
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        if bytes_all < HEADER_BYTES {
            return Err(BatchError::Length);
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(array(bytes, 0)),
            bytes: bytes_all,
            leader_epoch: i32::from_be_bytes(array(bytes, 12)),
            crc: u32::from_be_bytes(array(bytes, 17)),
            attributes: i16::from_be_bytes(array(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: i64::from_be_bytes(array(bytes, 27)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            count: i32::from_be_bytes(array(bytes, 57)),
        })
    }

    /// The batch at the beginning of `bytes`, whole, its CRC checked.
    pub fn verify(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let whole = bytes.get(..header.bytes).ok_or(BatchError::Short)?;
        if crc32c::crc32c(&whole[CRC_FROM..]) != header.crc {
            return Err(BatchError::Crc);
        }
        Ok(header)
    }

    /// The same of a batch that lies in parts, one after another, which begin with it.
    pub fn verify_parts(parts: &[Slice]) -> Result<BatchHeader, BatchError> {
        if let [whole] = parts {
            return BatchHeader::verify(whole);
        }
        let (mut head, mut filled) = ([0; HEADER_BYTES], 0);
        for part in parts {
            let count = part.len().min(HEADER_BYTES - filled);
            head[filled..filled + count].copy_from_slice(&part[..count]);
            filled += count;
        }
        let header = BatchHeader::parse(&head[..filled])?;
        let (mut left, mut before, mut crc) = (header.bytes, CRC_FROM, 0);
        for part in parts {
            let part = &part[..part.len().min(left)];
            left -= part.len();
            let skipped = before.min(part.len());
            before -= skipped;
            crc = crc32c::crc32c_append(crc, &part[skipped..]);
        }
        match left {
            0 if crc == header.crc => Ok(header),
            0 => Err(BatchError::Crc),
            _ => Err(BatchError::Short),
        }
    }

    /// The offset of the last record. Saturates: the number may be any.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    pub fn is_control(&self) -> bool {
        self.attributes & ATTRIBUTE_CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & ATTRIBUTE_TRANSACTIONAL != 0
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The codec's number.
    pub fn compression(&self) -> i16 {
        self.attributes & 7
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & ATTRIBUTE_TIMESTAMP != 0
    }
}

/// Writes what lies outside of the CRC.
pub(crate) fn assign(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Sets the broker's time as the batch's, and the CRC anew.
pub(crate) fn stamp(batch: &mut [u8], now_ms: i64) {
    let attributes = i16::from_be_bytes(array(batch, 21)) | ATTRIBUTE_TIMESTAMP;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&now_ms.to_be_bytes());
    seal(batch);
}

/// Sets the CRC of what the batch holds.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// A zigzag number of up to ten bytes, taken off the front.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
