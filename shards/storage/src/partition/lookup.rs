//! Offsets by time and by leader epoch.

use super::{Log, Partition, load};
use crate::batch::{BatchHeader, HEADER_BYTES, varint};
use crate::error::{ReadError, StorageError};
use crate::segment::cursor::{Cursor, Found};
use crate::store::Shared;
use crate::validate::Unpacked;
use model::{LeaderEpoch, Offset};
use std::rc::Rc;

/// So much of a compressed batch is looked into: no batch may keep a core for long, whatever it unpacks to.
const PACKED_BYTES_MAX: u64 = 64 << 20;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The leader epoch that it was appended in.
    pub leader_epoch: LeaderEpoch,
}

impl Partition {
    /// The first record with a timestamp of at least `at_ms`. Of a compressed batch that unpacks to more than 64 MiB the
    /// first record may be told, which is never behind the one that was asked for.
    pub async fn offset_for_timestamp(&self, at_ms: i64) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let layout = self.log.layout.get();
            match self.find_timestamp(at_ms).await {
                // A segment was deleted or replaced since it was looked up.
                Err(error) if error.is_gone() && self.log.layout.get() != layout => {}
                found => return found,
            }
        }
    }

    async fn find_timestamp(&self, at_ms: i64) -> Result<Option<TimestampOffset>, ReadError> {
        let shared = self.log.shared()?;
        for base in self.segments().await? {
            let Some(newest) = self.newest_of(&shared, base).await? else { continue };
            if newest < at_ms {
                continue;
            }
            let found = self.search(&shared, base, at_ms).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp.
    pub async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let layout = self.log.layout.get();
            match self.newest_of_all().await {
                Err(error) if error.is_gone() && self.log.layout.get() != layout => {}
                Ok(Some(timestamp)) => return self.offset_for_timestamp(timestamp).await,
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    async fn newest_of_all(&self) -> Result<Option<i64>, ReadError> {
        let shared = self.log.shared()?;
        let mut newest = None;
        for base in self.segments().await? {
            newest = newest.max(self.newest_of(&shared, base).await?);
        }
        Ok(newest)
    }

    /// The newest leader epoch that is not after `epoch`, and the offset at which it ends; -1 and -1 if there is
    /// none.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let state = self.log.state.borrow();
        state.epochs.end_of(epoch.0, state.log_end)
    }

    /// The leader epoch of the record at an offset; -1 if that is not known.
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.log.state.borrow().epochs.at(offset.0)
    }

    async fn segments(&self) -> Result<Vec<i64>, StorageError> {
        if self.log.state.borrow().older_unknown {
            load::list_older(&self.log).await?;
        }
        let state = self.log.state.borrow();
        let first =
            state.segments.partition_point(|segment| segment.base <= state.log_start).saturating_sub(1);
        Ok(state.segments[first..].iter().map(|segment| segment.base).collect())
    }

    /// The largest timestamp in a segment.
    async fn newest_of(&self, shared: &Rc<Shared>, base: i64) -> Result<Option<i64>, StorageError> {
        loop {
            {
                let state = self.log.state.borrow();
                let Some(segment) = state.segments.iter().find(|segment| segment.base == base) else {
                    return Ok(None);
                };
                if let Some(index) = &segment.index {
                    return Ok(index.max_timestamp.map(|(timestamp, _)| timestamp));
                }
                if segment.written == 0 {
                    return Ok(segment.live_max.map(|(timestamp, _)| timestamp));
                }
            }
            load::build_index(shared, &self.log, base).await?;
        }
    }

    /// The first record of a segment that is late enough and may be seen.
    async fn search(
        &self,
        shared: &Rc<Shared>,
        base: i64,
        at_ms: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let log = &self.log;
        let (position, written, log_start) = {
            let state = log.state.borrow();
            let Some(segment) = state.segments.iter().find(|segment| segment.base == base) else {
                return Ok(None);
            };
            let position = segment.index.as_ref().map_or(0, |index| index.position_for_timestamp(at_ms));
            (position, segment.written, state.log_start)
        };
        if position < written {
            let file = shared.files.open(&log.segment_path(base), false).await?;
            let pool = shared.options.pool.clone();
            let mut cursor = Cursor::new(file, pool, u64::from(position), u64::from(written));
            while cursor.position < u64::from(written) {
                let Ok(header) = cursor.peek().await? else {
                    match cursor.resume(base, i64::MAX).await? {
                        Some(_) => continue,
                        None => break,
                    }
                };
                if header.max_timestamp < at_ms || header.last_offset() < log_start {
                    cursor.skip(&header);
                    continue;
                }
                match cursor.next().await? {
                    Found::Batch(header, bytes) => {
                        if let Some(found) = first_in_batch(log, &header, &bytes, at_ms, log_start) {
                            return Ok(Some(found));
                        }
                    }
                    Found::End => break,
                    // Whoever reads it is told.
                    Found::Broken(_) => {
                        if cursor.resume(base, i64::MAX).await?.is_none() {
                            break;
                        }
                    }
                }
            }
        }
        Ok(self.search_tail(base, written, at_ms))
    }

    /// The same in what is in memory only.
    fn search_tail(&self, base: i64, written: u32, at_ms: i64) -> Option<TimestampOffset> {
        let state = self.log.state.borrow();
        let mut rest = state.tail.iter().filter(|batch| batch.segment == base && batch.position >= written);
        rest.find_map(|batch| {
            if batch.last >= state.high_watermark || batch.last < state.log_start {
                return None;
            }
            let header =
                BatchHeader::parse(&batch.bytes).ok().filter(|header| header.max_timestamp >= at_ms)?;
            let (offset, timestamp) = first_record(&header, &batch.bytes, at_ms, state.log_start)?;
            let leader_epoch = LeaderEpoch(header.leader_epoch);
            Some(TimestampOffset { offset: Offset(offset), timestamp, leader_epoch })
        })
    }
}

fn first_in_batch(
    log: &Log,
    header: &BatchHeader,
    bytes: &[u8],
    at_ms: i64,
    log_start: i64,
) -> Option<TimestampOffset> {
    if header.last_offset() >= log.state.borrow().high_watermark {
        return None;
    }
    let (offset, timestamp) = first_record(header, bytes, at_ms, log_start)?;
    Some(TimestampOffset {
        offset: Offset(offset),
        timestamp,
        leader_epoch: LeaderEpoch(header.leader_epoch),
    })
}

/// Offset and timestamp of the first record of a batch that is late enough.
fn first_record(header: &BatchHeader, bytes: &[u8], at_ms: i64, log_start: i64) -> Option<(i64, i64)> {
    if header.is_log_append_time() {
        return Some((header.base_offset.max(log_start), header.max_timestamp));
    }
    if header.compression() != 0 {
        // Where it cannot be looked into, the batch as a whole is late enough.
        let whole = (header.base_offset.max(log_start), header.max_timestamp);
        return Some(first_packed(header, bytes, at_ms, log_start).unwrap_or(whole));
    }
    let mut rest = bytes.get(HEADER_BYTES..)?;
    for _ in 0..header.count {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (mut record, behind) = (rest.get(..length)?, rest.get(length..)?);
        rest = behind;
        // The attributes.
        record = record.get(1..)?;
        let timestamp = header.base_timestamp.saturating_add(varint(&mut record)?);
        let offset = header.base_offset.saturating_add(varint(&mut record)?);
        if timestamp >= at_ms && offset >= log_start {
            return Some((offset, timestamp));
        }
    }
    None
}

/// The same in a compressed batch. Only a window of its records is in memory at a time.
fn first_packed(header: &BatchHeader, bytes: &[u8], at_ms: i64, log_start: i64) -> Option<(i64, i64)> {
    let codec = compression::codec(header.compression())?;
    let mut records = Unpacked::new(compression::reader(codec, bytes.get(HEADER_BYTES..)?).ok()?);
    for _ in 0..header.count {
        if records.read > PACKED_BYTES_MAX {
            return None;
        }
        let head = records.head().ok()?;
        let timestamp = header.base_timestamp.saturating_add(head.timestamp_delta);
        let offset = header.base_offset.saturating_add(head.offset_delta);
        if timestamp >= at_ms && offset >= log_start {
            return Some((offset, timestamp));
        }
        records.skip(head.left).ok()?;
    }
    None
}
