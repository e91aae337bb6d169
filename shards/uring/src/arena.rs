//! Registered buffers: the pool's arena, pinned once, so that file I/O does not pin its pages each time.

use io_uring::Submitter;
use memory::Pool;
use std::io;

/// The largest buffer that the kernel registers. Blocks do not cross a multiple of it: they are powers of two in size
/// and aligned to that.
const BUFFER_BYTES_MAX: usize = 1 << 30;

/// Where the registered buffers lie; none, by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arena {
    start: usize,
    bytes: usize,
}

impl Arena {
    /// Registers the whole arena of a pool. All of its memory becomes resident.
    pub(crate) fn register(submitter: &Submitter<'_>, pool: &Pool) -> Result<Arena, String> {
        let (start, bytes) = pool.arena_range();
        let buffers: Vec<libc::iovec> = (0..bytes)
            .step_by(BUFFER_BYTES_MAX)
            .map(|at| libc::iovec {
                iov_base: start.wrapping_add(at).cast(),
                iov_len: BUFFER_BYTES_MAX.min(bytes - at),
            })
            .collect();
        // SAFETY: the mapping lives as long as the pool, which the driver keeps until its ring is gone.
        match unsafe { submitter.register_buffers(&buffers) } {
            Ok(()) => Ok(Arena { start: start as usize, bytes }),
            Err(error) => Err(told(&error, bytes)),
        }
    }

    /// The buffer in which these bytes lie, if they lie in one.
    pub(crate) fn index(&self, address: *const u8, length: usize) -> Option<u16> {
        let from = (address as usize).checked_sub(self.start)?;
        let end = from.checked_add(length)?;
        let index = from / BUFFER_BYTES_MAX;
        let inside = length > 0 && end <= self.bytes && (end - 1) / BUFFER_BYTES_MAX == index;
        if inside { u16::try_from(index).ok() } else { None }
    }
}

fn told(error: &io::Error, bytes: usize) -> String {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => format!(
            "the limit on locked memory is below the pool's {bytes} bytes: raise it (ulimit -l, LimitMEMLOCK= of a systemd unit)"
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_one_buffer_has_its_number() {
        let arena = Arena { start: 0x1000, bytes: 2 * BUFFER_BYTES_MAX + 0x1000 };
        let index = |at: usize, length| arena.index((0x1000 + at) as *const u8, length);
        assert_eq!(index(0, 4096), Some(0));
        assert_eq!(index(BUFFER_BYTES_MAX - 4096, 4096), Some(0));
        assert_eq!(index(BUFFER_BYTES_MAX - 4096, 4097), None, "in two");
        assert_eq!(index(2 * BUFFER_BYTES_MAX, 0x1000), Some(2));
        assert_eq!(index(2 * BUFFER_BYTES_MAX, 0x1001), None, "past the end");
        assert_eq!(arena.index(std::ptr::null(), 1), None, "before the beginning");
        assert_eq!(index(0, 0), None);
        assert_eq!(Arena::default().index(0x1000 as *const u8, 1), None);
    }
}
