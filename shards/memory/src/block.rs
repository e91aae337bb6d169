//! A block: some pages of an arena with one owner.

#![allow(unsafe_code)] // Views its pages as bytes; see the notes at each block.

use crate::pool::Arena;
use crate::slice::Slice;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// Writable memory with one owner, aligned to 4 KiB. Dropping it, on any core, sends it home to its pool.
pub struct Block {
    arena: Arc<Arena>,
    address: NonNull<u8>,
    page: u32,
    bytes: usize,
}

// SAFETY: a block is the only way to its pages, so moving it to another core moves them.
unsafe impl Send for Block {}
// SAFETY: shared references to a block only read.
unsafe impl Sync for Block {}

impl Block {
    pub(crate) fn new(arena: Arc<Arena>, page: u32, bytes: usize) -> Block {
        let address = arena.address(page);
        Block { arena, address, page, bytes }
    }

    /// Its size in bytes, without looking at them.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Gives up writing: the first `len` bytes may now be shared.
    ///
    /// # Panics
    /// If `len` is more than the block has.
    pub fn freeze(self, len: usize) -> Slice {
        assert!(len <= self.bytes, "freezing {len} of {} bytes", self.bytes);
        Slice::of_block(self, len)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: these pages belong to this block alone, are mapped as long as the arena lives, and were
        // zeroed by the kernel or written by an earlier owner: initialized either way.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.give_back(self.page);
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Block({} bytes)", self.bytes)
    }
}
