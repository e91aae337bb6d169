//! Which huge pages of a pool were touched, and which are being made ready on another thread.
//!
//! The kernel clears 2 MiB at the first touch of a huge page, which takes 0.2 ms at best, and milliseconds where a
//! hypervisor must find the memory first; a core that touches it itself does nothing else meanwhile. So the pool hands
//! the next ones to a thread, as blocks, which touches them and lets them go home.

use crate::BLOCK_BYTES_MIN;
use crate::pool::HUGE_PAGE_BYTES;

/// The order of a block of a huge page.
pub(crate) const PART_ORDER: u32 = (HUGE_PAGE_BYTES / BLOCK_BYTES_MIN).trailing_zeros();
/// Huge pages that are ready beyond those in use, while little is.
const AHEAD: usize = 2;
/// From so many in use on the core is taken to have work: then half of the pool is made ready, which it will use.
const IDLE_MAX: usize = 8;
/// Huge pages that are away at once: nobody gets them meanwhile.
const AWAY_MAX: usize = 2;
/// They are no more than such a part of all: a small pool may need what it has. The core touches that itself.
const AWAY_PART: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Never handed out.
    Fresh,
    /// Being made ready.
    Away,
    /// Ready, and not in use yet.
    Ready,
    /// Touched by who got something of it.
    Reached,
}

/// The huge pages of an arena, by their numbers.
pub(crate) struct Parts {
    parts: Vec<Part>,
    /// None before it is fresh.
    next: usize,
    away: usize,
    ready: usize,
    reached: usize,
}

impl Parts {
    /// What is left of the pages behind the last whole huge page is none.
    pub(crate) fn new(pages: u32) -> Parts {
        let parts = vec![Part::Fresh; (pages >> PART_ORDER) as usize];
        Parts { parts, next: 0, away: 0, ready: 0, reached: 0 }
    }

    /// A block is handed out. True if it touches a huge page for the first time, so that more of them are wanted.
    pub(crate) fn reach(&mut self, page: u32, order: u32) -> bool {
        let (first, last) = (page >> PART_ORDER, (page + (1 << order) - 1) >> PART_ORDER);
        let before = self.reached;
        for part in self.parts.iter_mut().take(last as usize + 1).skip(first as usize) {
            if *part != Part::Reached {
                self.ready -= usize::from(*part == Part::Ready);
                self.reached += 1;
                *part = Part::Reached;
            }
        }
        self.reached > before
    }

    /// A block came home. True if it is a huge page that has been made ready.
    pub(crate) fn come_home(&mut self, page: u32) -> bool {
        let part = self.parts.get_mut((page >> PART_ORDER) as usize);
        let Some(part) = part.filter(|part| **part == Part::Away) else { return false };
        *part = Part::Ready;
        self.away -= 1;
        self.ready += 1;
        true
    }

    /// The first page of the next huge page that is to be made ready, from now on away. It is free, as none of it was
    /// ever handed out.
    pub(crate) fn send(&mut self) -> Option<u32> {
        let (there, half) = (self.ready + self.away, self.parts.len() / 2);
        let wanted =
            if self.reached < IDLE_MAX { AHEAD } else { AHEAD.max(half.saturating_sub(self.reached)) };
        if self.away >= AWAY_MAX.min(self.parts.len() / AWAY_PART) || there >= wanted {
            return None;
        }
        let fresh = self.parts.iter().skip(self.next).position(|part| *part == Part::Fresh);
        let number = self.next + fresh?;
        self.next = number + 1;
        self.parts[number] = Part::Away;
        self.away += 1;
        Some((number as u32) << PART_ORDER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, Pool};
    use std::cell::RefCell;
    use std::rc::Rc;

    const PARTS: usize = 32;

    /// A pool, and what it hands out to be made ready.
    fn pool(bytes: usize) -> (Pool, Rc<RefCell<Vec<Block>>>) {
        let pool = Pool::new(bytes).expect("maps");
        let asked = Rc::new(RefCell::new(Vec::new()));
        let list = asked.clone();
        pool.prepare_ahead(move |block| list.borrow_mut().push(block));
        (pool, asked)
    }

    /// The numbers of the huge pages that were asked for; they go home.
    fn numbers(pool: &Pool, asked: &RefCell<Vec<Block>>) -> Vec<usize> {
        let start = pool.arena_range().0 as usize;
        let number = |block: Block| (block.as_ptr() as usize - start) / HUGE_PAGE_BYTES;
        let numbers = asked.borrow_mut().drain(..).map(number).collect();
        // The pool looks for what came home.
        assert!(pool.free_bytes() <= pool.budget_bytes());
        numbers
    }

    #[test]
    fn two_are_ready_ahead_of_what_is_handed_out() {
        let (pool, asked) = pool(PARTS * HUGE_PAGE_BYTES);
        assert_eq!(numbers(&pool, &asked), [0, 1]);
        assert!(asked.borrow().is_empty(), "that is enough");
        let small: Vec<_> = (0..4).map(|_| pool.take(4096).expect("free")).collect();
        assert_eq!(numbers(&pool, &asked), [2], "the first is in use");
        let large = pool.take(HUGE_PAGE_BYTES).expect("free");
        assert_eq!(numbers(&pool, &asked), [3]);
        // What comes back and is handed out again needs nothing.
        drop((small, large));
        let again = pool.take(HUGE_PAGE_BYTES).expect("free");
        assert!(asked.borrow().is_empty());
        drop(again);
        // All of it at once leaves nothing to be made ready.
        let all = pool.take(PARTS * HUGE_PAGE_BYTES).expect("free");
        assert!(asked.borrow().is_empty());
        drop(all);
        assert_eq!(pool.free_bytes(), PARTS * HUGE_PAGE_BYTES);
    }

    #[test]
    fn two_are_away_at_most_and_nobody_gets_them_meanwhile() {
        let (pool, asked) = pool(PARTS * HUGE_PAGE_BYTES);
        let free = (PARTS - 2) * HUGE_PAGE_BYTES;
        assert_eq!((asked.borrow().len(), pool.free_bytes()), (2, free));
        let others: Vec<_> = std::iter::from_fn(|| pool.take(HUGE_PAGE_BYTES)).collect();
        assert_eq!((others.len(), asked.borrow().len()), (PARTS - 2, 2));
        assert!(pool.take(4096).is_none());
        assert_eq!(numbers(&pool, &asked), [0, 1]);
        assert!(pool.take(4096).is_some());
        drop(others);
        assert_eq!(pool.free_bytes(), PARTS * HUGE_PAGE_BYTES);
    }

    #[test]
    fn of_a_small_pool_little_is_away_or_nothing() {
        for (parts, away) in [(1, 0), (8, 0), (15, 0), (16, 1), (31, 1), (32, 2)] {
            let (pool, asked) = pool(parts * HUGE_PAGE_BYTES);
            let block = pool.take(4096).expect("free");
            assert_eq!(asked.borrow().len(), away, "{parts}");
            drop(block);
        }
    }

    #[test]
    fn half_of_the_pool_is_made_ready_once_there_is_work() {
        let (pool, asked) = pool(64 * HUGE_PAGE_BYTES);
        let (mut ready, mut held) = (numbers(&pool, &asked), Vec::new());
        while held.len() < IDLE_MAX - 1 {
            held.push(pool.take(HUGE_PAGE_BYTES).expect("free"));
            ready.extend(numbers(&pool, &asked));
            assert_eq!(ready.len(), held.len() + 2);
        }
        held.push(pool.take(HUGE_PAGE_BYTES).expect("free"));
        while !asked.borrow().is_empty() {
            ready.extend(numbers(&pool, &asked));
        }
        assert_eq!(ready, (0..32).collect::<Vec<_>>());
        drop(held);
        assert_eq!(pool.free_bytes(), 64 * HUGE_PAGE_BYTES);
    }

    #[test]
    fn a_pool_of_any_size_is_made_ready_once() {
        let bytes = 33 * HUGE_PAGE_BYTES + 7 * 4096;
        let (pool, asked) = pool(bytes);
        let (mut ready, mut held) = (numbers(&pool, &asked), Vec::new());
        while let Some(block) = pool.take(4096) {
            held.push(block);
            while !asked.borrow().is_empty() {
                ready.extend(numbers(&pool, &asked));
            }
        }
        // The smallest free block is used up first: the last huge page is in use before its turn.
        assert_eq!((ready, held.len()), ((0..32).collect(), bytes / 4096));
    }
}
