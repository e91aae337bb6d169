//! What a crash left in a log's directory: it is removed before the log is opened.

use super::{Log, delete};
use crate::cleaner::swap;
use crate::error::StorageError;
use crate::segment::offset_of_name;
use driver::{DirectoryEntry, Errno};
use executor::io;
use std::collections::BTreeSet;

/// Ends a swap of compacted segments, and removes files that were to be removed, files that were being written under another name, and index files of
/// segments that are gone.
/// Returns what was found in the directory, with some that is gone now: nothing that a start looks for.
pub(super) async fn remove(log: &Log) -> Result<Vec<DirectoryEntry>, StorageError> {
    let mut entries = list(log).await?;
    let swaps: Vec<(i64, i64)> =
        entries.iter().filter_map(|entry| swap::offsets_of_name(&entry.name, swap::SWAP)).collect();
    for &(base, end) in &swaps {
        let others: Vec<i64> = segments(&entries)
            .range(base.saturating_add(1)..end.max(base.saturating_add(1)))
            .copied()
            .collect();
        let path = log.directory.join(swap::name(base, end, swap::SWAP));
        swap::complete(log, &path, base, &others).await?;
        log::info!("{}: {}: put in its place, as it was to be", log.id, path.display());
        entries = list(log).await?;
    }
    let there = segments(&entries);
    for entry in &entries {
        let of_gone = ["index", "timeindex"]
            .iter()
            .filter_map(|extension| offset_of_name(&entry.name, extension))
            .any(|base| !there.contains(&base));
        let cleaned = swap::offsets_of_name(&entry.name, swap::CLEANED).is_some();
        if of_gone || cleaned || entry.name.ends_with(".deleted") || entry.name.ends_with(".new") {
            delete::remove(&log.directory.join(&entry.name)).await?;
        }
    }
    Ok(entries)
}

async fn list(log: &Log) -> Result<Vec<DirectoryEntry>, StorageError> {
    match io::list_directory(&log.directory).await {
        Ok(entries) => Ok(entries),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(StorageError::io("list", &log.directory)(errno)),
    }
}

/// The first offsets of the segments there are.
fn segments(entries: &[DirectoryEntry]) -> BTreeSet<i64> {
    entries.iter().filter_map(|entry| offset_of_name(&entry.name, "log")).collect()
}
