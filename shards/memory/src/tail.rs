//! A block that is filled from its beginning, what is filled being shared already.

#![allow(unsafe_code)] // Writes above a mark while others read below it; see the notes at each block.

use crate::block::Block;
use crate::slice::{Owner, Slice};
use std::fmt;
use std::sync::Arc;

/// A block with a mark: below it the bytes are frozen and shared, above it this owner writes.
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

    /// The mark: how many bytes are frozen.
    pub fn len(&self) -> usize {
        self.frozen
    }

    /// Nothing is frozen yet.
    pub fn is_empty(&self) -> bool {
        self.frozen == 0
    }

    /// The size of the block.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn start(&self) -> std::ptr::NonNull<u8> {
        match &*self.owner {
            Owner::Block(block) => block.address(),
            Owner::Vec(_) => unreachable!("a tail is made of a block"),
        }
    }

    /// The bytes above the mark, for writing.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        // SAFETY: slices of this block end at the mark, nobody else can make one above it (the only other
        // maker is `freeze`, which needs `&mut self`), and the block is never borrowed as a whole.
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
    #[should_panic(expected = "freezing 2 more")]
    fn no_more_than_there_is() {
        let pool = Pool::new(4096).expect("maps");
        let mut tail = TailBlock::new(pool.take(4096).expect("free"));
        let _first = tail.freeze(4095);
        let _second = tail.freeze(2);
    }
}
