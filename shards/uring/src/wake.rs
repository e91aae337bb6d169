//! Waking a core that sleeps in its ring.

use driver::Wake;
use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

thread_local! {
    /// Rings to be woken by this thread's own ring at its next turn; `None` while it has no ring that can.
    static RINGS_TO_WAKE: RefCell<Option<Vec<RawFd>>> = const { RefCell::new(None) };
}

/// This thread has a ring that sends messages from now on.
pub(crate) fn begin_messages() {
    RINGS_TO_WAKE.with_borrow_mut(|rings| *rings = Some(Vec::new()));
}

/// This thread's ring is gone.
pub(crate) fn end_messages() {
    let _ = RINGS_TO_WAKE.try_with(|rings| rings.borrow_mut().take());
}

/// The rings that this thread has woken since the last call.
pub(crate) fn take_messages(into: &mut Vec<RawFd>) {
    RINGS_TO_WAKE.with_borrow_mut(|rings| {
        if let Some(rings) = rings {
            into.append(rings);
        }
    });
}

/// Wakes one ring.
pub(crate) struct RingWake {
    pub(crate) event: OwnedFd,
    /// The ring, if it is to be reached by messages.
    pub(crate) ring: Option<RawFd>,
}

impl RingWake {
    pub(crate) fn by_event(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: writes eight bytes of a local array to a descriptor that we own. The only failure is a
        // counter that is full, and then the sleeper is awake.
        unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl Wake for RingWake {
    fn wake(&self) {
        let queued = self.ring.is_some_and(|ring| {
            RINGS_TO_WAKE
                .try_with(|rings| match &mut *rings.borrow_mut() {
                    Some(rings) => {
                        rings.push(ring);
                        true
                    }
                    None => false,
                })
                .unwrap_or(false)
        });
        if !queued {
            self.by_event();
        }
    }
}
