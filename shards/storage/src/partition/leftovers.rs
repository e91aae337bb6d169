//! What a crash left in a log's directory: it is removed before the log is opened.

use super::{Log, delete};
use crate::error::StorageError;
use crate::segment::offset_of_name;
use driver::Errno;
use executor::io;
use std::collections::BTreeSet;

/// Removes files that were to be removed, files that were being written under another name, and index files of
/// segments that are gone.
pub(super) async fn remove(log: &Log) -> Result<(), StorageError> {
    let entries = match io::list_directory(&log.directory).await {
        Ok(entries) => entries,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(StorageError::io("list", &log.directory)(errno)),
    };
    let there: BTreeSet<i64> =
        entries.iter().filter_map(|entry| offset_of_name(&entry.name, "log")).collect();
    for entry in &entries {
        let of_gone = ["index", "timeindex"]
            .iter()
            .filter_map(|extension| offset_of_name(&entry.name, extension))
            .any(|base| !there.contains(&base));
        if of_gone || entry.name.ends_with(".deleted") || entry.name.ends_with(".new") {
            delete::remove(&log.directory.join(&entry.name)).await?;
        }
    }
    Ok(())
}
