//! A slice: shared, read-only bytes.

#![allow(unsafe_code)] // Reads a block's frozen part while its tail is written; see the notes.

use crate::block::Block;
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

/// What keeps the bytes of a slice alive. It is only counted, never looked through: other bytes of the
/// same block may be written meanwhile.
pub(crate) enum Owner {
    Block(Block),
    Vec(Vec<u8>),
}

/// Read-only bytes with any number of owners, on any core. The memory goes home with the last of them.
#[derive(Clone)]
pub struct Slice {
    owner: Arc<Owner>,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes of a slice are frozen: nobody writes them while it lives, and the owner is `Send`.
unsafe impl Send for Slice {}
// SAFETY: as above.
unsafe impl Sync for Slice {}

impl Slice {
    pub(crate) fn of_block(mut block: Block, len: usize) -> Slice {
        let start = NonNull::from(&mut block[..]).cast();
        Slice { owner: Arc::new(Owner::Block(block)), start, len }
    }

    /// The bytes `start..start + len` of what `owner` owns.
    ///
    /// # Safety
    /// They lie within the owner's memory, and nobody writes them from now on.
    pub(crate) unsafe fn of_frozen(owner: Arc<Owner>, start: NonNull<u8>, len: usize) -> Slice {
        Slice { owner, start, len }
    }

    /// The part `range` of this slice; shares the memory.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} of a slice of {} bytes",
            self.len
        );
        // SAFETY: just checked: the sum lies within the slice or one past its end.
        let start = unsafe { self.start.add(range.start) };
        Slice { owner: self.owner.clone(), start, len: range.end - range.start }
    }

    /// The same of a slice that is not needed besides: its memory gets no other owner.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    pub fn into_part(self, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} of a slice of {} bytes",
            self.len
        );
        // SAFETY: just checked: the sum lies within the slice or one past its end.
        let start = unsafe { self.start.add(range.start) };
        Slice { owner: self.owner, start, len: range.end - range.start }
    }

    /// Takes in `next` if it begins where this slice ends, in the same memory; false if it does not.
    pub fn extend(&mut self, next: &Slice) -> bool {
        // Both are frozen and have one owner, so they are together what one slice of it may be.
        let end = self.start.as_ptr().wrapping_add(self.len);
        let follows = Arc::ptr_eq(&self.owner, &next.owner) && end == next.start.as_ptr();
        if follows {
            self.len += next.len;
        }
        follows
    }

    /// How many bytes of memory this slice keeps alive, which is often more than its length.
    pub fn held_bytes(&self) -> usize {
        match &*self.owner {
            Owner::Block(block) => block.capacity(),
            Owner::Vec(vec) => vec.capacity(),
        }
    }

    /// Takes the block back for writing, if this is its only owner left; else gives the slice back.
    pub fn try_into_block(self) -> Result<Block, Slice> {
        let (start, len) = (self.start, self.len);
        match Arc::try_unwrap(self.owner) {
            Ok(Owner::Block(block)) => Ok(block),
            Ok(vec) => Err(Slice { owner: Arc::new(vec), start, len }),
            Err(owner) => Err(Slice { owner, start, len }),
        }
    }
}

impl From<Vec<u8>> for Slice {
    fn from(mut vec: Vec<u8>) -> Slice {
        let (start, len) = (NonNull::from(&mut vec[..]).cast(), vec.len());
        Slice { owner: Arc::new(Owner::Vec(vec)), start, len }
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies within memory that the owner keeps alive, it is initialized, and nobody
        // writes it: a block is given out only when this is the last slice, a tail writes above its mark.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Slice({} bytes of {})", self.len, self.held_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    #[test]
    fn parts_share_and_the_last_frees() {
        let pool = Pool::new(8192).expect("maps");
        let mut block = pool.take(8192).expect("free");
        block[..4].copy_from_slice(b"abcd");
        let whole = block.freeze(4);
        let part = whole.slice(1..3);
        assert_eq!(&part[..], b"bc");
        assert_eq!(&part.slice(1..2)[..], b"c");
        drop(whole);
        assert_eq!(pool.free_bytes(), 0, "the part keeps the block");
        let part = part.into_part(1..2);
        assert_eq!((&part[..], part.len()), (&b"c"[..], 1));
        let block = part.try_into_block().expect("the only owner");
        drop(block);
        assert_eq!(pool.free_bytes(), 8192);
    }

    #[test]
    fn neighbours_become_one() {
        let pool = Pool::new(8192).expect("maps");
        let filled = |bytes: &[u8]| {
            let mut block = pool.take(1).expect("free");
            block[..bytes.len()].copy_from_slice(bytes);
            block.freeze(bytes.len())
        };
        let (one, other) = (filled(b"abcdef"), filled(b"ghi"));
        let mut all = one.slice(1..3);
        assert!(all.extend(&one.slice(3..5)));
        assert_eq!(&all[..], b"bcde");
        assert!(!all.extend(&one.slice(4..6)), "not where it ends");
        assert!(!all.extend(&other), "other memory, wherever it lies");
        assert!(all.extend(&one.slice(5..5)) && all.extend(&one.slice(5..6)));
        assert_eq!(&all[..], b"bcdef");
        drop((one, other));
        assert_eq!(pool.free_bytes(), 4096, "it keeps its own block only");
    }

    #[test]
    fn a_shared_block_is_not_writable() {
        let pool = Pool::new(4096).expect("maps");
        let slice = pool.take(1).expect("free").freeze(10);
        let other = slice.clone();
        assert!(slice.try_into_block().is_err());
        assert!(Slice::from(vec![1]).try_into_block().is_err());
        assert_eq!(other.len(), 10);
    }
}
