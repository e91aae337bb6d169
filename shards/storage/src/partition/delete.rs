//! Deleting records from a log's beginning.
//!
//! The new log start is durable in the journal before anything is removed, and in a checkpoint before the
//! journal's file is used anew. Segments that lie before it as a whole are then removed; records before it in
//! the first one that is left stay in its file, unseen.

use super::{Log, Partition, load};
use crate::error::{AppendError, ReadError, StorageError};
use crate::journal::Journal;
use crate::journal::format::Entry;
use crate::segment::file_name;
use crate::store::Shared;
use driver::Errno;
use executor::io;
use model::Offset;
use std::rc::Rc;

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
            self.log.put_log_start(&shared, before.0).await?;
            self.log.set_log_start(before.0);
            shared.checkpoint_due.set(true);
            shared.sync_now.notify();
            remove_segments(&shared, &self.log).await?;
        }
        let log_start = self.log.state.borrow().log_start;
        Ok(Offset(log_start))
    }
}

impl Log {
    async fn put_log_start(self: &Rc<Self>, shared: &Rc<Shared>, offset: i64) -> Result<(), StorageError> {
        let done = loop {
            match shared.make_room(2 * Journal::bytes_needed(8)) {
                Ok(()) => {
                    let mut journal = shared.journal.borrow_mut();
                    let state = self.state.borrow();
                    let segment = state.segments.last().map_or(state.log_end, |segment| segment.base);
                    drop(state);
                    let number = self.number(&mut journal, segment);
                    journal.put(&Entry::LogStart { number, offset });
                    break journal.building_done();
                }
                Err(AppendError::Busy) => shared.wait_for_room().await,
                Err(AppendError::Storage(error)) => return Err(error),
                Err(_) => return Err(StorageError::Stopped),
            }
        };
        shared.work.notify();
        match done {
            Some(done) if shared.waits_for_device() => done.wait().await,
            _ => Ok(()),
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

/// Removes the files of segments that lie before the log start.
pub(crate) async fn remove_segments(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    let older = {
        let state = log.state.borrow();
        state.older_unknown && state.segments.first().is_none_or(|first| first.base <= state.log_start)
    };
    if older {
        load::list_older(log).await?;
    }
    let _writing = log.writer.take(1).await;
    let gone: Vec<i64> = {
        let mut state = log.state.borrow_mut();
        let keep =
            state.segments.partition_point(|segment| segment.base <= state.log_start).saturating_sub(1);
        // The one that is appended to stays, and so does what is still to be drained.
        let drained = state.segments.iter().take_while(|segment| segment.written == segment.bytes).count();
        let count = keep.min(drained).min(state.segments.len().saturating_sub(1));
        state.segments.drain(..count).map(|segment| segment.base).collect()
    };
    for base in gone {
        log.state.borrow_mut().aborted.forget(base);
        for extension in ["log", "index", "timeindex", "txnindex", "snapshot"] {
            let path = log.directory.join(file_name(base, extension));
            shared.files.forget(&path);
            match io::remove(&path).await {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(StorageError::io("remove", &path)(errno)),
            }
        }
    }
    Ok(())
}
