//! How large the file system under the data directory is.

use std::sync::atomic::{AtomicI64, Ordering};

/// Not measured: what Kafka says of a size that it does not know.
const UNKNOWN: i64 = -1;

/// The size of a file system, for all cores: whoever started them measures it now and then, since to ask the kernel
/// could make a core wait. Until then, and in the simulator, it is unknown.
#[derive(Debug)]
pub struct Space {
    total: AtomicI64,
    usable: AtomicI64,
}

impl Default for Space {
    fn default() -> Space {
        Space { total: AtomicI64::new(UNKNOWN), usable: AtomicI64::new(UNKNOWN) }
    }
}

impl Space {
    /// So large it is, in bytes, and so much of it this process may still fill.
    pub fn tell(&self, total: u64, usable: u64) {
        let told = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.total.store(told(total), Ordering::Relaxed);
        self.usable.store(told(usable), Ordering::Relaxed);
    }

    /// Bytes in all; -1 if unknown.
    pub fn total_bytes(&self) -> i64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that may still be filled; -1 if unknown.
    pub fn usable_bytes(&self) -> i64 {
        self.usable.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_unknown() {
        let space = Space::default();
        assert_eq!((space.total_bytes(), space.usable_bytes()), (-1, -1));
        space.tell(1 << 40, 5);
        assert_eq!((space.total_bytes(), space.usable_bytes()), (1 << 40, 5));
        space.tell(u64::MAX, 0);
        assert_eq!((space.total_bytes(), space.usable_bytes()), (i64::MAX, 0));
    }
}
