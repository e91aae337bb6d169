//! Every interleaving of a core that goes to sleep and of others that put messages into its queues: none may be left
//! asleep over a message. Built under `--cfg loom` only: `cargo xtask ci --only loom`.
//!
//! The sleeper's half is what `executor` does when it is idle: raise the flag, fence, look into the queues, wait. The
//! queue is reduced to what it promises: a message that was stored with release is seen by an acquire load.
#![cfg(loom)]

use driver::Wake;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;
use mesh::Bell;
use std::sync::Arc;

/// A core: its flag, one counter for each queue, and the wait in its driver. A wake that comes early ends the next
/// wait, as a completion in a ring does.
struct Core {
    sleeping: Arc<AtomicBool>,
    queues: Vec<AtomicUsize>,
    driver: Arc<Ring>,
}

struct Ring(Notify);

impl Wake for Ring {
    fn wake(&self) {
        self.0.notify();
    }
}

impl Core {
    fn new(queues: usize) -> Arc<Core> {
        Arc::new(Core {
            sleeping: Arc::new(AtomicBool::new(false)),
            queues: (0..queues).map(|_| AtomicUsize::new(0)).collect(),
            driver: Arc::new(Ring(Notify::new())),
        })
    }

    fn bell(&self) -> Bell {
        Bell::new(self.sleeping.clone(), self.driver.clone())
    }

    fn arrived(&self) -> usize {
        self.queues.iter().map(|queue| queue.load(Ordering::Acquire)).sum()
    }

    /// Sleeps once, unless there is more than was `seen`; `ordered` is how it should be done.
    fn idle(&self, seen: usize, ordered: bool) {
        let order = if ordered { Ordering::SeqCst } else { Ordering::Relaxed };
        self.sleeping.store(true, order);
        if ordered {
            fence(Ordering::SeqCst);
        }
        if self.arrived() == seen {
            self.driver.0.wait();
        }
        self.sleeping.store(false, order);
    }

    /// Until as many messages have arrived.
    fn receive(&self, count: usize, ordered: bool) {
        loop {
            let seen = self.arrived();
            if seen == count {
                return;
            }
            self.idle(seen, ordered);
        }
    }
}

fn put(core: &Core, queue: usize) {
    let before = core.queues[queue].load(Ordering::Relaxed);
    core.queues[queue].store(before + 1, Ordering::Release);
}

#[test]
fn no_message_is_slept_over() {
    loom::model(|| {
        let core = Core::new(1);
        let sender = {
            let core = core.clone();
            thread::spawn(move || {
                let bell = core.bell();
                for _ in 0..2 {
                    put(&core, 0);
                    bell.ring();
                }
            })
        };
        core.receive(2, true);
        sender.join().unwrap();
    });
}

#[test]
fn not_with_two_senders_either() {
    loom::model(|| {
        let core = Core::new(2);
        let senders = [0, 1].map(|queue| {
            let core = core.clone();
            thread::spawn(move || {
                put(&core, queue);
                core.bell().ring();
            })
        });
        core.receive(2, true);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

/// That the test can fail: a sleeper without the fence sleeps for ever in some interleaving.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sleeper_without_the_fence_is_caught() {
    loom::model(|| {
        let core = Core::new(1);
        let other = core.clone();
        let sender = thread::spawn(move || {
            put(&other, 0);
            other.bell().ring();
        });
        core.receive(1, false);
        sender.join().unwrap();
    });
}
