//! Gathering appends into commits.
//!
//! A commit is built where it will stay: in a block of which the part before it is on its way to the device
//! or there already, and serves as the tail of the logs. When it is sealed it gets its checksum, its bytes
//! are frozen, and each log gets its part of them. Where nobody waits for the device the logs get their parts before,
//! as they come: then only the header, which is in front of them, and what comes behind them are still to be written.

use super::files::JournalFiles;
use super::format::{
    BLOCK_BYTES, COMMIT_HEADER_BYTES, CommitHeader, DECLARE_BYTES, ENTRY_HEADER_BYTES, Entry,
};
use crate::done::Done;
use crate::partition::Log;
use driver::Handle;
use memory::{Block, Gap, Slice, TailBlock};
use std::collections::VecDeque;
use std::rc::Rc;

/// A commit is not begun in less room than this, unless it is the end of a small file.
const COMMIT_ROOM_MIN: usize = 16 << 10;

/// Bytes at the end of the last free file that appends leave alone.
const KEPT_FOR_DELETING: u64 = 32 << 10;

/// An append in a commit.
pub(crate) struct Pending {
    pub log: Rc<Log>,
    pub base: i64,
    pub last: i64,
    pub segment: i64,
    pub position: u32,
    /// Where the batch begins in the commit, and its size.
    pub at: u32,
    pub bytes: u32,
}

/// A commit that is being filled.
struct Building {
    /// Room for the header, which is written last.
    header: Gap,
    /// What of the entries is frozen.
    frozen: Option<Slice>,
    length: usize,
    limit: usize,
    entries: u32,
    appends: Vec<Pending>,
    /// So many of them are parts of their logs already.
    shared: usize,
    /// It is not to wait for more.
    urgent: bool,
    done: Done,
}

impl Building {
    /// Where the bytes begin in the commit that may still be written.
    fn begin(&self) -> usize {
        COMMIT_HEADER_BYTES + self.frozen.as_ref().map_or(0, |frozen| frozen.len())
    }

    /// Freezes the bytes before `end`; the logs get their parts of those that were not. `sequence`: the commit's.
    fn share(&mut self, end: usize, tail: &mut TailBlock, block: u64, sequence: u64) {
        let begin = self.begin();
        if begin == end {
            return;
        }
        let bytes = tail.freeze(end - begin);
        for append in &self.appends[self.shared..] {
            let at = append.at as usize - begin;
            append.log.frozen(append, bytes.slice(at..at + append.bytes as usize), block, sequence);
        }
        self.shared = self.appends.len();
        match &mut self.frozen {
            Some(frozen) => assert!(frozen.extend(&bytes), "a commit's bytes lie one behind the other"),
            None => self.frozen = Some(bytes),
        }
    }
}

/// A commit that is complete.
pub(crate) struct Sealed {
    pub sequence: u64,
    pub handle: Handle,
    pub offset: u64,
    pub bytes: Slice,
    pub appends: Vec<Pending>,
    pub done: Done,
}

/// What a commit lacks to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A new memory block of at least so many bytes.
    Memory(usize),
    /// The next journal file.
    File,
}

fn room(tail: &TailBlock) -> usize {
    tail.capacity() - tail.len()
}

/// The state of a shard's journal.
pub(crate) struct Journal {
    pub files: JournalFiles,
    pub epoch: u64,
    /// Where the next commit begins in the current file.
    offset: u64,
    file_bytes: u64,
    next_sequence: u64,
    next_number: u32,
    building: Option<Building>,
    pub sealed: VecDeque<Sealed>,
    tail: Option<TailBlock>,
    block: u64,
    /// Bytes of all commits that were ever sealed here, padding included: so much memory they took.
    pub sealed_bytes: u64,
    /// All commits up to this one are written; where somebody waits for that, they are on the device.
    pub durable_through: u64,
    /// So many of the sealed bytes these are.
    pub durable_bytes: u64,
    /// Where nobody waits for the device: all commits up to this one are on it nevertheless, because the files were
    /// synced.
    pub synced_through: u64,
    /// All that these hold is in synced segments.
    pub drained_through: u64,
    /// The time of the last append.
    pub now_ms: i64,
}

impl Journal {
    /// An empty journal over files of which one is ready.
    pub fn new(files: JournalFiles, epoch: u64, file_bytes: u64) -> Journal {
        let mut journal = Journal {
            files,
            epoch,
            offset: file_bytes,
            file_bytes,
            next_sequence: 1,
            next_number: 0,
            building: None,
            sealed: VecDeque::new(),
            tail: None,
            block: 0,
            sealed_bytes: 0,
            durable_through: 0,
            durable_bytes: 0,
            synced_through: 0,
            drained_through: 0,
            now_ms: 0,
        };
        journal.next_file();
        journal
    }

    /// The sequence that the next sealed commit will have at least.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Bytes gathered and not sealed.
    pub fn building_bytes(&self) -> usize {
        self.building.as_ref().map_or(0, |building| building.length)
    }

    /// Whether what is gathered is not to wait for more.
    pub fn is_urgent(&self) -> bool {
        self.building.as_ref().is_some_and(|building| building.urgent)
    }

    /// What is gathered is not to wait for more.
    pub fn hurry(&mut self) {
        if let Some(building) = &mut self.building {
            building.urgent = true;
        }
    }

    /// Bytes that entries may still take in the commit that is being built.
    pub fn building_room(&self) -> usize {
        self.building.as_ref().map_or(0, |building| building.limit - building.length)
    }

    /// The largest commit that a file can hold.
    pub fn commit_bytes_max(&self) -> usize {
        usize::try_from(self.file_bytes - BLOCK_BYTES).unwrap_or(usize::MAX)
    }

    /// No file follows on the current one, and that is nearly full: what is left is for deleting records, which
    /// is what makes room on a full device.
    pub fn is_scarce(&self) -> bool {
        let building = self.building_bytes().next_multiple_of(BLOCK_BYTES as usize) as u64;
        let left = self.file_bytes.saturating_sub(self.offset + building);
        !self.files.has_next() && left < KEPT_FOR_DELETING.min(self.file_bytes / 8)
    }

    /// Which use of which file commits go to now; numbers of partitions hold within one.
    pub fn file_sequence(&self) -> u64 {
        self.files.current().map_or(0, |(_, file_sequence)| file_sequence)
    }

    /// Makes sure that entries of `bytes` can be put into the commit that is being built, which may be a
    /// new one.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Lack> {
        if let Some(building) = &self.building {
            if building.length + bytes <= building.limit {
                return Ok(());
            }
            self.seal();
        }
        let needed = (COMMIT_HEADER_BYTES + bytes).next_multiple_of(BLOCK_BYTES as usize);
        let left_in_file = |journal: &Journal| (journal.file_bytes - journal.offset) as usize;
        if left_in_file(self) < needed && !self.next_file() {
            return Err(Lack::File);
        }
        let left = left_in_file(self);
        let Some(tail) = self.tail.as_mut().filter(|tail| room(tail) >= needed.max(COMMIT_ROOM_MIN)) else {
            return Err(Lack::Memory(needed));
        };
        let limit = room(tail).min(left);
        self.building = Some(Building {
            header: tail.leave_gap(COMMIT_HEADER_BYTES),
            frozen: None,
            length: COMMIT_HEADER_BYTES,
            limit,
            entries: 0,
            appends: Vec::new(),
            shared: 0,
            urgent: false,
            done: Done::default(),
        });
        Ok(())
    }

    /// Goes on in a new memory block, whose number is `block`.
    pub fn add_memory(&mut self, memory: Block, block: u64) {
        self.tail = Some(TailBlock::new(memory));
        self.block = block;
    }

    /// Builds nothing more in the memory block that it has: that belongs to the logs alone.
    pub fn drop_memory(&mut self) {
        self.tail = None;
    }

    /// The memory block that commits are built in now.
    pub fn memory_block(&self) -> u64 {
        self.block
    }

    fn next_file(&mut self) -> bool {
        if !self.files.advance(self.next_sequence - 1) {
            return false;
        }
        self.offset = BLOCK_BYTES;
        self.next_number = 0;
        true
    }

    /// A number for a partition's segment in this file, the one it has or a new one, and the entry that says
    /// so.
    pub fn declare(&mut self, log: &Log, segment: i64, has: Option<u32>) -> u32 {
        let number = has.unwrap_or(self.next_number);
        self.next_number += u32::from(has.is_none());
        self.put(&Entry::Declare { number, id: log.id, segment });
        number
    }

    /// Bytes that an append of one batch needs at most.
    pub fn bytes_needed(batch: usize) -> usize {
        2 * ENTRY_HEADER_BYTES + DECLARE_BYTES + batch
    }

    /// Puts an entry in, for which there is room; returns where its payload begins in the commit.
    pub fn put(&mut self, entry: &Entry<'_>) -> usize {
        let (Some(building), Some(tail)) = (&mut self.building, &mut self.tail) else {
            unreachable!("an entry without room reserved for it");
        };
        let (at, begin) = (building.length, building.begin());
        building.length += entry.encode(&mut tail.spare_mut()[at - begin..building.limit - begin]);
        building.entries += 1;
        at + ENTRY_HEADER_BYTES
    }

    /// The bytes of the batch that was put in last, to write into what lies outside of its CRC.
    pub fn put_batch_mut(&mut self, at: usize, bytes: usize) -> &mut [u8] {
        let (Some(building), Some(tail)) = (&self.building, &mut self.tail) else {
            unreachable!("a batch that was not just put in");
        };
        let at = at - building.begin();
        &mut tail.spare_mut()[at..at + bytes]
    }

    /// Notes the append that the last entry was; returns the end that it waits for.
    pub fn pend(&mut self, append: Pending) -> Done {
        let building = self.building.as_mut().expect("an entry was just put in");
        building.appends.push(append);
        building.done.clone()
    }

    /// The end of the commit that is being built.
    pub fn building_done(&self) -> Option<Done> {
        self.building.as_ref().map(|building| building.done.clone())
    }

    /// The logs get their parts of what is gathered, before it is on its way to the device.
    pub fn share(&mut self) {
        if let (Some(building), Some(tail)) = (&mut self.building, &mut self.tail) {
            building.share(building.length, tail, self.block, self.next_sequence);
        }
    }

    /// Completes the commit that is being built, if there is one, and queues it. The logs get their parts of
    /// its memory.
    pub fn seal(&mut self) {
        let Some(mut building) = self.building.take() else { return };
        let durable_through = self.promised_through();
        let (Some(tail), Some((handle, file_sequence))) = (&mut self.tail, self.files.current()) else {
            unreachable!("a commit without memory or file");
        };
        let header = CommitHeader {
            length: building.length as u32,
            entries: building.entries,
            sequence: self.next_sequence,
            epoch: self.epoch,
            file_sequence,
            durable_through,
            drained_through: self.drained_through,
            wall_clock_ms: self.now_ms,
        };
        let padded = header.padded_bytes() as usize;
        let begin = building.begin();
        tail.spare_mut()[building.length - begin..padded - begin].fill(0);
        building.share(padded, tail, self.block, self.next_sequence);
        let Building { header: mut head, frozen: Some(entries), length, .. } = building else {
            unreachable!("a commit of which nothing is frozen");
        };
        header.seal_over(&mut head, &entries[..length - COMMIT_HEADER_BYTES]);
        let mut bytes = head.freeze();
        assert!(bytes.extend(&entries), "a commit's entries lie behind its header");
        self.sealed.push_back(Sealed {
            sequence: self.next_sequence,
            handle,
            offset: self.offset,
            bytes,
            appends: building.appends,
            done: building.done,
        });
        self.next_sequence += 1;
        self.offset += padded as u64;
        self.sealed_bytes += padded as u64;
    }

    /// Up to here a start misses what it does not find. Where nobody waits for the device, a power loss may take a
    /// commit that was written, and leave those behind it: that is no damage.
    fn promised_through(&self) -> u64 {
        match self.files.is_relaxed() {
            true => self.synced_through.max(self.drained_through),
            false => self.durable_through,
        }
    }

    /// Everything that is not on the device and never will be: who waits for it.
    pub fn abandon(&mut self) -> Vec<Done> {
        let building = self.building.take().map(|building| building.done);
        self.sealed.drain(..).map(|sealed| sealed.done).chain(building).collect()
    }
}
