//! What is done for a segment when nothing more comes into it: its file is cut to its size, and its index goes
//! into files.

use super::{Log, aborted, index_pair};
use crate::epochs;
use crate::error::StorageError;
use crate::segment::index_files;
use crate::store::Shared;
use driver::Errno;
use executor::io;
use std::rc::Rc;

/// Finishes the segments before the last one that are written.
pub(crate) async fn full_segments(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    loop {
        let next = {
            let state = log.state.borrow();
            let full = state.segments.split_last().map_or(&[][..], |(_, full)| full);
            full.iter().find(|s| !s.finished && s.written == s.bytes).map(|segment| segment.base)
        };
        match next {
            Some(base) => finish(shared, log, base).await?,
            None => return Ok(()),
        }
    }
}

/// Finishes the last segment, at a clean stop.
pub(crate) async fn last_segment(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    let last = {
        let state = log.state.borrow();
        let last = state.segments.last().filter(|s| !s.finished && s.written == s.bytes && s.bytes > 0);
        // One that only a start has looked at may have space behind its end.
        let unfinished = last.filter(|s| s.grown || s.allocated > u64::from(s.bytes));
        unfinished.map(|segment| segment.base)
    };
    match last {
        Some(base) => finish(shared, log, base).await,
        None => Ok(()),
    }
}

async fn finish(shared: &Rc<Shared>, log: &Rc<Log>, base: i64) -> Result<(), StorageError> {
    let (bytes, files) = {
        let state = log.state.borrow();
        let Some(segment) = state.segments.iter().find(|segment| segment.base == base) else { return Ok(()) };
        (segment.bytes, segment.index.as_ref().map(index_files::encode))
    };
    let path = log.segment_path(base);
    let file = shared.files.open(&path, false).await?;
    io::truncate(file.handle, u64::from(bytes)).await.map_err(StorageError::io("truncate", &path))?;
    io::sync(file.handle).await.map_err(StorageError::sync(&path))?;
    if let Some((offsets, times)) = files {
        index_pair::put(log, base, offsets, times).await?;
    }
    aborted::save(log).await?;
    let mut state = log.state.borrow_mut();
    let last = state.segments.last().is_some_and(|segment| segment.base == base);
    if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == base) {
        segment.finished = !last;
        if !last {
            // Read again when it is needed: most segments never are.
            segment.index = None;
        }
    }
    if !last {
        state.aborted.let_go(base);
    }
    Ok(())
}

/// Writes the file of leader epochs, if there is more than one and the file does not have them all.
pub(crate) async fn save_epochs(log: &Rc<Log>) -> Result<(), StorageError> {
    let (epochs, newest) = {
        let state = log.state.borrow();
        let newest = state.epochs.newest();
        if state.deleted || state.epochs.len() < 2 || state.epochs_saved == newest {
            return Ok(());
        }
        (state.epochs.clone(), newest)
    };
    match epochs::write(&log.directory, &epochs).await {
        Ok(()) => log.state.borrow_mut().epochs_saved = newest,
        // The partition was deleted, or has no directory yet.
        Err(StorageError::Io { errno: Errno::NOENT, .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
