//! Which tasks are ready, and the waker that says so.

use crate::task::Class;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// The ready tasks of one executor, by class, in the order in which they were woken.
#[derive(Default)]
pub(crate) struct Ready {
    queues: [RefCell<VecDeque<u32>>; 2],
}

impl Ready {
    pub(crate) fn push(&self, class: Class, task: u32) {
        self.queues[class as usize].borrow_mut().push_back(task);
    }

    pub(crate) fn pop(&self, class: Class) -> Option<u32> {
        self.queues[class as usize].borrow_mut().pop_front()
    }

    /// Takes the task at `index`; the simulator's choice.
    pub(crate) fn pop_at(&self, class: Class, index: usize) -> Option<u32> {
        self.queues[class as usize].borrow_mut().remove(index)
    }

    pub(crate) fn len(&self, class: Class) -> usize {
        self.queues[class as usize].borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.borrow().is_empty())
    }
}

thread_local! {
    /// The ready queues of the executors of this thread: one in production, many in a simulation.
    static QUEUES: RefCell<Vec<Option<Rc<Ready>>>> = const { RefCell::new(Vec::new()) };
}

/// Makes a ready queue known to this thread's wakers; returns the number they find it by.
pub(crate) fn register(ready: Rc<Ready>) -> u32 {
    QUEUES.with_borrow_mut(|queues| {
        queues.push(Some(ready));
        (queues.len() - 1) as u32
    })
}

/// Forgets a ready queue: later wakes of its tasks do nothing.
pub(crate) fn unregister(executor: u32) {
    // At the end of the thread the list may be gone already.
    let _ = QUEUES.try_with(|queues| {
        if let Some(slot) = queues.borrow_mut().get_mut(executor as usize) {
            *slot = None;
        }
    });
}

/// Wakes one task. A `Waker` must be `Send`, but this one works only on its executor's thread: elsewhere it
/// finds no queue, and waking there is a mistake of ours that the assertion names.
pub(crate) struct TaskWaker {
    pub(crate) executor: u32,
    pub(crate) task: u32,
    pub(crate) class: Class,
    pub(crate) queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Looked at and set by its own thread alone: no read-modify-write instruction is needed.
        if self.queued.load(Ordering::Relaxed) {
            return;
        }
        self.queued.store(true, Ordering::Relaxed);
        let found = QUEUES.try_with(|queues| match queues.borrow().get(self.executor as usize) {
            Some(Some(ready)) => {
                ready.push(self.class, self.task);
                true
            }
            Some(None) => true,
            None => false,
        });
        assert!(found.unwrap_or(true), "a task was woken on a core that is not its own");
    }
}
