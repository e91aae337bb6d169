//! Whom to wake, and whether to.

use driver::Wake;
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// A core's sleeping flag and the way to wake it.
#[derive(Clone)]
pub struct Bell {
    sleeping: Arc<AtomicBool>,
    wake: Arc<dyn Wake>,
}

impl Bell {
    /// The bell of a core: the flag that it raises before it sleeps, and its driver's waker.
    pub fn new(sleeping: Arc<AtomicBool>, wake: Arc<dyn Wake>) -> Bell {
        Bell { sleeping, wake }
    }

    /// Wakes the core if it sleeps. To be called after the message was put into its queue.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) {
            self.wake.wake();
        }
    }
}
