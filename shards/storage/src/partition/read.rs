//! Reading: from memory by reference where the log's tail is, else from the device.

use super::load;
use super::{Log, Partition};
use crate::batch::{BatchError, BatchHeader};
use crate::error::{Damage, ReadError, StorageError};
use crate::segment::cursor::{Cursor, Found};
use crate::stats;
use crate::store::Shared;
use base::mistakes;
use memory::{Pool, Slice, TailBlock};
use model::Offset;
use std::rc::Rc;

/// Slices smaller than this are copied together, so that an answer is not made of thousands.
const SMALL_BYTES: usize = 4096;
/// How much is copied into one block at most.
const COPY_BYTES: usize = 64 << 10;

/// How often a read waits for memory, some milliseconds each time, before it is refused.
const WAITS_MAX: u32 = 500;

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBound {
    /// What is durable.
    HighWatermark,
    /// What is durable and not part of an open transaction.
    LastStable,
    /// Everything that is on its way to the device too: for replicas.
    LogEnd,
}

/// Batches, one after another, whole.
#[derive(Clone, Debug, Default)]
pub struct ReadResult {
    /// Their bytes; a slice may hold many batches, and a batch may begin in one slice and end in the next.
    pub slices: Vec<Slice>,
    /// The sum of their lengths.
    pub bytes: usize,
    /// The first offset behind them; where it was read from, if there are none.
    pub end: Offset,
}

impl Partition {
    /// Reads whole batches from the one that holds `from` on, up to `max_bytes` of them, and never less than
    /// one if `minimum_one` and there is one. Nothing is no error: `from` is the bound.
    pub async fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        minimum_one: bool,
        bound: ReadBound,
    ) -> Result<ReadResult, ReadError> {
        self.read_with(from, Read::new(from, max_bytes, minimum_one, bound)).await
    }

    /// The same, at least one batch, and none that begins in one slice and ends in another.
    pub(crate) async fn read_whole(
        &self,
        from: Offset,
        max_bytes: usize,
        bound: ReadBound,
    ) -> Result<ReadResult, ReadError> {
        let read = Read { whole: true, ..Read::new(from, max_bytes, true, bound) };
        self.read_with(from, read).await
    }

    async fn read_with(&self, from: Offset, mut read: Read) -> Result<ReadResult, ReadError> {
        let shared = self.log.shared()?;
        let bound = read.bound;
        if bound == ReadBound::LastStable {
            self.load_producers().await?;
        }
        let (mut at, mut waits) = (from.0, 0);
        loop {
            let layout = self.log.layout.get();
            let end = match self.log.check_range(at, from.0, bound) {
                // What comes before a hole is delivered; the next read is told of it.
                Err(ReadError::Damaged(_)) if read.bytes > 0 => break,
                end => end?,
            };
            if at >= end || read.full {
                break;
            }
            if read.take_tail(&self.log, at) {
                break;
            }
            let next = match read.take_stored(&shared, &self.log, at, end).await {
                // Its segment was deleted or replaced since it was looked up.
                Err(error) if error.is_gone() && self.log.layout.get() != layout => continue,
                // Memory is short: what was read is delivered, and who has nothing yet waits for some.
                Err(ReadError::Storage(StorageError::OutOfMemory { .. })) if read.bytes > 0 => break,
                Err(ReadError::Storage(StorageError::OutOfMemory { .. })) if waits < WAITS_MAX => {
                    waits += 1;
                    shared.wait_for_room().await;
                    continue;
                }
                next => next?,
            };
            if next == at {
                if self.log.layout.get() != layout {
                    continue;
                }
                break;
            }
            at = next;
        }
        let slices = coalesce(read.slices, &shared.options.pool);
        Ok(ReadResult { slices, bytes: read.bytes, end: Offset(read.end) })
    }

    /// About how many bytes a read from an offset would find.
    pub fn available_bytes(&self, from: Offset, bound: ReadBound) -> u64 {
        let state = self.log.state.borrow();
        let end = state.bound(bound);
        if from.0 >= end {
            return 0;
        }
        let in_tail = state.tail.front().is_some_and(|batch| batch.base <= from.0);
        let upto = state.tail.partition_point(|batch| batch.last < end);
        if in_tail {
            let first = state.tail.partition_point(|batch| batch.last < from.0);
            let Some(last) = upto.checked_sub(1).filter(|&last| last >= first) else { return 0 };
            let (first, last) = (&state.tail[first], &state.tail[last]);
            if first.segment == last.segment {
                return u64::from(last.position - first.position) + last.bytes.len() as u64;
            }
        }
        let index = state.segments.partition_point(|segment| segment.base <= from.0).saturating_sub(1);
        let Some(segment) = state.segments.get(index) else { return 0 };
        let delta = u32::try_from(from.0 - segment.base).unwrap_or(0);
        let begin = segment.index.as_ref().map_or(0, |index| index.position_for_offset(delta));
        let later: u64 = state.segments[index + 1..].iter().map(|s| u64::from(s.bytes)).sum();
        u64::from(segment.bytes - begin.min(segment.bytes)) + later
    }
}

impl super::LogState {
    /// Where readers of committed data end.
    pub fn last_stable(&self) -> i64 {
        if mistakes::is_made("last stable is high watermark") {
            return self.high_watermark;
        }
        let known = self.producers.as_ref();
        known.map_or(self.high_watermark, |known| known.last_stable(self.log_start, self.high_watermark))
    }

    /// The first offset that a read with this bound may not show.
    fn bound(&self, bound: ReadBound) -> i64 {
        match bound {
            ReadBound::HighWatermark => self.high_watermark,
            ReadBound::LastStable => self.last_stable(),
            ReadBound::LogEnd => self.tail.back().map_or(self.high_watermark, |batch| batch.last + 1),
        }
    }
}

impl Log {
    /// The end of what may be read at `at`, or why nothing may.
    fn check_range(&self, at: i64, from: i64, bound: ReadBound) -> Result<i64, ReadError> {
        let state = self.state.borrow();
        if state.deleted {
            return Err(ReadError::Storage(StorageError::UnknownPartition(self.id)));
        }
        let end = state.bound(bound);
        // A reader of committed data may stand behind what is stable: it gets nothing until that comes up to it.
        let limit = if bound == ReadBound::LastStable { state.high_watermark } else { end };
        if from < state.log_start || from > limit {
            return Err(ReadError::OffsetOutOfRange {
                log_start: Offset(state.log_start),
                end: Offset(limit),
            });
        }
        let hit = |damage: &&Damage| damage.offsets.is_some_and(|(from, to)| from.0 <= at && at < to.0);
        match state.damage.iter().find(hit) {
            Some(damage) => Err(ReadError::Damaged(Box::new(damage.clone()))),
            None => Ok(end),
        }
    }
}

/// A read under way.
struct Read {
    max_bytes: usize,
    minimum_one: bool,
    bound: ReadBound,
    /// No batch may lie in more than one slice.
    whole: bool,
    slices: Vec<Slice>,
    bytes: usize,
    /// Behind the last batch that was taken.
    end: i64,
    full: bool,
}

impl Read {
    fn new(from: Offset, max_bytes: usize, minimum_one: bool, bound: ReadBound) -> Read {
        let (whole, full) = (false, false);
        Read { max_bytes, minimum_one, bound, whole, slices: Vec::new(), bytes: 0, end: from.0, full }
    }

    /// Takes a batch, which lies in parts and ends at this offset, if there is room for it.
    fn take(&mut self, parts: &[Slice], last: i64) -> bool {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let first = self.slices.is_empty() && self.minimum_one;
        if self.bytes + bytes > self.max_bytes && !first {
            self.full = true;
            return false;
        }
        self.bytes += bytes;
        self.end = last.saturating_add(1);
        for part in parts {
            // What was read together lies together, and goes on as one slice.
            if !self.slices.last_mut().is_some_and(|before| before.extend(part)) {
                self.slices.push(part.clone());
            }
        }
        true
    }

    /// Whether nothing more is taken: there is no room for the batch that comes next, by the length in its header.
    /// Nobody has verified that, so what has nothing yet is not kept from looking.
    fn is_done(&mut self, cursor: &Cursor) -> bool {
        let room = self.max_bytes.saturating_sub(self.bytes);
        let more = |header: BatchHeader| header.bytes > room;
        self.full |= !self.slices.is_empty() && cursor.here().is_some_and(|header| header.is_ok_and(more));
        self.full
    }

    /// Reads from memory, if the tail reaches back to `at`.
    fn take_tail(&mut self, log: &Log, at: i64) -> bool {
        let state = log.state.borrow();
        if state.tail.front().is_none_or(|batch| batch.base > at) {
            return false;
        }
        let end = state.bound(self.bound);
        let first = state.tail.partition_point(|batch| batch.last < at);
        for batch in state.tail.range(first..) {
            if batch.last >= end || !self.take(std::slice::from_ref(&batch.bytes), batch.last) {
                break;
            }
        }
        true
    }

    /// Reads from one segment's file; returns the offset at which to go on, `at` if there is nothing.
    async fn take_stored(
        &mut self,
        shared: &Rc<Shared>,
        log: &Rc<Log>,
        at: i64,
        end: i64,
    ) -> Result<i64, ReadError> {
        let Some(start) = load::locate(shared, log, at).await? else { return Ok(at) };
        let path = log.segment_path(start.segment);
        let file = shared.files.open(&path, false).await?;
        let pool = shared.options.pool.clone();
        let cursor = Cursor::new(file, pool, u64::from(start.position), u64::from(start.written));
        let mut cursor = cursor.cached(&shared.reads);
        let mut next = at;
        // Compaction leaves gaps between offsets, nothing else does. A base offset is not under the CRC: that it
        // follows on the one before is what proves it.
        let gaps = log.may_have_gaps();
        let expected = (start.position == 0 && !gaps).then_some(start.segment);
        let mut astray = approach(&mut cursor, at, start.segment, expected, gaps).await?;
        cursor.wants(self.max_bytes.saturating_sub(self.bytes));
        let mut behind = cursor.position;
        let mut detours = [u64::from(start.position), 0].into_iter();
        let mut parts = Vec::new();
        while next < end && (gaps || next < start.offset_limit) && !self.is_done(&cursor) {
            let fits = |header: &BatchHeader| {
                let holds = next == at && header.base_offset < at && header.last_offset() >= at;
                !astray && (header.base_offset == next || holds)
            };
            let what = match cursor.next_parts(self.whole, &mut parts).await? {
                Found::Batch(header, ()) if gaps || fits(&header) => {
                    if header.last_offset() >= end || !self.take(&parts, header.last_offset()) {
                        break;
                    }
                    next = header.last_offset() + 1;
                    behind = cursor.position;
                    continue;
                }
                Found::End if gaps || next >= start.offset_limit => {
                    // The segment has ended; its successor begins at the next offset or behind a gap.
                    next = next.max(start.offset_limit);
                    break;
                }
                Found::Batch(..) => "a batch with an offset that does not fit",
                Found::End => "the segment ends before the offsets that it should hold",
                Found::Broken(error) => describe(error),
            };
            if !self.slices.is_empty() {
                self.full = true;
                break;
            }
            // Something before `at` may have led astray, or `at` itself is hit.
            let whole = Whole { segment: start.segment, next: start.offset_limit, gaps };
            let Some(from) = detours.next() else {
                return Err(ReadError::Storage(StorageError::Format { path, what }));
            };
            // Nor is it told from memory.
            cursor.uncached();
            cursor.position = from;
            astray = false;
            if let Some(hole) = whole.find(&mut cursor, at).await? {
                return Err(broken(log, &path, &hole, what).into());
            }
        }
        cursor.ends(behind);
        stats::add(&shared.stats.read_bytes, cursor.window.read_bytes);
        Ok(next)
    }
}

/// Goes to the batch that holds `at`, or comes next, by headers that nobody has verified; whether one was found on
/// the way that does not follow on the one before.
async fn approach(
    cursor: &mut Cursor,
    at: i64,
    segment: i64,
    mut expected: Option<i64>,
    gaps: bool,
) -> Result<bool, StorageError> {
    while let Some(header) = peek(cursor).await? {
        let astray = expected.is_some_and(|expected| header.base_offset != expected);
        if astray || header.last_offset() >= at || header.base_offset < segment {
            return Ok(astray);
        }
        expected = (!gaps).then_some(header.last_offset() + 1);
        cursor.skip(&header);
    }
    Ok(false)
}

async fn peek(cursor: &mut Cursor) -> Result<Option<BatchHeader>, StorageError> {
    if cursor.position >= cursor.window.limit {
        return Ok(None);
    }
    Ok(cursor.peek().await?.ok())
}

/// What a broken batch is called in a report.
pub(crate) fn describe(error: BatchError) -> &'static str {
    match error {
        BatchError::Short => "the file ends inside of a batch",
        BatchError::Length => "a batch with an impossible length",
        BatchError::Magic(_) => "no record batch where one should begin",
        BatchError::Crc => "a batch whose CRC does not match",
    }
}

/// Unreadable offsets between two batches, or behind the last one.
struct Hole {
    /// The byte in the segment at which it begins.
    position: u64,
    /// The first offset in it.
    from: i64,
    /// The first one behind it.
    to: i64,
}

/// A segment that is gone through with everything in it checked.
struct Whole {
    segment: i64,
    /// The first offset behind the segment.
    next: i64,
    /// Offsets may be missing between batches.
    gaps: bool,
}

impl Whole {
    /// Puts the cursor, which stands at the beginning of a batch, at the one that holds `at` or comes next
    /// behind a permitted gap; or says in which hole `at` is.
    async fn find(&self, cursor: &mut Cursor, at: i64) -> Result<Option<Hole>, StorageError> {
        let mut expected = (cursor.position == 0 && !self.gaps).then_some(self.segment);
        loop {
            let position = cursor.position;
            if let Found::Batch(header, _) = cursor.next().await?
                && header.base_offset >= expected.unwrap_or(self.segment)
                && (self.gaps || expected.is_none_or(|expected| header.base_offset == expected))
            {
                if header.last_offset() >= at {
                    cursor.position = position;
                    return Ok(None);
                }
                expected = Some(header.last_offset() + 1);
                continue;
            }
            cursor.position = position;
            let behind = cursor.resume(expected.unwrap_or(self.segment), self.next).await?;
            let to = behind.map_or(self.next, |header| header.base_offset);
            if at < to || behind.is_none() {
                let from = expected.unwrap_or(at).min(at);
                return Ok(Some(Hole { position, from, to: to.max(at + 1) }));
            }
            expected = Some(to);
        }
    }
}

/// Damage that was logged: again only now and then, however many readers meet it.
pub(crate) struct Reported {
    segment_position: (std::path::PathBuf, u64),
    logged: base::Instant,
    met: u64,
}

/// A line about the same damage is written so often at most.
const REPORT_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
/// Damaged places of one log that are told apart; of more the oldest is forgotten.
const REPORTED_MAX: usize = 32;

/// Logs damage that a reader has met, unless that was done a moment ago.
fn report(log: &Log, damage: &Damage) {
    let now = executor::now();
    let place = (damage.file.clone(), damage.position);
    let mut state = log.state.borrow_mut();
    if let Some(known) = state.reported.iter_mut().find(|known| known.segment_position == place) {
        known.met += 1;
        if now.since(known.logged) >= REPORT_PAUSE {
            log::error!("damaged (met {} times since this was said last): {damage}", known.met);
            (known.logged, known.met) = (now, 0);
        }
        return;
    }
    if state.reported.len() == REPORTED_MAX {
        state.reported.remove(0);
    }
    state.reported.push(Reported { segment_position: place, logged: now, met: 0 });
    drop(state);
    log::error!("damaged: {damage}");
}

fn broken(log: &Log, path: &std::path::Path, hole: &Hole, what: &'static str) -> StorageError {
    let damage = Damage {
        partition: Some(log.id),
        file: path.to_path_buf(),
        position: hole.position,
        offsets: Some((Offset(hole.from), Offset(hole.to))),
        what,
    };
    report(log, &damage);
    StorageError::Damaged(Box::new(damage))
}

/// Copies neighbours that are small into one block, as far as there are blocks.
fn coalesce(slices: Vec<Slice>, pool: &Pool) -> Vec<Slice> {
    if slices.len() < 2 || slices.iter().all(|slice| slice.len() >= SMALL_BYTES) {
        return slices;
    }
    let mut out: Vec<Slice> = Vec::new();
    let mut run: Vec<Slice> = Vec::new();
    let mut run_bytes = 0;
    for slice in slices {
        if slice.len() >= SMALL_BYTES || run_bytes + slice.len() > COPY_BYTES {
            copy_run(&mut run, run_bytes, pool, &mut out);
            run_bytes = 0;
        }
        if slice.len() >= SMALL_BYTES {
            out.push(slice);
        } else {
            run_bytes += slice.len();
            run.push(slice);
        }
    }
    copy_run(&mut run, run_bytes, pool, &mut out);
    out
}

fn copy_run(run: &mut Vec<Slice>, bytes: usize, pool: &Pool, out: &mut Vec<Slice>) {
    let block = if run.len() > 1 { pool.take(bytes) } else { None };
    let Some(block) = block else {
        out.append(run);
        return;
    };
    let mut copy = TailBlock::new(block);
    let mut at = 0;
    for slice in run.drain(..) {
        copy.spare_mut()[at..at + slice.len()].copy_from_slice(&slice);
        at += slice.len();
    }
    out.push(copy.freeze(bytes));
}
