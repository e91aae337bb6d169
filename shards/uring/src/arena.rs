//! Registered buffers: the pool's memory, pinned once, so that file I/O does not pin its pages each time.
//!
//! A part of the arena is registered when file I/O first uses a block of it. What is never used is never pinned, so that
//! an idle core's pool costs as little memory as without.

use io_uring::Submitter;
use memory::Pool;
use std::io;

/// The smallest part, and the largest block that profits. Blocks up to this size do not cross a multiple of it: they are
/// powers of two in size and aligned to that.
const PART_BYTES: usize = 2 << 20;
/// Buffers that the kernel registers at most; the parts of larger arenas are larger.
const PARTS_MAX: usize = 1 << 14;

/// Where the registered buffers lie; none, by default.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    start: usize,
    bytes: usize,
    part_bytes: usize,
    registered: Vec<bool>,
    /// The kernel took no more: the rest stays as it is.
    full: bool,
}

impl Arena {
    fn new(start: usize, bytes: usize) -> Arena {
        let part_bytes = bytes.div_ceil(PARTS_MAX).next_power_of_two().max(PART_BYTES);
        let registered = vec![false; bytes.div_ceil(part_bytes)];
        Arena { start, bytes, part_bytes, registered, full: false }
    }

    /// Makes room for all parts, and tries the first, which says whether memory may be pinned at all.
    pub(crate) fn register(submitter: &Submitter<'_>, pool: &Pool) -> Result<Arena, String> {
        let (start, bytes) = pool.arena_range();
        let mut arena = Arena::new(start as usize, bytes);
        submitter
            .register_buffers_sparse(arena.registered.len() as u32)
            .map_err(|error| error.to_string())?;
        arena.pin(submitter, 0).map_err(|error| arena.told(&error))?;
        Ok(arena)
    }

    /// Registers the part in which these bytes lie, if that is to be done.
    pub(crate) fn prepare(&mut self, submitter: &Submitter<'_>, bytes: &[u8]) {
        let Some(part) = self.part(bytes.as_ptr(), bytes.len()) else { return };
        if self.full || self.registered[part] {
            return;
        }
        if let Err(error) = self.pin(submitter, part) {
            self.full = true;
            log::warn!(
                "registered_buffers: the rest of the pool is used unregistered: {}",
                self.told(&error)
            );
        }
    }

    /// The buffer in which these bytes lie, if they lie in one that is registered.
    pub(crate) fn index(&self, address: *const u8, length: usize) -> Option<u16> {
        let part = self.part(address, length)?;
        if self.registered[part] { u16::try_from(part).ok() } else { None }
    }

    fn part(&self, address: *const u8, length: usize) -> Option<usize> {
        let from = (address as usize).checked_sub(self.start)?;
        let end = from.checked_add(length)?;
        if length == 0 || end > self.bytes {
            return None;
        }
        let part = from / self.part_bytes;
        ((end - 1) / self.part_bytes == part).then_some(part)
    }

    fn pin(&mut self, submitter: &Submitter<'_>, part: usize) -> io::Result<()> {
        let at = part * self.part_bytes;
        let buffer = libc::iovec {
            iov_base: (self.start + at) as *mut libc::c_void,
            iov_len: self.part_bytes.min(self.bytes - at),
        };
        // SAFETY: the mapping lives as long as the pool, which the driver keeps until its ring is gone.
        unsafe { submitter.register_buffers_update(part as u32, &[buffer], None)? };
        self.registered[part] = true;
        Ok(())
    }

    fn told(&self, error: &io::Error) -> String {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => format!(
                "the limit on locked memory is below the pool's {} bytes: raise it (ulimit -l, LimitMEMLOCK= of a systemd unit)",
                self.bytes
            ),
            _ => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::IoUring;

    #[test]
    fn what_lies_in_one_registered_part_has_its_number() {
        let mut arena = Arena::new(0x1000, 2 * PART_BYTES + 0x1000);
        let index = |arena: &Arena, at: usize, length| arena.index((0x1000 + at) as *const u8, length);
        assert_eq!(index(&arena, 0, 4096), None, "not registered yet");
        arena.registered.fill(true);
        assert_eq!(index(&arena, 0, 4096), Some(0));
        assert_eq!(index(&arena, PART_BYTES - 4096, 4096), Some(0));
        assert_eq!(index(&arena, PART_BYTES - 4096, 4097), None, "in two");
        assert_eq!(index(&arena, 2 * PART_BYTES, 0x1000), Some(2));
        assert_eq!(index(&arena, 2 * PART_BYTES, 0x1001), None, "past the end");
        assert_eq!(arena.index(std::ptr::null(), 1), None, "before the beginning");
        assert_eq!(index(&arena, 0, 0), None);
        assert_eq!(Arena::default().index(0x1000 as *const u8, 1), None);
    }

    #[test]
    fn the_parts_of_large_arenas_are_larger() {
        let arena = Arena::new(0, 64 << 30);
        assert_eq!((arena.part_bytes, arena.registered.len()), (4 << 20, PARTS_MAX));
    }

    #[test]
    fn only_what_is_used_is_pinned() {
        let ring = IoUring::new(8).expect("a ring");
        let pool = Pool::new(4 * PART_BYTES).expect("maps");
        let mut arena = Arena::register(&ring.submitter(), &pool).expect("may pin");
        assert_eq!(arena.registered, [true, false, false, false]);
        let blocks = [(); 4].map(|()| pool.take(PART_BYTES).expect("free"));
        arena.prepare(&ring.submitter(), &blocks[2]);
        assert_eq!(arena.registered.iter().filter(|registered| **registered).count(), 2);
        assert!(arena.index(blocks[2].as_ptr(), PART_BYTES).is_some());
        arena.prepare(&ring.submitter(), b"not of the pool");
    }
}
