//! What was replayed goes into the segments: many files, several at once.

use crate::error::StorageError;
use crate::segment::file_name;
use driver::{Errno, Handle, OpenOptions};
use executor::{io, join_some};
use memory::Slice;
use model::TopicPartition;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files that are written, or synced, at once: the device's way there and back is longer than most of the writes.
pub(super) const AT_ONCE: usize = 32;

/// A run of bytes for one segment.
pub(super) struct Run {
    pub position: u32,
    pub bytes: Vec<u8>,
}

/// What one segment gets.
pub(super) struct Target {
    pub id: TopicPartition,
    /// Its name is on the device, if it is there.
    pub named: bool,
    /// Its first offset.
    pub segment: i64,
    /// The partition's directory.
    pub directory: PathBuf,
    /// In the order in which they came.
    pub runs: Vec<Run>,
}

/// Writes what each segment gets, unsynced; returns the files, and whether their names are on the device.
pub(super) async fn write_all(targets: Vec<Target>) -> Result<Vec<(PathBuf, bool)>, StorageError> {
    let written = join_some(targets.into_iter().map(write), AT_ONCE).await;
    written.into_iter().collect()
}

async fn write(target: Target) -> Result<(PathBuf, bool), StorageError> {
    let path = target.directory.join(file_name(target.segment, "log"));
    let (handle, was_there) = open(&target.directory, &path).await?;
    let mut result = Ok(());
    for run in target.runs {
        if result.is_ok() {
            result = io::write(handle, u64::from(run.position), Slice::from(run.bytes), false).await.0;
        }
    }
    let _ = io::close(handle).await;
    result.map_err(StorageError::io("write", &path))?;
    Ok((path, target.named && was_there))
}

/// Opens a segment's file, which most often is there, or makes it; says whether it was.
async fn open(directory: &Path, path: &Path) -> Result<(Handle, bool), StorageError> {
    match io::open(path, OpenOptions::WRITE).await {
        Err(Errno::NOENT) => {
            io::make_directories(directory).await.map_err(StorageError::io("make", directory))?;
            let made = io::open(path, OpenOptions::CREATE).await.map_err(StorageError::io("open", path))?;
            Ok((made, false))
        }
        opened => Ok((opened.map_err(StorageError::io("open", path))?, true)),
    }
}

/// Puts what was written to files on the device, then the names in directories.
pub(super) async fn sync_all(
    files: impl Iterator<Item = &PathBuf>,
    directories: &BTreeSet<PathBuf>,
) -> Result<(), StorageError> {
    let synced = join_some(files.map(|path| sync(path)), AT_ONCE).await;
    synced.into_iter().collect::<Result<(), StorageError>>()?;
    let synced = join_some(directories.iter().map(|path| sync_names(path)), AT_ONCE).await;
    synced.into_iter().collect()
}

async fn sync_names(directory: &Path) -> Result<(), StorageError> {
    io::sync_directory(directory).await.map_err(StorageError::io("sync", directory))
}

async fn sync(path: &Path) -> Result<(), StorageError> {
    let handle = io::open(path, OpenOptions::WRITE).await.map_err(StorageError::io("open", path))?;
    let result = io::sync(handle).await;
    let _ = io::close(handle).await;
    result.map_err(StorageError::io("sync", path))
}
