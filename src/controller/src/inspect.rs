//! Reading the bytes of a metadata log or snapshot without a broker: for recovery, `flumen log dump`, and fuzzing.
//!
//! [`commits`] goes through a file; where bytes are not a commit it says so once ([`Flaw`]) and goes on with the
//! next commit that is whole. Nothing here panics, whatever the bytes.

use crate::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, FileHeader, FrameHeader, HeaderError,
};
use crate::record::{Record, RecordError};

/// A whole commit: its checksums match.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Where in the file its header begins.
    pub position: u64,
    /// The offset of its first record.
    pub base_offset: i64,
    /// The controller epoch in which it was written.
    pub epoch: i32,
    /// How many records it says it has.
    pub record_count: u32,
    /// The records' bytes.
    pub payload: &'a [u8],
}

impl<'a> Commit<'a> {
    /// Its records, in order, up to the first that is none.
    pub fn records(&self) -> Records<'a> {
        Records { rest: self.payload }
    }

    /// Where it ends in the file.
    pub fn end(&self) -> u64 {
        self.position + (FRAME_HEADER_BYTES + self.payload.len()) as u64
    }
}

/// The records of a commit.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Record::decode(self.rest) {
            Ok((record, bytes)) => {
                self.rest = &self.rest[bytes..];
                Some(Ok(record))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// Bytes that are not a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where they begin in the file.
    pub position: u64,
    /// Where the next whole commit begins; `None` when there is none before the file's end.
    pub resumes_at: Option<u64>,
}

/// The header of a file.
pub fn header(file: &[u8]) -> Result<FileHeader, HeaderError> {
    FileHeader::decode(file)
}

/// The commits of a file, whose header is passed over unread. Zeros up to the file's end are no flaw.
pub fn commits(file: &[u8]) -> Commits<'_> {
    Commits { file, at: FILE_HEADER_BYTES.min(file.len()) }
}

/// See [`commits`].
#[derive(Clone, Debug)]
pub struct Commits<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Commits<'a> {
    /// The commit at a position, if a whole one is there.
    fn commit_at(&self, at: usize) -> Option<Commit<'a>> {
        let header = FrameHeader::decode(&self.file[at..])?;
        let start = at + FRAME_HEADER_BYTES;
        let payload = self.file.get(start..start + header.payload_bytes as usize)?;
        if crc32c::crc32c(payload) != header.payload_crc {
            return None;
        }
        Some(Commit {
            position: at as u64,
            base_offset: header.base_offset,
            epoch: header.epoch,
            record_count: header.records,
            payload,
        })
    }

    /// Where the search goes on after a flaw: behind the payload when the header tells its length, so that what
    /// users wrote into records is not searched for commits.
    fn search_from(&self, at: usize) -> usize {
        match FrameHeader::decode(&self.file[at..]) {
            Some(header) => (at + FRAME_HEADER_BYTES + header.payload_bytes as usize).min(self.file.len()),
            None => at + 1,
        }
    }

    fn search(&self, mut at: usize) -> Option<usize> {
        while let Some(step) = find(&self.file[at..], &FRAME_MAGIC) {
            at += step;
            if self.commit_at(at).is_some() {
                return Some(at);
            }
            at += 1;
        }
        None
    }
}

fn find(bytes: &[u8], wanted: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).position(|window| window == wanted)
}

impl<'a> Iterator for Commits<'a> {
    type Item = Result<Commit<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.file.len() {
            return None;
        }
        if let Some(commit) = self.commit_at(self.at) {
            self.at = commit.end() as usize;
            return Some(Ok(commit));
        }
        if self.file[self.at..].iter().all(|byte| *byte == 0) {
            // Space that is reserved for commits to come.
            self.at = self.file.len();
            return None;
        }
        let position = self.at as u64;
        let next = self.search(self.search_from(self.at));
        self.at = next.unwrap_or(self.file.len());
        Some(Err(Flaw { position, resumes_at: next.map(|at| at as u64) }))
    }
}
