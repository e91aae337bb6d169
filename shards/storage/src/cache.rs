//! The memory of recent data: blocks that commits and direct writes were built in, and that serve as the
//! tails of the logs until memory is needed for newer ones.
//!
//! Blocks go in the order in which they were begun. One may go when all that it holds is in segments; then
//! every log that has a part in it lets go of that part and of everything older.

use crate::partition::Log;
use crate::read_cache::ReadCache;
use crate::stats::StoreStats;
use memory::{Block, Pool};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;

struct Kept {
    number: u64,
    bytes: usize,
    logs: Vec<Rc<Log>>,
    /// Written to segments as far as these logs are concerned; `None` while it is still being filled.
    last_commit: Option<u64>,
}

/// The blocks that hold recent data.
pub(crate) struct TailCache {
    pool: Pool,
    /// Gives its memory back before recent data goes.
    reads: Rc<ReadCache>,
    kept: VecDeque<Kept>,
    bytes: usize,
    limit: usize,
    next: u64,
}

impl TailCache {
    /// A cache that takes up to `limit` bytes of the pool.
    pub fn new(pool: Pool, limit: usize, reads: Rc<ReadCache>) -> TailCache {
        TailCache { pool, reads, kept: VecDeque::new(), bytes: 0, limit, next: 1 }
    }

    /// A block of at least `bytes`, and its number. Lets older ones go for it, whose commits are
    /// `written` to segments. `None`: there is none now.
    pub fn take(&mut self, bytes: usize, written: u64, stats: &StoreStats) -> Option<(Block, u64)> {
        let size = bytes.next_power_of_two();
        while self.bytes + size > self.limit && self.evict(written) {}
        if self.bytes + size > self.limit {
            return None;
        }
        let block = loop {
            match self.pool.take(size) {
                Some(block) => break block,
                None if self.reads.give_back() || self.evict(written) => {}
                None => return None,
            }
        };
        let number = self.next;
        self.next += 1;
        self.bytes += block.len();
        self.kept.push_back(Kept { number, bytes: block.len(), logs: Vec::new(), last_commit: None });
        stats.tail_bytes.store(self.bytes as u64, Ordering::Relaxed);
        Some((block, number))
    }

    /// Gives memory back to the pool, for others; `false` if there is none that may go.
    pub fn give_back(&mut self, written: u64, stats: &StoreStats) -> bool {
        let gone = self.reads.give_back() || self.evict(written);
        stats.tail_bytes.store(self.bytes as u64, Ordering::Relaxed);
        gone
    }

    /// A log has a part in a block.
    pub fn note(&mut self, block: u64, log: &Rc<Log>) {
        if let Some(kept) = self.find(block) {
            kept.logs.push(log.clone());
        }
    }

    /// Nothing is added to a block any more; it may go when `last_commit` is written to segments.
    pub fn close(&mut self, block: u64, last_commit: u64) {
        if let Some(kept) = self.find(block) {
            kept.last_commit = Some(last_commit);
        }
    }

    /// Something may be added to a block after all. False if it was let go.
    pub fn reopen(&mut self, block: u64) -> bool {
        let kept = self.find(block);
        kept.is_some_and(|kept| {
            kept.last_commit = None;
            true
        })
    }

    fn find(&mut self, block: u64) -> Option<&mut Kept> {
        let index = self.kept.binary_search_by_key(&block, |kept| kept.number).ok()?;
        self.kept.get_mut(index)
    }

    /// Lets the oldest block go that may. One that is still being filled does not keep younger ones.
    pub fn evict(&mut self, written: u64) -> bool {
        let may = |kept: &Kept| kept.last_commit.is_some_and(|last| last <= written);
        let Some(index) = self.kept.iter().position(may) else { return false };
        let Some(kept) = self.kept.remove(index) else { return false };
        self.bytes -= kept.bytes;
        for log in kept.logs {
            log.forget_tail(kept.number);
        }
        true
    }

    /// Drops everything; at the end of the store.
    pub fn clear(&mut self, stats: &StoreStats) {
        self.kept.clear();
        self.bytes = 0;
        stats.tail_bytes.store(0, Ordering::Relaxed);
    }
}
