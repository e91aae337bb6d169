//! Deletions of records, which go on though who asked for them waits no longer.
//!
//! One may be long: the producers of a large log are read before its records go. Who has waited long enough is told so,
//! and when they ask again they wait for the same deletion, behind which there is nothing left to do.

use executor::Event;
use model::TopicPartition;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// So many of a core are under way at once: each may need memory to read with.
pub(crate) const AT_ONCE_MAX: usize = 8;

/// The deletions that are under way, one of a partition at most.
#[derive(Default)]
pub(crate) struct Deletions {
    under_way: RefCell<BTreeSet<TopicPartition>>,
    ended: Event,
}

/// One that is under way, until it is dropped.
pub(crate) struct Deletion {
    all: Rc<Deletions>,
    id: TopicPartition,
}

impl Deletions {
    /// Begins one, when no other of the partition is under way, and few enough of others.
    pub(crate) async fn begin(all: &Rc<Deletions>, id: TopicPartition) -> Deletion {
        loop {
            let seen = all.ended.count();
            if all.enter(id) {
                return Deletion { all: all.clone(), id };
            }
            all.ended.after(seen).await;
        }
    }

    fn enter(&self, id: TopicPartition) -> bool {
        let mut under_way = self.under_way.borrow_mut();
        under_way.len() < AT_ONCE_MAX && under_way.insert(id)
    }
}

impl Drop for Deletion {
    fn drop(&mut self) {
        self.all.under_way.borrow_mut().remove(&self.id);
        self.all.ended.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{PartitionId, TopicId};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn begin(all: &Rc<Deletions>, partition: i32) -> Option<Deletion> {
        let id = TopicPartition { topic: TopicId([1; 16]), partition: PartitionId(partition) };
        match pin!(Deletions::begin(all, id)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(deletion) => Some(deletion),
            Poll::Pending => None,
        }
    }

    #[test]
    fn there_is_one_of_a_partition_and_few_in_all() {
        let all = Rc::new(Deletions::default());
        let first = begin(&all, 0);
        assert!(first.is_some() && begin(&all, 0).is_none());
        let others: Vec<_> = (1..AT_ONCE_MAX as i32).map(|number| begin(&all, number)).collect();
        assert!(others.iter().all(Option::is_some));
        let one_more = AT_ONCE_MAX as i32;
        assert!(begin(&all, one_more).is_none());
        drop(first);
        let next = begin(&all, one_more);
        assert!(next.is_some() && begin(&all, 0).is_none());
        drop(others);
        assert!(begin(&all, 0).is_some());
    }
}
