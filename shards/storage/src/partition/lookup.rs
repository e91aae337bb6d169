//! Offsets by time and by leader epoch.

use super::{Log, LogState, Partition, load};
use crate::batch::{BatchHeader, HEADER_BYTES, varint};
use crate::error::{ReadError, StorageError};
use crate::segment::cursor::{Cursor, Found};
use crate::store::Shared;
use crate::validate::Unpacked;
use executor::yield_now;
use memory::Slice;
use model::{LeaderEpoch, Offset};
use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::rc::Rc;

/// So much of a compressed batch is looked into: no batch may keep a core for long, whatever it unpacks to.
const PACKED_BYTES_MAX: u64 = 64 << 20;

/// How often the largest timestamp is looked for, if each time the log was shortened or compacted meanwhile.
const TRIES: u32 = 3;

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

    /// The first of the records that have the largest timestamp of all that may be seen: of those from the log start on
    /// that are durable. Of a compressed batch that unpacks to more than 64 MiB the first record may be told.
    pub async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let mut tries = 0;
        loop {
            let before = self.shape();
            let found = self.find_newest().await;
            tries += 1;
            let gone = found.as_ref().is_err_and(|error| error.is_gone());
            // What was found first may be deleted, or have gone into a segment that was looked at before.
            if self.shape() == before || !gone && (found.is_err() || tries == TRIES) {
                return found;
            }
        }
    }

    /// Which files the segments are in, and where the log begins.
    fn shape(&self) -> (u64, i64) {
        (self.log.layout.get(), self.log.state.borrow().log_start)
    }

    async fn find_newest(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let shared = self.log.shared()?;
        let mut segments = Vec::new();
        for base in self.segments().await? {
            if let Some(newest) = self.newest_of(&shared, base).await? {
                segments.push((Reverse(newest), base));
            }
        }
        // What is known of a segment counts records that may not be seen. So one after another is looked into, as long as
        // it may have something better: that is one, unless its newest records are such.
        segments.sort_unstable();
        let mut best: Option<TimestampOffset> = None;
        for (newest, base) in segments {
            let order = |found: &TimestampOffset| (Reverse(found.timestamp), found.offset.0);
            if best.as_ref().is_some_and(|best| order(best) <= (newest, base)) {
                continue;
            }
            let found = self.newest_in(&shared, base).await?;
            best = best.into_iter().chain(found).min_by_key(order);
        }
        Ok(best)
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

    /// The largest timestamp in a segment, of records that may not be seen, too.
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

    /// The first of the records of a segment that have the largest timestamp of those that may be seen.
    async fn newest_in(&self, shared: &Rc<Shared>, base: i64) -> Result<Option<TimestampOffset>, ReadError> {
        // Most often headers say enough. Not where the record that one speaks of is deleted, was compacted away, or was
        // never there.
        for exact in [false, true] {
            let newest = self.newest_seen(shared, base, exact).await?;
            if newest < 0 {
                return Ok(None);
            }
            let found = self.search(shared, base, newest).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The largest timestamp among the records of a segment that may be seen; -1: there is none. If it is not to be
    /// `exact`, it is what the index says and the headers of the batches behind that.
    async fn newest_seen(&self, shared: &Rc<Shared>, base: i64, exact: bool) -> Result<i64, StorageError> {
        let log = &self.log;
        let (mut newest, position, written, log_start) = {
            let state = log.state.borrow();
            let log_start = state.log_start;
            let Some(segment) = state.segments.iter().find(|segment| segment.base == base) else {
                return Ok(-1);
            };
            let index = segment.index.as_ref();
            let (from, to) = (delta(base, log_start), delta(base, state.high_watermark - 1));
            let first = from.and_then(|from| index?.entry_for_offset(from));
            // The newest record before this entry, unless it is deleted.
            let last = to.and_then(|to| index?.entry_for_offset(to)).filter(|entry| {
                let offset = base + i64::from(entry.max_timestamp_delta);
                entry.max_timestamp >= 0 && offset >= log_start && !exact
            });
            let newest = last.map_or(-1, |entry| entry.max_timestamp);
            let position = last.or(first).map_or(0, |entry| entry.position);
            (newest, position, segment.written, log_start)
        };
        let is_told = |header: &BatchHeader| header.base_offset >= log_start && !exact;
        if position < written {
            let mut walk = Walk::open(shared, log, base, position, written).await?;
            while let Some(header) = walk.header().await? {
                if header.max_timestamp <= newest || header.count == 0 || !log.may_be_seen(&header) {
                    walk.cursor.skip(&header);
                } else if is_told(&header) {
                    newest = header.max_timestamp;
                    walk.cursor.skip(&header);
                } else if let Some((header, bytes)) = walk.batch().await? {
                    newest = newest.max(newest_record(&header, &bytes, log_start));
                    // It may have been unpacked, and so may the next.
                    yield_now().await;
                }
            }
        }
        let mut untold = Vec::new();
        for (header, bytes) in tail_of(&log.state.borrow(), base, written) {
            if header.max_timestamp > newest {
                match is_told(&header) {
                    true => newest = header.max_timestamp,
                    false => untold.push((header, bytes.clone())),
                }
            }
        }
        for (header, bytes) in untold {
            if header.max_timestamp > newest {
                newest = newest.max(newest_record(&header, &bytes, log_start));
                yield_now().await;
            }
        }
        Ok(newest)
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
            let position = segment.index.as_ref().map_or(0, |index| {
                let seen = delta(base, state.log_start).map_or(0, |from| index.position_for_offset(from));
                index.position_for_timestamp(at_ms).max(seen)
            });
            (position, segment.written, state.log_start)
        };
        if position < written {
            let mut walk = Walk::open(shared, log, base, position, written).await?;
            while let Some(header) = walk.header().await? {
                if header.max_timestamp < at_ms || header.last_offset() < log_start {
                    walk.cursor.skip(&header);
                } else if let Some((header, bytes)) = walk.batch().await?
                    && log.may_be_seen(&header)
                    && let Some(found) = first_in_batch(&header, &bytes, at_ms, log_start)
                {
                    return Ok(Some(found));
                }
            }
        }
        let state = log.state.borrow();
        let mut late = tail_of(&state, base, written).filter(|(header, _)| header.max_timestamp >= at_ms);
        Ok(late.find_map(|(header, bytes)| first_in_batch(&header, bytes, at_ms, state.log_start)))
    }
}

/// An offset relative to that of its segment, or the largest there is; `None`: it lies before the segment.
fn delta(base: i64, offset: i64) -> Option<u32> {
    u32::try_from((offset - base).min(i64::from(u32::MAX))).ok()
}

impl Log {
    /// Whether any record of a batch may be seen.
    fn may_be_seen(&self, header: &BatchHeader) -> bool {
        let state = self.state.borrow();
        (state.log_start..state.high_watermark).contains(&header.last_offset())
    }
}

/// What may be seen of a segment and is in memory only.
fn tail_of(state: &LogState, base: i64, written: u32) -> impl Iterator<Item = (BatchHeader, &Slice)> {
    let seen = state.log_start..state.high_watermark;
    let rest = state.tail.iter().filter(move |batch| batch.segment == base && batch.position >= written);
    rest.filter(move |batch| seen.contains(&batch.last))
        .filter_map(|batch| Some((BatchHeader::parse(&batch.bytes).ok()?, &batch.bytes)))
}

/// Goes through the batches of a segment's file, past what is broken: whoever reads that is told.
struct Walk {
    cursor: Cursor,
    base: i64,
    written: u64,
}

impl Walk {
    async fn open(
        shared: &Shared,
        log: &Log,
        base: i64,
        position: u32,
        written: u32,
    ) -> Result<Walk, StorageError> {
        let file = shared.files.open(&log.segment_path(base), false).await?;
        let written = u64::from(written);
        let cursor = Cursor::new(file, shared.options.pool.clone(), u64::from(position), written);
        Ok(Walk { cursor, base, written })
    }

    /// The header of the next batch, not verified; `None`: there is none. The cursor stays before it.
    async fn header(&mut self) -> Result<Option<BatchHeader>, StorageError> {
        while self.cursor.position < self.written {
            match self.cursor.peek().await? {
                Ok(header) => return Ok(Some(header)),
                Err(_) => self.pass().await?,
            }
        }
        Ok(None)
    }

    /// The next batch; the cursor is behind it then. `None`: it is broken.
    async fn batch(&mut self) -> Result<Option<(BatchHeader, Slice)>, StorageError> {
        match self.cursor.next().await? {
            Found::Batch(header, bytes) => return Ok(Some((header, bytes))),
            Found::End => {}
            Found::Broken(_) => self.pass().await?,
        }
        Ok(None)
    }

    /// Goes on behind what is broken.
    async fn pass(&mut self) -> Result<(), StorageError> {
        if self.cursor.resume(self.base, i64::MAX).await?.is_none() {
            self.cursor.position = self.written;
        }
        Ok(())
    }
}

fn first_in_batch(header: &BatchHeader, bytes: &[u8], at_ms: i64, log_start: i64) -> Option<TimestampOffset> {
    let (offset, timestamp) = first_record(header, bytes, at_ms, log_start)?;
    Some(TimestampOffset {
        offset: Offset(offset),
        timestamp,
        leader_epoch: LeaderEpoch(header.leader_epoch),
    })
}

/// Offset and timestamp of the first record of a batch that is late enough.
fn first_record(header: &BatchHeader, bytes: &[u8], at_ms: i64, log_start: i64) -> Option<(i64, i64)> {
    if header.count == 0 {
        return None;
    }
    let whole = (header.base_offset.max(log_start), header.max_timestamp);
    if header.is_log_append_time() {
        return Some(whole);
    }
    let mut first = None;
    let looked = look(header, bytes, |offset, timestamp| {
        if timestamp >= at_ms && offset >= log_start {
            first = Some((offset, timestamp));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match looked {
        // Where it cannot be looked into, the batch as a whole is late enough.
        None if header.compression() != 0 => Some(whole),
        _ => first,
    }
}

/// The largest timestamp of the records of a batch from the log start on, but none that its header says it has not; -1:
/// there is none.
fn newest_record(header: &BatchHeader, bytes: &[u8], log_start: i64) -> i64 {
    if header.count == 0 {
        return -1;
    }
    if header.is_log_append_time() {
        return header.max_timestamp;
    }
    let mut newest = -1;
    let looked = look(header, bytes, |offset, timestamp| {
        if offset >= log_start {
            newest = newest.max(timestamp.min(header.max_timestamp));
        }
        ControlFlow::Continue(())
    });
    match looked {
        None if header.compression() != 0 => header.max_timestamp,
        _ => newest,
    }
}

/// Shows offset and timestamp of each record of a batch until `visit` has seen enough; `None`: of one it cannot.
fn look(
    header: &BatchHeader,
    bytes: &[u8],
    mut visit: impl FnMut(i64, i64) -> ControlFlow<()>,
) -> Option<()> {
    if header.compression() != 0 {
        return look_packed(header, bytes, visit);
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
        if visit(offset, timestamp).is_break() {
            break;
        }
    }
    Some(())
}

/// The same in a compressed batch. Only a window of its records is in memory at a time.
fn look_packed(
    header: &BatchHeader,
    bytes: &[u8],
    mut visit: impl FnMut(i64, i64) -> ControlFlow<()>,
) -> Option<()> {
    let codec = compression::codec(header.compression())?;
    let mut records = Unpacked::new(compression::reader(codec, bytes.get(HEADER_BYTES..)?).ok()?);
    for _ in 0..header.count {
        if records.read > PACKED_BYTES_MAX {
            return None;
        }
        let head = records.head().ok()?;
        let timestamp = header.base_timestamp.saturating_add(head.timestamp_delta);
        let offset = header.base_offset.saturating_add(head.offset_delta);
        if visit(offset, timestamp).is_break() {
            break;
        }
        records.skip(head.left).ok()?;
    }
    Some(())
}
