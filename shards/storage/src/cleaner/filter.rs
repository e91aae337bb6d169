//! What of a batch stays. Kafka's rules, and its form of what is left (KIP-98, KIP-534).

use super::map::OffsetMap;
use super::records::{self, Record};
use crate::batch::{self, BatchHeader, HEADER_BYTES, OVERHEAD_BYTES};
use std::collections::BTreeMap;

const ATTRIBUTES: usize = 21;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const COUNT: usize = 57;
const CODEC_MASK: i16 = 0x07;
const HORIZON_MASK: i16 = 0x40;

/// What a producer wrote last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    /// The last offset of its last batch of data that is known.
    pub data_offset: Option<i64>,
    pub epoch: i16,
}

/// What decides in one run.
pub(crate) struct Rules {
    pub map: OffsetMap,
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// The first offset that may not be cleaned: the batch that ends there stays, so that this end is kept.
    pub round_end: i64,
    /// By producer id.
    pub last: BTreeMap<i64, LastBatch>,
}

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// All of it, as it is.
    Same,
    /// Nothing.
    Nothing,
    /// A header that keeps offsets and sequence.
    Empty,
    /// Some records, or the same with a delete horizon.
    Records {
        /// Not compressed.
        records: Vec<u8>,
        count: i32,
        base_timestamp: i64,
        max_timestamp: i64,
        has_horizon: bool,
    },
}

/// Records that contradict their batch's header, or their own lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// When tombstones and markers in a batch may go.
fn horizon(header: &BatchHeader) -> Option<i64> {
    (header.attributes & HORIZON_MASK != 0).then_some(header.base_timestamp)
}

/// A batch on its way through the filter.
pub(crate) struct Filter<'a> {
    rules: &'a Rules,
    header: BatchHeader,
    /// Nothing of its transaction counts any more.
    discardable: bool,
    /// Its records go without a look at them.
    discarded: bool,
    /// The records, not compressed.
    records: &'a [u8],
    at: usize,
    seen: i32,
    /// Where those begin that stay.
    kept: Vec<u32>,
    max_timestamp: i64,
    tombstones: bool,
}

impl<'a> Filter<'a> {
    /// `discardable`: part of an aborted transaction, or a marker of one of which nothing is left.
    pub fn new(rules: &'a Rules, header: BatchHeader, records: &'a [u8], discardable: bool) -> Filter<'a> {
        Filter {
            rules,
            header,
            discardable,
            discarded: rules.discards(&header, discardable),
            records,
            at: 0,
            seen: 0,
            kept: Vec::new(),
            max_timestamp: -1,
            tombstones: false,
        }
    }

    /// Looks at up to about `bytes` of the records; true when all were.
    pub fn step(&mut self, bytes: usize) -> Result<bool, Broken> {
        let until = self.at + bytes;
        while self.seen < self.header.count && !self.discarded {
            if self.at > until {
                return Ok(false);
            }
            let mut rest = self.records.get(self.at..).ok_or(Broken)?;
            let record = records::take(&mut rest).ok_or(Broken)?;
            if self.rules.keeps(&self.header, &record)? {
                self.kept.push(u32::try_from(self.at).map_err(|_| Broken)?);
                let timestamp = self.header.base_timestamp.wrapping_add(record.timestamp_delta);
                self.max_timestamp = self.max_timestamp.max(timestamp);
                self.tombstones |= !record.has_value;
            }
            self.at = self.records.len() - rest.len();
            self.seen += 1;
        }
        Ok(true)
    }

    /// What is left, when all was looked at.
    pub fn left(&self) -> Left {
        let header = &self.header;
        if self.kept.is_empty() {
            return match self.rules.keeps_empty(header) {
                true if header.count == 0 => Left::Same,
                true => Left::Empty,
                false => Left::Nothing,
            };
        }
        let marks = self.tombstones || (self.discardable && header.is_control());
        let new_horizon = marks && horizon(header).is_none();
        if self.kept.len() == header.count as usize && !new_horizon {
            return Left::Same;
        }
        let limit = match new_horizon {
            true => Some(self.rules.now_ms.saturating_add(self.rules.delete_retention_ms)),
            false => horizon(header),
        };
        self.rebuild(limit)
    }

    fn rebuild(&self, horizon: Option<i64>) -> Left {
        let kept = |&at: &u32| records::take(&mut &self.records[at as usize..]);
        let all: &[u32] = &self.kept;
        let time = |record: &Record<'_>| self.header.base_timestamp.wrapping_add(record.timestamp_delta);
        let first = all.first().and_then(kept).map_or(-1, |record| time(&record));
        let base_timestamp = horizon.unwrap_or(first);
        let mut records = Vec::new();
        for record in all.iter().filter_map(kept) {
            record.put(&mut records, time(&record).wrapping_sub(base_timestamp));
        }
        let max_timestamp = match self.header.is_log_append_time() {
            true => self.header.max_timestamp,
            false => self.max_timestamp,
        };
        let (count, has_horizon) = (all.len() as i32, horizon.is_some());
        Left::Records { records, count, base_timestamp, max_timestamp, has_horizon }
    }
}

impl Rules {
    /// Whether all records of a batch go.
    fn discards(&self, header: &BatchHeader, discardable: bool) -> bool {
        match header.is_control() {
            // A marker outlives its transaction as a tombstone does its key.
            true => discardable && horizon(header).is_some_and(|horizon| horizon <= self.now_ms),
            false => discardable,
        }
    }

    /// Whether a batch stays although it holds nothing.
    fn keeps_empty(&self, header: &BatchHeader) -> bool {
        let last = self.last.get(&header.producer_id).filter(|_| header.has_producer());
        let last_of_producer = last.is_some_and(|last| match last.data_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.is_control() && header.producer_epoch == last.epoch,
        });
        last_of_producer || header.last_offset().saturating_add(1) == self.round_end
    }

    fn keeps(&self, header: &BatchHeader, record: &Record<'_>) -> Result<bool, Broken> {
        if !(0..=i64::from(header.last_offset_delta)).contains(&record.offset_delta) {
            return Err(Broken);
        }
        let offset = header.base_offset + record.offset_delta;
        if header.is_control() || offset > self.map.latest {
            return Ok(true);
        }
        let Some(key) = record.key else { return Ok(false) };
        if self.map.get(key).is_some_and(|last| offset < last) {
            return Ok(false);
        }
        Ok(record.has_value || horizon(header).is_none_or(|horizon| self.now_ms < horizon))
    }
}

/// The bytes of a batch of which only offsets and sequence are left; `original` begins with the batch's header.
pub(crate) fn empty_batch(original: &[u8]) -> Vec<u8> {
    let mut bytes = original[..HEADER_BYTES].to_vec();
    let attributes = attributes(&bytes) & !CODEC_MASK & !HORIZON_MASK;
    bytes[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    bytes[BASE_TIMESTAMP..BASE_TIMESTAMP + 8].copy_from_slice(&(-1i64).to_be_bytes());
    bytes[COUNT..COUNT + 4].copy_from_slice(&0i32.to_be_bytes());
    close(bytes)
}

/// The numbers in a header that are others when records have gone.
pub(crate) struct Changes {
    pub count: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub has_horizon: bool,
    /// How `payload` is compressed.
    pub codec: i16,
}

/// The bytes of a batch with other records; `original` begins with the batch's header.
pub(crate) fn other_batch(original: &[u8], changes: &Changes, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&original[..HEADER_BYTES]);
    let horizon = if changes.has_horizon { HORIZON_MASK } else { 0 };
    let attributes = attributes(&bytes) & !CODEC_MASK & !HORIZON_MASK | horizon | changes.codec;
    bytes[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    bytes[BASE_TIMESTAMP..BASE_TIMESTAMP + 8].copy_from_slice(&changes.base_timestamp.to_be_bytes());
    bytes[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&changes.max_timestamp.to_be_bytes());
    bytes[COUNT..COUNT + 4].copy_from_slice(&changes.count.to_be_bytes());
    bytes.extend_from_slice(payload);
    close(bytes)
}

fn attributes(header: &[u8]) -> i16 {
    i16::from_be_bytes([header[ATTRIBUTES], header[ATTRIBUTES + 1]])
}

/// Sets length and CRC.
fn close(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - OVERHEAD_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    batch::seal(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
