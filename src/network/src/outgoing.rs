//! What answers hold, and wait for, on their way into the sockets of one core.
//!
//! Handing bytes to a socket copies them there and then, while everybody else on the core waits. So large answers go out
//! in parts, and the parts of all connections share what one turn of the core's loop may copy, first come, first
//! served. Small answers do not ask.

use crate::traffic::Traffic;
use executor::{Executor, OneshotSender, oneshot};
use memory::{Pool, PoolUse};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Answers up to this size go out whole and at once.
pub(crate) const SMALL_BYTES: usize = 16 * 1024;
/// The most that goes out in one part: a tenth of a millisecond or two of copying.
pub(crate) const PART_BYTES: usize = 512 * 1024;
/// What the parts of one turn may have together.
const TURN_BYTES_MAX: usize = 1 << 20;
/// Memory is short when less than one in so many bytes of the pool is free.
const SHORT_PART: usize = 16;

/// The way out of one core. Cloning shares it.
#[derive(Clone)]
pub struct Outgoing {
    inner: Rc<Inner>,
}

struct Inner {
    pool: Pool,
    usage: Arc<PoolUse>,
    traffic: Arc<Traffic>,
    /// Bytes of answers that sockets have not taken.
    unsent: Cell<usize>,
    turn: Turn,
}

/// What this turn has copied, and who waits for one of the next.
#[derive(Default)]
struct Turn {
    bytes: Cell<usize>,
    waiting: RefCell<VecDeque<(usize, OneshotSender<()>)>>,
}

impl Turn {
    /// Takes a part of this turn, if there is room; the first always finds some.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.bytes.get();
        if taken > 0 && taken + bytes > TURN_BYTES_MAX {
            return false;
        }
        self.bytes.set(taken + bytes);
        true
    }

    /// A new turn: those who have waited longest go on. True if there were some.
    fn begin(&self) -> bool {
        self.bytes.set(0);
        let mut waiting = self.waiting.borrow_mut();
        let mut woken = false;
        while let Some((bytes, waiter)) = waiting.front() {
            // Whose connection has ended needs no room.
            if !waiter.is_closed() && !self.take(*bytes) {
                break;
            }
            if let Some((_, waiter)) = waiting.pop_front() {
                waiter.send(());
                woken = true;
            }
        }
        woken
    }
}

impl Outgoing {
    /// The way out of a core, whose memory is this pool's; counts in `traffic`.
    pub fn attach(executor: &Executor, pool: Pool, traffic: Arc<Traffic>) -> Outgoing {
        let (usage, unsent, turn) = (pool.usage(), Cell::new(0), Turn::default());
        let inner = Rc::new(Inner { pool, usage, traffic, unsent, turn });
        let turns = inner.clone();
        executor.add_inbox(move || turns.turn.begin());
        Outgoing { inner }
    }

    /// Bytes of answers that sockets have not taken.
    pub fn unsent_bytes(&self) -> usize {
        self.inner.unsent.get()
    }

    /// Waits until so many bytes may be handed to a socket in this turn.
    pub(crate) async fn turn(&self, bytes: usize) {
        let turn = &self.inner.turn;
        if turn.waiting.borrow().is_empty() && turn.take(bytes) {
            return;
        }
        let (waiter, turn_has_come) = oneshot();
        turn.waiting.borrow_mut().push_back((bytes, waiter));
        let _ = turn_has_come.receive().await;
    }

    /// How often memory was asked for and none was free: to be told to [`is_short`](Outgoing::is_short) later.
    pub(crate) fn refused(&self) -> u64 {
        self.inner.usage.refused_count()
    }

    /// Whether memory is short, and somebody was refused some since.
    pub(crate) fn is_short(&self, refused_before: u64) -> bool {
        let pool = &self.inner.pool;
        pool.free_bytes() < pool.budget_bytes() / SHORT_PART && self.refused() > refused_before
    }

    fn change(&self, unsent: usize) {
        self.inner.unsent.set(unsent);
        self.inner.traffic.unsent_bytes.set(unsent as u64);
    }
}

/// The bytes of one connection's answers that its socket has not taken.
pub(crate) struct Unsent {
    outgoing: Outgoing,
    bytes: Cell<usize>,
}

impl Unsent {
    pub(crate) fn new(outgoing: Outgoing) -> Unsent {
        Unsent { outgoing, bytes: Cell::new(0) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// The way out that they go.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
        self.outgoing.change(self.outgoing.unsent_bytes() + bytes);
    }

    pub(crate) fn take(&self, bytes: usize) {
        debug_assert!(bytes <= self.bytes.get(), "more was sent than there was");
        self.bytes.set(self.bytes.get() - bytes);
        self.outgoing.change(self.outgoing.unsent_bytes() - bytes);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.take(self.bytes.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_room_for_so_much_and_the_first_always_finds_some() {
        let turn = Turn::default();
        assert!(turn.take(PART_BYTES) && turn.take(PART_BYTES) && !turn.take(1));
        turn.begin();
        assert!(turn.take(10 * TURN_BYTES_MAX) && !turn.take(1));
    }

    #[test]
    fn who_waits_goes_on_in_order_and_who_is_gone_takes_no_room() {
        let turn = Turn::default();
        let mut waiters = Vec::new();
        for _ in 0..5 {
            let (waiter, has_come) = oneshot();
            turn.waiting.borrow_mut().push_back((PART_BYTES, waiter));
            waiters.push(has_come);
        }
        drop(waiters.remove(0));
        let come = || waiters.iter().filter(|waiter| waiter.is_settled()).count();
        assert!(turn.begin());
        assert_eq!(come(), 2, "the first two of those who are left");
        assert!(waiters[0].is_settled() && waiters[1].is_settled());
        assert!(turn.begin() && come() == 4);
        assert!(!turn.begin(), "nobody is left");
    }
}
