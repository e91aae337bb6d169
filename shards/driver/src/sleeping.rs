//! Going to sleep without sleeping over what another core has just put down.
//!
//! Under `--cfg loom` this file is a module of `mesh`, over loom's atomics, so that what its test runs in every
//! interleaving is what runs here.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Says that a core sleeps and must be woken to see what it was sent. Cloning shares it.
///
/// The protocol has two halves. The sleeper raises the flag and then looks once more at what it might have been sent;
/// a sender puts its message down and then looks at the flag. Between the two steps of each half there is a full
/// fence, so that not both looks can come too early: either the sleeper sees the message, or the sender sees the
/// flag. Both halves are here and nowhere else, and `shards/mesh/tests/bell.rs` runs every interleaving of them.
#[derive(Clone, Debug, Default)]
pub struct Sleeping {
    raised: Arc<AtomicBool>,
}

impl Sleeping {
    /// The sleeper's half: raises the flag, calls `found` to look once more, and `wait` if that has found nothing;
    /// then lowers the flag.
    #[inline]
    pub fn sleep(&self, found: impl FnOnce() -> bool, wait: impl FnOnce()) {
        self.raise();
        if !found() {
            wait();
        }
        self.lower();
    }

    /// The sender's half, for after the message was put where the sleeper looks: whether it must be woken.
    #[inline]
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.raised.load(Ordering::SeqCst)
    }

    /// The first step of [`sleep`](Sleeping::sleep), for who runs a core step by step, as the simulator does.
    #[inline]
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The last step of [`sleep`](Sleeping::sleep).
    #[inline]
    pub fn lower(&self) {
        self.raised.store(false, Ordering::SeqCst);
    }

    /// Whether the core sleeps, for who only wants to show it: says nothing of what was put down before.
    #[inline]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}
