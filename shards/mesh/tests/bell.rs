//! Every interleaving of a core that goes to sleep and of others that put messages into its queues: none may be left
//! asleep over a message. Built under `--cfg loom` only: `cargo xtask ci --only loom`.
//!
//! [`Sleeping`] and [`Bell`] are the real ones, over loom's atomics. The queue is a model of the one that `rtrb` has:
//! a ring whose two ends each know their own position, store it with release, and load the other's with acquire when
//! what they know of it is used up. What lies in a place is loaded and stored relaxed, so that a place that is used
//! before it may be shows what it held before.
#![cfg(loom)]

use driver::Wake;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;
use mesh::{Bell, Sleeping};
use std::sync::Arc;

/// A bounded queue. Positions count on for ever.
struct Queue {
    places: Vec<AtomicUsize>,
    put: AtomicUsize,
    taken: AtomicUsize,
}

struct Producer {
    queue: Arc<Queue>,
    put: usize,
    taken_seen: usize,
}

struct Consumer {
    queue: Arc<Queue>,
    taken: usize,
    put_seen: usize,
}

fn queue(capacity: usize) -> (Producer, Consumer) {
    let queue = Arc::new(Queue {
        places: (0..capacity).map(|_| AtomicUsize::new(0)).collect(),
        put: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
    });
    let producer = Producer { queue: queue.clone(), put: 0, taken_seen: 0 };
    (producer, Consumer { queue, taken: 0, put_seen: 0 })
}

impl Producer {
    /// A full queue gives the message back.
    fn push(&mut self, message: usize) -> Result<(), usize> {
        let capacity = self.queue.places.len();
        if self.put - self.taken_seen == capacity {
            self.taken_seen = self.queue.taken.load(Ordering::Acquire);
            if self.put - self.taken_seen == capacity {
                return Err(message);
            }
        }
        self.queue.places[self.put % capacity].store(message, Ordering::Relaxed);
        self.put += 1;
        self.queue.put.store(self.put, Ordering::Release);
        Ok(())
    }
}

impl Consumer {
    fn pop(&mut self) -> Option<usize> {
        if self.taken == self.put_seen {
            self.put_seen = self.queue.put.load(Ordering::Acquire);
            if self.taken == self.put_seen {
                return None;
            }
        }
        let place = self.taken % self.queue.places.len();
        let message = self.queue.places[place].load(Ordering::Relaxed);
        self.taken += 1;
        self.queue.taken.store(self.taken, Ordering::Release);
        Some(message)
    }
}

/// What others know of a core: its flag, and the wait in its driver. A wake that comes early ends the next wait, as a
/// completion in a ring does.
struct Core {
    sleeping: Sleeping,
    driver: Arc<Ring>,
}

struct Ring(Notify);

impl Wake for Ring {
    fn wake(&self) {
        self.0.notify();
    }
}

impl Core {
    fn new() -> Arc<Core> {
        Arc::new(Core { sleeping: Sleeping::default(), driver: Arc::new(Ring(Notify::new())) })
    }

    fn bell(&self) -> Bell {
        Bell::new(self.sleeping.clone(), self.driver.clone())
    }
}

/// The core itself.
struct Receiver {
    core: Arc<Core>,
    from: Vec<Consumer>,
    received: usize,
}

/// How a core goes to sleep.
type Idle = fn(&mut Receiver);

impl Receiver {
    fn new(core: Arc<Core>, from: Vec<Consumer>) -> Receiver {
        Receiver { core, from, received: 0 }
    }

    /// Takes what has arrived; true if there was something.
    fn look(&mut self) -> bool {
        let before = self.received;
        for queue in &mut self.from {
            while let Some(message) = queue.pop() {
                assert_eq!(message, 7, "a place was looked into before it was filled");
                self.received += 1;
            }
        }
        self.received > before
    }

    /// As the executor does.
    fn idle(&mut self) {
        let core = self.core.clone();
        core.sleeping.sleep(|| self.look(), || core.driver.0.wait());
    }

    /// Until as many messages have arrived.
    fn receive(&mut self, count: usize, idle: Idle) {
        while self.received < count {
            if !self.look() {
                idle(self);
            }
        }
        assert_eq!(self.received, count);
    }
}

#[test]
fn no_message_is_slept_over() {
    loom::model(|| {
        let (core, (mut to, from)) = (Core::new(), queue(2));
        let bell = core.bell();
        let sender = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(to.push(7), Ok(()));
                bell.ring();
            }
        });
        Receiver::new(core, vec![from]).receive(2, Receiver::idle);
        sender.join().unwrap();
    });
}

#[test]
fn not_with_two_senders_either() {
    loom::model(|| {
        let core = Core::new();
        let mut receiver = Receiver::new(core.clone(), Vec::new());
        let senders = [(), ()].map(|()| {
            let ((mut to, from), bell) = (queue(1), core.bell());
            receiver.from.push(from);
            thread::spawn(move || {
                assert_eq!(to.push(7), Ok(()));
                bell.ring();
            })
        });
        receiver.receive(2, Receiver::idle);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

/// One message to a core that goes to sleep in some way.
fn one_message(idle: Idle) {
    loom::model(move || {
        let (core, (mut to, from)) = (Core::new(), queue(1));
        let bell = core.bell();
        let sender = thread::spawn(move || {
            assert_eq!(to.push(7), Ok(()));
            bell.ring();
        });
        Receiver::new(core, vec![from]).receive(1, idle);
        sender.join().unwrap();
    });
}

#[test]
fn one_message_wakes_who_sleeps_as_it_should() {
    one_message(Receiver::idle);
}

/// That the tests can fail: who looks before the flag is up, and not again after it, sleeps for ever in some
/// interleaving.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sleeper_that_does_not_look_again_is_caught() {
    one_message(|receiver| receiver.core.sleeping.sleep(|| false, || receiver.core.driver.0.wait()));
}

/// And so does one without the fence between flag and look. The real flag's cannot be left out, so this is another.
#[test]
#[should_panic(expected = "deadlock")]
fn a_sleeper_without_the_fence_is_caught() {
    loom::model(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let (core, (mut to, from)) = (Core::new(), queue(1));
        let (raised, wake) = (flag.clone(), core.driver.clone());
        let sender = thread::spawn(move || {
            assert_eq!(to.push(7), Ok(()));
            fence(Ordering::SeqCst);
            if raised.load(Ordering::SeqCst) {
                wake.wake();
            }
        });
        let mut receiver = Receiver::new(core, vec![from]);
        while receiver.received < 1 {
            flag.store(true, Ordering::Relaxed);
            if !receiver.look() {
                receiver.core.driver.0.wait();
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn a_full_queue_gives_back_and_what_is_taken_is_whole_and_in_order() {
    loom::model(|| {
        let (mut to, mut from) = queue(2);
        let sender = thread::spawn(move || {
            // One more than there is room for: it goes where the first was, or comes back.
            let sent: Vec<usize> = (1..=3).filter(|message| to.push(*message).is_ok()).collect();
            (to, sent)
        });
        let mut taken: Vec<usize> = (0..2).filter_map(|_| from.pop()).collect();
        let (mut to, sent) = sender.join().unwrap();
        assert!(sent.starts_with(&[1, 2]), "there was room for two: {sent:?}");
        taken.extend(std::iter::from_fn(|| from.pop()));
        assert_eq!(taken, sent);
        assert_eq!([to.push(4), to.push(5), to.push(6)], [Ok(()), Ok(()), Err(6)]);
        assert_eq!([from.pop(), from.pop(), from.pop()], [Some(4), Some(5), None]);
    });
}
