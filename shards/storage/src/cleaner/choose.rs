//! Which part of a log may be compacted, and whether it is worth it.

use super::state::CleanerState;
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::partition::{Log, load, retention};
use crate::store::Shared;
use std::rc::Rc;

/// A segment as the cleaner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its first offset.
    pub base: i64,
    /// The first offset behind it.
    pub end: i64,
    pub bytes: u64,
    /// Nothing more comes into it, and what is there is synced.
    pub finished: bool,
}

/// What of a log is dirty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dirty {
    /// All segments.
    pub parts: Vec<Part>,
    pub first_dirty: i64,
    /// The beginning of the first segment that may not be touched.
    pub first_uncleanable: i64,
    pub dirty_bytes: u64,
    /// Dirty bytes as a share of these and the clean ones.
    pub ratio: f64,
    /// It is to be compacted however little is dirty.
    pub overdue: bool,
}

/// The segments of a log.
fn parts(log: &Log) -> Vec<Part> {
    let state = log.state.borrow();
    let ends = state.segments.iter().skip(1).map(|segment| segment.base).chain([state.log_end]);
    let part = |(segment, end): (&crate::segment::Segment, i64)| Part {
        base: segment.base,
        end,
        bytes: u64::from(segment.bytes),
        finished: segment.finished && segment.written == segment.bytes,
    };
    state.segments.iter().zip(ends).map(part).collect()
}

/// Counts what lies between the first dirty offset and the segment that holds `uncleanable`.
fn measure(parts: Vec<Part>, first_dirty: i64, uncleanable: i64) -> Dirty {
    let holds = parts.iter().rposition(|part| part.base <= uncleanable).map(|index| parts[index].base);
    // The segment that is appended to is never touched.
    let active = parts.last().map_or(0, |part| part.base);
    let first_uncleanable = holds.unwrap_or_else(|| parts.first().map_or(0, |part| part.base)).min(active);
    let sum = |of: &dyn Fn(&Part) -> bool| -> u64 {
        parts.iter().filter(|part| of(part)).map(|part| part.bytes).sum()
    };
    let dirty_bytes = sum(&|part| part.end > first_dirty && part.base < first_uncleanable);
    let clean_bytes = sum(&|part| part.base < first_dirty);
    let all = clean_bytes + dirty_bytes;
    let ratio = if all == 0 { 0.0 } else { dirty_bytes as f64 / all as f64 };
    Dirty { parts, first_dirty, first_uncleanable, dirty_bytes, ratio, overdue: false }
}

/// How far a log was compacted.
pub(crate) async fn state(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<CleanerState, StorageError> {
    if let Some(known) = log.cleaned.get() {
        return Ok(known);
    }
    let found = CleanerState::read(&log.directory, &shared.options.pool).await?.unwrap_or_default();
    log.cleaned.set(Some(found));
    Ok(found)
}

/// What of a log is dirty now.
pub(crate) async fn examine(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    config: &LogConfig,
    now_ms: i64,
) -> Result<Dirty, StorageError> {
    let older = log.state.borrow().older_unknown;
    if older {
        load::list_older(log).await?;
    }
    let cleaned = state(shared, log).await?;
    let parts = parts(log);
    let (log_start, log_end) = {
        let state = log.state.borrow();
        (state.log_start, state.log_end)
    };
    // A state that is behind the log's end is of another log: all of this one is dirty.
    let first_dirty =
        if cleaned.first_dirty > log_end { log_start } else { cleaned.first_dirty.max(log_start) };
    let mut uncleanable = log.first_unstable();
    if let Some(part) = parts.iter().find(|part| !part.finished) {
        uncleanable = uncleanable.min(part.base);
    }
    if config.min_compaction_lag_ms > 0 {
        let limit = now_ms.saturating_sub(config.min_compaction_lag_ms);
        for part in parts.iter().filter(|part| part.end > first_dirty && part.finished) {
            if retention::newest(shared, log, part.base).await?.is_some_and(|newest| newest > limit) {
                uncleanable = uncleanable.min(part.base);
                break;
            }
        }
    }
    let mut dirty = measure(parts, first_dirty, uncleanable);
    if config.max_compaction_lag_ms < i64::MAX {
        dirty.overdue = is_overdue(shared, log, &dirty, now_ms - config.max_compaction_lag_ms.max(0)).await?;
    }
    Ok(dirty)
}

/// Whether a dirty segment begins with a batch from before `limit_ms`.
async fn is_overdue(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    dirty: &Dirty,
    limit_ms: i64,
) -> Result<bool, StorageError> {
    let waiting = |part: &&Part| part.end > dirty.first_dirty && part.finished && part.bytes > 0;
    for part in dirty.parts.iter().filter(waiting) {
        let first = retention::first_timestamp(shared, log, part.base).await?;
        if first > 0 && first < limit_ms {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The groups of segments below `end` that each become one segment: none larger than `segment_bytes` unless it is one
/// segment, and none whose offsets do not fit into 31 bits.
pub(crate) fn groups(parts: &[Part], end: i64, segment_bytes: u64) -> Vec<Vec<Part>> {
    let mut groups: Vec<Vec<Part>> = Vec::new();
    for part in parts.iter().filter(|part| part.base < end) {
        let fits = groups.last().is_some_and(|group| {
            let bytes: u64 = group.iter().map(|part| part.bytes).sum();
            bytes + part.bytes <= segment_bytes && part.end - 1 - group[0].base <= i64::from(i32::MAX)
        });
        match groups.last_mut().filter(|_| fits) {
            Some(group) => group.push(*part),
            None => groups.push(vec![*part]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(i64, i64, u64)]) -> Vec<Part> {
        rows.iter().map(|&(base, end, bytes)| Part { base, end, bytes, finished: true }).collect()
    }

    #[test]
    fn what_is_dirty_is_counted_as_kafka_does() {
        let all = rows(&[(0, 10, 100), (10, 20, 100), (20, 30, 200), (30, 40, 400)]);
        let seen = |first_dirty, uncleanable| {
            let dirty = measure(all.clone(), first_dirty, uncleanable);
            (dirty.first_uncleanable, dirty.dirty_bytes, dirty.ratio)
        };
        assert_eq!(seen(0, 40), (30, 400, 1.0), "never the last segment");
        assert_eq!(seen(10, 30), (30, 300, 0.75));
        assert_eq!(seen(10, 29), (20, 100, 0.5), "only whole segments");
        assert_eq!(seen(20, 10), (10, 0, 0.0));
        assert_eq!(seen(15, 30), (30, 300, 0.6), "a segment that is clean in part counts for both");
        assert_eq!(measure(Vec::new(), 0, 0).ratio, 0.0);
    }

    #[test]
    fn groups_fill_segments_and_keep_to_31_bits() {
        let far = 10 + i64::from(i32::MAX);
        let all =
            rows(&[(0, 10, 60), (10, 20, 40), (20, 30, 1), (30, 40, 500), (40, far, 0), (far, far + 31, 0)]);
        let bases = |end, bytes| -> Vec<Vec<i64>> {
            let groups = groups(&all, end, bytes);
            groups.iter().map(|group| group.iter().map(|part| part.base).collect()).collect()
        };
        assert_eq!(bases(far + 1, 100), [vec![0, 10], vec![20], vec![30], vec![40, far]]);
        assert_eq!(bases(21, 1000), [vec![0, 10, 20]]);
        assert_eq!(bases(far, 1000), [vec![0, 10, 20, 30], vec![40]]);
    }
}
