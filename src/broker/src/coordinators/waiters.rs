//! Who waits for a coordinator's answers.

use executor::{OneshotReceiver, OneshotSender, oneshot};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Requests that one coordinator lets wait, together.
const WAITING_MAX: usize = 50_000;

/// Those who wait, by numbers that are given once.
pub(crate) struct Waiters<T> {
    waiting: RefCell<BTreeMap<u64, OneshotSender<T>>>,
    last: Cell<u64>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Waiters<T> {
        Waiters { waiting: RefCell::default(), last: Cell::new(0) }
    }
}

impl<T> Waiters<T> {
    /// No more may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.borrow().len() >= WAITING_MAX
    }

    /// The number of whoever is [added](Waiters::add) next.
    pub(crate) fn next(&self) -> u64 {
        self.last.get() + 1
    }

    /// Lets one more wait.
    pub(crate) fn add(&self) -> OneshotReceiver<T> {
        let waiter = self.next();
        self.last.set(waiter);
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().insert(waiter, sender);
        receiver
    }

    /// Tells one, if it still waits.
    pub(crate) fn tell(&self, waiter: u64, told: T) {
        let waiting = self.waiting.borrow_mut().remove(&waiter);
        if let Some(waiting) = waiting {
            waiting.send(told);
        }
    }

    /// Tells all the same.
    pub(crate) fn tell_all(&self, told: impl Fn() -> T) {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        for waiting in all.into_values() {
            waiting.send(told());
        }
    }

    /// One waits no more; true if it did until now.
    pub(crate) fn forget(&self, waiter: u64) -> bool {
        self.waiting.borrow_mut().remove(&waiter).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// What was told so far.
    fn told(receiver: &OneshotReceiver<u32>) -> Poll<Option<u32>> {
        receiver.poll_receive(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn each_is_told_once() {
        let waiters = Waiters::default();
        assert_eq!(waiters.next(), 1);
        let (one, two, three) = (waiters.add(), waiters.add(), waiters.add());
        assert_eq!(waiters.next(), 4);
        assert_eq!(told(&two), Poll::Pending);
        waiters.tell(2, 20);
        waiters.tell(2, 21);
        assert_eq!(told(&two), Poll::Ready(Some(20)));
        assert!(waiters.forget(3) && !waiters.forget(3) && !waiters.forget(2));
        assert_eq!(told(&three), Poll::Ready(None), "nobody will tell it");
        waiters.tell_all(|| 7);
        assert_eq!(told(&one), Poll::Ready(Some(7)));
        assert!(!waiters.is_full());
    }
}
