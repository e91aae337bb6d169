//! Blocks lent to the kernel for receiving.
//!
//! A buffer ring holds blocks of the pool; a receive takes one only when data has arrived, and the block leaves
//! the ring for good: it becomes the received data's owner, and another from the pool takes its place.
//! When the pool is used up the ring runs dry, receives end with `ENOBUFS`, and senders wait.

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use memory::{Block, Pool};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Blocks in the ring; a power of two.
const ENTRIES: u16 = 64;
/// Bytes of a lent block: a pipeline of small requests, or the beginning of a large one.
pub(crate) const LENT_BYTES: usize = 32 * 1024;
/// The buffer group of our receives.
pub(crate) const GROUP: u16 = 0;

pub(crate) struct LendRing {
    entries: NonNull<BufRingEntry>,
    tail: u16,
    blocks: Vec<Option<Block>>,
    /// Numbers of blocks that are missing because the pool was used up.
    missing: Vec<u16>,
}

const MAP_BYTES: usize = ENTRIES as usize * size_of::<BufRingEntry>();

impl LendRing {
    pub(crate) fn register(submitter: &Submitter<'_>) -> io::Result<LendRing> {
        // SAFETY: a new private mapping; page-aligned as the kernel asks.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MAP_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let entries = NonNull::new(address.cast::<BufRingEntry>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ring = LendRing {
            entries,
            tail: 0,
            blocks: (0..ENTRIES).map(|_| None).collect(),
            missing: (0..ENTRIES).rev().collect(),
        };
        // SAFETY: the mapping lives as long as this struct, which lives as long as the ring (the driver
        // drops the io_uring first).
        unsafe { submitter.register_buf_ring_with_flags(address as u64, ENTRIES, GROUP, 0)? };
        Ok(ring)
    }

    /// Puts blocks where they are missing, as far as the pool has some.
    pub(crate) fn fill(&mut self, pool: &Pool) {
        let before = self.tail;
        while let Some(&number) = self.missing.last() {
            let Some(block) = pool.take(LENT_BYTES) else { break };
            self.missing.pop();
            self.put(number, block);
        }
        if self.tail != before {
            // SAFETY: the tail lies in the first entry of the mapping, aligned to two bytes; the kernel
            // reads it as an atomic. Release: the entries are written before it is moved.
            let tail = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
            tail.store(self.tail, Ordering::Release);
        }
    }

    fn put(&mut self, number: u16, mut block: Block) {
        let index = usize::from(self.tail & (ENTRIES - 1));
        // SAFETY: the index is within the mapping. Only fields other than the tail are written.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        entry.set_addr(block.as_mut_ptr() as u64);
        entry.set_len(LENT_BYTES as u32);
        entry.set_bid(number);
        self.blocks[usize::from(number)] = Some(block);
        self.tail = self.tail.wrapping_add(1);
    }

    /// The block that the kernel has filled; it leaves the ring.
    pub(crate) fn take(&mut self, number: u16) -> Option<Block> {
        let block = self.blocks.get_mut(usize::from(number))?.take();
        self.missing.push(number);
        block
    }

    /// Blocks are missing.
    pub(crate) fn wants_blocks(&self) -> bool {
        !self.missing.is_empty()
    }
}

impl Drop for LendRing {
    fn drop(&mut self) {
        // SAFETY: unmaps what `register` mapped; the io_uring is gone by now.
        unsafe { libc::munmap(self.entries.as_ptr().cast(), MAP_BYTES) };
    }
}
