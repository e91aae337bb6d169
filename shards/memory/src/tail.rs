//! A block that is filled from its beginning, what is filled being shared already.

#![allow(unsafe_code)] // Writes above a mark while others read below it; see the notes at each block.

use crate::block::Block;
use crate::slice::{Owner, Slice};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// A block with a mark: below it the bytes are frozen and shared (but for what a [`Gap`] leaves out), above it this
/// owner writes.
///
/// Commits are built so: one after another in one block, each frozen as it goes to the device, and the same
/// bytes serve as the tail of the logs in it.
pub struct TailBlock {
    owner: Arc<Owner>,
    frozen: usize,
    capacity: usize,
}

impl TailBlock {
    /// A tail over the whole of `block`, nothing of it frozen.
    pub fn new(block: Block) -> TailBlock {
        let capacity = block.capacity();
        TailBlock { owner: Arc::new(Owner::Block(block)), frozen: 0, capacity }
    }

    /// The mark: how many bytes are frozen, or left out.
    pub fn len(&self) -> usize {
        self.frozen
    }

    /// Nothing is frozen yet, nor left out.
    pub fn is_empty(&self) -> bool {
        self.frozen == 0
    }

    /// The size of the block.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn start(&self) -> NonNull<u8> {
        match &*self.owner {
            Owner::Block(block) => block.address(),
            Owner::Vec(_) => unreachable!("a tail is made of a block"),
        }
    }

    /// The bytes above the mark, for writing.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        // SAFETY: slices and gaps of this block end at the mark, nobody else can make one above it (the only
        // other makers are `freeze` and `leave_gap`, which need `&mut self`), and the block is never borrowed
        // as a whole.
        unsafe {
            let start = self.start().add(self.frozen);
            std::slice::from_raw_parts_mut(start.as_ptr(), self.capacity - self.frozen)
        }
    }

    /// Freezes the next `bytes` above the mark and shares them.
    ///
    /// # Panics
    /// If fewer are left.
    pub fn freeze(&mut self, bytes: usize) -> Slice {
        assert!(
            bytes <= self.capacity - self.frozen,
            "freezing {bytes} more of {} bytes above {}",
            self.capacity,
            self.frozen
        );
        // SAFETY: inside the block, as just checked, and below the mark from here on.
        unsafe {
            let start = self.start().add(self.frozen);
            self.frozen += bytes;
            Slice::of_frozen(self.owner.clone(), start, bytes)
        }
    }

    /// Leaves the next `bytes` above the mark out, to be written and frozen later than what follows on them.
    ///
    /// # Panics
    /// If fewer are left.
    pub fn leave_gap(&mut self, bytes: usize) -> Gap {
        assert!(
            bytes <= self.capacity - self.frozen,
            "leaving out {bytes} of {} bytes above {}",
            self.capacity,
            self.frozen
        );
        // SAFETY: inside the block, as just checked.
        let start = unsafe { self.start().add(self.frozen) };
        self.frozen += bytes;
        Gap { owner: self.owner.clone(), start, len: bytes }
    }
}

/// Bytes of a [`TailBlock`] below its mark that are not frozen yet: only this owner reaches them.
pub struct Gap {
    owner: Arc<Owner>,
    start: NonNull<u8>,
    len: usize,
}

impl Gap {
    /// Gives up writing and shares the bytes; [`Slice::extend`] joins them with what was frozen behind them.
    pub fn freeze(self) -> Slice {
        // SAFETY: within the block, by `leave_gap`, and nobody writes them once this is gone.
        unsafe { Slice::of_frozen(self.owner, self.start, self.len) }
    }
}

impl Deref for Gap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: within a block that the owner keeps alive, which is initialized; and no other reaches these
        // bytes: the tail and its slices lie beside them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Gap {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only way here.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Gap({} bytes)", self.len)
    }
}

impl fmt::Debug for TailBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TailBlock({} of {} bytes frozen)", self.frozen, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    #[test]
    fn what_is_frozen_stays_while_the_rest_is_written() {
        let pool = Pool::new(4096).expect("maps");
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        tail.spare_mut()[..3].copy_from_slice(b"one");
        let one = tail.freeze(3);
        tail.spare_mut()[..3].copy_from_slice(b"two");
        let two = tail.freeze(3);
        tail.spare_mut().fill(b'x');
        assert_eq!((&one[..], &two[..], tail.len()), (&b"one"[..], &b"two"[..], 6));
        drop((tail, one));
        assert_eq!(pool.free_bytes(), 0, "a part keeps the block");
        assert_eq!(&two.slice(1..3)[..], b"wo");
        assert!(two.try_into_block().is_ok(), "the last slice gives the block back");
        assert_eq!(pool.free_bytes(), 4096);
    }

    #[test]
    fn a_gap_is_filled_after_what_follows_is_shared() {
        let pool = Pool::new(4096).expect("maps");
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        let mut gap = tail.leave_gap(4);
        tail.spare_mut()[..3].copy_from_slice(b"two");
        let mut two = tail.freeze(3);
        gap.copy_from_slice(b"one ");
        tail.spare_mut()[..6].copy_from_slice(b" three");
        assert!(two.extend(&tail.freeze(6)));
        assert_eq!((&gap[..], &two[..], tail.len()), (&b"one "[..], &b"two three"[..], 13));
        let mut all = gap.freeze();
        assert!(all.extend(&two));
        assert_eq!(&all[..], b"one two three");
        drop((tail, two));
        assert!(all.try_into_block().is_ok(), "the last slice gives the block back");
        // A gap keeps the block, whether it is ever filled or not.
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        let gap = tail.leave_gap(4096);
        drop(tail);
        assert_eq!(pool.free_bytes(), 0);
        drop(gap);
        assert_eq!(pool.free_bytes(), 4096);
    }

    #[test]
    #[should_panic(expected = "leaving out 2")]
    fn no_gap_is_larger_than_what_there_is() {
        let pool = Pool::new(4096).expect("maps");
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        let _first = tail.leave_gap(4095);
        let _second = tail.leave_gap(2);
    }

    #[test]
    #[should_panic(expected = "freezing 2 more")]
    fn no_more_than_there_is() {
        let pool = Pool::new(4096).expect("maps");
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        let _first = tail.freeze(4095);
        let _second = tail.freeze(2);
    }
}
