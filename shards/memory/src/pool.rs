//! The pool: an arena with a budget, and the way home for blocks dropped on other cores.

#![allow(unsafe_code)] // Maps the arena; see the notes at each block.

use crate::BLOCK_BYTES_MIN;
use crate::ahead::{PART_ORDER, Parts};
use crate::block::Block;
use crate::buddy::Buddy;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// End of the stack of returned blocks.
const NONE: u32 = u32::MAX;

/// A huge page of the kernel. An arena that is as large begins at a multiple of it, so that it can have such pages.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The nodes that a kernel knows at most.
const NODES_MAX: usize = 1024;

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

    fn huge_pages(&self) -> io::Result<()> {
        // SAFETY: about the arena's own mapping; whatever the kernel makes of it, its contents stay.
        let refused = unsafe { libc::madvise(self.memory.as_ptr().cast(), self.bytes, libc::MADV_HUGEPAGE) };
        if refused == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn keep_on_node(&self) -> io::Result<()> {
        let mut node: libc::c_uint = 0;
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the kernel writes the node into the local integer, and nothing else.
        let refused = unsafe { libc::syscall(libc::SYS_getcpu, nothing, &raw mut node, nothing) };
        if refused != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut nodes = [0_u64; NODES_MAX / 64];
        let word = nodes.get_mut(node as usize / 64).ok_or(io::ErrorKind::Unsupported)?;
        *word = 1 << (node % 64);
        let mode = libc::c_long::from(libc::MPOL_PREFERRED);
        // The kernel looks at one bit less than it is told.
        let (start, mask, bits) = (self.memory.as_ptr(), nodes.as_ptr(), NODES_MAX + 1);
        // SAFETY: about the arena's own mapping, whose contents stay; the kernel reads the local array, to its end.
        let refused = unsafe { libc::syscall(libc::SYS_mbind, start, self.bytes, mode, mask, bits, 0_usize) };
        if refused == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
    parts: RefCell<Parts>,
    /// Who makes huge pages ready.
    ahead: OnceCell<Box<dyn Fn(Block)>>,
    huge_pages: Cell<bool>,
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
            parts: RefCell::new(Parts::new(count)),
            ahead: OnceCell::new(),
            huge_pages: Cell::new(false),
        };
        Ok(Pool { inner: Rc::new(inner) })
    }

    /// Asks the kernel for huge pages, for what has not been touched yet: it is then touched 2 MiB at a time. Direct I/O
    /// gives a device one piece for each run of neighbouring pages, and of small pages each is a run of its own
    /// (`docs/decisions/huge-pages.md`). An error: the kernel has none, and all stays as it is.
    pub fn ask_for_huge_pages(&self) -> io::Result<()> {
        self.inner.arena.huge_pages()?;
        self.inner.huge_pages.set(true);
        Ok(())
    }

    /// Whether it is in huge pages, as far as the kernel finds any.
    pub fn has_huge_pages(&self) -> bool {
        self.inner.huge_pages.get()
    }

    /// Asks for memory of the node that the calling thread runs on, for what has not been touched yet: else it would be
    /// that of whoever touches it, which need not be the core's. An error: the kernel has no nodes, or the process may
    /// not say so (Docker's seccomp profile), and all stays as it is.
    pub fn keep_on_node(&self) -> io::Result<()> {
        self.inner.arena.keep_on_node()
    }

    /// From now on the next huge pages are handed out ahead of their use, as blocks: `touch` has them touched, on another
    /// thread, and let go. Until then they count as used. Only the first call is heeded.
    pub fn prepare_ahead(&self, touch: impl Fn(Block) + 'static) {
        if self.inner.ahead.set(Box::new(touch)).is_ok() {
            self.prepare();
        }
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
        drop(buddy);
        let page = taken?;
        if self.inner.parts.borrow_mut().reach(page, order) {
            self.prepare();
        }
        Some(Block::new(self.inner.arena.clone(), page, pages * BLOCK_BYTES_MIN))
    }

    /// Hands out the huge pages that are to be ready next.
    fn prepare(&self) {
        let Some(touch) = self.inner.ahead.get() else { return };
        loop {
            let Some(page) = self.inner.parts.borrow_mut().send() else { return };
            let mut buddy = self.inner.buddy.borrow_mut();
            let free = buddy.take_at(page, PART_ORDER);
            assert!(free, "page {page} was never handed out and is not free");
            self.note(&buddy, false);
            drop(buddy);
            touch(Block::new(self.inner.arena.clone(), page, HUGE_PAGE_BYTES));
        }
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
        let mut parts = self.inner.parts.borrow_mut();
        let mut ready = false;
        while page != NONE {
            let next = arena.links[page as usize].load(Ordering::Relaxed);
            buddy.give(page);
            ready |= parts.come_home(page);
            page = next;
        }
        self.note(&buddy, false);
        drop((buddy, parts));
        if ready {
            self.prepare();
        }
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
    fn huge_pages_are_asked_for_all_of_it() {
        let pool = Pool::new(4 * HUGE_PAGE_BYTES).expect("maps");
        let (start, length) = pool.arena_range();
        let asked = pool.ask_for_huge_pages();
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("of this process");
        // A part of the file for each mapping: its addresses first, its flags last.
        let range = format!("{:x}-{:x} ", start as usize, start as usize + length);
        let flags = maps.split_once(&range).and_then(|(_, after)| after.split_once("VmFlags:"));
        let flags = flags.and_then(|(_, flags)| flags.lines().next()).unwrap_or_default();
        assert_eq!(flags.split_whitespace().any(|flag| flag == "hg"), asked.is_ok(), "{asked:?}: {flags}");
        let has = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert_eq!(asked.is_ok(), has, "{asked:?}");
    }

    #[test]
    fn memory_is_that_of_the_callers_node_whoever_touches_it() {
        let pool = Pool::new(4 * HUGE_PAGE_BYTES).expect("maps");
        let asked = pool.keep_on_node();
        // A line a mapping: where it begins, then where its memory is from. There is none in a kernel without nodes.
        let maps = std::fs::read_to_string("/proc/self/numa_maps");
        let has = maps.is_ok();
        let (maps, begin) = (maps.unwrap_or_default(), format!("{:x} ", pool.arena_range().0 as usize));
        let policy = maps.lines().find_map(|line| line.strip_prefix(&begin));
        let prefers = policy.is_some_and(|policy| policy.starts_with("prefer:"));
        assert_eq!(prefers, asked.is_ok(), "{asked:?}: {policy:?}");
        let forbidden = asked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        assert!(asked.is_ok() == has || forbidden, "{asked:?}");
        let mut all = pool.take(4 * HUGE_PAGE_BYTES).expect("free");
        all.fill(7);
    }

    #[test]
    fn an_impossible_budget_is_refused() {
        assert!(matches!(Pool::new(100), Err(MemoryError::Budget { bytes: 100 })));
    }
}
