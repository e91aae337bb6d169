//! The small files: indexes, checkpoints, leader epochs, producers, aborted transactions, the cleaner's state.

use super::Flaw;
use crate::checkpoint::{self, Checkpoint};
use crate::cleaner::CleanerState;
use crate::epochs::Epochs;
use crate::producers::{ProducerDescription, Producers};
use crate::segment::index_files;
use crate::transactions::aborted::ENTRY_BYTES;
use crate::transactions::{AbortedIndex, AbortedTransaction, BadIndex};
use model::{LeaderEpoch, Offset};

/// An entry of an `.index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Last offset of a batch, relative to the segment's.
    pub offset_delta: u32,
    /// The byte in the segment at which it begins.
    pub position: u32,
}

/// An entry of a `.timeindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The largest timestamp so far, in milliseconds since 1970.
    pub timestamp: i64,
    /// An offset up to which it occurs, relative to the segment's.
    pub offset_delta: u32,
}

/// The entries of an offset index. One that does not grow is a flaw and left out.
pub fn offset_index(bytes: &[u8]) -> impl Iterator<Item = Result<OffsetEntry, Flaw>> {
    let entries =
        index_files::offsets(bytes).map(|(offset_delta, position)| OffsetEntry { offset_delta, position });
    let grows = |last: &OffsetEntry, next: &OffsetEntry| {
        last.offset_delta < next.offset_delta && last.position < next.position
    };
    checked(bytes, 8, entries, grows)
}

/// The entries of a time index. One that lies behind the one before is a flaw and left out.
pub fn time_index(bytes: &[u8]) -> impl Iterator<Item = Result<TimeEntry, Flaw>> {
    let entries =
        index_files::times(bytes).map(|(timestamp, offset_delta)| TimeEntry { timestamp, offset_delta });
    let grows = |last: &TimeEntry, next: &TimeEntry| {
        last.timestamp <= next.timestamp && last.offset_delta <= next.offset_delta
    };
    checked(bytes, 12, entries, grows)
}

/// Entries that must be in order, and what is left behind the last whole one.
fn checked<T: Copy>(
    bytes: &[u8],
    entry_bytes: usize,
    entries: impl Iterator<Item = T>,
    grows: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = Result<T, Flaw>> {
    let whole = bytes.len() / entry_bytes * entry_bytes;
    let rest = (whole < bytes.len()).then_some(Err(Flaw {
        position: whole as u64,
        what: "a part of an entry",
        resumes_at: None,
    }));
    let (mut last, mut position) = (None, 0u64);
    let entries = entries.map(move |entry| {
        let begin = position;
        position += entry_bytes as u64;
        if last.is_some_and(|last| !grows(&last, &entry)) {
            let what = "an entry that does not grow from the one before";
            return Err(Flaw { position: begin, what, resumes_at: Some(position) });
        }
        last = Some(entry);
        Ok(entry)
    });
    entries.chain(rest)
}

/// A checkpoint, and what is wrong with it. With a wrong checksum its entries are told nevertheless, as they lie
/// there: a broker would not use them.
pub fn checkpoint(bytes: &[u8]) -> (Option<Checkpoint>, Option<Flaw>) {
    let flaw = |what| Flaw { position: 0, what, resumes_at: None };
    match Checkpoint::decode(bytes) {
        Ok(whole) => (Some(whole), None),
        Err(what) => (checkpoint::decode_unchecked(bytes), Some(flaw(what))),
    }
}

/// The leader epochs in a `leader-epoch-checkpoint`, each with its first offset.
pub fn leader_epochs(bytes: &[u8]) -> Result<Vec<(LeaderEpoch, Offset)>, Flaw> {
    let what = "not a list of leader epochs that grow with their offsets";
    let epochs = Epochs::decode(bytes).ok_or(Flaw { position: 0, what, resumes_at: None })?;
    Ok(epochs.entries().collect())
}

/// The producers in a `.snapshot`, and the offset before which it holds.
pub fn producer_snapshot(bytes: &[u8]) -> Result<(Vec<ProducerDescription>, Offset), Flaw> {
    let what = "not a snapshot of producers, or its checksum does not match";
    let (producers, next) = Producers::decode(bytes).ok_or(Flaw { position: 0, what, resumes_at: None })?;
    Ok((producers.describe(), Offset(next)))
}

/// The entries of a `.txnindex` of a segment that begins at `base`. One that does not fit behind those before is a flaw
/// and left out.
pub fn aborted_transactions(
    base: i64,
    bytes: &[u8],
) -> impl Iterator<Item = Result<AbortedTransaction, Flaw>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    let cut: Option<Result<AbortedTransaction, Flaw>> = (!rest.is_empty()).then_some(Err(Flaw {
        position: (bytes.len() - rest.len()) as u64,
        what: "a part of an entry",
        resumes_at: None,
    }));
    let mut index = AbortedIndex::new(base);
    let mut check = move |entry: &[u8; ENTRY_BYTES], position: u64| {
        let flaw = |bad: BadIndex| Flaw {
            position,
            what: match bad {
                BadIndex::Version(_) => "an aborted transaction in an unknown version",
                _ => "an aborted transaction with offsets that do not fit",
            },
            resumes_at: Some(position + ENTRY_BYTES as u64),
        };
        let aborted = AbortedTransaction::decode(entry).map_err(flaw)?;
        index.push(aborted).map(|()| aborted).map_err(flaw)
    };
    let places = (0u64..).step_by(ENTRY_BYTES);
    entries.iter().zip(places).map(move |(entry, position)| check(entry, position)).chain(cut)
}

/// How far a `cleaner-state` says that its log was compacted: where the first segment begins that was not rewritten, and
/// the first offset that no compaction has gone through.
pub fn cleaner_state(bytes: &[u8]) -> Result<(Offset, Offset), Flaw> {
    let what = "not the state of a compacted log, or its checksum does not match";
    let state = CleanerState::decode(bytes).ok_or(Flaw { position: 0, what, resumes_at: None })?;
    Ok((Offset(state.boundary), Offset(state.first_dirty)))
}
