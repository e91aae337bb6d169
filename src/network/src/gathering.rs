//! What requests that arrive in parts may hold of a core's memory.
//!
//! A request that has not arrived whole is worth nothing yet, and its sender may never finish it. All of them
//! together get a part of the pool; what is left stays with the requests that are worked on and with the logs.

use memory::{Block, Pool};
use std::cell::Cell;
use std::rc::Rc;

/// The part of the pool: one in this many bytes.
const POOL_PART: usize = 4;

/// The memory for requests in parts, of one core. Cloning shares it.
#[derive(Clone)]
pub struct Gathering {
    inner: Rc<Inner>,
}

struct Inner {
    pool: Pool,
    /// Has caches let some memory go; `false` if they have none.
    give_back: Box<dyn Fn() -> bool>,
    bytes_max: usize,
    held: Cell<usize>,
    waiting: Cell<usize>,
}

/// A part of the memory that is in use; dropping it gives the part back, not the block.
#[derive(Default)]
pub(crate) struct Share {
    of: Option<(Rc<Inner>, usize)>,
}

/// Somebody waits for memory for as long as this lives.
pub(crate) struct Waiting {
    inner: Rc<Inner>,
}

impl Gathering {
    /// Over a core's pool, which nobody else keeps memory of for long.
    pub fn new(pool: Pool) -> Gathering {
        Gathering::beside_caches(pool, || false)
    }

    /// Over a core's pool, of which caches have a part: `give_back` has them let some go, and tells `false` when there is
    /// none. Without it a request could wait for memory that only its own append would have freed.
    pub fn beside_caches(pool: Pool, give_back: impl Fn() -> bool + 'static) -> Gathering {
        let bytes_max = pool.budget_bytes() / POOL_PART;
        let give_back = Box::new(give_back);
        let (held, waiting) = (Cell::new(0), Cell::new(0));
        Gathering { inner: Rc::new(Inner { pool, give_back, bytes_max, held, waiting }) }
    }

    /// Bytes that requests in parts hold now.
    pub fn held_bytes(&self) -> usize {
        self.inner.held.get()
    }

    /// A block for a request that holds `own` already, which it will give back. `None` if there is none now. A request
    /// that is alone may be as large as the pool allows.
    pub(crate) fn take(&self, bytes: usize, own: &Share) -> Option<(Block, Share)> {
        let others = self.inner.held.get() - own.bytes();
        if others > 0 && others + bytes > self.inner.bytes_max {
            return None;
        }
        let block = loop {
            match self.inner.pool.take(bytes) {
                Some(block) => break block,
                // A claim that may be false does not empty the caches.
                None if bytes <= self.inner.bytes_max && (self.inner.give_back)() => {}
                None => return None,
            }
        };
        let bytes = block.len();
        self.inner.held.set(self.inner.held.get() + bytes);
        Some((block, Share { of: Some((self.inner.clone(), bytes)) }))
    }

    /// Notes that somebody waits.
    pub(crate) fn wait(&self) -> Waiting {
        self.inner.waiting.set(self.inner.waiting.get() + 1);
        Waiting { inner: self.inner.clone() }
    }

    /// Whether anybody waits.
    pub(crate) fn is_short(&self) -> bool {
        self.inner.waiting.get() > 0
    }
}

impl Share {
    fn bytes(&self) -> usize {
        self.of.as_ref().map_or(0, |(_, bytes)| *bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((inner, bytes)) = &self.of {
            inner.held.set(inner.held.get() - bytes);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.inner.waiting.set(self.inner.waiting.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn gathering() -> Gathering {
        Gathering::new(Pool::new(16 * MIB).expect("a pool"))
    }

    #[test]
    fn together_they_get_a_part_of_the_pool_and_give_it_back() {
        let gathering = gathering();
        let none = Share::default();
        let taken: Vec<_> = (0..20).map_while(|_| gathering.take(MIB, &none)).collect();
        assert_eq!(taken.len(), 4, "a quarter of 16 MiB");
        assert_eq!(gathering.held_bytes(), 4 * MIB);
        drop(taken);
        assert_eq!(gathering.held_bytes(), 0);
    }

    #[test]
    fn caches_give_way_to_a_request_but_not_to_any_claim() {
        let pool = Pool::new(16 * MIB).expect("a pool");
        let kept: Rc<std::cell::RefCell<Vec<Block>>> = Rc::default();
        while let Some(block) = pool.take(MIB) {
            kept.borrow_mut().push(block);
        }
        let (all, caches) = (kept.borrow().len(), kept.clone());
        let gathering = Gathering::beside_caches(pool, move || caches.borrow_mut().pop().is_some());
        assert!(gathering.take(8 * MIB, &Share::default()).is_none());
        assert_eq!(kept.borrow().len(), all, "a claim of half of the pool takes nothing from them");
        let taken = gathering.take(2 * MIB, &Share::default());
        assert!(taken.is_some() && kept.borrow().len() < all);
    }

    #[test]
    fn one_that_is_alone_may_be_large_and_may_grow() {
        let gathering = gathering();
        let (small, own) = gathering.take(MIB, &Share::default()).expect("room");
        let (large, share) = gathering.take(8 * MIB, &own).expect("it is alone");
        drop((small, own));
        assert_eq!(gathering.held_bytes(), 8 * MIB);
        assert!(gathering.take(MIB, &Share::default()).is_none(), "now it is not");
        drop((large, share));
        assert!(gathering.take(MIB, &Share::default()).is_some());
    }

    #[test]
    fn memory_is_short_while_somebody_waits() {
        let gathering = gathering();
        assert!(!gathering.is_short());
        let waiting = gathering.wait();
        assert!(gathering.is_short());
        drop(waiting);
        assert!(!gathering.is_short());
    }
}
