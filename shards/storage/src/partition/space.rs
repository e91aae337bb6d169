//! Space that is reserved ahead of a segment's end: a write into it changes no size, so the kernel need not hand it to
//! one of its threads, and a durable one has less to make durable.

use super::Log;
use crate::drain::ALIGN;
use crate::error::StorageError;
use crate::open_files::OpenFile;
use executor::io;

/// Space is reserved in steps that double between these.
const STEP_MAX: u64 = 64 << 20;

/// For which writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// Durable ones: the reservation is synced, so that they need not sync the size.
    Durable,
    /// Those of the drain, which may be of many small logs.
    Drained,
}

impl Reserve {
    fn step_min(self) -> u64 {
        match self {
            Reserve::Durable => 1 << 20,
            Reserve::Drained => 256 << 10,
        }
    }
}

/// Reserves space for a write that ends at `end`, and some more. Without success the write makes its own. An error: its
/// sync has failed, which may have cost what the drain had written to the file.
pub(crate) async fn reserve(
    log: &Log,
    segment: i64,
    file: &OpenFile,
    end: u64,
    what: Reserve,
) -> Result<(), StorageError> {
    let (allocated, limit) = {
        let state = log.state.borrow();
        let found = state.segments.iter().find(|other| other.base == segment);
        (found.map_or(0, |found| found.allocated), u64::from(log.config.borrow().segment_bytes))
    };
    if end <= allocated {
        return Ok(());
    }
    let step = end.clamp(what.step_min(), STEP_MAX);
    let upto = (end + step).next_multiple_of(ALIGN as u64).min(limit.next_multiple_of(ALIGN as u64)).max(end);
    let reserved = io::allocate(file.handle, 0, upto).await.is_ok();
    if reserved && what == Reserve::Durable {
        // The kernel says once what it could not write: to the next sync all is well.
        io::sync(file.handle).await.map_err(StorageError::sync(&file.path))?;
    }
    if let Some(found) = log.state.borrow_mut().segments.iter_mut().find(|other| other.base == segment) {
        // After a failure: not tried again before the segment has grown as much.
        found.allocated = if reserved { upto } else { end + what.step_min() };
    }
    Ok(())
}
