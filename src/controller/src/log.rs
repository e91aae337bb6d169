//! The log's files: replay at start, durable appends, rolling to a new file.
//!
//! What recovery concludes from which bytes is in `docs/formats/metadata.md`. In short: only the last commit may
//! be torn, for the next is written when it is durable; so bytes that are no commit with a whole commit
//! behind them are damage, and without one they are a torn end.

use crate::error::MetadataError;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, HeaderError};
use crate::image::{Builder, Image};
use crate::inspect::{self, Commit};
use crate::snapshot;
use driver::{Errno, Handle, OpenOptions};
use executor::io;
use memory::{Pool, Slice};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The log while it is written.
#[derive(Debug)]
pub(crate) struct MetadataLog {
    directory: PathBuf,
    path: PathBuf,
    file: Handle,
    base_offset: i64,
    end: u64,
    /// So many bytes of the file have their place on the device.
    reserved: u64,
    broken: bool,
    /// What replay read from the files after the last snapshot: bytes and records.
    replayed: (u64, u64),
}

/// Why an append failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// There is no room. The log is as before, and the next append may succeed.
    NoSpace(Errno),
    /// What the file holds is unknown. Only a start, which verifies it, makes it usable again.
    Broken(Errno),
}

pub(crate) fn io_error(file: &Path, doing: &'static str) -> impl FnOnce(Errno) -> MetadataError {
    move |errno| MetadataError::Io { file: file.to_owned(), doing, errno }
}

/// What lies in the directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Base offsets of logs, in order.
    pub(crate) logs: Vec<i64>,
    /// Offsets of snapshots, in order.
    pub(crate) snapshots: Vec<i64>,
    /// Files that were being written when the broker went down.
    pub(crate) leftovers: Vec<PathBuf>,
}

pub(crate) fn log_path(directory: &Path, base_offset: i64) -> PathBuf {
    directory.join(format!("{base_offset:020}.log"))
}

pub(crate) async fn list(directory: &Path) -> Result<Listing, MetadataError> {
    let entries = io::list_directory(directory).await.map_err(io_error(directory, "list"))?;
    let mut listing = Listing::default();
    for entry in entries.into_iter().filter(|entry| !entry.is_directory) {
        let Some((stem, kind)) = entry.name.split_once('.') else { continue };
        let number = (stem.len() == 20).then(|| stem.parse::<i64>().ok()).flatten();
        match (number, kind) {
            (Some(number), "log") => listing.logs.push(number),
            (Some(number), "snapshot") => listing.snapshots.push(number),
            (Some(_), "snapshot.tmp") => listing.leftovers.push(directory.join(&entry.name)),
            _ => {}
        }
    }
    listing.logs.sort_unstable();
    listing.snapshots.sort_unstable();
    Ok(listing)
}

/// The whole of a file.
pub(crate) async fn read_file(path: &Path, pool: &Pool) -> Result<Vec<u8>, MetadataError> {
    let file = io::open(path, OpenOptions::READ).await.map_err(io_error(path, "open"))?;
    let result = read_handle(file, path, pool).await;
    io::close(file).await.map_err(io_error(path, "close"))?;
    result
}

async fn read_handle(file: Handle, path: &Path, pool: &Pool) -> Result<Vec<u8>, MetadataError> {
    let mut bytes = Vec::new();
    let mut block = pool.take(READ_BYTES).ok_or(MetadataError::NoMemory)?;
    loop {
        let (result, back) = io::read(file, bytes.len() as u64, block, READ_BYTES).await;
        block = back;
        match result.map_err(io_error(path, "read"))? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&block[..count]),
        }
    }
}

/// A log file's end as replay found it.
struct Replayed {
    /// The header is whole. If not, neither is anything behind it.
    headed: bool,
    /// Where the last whole commit ends.
    end: u64,
    /// Bytes behind that, of which some were written.
    torn: u64,
    /// Or bytes behind it that were only reserved.
    reserved: u64,
}

impl MetadataLog {
    /// Opens the log in a directory, making both if they are not there, and replays it.
    ///
    /// # Errors
    /// Damage, missing files, unknown formats: then nothing was changed.
    pub(crate) async fn open(directory: &Path, pool: &Pool) -> Result<(MetadataLog, Image), MetadataError> {
        io::make_directories(directory).await.map_err(io_error(directory, "make"))?;
        let above = directory.parent().unwrap_or(directory);
        io::sync_names(directory, above).await.map_err(io_error(directory, "sync"))?;
        let listing = list(directory).await?;
        let image = match listing.snapshots.last() {
            Some(offset) => snapshot::load(directory, *offset, pool).await?,
            None => Image::default(),
        };
        let began = image.offset();
        let logs: Vec<i64> = listing.logs.iter().copied().filter(|base| *base >= began).collect();
        if logs.first() != Some(&began) && !(listing.logs.is_empty() && listing.snapshots.is_empty()) {
            return Err(MetadataError::Missing { file: log_path(directory, began) });
        }
        let mut builder = Builder::new(&image, image.epoch());
        let mut active: Option<(i64, Replayed)> = None;
        let mut replayed_bytes = 0;
        let (mut cuts, mut empty) = (Vec::new(), Vec::new());
        for base in logs {
            let path = log_path(directory, base);
            let bytes = read_file(&path, pool).await?;
            let expected = builder.so_far().offset();
            if base < expected && inspect::commits(&bytes).all(|commit| commit.is_err()) {
                empty.push(path);
                continue;
            }
            if base != expected {
                return Err(MetadataError::Gap { file: path, expected, found: base });
            }
            let replayed = replay(&path, &bytes, base, &mut builder)?;
            if replayed.torn > 0 {
                cuts.push((path, replayed.end, replayed.torn));
            }
            replayed_bytes += replayed.end;
            active = Some((base, replayed));
        }
        // All is well: from here on the directory is changed.
        for path in listing.leftovers.iter().chain(&empty) {
            log::info!("metadata: removing {}, which was never in use", path.display());
            io::remove(path).await.map_err(io_error(path, "remove"))?;
        }
        for (path, end, torn) in cuts {
            log::info!(
                "metadata: cutting {torn} bytes of an unfinished commit from {} at {end}",
                path.display()
            );
            cut(&path, end).await?;
        }
        let image = builder.finish();
        let mut log = match active {
            Some((base, replayed)) if replayed.headed => {
                MetadataLog::resume(directory, base, &replayed).await?
            }
            _ => MetadataLog::create(directory, image.offset(), image.epoch())
                .await
                .map_err(io_error(&log_path(directory, image.offset()), "create"))?,
        };
        // Without it changes are refused until there is room; topics can still be deleted where a part is there.
        let _ = log.keep_room().await;
        log.replayed = (replayed_bytes, (image.offset() - began) as u64);
        Ok((log, image))
    }

    async fn resume(
        directory: &Path,
        base_offset: i64,
        replayed: &Replayed,
    ) -> Result<MetadataLog, MetadataError> {
        let path = log_path(directory, base_offset);
        let file = io::open(&path, OpenOptions::WRITE).await.map_err(io_error(&path, "open"))?;
        // What replay has just read may be in the page cache only, if the broker was killed before its sync;
        // it counts from now on, so it must be on the device.
        io::sync(file).await.map_err(io_error(&path, "sync"))?;
        io::sync_directory(directory).await.map_err(io_error(directory, "sync"))?;
        let mut log = MetadataLog::at(directory, path, file, base_offset, replayed.end);
        // What was reserved before the start stays so, though there may be no more.
        let _ = log.claim(replayed.end + replayed.reserved).await;
        Ok(log)
    }

    /// A log that is appended to from `end` on.
    fn at(directory: &Path, path: PathBuf, file: Handle, base_offset: i64, end: u64) -> MetadataLog {
        let directory = directory.to_owned();
        let (reserved, broken, replayed) = (end, false, (0, 0));
        MetadataLog { directory, path, file, base_offset, end, reserved, broken, replayed }
    }

    /// A new file with its header, durable under its name.
    async fn create(directory: &Path, base_offset: i64, epoch: i32) -> Result<MetadataLog, Errno> {
        let path = log_path(directory, base_offset);
        let options = OpenOptions { truncate: true, ..OpenOptions::CREATE };
        let file = io::open(&path, options).await?;
        let header = FileHeader::new(FileKind::Log, base_offset, epoch).encode().to_vec();
        let written = async {
            io::write(file, 0, Slice::from(header), true).await.0?;
            io::sync(file).await?;
            io::sync_directory(directory).await
        };
        if let Err(errno) = written.await {
            io::close(file).await?;
            io::remove(&path).await?;
            return Err(errno);
        }
        let end = FILE_HEADER_BYTES as u64;
        Ok(MetadataLog::at(directory, path, file, base_offset, end))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes and records of log that came after the last snapshot when the log was opened.
    pub(crate) fn replayed(&self) -> (u64, u64) {
        self.replayed
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends a commit, durably; one that is `urgent` also in the space that others leave alone.
    pub(crate) async fn append(&mut self, pieces: Vec<Vec<u8>>, urgent: bool) -> Result<(), AppendError> {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.room_for(bytes, urgent).await.map_err(AppendError::NoSpace)?;
        match self.write(pieces).await {
            Ok(()) => {
                self.end += bytes;
                Ok(())
            }
            Err(errno) => Err(self.mend(errno).await),
        }
    }

    async fn write(&mut self, pieces: Vec<Vec<u8>>) -> Result<(), Errno> {
        // One piece is one durable write; several are written side by side, then synced once.
        let durable = pieces.len() == 1;
        let mut at = self.end;
        let mut writes = Vec::new();
        for piece in pieces {
            let length = piece.len() as u64;
            writes.push(io::write(self.file, at, Slice::from(piece), durable));
            at += length;
        }
        for (result, _) in executor::join_all(writes).await {
            result?;
        }
        if durable { Ok(()) } else { io::sync(self.file).await }
    }

    /// After a failed append: takes away what came of it, if the failure was only want of room.
    async fn mend(&mut self, errno: Errno) -> AppendError {
        if errno.is_out_of_space() {
            let cut = match io::truncate(self.file, self.end).await {
                Ok(()) => io::sync(self.file).await,
                Err(errno) => Err(errno),
            };
            if cut.is_ok() {
                self.lost_room().await;
                return AppendError::NoSpace(errno);
            }
        }
        self.broken = true;
        AppendError::Broken(errno)
    }

    /// Goes on in a new file, so that all before it can go once a snapshot has it. After an error the old file
    /// is still the log.
    pub(crate) async fn roll(&mut self, offset: i64, epoch: i32) -> Result<(), Errno> {
        if offset == self.base_offset {
            return Ok(());
        }
        let mut next = MetadataLog::create(&self.directory, offset, epoch).await?;
        if let Err(errno) = next.keep_room().await {
            // The old file has more.
            io::close(next.file).await?;
            io::remove(&next.path).await?;
            return Err(errno);
        }
        let last = std::mem::replace(self, next);
        // What it has behind its end may serve the snapshot. If this fails, it goes with the file.
        let _ = io::truncate(last.file, last.end).await;
        io::close(last.file).await
    }

    pub(crate) async fn close(self) {
        if let Err(errno) = io::close(self.file).await {
            log::warn!("metadata: closing {}: {errno}", self.path.display());
        }
    }
}

async fn cut(path: &Path, end: u64) -> Result<(), MetadataError> {
    let file = io::open(path, OpenOptions::WRITE).await.map_err(io_error(path, "open"))?;
    io::truncate(file, end).await.map_err(io_error(path, "truncate"))?;
    io::sync(file).await.map_err(io_error(path, "sync"))?;
    io::close(file).await.map_err(io_error(path, "close"))
}

/// Applies the commits of a file.
fn replay(path: &Path, bytes: &[u8], base: i64, builder: &mut Builder) -> Result<Replayed, MetadataError> {
    let damaged = |position, what: &str| MetadataError::Damaged {
        file: path.to_owned(),
        position,
        what: what.to_owned(),
    };
    match inspect::header(bytes) {
        Ok(header) if header.kind == FileKind::Log && header.offset == base => {}
        Ok(_) => return Err(damaged(0, "the header is of another file")),
        Err(HeaderError::Version(version)) => {
            return Err(MetadataError::Version { file: path.to_owned(), version });
        }
        Err(HeaderError::Damaged) if inspect::commits(bytes).any(|commit| commit.is_ok()) => {
            return Err(damaged(0, "the header's checksum does not match, though whole commits follow"));
        }
        // The file was being made when the broker went down.
        Err(HeaderError::Damaged) => {
            return Ok(Replayed { headed: false, end: 0, torn: 0, reserved: 0 });
        }
    }
    let (mut end, mut torn) = (FILE_HEADER_BYTES as u64, 0);
    for commit in inspect::commits(bytes) {
        match commit {
            Ok(commit) => {
                apply(path, &commit, builder)?;
                end = commit.end();
            }
            Err(flaw) => match flaw.resumes_at {
                Some(next) => {
                    let what = format!("no whole commit is here, but one is at byte {next}");
                    return Err(damaged(flaw.position, &what));
                }
                None => {
                    torn = bytes.len() as u64 - end;
                    break;
                }
            },
        }
    }
    Ok(Replayed { headed: true, end, torn, reserved: bytes.len() as u64 - end - torn })
}

fn apply(path: &Path, commit: &Commit<'_>, builder: &mut Builder) -> Result<(), MetadataError> {
    let position = commit.position;
    let damaged = |what: String| MetadataError::Damaged { file: path.to_owned(), position, what };
    let expected = builder.so_far().offset();
    if commit.base_offset != expected {
        return Err(damaged(format!(
            "a commit of offset {} where {expected} comes next",
            commit.base_offset
        )));
    }
    builder.set_epoch(commit.epoch);
    let mut count = 0u32;
    for record in commit.records() {
        let unreadable = |error| MetadataError::Unreadable { file: path.to_owned(), position, error };
        builder.apply(&record.map_err(unreadable)?).map_err(|error| damaged(error.to_string()))?;
        count += 1;
    }
    if count != commit.record_count {
        return Err(damaged(format!("a commit of {count} records that says it has {}", commit.record_count)));
    }
    Ok(())
}

mod room;
#[cfg(test)]
mod tests;
