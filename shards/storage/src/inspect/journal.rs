//! A journal file.

use super::Flaw;
use crate::journal::format::{BLOCK_BYTES, CommitHeader, Entries, FileHeader, JournalFormatError};

/// What the first block of a journal file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Zeros: the file was made and never used.
    Unused,
    /// It is whole.
    Whole(FileHeader),
    /// It is none. What use of the file the commits belong to is taken from the first one.
    Flawed(JournalFormatError),
}

/// A journal file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Journal<'a> {
    bytes: &'a [u8],
    /// Its header.
    pub header: Header,
}

/// A commit in a journal file.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The byte in the file at which it begins.
    pub position: u64,
    /// What it says of itself.
    pub header: CommitHeader,
    bytes: &'a [u8],
}

impl<'a> Commit<'a> {
    /// What it says.
    pub fn entries(&self) -> Entries<'a> {
        Entries::of(self.bytes, &self.header)
    }
}

/// Looks at the bytes of a journal file.
pub fn journal(bytes: &[u8]) -> Journal<'_> {
    let block = &bytes[..bytes.len().min(BLOCK_BYTES as usize)];
    let header = match FileHeader::decode(block) {
        Ok(header) => Header::Whole(header),
        Err(_) if !block.is_empty() && block.iter().all(|&byte| byte == 0) => Header::Unused,
        Err(error) => Header::Flawed(error),
    };
    Journal { bytes, header }
}

impl<'a> Journal<'a> {
    /// The commits of the newest use of the file, in order. What earlier uses left behind them is passed over.
    /// The last item may be a flaw that is none: a commit that was torn as it was written looks like a damaged one.
    pub fn commits(&self) -> Commits<'a> {
        let usage = match self.header {
            Header::Whole(header) => Some((header.epoch, header.file_sequence)),
            Header::Unused | Header::Flawed(_) => None,
        };
        Commits { bytes: self.bytes, position: BLOCK_BYTES, usage, last: None }
    }
}

/// See [`Journal::commits`].
#[derive(Clone, Debug)]
pub struct Commits<'a> {
    bytes: &'a [u8],
    position: u64,
    /// Epoch and file sequence of the newest use.
    usage: Option<(u64, u64)>,
    last: Option<CommitHeader>,
}

impl<'a> Commits<'a> {
    fn rest(&self, position: u64) -> &'a [u8] {
        usize::try_from(position).ok().and_then(|from| self.bytes.get(from..)).unwrap_or(&[])
    }

    fn is_ours(&self, header: &CommitHeader) -> bool {
        let usage = (header.epoch, header.file_sequence);
        let follows = self.last.is_none_or(|last| last.sequence < header.sequence);
        self.usage.is_none_or(|ours| ours == usage) && follows
    }

    fn commit_at(&self, position: u64) -> Option<Commit<'a>> {
        let rest = self.rest(position);
        let header = CommitHeader::peek(rest).ok().filter(|header| self.is_ours(header))?;
        CommitHeader::verify(rest).ok()?;
        Some(Commit { position, header, bytes: rest.get(..header.length as usize)? })
    }

    fn take(&mut self, commit: Commit<'a>) -> Commit<'a> {
        self.position = commit.position + commit.header.padded_bytes();
        self.usage = Some((commit.header.epoch, commit.header.file_sequence));
        self.last = Some(commit.header);
        commit
    }

    fn next_whole(&self) -> Option<u64> {
        let mut position = self.position;
        while position < self.bytes.len() as u64 {
            if self.commit_at(position).is_some() {
                return Some(position);
            }
            position += BLOCK_BYTES;
        }
        None
    }
}

impl<'a> Iterator for Commits<'a> {
    type Item = Result<Commit<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() as u64 {
            return None;
        }
        if let Some(commit) = self.commit_at(self.position) {
            return Some(Ok(self.take(commit)));
        }
        let position = self.position;
        if let Some(next) = self.next_whole() {
            self.position = next;
            let what = "no whole commit, though the file goes on behind it";
            return Some(Err(Flaw { position, what, resumes_at: Some(next) }));
        }
        self.position = u64::MAX;
        let torn = CommitHeader::peek(self.rest(position)).ok().filter(|header| self.is_ours(header));
        // Without a whole commit nothing tells this use from an earlier one, unless the header does.
        torn.filter(|_| self.usage.is_some())?;
        let what = "the last commit is not whole: torn as it was written, or damaged later";
        Some(Err(Flaw { position, what, resumes_at: None }))
    }
}
