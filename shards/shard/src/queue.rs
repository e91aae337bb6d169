//! The order of appends that wait: for room, or to be compressed anew.

use executor::Event;
use model::TopicPartition;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Appends that could not be done at once, by partition in the order of their calls.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: RefCell<BTreeSet<(TopicPartition, u64)>>,
    last: Cell<u64>,
    moved: Event,
}

/// A place in the queue, given up when dropped.
pub(crate) struct Turn {
    queue: Rc<Queue>,
    place: (TopicPartition, u64),
}

impl Queue {
    /// Whether something waits in a partition: what comes now must wait behind it.
    pub(crate) fn is_waited_for(&self, id: TopicPartition) -> bool {
        self.waiting.borrow().range((id, 0)..=(id, u64::MAX)).next().is_some()
    }

    /// The last place in a partition's queue.
    pub(crate) fn join(queue: &Rc<Queue>, id: TopicPartition) -> Turn {
        queue.last.set(queue.last.get() + 1);
        let place = (id, queue.last.get());
        queue.waiting.borrow_mut().insert(place);
        Turn { queue: queue.clone(), place }
    }
}

impl Turn {
    /// Waits until nobody is before it in its partition.
    pub(crate) async fn comes(&self) {
        loop {
            let seen = self.queue.moved.count();
            let first = self.queue.waiting.borrow().range((self.place.0, 0)..).next().copied();
            if first == Some(self.place) {
                return;
            }
            self.queue.moved.after(seen).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().remove(&self.place);
        self.queue.moved.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{PartitionId, TopicId};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn id(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicId([1; 16]), partition: PartitionId(partition) }
    }

    fn has_come(turn: &Turn) -> bool {
        pin!(turn.comes()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn turns_come_in_the_order_of_calls_and_by_partition() {
        let queue = Rc::new(Queue::default());
        let (first, second, other) =
            (Queue::join(&queue, id(0)), Queue::join(&queue, id(0)), Queue::join(&queue, id(1)));
        assert!(has_come(&first) && !has_come(&second) && has_come(&other));
        drop(other);
        assert!(queue.is_waited_for(id(0)) && !queue.is_waited_for(id(1)));
        drop(first);
        assert!(has_come(&second), "who gives up, or is done, makes room");
        drop(second);
        assert!(!queue.is_waited_for(id(0)));
    }
}
