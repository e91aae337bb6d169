//! Snapshots: an image as a file, which replaces the log before it.

use crate::error::MetadataError;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, FrameBuilder, HeaderError};
use crate::image::{Builder, Image, records};
use crate::inspect;
use crate::log::{io_error, list, log_path, read_file};
use driver::{Errno, Handle, OpenOptions};
use executor::io;
use memory::{Pool, Slice};
use std::path::{Path, PathBuf};

/// Payload of a frame before the next one is begun.
const FRAME_BYTES: usize = 256 * 1024;
/// Records between two chances for other tasks.
const PORTION: u64 = 256;

pub(crate) fn path(directory: &Path, offset: i64) -> PathBuf {
    directory.join(format!("{offset:020}.snapshot"))
}

/// Writes the snapshot of an image, durably under its name; then removes what it makes superfluous.
pub(crate) async fn write(directory: &Path, image: &Image) -> Result<u64, MetadataError> {
    let path = path(directory, image.offset());
    let unfinished = path.with_extension("snapshot.tmp");
    let options = OpenOptions { truncate: true, ..OpenOptions::CREATE };
    let file = io::open(&unfinished, options).await.map_err(io_error(&unfinished, "create"))?;
    let written = write_file(file, image).await;
    let closed = io::close(file).await;
    let bytes = match written.and_then(|bytes| closed.map(|()| bytes)) {
        Ok(bytes) => bytes,
        Err(errno) => {
            // If this fails too, the next start removes it.
            let _ = io::remove(&unfinished).await;
            return Err(io_error(&unfinished, "write")(errno));
        }
    };
    io::rename(&unfinished, &path).await.map_err(io_error(&path, "rename to"))?;
    io::sync_directory(directory).await.map_err(io_error(directory, "sync"))?;
    remove_older(directory, image.offset()).await?;
    Ok(bytes)
}

async fn write_file(file: Handle, image: &Image) -> Result<u64, Errno> {
    let header = FileHeader::new(FileKind::Snapshot, image.offset(), image.epoch()).encode().to_vec();
    io::write(file, 0, Slice::from(header), false).await.0?;
    let (mut at, mut index) = (FILE_HEADER_BYTES as u64, 0u64);
    let mut frame = FrameBuilder::new(0, image.epoch());
    for record in records(image) {
        if frame.payload_bytes() >= FRAME_BYTES {
            let full = std::mem::replace(&mut frame, FrameBuilder::new(index as i64, image.epoch()));
            at = write_frame(file, at, full).await?;
        }
        frame.add(&record);
        index += 1;
        if index.is_multiple_of(PORTION) {
            executor::yield_now().await;
        }
    }
    at = write_frame(file, at, frame).await?;
    if index > 0 {
        at = write_frame(file, at, FrameBuilder::new(index as i64, image.epoch())).await?;
    }
    io::sync(file).await?;
    Ok(at)
}

async fn write_frame(file: Handle, mut at: u64, frame: FrameBuilder) -> Result<u64, Errno> {
    for piece in frame.finish() {
        let length = piece.len() as u64;
        io::write(file, at, Slice::from(piece), false).await.0?;
        at += length;
    }
    Ok(at)
}

/// Removes the logs and snapshots that the snapshot at `offset` covers. The log was rolled at that offset before,
/// so every log that begins before it ends there or earlier.
pub(crate) async fn remove_older(directory: &Path, offset: i64) -> Result<(), MetadataError> {
    let listing = list(directory).await?;
    let logs = listing.logs.iter().filter(|base| **base < offset).map(|base| log_path(directory, *base));
    let snapshots = listing.snapshots.iter().filter(|at| **at < offset).map(|at| path(directory, *at));
    for old in logs.chain(snapshots) {
        io::remove(&old).await.map_err(io_error(&old, "remove"))?;
    }
    io::sync_directory(directory).await.map_err(io_error(directory, "sync"))
}

/// The image of a snapshot.
pub(crate) async fn load(directory: &Path, offset: i64, pool: &Pool) -> Result<Image, MetadataError> {
    let path = path(directory, offset);
    let bytes = read_file(&path, pool).await?;
    decode(&path, &bytes, offset)
}

/// The image in a snapshot's bytes. A snapshot got its name when it was whole: anything amiss is damage.
pub(crate) fn decode(path: &Path, bytes: &[u8], offset: i64) -> Result<Image, MetadataError> {
    let damaged = |position, what: String| MetadataError::Damaged { file: path.to_owned(), position, what };
    let header = match inspect::header(bytes) {
        Ok(header) if header.kind == FileKind::Snapshot && header.offset == offset => header,
        Ok(_) => return Err(damaged(0, "the header is of another file".to_owned())),
        Err(HeaderError::Version(version)) => {
            return Err(MetadataError::Version { file: path.to_owned(), version });
        }
        Err(HeaderError::Damaged) => {
            return Err(damaged(0, "the header's checksum does not match".to_owned()));
        }
    };
    let mut builder = Builder::new(&Image::default(), header.epoch);
    let (mut index, mut ended, mut end) = (0i64, false, FILE_HEADER_BYTES as u64);
    for commit in inspect::commits(bytes) {
        let commit = commit.map_err(|flaw| damaged(flaw.position, "a checksum does not match".to_owned()))?;
        let position = commit.position;
        if commit.base_offset != index || ended {
            return Err(damaged(position, "frames are out of order".to_owned()));
        }
        for record in commit.records() {
            let unreadable = |error| MetadataError::Unreadable { file: path.to_owned(), position, error };
            let applied = builder.apply(&record.map_err(unreadable)?);
            applied.map_err(|error| damaged(position, error.to_string()))?;
            index += 1;
        }
        if index - commit.base_offset != i64::from(commit.record_count) {
            return Err(damaged(position, "a frame has another number of records than it says".to_owned()));
        }
        (ended, end) = (commit.record_count == 0, commit.end());
    }
    if !ended || end != bytes.len() as u64 {
        return Err(damaged(end, "this is not its end".to_owned()));
    }
    builder.set_offset(header.offset);
    Ok(builder.finish())
}
