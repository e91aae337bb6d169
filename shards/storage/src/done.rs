//! Something that comes to an end once, and who waits for that.

use crate::error::StorageError;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

#[derive(Default)]
struct Inner {
    result: RefCell<Option<Result<(), StorageError>>>,
    waiters: RefCell<Vec<Waker>>,
    ended: Cell<bool>,
}

/// The end of a commit or a direct write. Cloning shares it.
///
/// Unlike an `Event` it takes any number of waiters at the same price each: a commit has hundreds.
#[derive(Clone, Default)]
pub(crate) struct Done {
    inner: Rc<Inner>,
}

impl Done {
    /// It has ended, so: the first end counts.
    pub fn end(&self, result: Result<(), StorageError>) {
        if self.inner.ended.replace(true) {
            return;
        }
        *self.inner.result.borrow_mut() = Some(result);
        for waiter in self.inner.waiters.take() {
            waiter.wake();
        }
    }

    /// Waits for the end.
    pub async fn wait(&self) -> Result<(), StorageError> {
        let mut registered: Option<Waker> = None;
        poll_fn(|context| {
            if let Some(result) = &*self.inner.result.borrow() {
                return Poll::Ready(result.clone());
            }
            if !registered.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                registered = Some(context.waker().clone());
                self.inner.waiters.borrow_mut().push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}
