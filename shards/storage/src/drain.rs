//! From the journal's memory into segments, in the background.
//!
//! Two tasks. The *writer* writes what all logs have in memory only, each log's batches in large aligned writes that
//! nobody waits for, several logs at once: then that memory may serve newer records. The *syncer* follows at a
//! distance: it syncs every file that was written to, and then the journal's files are free for new commits. A
//! file is synced once for all that was written to it since the last time, so the journal's size decides how
//! often that is, not the memory's.

use crate::checkpoint::LogPlace;
use crate::error::StorageError;
use crate::full::Waiting;
use crate::partition::space::{self, Reserve};
use crate::partition::{Log, finish, snapshots};
use crate::stats;
use crate::store::Shared;
use crate::unsynced::Unsynced;
use crate::window::Window;
use driver::Errno;
use executor::{Either, io, join_all, join_some, race, sleep};
use memory::{Block, Slice};
use model::TopicPartition;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What was written is synced at the latest after so many intervals of the drain: until then the journal has it.
const SYNC_INTERVALS: u32 = 2;
/// The longest interval where the sync is what bounds the loss.
const RELAXED_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for what is on its way into the journal.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait before trying again when the device is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// What is gathered of one log before it is written.
const GATHER_BYTES: usize = 4 << 20;
/// And when nobody waits for the memory, but more comes than goes with pauses.
const STEADY_BYTES: usize = 512 << 10;
/// And when there is time. The flush of a commit waits for what the device was given before it, so that is kept small,
const QUIET_BYTES: usize = 128 << 10;
/// and a pause follows, in which commits have the device for themselves.
const QUIET_PAUSE: Duration = Duration::from_millis(2);
/// Syncs under way at once, when the journal has no other file left than the one that is written to.
const SYNCS: usize = 32;
/// And when it has: commits that wait for the device are not to queue behind many.
const QUIET_SYNCS: usize = 1;
/// Files that are synced before it is looked again whether the journal needs its own.
const HURRIED_FILES: usize = 8 * SYNCS;
/// Direct I/O: what everything is a multiple of.
pub(crate) const ALIGN: usize = 4096;

/// What was written to and is not synced.
#[derive(Default)]
pub(crate) struct Touched {
    files: BTreeMap<(TopicPartition, i64), Rc<Log>>,
    directories: Unsynced<BTreeSet<PathBuf>>,
}

impl Touched {
    /// A segment of a log was written to.
    pub fn file(&mut self, log: &Rc<Log>, segment: i64) {
        self.files.entry((log.id, segment)).or_insert_with(|| log.clone());
    }

    /// Whether a directory's names may be missing after a power loss.
    pub fn is_unnamed(&self, directory: &Path) -> bool {
        self.directories.waiting.contains(directory) || self.directories.under_way.contains(directory)
    }

    /// A directory was synced by somebody else.
    pub fn named(&mut self, directory: &Path) {
        self.directories.waiting.remove(directory);
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.waiting.is_empty()
    }
}

/// How fast the drain writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    /// There is time: little at once, one log after the other, and pauses.
    Quiet,
    /// More comes than goes so: without pauses, but what the device is given at once stays small.
    Steady,
    /// Somebody waits, or soon will: as much as the device takes.
    Hurry,
}

impl Pace {
    /// What may be written of one log at once.
    fn portion_bytes(self) -> usize {
        match self {
            Pace::Quiet => QUIET_BYTES,
            Pace::Steady => STEADY_BYTES,
            Pace::Hurry => GATHER_BYTES,
        }
    }
}

impl Shared {
    /// The journal holds what is not in segments.
    fn has_unwritten(&self) -> bool {
        self.written_through.get() < self.journal.borrow().durable_through || !self.dirty.borrow().is_empty()
    }

    /// The journal holds what is not synced in segments, or not said by a checkpoint.
    fn has_unsynced(&self) -> bool {
        let behind = self.journal.borrow().drained_through < self.written_through.get();
        behind || !self.touched.borrow().is_empty() || self.checkpoint_due.get()
    }

    /// Records are written to segments at the latest so long after they came.
    fn drain_interval(&self) -> Duration {
        let interval = self.options.drain_interval;
        // Without the device's promise this is what bounds the loss.
        if self.waits_for_device() { interval } else { interval.min(RELAXED_INTERVAL) }
    }

    /// And synced there so long after that.
    fn sync_interval(&self) -> Duration {
        if self.waits_for_device() {
            self.options.drain_interval * SYNC_INTERVALS
        } else {
            self.drain_interval()
        }
    }

    /// How fast to write.
    fn pace(&self) -> Pace {
        if self.stopping.get() || self.waits_for_drain() {
            Pace::Hurry
        } else if self.drain_is_behind() {
            Pace::Steady
        } else {
            Pace::Quiet
        }
    }

    /// Seals the commit that is being built, if a log has something in it that may go into a segment already: nobody
    /// waits for that, but it is on its way into the journal first.
    fn journal_first(&self, log: &Log) {
        let mut journal = self.journal.borrow_mut();
        let gathers = log.state.borrow().commit == journal.next_sequence();
        if gathers {
            journal.seal();
            self.work.notify();
        }
    }

    /// The journal needs its files back.
    fn wants_sync(&self) -> bool {
        self.checkpoint_due.get() || self.journal.borrow().files.is_running_out()
    }
}

/// The writer's task; ends when the store stops or goes offline.
pub(crate) async fn run(shared: Rc<Shared>) {
    let mut waiting: Option<Waiting<'_>> = None;
    while !shared.stopping.get() && shared.offline.borrow().is_none() {
        let (seen, dirtied, moved) = (shared.drain_now.count(), shared.dirtied.count(), shared.room.count());
        if !shared.has_unwritten() {
            // What found no room was deleted since.
            waiting = None;
            race(shared.dirtied.after(dirtied), shared.drain_now.after(seen)).await;
            if !shared.has_unwritten() {
                // What is due may be a sync only.
                shared.sync_now.notify();
                continue;
            }
        }
        if !shared.is_drain_due() && waiting.is_none() {
            race(sleep(shared.drain_interval()), shared.drain_now.after(seen)).await;
        }
        if shared.stopping.get() {
            return;
        }
        match write_pass(&shared).await {
            // Where it waited for room it has found none yet.
            Ok(Pass::LeftOff) => {}
            Ok(Pass::Wrote) => waiting = None,
            // What there is is still on its way into the journal.
            Ok(Pass::Nothing) => {
                waiting = None;
                race(shared.room.after(moved), sleep(JOURNAL_PAUSE)).await;
                continue;
            }
            Err(StorageError::NoSpace) => {
                let what = "records stay in the journal until there is";
                waiting.get_or_insert_with(|| Waiting::new(&shared.stats, what));
                let seen = shared.stop.count();
                if let Either::Right(()) = race(sleep(NO_SPACE_PAUSE), shared.stop.after(seen)).await {
                    return;
                }
            }
            Err(error) => {
                failed(&shared, &error);
                return;
            }
        }
        shared.room.notify();
        shared.sync_now.notify();
    }
}

fn failed(shared: &Shared, error: &StorageError) {
    log::error!("the drain has failed: {error}");
    shared.go_offline(Errno::IO, "drain to", &shared.options.data);
}

/// The syncer's task; ends when the store stops or goes offline.
pub(crate) async fn run_sync(shared: Rc<Shared>) {
    let mut waiting: Option<Waiting<'_>> = None;
    while !shared.stopping.get() && shared.offline.borrow().is_none() {
        let (seen, stop) = (shared.sync_now.count(), shared.stop.count());
        if !shared.has_unsynced() {
            race(shared.sync_now.after(seen), shared.stop.after(stop)).await;
            continue;
        }
        let until = executor::now() + shared.sync_interval();
        let mut seen = seen;
        while !shared.wants_sync() && !shared.stopping.get() && executor::now() < until {
            let signs = race(shared.sync_now.after(seen), shared.stop.after(stop));
            race(executor::sleep_until(until), signs).await;
            seen = shared.sync_now.count();
        }
        if shared.stopping.get() {
            return;
        }
        match sync_pass(&shared).await {
            Ok(()) => waiting = None,
            // A checkpoint found no room; what it would have said is still in the journal.
            Err(StorageError::NoSpace) => {
                let what = "the journal keeps what is in segments until there is";
                waiting.get_or_insert_with(|| Waiting::new(&shared.stats, what));
                let seen = shared.stop.count();
                race(sleep(NO_SPACE_PAUSE), shared.stop.after(seen)).await;
            }
            Err(error) => {
                failed(&shared, &error);
                return;
            }
        }
        shared.room.notify();
    }
}

/// At the end: everything into segments, and synced.
pub(crate) async fn all(shared: &Rc<Shared>) -> Result<(), StorageError> {
    while write_pass(shared).await? != Pass::Nothing {}
    sync_pass(shared).await
}

/// What became of a pass of the writer.
#[derive(PartialEq, Eq)]
enum Pass {
    /// What was durable when it began is in segments, and there was something new.
    Wrote,
    /// Nothing was durable that an earlier pass had not written.
    Nothing,
    /// It must go faster, and there are logs left: the next pass does.
    LeftOff,
}

/// Everything that is durable now is written to segments, unless it must go faster meanwhile.
async fn write_pass(shared: &Rc<Shared>) -> Result<Pass, StorageError> {
    let (cut, cut_bytes) = {
        let journal = shared.journal.borrow();
        (journal.durable_through, journal.durable_bytes)
    };
    let pace = shared.pace();
    let logs = RefCell::new(shared.dirty.take().into_iter());
    let result = RefCell::new(Ok(()));
    let workers = if pace == Pace::Hurry { shared.drains } else { 1 };
    let workers = (0..workers).map(|_| work_off(shared, &logs, &result, pace)).collect();
    join_all(workers).await;
    result.into_inner()?;
    let left = logs.into_inner();
    if left.len() > 0 {
        shared.dirty.borrow_mut().extend(left);
        return Ok(Pass::LeftOff);
    }
    shared.written_bytes.set(cut_bytes);
    let before = shared.written_through.replace(cut);
    Ok(if before < cut { Pass::Wrote } else { Pass::Nothing })
}

/// Drains one log after another; after a failure it only looks after what is left. It leaves off when it must go faster
/// than at the `pace` of this pass.
async fn work_off(
    shared: &Rc<Shared>,
    logs: &RefCell<std::vec::IntoIter<Rc<Log>>>,
    result: &RefCell<Result<(), StorageError>>,
    pace: Pace,
) {
    loop {
        if shared.pace() > pace && result.borrow().is_ok() {
            return;
        }
        let next = logs.borrow_mut().next();
        let Some(log) = next else { return };
        log.dirty.set(false);
        let fine = result.borrow().is_ok();
        let drained = if fine { drain_log(shared, &log).await } else { Ok(()) };
        let left = {
            let state = log.state.borrow();
            !state.deleted && state.drained < state.tail.len()
        };
        if left && !log.dirty.replace(true) {
            shared.dirty.borrow_mut().push(log.clone());
        }
        if drained.is_err() && result.borrow().is_ok() {
            *result.borrow_mut() = drained;
        }
    }
}

/// Everything that is written to segments now is synced there, and the journal need not keep it.
async fn sync_pass(shared: &Rc<Shared>) -> Result<(), StorageError> {
    let cut = shared.written_through.get();
    let (files, directories) = {
        let mut touched = shared.touched.borrow_mut();
        let directories = touched.directories.begin().clone();
        (std::mem::take(&mut touched.files), directories)
    };
    // What is written to these logs from here on is not part of this sync.
    let logs: Vec<Rc<Log>> = files.values().cloned().collect();
    for log in &logs {
        log.state.borrow_mut().unsynced.begin();
    }
    let synced = sync(shared, files, &directories).await;
    shared.touched.borrow_mut().directories.end();
    synced?;
    logs.iter().for_each(|log| log.state.borrow_mut().unsynced.end());
    // A checkpoint takes over what notes say before their file is used anew.
    let noted = shared.noted_in_journal.get();
    let notes_go = noted && shared.journal.borrow().files.may_recycle(cut);
    let verified = shared.unverified.get() > shared.checkpoint_bytes();
    if shared.checkpoint_due.get() || verified || notes_go {
        // Before it is written: what comes due meanwhile is due again.
        shared.checkpoint_due.set(false);
        shared.unverified.set(0);
        shared.noted_in_journal.set(false);
        let written = shared.write_checkpoint(false).await;
        if written.is_err() {
            shared.checkpoint_due.set(true);
            shared.noted_in_journal.set(noted);
        }
        written?;
    }
    let mut journal = shared.journal.borrow_mut();
    journal.drained_through = cut;
    journal.files.recycle(cut);
    drop(journal);
    shared.activate.notify();
    Ok(())
}

async fn sync(
    shared: &Rc<Shared>,
    files: BTreeMap<(TopicPartition, i64), Rc<Log>>,
    directories: &BTreeSet<PathBuf>,
) -> Result<(), StorageError> {
    let files: Vec<PathBuf> =
        files.into_iter().map(|((_, segment), log)| log.segment_path(segment)).collect();
    let mut left = &files[..];
    while !left.is_empty() {
        let hurry = shared.stopping.get() || !shared.journal.borrow().files.has_next();
        let (count, at_once) = if hurry { (HURRIED_FILES, SYNCS) } else { (QUIET_SYNCS, QUIET_SYNCS) };
        let (some, later) = left.split_at(left.len().min(count));
        left = later;
        // When one has ended the next begins: the slowest of them does not hold up the others.
        let syncs = some.iter().map(|path| sync_file(shared, path));
        for result in join_some(syncs, at_once).await {
            result?;
        }
        if !hurry && !shared.wants_sync() {
            sleep(QUIET_PAUSE).await;
        }
    }
    for directory in directories {
        match io::sync_directory(directory).await {
            // A partition that was deleted meanwhile took its names along.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(StorageError::sync(directory)(errno)),
        }
    }
    Ok(())
}

async fn sync_file(shared: &Shared, path: &PathBuf) -> Result<(), StorageError> {
    let file = match shared.files.open(path, false).await {
        Ok(file) => file,
        // Deleted since.
        Err(StorageError::Io { errno: Errno::NOENT, .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    io::sync(file.handle).await.map_err(StorageError::sync(path))
}

/// Batches of one segment that follow each other and are to be written.
struct Portion {
    segment: i64,
    position: u32,
    slices: Vec<Slice>,
    bytes: usize,
    /// The first record's offset.
    first: i64,
    /// The offset after the last record.
    next: i64,
}

fn portion_place(portion: &Portion) -> LogPlace {
    LogPlace { segment: portion.segment, position: portion.position, offset: portion.first }
}

fn next_portion(log: &Log, bytes_max: usize) -> Option<Portion> {
    let state = log.state.borrow();
    let first = state.tail.get(state.drained).filter(|_| !state.deleted)?;
    let mut portion = Portion {
        segment: first.segment,
        position: first.position,
        slices: Vec::new(),
        bytes: 0,
        first: first.base,
        next: first.base,
    };
    for batch in state.tail.range(state.drained..) {
        // Only what is durable in the journal: what is not may never have been. Where nobody waits for that, what is
        // on its way there.
        if batch.segment != portion.segment || batch.last >= state.high_watermark {
            break;
        }
        if portion.bytes > 0 && portion.bytes + batch.bytes.len() > bytes_max {
            break;
        }
        portion.bytes += batch.bytes.len();
        portion.next = batch.last + 1;
        portion.slices.push(batch.bytes.clone());
    }
    (portion.bytes > 0).then_some(portion)
}

/// Writes out what a log has now. Not in a hurry, a portion after the other, and others may have the log in between. What comes meanwhile is for the next pass: a log that is never at rest would keep the pass from its end,
/// and so the logs behind it from segments, all of them from their sync, and the memory from those who need it.
async fn drain_log(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    let until = log.state.borrow().high_watermark;
    loop {
        let writing = log.writer.take(1).await;
        let drained = drain_and_finish(shared, log, until).await;
        drop(writing);
        // A partition that was deleted meanwhile has taken its files along.
        let deleted = log.state.borrow().deleted;
        if shared.pace() == Pace::Quiet {
            sleep(QUIET_PAUSE).await;
        }
        match drained {
            Ok(true) if !deleted => {}
            Err(error) if !deleted => return Err(error),
            _ => return Ok(()),
        }
    }
}

/// Tells whether there may be more to write before offset `until`.
async fn drain_and_finish(shared: &Rc<Shared>, log: &Rc<Log>, until: i64) -> Result<bool, StorageError> {
    let is_left = |wrote: bool| wrote && log.state.borrow().is_undrained(until);
    let mut more = is_left(drain_portion(shared, log, shared.pace().portion_bytes()).await?);
    while more && shared.pace() == Pace::Hurry {
        more = is_left(drain_portion(shared, log, GATHER_BYTES).await?);
    }
    finish::full_segments(shared, log).await?;
    snapshots::save_later(shared, log);
    finish::save_epochs(log).await?;
    Ok(more)
}

/// Writes what a log has in the journal only; the caller holds the log's writer.
pub(crate) async fn drain_held(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    while drain_portion(shared, log, GATHER_BYTES).await? {}
    Ok(())
}

/// Writes a portion of that; false if there is none.
async fn drain_portion(shared: &Rc<Shared>, log: &Rc<Log>, bytes_max: usize) -> Result<bool, StorageError> {
    let Some(portion) = next_portion(log, bytes_max) else { return Ok(false) };
    shared.journal_first(log);
    let path = log.segment_path(portion.segment);
    if portion.position == 0 {
        log.make_directory(shared).await?;
    }
    let file = shared.files.open(&path, portion.position == 0).await?;
    let head = head_of(shared, log, &file, portion.segment, portion.position).await?;
    log.state.borrow_mut().begins_unsynced(portion_place(&portion));
    let end = (u64::from(portion.position) + portion.bytes as u64).next_multiple_of(ALIGN as u64);
    space::reserve(log, portion.segment, &file, end, Reserve::Drained).await?;
    let written = write_portion(shared, file.handle, &path, &portion, head).await;
    // Only now, and in the same turn: a pass may run meanwhile, and what it finds here it syncs and forgets,
    // so that a write which ends later would never be synced.
    // Once more: a sync may have ended meanwhile, to which this write did not belong.
    log.state.borrow_mut().begins_unsynced(portion_place(&portion));
    let mut touched = shared.touched.borrow_mut();
    touched.file(log, portion.segment);
    if portion.position == 0 {
        touched.directories.waiting.insert(log.directory.clone());
    }
    drop(touched);
    let written = written?;
    stats::add(&shared.stats.drained_bytes, written.bytes);
    let mut state = log.state.borrow_mut();
    if state.deleted {
        return Ok(true);
    }
    let end = portion.position + portion.bytes as u32;
    if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == portion.segment) {
        segment.written = end;
        segment.written_next = portion.next;
    }
    state.head = (portion.segment, written.head);
    state.drained += portion.slices.len();
    drop(state);
    shared.undrained_less(portion.bytes as u64);
    shared.unverified.set(shared.unverified.get() + portion.bytes as u64);
    Ok(true)
}

/// The bytes between the last block boundary and `position`: they are written again with what comes there.
pub(crate) async fn head_of(
    shared: &Shared,
    log: &Log,
    file: &crate::open_files::OpenFile,
    segment: i64,
    position: u32,
) -> Result<Vec<u8>, StorageError> {
    let length = position as usize % ALIGN;
    {
        let mut state = log.state.borrow_mut();
        if length == 0 {
            return Ok(Vec::new());
        }
        if state.head.0 == segment && state.head.1.len() == length {
            return Ok(std::mem::take(&mut state.head.1));
        }
    }
    let start = u64::from(position) - length as u64;
    let mut window = Window::new(file.handle, &file.path, shared.options.pool.clone(), u64::from(position));
    let head = window.at(start, length).await?.to_vec();
    match head.len() == length {
        true => Ok(head),
        false => {
            Err(StorageError::Format { path: file.path.clone(), what: "shorter than what was written to it" })
        }
    }
}

/// What a write has done.
struct Written {
    /// Bytes written, padding included.
    bytes: u64,
    /// The bytes behind the last block boundary.
    head: Vec<u8>,
}

async fn write_portion(
    shared: &Shared,
    handle: driver::Handle,
    path: &std::path::Path,
    portion: &Portion,
    head: Vec<u8>,
) -> Result<Written, StorageError> {
    let mut at = u64::from(portion.position) - head.len() as u64;
    let mut block = shared.take_drain_block().await;
    let mut filled = head.len();
    block[..filled].copy_from_slice(&head);
    // The memory of the head before will do for the next.
    let (mut total, mut last_head) = (0, head);
    let mut slices = portion.slices.iter();
    let mut rest: &[u8] = &[];
    loop {
        let done = fill(&mut block, &mut filled, &mut rest, &mut slices);
        if done {
            last_head.clear();
            last_head.extend_from_slice(&block[filled / ALIGN * ALIGN..filled]);
        }
        let padded = filled.next_multiple_of(ALIGN);
        block[filled..padded].fill(0);
        let (result, data) = io::write(handle, at, block.freeze(padded), false).await;
        block = match data.try_into_block() {
            Ok(block) => block,
            Err(_) => unreachable!("the driver gives back the only owner"),
        };
        if let Err(errno) = result {
            shared.give_drain_block(block);
            return Err(StorageError::io("write", path)(errno));
        }
        total += padded as u64;
        at += padded as u64;
        filled = 0;
        if done {
            shared.give_drain_block(block);
            return Ok(Written { bytes: total, head: last_head });
        }
    }
}

/// Copies as much as fits; true when nothing is left.
fn fill<'a>(
    block: &mut Block,
    filled: &mut usize,
    rest: &mut &'a [u8],
    slices: &mut std::slice::Iter<'a, Slice>,
) -> bool {
    loop {
        if rest.is_empty() {
            match slices.next() {
                Some(slice) => *rest = slice,
                None => return true,
            }
        }
        let count = rest.len().min(block.len() - *filled);
        if count == 0 {
            return false;
        }
        block[*filled..*filled + count].copy_from_slice(&rest[..count]);
        *filled += count;
        *rest = &rest[count..];
    }
}
