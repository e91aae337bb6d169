//! Deleting records from a log's beginning.
//!
//! What producers have written is kept on the device first ([`secured`]). The new log start is durable in the
//! journal before anything is removed, and in a checkpoint before the journal's file is used anew. Segments that
//! lie before it as a whole then go: their files get another name, and are removed after `file.delete.delay.ms`,
//! so that reads under way can end. Records before it in the first one that is left stay in its file, unseen.

use super::{Log, LogState, Partition, aborted, load, secured};
use crate::error::{AppendError, ReadError, StorageError};
use crate::journal::Journal;
use crate::journal::format::Entry;
use crate::segment::file_name;
use crate::stats;
use crate::store::Shared;
use crate::upkeep;
use driver::Errno;
use executor::io;
use model::Offset;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

impl Partition {
    /// Deletes the records before an offset, at most up to the high watermark; returns the log start that is
    /// durable then. A log start that is already behind stays.
    pub async fn delete_records(&self, before: Offset) -> Result<Offset, ReadError> {
        let shared = self.log.shared()?;
        shared.check_online()?;
        let (log_start, end) = {
            let state = self.log.state.borrow();
            if state.deleted {
                return Err(ReadError::Storage(StorageError::UnknownPartition(self.log.id)));
            }
            (state.log_start, state.high_watermark)
        };
        if before.0 > end {
            return Err(ReadError::OffsetOutOfRange { log_start: Offset(log_start), end: Offset(end) });
        }
        if before.0 > log_start {
            move_start(&shared, &self.log, before.0, false).await?;
        }
        let log_start = self.log.state.borrow().log_start;
        Ok(Offset(log_start))
    }
}

/// The log begins at an offset from now on, if it does not already, and the segments before that go; `last` as for
/// [`remove_segments`].
pub(super) async fn move_start(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    offset: i64,
    last: bool,
) -> Result<(), StorageError> {
    let moves = offset > log.state.borrow().log_start;
    let mut is_safe = true;
    if moves {
        // What is deleted takes no producer along.
        is_safe = secured::secure(shared, log, offset).await?;
        log.begin_at(shared, offset).await?;
    }
    // A power loss must not take the log start and leave a log whose files are gone: neither the one that was put here,
    // nor one that somebody else has put, who may still wait for the device. The checkpoint that is due would do, but a
    // full device has no room for it.
    shared.sync_journal().await?;
    remove_segments(shared, log, last).await?;
    if !is_safe {
        // There may be room now; without, the drain tries again when it has written something of the log.
        secured::secure(shared, log, offset).await?;
    }
    Ok(())
}

impl Log {
    /// The log begins at an offset from now on, durably where somebody waits for the device. Its producers are secured.
    async fn begin_at(self: &Rc<Self>, shared: &Rc<Shared>, offset: i64) -> Result<(), StorageError> {
        self.put_log_start(shared, offset).await?;
        self.set_log_start(offset);
        shared.checkpoint_due.set(true);
        shared.sync_now.notify();
        Ok(())
    }

    async fn put_log_start(self: &Rc<Self>, shared: &Rc<Shared>, offset: i64) -> Result<(), StorageError> {
        let done = loop {
            // In the turn in which it is put: a store that stops writes no commit that begins later.
            shared.check_online()?;
            match shared.make_room(2 * Journal::bytes_needed(8)) {
                Ok(()) => {
                    let mut journal = shared.journal.borrow_mut();
                    let state = self.state.borrow();
                    let segment = state.segments.last().map_or(state.log_end, |segment| segment.base);
                    drop(state);
                    let number = self.number(&mut journal, segment);
                    journal.put(&Entry::LogStart { number, offset });
                    journal.hurry();
                    break journal.building_done();
                }
                Err(AppendError::Busy) => shared.wait_for_room().await,
                Err(AppendError::Storage(error)) => return Err(error),
                Err(_) => return Err(StorageError::Stopped),
            }
        };
        shared.work.notify();
        match done {
            // Whatever acknowledgements wait for: files go after this, and a process that ends between the two must not
            // leave a log whose files are missing.
            Some(done) => done.wait().await,
            None => Ok(()),
        }
    }

    fn set_log_start(&self, offset: i64) {
        let mut state = self.state.borrow_mut();
        state.log_start = state.log_start.max(offset);
        let log_start = state.log_start;
        // A hole that is deleted hurts no more.
        let behind = |end: Offset| end.0 <= log_start;
        state.damage.retain(|damage| !damage.offsets.is_some_and(|(_, end)| behind(end)));
        drop(state);
        self.changed.notify();
    }
}

/// Lets the segments go that lie before the log start; with `last` the one that is appended to as well, if the log
/// ends there and all of it is in its file.
async fn remove_segments(shared: &Rc<Shared>, log: &Rc<Log>, last: bool) -> Result<(), StorageError> {
    let older = {
        let state = log.state.borrow();
        state.older_unknown && state.segments.first().is_none_or(|first| first.base <= state.log_start)
    };
    if older {
        load::list_older(log).await?;
    }
    let _writing = log.writer.take(1).await;
    let gone: Vec<(i64, u32)> = {
        let mut state = log.state.borrow_mut();
        if state.deleted {
            return Ok(());
        }
        let count = removable(&state, last && !log.is_direct());
        state.segments.drain(..count).map(|segment| (segment.base, segment.bytes)).collect()
    };
    if gone.is_empty() {
        return Ok(());
    }
    log.layout.set(log.layout.get() + 1);
    for (base, bytes) in gone {
        stats::add(&shared.stats.segments_deleted, 1);
        stats::add(&shared.stats.deleted_bytes, u64::from(bytes));
        discard(shared, log, base).await?;
    }
    aborted::remove_before(log).await
}

/// How many of the first segments may go.
fn removable(state: &LogState, last: bool) -> usize {
    // What is still to be drained stays.
    let drained = state.segments.iter().take_while(|segment| segment.written == segment.bytes).count();
    let ends = state.log_start == state.log_end && state.high_watermark == state.log_end;
    if last && ends && drained == state.segments.len() {
        return drained;
    }
    let keep = state.segments.partition_point(|segment| segment.base <= state.log_start).saturating_sub(1);
    // The one that is appended to stays.
    keep.min(drained).min(state.segments.len().saturating_sub(1))
}

/// Takes a segment's files out of sight. Its batches are removed later, at once where room is needed.
async fn discard(shared: &Rc<Shared>, log: &Rc<Log>, base: i64) -> Result<(), StorageError> {
    let path = log.segment_path(base);
    let delay_ms = u64::try_from(log.config.borrow().file_delete_delay_ms).unwrap_or(0);
    let away = match delay_ms == 0 || shared.stats.is_full() {
        true => remove(&path).await,
        false => put_aside(shared, log, base, Duration::from_millis(delay_ms)).await,
    };
    // Not before: a reader could open it once more, and nobody would close it.
    shared.files.forget(&path);
    away?;
    remove_index(log, base).await
}

/// Gives a segment's file another name, if it is there, under which it is removed after a while.
async fn put_aside(shared: &Shared, log: &Log, base: i64, delay: Duration) -> Result<(), StorageError> {
    let path = log.segment_path(base);
    let deleted = log.directory.join(file_name(base, "log.deleted"));
    match io::rename(&path, &deleted).await {
        Ok(()) => {
            upkeep::remove_later(shared, deleted, delay);
            Ok(())
        }
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StorageError::io("rename", &path)(errno)),
    }
}

/// Removes the index files of a segment, as far as there are any.
pub(crate) async fn remove_index(log: &Log, base: i64) -> Result<(), StorageError> {
    for extension in ["index", "timeindex"] {
        remove(&log.directory.join(file_name(base, extension))).await?;
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(crate) async fn remove(path: &Path) -> Result<(), StorageError> {
    match io::remove(path).await {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StorageError::io("remove", path)(errno)),
    }
}
