//! Appending: validated whole, given offsets, copied into the journal's commit.

use super::{Declared, Log, Partition, producers};
use crate::batch::{self, BatchHeader};
use crate::config::{LogConfig, TimestampType};
use crate::done::Done;
use crate::error::{AppendError, StorageError};
use crate::journal::format::Entry;
use crate::journal::{Journal, Lack, Pending};
use crate::producers::{Producers, Verdict};
use crate::recompress;
use crate::segment::Segment;
use crate::stats;
use crate::store::Shared;
use crate::transactions::{EndMarker, Violation, marker, rules};
use crate::validate::{self, Crc, Origin};
use model::{LeaderEpoch, Offset};
use std::rc::Rc;

/// Who appends, and when.
#[derive(Clone, Copy, Debug)]
pub struct AppendContext {
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// The epoch of the partition's leader: written into the batches.
    pub leader_epoch: LeaderEpoch,
    /// Who appends.
    pub origin: Origin,
    /// Where the log ended before a coordinator was asked about the transaction that the batches belong to, if one
    /// was: a transaction of the producer that has ended since then may be that one.
    pub since: Option<Offset>,
}

/// Tells when an append is durable. See [`Store::committed`](crate::Store::committed).
#[derive(Clone)]
pub struct Ticket {
    /// The end of the write it is part of.
    pub(crate) done: Option<Done>,
    /// Or the log and the high watermark that it waits for.
    pub(crate) until: Option<(Rc<Log>, i64)>,
}

impl Ticket {
    /// Nothing is to be waited for.
    pub fn is_settled(&self) -> bool {
        self.done.is_none() && self.until.is_none()
    }
}

/// What became of an append.
#[derive(Clone)]
pub struct Appended {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The broker's time if the topic wants it in the records, else -1.
    pub log_append_time_ms: i64,
    /// The first offset of the log.
    pub log_start: Offset,
    /// Tells when it is durable.
    pub ticket: Ticket,
    /// It was here already; the offsets are those of then.
    pub duplicate: bool,
}

impl Partition {
    /// Appends the batches in `batches`, all or none, without waiting. They are visible to readers when they
    /// are durable. Where the log keeps another codec, that is [`AppendError::OtherCodec`].
    pub fn append(&self, batches: &[u8], context: &AppendContext) -> Result<Appended, AppendError> {
        self.append_as(batches, context, Crc::Unknown)
    }

    /// The same for batches that [`append`](Partition::append) has answered with [`AppendError::Busy`] before: it has
    /// found their CRC right, which is not computed again.
    pub fn append_again(&self, batches: &[u8], context: &AppendContext) -> Result<Appended, AppendError> {
        self.append_as(batches, context, Crc::Right)
    }

    fn append_as(&self, batches: &[u8], context: &AppendContext, crc: Crc) -> Result<Appended, AppendError> {
        let appended = self.try_append(batches, context, crc);
        match appended {
            Err(AppendError::Busy | AppendError::Storage(_)) => self.gave_up(batches),
            Err(AppendError::Unverified { .. }) => {
                let mut state = self.log.state.borrow_mut();
                split(batches).for_each(|(header, _)| state.verifying.note(&header));
            }
            _ => {}
        }
        appended
    }

    /// The batches were refused for a while, or who had them waited for room and goes: they will come again, and those
    /// behind them must not come before.
    pub fn gave_up(&self, batches: &[u8]) {
        let mut state = self.log.state.borrow_mut();
        split(batches).for_each(|(header, _)| state.refused.note(&header));
    }

    fn try_append(&self, batches: &[u8], context: &AppendContext, crc: Crc) -> Result<Appended, AppendError> {
        let shared = self.log.shared().map_err(AppendError::Storage)?;
        shared.check_online().map_err(AppendError::Storage)?;
        self.check_appendable()?;
        let config = self.config();
        if let Some(target) = config.compression
            && recompress::is_needed(batches, target, context.origin)
        {
            return Err(AppendError::OtherCodec);
        }
        check_batches(batches, &config, context, crc)?;
        if let Some((base, last)) = self.check_producers(&shared, batches, context)? {
            return Ok(self.duplicate(&shared, base, last));
        }
        self.put(&shared, batches, &config, context)
    }

    /// Appends the marker that ends a producer's transaction, decided at a level of `transaction.version`. Where no
    /// transaction is open it ends nothing.
    pub fn append_marker(
        &self,
        marker: &EndMarker,
        transaction_version: i16,
        context: &AppendContext,
    ) -> Result<Appended, AppendError> {
        let shared = self.log.shared().map_err(AppendError::Storage)?;
        shared.check_online().map_err(AppendError::Storage)?;
        self.check_appendable()?;
        let known =
            self.log.state.borrow().producers.as_ref().map(|producers| producers.known(marker.producer_id));
        let Some(known) = known else {
            producers::begin_load(&shared, &self.log);
            return Err(AppendError::Busy);
        };
        rules::check_marker(marker, transaction_version, known.as_ref()).map_err(violated)?;
        self.put(&shared, &marker::build(marker, context.now_ms), &self.config(), context)
    }

    /// Appends what was checked.
    fn put(
        &self,
        shared: &Rc<Shared>,
        batches: &[u8],
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<Appended, AppendError> {
        let appended = match self.goes_direct(shared, batches)? {
            true => self.log.append_direct(shared, batches, config, context)?,
            false => self.append_journal(shared, batches, config, context)?,
        };
        stats::add(&shared.stats.appends, 1);
        stats::add(&shared.stats.appended_bytes, batches.len() as u64);
        Ok(appended)
    }

    /// Whether an append goes past the journal: a large one, and one that comes while such are under way.
    fn goes_direct(&self, shared: &Shared, batches: &[u8]) -> Result<bool, AppendError> {
        let single = split(batches).nth(1).is_none();
        let direct = self.log.is_direct();
        if direct && !single {
            // Several batches in one append come from coordinators only, which wait.
            return Err(shared.no_room());
        }
        Ok(direct || (single && batches.len() >= shared.options.large_append_bytes))
    }

    fn append_journal(
        &self,
        shared: &Rc<Shared>,
        batches: &[u8],
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<Appended, AppendError> {
        let needed = needed_bytes(batches);
        let limit = shared.journal.borrow().commit_bytes_max();
        if needed + 4096 > limit {
            return Err(AppendError::MessageTooLarge { bytes: batches.len(), limit });
        }
        if shared.journal.borrow().is_scarce() {
            return Err(shared.no_room());
        }
        shared.make_room(needed)?;
        let appended = self.log.append_reserved(shared, batches, config, context);
        stats::add(&shared.stats.undrained_bytes, batches.len() as u64);
        shared.work.notify();
        if shared.is_drain_due() {
            shared.drain_now.notify();
        }
        Ok(appended)
    }

    /// Whether the batches are the next ones of their producers; the offsets they have if they are here already.
    fn check_producers(
        &self,
        shared: &Rc<Shared>,
        batches: &[u8],
        context: &AppendContext,
    ) -> Result<Option<(i64, i64)>, AppendError> {
        if !split(batches).any(|(header, _)| header.has_producer()) {
            return Ok(None);
        }
        let state = self.log.state.borrow();
        let Some(producers) = &state.producers else {
            drop(state);
            producers::begin_load(shared, &self.log);
            return Err(AppendError::Busy);
        };
        let several = split(batches).nth(1).is_some();
        // Several batches follow each other: each is looked at as if those before it were there.
        let mut copy = several.then(|| producers.clone());
        let (mut duplicate, mut fresh) = (None, false);
        for (header, _) in split(batches).filter(|(header, _)| header.has_producer()) {
            let known = copy.as_ref().unwrap_or(producers);
            if state.refused.is_overtaking(&header, known) {
                return Err(AppendError::OutOfOrderSequence);
            }
            let behind = matches!(context.origin, Origin::Client) && state.verifying.is_behind(&header);
            match check_batch(known, &header, context, behind, Offset(state.log_end))? {
                Verdict::Append => fresh = true,
                Verdict::Duplicate { base_offset, last_offset } => {
                    let (base, _) = duplicate.unwrap_or((base_offset, last_offset));
                    duplicate = Some((base, last_offset));
                }
            }
            if let Some(copy) = &mut copy {
                copy.push(&header, 0);
            }
        }
        match duplicate {
            Some(_) if fresh => Err(AppendError::DuplicateSequence),
            found => Ok(found),
        }
    }

    /// The answer to batches that are here already. They may still be on their way to the device.
    fn duplicate(&self, shared: &Shared, base_offset: i64, last_offset: i64) -> Appended {
        let state = self.log.state.borrow();
        let under_way = last_offset >= state.high_watermark && shared.waits_for_device();
        Appended {
            base_offset: Offset(base_offset),
            last_offset: Offset(last_offset),
            log_append_time_ms: -1,
            log_start: Offset(state.log_start),
            ticket: Ticket { done: None, until: under_way.then(|| (self.log.clone(), last_offset + 1)) },
            duplicate: true,
        }
    }

    fn check_appendable(&self) -> Result<(), AppendError> {
        let state = self.log.state.borrow();
        if state.deleted {
            return Err(AppendError::Storage(StorageError::UnknownPartition(self.log.id)));
        }
        match state.damage.first() {
            Some(damage) => Err(AppendError::Storage(StorageError::Damaged(Box::new(damage.clone())))),
            None => Ok(()),
        }
    }
}

/// What is to be done with a producer's batch: by its epochs, its transaction, its sequence number. `behind`: one before
/// it is being verified. `log_end`: where it would be appended.
fn check_batch(
    producers: &Producers,
    header: &BatchHeader,
    context: &AppendContext,
    behind: bool,
    log_end: Offset,
) -> Result<Verdict, AppendError> {
    let known = producers.known(header.producer_id);
    rules::check_data(header.producer_epoch, header.is_transactional(), known.as_ref()).map_err(violated)?;
    let verdict = producers.check(header);
    if !header.is_transactional() || matches!(verdict, Ok(Verdict::Duplicate { .. })) {
        return verdict;
    }
    // The transaction that it was verified for has ended: it must open none, nor come into the next.
    if context.since.is_some_and(|since| producers.has_ended_since(header.producer_id, since)) {
        return Err(AppendError::InvalidTxnState);
    }
    let is_open = known.is_some_and(|known| known.is_open && known.epoch == header.producer_epoch);
    if is_open && !behind {
        return verdict;
    }
    // It opens a transaction: a batch that comes late must not, for nobody would end it.
    match context.origin {
        Origin::Client => Err(AppendError::Unverified { log_end }),
        Origin::Verified { bumps_epoch: true } if known.is_none() && header.base_sequence != 0 => {
            Err(AppendError::OutOfOrderSequence)
        }
        _ => verdict,
    }
}

fn violated(violation: Violation) -> AppendError {
    match violation {
        Violation::ProducerEpoch => AppendError::InvalidProducerEpoch,
        Violation::CoordinatorEpoch => AppendError::CoordinatorFenced,
        Violation::NotTransactional => AppendError::InvalidTxnState,
    }
}

fn check_batches(
    batches: &[u8],
    config: &LogConfig,
    context: &AppendContext,
    crc: Crc,
) -> Result<(), AppendError> {
    let mut rest = batches;
    if rest.is_empty() {
        return Err(AppendError::InvalidRecord("no record batch"));
    }
    while !rest.is_empty() {
        let header = validate::batch(rest, config, context.origin, context.now_ms, crc)?;
        if header.bytes as u64 > u64::from(config.segment_bytes) {
            let limit = config.segment_bytes as usize;
            return Err(AppendError::MessageTooLarge { bytes: header.bytes, limit });
        }
        rest = &rest[header.bytes..];
    }
    Ok(())
}

/// The batches in bytes, as far as they are whole. Those that wait behind others may be given up before anybody has
/// validated them.
fn split(batches: &[u8]) -> impl Iterator<Item = (BatchHeader, &[u8])> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(rest).ok()?;
        let (batch, behind) = rest.split_at_checked(header.bytes)?;
        rest = behind;
        Some((header, batch))
    })
}

fn needed_bytes(batches: &[u8]) -> usize {
    split(batches).map(|(header, _)| Journal::bytes_needed(header.bytes)).sum()
}

impl Log {
    /// Appends validated batches, for which the journal has room.
    fn append_reserved(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        batches: &[u8],
        config: &LogConfig,
        context: &AppendContext,
    ) -> Appended {
        let mut journal = shared.journal.borrow_mut();
        journal.now_ms = context.now_ms;
        let base_offset = self.state.borrow().log_end;
        let mut done = None;
        let stamp = config.timestamp_type == TimestampType::LogAppendTime;
        for (header, bytes) in split(batches) {
            let placed = self.place(shared, (&header, bytes), config, context, stamp);
            let number = self.number(&mut journal, placed.segment);
            let at = journal.put(&Entry::Append { number, position: placed.position, batch: bytes });
            let batch = journal.put_batch_mut(at, bytes.len());
            batch::assign(batch, placed.header.base_offset, context.leader_epoch.0);
            if stamp {
                batch::stamp(batch, context.now_ms);
            }
            done = Some(journal.pend(Pending {
                log: self.clone(),
                base: placed.header.base_offset,
                last: placed.header.last_offset(),
                segment: placed.segment,
                position: placed.position,
                at: at as u32,
                bytes: bytes.len() as u32,
            }));
        }
        self.appended(
            base_offset,
            done.filter(|_| shared.waits_for_device()),
            stamp.then_some(context.now_ms),
        )
    }

    /// Appends one validated batch by a direct write.
    fn append_direct(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        bytes: &[u8],
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<Appended, AppendError> {
        if shared.stats.is_full() {
            return Err(AppendError::Storage(StorageError::NoSpace));
        }
        let Some((header, _)) = split(bytes).next() else {
            return Err(AppendError::InvalidRecord("no record batch"));
        };
        let stamp = config.timestamp_type == TimestampType::LogAppendTime;
        let rolls = {
            let state = self.state.borrow();
            let max_timestamp = if stamp { context.now_ms } else { header.max_timestamp };
            let header = BatchHeader { base_offset: state.log_end, max_timestamp, ..header };
            state.segments.last().is_none_or(|segment| is_full(segment, &header, config, context.now_ms))
        };
        let memory = self.reserve_direct(shared, bytes.len(), rolls)?;
        let placed = self.place(shared, (&header, bytes), config, context, stamp);
        let done = self.put_direct(shared, &placed, bytes, memory, |batch| {
            batch::assign(batch, placed.header.base_offset, context.leader_epoch.0);
            if stamp {
                batch::stamp(batch, context.now_ms);
            }
        });
        let base_offset = placed.header.base_offset;
        let done = Some(done).filter(|_| shared.waits_for_device());
        Ok(self.appended(base_offset, done, stamp.then_some(context.now_ms)))
    }

    /// The answer to an append whose records end where the log does now.
    fn appended(&self, base_offset: i64, done: Option<Done>, stamp: Option<i64>) -> Appended {
        let state = self.state.borrow();
        Appended {
            base_offset: Offset(base_offset),
            last_offset: Offset(state.log_end - 1),
            log_append_time_ms: stamp.unwrap_or(-1),
            log_start: Offset(state.log_start),
            ticket: Ticket { done, until: None },
            duplicate: false,
        }
    }

    /// Gives a batch its offset and its place in a segment, a new one if it is time.
    fn place(
        &self,
        shared: &Shared,
        (header, batch): (&BatchHeader, &[u8]),
        config: &LogConfig,
        context: &AppendContext,
        stamp: bool,
    ) -> Placed {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let base_offset = state.log_end;
        let max_timestamp = if stamp { context.now_ms } else { header.max_timestamp };
        let header = BatchHeader { base_offset, max_timestamp, ..*header };
        let full =
            state.segments.last().is_none_or(|segment| is_full(segment, &header, config, context.now_ms));
        if full {
            let jitter_ms = shared.jitter(config.segment_jitter_ms);
            state.segments.push(Segment::new(base_offset, context.now_ms, jitter_ms));
        }
        let segment = state.segments.last_mut().expect("there is one now");
        let placed = Placed { header, segment: segment.base, position: segment.bytes };
        let segment_base = segment.base;
        segment.push(&header, config.index_interval_bytes);
        state.log_end = header.last_offset() + 1;
        state.unread_bytes += header.bytes as u64;
        state.refused.appended(&header);
        state.verifying.appended(&header);
        if let Some(producers) = state.producers.as_mut().filter(|_| header.has_producer()) {
            if let Some(aborted) = producers.take_in(&header, batch, context.now_ms) {
                state.aborted.push(segment_base, aborted);
            }
            producers.expire(context.now_ms, config.producer_id_expiration_ms);
            state.unsaved_bytes += header.bytes as u64;
        }
        state.epochs.begin(context.leader_epoch.0, base_offset);
        placed
    }

    /// The number by which the journal's current file knows a segment of this log.
    pub fn number(&self, journal: &mut Journal, segment: i64) -> u32 {
        let file = journal.file_sequence();
        let declared = self.state.borrow().declared;
        let commit = journal.next_sequence();
        let known = (declared.file, declared.segment) == (file, segment);
        if known && commit < declared.again {
            return declared.number;
        }
        let number = journal.declare(self, segment, known.then_some(declared.number));
        let pause = if known { declared.pause.max(1) * 4 } else { 0 };
        let again = commit + 1 + pause;
        self.state.borrow_mut().declared = Declared { file, number, segment, again, pause };
        number
    }
}

/// Where a batch goes.
pub(crate) struct Placed {
    /// With the offset it got.
    pub header: BatchHeader,
    pub segment: i64,
    pub position: u32,
}

/// Kafka's rules for when a segment is full for the batch that comes next.
fn is_full(segment: &Segment, header: &BatchHeader, config: &LogConfig, now_ms: i64) -> bool {
    if segment.bytes == 0 {
        return false;
    }
    let bytes = u64::from(segment.bytes) + header.bytes as u64;
    let waited_ms = match (segment.first_timestamp, header.max_timestamp) {
        (first, this) if first >= 0 && this >= 0 => this.saturating_sub(first),
        _ => now_ms.saturating_sub(segment.created_ms),
    };
    bytes > u64::from(config.segment_bytes)
        || header.last_offset() - segment.base > i64::from(i32::MAX)
        || waited_ms > config.roll_ms().saturating_sub(segment.jitter_ms)
}

impl Shared {
    /// Makes room for entries of `needed` bytes in the commit that is being built.
    pub(crate) fn make_room(&self, needed: usize) -> Result<(), AppendError> {
        let mut journal = self.journal.borrow_mut();
        let mut file = journal.file_sequence();
        loop {
            let reserved = journal.reserve(needed);
            if journal.file_sequence() != file {
                // The next one must be made ready before this one is full, whether there is memory or not.
                file = journal.file_sequence();
                self.activate.notify();
            }
            match reserved {
                Ok(()) => return Ok(()),
                Err(Lack::Memory(bytes)) => {
                    let size = bytes.max(self.block_bytes);
                    let (full, last) = (journal.memory_block(), journal.next_sequence() - 1);
                    self.cache.borrow_mut().close(full, last);
                    let taken = self.cache.borrow_mut().take(size, self.written_through.get(), &self.stats);
                    match taken {
                        Some((block, number)) => journal.add_memory(block, number),
                        None => {
                            // Smaller appends may still find room in the old one; then it must not go yet.
                            if !self.cache.borrow_mut().reopen(full) {
                                journal.drop_memory();
                            }
                            break;
                        }
                    }
                }
                Err(Lack::File) => break,
            }
        }
        drop(journal);
        Err(self.no_room())
    }

    /// What an append is told when there is no memory or no journal file for it; the drain is told too.
    pub(crate) fn no_room(&self) -> AppendError {
        self.busy.set(true);
        stats::add(&self.stats.busy, 1);
        self.drain_now.notify();
        self.work.notify();
        match self.stats.is_full() {
            true => AppendError::Storage(StorageError::NoSpace),
            false => AppendError::Busy,
        }
    }
}
