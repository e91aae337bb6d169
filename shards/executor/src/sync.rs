//! What tasks of one core wait for each other with. Nothing here crosses cores; `mesh` does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something that happens again and again; tasks wait for the next time. Cloning shares it.
#[derive(Clone, Default)]
pub struct Event {
    inner: Rc<EventInner>,
}

#[derive(Default)]
struct EventInner {
    count: Cell<u64>,
    waiters: RefCell<Waiters>,
    last: Cell<u64>,
}

/// Who waits, by the number of their wait, so that a wait which is given up takes its waker along. Nearly always it is
/// one: it needs no memory besides.
#[derive(Default)]
struct Waiters {
    /// Its number is below those of the others.
    first: Option<(u64, Waker)>,
    others: BTreeMap<u64, Waker>,
}

impl Waiters {
    fn set(&mut self, number: u64, waker: &Waker) {
        match &mut self.first {
            // Spares the clone where it is the same task.
            Some((first, known)) if *first == number => known.clone_from(waker),
            None if self.others.is_empty() => self.first = Some((number, waker.clone())),
            _ => {
                self.others.insert(number, waker.clone());
            }
        }
    }

    fn remove(&mut self, number: u64) {
        if self.first.as_ref().is_some_and(|(first, _)| *first == number) {
            self.first = None;
        } else {
            self.others.remove(&number);
        }
    }
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Event {
        Event::default()
    }

    /// It happens: all that wait go on.
    pub fn notify(&self) {
        self.inner.count.set(self.inner.count.get() + 1);
        let Waiters { first, others } = std::mem::take(&mut *self.inner.waiters.borrow_mut());
        for waiter in first.map(|(_, waiter)| waiter).into_iter().chain(others.into_values()) {
            waiter.wake();
        }
    }

    /// How often it has happened. Read it before looking at what the event tells of, then wait with
    /// [`after`](Event::after): so nothing is missed in between.
    pub fn count(&self) -> u64 {
        self.inner.count.get()
    }

    /// Waits until it has happened more than `seen` times.
    pub fn after(&self, seen: u64) -> Happening {
        Happening { inner: self.inner.clone(), seen, number: None }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let waiters = self.inner.waiters.borrow();
        usize::from(waiters.first.is_some()) + waiters.others.len()
    }

    /// Waits for the next time.
    pub async fn next(&self) {
        self.after(self.count()).await;
    }
}

/// A wait for an [`Event`].
pub struct Happening {
    inner: Rc<EventInner>,
    seen: u64,
    number: Option<u64>,
}

impl Future for Happening {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.inner.count.get() > self.seen {
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or_else(|| {
            self.inner.last.set(self.inner.last.get() + 1);
            self.inner.last.get()
        });
        self.number = Some(number);
        self.inner.waiters.borrow_mut().set(number, context.waker());
        Poll::Pending
    }
}

impl Drop for Happening {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.inner.waiters.borrow_mut().remove(number);
        }
    }
}

struct Shot<T> {
    value: Cell<Option<T>>,
    receiver_waits: Cell<Option<Waker>>,
    sender_waits: Cell<Option<Waker>>,
    sender_gone: Cell<bool>,
    receiver_gone: Cell<bool>,
}

/// The giving end of a [`oneshot`].
pub struct OneshotSender<T> {
    shot: Rc<Shot<T>>,
}

/// The taking end of a [`oneshot`].
pub struct OneshotReceiver<T> {
    shot: Rc<Shot<T>>,
}

/// A place for one value, from one task to another.
pub fn oneshot<T>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let shot = Rc::new(Shot {
        value: Cell::new(None),
        receiver_waits: Cell::new(None),
        sender_waits: Cell::new(None),
        sender_gone: Cell::new(false),
        receiver_gone: Cell::new(false),
    });
    (OneshotSender { shot: shot.clone() }, OneshotReceiver { shot })
}

impl<T> OneshotSender<T> {
    /// Gives the value. If nobody waits any more, it is dropped.
    pub fn send(self, value: T) {
        self.shot.value.set(Some(value));
    }

    /// Whether the receiver is gone: what is given now is dropped.
    pub fn is_closed(&self) -> bool {
        self.shot.receiver_gone.get()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&self) {
        poll_fn(|context| {
            if self.shot.receiver_gone.get() {
                return Poll::Ready(());
            }
            self.shot.sender_waits.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        self.shot.sender_gone.set(true);
        if let Some(waiter) = self.shot.receiver_waits.take() {
            waiter.wake();
        }
    }
}

impl<T> OneshotReceiver<T> {
    /// The value, or `None` when the sender is gone without giving one.
    pub async fn receive(self) -> Option<T> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    /// The same for who implements a future by hand.
    pub fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.shot.value.take() {
            return Poll::Ready(Some(value));
        }
        if self.shot.sender_gone.get() {
            return Poll::Ready(None);
        }
        self.shot.receiver_waits.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Whether the sender is gone: it has given the value, or never will.
    pub fn is_settled(&self) -> bool {
        self.shot.sender_gone.get()
    }
}

impl<T> Drop for OneshotReceiver<T> {
    fn drop(&mut self) {
        self.shot.receiver_gone.set(true);
        if let Some(waiter) = self.shot.sender_waits.take() {
            waiter.wake();
        }
    }
}

struct SemaphoreInner {
    free: Cell<u64>,
    waiters: RefCell<VecDeque<Rc<Ticket>>>,
}

struct Ticket {
    wanted: u64,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A budget that tasks take from and give back to, first come, first served. Cloning shares it.
#[derive(Clone)]
pub struct Semaphore {
    inner: Rc<SemaphoreInner>,
}

/// A part of a semaphore's budget; dropping it gives it back.
pub struct Permit {
    inner: Rc<SemaphoreInner>,
    amount: u64,
}

impl Semaphore {
    /// A budget of `amount`.
    pub fn new(amount: u64) -> Semaphore {
        Semaphore {
            inner: Rc::new(SemaphoreInner {
                free: Cell::new(amount),
                waiters: RefCell::new(VecDeque::new()),
            }),
        }
    }

    /// What nobody has taken.
    pub fn free(&self) -> u64 {
        self.inner.free.get()
    }

    /// Takes `amount` at once, or `None`.
    pub fn try_take(&self, amount: u64) -> Option<Permit> {
        let free = self.inner.free.get();
        if !self.inner.waiters.borrow().is_empty() || free < amount {
            return None;
        }
        self.inner.free.set(free - amount);
        Some(Permit { inner: self.inner.clone(), amount })
    }

    /// Waits for its turn and takes `amount`.
    pub async fn take(&self, amount: u64) -> Permit {
        if let Some(permit) = self.try_take(amount) {
            return permit;
        }
        let ticket = Rc::new(Ticket { wanted: amount, granted: Cell::new(false), waker: RefCell::new(None) });
        self.inner.waiters.borrow_mut().push_back(ticket.clone());
        let mut waiting = Waiting { inner: self.inner.clone(), ticket: Some(ticket) };
        poll_fn(|context| {
            let Some(ticket) = &waiting.ticket else { return Poll::Ready(()) };
            if ticket.granted.get() {
                return Poll::Ready(());
            }
            *ticket.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        waiting.ticket = None;
        Permit { inner: self.inner.clone(), amount }
    }
}

/// A place in the queue that is given up when its future is dropped.
struct Waiting {
    inner: Rc<SemaphoreInner>,
    ticket: Option<Rc<Ticket>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        if ticket.granted.get() {
            self.inner.give(ticket.wanted);
        } else {
            self.inner.waiters.borrow_mut().retain(|other| !Rc::ptr_eq(other, &ticket));
            self.inner.give(0);
        }
    }
}

impl SemaphoreInner {
    fn give(&self, amount: u64) {
        self.free.set(self.free.get() + amount);
        loop {
            let next = match self.waiters.borrow().front() {
                Some(ticket) if ticket.wanted <= self.free.get() => ticket.clone(),
                _ => return,
            };
            self.waiters.borrow_mut().pop_front();
            self.free.set(self.free.get() - next.wanted);
            next.granted.set(true);
            if let Some(waker) = next.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.give(self.amount);
    }
}
