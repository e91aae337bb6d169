//! Tasks: spawning, joining, and the two classes of work.

use crate::core::{Executor, with_current};
use crate::ready::{Ready, TaskWaker};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// What a task is for. Background work never delays foreground work by more than one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody waits for it: connections, commits.
    Foreground = 0,
    /// Draining, recovery, cleaning.
    Background = 1,
}

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// A task's place in the table.
struct Slot {
    name: &'static str,
    /// With what wakes it, so that a poll need not count that. Away while it is polled.
    body: Option<(Body, Waker)>,
    waker: Arc<TaskWaker>,
    aborted: Rc<Cell<bool>>,
}

/// All tasks of an executor.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: RefCell<Vec<Option<Slot>>>,
    free: RefCell<Vec<u32>>,
}

/// How a poll of a task went.
pub(crate) enum Polled {
    /// The task is gone already: nothing was done.
    Nothing,
    /// It was polled, and this is its name.
    Once(&'static str),
}

impl Tasks {
    fn insert(
        &self,
        executor: u32,
        name: &'static str,
        class: Class,
        body: Body,
        aborted: Rc<Cell<bool>>,
    ) -> Arc<TaskWaker> {
        let mut slots = self.slots.borrow_mut();
        let task = self.free.borrow_mut().pop().unwrap_or(slots.len() as u32);
        let waker = Arc::new(TaskWaker { executor, task, class, queued: AtomicBool::new(true) });
        let slot = Slot { name, body: Some((body, waker.clone().into())), waker: waker.clone(), aborted };
        match slots.get_mut(task as usize) {
            Some(place) => *place = Some(slot),
            None => slots.push(Some(slot)),
        }
        waker
    }

    /// Polls one task. Its body is out of the table meanwhile, so that it may spawn others.
    pub(crate) fn poll(&self, task: u32) -> Polled {
        let taken = match self.slots.borrow_mut().get_mut(task as usize) {
            Some(Some(slot)) => {
                slot.waker.queued.store(false, Ordering::Relaxed);
                slot.body.take().map(|body| (body, slot.name, slot.aborted.get()))
            }
            _ => None,
        };
        let Some(((mut body, waker), name, aborted)) = taken else { return Polled::Nothing };
        let done = aborted || body.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            drop(body);
            self.retire(task);
        } else if let Some(Some(slot)) = self.slots.borrow_mut().get_mut(task as usize) {
            slot.body = Some((body, waker));
        }
        Polled::Once(name)
    }

    /// Frees a task's number. If the task was woken while it ran its last time, the number is in the ready
    /// queue once more; then the next task of this number gets one poll too many, which is harmless.
    fn retire(&self, task: u32) {
        let slot = self.slots.borrow_mut().get_mut(task as usize).and_then(Option::take);
        if let Some(slot) = slot {
            // Wakers that outlive the task must not queue its number any more.
            slot.waker.queued.store(true, Ordering::Relaxed);
            self.free.borrow_mut().push(task);
        }
    }

    /// Tasks that are not finished.
    pub(crate) fn count(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    /// Drops all tasks.
    pub(crate) fn clear(&self) {
        let count = self.slots.borrow().len();
        for task in 0..count {
            let slot = self.slots.borrow_mut().get_mut(task).and_then(Option::take);
            drop(slot);
        }
    }
}

/// What a task leaves for who joins it.
struct Joint<T> {
    result: RefCell<Option<T>>,
    waiter: RefCell<Option<Waker>>,
    finished: Cell<bool>,
}

/// A spawned task. Awaiting it gives the task's result; dropping it lets the task run on.
pub struct JoinHandle<T> {
    joint: Rc<Joint<T>>,
    aborted: Rc<Cell<bool>>,
    waker: Waker,
}

impl<T> JoinHandle<T> {
    /// Ends the task at its next turn: it is dropped where it waits. A handle of an aborted task never
    /// completes, unless the task had finished before.
    pub fn abort(&self) {
        self.aborted.set(true);
        self.waker.wake_by_ref();
    }

    /// The task has finished.
    pub fn is_finished(&self) -> bool {
        self.joint.finished.get()
    }

    /// The result, if the task has finished and nobody has taken it.
    pub fn take(&self) -> Option<T> {
        self.joint.result.borrow_mut().take()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        *self.joint.waiter.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Starts a foreground task on this core. `name` appears in the log if it holds the core.
pub fn spawn<T: 'static>(name: &'static str, body: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    spawn_class(name, Class::Foreground, body)
}

/// Starts a task of a class on this core.
pub fn spawn_class<T: 'static>(
    name: &'static str,
    class: Class,
    body: impl Future<Output = T> + 'static,
) -> JoinHandle<T> {
    with_current(|executor| spawn_on(executor, name, class, body))
}

pub(crate) fn spawn_on<T: 'static>(
    executor: &Executor,
    name: &'static str,
    class: Class,
    body: impl Future<Output = T> + 'static,
) -> JoinHandle<T> {
    let joint =
        Rc::new(Joint { result: RefCell::new(None), waiter: RefCell::new(None), finished: Cell::new(false) });
    let aborted = Rc::new(Cell::new(false));
    let ours = joint.clone();
    let whole = async move {
        let result = body.await;
        *ours.result.borrow_mut() = Some(result);
        ours.finished.set(true);
        if let Some(waiter) = ours.waiter.borrow_mut().take() {
            waiter.wake();
        }
    };
    let waker = executor.tasks().insert(executor.number(), name, class, Box::pin(whole), aborted.clone());
    let ready: &Ready = executor.ready();
    ready.push(class, waker.task);
    JoinHandle { joint, aborted, waker: Waker::from(waker) }
}

/// Lets the other ready tasks run first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
