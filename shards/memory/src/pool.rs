//! The pool: an arena with a budget, and the way home for blocks dropped on other cores.

#![allow(unsafe_code)] // Maps the arena; see the notes at each block.

use crate::BLOCK_BYTES_MIN;
use crate::block::Block;
use crate::buddy::Buddy;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// End of the stack of returned blocks.
const NONE: u32 = u32::MAX;

/// A huge page of the kernel. An arena that is as large begins at a multiple of it, so that it can have such pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Why a pool could not be made.
#[derive(Debug)]
pub enum MemoryError {
    /// The kernel refused to map the arena.
    Map { bytes: usize, source: io::Error },
    /// A budget smaller than one block or larger than 2^32 pages.
    Budget { bytes: usize },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::Map { bytes, source } => write!(
                out,
                "cannot map {bytes} bytes for a shard's pool: {source}; lower flumen.pool.bytes or raise the limit on address space"
            ),
            MemoryError::Budget { bytes } => {
                write!(out, "a pool of {bytes} bytes: it must be between 4 KiB and 16 TiB")
            }
        }
    }
}

impl std::error::Error for MemoryError {}

/// How much of a pool is in use; may be read on any core.
#[derive(Debug, Default)]
pub struct PoolUse {
    used: AtomicU64,
    refused: AtomicU64,
}

impl PoolUse {
    /// Bytes in blocks that are held, as of the pool's last look.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How often a block was asked for and none was free.
    pub fn refused_count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// What blocks keep alive: the memory itself and the stack over which they come home.
pub(crate) struct Arena {
    memory: NonNull<u8>,
    bytes: usize,
    /// Top of the stack of returned blocks, by first page; links are in `links`.
    returned: AtomicU32,
    links: Box<[AtomicU32]>,
}

// SAFETY: the arena's memory is only reached through blocks, each of which has one owner and its own pages;
// the stack is made of atomics.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    fn map(bytes: usize) -> Result<Arena, MemoryError> {
        // With room to begin where a huge page may; what is left over of it goes back.
        let spare = if bytes < HUGE_PAGE_BYTES { 0 } else { HUGE_PAGE_BYTES };
        // SAFETY: a new private anonymous mapping, placed by the kernel; nothing else is touched.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes + spare,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let memory = NonNull::new(address.cast::<u8>()).filter(|_| address != libc::MAP_FAILED);
        let Some(memory) = memory else {
            return Err(MemoryError::Map { bytes, source: io::Error::last_os_error() });
        };
        let start = memory.as_ptr() as usize;
        let before = if spare == 0 { 0 } else { start.next_multiple_of(HUGE_PAGE_BYTES) - start };
        // SAFETY: `before` is less than the spare bytes or none, so `bytes` follow on it within the mapping, and behind
        // them the rest of the spare ones; nothing refers to what is unmapped.
        let memory = unsafe {
            let memory = memory.add(before);
            unmap(memory.sub(before), before);
            unmap(memory.add(bytes), spare - before);
            memory
        };
        let links = (0..bytes / BLOCK_BYTES_MIN).map(|_| AtomicU32::new(NONE)).collect();
        Ok(Arena { memory, bytes, returned: AtomicU32::new(NONE), links })
    }

    /// The address of a page.
    pub(crate) fn address(&self, page: u32) -> NonNull<u8> {
        let offset = page as usize * BLOCK_BYTES_MIN;
        assert!(offset < self.bytes, "page {page} is outside of the arena");
        // SAFETY: the offset was just checked to lie inside the mapping.
        unsafe { self.memory.add(offset) }
    }

    /// Puts a block on the stack home. Any core may call it.
    pub(crate) fn give_back(&self, page: u32) {
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            self.links[page as usize].store(top, Ordering::Relaxed);
            // Release: what the last owner wrote happens before the next owner's use.
            match self.returned.compare_exchange_weak(top, page, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `map` kept; no block is left, for each holds the arena alive.
        unsafe { unmap(self.memory, self.bytes) };
    }
}

/// Gives a part of a mapping back, if it is any.
///
/// # Safety
/// It is whole pages of a mapping of ours, and nothing refers to it any more.
unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    if bytes > 0 {
        // SAFETY: as the caller promises.
        unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
    }
}

struct Inner {
    buddy: RefCell<Buddy>,
    arena: Arc<Arena>,
    usage: Arc<PoolUse>,
}

/// One core's memory: a fixed budget of blocks. Cloning shares it; it stays on its core.
#[derive(Clone)]
pub struct Pool {
    inner: Rc<Inner>,
}

impl Pool {
    /// A pool of `budget_bytes`, rounded down to pages. Memory is touched when it is first used, so an idle
    /// pool costs its bookkeeping only (14 bytes a page).
    pub fn new(budget_bytes: usize) -> Result<Pool, MemoryError> {
        let pages = budget_bytes / BLOCK_BYTES_MIN;
        let count = u32::try_from(pages).ok().filter(|&p| p > 0 && p < NONE);
        let Some(count) = count else { return Err(MemoryError::Budget { bytes: budget_bytes }) };
        let arena = Arena::map(pages * BLOCK_BYTES_MIN)?;
        let inner = Inner {
            buddy: RefCell::new(Buddy::new(count)),
            arena: Arc::new(arena),
            usage: Arc::new(PoolUse::default()),
        };
        Ok(Pool { inner: Rc::new(inner) })
    }

    /// A block of at least `bytes` (the next power of two, 4 KiB at least), or `None` when the budget is
    /// used up: then the caller waits or refuses, and whoever sends to it slows down. Its contents are what
    /// the last owner left.
    pub fn take(&self, bytes: usize) -> Option<Block> {
        let pages = bytes.max(1).div_ceil(BLOCK_BYTES_MIN).checked_next_power_of_two()?;
        let order = pages.trailing_zeros();
        self.collect();
        let mut buddy = self.inner.buddy.borrow_mut();
        let taken = buddy.take(order);
        self.note(&buddy, taken.is_none());
        Some(Block::new(self.inner.arena.clone(), taken?, pages * BLOCK_BYTES_MIN))
    }

    /// Bytes that are not in any block. A block of that size need not be free: the arena may be in pieces.
    pub fn free_bytes(&self) -> usize {
        self.collect();
        self.inner.buddy.borrow().free_pages() as usize * BLOCK_BYTES_MIN
    }

    /// The whole budget.
    pub fn budget_bytes(&self) -> usize {
        self.inner.arena.bytes
    }

    /// The counters of this pool, readable on any core.
    pub fn usage(&self) -> Arc<PoolUse> {
        self.inner.usage.clone()
    }

    /// Address and length of the arena, for registering it with the kernel.
    pub fn arena_range(&self) -> (*mut u8, usize) {
        (self.inner.arena.memory.as_ptr(), self.inner.arena.bytes)
    }

    /// Takes home what was dropped since the last look.
    fn collect(&self) {
        let arena = &self.inner.arena;
        if arena.returned.load(Ordering::Relaxed) == NONE {
            return;
        }
        // The whole stack at once: nobody pops single blocks, so there is no ABA. Acquire pairs with the
        // release in `give_back`.
        let mut page = arena.returned.swap(NONE, Ordering::Acquire);
        let mut buddy = self.inner.buddy.borrow_mut();
        while page != NONE {
            let next = arena.links[page as usize].load(Ordering::Relaxed);
            buddy.give(page);
            page = next;
        }
        self.note(&buddy, false);
    }

    fn note(&self, buddy: &Buddy, refused: bool) {
        let usage = &self.inner.usage;
        let free = u64::from(buddy.free_pages()) * BLOCK_BYTES_MIN as u64;
        usage.used.store(self.inner.arena.bytes as u64 - free, Ordering::Relaxed);
        if refused {
            usage.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pool({} of {} bytes free)", self.free_bytes(), self.budget_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_is_an_answer_and_dropping_mends_it() {
        let pool = Pool::new(64 * 1024).expect("maps");
        let held: Vec<Block> = std::iter::from_fn(|| pool.take(10_000)).collect();
        assert_eq!(held.len(), 4, "16 KiB each of 64");
        assert_eq!(pool.usage().refused_count(), 1);
        drop(held);
        assert_eq!(pool.free_bytes(), 64 * 1024);
        assert!(pool.take(64 * 1024).is_some());
        assert!(pool.take(usize::MAX).is_none());
    }

    #[test]
    fn blocks_come_home_from_other_cores() {
        let pool = Pool::new(1 << 20).expect("maps");
        for round in 0..50u8 {
            let blocks: Vec<Block> = std::iter::from_fn(|| pool.take(4096)).collect();
            assert_eq!(blocks.len(), 256);
            let (left, right) = blocks.into_iter().partition::<Vec<_>, _>(|b| b.len() > round.into());
            let threads = [left, right].map(|part| {
                std::thread::spawn(move || {
                    for mut block in part {
                        block[0] = round;
                    }
                })
            });
            for thread in threads {
                thread.join().expect("no panic");
            }
            assert_eq!(pool.free_bytes(), 1 << 20);
        }
    }

    #[test]
    fn a_block_outlives_its_pool() {
        let block = Pool::new(8192).expect("maps").take(8192).map(|mut block| {
            block.fill(7);
            block
        });
        assert!(block.is_some_and(|block| block.iter().all(|&b| b == 7)));
    }

    #[test]
    fn a_large_arena_begins_where_a_huge_page_may() {
        for bytes in [HUGE_PAGE_BYTES, 3 * HUGE_PAGE_BYTES + 4096] {
            let pool = Pool::new(bytes).expect("maps");
            let (start, length) = pool.arena_range();
            assert_eq!((start as usize % HUGE_PAGE_BYTES, length), (0, bytes));
            // All of it is there, to the last byte.
            let blocks: Vec<Block> = std::iter::from_fn(|| pool.take(4096)).collect();
            assert_eq!(blocks.len(), bytes / 4096);
            for mut block in blocks {
                block.fill(7);
            }
        }
    }

    #[test]
    fn an_impossible_budget_is_refused() {
        assert!(matches!(Pool::new(100), Err(MemoryError::Budget { bytes: 100 })));
    }
}
