//! Work that goes on whether or not who asked for it looks.

use executor::{JoinHandle, spawn};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Work in a task of its own; dropped where it waits when this is dropped. For what others wait behind: requests of one
/// connection go on in one task, which does not look at them for as long as the client does not read its answers.
pub(crate) struct Apart<T> {
    task: JoinHandle<T>,
}

impl<T: 'static> Apart<T> {
    /// Spawns the work, under this name.
    pub(crate) fn begin(name: &'static str, work: impl Future<Output = T> + 'static) -> Apart<T> {
        Apart { task: spawn(name, work) }
    }
}

impl<T> Future for Apart<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.task).poll(context)
    }
}

impl<T> Drop for Apart<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
