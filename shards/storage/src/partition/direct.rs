//! Large appends: straight into the segment, in one write, past the journal. It is a durable one, unless nobody waits
//! for the device: then the drain's sync follows.
//!
//! A log has one such write under way at a time; what is appended to it meanwhile, large or small, gathers
//! in the next one. So the journal never holds a batch that lies behind one which is not durable yet, and
//! an entry in the journal says of everything before it that it was durable. Where nobody waits for the device it does
//! not say so, and a start looks.
//!
//! A write begins when all that was appended before is durable: it takes the drain's place for what is in the
//! journal only, and then no other writer is at the segment's end.

use super::append::Placed;
use super::space::{self, Reserve};
use super::{Log, TailBatch, finish, notes, snapshots};
use crate::checkpoint::LogPlace;
use crate::done::Done;
use crate::drain::{self, ALIGN};
use crate::error::{AppendError, StorageError};
use crate::full::Waiting;
use crate::open_files::OpenFile;
use crate::stats;
use crate::store::Shared;
use driver::Errno;
use executor::{Permit, io, sleep};
use memory::{Block, Slice};
use std::rc::Rc;
use std::time::Duration;

/// A write is begun in at least so much memory, so that what follows finds room in it.
const ROOM_MIN: usize = 64 << 10;
/// Behind one that is under way the next is begun with room for so many appends, if that is not more than this.
const SEVERAL: usize = 3;
const SEVERAL_BYTES_MAX: usize = 256 << 10;
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// A batch in a direct write.
struct Direct {
    base: i64,
    last: i64,
    position: u32,
    bytes: u32,
}

/// A direct write that is gathered or under way: batches of one segment, one after another.
pub(crate) struct DirectWrite {
    block: Block,
    number: u64,
    segment: i64,
    /// Where the first batch lies in the segment.
    position: u32,
    /// Bytes in the block: what lies between the block boundary and the first batch, then the batches.
    filled: usize,
    batches: Vec<Direct>,
    done: Done,
}

impl Log {
    /// Appends of this log gather in a direct write.
    pub fn is_direct(&self) -> bool {
        !self.direct.borrow().is_empty() || self.direct_running.get()
    }

    /// Memory for an append of `bytes`: `None` if the write that is gathered has room, else a new block.
    /// `rolls`: it goes into a new segment, and so into a new write.
    pub fn reserve_direct(
        &self,
        shared: &Shared,
        bytes: usize,
        rolls: bool,
    ) -> Result<Option<(Block, u64)>, AppendError> {
        let queue = self.direct.borrow();
        let room = queue
            .back()
            .is_some_and(|write| (write.filled + bytes).next_multiple_of(ALIGN) <= write.block.len());
        if room && !rolls {
            return Ok(None);
        }
        let take = |size| shared.cache.borrow_mut().take(size, shared.written_through.get(), &shared.stats);
        let alone = (bytes + 2 * ALIGN).max(ROOM_MIN);
        // What comes while a write is under way waits for it, and most often not alone: the next write takes all of it.
        let several = (SEVERAL * bytes + 2 * ALIGN).max(ROOM_MIN);
        let taken = if self.is_direct() && several <= SEVERAL_BYTES_MAX { take(several) } else { None };
        let taken = taken.or_else(|| take(alone));
        taken.map(Some).ok_or_else(|| shared.no_room())
    }

    /// Puts a validated batch into the direct write that is gathered, or into a new one in `memory`. Returns
    /// the end of the write, and where the batch lies to be completed.
    pub fn put_direct(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        placed: &Placed,
        bytes: &[u8],
        memory: Option<(Block, u64)>,
        complete: impl FnOnce(&mut [u8]),
    ) -> Done {
        let mut queue = self.direct.borrow_mut();
        if let Some((block, number)) = memory {
            queue.push_back(DirectWrite {
                block,
                number,
                segment: placed.segment,
                position: placed.position,
                filled: placed.position as usize % ALIGN,
                batches: Vec::new(),
                done: Done::default(),
            });
        }
        let write = queue.back_mut().expect("one with room was found, or memory for one");
        let target = &mut write.block[write.filled..write.filled + bytes.len()];
        target.copy_from_slice(bytes);
        complete(target);
        write.filled += bytes.len();
        write.batches.push(Direct {
            base: placed.header.base_offset,
            last: placed.header.last_offset(),
            position: placed.position,
            bytes: bytes.len() as u32,
        });
        if !self.direct_running.replace(true) {
            drop(executor::spawn("direct write", run(shared.clone(), self.clone())));
        }
        write.done.clone()
    }

    /// Waits until all before `base` is durable; false if that will not be.
    async fn durable_up_to(&self, shared: &Shared, base: i64) -> bool {
        loop {
            let (seen, moved) = (self.changed.count(), shared.room.count());
            {
                let state = self.state.borrow();
                if state.deleted {
                    return false;
                }
                if state.high_watermark >= base {
                    return true;
                }
            }
            if shared.offline.borrow().is_some() {
                return false;
            }
            executor::race(self.changed.after(seen), shared.room.after(moved)).await;
        }
    }
}

/// Writes what has gathered, one write after another, until nothing is left.
async fn run(shared: Rc<Shared>, log: Rc<Log>) {
    // What arrives in this turn goes along.
    executor::yield_now().await;
    loop {
        let next = log.direct.borrow_mut().pop_front();
        let Some(write) = next else { break };
        let (done, number) = (write.done.clone(), write.number);
        match perform(&shared, &log, write).await {
            Ok(()) => done.end(Ok(())),
            Err(error) => {
                // The memory goes home: it is not to be counted as that of a log.
                shared.cache.borrow_mut().close(number, 0);
                done.end(Err(error.clone()));
                for write in log.direct.borrow_mut().drain(..) {
                    shared.cache.borrow_mut().close(write.number, 0);
                    write.done.end(Err(error.clone()));
                }
                break;
            }
        }
        shared.room.notify();
    }
    log.direct_running.set(false);
}

async fn perform(shared: &Rc<Shared>, log: &Rc<Log>, write: DirectWrite) -> Result<(), StorageError> {
    let base = write.batches.first().map_or(0, |batch| batch.base);
    if !log.durable_up_to(shared, base).await {
        shared.check_online()?;
        return Err(StorageError::UnknownPartition(log.id));
    }
    let result = write_out(shared, log, write).await;
    if let Err(error) = &result
        && !matches!(error, StorageError::UnknownPartition(_) | StorageError::Stopped)
    {
        log::error!("{}: a direct write has failed: {error}", log.id);
        let errno = match error {
            StorageError::Io { errno, .. } => *errno,
            _ => Errno::IO,
        };
        shared.go_offline(errno, "write to", &log.directory);
    }
    result
}

async fn write_out(shared: &Rc<Shared>, log: &Rc<Log>, mut write: DirectWrite) -> Result<(), StorageError> {
    let mut writing = log.writer.take(1).await;
    let mut waiting = None;
    let path = log.segment_path(write.segment);
    let file = loop {
        match prepare(shared, log, &path, write.position).await {
            Ok(file) => break file,
            Err(StorageError::NoSpace) => writing = pause(shared, log, writing, &mut waiting).await?,
            Err(error) => return Err(error),
        }
    };
    let head = write.position as usize % ALIGN;
    let start = u64::from(write.position) - head as u64;
    let bytes = drain::head_of(shared, log, &file, write.segment, write.position).await?;
    write.block[..head].copy_from_slice(&bytes);
    let padded = write.filled.next_multiple_of(ALIGN);
    write.block[write.filled..padded].fill(0);
    let tail_head = write.block[write.filled / ALIGN * ALIGN..write.filled].to_vec();
    space::reserve(log, write.segment, &file, start + padded as u64, Reserve::Durable).await?;
    let mut data = write.block.freeze(padded);
    loop {
        let (result, back) = io::write(file.handle, start, data, shared.waits_for_device()).await;
        data = back;
        match result.map_err(StorageError::io("write", &path)) {
            Ok(()) => break,
            Err(StorageError::NoSpace) => writing = pause(shared, log, writing, &mut waiting).await?,
            Err(error) => return Err(error),
        }
    }
    drop(waiting);
    stats::add(&shared.stats.direct_bytes, padded as u64);
    stats::add(&shared.stats.direct_writes, 1);
    let next = adopt(shared, log, &write.batches, write.segment, write.number, head, &data, tail_head)?;
    log.durable(next);
    let end = write.batches.last().map_or(0, |batch| batch.position + batch.bytes);
    let place = LogPlace { segment: write.segment, position: end, offset: next };
    notes::note(shared, log, place, padded as u64);
    if !shared.waits_for_device() {
        // In the turn in which it counts as written: a checkpoint must not take it for synced.
        let offset = write.batches.first().map_or(next, |batch| batch.base);
        let begin = LogPlace { segment: write.segment, position: write.position, offset };
        log.state.borrow_mut().begins_unsynced(begin);
        shared.touched.borrow_mut().file(log, write.segment);
    }
    shared.unverified.set(shared.unverified.get() + padded as u64);
    if shared.unverified.get() > shared.checkpoint_bytes() {
        shared.checkpoint_due.set(true);
        shared.sync_now.notify();
    }
    let settled = settle(shared, log).await;
    drop(writing);
    match settled {
        // The records are on the device; the rest is done with the next write.
        Err(StorageError::NoSpace) => Ok(()),
        other => other,
    }
}

/// What accompanies a log's segments.
async fn settle(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    finish::full_segments(shared, log).await?;
    snapshots::save_later(shared, log);
    finish::save_epochs(log).await
}

/// Puts what the journal has of the log into segments, and opens the file of the write, which may be new.
async fn prepare(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    path: &std::path::Path,
    position: u32,
) -> Result<Rc<OpenFile>, StorageError> {
    drain::drain_held(shared, log).await?;
    // A sync of the directory that is under way does not count: it may have begun before the name was there.
    let unnamed = shared.touched.borrow().is_unnamed(&log.directory);
    if position == 0 || unnamed {
        make_file(shared, log, path).await?;
    }
    shared.files.open(path, false).await
}

/// The batches of a write that is done become part of the tail.
#[allow(clippy::too_many_arguments)] // The parts of a write that has given its block away.
fn adopt(
    shared: &Shared,
    log: &Rc<Log>,
    batches: &[Direct],
    segment_base: i64,
    number: u64,
    head: usize,
    data: &Slice,
    tail_head: Vec<u8>,
) -> Result<i64, StorageError> {
    let mut state = log.state.borrow_mut();
    let mut cache = shared.cache.borrow_mut();
    cache.close(number, 0);
    if state.deleted {
        return Err(StorageError::UnknownPartition(log.id));
    }
    let (mut at, mut next, mut end) = (head, state.high_watermark, 0);
    for batch in batches {
        let bytes = data.slice(at..at + batch.bytes as usize);
        at += batch.bytes as usize;
        (next, end) = (batch.last + 1, batch.position + batch.bytes);
        let (base, last, position) = (batch.base, batch.last, batch.position);
        state.tail.push_back(TailBatch { base, last, segment: segment_base, position, block: number, bytes });
    }
    state.drained += batches.len();
    state.head = (segment_base, tail_head);
    if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == segment_base) {
        segment.written = end;
        segment.written_next = next;
    }
    state.noted_block = number;
    cache.note(number, log);
    Ok(next)
}

/// The segment's file and the directories above it, with their names on the device.
async fn make_file(shared: &Shared, log: &Log, path: &std::path::Path) -> Result<(), StorageError> {
    log.make_directory(shared).await?;
    let file = shared.files.open(path, true).await?;
    // The file's existence, and the name, before anything in it is promised.
    io::sync(file.handle).await.map_err(StorageError::sync(path))?;
    io::sync_directory(&log.directory).await.map_err(StorageError::sync(&log.directory))?;
    shared.touched.borrow_mut().named(&log.directory);
    Ok(())
}

/// Waits for room on the device. Others may have the log meanwhile: deleting records is what makes room. A store that
/// stops does not wait for it: there may never be any.
async fn pause<'a>(
    shared: &'a Shared,
    log: &Log,
    writing: Permit,
    waiting: &mut Option<Waiting<'a>>,
) -> Result<Permit, StorageError> {
    drop(writing);
    if shared.stopping.get() {
        log::error!("{}: the broker stops: large appends that waited for room are given up", log.id);
        return Err(StorageError::Stopped);
    }
    waiting.get_or_insert_with(|| Waiting::new(&shared.stats, "large appends wait until there is"));
    sleep(NO_SPACE_PAUSE).await;
    let writing = log.writer.take(1).await;
    match log.state.borrow().deleted {
        true => Err(StorageError::UnknownPartition(log.id)),
        false => Ok(writing),
    }
}
