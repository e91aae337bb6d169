//! What a journal holds after a stop or a crash, and where it ends.
//!
//! The commits of the newest epoch are a row without gaps. Where one is missing, the row ends (a torn tail:
//! nobody was told of it), unless a later commit says that the missing one had been durable: then it is
//! damage, which is reported, and the row goes on behind it.

use super::ahead::Ahead;
use super::format::{BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, Entries, Entry, FileHeader};
use crate::error::{Damage, StorageError};
use crate::window::Window;
use driver::{Handle, OpenOptions};
use executor::io;
use memory::{Pool, Slice};
use model::TopicPartition;
use std::path::{Path, PathBuf};

/// No commit is larger, unless one append is.
const REMAINS_BYTES: u64 = 2 << 20;

/// A journal file that is read.
pub(crate) struct ScannedFile {
    pub path: PathBuf,
    handle: Handle,
    bytes: u64,
    header: Option<FileHeader>,
}

/// What a commit says beside records and log starts. It is kept from when the commit was verified: what was drained is
/// not read again, and there is little of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    /// From here on, in this file, a number means this partition and this segment of it.
    Declare { number: u32, id: TopicPartition, segment: i64 },
    /// A partition's segment is durable by direct writes up to a position, and the offset behind that.
    Direct { number: u32, position: u32, next_offset: i64 },
}

/// Where a commit is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitAt {
    /// Index of its file.
    pub file: usize,
    /// Where it begins there.
    pub offset: u64,
    pub header: CommitHeader,
    /// Which of what was said it says.
    said: (usize, usize),
}

/// What one shard's journal holds.
#[derive(Default)]
pub(crate) struct JournalScan {
    pub files: Vec<ScannedFile>,
    /// The commits to replay, in order.
    pub commits: Vec<CommitAt>,
    /// Commits before these, of which everything is in segments already.
    pub drained: Vec<CommitAt>,
    /// What the commits say, one after another.
    said: Vec<Said>,
    /// The newest epoch seen; 0 if there was none.
    pub epoch: u64,
    /// Nobody waited for the device: see [`FileHeader::relaxed`].
    pub relaxed: bool,
    /// Commits behind the end of the row, which are dropped.
    pub torn: usize,
    pub damage: Vec<Damage>,
    /// Where the commits lay that are missing.
    pub gaps: Vec<Gap>,
}

/// A part of a file in which durable commits should be and are not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    /// Index of the file.
    pub file: usize,
    /// The first byte.
    pub from: u64,
    /// The first byte behind it.
    pub to: u64,
    /// The commits that are missing.
    pub sequences: (u64, u64),
}

impl JournalScan {
    /// Verifies all commits in a journal's directory. Those of epochs before `epoch` were
    /// replayed by the start that began it, and are passed over.
    pub async fn read(directory: &Path, pool: &Pool, epoch: u64) -> Result<JournalScan, StorageError> {
        let mut scan = JournalScan::default();
        let entries = match io::list_directory(directory).await {
            Ok(entries) => entries,
            Err(driver::Errno::NOENT) => return Ok(scan),
            Err(errno) => return Err(StorageError::io("list", directory)(errno)),
        };
        for entry in entries.iter().filter(|entry| entry.name.ends_with(".journal")) {
            let path = directory.join(&entry.name);
            scan.open(path, pool).await?;
        }
        scan.epoch = scan.files.iter().filter_map(|file| Some(file.header?.epoch)).max().unwrap_or(0);
        let epoch = scan.epoch.max(epoch);
        let mut order: Vec<usize> = (0..scan.files.len())
            .filter(|&file| scan.files[file].header.is_some_and(|header| header.epoch == epoch))
            .collect();
        order.sort_by_key(|&file| scan.files[file].header.map(|header| header.file_sequence));
        scan.relaxed = order.iter().any(|&file| scan.files[file].header.is_some_and(|header| header.relaxed));
        let mut found = Vec::new();
        for file in order {
            scan.find_commits(file, pool, &mut found).await?;
        }
        scan.settle(found);
        Ok(scan)
    }

    async fn open(&mut self, path: PathBuf, pool: &Pool) -> Result<(), StorageError> {
        let bytes = io::stat(&path).await.map_err(StorageError::io("stat", &path))?.bytes;
        // Past the page cache, as it was written: most of it is read once.
        let options = OpenOptions::READ.direct();
        let handle = io::open(&path, options).await.map_err(StorageError::io("open", &path))?;
        let mut window = Window::new(handle, &path, pool.clone(), bytes.min(2 * BLOCK_BYTES));
        let block = window.at(0, BLOCK_BYTES as usize).await?;
        let mut header = FileHeader::decode(&block).ok();
        if header.is_none() && block.iter().any(|&byte| byte != 0) {
            // A header that was torn as it was written has no commits of its own behind it; one that was
            // damaged later has, and they say what it said.
            let first = window.at(BLOCK_BYTES, COMMIT_HEADER_BYTES).await?;
            header = CommitHeader::peek(&first).ok().map(|commit| FileHeader {
                file_sequence: commit.file_sequence,
                epoch: commit.epoch,
                sequence_min: 0,
                file_bytes: bytes,
                drained_through: commit.drained_through,
                // The other files of the epoch say it.
                relaxed: false,
            });
        }
        self.files.push(ScannedFile { path, handle, bytes, header });
        Ok(())
    }

    async fn find_commits(
        &mut self,
        file: usize,
        pool: &Pool,
        found: &mut Vec<CommitAt>,
    ) -> Result<(), StorageError> {
        let ScannedFile { ref path, handle, bytes, header } = self.files[file];
        let Some(header) = header else { return Ok(()) };
        let mut ahead = Ahead::new(handle, path, pool.clone(), bytes);
        let mut offset = BLOCK_BYTES;
        while offset < bytes {
            let start = ahead.at(offset, COMMIT_HEADER_BYTES).await?;
            let ours = CommitHeader::peek(&start).ok().filter(|commit| {
                commit.file_sequence == header.file_sequence
                    && commit.epoch == header.epoch
                    && u64::from(commit.length) <= bytes - offset
            });
            let Some(commit) = ours else {
                offset += BLOCK_BYTES;
                continue;
            };
            let whole = ahead.at(offset, commit.length as usize).await?;
            match CommitHeader::verify(&whole) {
                Ok(header) => {
                    let said = self.note_said(&whole, &header);
                    found.push(CommitAt { file, offset, header, said });
                    offset += header.padded_bytes();
                }
                Err(_) => offset += BLOCK_BYTES,
            }
        }
        Ok(())
    }

    /// Keeps what a commit says beside records and log starts; where it is kept.
    fn note_said(&mut self, commit: &[u8], header: &CommitHeader) -> (usize, usize) {
        let from = self.said.len();
        // An entry of an unknown kind is found again by who replays the commit.
        self.said.extend(Entries::of(commit, header).map_while(Result::ok).filter_map(|entry| match entry {
            Entry::Declare { number, id, segment } => Some(Said::Declare { number, id, segment }),
            Entry::Direct { number, position, next_offset } => {
                Some(Said::Direct { number, position, next_offset })
            }
            Entry::Append { .. } | Entry::LogStart { .. } => None,
        }));
        (from, self.said.len())
    }

    /// What a commit says beside records and log starts, in order.
    pub fn said(&self, at: &CommitAt) -> &[Said] {
        &self.said[at.said.0..at.said.1]
    }

    /// The partitions that commits tell of, dropped ones among them; some more than once.
    pub fn declared(&self) -> impl Iterator<Item = TopicPartition> {
        self.said.iter().filter_map(|said| match *said {
            Said::Declare { id, .. } => Some(id),
            Said::Direct { .. } => None,
        })
    }

    /// Decides which of the commits found are to be replayed.
    fn settle(&mut self, found: Vec<CommitAt>) {
        let epoch = found.first().map_or(0, |commit| commit.header.epoch);
        let headers = self.files.iter().filter_map(|file| file.header).filter(|header| header.epoch == epoch);
        let drained = headers.map(|header| header.drained_through);
        let drained =
            drained.chain(found.iter().map(|commit| commit.header.drained_through)).max().unwrap_or(0);
        // For each commit what it and all behind it say was durable.
        let mut durable: Vec<u64> = found.iter().map(|commit| commit.header.durable_through).collect();
        for index in (1..durable.len()).rev() {
            durable[index - 1] = durable[index - 1].max(durable[index]);
        }
        let mut expected = drained + 1;
        for (index, commit) in found.iter().enumerate() {
            let sequence = commit.header.sequence;
            if sequence < expected {
                self.drained.push(*commit);
                continue;
            }
            if sequence > expected {
                if durable[index] < expected {
                    self.torn = found.len() - index;
                    return;
                }
                let damage = self.missing(commit);
                self.damage.push(damage);
                self.note_gaps(commit, expected);
            }
            expected = sequence + 1;
            self.commits.push(*commit);
        }
    }

    /// Where the commits between the one before and `next` must have been.
    fn note_gaps(&mut self, next: &CommitAt, expected: u64) {
        let sequences = (expected, next.header.sequence - 1);
        let previous = self.commits.last().or(self.drained.last());
        let begin = previous.map(|commit| (commit.file, commit.offset + commit.header.padded_bytes()));
        let from = match begin {
            Some((file, offset)) if file == next.file => offset,
            Some((file, offset)) => {
                let to = self.files[file].bytes;
                self.gaps.push(Gap { file, from: offset, to, sequences });
                BLOCK_BYTES
            }
            None => BLOCK_BYTES,
        };
        self.gaps.push(Gap { file: next.file, from, to: next.offset, sequences });
    }

    /// What can still be told of the commits in a gap. Their checksums are wrong, so nothing of it may be served;
    /// but of which partitions they held records, and up to where, keeps those from giving offsets twice.
    pub async fn remains(&self, gap: &Gap, pool: &Pool) -> Result<Vec<Slice>, StorageError> {
        let file = &self.files[gap.file];
        let Some(ours) = file.header else { return Ok(Vec::new()) };
        let mut window = Window::new(file.handle, &file.path, pool.clone(), gap.to);
        let (mut at, mut found) = (gap.from, Vec::new());
        while at < gap.to {
            let head = window.at(at, COMMIT_HEADER_BYTES).await?;
            let marks = CommitHeader::unchecked(&head).map_or(0, |header| {
                let within = (gap.sequences.0..=gap.sequences.1).contains(&header.sequence);
                usize::from(CommitHeader::peek(&head).is_ok())
                    + usize::from(header.epoch == ours.epoch)
                    + usize::from(header.file_sequence == ours.file_sequence)
                    + usize::from(within)
            });
            // One of them may be what is damaged; what an earlier use left has fewer.
            if marks >= 3 {
                found.push(window.at(at, (gap.to - at).min(REMAINS_BYTES) as usize).await?);
            }
            at += BLOCK_BYTES;
        }
        Ok(found)
    }

    fn missing(&self, next: &CommitAt) -> Damage {
        let previous = self.commits.last();
        let (file, position) = match previous {
            Some(commit) if commit.offset + commit.header.padded_bytes() < self.files[commit.file].bytes => {
                (commit.file, commit.offset + commit.header.padded_bytes())
            }
            _ => (next.file, BLOCK_BYTES),
        };
        Damage {
            partition: None,
            file: self.files[file].path.clone(),
            position,
            offsets: None,
            what: "a commit that was durable is missing or has the wrong checksum",
        }
    }

    /// A reader of a file's commits that are to be replayed.
    pub fn reader(&self, file: usize, pool: &Pool) -> Ahead {
        let ScannedFile { path, handle, .. } = &self.files[file];
        let last = self.commits.iter().rev().find(|commit| commit.file == file);
        let end = last.map_or(0, |commit| commit.offset + commit.header.padded_bytes());
        Ahead::new(*handle, path, pool.clone(), end)
    }

    /// Closes the files.
    pub async fn close(self) {
        for file in self.files {
            let _ = io::close(file.handle).await;
        }
    }
}
