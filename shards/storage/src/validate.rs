//! Whether a produced batch may be appended. Only the header is looked at, and for a compacted topic whether there
//! are keys, for which a compressed batch is decompressed piece by piece; the records stay untouched.
//!
//! The rules are those of a Kafka broker for batches of magic 2 (its `LogValidator` and `UnifiedLog`), by the
//! same errors.

use crate::batch::{BatchError, BatchHeader, HEADER_BYTES, varint};
use crate::config::{LogConfig, TimestampType};
use crate::error::AppendError;
use std::io::{self, BufRead, BufReader, Read};

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client: it may not write control batches, nor open a transaction.
    Client,
    /// A client, and the coordinator says that the partition is in its transaction (KIP-890).
    Verified {
        /// Each of its transactions has an epoch of its own, so that its first batch has sequence number 0.
        bumps_epoch: bool,
    },
    /// The broker itself.
    Coordinator,
}

/// What is known of the CRC of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crc {
    /// It is to be computed and compared.
    Unknown,
    /// That was done.
    Right,
}

const NO_TIMESTAMP: i64 = -1;

/// Checks one batch at the beginning of `bytes`; returns its header.
pub(crate) fn batch(
    bytes: &[u8],
    config: &LogConfig,
    origin: Origin,
    now_ms: i64,
    crc: Crc,
) -> Result<BatchHeader, AppendError> {
    let header = BatchHeader::parse(bytes).map_err(|error| match error {
        BatchError::Short => AppendError::CorruptMessage("fewer bytes than a batch header"),
        BatchError::Length => AppendError::CorruptMessage("a length that no batch can have"),
        BatchError::Magic(_) => AppendError::InvalidRecord("a batch of another magic than 2"),
        BatchError::Crc => AppendError::CorruptMessage("the CRC does not match"),
    })?;
    if header.bytes > bytes.len() {
        return Err(AppendError::CorruptMessage("the batch is longer than the bytes there are"));
    }
    if header.bytes > config.max_message_bytes {
        let limit = config.max_message_bytes;
        return Err(AppendError::MessageTooLarge { bytes: header.bytes, limit });
    }
    // Looked at before the CRC, because they are cheap; a batch that fails both gets the same answer from
    // Kafka for its CRC, so the CRC goes first where the error would differ.
    if crc == Crc::Unknown {
        BatchHeader::verify(bytes).map_err(|_| AppendError::CorruptMessage("the CRC does not match"))?;
    }
    counts(&header)?;
    attributes(&header, origin)?;
    if config.timestamp_type == TimestampType::CreateTime {
        timestamps(&header, config, now_ms)?;
    }
    if config.compact && !header.is_control() {
        let records = &bytes[HEADER_BYTES..header.bytes];
        match header.compression() {
            0 => keys(&header, records)?,
            number => packed_keys(&header, number, records)?,
        }
    }
    Ok(header)
}

pub(crate) const CUT: AppendError = AppendError::InvalidRecord("a record that is longer than its batch");
const KEYLESS: AppendError = AppendError::InvalidRecord("a compacted topic takes no record without a key");
pub(crate) const UNPACKABLE: AppendError = AppendError::CorruptMessage("records that cannot be decompressed");

/// A compacted topic takes no record without a key.
fn keys(header: &BatchHeader, mut rest: &[u8]) -> Result<(), AppendError> {
    for _ in 0..header.count {
        let length = varint(&mut rest).and_then(|length| usize::try_from(length).ok()).ok_or(CUT)?;
        let (record, behind) = rest.split_at_checked(length).ok_or(CUT)?;
        rest = behind;
        // Behind the attributes: time, offset, length of the key.
        let mut fields = record.get(1..).ok_or(CUT)?;
        varint(&mut fields).ok_or(CUT)?;
        varint(&mut fields).ok_or(CUT)?;
        if varint(&mut fields).ok_or(CUT)? < 0 {
            return Err(KEYLESS);
        }
    }
    Ok(())
}

/// The same for a compressed batch. Only a window of its records is in memory at a time.
fn packed_keys(header: &BatchHeader, codec: i16, payload: &[u8]) -> Result<(), AppendError> {
    let codec = compression::codec(codec).ok_or(UNPACKABLE)?;
    let mut records = Unpacked::new(compression::reader(codec, payload).map_err(|_| UNPACKABLE)?);
    for _ in 0..header.count {
        let head = records.head()?;
        if head.key_length < 0 {
            return Err(KEYLESS);
        }
        records.skip(head.left)?;
    }
    Ok(())
}

/// Records as they are decompressed.
pub(crate) struct Unpacked<R> {
    pub source: BufReader<R>,
    /// Bytes read so far.
    pub read: u64,
}

/// How a record begins.
pub(crate) struct RecordHead {
    pub timestamp_delta: i64,
    pub offset_delta: i64,
    /// Negative: it has none.
    pub key_length: i64,
    /// Bytes of the record behind the length of its key.
    pub left: u64,
}

impl<R: Read> Unpacked<R> {
    pub fn new(source: R) -> Unpacked<R> {
        const WINDOW_BYTES: usize = 4096;
        Unpacked { source: BufReader::with_capacity(WINDOW_BYTES, source), read: 0 }
    }

    /// The beginning of the next record. What is left of it is to be skipped.
    pub fn head(&mut self) -> Result<RecordHead, AppendError> {
        let length = self.varint()?.ok_or(CUT)?;
        let end = u64::try_from(length).ok().and_then(|length| self.read.checked_add(length)).ok_or(CUT)?;
        // Attributes, of which there are none.
        self.skip(1)?;
        let (timestamp_delta, offset_delta) = (self.varint()?.ok_or(CUT)?, self.varint()?.ok_or(CUT)?);
        let key_length = self.varint()?.ok_or(CUT)?;
        let left = end.checked_sub(self.read).ok_or(CUT)?;
        Ok(RecordHead { timestamp_delta, offset_delta, key_length, left })
    }

    /// Whether nothing comes any more. Codecs that have a checksum have compared it then.
    pub fn is_at_end(&mut self) -> Result<bool, AppendError> {
        self.source.fill_buf().map(<[u8]>::is_empty).map_err(|_| UNPACKABLE)
    }

    /// A number; `None`: it is none, or the bytes end.
    fn varint(&mut self) -> Result<Option<i64>, AppendError> {
        let (mut bytes, mut count) = ([0; 10], 0);
        while count < bytes.len() {
            let Some(&byte) = self.source.fill_buf().map_err(|_| UNPACKABLE)?.first() else {
                return Ok(None);
            };
            self.source.consume(1);
            self.read += 1;
            bytes[count] = byte;
            count += 1;
            if byte & 0x80 == 0 {
                return Ok(varint(&mut &bytes[..count]));
            }
        }
        Ok(None)
    }

    pub fn skip(&mut self, bytes: u64) -> Result<(), AppendError> {
        let skipped = io::copy(&mut self.source.by_ref().take(bytes), &mut io::sink());
        self.read += bytes;
        match skipped.map_err(|_| UNPACKABLE)? == bytes {
            true => Ok(()),
            false => Err(CUT),
        }
    }
}

fn counts(header: &BatchHeader) -> Result<(), AppendError> {
    if header.count <= 0 {
        return Err(AppendError::InvalidRecord("a batch without records"));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.count) {
        return Err(AppendError::InvalidRecord("the last offset delta does not match the record count"));
    }
    Ok(())
}

fn attributes(header: &BatchHeader, origin: Origin) -> Result<(), AppendError> {
    if header.compression() > 4 {
        return Err(AppendError::InvalidRecord("an unknown compression codec"));
    }
    if origin != Origin::Coordinator && header.is_control() {
        return Err(AppendError::InvalidRecord("clients may not write control batches"));
    }
    if header.has_producer() && header.base_sequence < 0 && origin != Origin::Coordinator {
        return Err(AppendError::InvalidRecord("a producer id without a sequence number"));
    }
    if header.is_transactional() && !header.has_producer() {
        return Err(AppendError::InvalidRecord("a transactional batch without a producer id"));
    }
    if header.is_log_append_time() && origin != Origin::Coordinator {
        return Err(AppendError::InvalidTimestamp { timestamp: header.max_timestamp });
    }
    Ok(())
}

fn timestamps(header: &BatchHeader, config: &LogConfig, now_ms: i64) -> Result<(), AppendError> {
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if timestamp == NO_TIMESTAMP {
            continue;
        }
        let before = now_ms.saturating_sub(timestamp) > config.timestamp_before_max_ms;
        let after = timestamp.saturating_sub(now_ms) > config.timestamp_after_max_ms;
        if timestamp < 0 || before || after {
            return Err(AppendError::InvalidTimestamp { timestamp });
        }
    }
    Ok(())
}
