//! A partition's log.
//!
//! - [`append`]: validated batches get their offsets and go into the journal.
//! - [`direct`]: large ones go straight into the segment.
//! - [`notes`]: what the journal says of that.
//! - [`read`]: batches from memory or the device.
//! - [`lookup`]: offsets by time and by leader epoch.
//! - [`producers`]: what idempotent producers wrote, so that they write it once.
//! - [`snapshots`]: when that is saved.
//! - [`secured`]: that it is on the device before the log start moves.
//! - [`aborted`]: the indexes of aborted transactions, in memory and in files.
//! - [`delete`]: records deleted from the beginning.
//! - [`retention`]: the same by age and size.
//! - [`cleaning`]: what the cleaner asks of a log.
//! - [`leftovers`]: what a crash left in a log's directory.
//! - [`finish`]: what is done for a segment when nothing more comes into it.
//! - [`index_pair`]: a segment's index files, put in place and read.
//! - [`space`]: what is reserved of the device ahead of a segment's end.
//! - [`end`]: where the batches of a segment end, and what is behind them.
//! - [`load`]: finding a log's end at a start, and its older segments when they are needed.
//!
//! What is in memory of a log: the *tail*, its newest batches without a gap, of which a first part is in
//! segments already (`drained`) and the rest is in the journal only; and of each segment little more
//! than its name.

pub(crate) mod aborted;
mod append;
mod cleaning;
pub(crate) mod delete;
mod direct;
mod end;
pub(crate) mod finish;
mod index_pair;
mod leftovers;
pub(crate) mod load;
mod lookup;
pub(crate) mod notes;
pub(crate) mod producers;
mod read;
pub(crate) mod retention;
pub(crate) mod secured;
pub(crate) mod snapshots;
pub(crate) mod space;

pub use append::{AppendContext, Appended, Ticket};
pub use lookup::TimestampOffset;
pub(crate) use read::describe;
pub use read::{ReadBound, ReadResult};

use crate::checkpoint::{CheckpointEntry, LogPlace};
use crate::cleaner::CleanerState;
use crate::config::LogConfig;
use crate::epochs::Epochs;
use crate::error::{Damage, ReadError, StorageError};
use crate::journal::Pending;
use crate::producers::{Producers, Refused, Verifying};
use crate::segment::{Segment, file_name};
use crate::store::Shared;
use crate::unsynced::Unsynced;
use executor::{Event, Semaphore, io};
use memory::Slice;
use model::{LeaderEpoch, Offset, TopicPartition};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::{Rc, Weak};

/// What a partition is.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    /// Its name for all eternity.
    pub id: TopicPartition,
    /// Its topic's name: part of the directory.
    pub topic_name: String,
    /// Its topic's settings.
    pub config: Rc<LogConfig>,
    /// The epoch of its leader.
    pub leader_epoch: LeaderEpoch,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The first offset that is not deleted.
    pub log_start: Offset,
    /// The first offset that is not durable yet: what is before may be shown.
    pub high_watermark: Offset,
    /// The first offset of an open transaction; without one, and as long as nobody has asked for transactions
    /// since the start ([`Partition::load_producers`]), the high watermark.
    pub last_stable: Offset,
    /// The offset that the next record gets.
    pub log_end: Offset,
}

/// A batch in memory.
pub(crate) struct TailBatch {
    pub base: i64,
    pub last: i64,
    pub segment: i64,
    pub position: u32,
    /// The memory block it lies in.
    pub block: u64,
    pub bytes: Slice,
}

/// The number by which one of the journal's files knows a log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Declared {
    /// The file's sequence.
    pub file: u64,
    pub number: u32,
    /// The segment that the number stands for.
    pub segment: i64,
    /// It is declared again in the first commit from this one on that has something of this log: so that no
    /// single commit is needed to read the others.
    pub again: u64,
    /// How many commits lie between that one and the next.
    pub pause: u64,
}

/// What changes of a log.
pub(crate) struct LogState {
    pub log_start: i64,
    pub high_watermark: i64,
    pub log_end: i64,
    pub epochs: Epochs,
    /// The newest that is in the file with all before it, or the only one; -1: none is known to be.
    pub epochs_saved: i32,
    /// In order; the last one is appended to. Empty before the first append.
    pub segments: Vec<Segment>,
    /// There may be older segments than the first one here, in the directory.
    pub older_unknown: bool,
    /// Bytes in segments that are not listed here.
    pub older_bytes: u64,
    pub tail: VecDeque<TailBatch>,
    /// How many batches at the tail's front are in segments.
    pub drained: usize,
    /// The commit that has the newest of the batches which came by the journal.
    pub commit: u64,
    /// By which number the journal knows this log.
    pub declared: Declared,
    /// The bytes of the last block of segment `.0` that is written only in part.
    pub head: (i64, Vec<u8>),
    /// Where the first byte lies that was drained into a segment and is not synced there; `None`: all is.
    pub unsynced: Unsynced<Option<LogPlace>>,
    /// The block that was noted last as one with a part of this log.
    pub noted_block: u64,
    /// `None`: not read yet, which is done when the first of them appends.
    pub producers: Option<Producers>,
    pub refused: Refused,
    pub verifying: Verifying,
    /// The aborted transactions, as far as `producers` are known.
    pub aborted: aborted::Aborted,
    /// Up to where a direct write made it durable, which the journal does not say yet.
    pub note: Option<LogPlace>,
    /// Bytes of producers' batches since the last snapshot.
    pub unsaved_bytes: u64,
    /// Bytes of all batches since then, or since the start: so much a load has to read, at least.
    pub unread_bytes: u64,
    /// The offsets of the snapshots there are, in order; `None`: not looked up since the start.
    pub snapshots: Option<Vec<i64>>,
    /// Which of them stay.
    pub secured: secured::Secured,
    /// Holes that were found at the start, in order: while there are any, no appends are taken.
    pub damage: Vec<Damage>,
    /// Damage that readers have met, as it was logged.
    pub reported: Vec<read::Reported>,
    pub deleted: bool,
}

impl LogState {
    /// Up to where the log is written to segments; `None` if it never held anything.
    pub fn written(&self) -> Option<LogPlace> {
        let undrained = self.segments.iter().position(|segment| segment.written < segment.bytes);
        let at = undrained.unwrap_or(self.segments.len().saturating_sub(1));
        match self.segments.get(at) {
            Some(segment) => Some(LogPlace {
                segment: segment.base,
                position: segment.written,
                offset: segment.written_next,
            }),
            None if self.log_end > 0 => {
                Some(LogPlace { segment: self.log_end, position: 0, offset: self.log_end })
            }
            None => None,
        }
    }

    /// How many leader epochs a start knows without a look at batches: those in the file. The first one needs none, for
    /// it begins with the log.
    fn epochs_told(&self) -> usize {
        self.epochs.count_through(self.epochs_saved).max(1).min(self.epochs.len())
    }

    /// At which offset the first of the other epochs begins, and where its segment does: a start must look at that one's
    /// batches, here or in the journal, or it would never know of that epoch.
    fn first_untold(&self) -> Option<(i64, LogPlace)> {
        let (_, offset) = self.epochs.entries().nth(self.epochs_told())?;
        let after = self.segments.partition_point(|segment| segment.base <= offset.0);
        let base = self.segments.get(after.saturating_sub(1))?.base;
        Some((offset.0, LogPlace { segment: base, position: 0, offset: base }))
    }

    /// Whether something before an offset is in the journal only.
    pub fn is_undrained(&self, until: i64) -> bool {
        self.tail.get(self.drained).is_some_and(|batch| batch.base < until)
    }

    /// The drain is about to write at a place without a sync.
    pub fn begins_unsynced(&mut self, place: LogPlace) {
        self.unsynced.waiting.get_or_insert(place);
    }
}

/// A log, shared by the partition's handles, the journal and the drain.
pub(crate) struct Log {
    pub id: TopicPartition,
    pub directory: PathBuf,
    pub config: RefCell<Rc<LogConfig>>,
    pub shared: Weak<Shared>,
    pub state: RefCell<LogState>,
    pub changed: Event,
    /// One writes to the segments at a time.
    pub writer: Semaphore,
    /// The names of its directory and of those above are on the device.
    pub named: Cell<bool>,
    /// In the list of logs that the drain looks at.
    pub dirty: Cell<bool>,
    /// Direct writes that gather; the one under way is not among them.
    pub direct: RefCell<VecDeque<direct::DirectWrite>>,
    /// There is a task that carries them out.
    pub direct_running: Cell<bool>,
    /// Its producers are being read.
    pub loading: Cell<bool>,
    /// Why they could not be, the last time.
    pub load_failure: RefCell<Option<ReadError>>,
    /// It waits for its turn to have them saved.
    pub snapshot_due: Cell<bool>,
    /// It waits for its turn to have them read.
    pub load_due: Cell<bool>,
    /// Counts the changes of what files its segments are in: whoever looked one up before, looks again.
    pub layout: Cell<u64>,
    /// Counts how often the index files of a segment were made anew.
    pub index_makes: Cell<u64>,
    /// How far it was compacted, if that was looked up.
    pub cleaned: Cell<Option<CleanerState>>,
    /// It was compacted once: offsets may be missing between its batches.
    pub has_gaps: Cell<bool>,
    /// The cleaner leaves it alone as long as it has records before this offset.
    pub uncleanable: Cell<Option<i64>>,
}

impl Log {
    /// A log that holds nothing.
    pub fn new(spec: &PartitionSpec, directory: PathBuf, shared: Weak<Shared>) -> Log {
        let state = LogState {
            log_start: 0,
            high_watermark: 0,
            log_end: 0,
            epochs: Epochs::default(),
            epochs_saved: -1,
            segments: Vec::new(),
            older_unknown: false,
            older_bytes: 0,
            tail: VecDeque::new(),
            drained: 0,
            commit: 0,
            declared: Declared::default(),
            head: (-1, Vec::new()),
            unsynced: Unsynced::default(),
            noted_block: 0,
            producers: Some(Producers::default()),
            refused: Refused::default(),
            verifying: Verifying::default(),
            aborted: aborted::Aborted::default(),
            note: None,
            unsaved_bytes: 0,
            unread_bytes: 0,
            snapshots: None,
            secured: secured::Secured::default(),
            damage: Vec::new(),
            reported: Vec::new(),
            deleted: false,
        };
        Log {
            id: spec.id,
            directory,
            config: RefCell::new(spec.config.clone()),
            shared,
            state: RefCell::new(state),
            changed: Event::new(),
            writer: Semaphore::new(1),
            named: Cell::new(false),
            dirty: Cell::new(false),
            direct: RefCell::default(),
            direct_running: Cell::new(false),
            loading: Cell::new(false),
            load_failure: RefCell::new(None),
            snapshot_due: Cell::new(false),
            load_due: Cell::new(false),
            layout: Cell::new(0),
            index_makes: Cell::new(0),
            cleaned: Cell::new(None),
            has_gaps: Cell::new(false),
            uncleanable: Cell::new(None),
        }
    }

    pub fn shared(&self) -> Result<Rc<Shared>, StorageError> {
        self.shared.upgrade().ok_or(StorageError::Stopped)
    }

    /// Makes its directory. Once in a life of the process the names up to the data directory are put on the device,
    /// whoever made them.
    pub async fn make_directory(&self, shared: &Shared) -> Result<(), StorageError> {
        io::make_directories(&self.directory).await.map_err(StorageError::io("make", &self.directory))?;
        if !self.named.get() {
            let synced = io::sync_names(&self.directory, &shared.options.data).await;
            synced.map_err(StorageError::sync(&self.directory))?;
            self.named.set(true);
        }
        Ok(())
    }

    /// The path of a segment's file.
    pub fn segment_path(&self, base: i64) -> PathBuf {
        self.directory.join(file_name(base, "log"))
    }

    /// The bytes of a batch of this log, which is in the commit with this number, do not change any more: they are part
    /// of the tail now.
    pub fn frozen(self: &Rc<Self>, append: &Pending, bytes: Slice, block: u64, commit: u64) {
        let Ok(shared) = self.shared() else { return };
        let mut state = self.state.borrow_mut();
        if state.deleted {
            // Who deleted it counted off what was in the tail.
            shared.undrained_less(bytes.len() as u64);
            return;
        }
        state.commit = commit;
        state.tail.push_back(TailBatch {
            base: append.base,
            last: append.last,
            segment: append.segment,
            position: append.position,
            block,
            bytes,
        });
        if state.noted_block != block {
            state.noted_block = block;
            shared.cache.borrow_mut().note(block, self);
        }
        drop(state);
        if !self.dirty.replace(true) {
            shared.dirty.borrow_mut().push(self.clone());
            shared.dirtied.notify();
        }
        if !shared.waits_for_device() {
            self.durable(append.last + 1);
        }
    }

    /// Everything before `next` is durable.
    pub fn durable(&self, next: i64) {
        let mut state = self.state.borrow_mut();
        if next > state.high_watermark {
            state.high_watermark = next;
            if let Some(producers) = &mut state.producers {
                producers.durable(next);
            }
            drop(state);
            self.changed.notify();
        }
    }

    /// Lets go of what lies in memory block `block` and older ones, as far as it is in segments.
    pub fn forget_tail(&self, block: u64) {
        let mut state = self.state.borrow_mut();
        while state.drained > 0 && state.tail.front().is_some_and(|batch| batch.block <= block) {
            state.tail.pop_front();
            state.drained -= 1;
        }
        if state.tail.is_empty() && state.tail.capacity() > 64 {
            state.tail.shrink_to(0);
        }
    }

    /// All that was appended is durable. After a stop it is, unless that has given up a large append for which there was
    /// no room.
    pub fn is_whole(&self) -> bool {
        let state = self.state.borrow();
        state.high_watermark >= state.log_end
    }

    /// What a checkpoint says of this log now; `None` if it never held anything.
    pub fn checkpoint(&self, clean: bool) -> Option<CheckpointEntry> {
        let state = self.state.borrow();
        let written = state.written()?;
        let place = state.unsynced.first().map_or(written, |unsynced| unsynced.min(written));
        // What is missing is looked for again at the next start, and no offset is given twice.
        let missing = state.damage.first().and_then(|hole| Some((hole.offsets?.0.0, hole.position)));
        let verified = missing.map_or(place, |(offset, position)| {
            let after = state.segments.partition_point(|segment| segment.base <= offset);
            let segment = after.checked_sub(1).map_or(offset, |index| state.segments[index].base);
            LogPlace { segment, position: u32::try_from(position).unwrap_or(u32::MAX), offset }
        });
        let untold = state.first_untold();
        // One that begins at the verified place or behind it is found from there.
        let passed = untold.filter(|(begins, _)| *begins < verified.offset);
        let verified = passed.map_or(verified, |(_, segment)| segment.min(verified));
        // What is in a segment and not synced there is in the journal; but a power loss takes it from both where nobody
        // waits for the device.
        let is_relaxed = self.shared.upgrade().is_some_and(|shared| !shared.waits_for_device());
        let claimed = match missing {
            Some(_) => LogPlace { offset: state.log_end, ..written },
            None if is_relaxed => place,
            None => written,
        };
        let before = state.segments.iter().take_while(|segment| segment.base < verified.segment);
        let older: u64 = before.map(|segment| u64::from(segment.bytes)).sum();
        let told = state.epochs_told();
        let newest = told.checked_sub(1).and_then(|last| state.epochs.entries().nth(last));
        // Behind the end of what is durable may lie a part of what was given up.
        let whole = state.high_watermark >= state.log_end;
        Some(CheckpointEntry {
            id: self.id,
            exact: clean && whole && state.damage.is_empty() && untold.is_none(),
            leader_epoch: newest.map_or(-1, |(epoch, _)| epoch.0),
            epoch_history: told > 1,
            log_start: state.log_start,
            verified,
            claimed,
            older_bytes: state.older_bytes + older,
        })
    }
}

/// A partition on this shard. Cloning shares it.
#[derive(Clone)]
pub struct Partition {
    pub(crate) log: Rc<Log>,
}

impl Partition {
    /// Which partition this is.
    pub fn id(&self) -> TopicPartition {
        self.log.id
    }

    /// Where the log begins and ends now.
    pub fn offsets(&self) -> Offsets {
        let state = self.log.state.borrow();
        Offsets {
            log_start: Offset(state.log_start),
            high_watermark: Offset(state.high_watermark),
            last_stable: Offset(state.last_stable()),
            log_end: Offset(state.log_end),
        }
    }

    /// Happens when the high watermark or the log start has moved, and when the partition is deleted.
    pub fn changed(&self) -> Event {
        self.log.changed.clone()
    }

    /// The settings from now on.
    pub fn update_config(&self, config: Rc<LogConfig>) {
        *self.log.config.borrow_mut() = config;
    }

    /// The settings now.
    pub fn config(&self) -> Rc<LogConfig> {
        self.log.config.borrow().clone()
    }

    /// Bytes of batches in the log.
    pub fn size_bytes(&self) -> u64 {
        let state = self.log.state.borrow();
        state.older_bytes + state.segments.iter().map(|segment| u64::from(segment.bytes)).sum::<u64>()
    }

    /// The damage that keeps this partition from taking appends, if there is any.
    pub fn damage(&self) -> Option<Damage> {
        self.log.state.borrow().damage.first().cloned()
    }
}
