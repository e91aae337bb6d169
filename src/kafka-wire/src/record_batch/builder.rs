//! Building batches: for clients and tests. A broker never builds what it was sent.

use super::layout::*;
use super::{Compression, MAGIC_V2};
use crate::{WireError, Writer};

/// Collects records and makes a batch of them.
///
/// ```
/// # use kafka_wire::{BatchBuilder, RecordBatch};
/// let mut builder = BatchBuilder::new().base_offset(100);
/// builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[("trace", Some(b"1"))])?;
/// let bytes = builder.build()?;
/// let (batch, rest) = RecordBatch::split_first(&bytes)?;
/// assert_eq!((batch.base_offset(), batch.record_count(), rest.len()), (100, 1, 0));
/// assert_eq!(batch.crc(), batch.compute_crc());
/// # Ok::<(), kafka_wire::WireError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    count: i32,
    records: Writer,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder {
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 0,
            records: Writer::new(),
        }
    }
}

impl BatchBuilder {
    /// An empty batch as a producer that is not idempotent sends it: base offset 0, leader epoch -1.
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// The same with room for so many bytes of records, lengths and all.
    pub fn with_capacity(bytes: usize) -> BatchBuilder {
        BatchBuilder { records: Writer::with_capacity(bytes), ..BatchBuilder::default() }
    }

    /// Sets the offset of the first record.
    pub fn base_offset(mut self, base_offset: i64) -> BatchBuilder {
        self.base_offset = base_offset;
        self
    }

    /// Sets the leader epoch.
    pub fn leader_epoch(mut self, leader_epoch: i32) -> BatchBuilder {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Makes it a batch of an idempotent producer.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Makes it part of a transaction.
    pub fn transactional(mut self) -> BatchBuilder {
        self.attributes |= TRANSACTIONAL_MASK;
        self
    }

    /// Makes it a batch of control records.
    pub fn control(mut self) -> BatchBuilder {
        self.attributes |= CONTROL_MASK;
        self
    }

    /// Appends a record; its offset is one after the previous. Headers keep their order, keys may repeat.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for a key, value, header or record over 2 GiB, or 2^31 - 1 records; the batch
    /// is as before.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<(), WireError> {
        let next = self.count.checked_add(1).ok_or(WireError::TooLong { length: self.count as usize })?;
        let base_timestamp = if self.count == 0 { timestamp } else { self.base_timestamp };
        let time = timestamp.wrapping_sub(base_timestamp);
        let mut bytes = 1 + varint_bytes(time) + varint_bytes(self.count.into());
        bytes += field_bytes(key)? + field_bytes(value)? + varint_bytes(length(headers.len())?.into());
        for (key, value) in headers {
            bytes += field_bytes(Some(key.as_bytes()))? + field_bytes(*value)?;
        }
        let bytes = length(bytes)?;
        let records = &mut self.records;
        records.varint(bytes);
        records.i8(0);
        records.varlong(time);
        records.varint(self.count);
        nullable_bytes(records, key)?;
        nullable_bytes(records, value)?;
        records.varint(length(headers.len())?);
        for (key, value) in headers {
            nullable_bytes(records, Some(key.as_bytes()))?;
            nullable_bytes(records, *value)?;
        }
        self.max_timestamp = if self.count == 0 { timestamp } else { self.max_timestamp.max(timestamp) };
        (self.count, self.base_timestamp) = (next, base_timestamp);
        Ok(())
    }

    /// How many records there are.
    pub fn record_count(&self) -> i32 {
        self.count
    }

    /// The records so far: what a codec compresses.
    pub fn payload(&self) -> &[u8] {
        self.records.bytes()
    }

    /// The length of the batch that [`BatchBuilder::build`] would give.
    pub fn length(&self) -> usize {
        HEADER_LENGTH + self.records.bytes().len()
    }

    /// The batch, not compressed. An empty one has a last offset delta of 0, as after compaction in Kafka.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 2 GiB.
    pub fn build(&self) -> Result<Vec<u8>, WireError> {
        self.build_compressed(Compression::None, self.records.bytes())
    }

    /// The batch with `payload`, which is [`BatchBuilder::payload`] compressed by `codec`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 2 GiB.
    pub fn build_compressed(&self, codec: Compression, payload: &[u8]) -> Result<Vec<u8>, WireError> {
        let whole = HEADER_LENGTH + payload.len();
        let mut writer = Writer::with_capacity(whole);
        writer.i64(self.base_offset);
        writer.i32(length(whole - LENGTH_OVERHEAD)?);
        writer.i32(self.leader_epoch);
        writer.i8(MAGIC_V2);
        writer.i32(0);
        writer.i16(self.attributes | codec as i16);
        writer.i32((self.count - 1).max(0));
        writer.i64(self.base_timestamp);
        writer.i64(self.max_timestamp);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.i32(self.base_sequence);
        writer.i32(self.count);
        writer.raw(payload);
        let crc = crc32c::crc32c(&writer.bytes()[ATTRIBUTES..]);
        writer.patch_i32(CRC, crc as i32);
        Ok(writer.into_parts().0)
    }
}

fn length(length: usize) -> Result<i32, WireError> {
    i32::try_from(length).map_err(|_| WireError::TooLong { length })
}

/// The bytes of a signed variable-length integer, of either size.
fn varint_bytes(value: i64) -> usize {
    let zigzag = (value << 1 ^ value >> 63) as u64;
    let bits = u64::BITS - (zigzag | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The bytes of what [`nullable_bytes`] writes.
fn field_bytes(bytes: Option<&[u8]>) -> Result<usize, WireError> {
    let Some(bytes) = bytes else { return Ok(varint_bytes(-1)) };
    Ok(varint_bytes(length(bytes.len())?.into()) + bytes.len())
}

fn nullable_bytes(writer: &mut Writer, bytes: Option<&[u8]>) -> Result<(), WireError> {
    match bytes {
        None => writer.varint(-1),
        Some(bytes) => {
            writer.varint(length(bytes.len())?);
            writer.raw(bytes);
        }
    }
    Ok(())
}
