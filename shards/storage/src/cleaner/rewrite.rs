//! A run over a log: keys into the map, then segments through the filter.

use super::CleanError;
use super::choose::{Dirty, Part};
use super::filter::{Changes, Filter, Left, Rules, empty_batch, other_batch};
use super::map::OffsetMap;
use super::output::Output;
use super::pace::{PIECE_BYTES, Pace};
use super::records;
use super::swap;
use super::transactions::Transactions;
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::error::Damage;
use crate::partition::{Log, describe};
use crate::segment::Segment;
use crate::segment::cursor::{Cursor, Found};
use crate::stats;
use crate::store::Shared;
use memory::Slice;
use model::Offset;
use std::io::Read;
use std::rc::Rc;

const BAD_RECORDS: &str = "records that contradict their batch's header";
const BAD_CODEC: &str = "records that cannot be decompressed";

/// What a run works with.
pub(crate) struct Run<'a> {
    shared: &'a Rc<Shared>,
    log: &'a Rc<Log>,
    pub pace: Pace,
}

/// A batch in a segment.
struct Batch {
    header: BatchHeader,
    bytes: Slice,
    /// Where it begins in its file.
    position: u64,
}

/// A segment that is gone through.
struct Source {
    part: Part,
    cursor: Cursor,
    /// The offset at or behind which the next batch begins.
    expected: i64,
}

impl<'a> Run<'a> {
    pub fn new(shared: &'a Rc<Shared>, log: &'a Rc<Log>) -> Run<'a> {
        Run { shared, log, pace: Pace::new(shared) }
    }

    async fn open(&self, part: &Part) -> Result<Source, CleanError> {
        let file = match self.shared.files.open(&self.log.segment_path(part.base), false).await {
            // Deleted meanwhile.
            Err(error) if error.is_gone() => return Err(CleanError::Ended),
            file => file?,
        };
        let cursor = Cursor::new(file, self.shared.options.pool.clone(), 0, part.bytes);
        Ok(Source { part: *part, cursor, expected: part.base })
    }

    /// The next batch of a segment; `None` at its end.
    async fn next(&mut self, source: &mut Source) -> Result<Option<Batch>, CleanError> {
        let (position, before) = (source.cursor.position, source.cursor.window.read_bytes);
        let found = source.cursor.next().await?;
        let read = source.cursor.window.read_bytes - before;
        if read > 0 {
            stats::add(&self.shared.stats.cleaner_read_bytes, read);
            self.pace.moved(read).await?;
        }
        let what = match found {
            Found::Batch(header, bytes)
                if header.base_offset >= source.expected && header.last_offset() < source.part.end =>
            {
                source.expected = header.last_offset() + 1;
                self.pace.worked(header.bytes).await?;
                return Ok(Some(Batch { header, bytes, position }));
            }
            Found::Batch(..) => "a batch with an offset that does not fit",
            Found::End => return Ok(None),
            Found::Broken(error) => describe(error),
        };
        Err(self.damaged(source, position, source.expected, what))
    }

    fn damaged(&self, source: &Source, position: u64, from: i64, what: &'static str) -> CleanError {
        CleanError::Damaged(Box::new(Damage {
            partition: Some(self.log.id),
            file: self.log.segment_path(source.part.base),
            position,
            offsets: Some((Offset(from), Offset(source.part.end))),
            what,
        }))
    }

    fn bad(&self, source: &Source, batch: &Batch, what: &'static str) -> CleanError {
        self.damaged(source, batch.position, batch.header.base_offset, what)
    }

    /// The records of a compressed batch; `None` for one that is not compressed.
    async fn unpack(&mut self, source: &Source, batch: &Batch) -> Result<Option<Vec<u8>>, CleanError> {
        let number = batch.header.compression();
        if number == 0 {
            return Ok(None);
        }
        let bad = |run: &Run<'_>| run.bad(source, batch, BAD_CODEC);
        let codec = compression::codec(number).ok_or_else(|| bad(self))?;
        let mut reader = compression::reader(codec, &batch.bytes[HEADER_BYTES..]).map_err(|_| bad(self))?;
        let mut unpacked = Vec::new();
        loop {
            let begin = unpacked.len();
            unpacked.resize(begin + PIECE_BYTES, 0);
            let count = reader.read(&mut unpacked[begin..]).map_err(|_| bad(self))?;
            unpacked.truncate(begin + count);
            if count == 0 {
                return Ok(Some(unpacked));
            }
            self.pace.worked(count).await?;
        }
    }

    /// Notes the last offset of every key in the dirty part, as far as the map has room.
    pub async fn fill(&mut self, dirty: &Dirty, map: &mut OffsetMap) -> Result<(), CleanError> {
        let aborted = self.log.aborted_transactions(dirty.first_dirty, dirty.first_uncleanable).await?;
        let mut transactions = Transactions::new(&aborted);
        let of_dirty = |part: &&Part| part.end > dirty.first_dirty && part.base < dirty.first_uncleanable;
        for part in dirty.parts.iter().filter(of_dirty) {
            let mut source = self.open(part).await?;
            while let Some(batch) = self.next(&mut source).await? {
                let header = &batch.header;
                if header.last_offset() < dirty.first_dirty {
                    continue;
                }
                let data = match header.is_control() {
                    true => {
                        transactions.on_control(header, &batch.bytes[HEADER_BYTES..]);
                        false
                    }
                    false => !transactions.on_data(header),
                };
                if data && !self.note(&source, &batch, dirty.first_dirty, map).await? {
                    return Ok(());
                }
                map.latest = header.last_offset();
            }
            map.latest = part.end - 1;
        }
        Ok(())
    }

    /// Notes the keys of a batch; false if the map is full.
    async fn note(
        &mut self,
        source: &Source,
        batch: &Batch,
        first_dirty: i64,
        map: &mut OffsetMap,
    ) -> Result<bool, CleanError> {
        let unpacked = self.unpack(source, batch).await?;
        let mut rest = unpacked.as_deref().unwrap_or(&batch.bytes[HEADER_BYTES..]);
        for _ in 0..batch.header.count {
            let Some(record) = records::take(&mut rest) else {
                return Err(self.bad(source, batch, BAD_RECORDS));
            };
            if !(0..=i64::from(batch.header.last_offset_delta)).contains(&record.offset_delta) {
                return Err(self.bad(source, batch, BAD_RECORDS));
            }
            let offset = batch.header.base_offset + record.offset_delta;
            if offset < first_dirty {
                continue;
            }
            if record.key.is_some_and(|key| !map.put(key, offset)) {
                return Ok(false);
            }
            map.latest = offset;
            self.pace.worked(record.contents.len()).await?;
        }
        Ok(true)
    }

    /// Makes one segment of a group, and puts it in its place.
    pub async fn rewrite(
        &mut self,
        rules: &Rules,
        transactions: &mut Transactions,
        group: &[Part],
    ) -> Result<(), CleanError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let mut output = Output::create(self.shared, self.log, first.base, last.end).await?;
        let changed = self.rewrite_into(rules, transactions, group, &mut output).await;
        let result = match changed {
            Ok(changed) if changed || group.len() > 1 => self.put_in_place(output, group).await,
            other => other.map(drop),
        };
        // Nothing is left of it if it is in its place.
        swap::abandon(self.log, first.base, last.end).await;
        result
    }

    async fn put_in_place(&mut self, output: Output, group: &[Part]) -> Result<(), CleanError> {
        let (segment, written): (Segment, u64) = output.finish().await?;
        stats::add(&self.shared.stats.cleaner_written_bytes, written);
        self.pace.moved(written).await?;
        swap::swap(self.shared, self.log, group, segment).await
    }

    /// True if anything of the group is not as it was.
    async fn rewrite_into(
        &mut self,
        rules: &Rules,
        transactions: &mut Transactions,
        group: &[Part],
        output: &mut Output,
    ) -> Result<bool, CleanError> {
        let mut changed = false;
        for part in group {
            let mut source = self.open(part).await?;
            while let Some(batch) = self.next(&mut source).await? {
                let discardable = match batch.header.is_control() {
                    true => transactions.on_control(&batch.header, &batch.bytes[HEADER_BYTES..]),
                    false => transactions.on_data(&batch.header),
                };
                let written = match self.filter(rules, &source, &batch, discardable).await? {
                    None => output.push(&batch.bytes).await?,
                    Some(other) => {
                        changed = true;
                        if other.is_empty() { 0 } else { output.push(&other).await? }
                    }
                };
                if written > 0 {
                    stats::add(&self.shared.stats.cleaner_written_bytes, written);
                    self.pace.moved(written).await?;
                }
            }
        }
        Ok(changed)
    }

    /// What is left of a batch; `None`: all of it, as it is.
    async fn filter(
        &mut self,
        rules: &Rules,
        source: &Source,
        batch: &Batch,
        discardable: bool,
    ) -> Result<Option<Vec<u8>>, CleanError> {
        let unpacked = self.unpack(source, batch).await?;
        let plain = unpacked.as_deref().unwrap_or(&batch.bytes[HEADER_BYTES..]);
        let mut filter = Filter::new(rules, batch.header, plain, discardable);
        while !filter.step(PIECE_BYTES).map_err(|_| self.bad(source, batch, BAD_RECORDS))? {
            self.pace.worked(PIECE_BYTES).await?;
        }
        Ok(match filter.left() {
            Left::Same => None,
            Left::Nothing => Some(Vec::new()),
            Left::Empty => Some(empty_batch(&batch.bytes)),
            Left::Records { records, count, base_timestamp, max_timestamp, has_horizon } => {
                let codec = batch.header.compression();
                let packed = compression::codec(codec).filter(|_| codec != 0);
                let packed = packed.and_then(|codec| compression::compress(codec, &records).ok());
                let codec = if packed.is_some() { codec } else { 0 };
                let changes = Changes { count, base_timestamp, max_timestamp, has_horizon, codec };
                Some(other_batch(&batch.bytes, &changes, packed.as_deref().unwrap_or(&records)))
            }
        })
    }
}
