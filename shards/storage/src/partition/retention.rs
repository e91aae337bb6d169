//! Deleting old segments: by `retention.ms`, by `retention.bytes`, and those before the log start.
//!
//! `docs/log-cleaning.md` has the rules and the order of writes. A deletion moves the log start first; what lies
//! before it is then removed as after DeleteRecords.

use super::{Log, delete, load};
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::segment::UNREAD;
use crate::store::Shared;
use crate::window::Window;
use std::rc::Rc;

/// A segment as the rules see it.
#[derive(Clone, Copy)]
struct Part {
    base: i64,
    bytes: u64,
    /// The first offset behind it.
    end: i64,
}

/// Looks at a log and lets those of its segments go whose time has come.
pub(crate) async fn enforce(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    if log.state.borrow().older_unknown {
        load::list_older(log).await?;
    }
    learn_age(shared, log).await?;
    let config = log.config.borrow().clone();
    let Some(end) = expired_end(shared, log, &config).await? else { return Ok(()) };
    let begins = log.state.borrow().log_start;
    delete::move_start(shared, log, end, true).await?;
    if end > begins {
        log::info!("{}: old segments are deleted: the log begins at {end} instead of {begins}", log.id);
    }
    Ok(())
}

/// The first offset behind all segments that are to go; `None`: none is.
async fn expired_end(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    config: &LogConfig,
) -> Result<Option<i64>, StorageError> {
    let (parts, log_start, high_watermark) = {
        let state = log.state.borrow();
        let ends = state.segments.iter().skip(1).map(|segment| segment.base).chain([state.log_end]);
        let parts: Vec<Part> = state
            .segments
            .iter()
            .zip(ends)
            .map(|(segment, end)| Part { base: segment.base, bytes: u64::from(segment.bytes), end })
            .collect();
        (parts, state.log_start, state.high_watermark)
    };
    let full = &parts[..parts.len().saturating_sub(1)];
    let mut count = full.iter().take_while(|part| part.end <= log_start).count();
    // The log start never passes the high watermark.
    let most = parts.iter().take_while(|part| part.end <= high_watermark).count();
    if config.delete {
        count = (count + by_size(&parts[count..], config.retention_bytes)).min(most.max(count));
        while count < most && is_expired(shared, log, parts[count].base, config.retention_ms).await? {
            count += 1;
        }
    }
    Ok(count.checked_sub(1).map(|last| parts[last].end))
}

/// How many of the first segments are too many: without them there are still `limit` bytes.
fn by_size(parts: &[Part], limit: i64) -> usize {
    let Ok(limit) = u64::try_from(limit) else { return 0 };
    let mut left: u64 = parts.iter().map(|part| part.bytes).sum();
    let goes = |part: &&Part| {
        let goes = left >= limit.saturating_add(part.bytes);
        if goes {
            left -= part.bytes;
        }
        goes
    };
    parts.iter().take_while(goes).count()
}

async fn is_expired(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    base: i64,
    retention_ms: i64,
) -> Result<bool, StorageError> {
    if retention_ms < 0 {
        return Ok(false);
    }
    let newest = newest(shared, log, base).await?;
    let now_ms = executor::wall_clock_ms();
    Ok(newest.is_some_and(|newest| now_ms.saturating_sub(newest) > retention_ms))
}

/// The largest timestamp in a segment; of one without timestamps, when it was begun, or first looked at since the
/// start. `None`: it is gone.
pub(crate) async fn newest(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    base: i64,
) -> Result<Option<i64>, StorageError> {
    loop {
        {
            let mut state = log.state.borrow_mut();
            let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == base) else {
                return Ok(None);
            };
            let indexed = segment.index.as_ref();
            let indexed = indexed.map(|index| index.max_timestamp.map_or(-1, |(timestamp, _)| timestamp));
            let stored = segment.newest.or(indexed).or((segment.written == 0).then_some(-1));
            if let Some(stored) = stored {
                let newest = stored.max(segment.live_max.map_or(-1, |(timestamp, _)| timestamp));
                if newest >= 0 {
                    return Ok(Some(newest));
                }
                if segment.created_ms == 0 {
                    segment.created_ms = executor::wall_clock_ms();
                }
                return Ok(Some(segment.created_ms));
            }
        }
        load::build_index(shared, log, base).await?;
        let mut state = log.state.borrow_mut();
        if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == base) {
            // Only the number is kept: there are many segments, and most are never read again.
            let index = segment.index.take();
            segment.newest = index.map(|index| index.max_timestamp.map_or(-1, |(timestamp, _)| timestamp));
        }
    }
}

/// Reads the time of the first batch of the segment that is appended to, if that was not done since the start.
async fn learn_age(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    let base = log.state.borrow().segments.last().map(|segment| segment.base);
    match base {
        Some(base) => first_timestamp(shared, log, base).await.map(drop),
        None => Ok(()),
    }
}

/// The largest timestamp of a segment's first batch; -1: it has none.
pub(crate) async fn first_timestamp(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    base: i64,
) -> Result<i64, StorageError> {
    let written = {
        let state = log.state.borrow();
        let Some(segment) = state.segments.iter().find(|segment| segment.base == base) else { return Ok(-1) };
        if segment.first_timestamp != UNREAD || segment.written == 0 {
            return Ok(segment.first_timestamp.max(-1));
        }
        segment.written
    };
    let first = read_first_timestamp(shared, log, base, written).await?;
    let mut state = log.state.borrow_mut();
    if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == base) {
        segment.first_timestamp = first;
    }
    Ok(first)
}

async fn read_first_timestamp(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    base: i64,
    written: u32,
) -> Result<i64, StorageError> {
    let file = shared.files.open(&log.segment_path(base), false).await?;
    let limit = u64::from(written).min(4096);
    let mut window = Window::new(file.handle, &file.path, shared.options.pool.clone(), limit);
    let bytes = window.at(0, HEADER_BYTES).await?;
    // What is broken there is found, and reported, by who reads it.
    Ok(BatchHeader::parse(&bytes).map_or(-1, |header| header.max_timestamp.max(-1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_segments_go_that_the_limit_is_still_kept() {
        let parts = [10, 20, 30].map(|bytes| Part { base: 0, bytes, end: 0 });
        let counts = [-1, 61, 60, 51, 50, 49, 31, 30, 1, 0].map(|limit| by_size(&parts, limit));
        assert_eq!(counts, [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]);
        assert_eq!(by_size(&parts, i64::MAX), 0);
    }
}
