//! Whom to wake, and whether to.

use crate::Sleeping;
use driver::Wake;
use std::sync::Arc;

/// A core's sleeping flag and the way to wake it.
#[derive(Clone)]
pub struct Bell {
    sleeping: Sleeping,
    wake: Arc<dyn Wake>,
}

impl Bell {
    /// The bell of a core: the flag that it raises before it sleeps, and its driver's waker.
    pub fn new(sleeping: Sleeping, wake: Arc<dyn Wake>) -> Bell {
        Bell { sleeping, wake }
    }

    /// Wakes the core if it sleeps. To be called after the message was put into its queue.
    pub fn ring(&self) {
        if self.sleeping.must_wake() {
            self.wake.wake();
        }
    }
}
