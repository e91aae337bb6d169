//! What is in the files of a data directory, from plain bytes: for tools and for fuzzing.
//!
//! - [`journal()`]: a journal file's header and commits.
//! - [`segment()`]: a segment's batches.
//! - [`offset_index`], [`time_index`]: the entries of a segment's indexes.
//! - [`checkpoint()`], [`leader_epochs`], [`producer_snapshot`], [`aborted_transactions`], [`cleaner_state`]: the small
//!   files.
//!
//! Nothing here panics, whatever the bytes are, and no number in them sizes an allocation. What is wrong is told
//! with its place as a [`Flaw`]; reading then goes on where something whole begins, if anything does.

mod journal;
mod segment;
mod small;

pub use crate::checkpoint::{Checkpoint, CheckpointEntry, LogPlace};
pub use crate::journal::format::{
    COMMIT_HEADER_BYTES, CommitHeader, Entries, Entry, FileHeader, JournalFormatError,
};
pub use journal::{Commit, Commits, Header, Journal, journal};
pub use segment::{Batch, Batches, segment};
pub use small::{
    OffsetEntry, TimeEntry, aborted_transactions, checkpoint, cleaner_state, leader_epochs, offset_index,
    producer_snapshot, time_index,
};

/// A place where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The byte at which it begins.
    pub position: u64,
    /// What is there.
    pub what: &'static str,
    /// Where something whole begins again; `None`: nowhere.
    pub resumes_at: Option<u64>,
}

#[cfg(test)]
mod tests;
