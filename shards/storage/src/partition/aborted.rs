//! The aborted transactions of a log: what readers of committed data are told to skip.
//!
//! Those of the segment that is appended to are in memory, and so is what was found since the last snapshot of the
//! producers; of a finished segment it is only known that it has a file. Whatever lies before a snapshot is in files:
//! a start reads the batches behind it, and finds the rest again.

use super::{Log, Partition};
use crate::error::{ReadError, StorageError};
use crate::segment::{file_name, offset_of_name};
use crate::store::Shared;
use crate::transactions::{AbortedIndex, AbortedTransaction};
use crate::window::{read_file, replace_file};
use base::mistakes;
use driver::Errno;
use executor::io;
use model::Offset;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The extension of the files.
const EXTENSION: &str = "txnindex";
/// The largest file that is read: two million transactions.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The index of one segment.
enum Place {
    /// In memory; `dirty`: the file says something else.
    Here { index: AbortedIndex, dirty: bool },
    /// In the file alone.
    Stored,
}

/// The indexes of a log, by the first offsets of the segments that have one.
#[derive(Default)]
pub(crate) struct Aborted {
    segments: BTreeMap<i64, Place>,
}

impl Aborted {
    /// A marker in a segment has aborted a transaction.
    pub fn push(&mut self, segment: i64, aborted: AbortedTransaction) {
        let empty = || Place::Here { index: AbortedIndex::new(segment), dirty: true };
        let place = self.segments.entry(segment).or_insert_with(empty);
        if let Place::Here { index, dirty } = place {
            *dirty = true;
            if let Err(error) = index.push(aborted) {
                log::error!("segment {segment}: {error}");
            }
        }
    }

    /// A finished segment's index is read again when it is needed: most never are.
    pub fn let_go(&mut self, segment: i64) {
        if let Some(place) = self.segments.get_mut(&segment)
            && matches!(place, Place::Here { dirty: false, .. })
        {
            *place = Place::Stored;
        }
    }

    /// What is not in files: the segment, the bytes of its file, how many entries these are.
    fn unsaved(&self) -> Vec<(i64, Vec<u8>, usize)> {
        let unsaved = self.segments.iter().filter_map(|(segment, place)| match place {
            Place::Here { index, dirty: true } => Some((*segment, index.encode(), index.entries().len())),
            _ => None,
        });
        unsaved.collect()
    }

    fn note_saved(&mut self, segment: i64, count: usize) {
        if let Some(Place::Here { index, dirty }) = self.segments.get_mut(&segment) {
            // More may have come meanwhile.
            *dirty = index.entries().len() != count;
        }
    }

    /// Asks the index of a segment, if it is in memory: whether later ones are to be asked.
    fn collect(&self, segment: i64, range: (i64, i64), found: &mut Vec<AbortedTransaction>) -> Option<bool> {
        match self.segments.get(&segment) {
            Some(Place::Here { index, .. }) => Some(index.collect(range.0, range.1, found)),
            Some(Place::Stored) => None,
            None => Some(true),
        }
    }
}

impl Log {
    /// The first offset of the segment that an offset is in.
    pub fn segment_of(&self, offset: i64) -> i64 {
        let state = self.state.borrow();
        let after = state.segments.partition_point(|segment| segment.base <= offset);
        after.checked_sub(1).map_or(offset, |index| state.segments[index].base)
    }

    fn aborted_path(&self, segment: i64) -> PathBuf {
        self.directory.join(file_name(segment, EXTENSION))
    }
}

impl Partition {
    /// The aborted transactions that have records from one offset on to before another: producer ids and first
    /// offsets, in the order of the markers.
    pub async fn aborted(&self, from: Offset, end: Offset) -> Result<Vec<(i64, Offset)>, ReadError> {
        self.load_producers().await?;
        let shared = self.log.shared()?;
        let mut found = Vec::new();
        if mistakes::is_made("aborted list empty") {
            return Ok(Vec::new());
        }
        let mut segment = self.log.segment_of(from.0);
        loop {
            let next = {
                let state = self.log.state.borrow();
                state.aborted.segments.range(segment..).next().map(|(next, _)| *next)
            };
            let Some(next) = next else { break };
            let here = self.log.state.borrow().aborted.collect(next, (from.0, end.0), &mut found);
            let goes_on = match here {
                Some(goes_on) => goes_on,
                None => match read(&shared, &self.log, next).await? {
                    Some(index) => index.collect(from.0, end.0, &mut found),
                    // Its segment was deleted meanwhile.
                    None => true,
                },
            };
            if !goes_on {
                break;
            }
            segment = next + 1;
        }
        Ok(found.into_iter().map(|one| (one.producer_id, Offset(one.first_offset))).collect())
    }
}

/// The index in a segment's file, if there is one.
async fn read(shared: &Shared, log: &Log, segment: i64) -> Result<Option<AbortedIndex>, StorageError> {
    let path = log.aborted_path(segment);
    let Some(bytes) = read_file(&path, &shared.options.pool, FILE_BYTES_MAX).await? else { return Ok(None) };
    match AbortedIndex::decode(segment, &bytes) {
        Ok(index) => Ok(Some(index)),
        Err(error) => {
            log::error!("{}: {error}", path.display());
            let what = "no index of aborted transactions, without which committed data cannot be told";
            Err(StorageError::Format { path, what })
        }
    }
}

/// Removes the files of segments that were deleted. One may be left of a segment that compaction has joined to the one
/// before: it goes when that one does.
pub(crate) async fn remove_before(log: &Log) -> Result<(), StorageError> {
    let gone: Vec<i64> = {
        let mut state = log.state.borrow_mut();
        let first = state.segments.first().map_or(state.log_end, |segment| segment.base);
        let kept = state.aborted.segments.split_off(&first);
        let gone = std::mem::replace(&mut state.aborted.segments, kept);
        gone.into_keys().collect()
    };
    for segment in gone {
        super::delete::remove(&log.aborted_path(segment)).await?;
    }
    Ok(())
}

/// What is known of a log whose batches are read from `at` on: the files of segments before that, and of the one that
/// it is in what lies before. Files of later segments are removed, for what they had is found again.
pub(crate) async fn load(shared: &Shared, log: &Log, at: i64) -> Result<Aborted, StorageError> {
    let mut aborted = Aborted::default();
    let entries = match io::list_directory(&log.directory).await {
        Ok(entries) => entries,
        Err(Errno::NOENT) => return Ok(aborted),
        Err(errno) => return Err(StorageError::io("list", &log.directory)(errno)),
    };
    let current = log.segment_of(at);
    for segment in entries.iter().filter_map(|entry| offset_of_name(&entry.name, EXTENSION)) {
        if segment < current {
            aborted.segments.insert(segment, Place::Stored);
        } else if segment > current {
            let path = log.aborted_path(segment);
            io::remove(&path).await.map_err(StorageError::io("remove", &path))?;
        } else if let Some(mut index) = read(shared, log, segment).await? {
            let all = index.entries().len();
            index.truncate(at);
            let dirty = index.entries().len() != all;
            aborted.segments.insert(segment, Place::Here { index, dirty });
        }
    }
    Ok(aborted)
}

/// Writes what is not in files yet. A file that is there is whole.
pub(crate) async fn save(log: &Log) -> Result<(), StorageError> {
    let unsaved = log.state.borrow().aborted.unsaved();
    for (segment, bytes, count) in unsaved {
        match replace_file(&log.aborted_path(segment), bytes).await {
            Ok(()) => log.state.borrow_mut().aborted.note_saved(segment, count),
            // The partition was deleted, or has no directory yet.
            Err(StorageError::Io { errno: Errno::NOENT, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
