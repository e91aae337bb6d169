//! A rewritten file takes the place of the segments that it was made of.
//!
//! `docs/log-cleaning.md` has the table: what each step is, and what a crash behind it leaves.

use super::CleanError;
use super::choose::Part;
use crate::error::StorageError;
use crate::partition::{Log, delete, finish};
use crate::segment::Segment;
use crate::store::Shared;
use driver::Errno;
use executor::io;
use std::path::Path;
use std::rc::Rc;

/// Ending of a file that is being written.
pub(crate) const CLEANED: &str = "cleaned";
/// Ending of a file that is whole, and on its way to its place.
pub(crate) const SWAP: &str = "swap";

/// The name of a file that holds the offsets from `base` on to before `end`.
pub(crate) fn name(base: i64, end: i64, ending: &str) -> String {
    format!("{base:020}-{end:020}.{ending}")
}

/// The offsets in such a name.
pub(crate) fn offsets_of_name(name: &str, ending: &str) -> Option<(i64, i64)> {
    let (base, end) = name.strip_suffix(ending)?.strip_suffix('.')?.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Some((number(base)?, number(end)?))
}

/// Puts `<base>-<end>.cleaned`, which is synced, in the place of a group of segments.
pub(crate) async fn swap(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    group: &[Part],
    segment: Segment,
) -> Result<(), CleanError> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
    let (base, end) = (first.base, last.end);
    let cleaned = log.directory.join(name(base, end, CLEANED));
    let swap = log.directory.join(name(base, end, SWAP));
    let _writing = log.writer.take(1).await;
    if !is_there(log, group) {
        return Err(CleanError::Ended);
    }
    // Readers find the files as they were, whatever their names are meanwhile.
    for part in group {
        let file = shared.files.open(&log.segment_path(part.base), false).await;
        match file {
            Ok(file) => shared.files.pin(file),
            Err(error) => {
                unpin(shared, log, group);
                return Err(error.into());
            }
        }
    }
    let others: Vec<i64> = group[1..].iter().map(|part| part.base).collect();
    let placed = place(log, &cleaned, &swap, base, &others).await;
    if let Err(error) = placed {
        unpin(shared, log, group);
        log::error!("{}: a compacted segment could not be put in its place: {error}", log.id);
        let errno = match error {
            StorageError::Io { errno, .. } => errno,
            _ => Errno::IO,
        };
        shared.go_offline(errno, "replace segments in", &log.directory);
        return Err(CleanError::Ended);
    }
    adopt(log, group, segment);
    unpin(shared, log, group);
    finish::full_segments(shared, log).await?;
    Ok(())
}

/// Whether the group is in the log as it was when it was read.
fn is_there(log: &Log, group: &[Part]) -> bool {
    let state = log.state.borrow();
    let bases: Vec<i64> = state.segments.iter().map(|segment| segment.base).collect();
    let at = bases.iter().position(|&base| base == group[0].base);
    let Some(there) = at.and_then(|at| bases.get(at..at + group.len() + 1)) else { return false };
    let wanted = group.iter().map(|part| part.base).chain(group.last().map(|part| part.end));
    !state.deleted && there.iter().copied().eq(wanted)
}

/// Steps 2 to 5.
async fn place(
    log: &Log,
    cleaned: &Path,
    swap: &Path,
    base: i64,
    others: &[i64],
) -> Result<(), StorageError> {
    io::rename(cleaned, swap).await.map_err(StorageError::io("rename", cleaned))?;
    sync(log).await?;
    complete(log, swap, base, others).await
}

/// Steps 3 to 5: all that is left to be done when a `.swap` is there. `others`: segments between `base` and its end.
pub(crate) async fn complete(log: &Log, swap: &Path, base: i64, others: &[i64]) -> Result<(), StorageError> {
    delete::remove_index(log, base).await?;
    for &other in others {
        delete::remove(&log.segment_path(other)).await?;
        delete::remove_index(log, other).await?;
    }
    // Durable before the new segment stands beside what it replaces.
    sync(log).await?;
    io::rename(swap, log.segment_path(base)).await.map_err(StorageError::io("rename", swap))?;
    sync(log).await
}

async fn sync(log: &Log) -> Result<(), StorageError> {
    io::sync_directory(&log.directory).await.map_err(StorageError::io("sync", &log.directory))
}

/// The new segment is what readers find from now on.
fn adopt(log: &Log, group: &[Part], mut segment: Segment) {
    let mut state = log.state.borrow_mut();
    let state = &mut *state;
    let at = state.segments.partition_point(|other| other.base < segment.base);
    let end = segment.written_next;
    segment.created_ms = state.segments.get(at).map_or(0, |old| old.created_ms);
    drop(state.segments.splice(at..at + group.len(), [segment]));
    // What is in memory of these segments is what they were.
    while state.drained > 0 && state.tail.front().is_some_and(|batch| batch.base < end) {
        state.tail.pop_front();
        state.drained -= 1;
    }
    log.layout.set(log.layout.get() + 1);
}

fn unpin(shared: &Shared, log: &Log, group: &[Part]) {
    for part in group {
        shared.files.unpin(&log.segment_path(part.base));
    }
}

/// Removes a file of a rewriting that has ended early.
pub(crate) async fn abandon(log: &Log, base: i64, end: i64) {
    let path = log.directory.join(name(base, end, CLEANED));
    if let Err(error) = delete::remove(&path).await {
        log::warn!("{error}; the next start does");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::file_name;

    #[test]
    fn names_come_back_and_are_no_segments() {
        assert_eq!(offsets_of_name(&name(7, 19, SWAP), SWAP), Some((7, 19)));
        assert_eq!(offsets_of_name(&name(7, 19, SWAP), CLEANED), None);
        assert_eq!(offsets_of_name(&file_name(7, "log"), SWAP), None);
        assert_eq!(offsets_of_name("1-2.swap", SWAP), None);
    }
}
