//! Topics that are gone, until it is durable that their offsets are.

use model::TopicId;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// More are not remembered: their offsets stay until they are old.
const DELETED_MAX: usize = 10_000;

/// A coordinator that is being loaded when a topic is deleted cannot delete its offsets yet, and one whose log takes no
/// records has not deleted them: both find them in the log again, where a topic of the same name would get them.
#[derive(Default)]
pub(crate) struct Deleted(RefCell<BTreeMap<TopicId, Box<str>>>);

impl Deleted {
    /// A topic is gone.
    pub(crate) fn note(&self, name: &str, id: TopicId) {
        let mut topics = self.0.borrow_mut();
        if topics.len() < DELETED_MAX {
            topics.insert(id, name.into());
        }
    }

    /// So are its offsets.
    pub(crate) fn forget(&self, id: TopicId) {
        self.0.borrow_mut().remove(&id);
    }

    /// Those whose offsets may be there.
    pub(crate) fn all(&self) -> Vec<(Box<str>, TopicId)> {
        self.0.borrow().iter().map(|(id, name)| (name.clone(), *id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_remembered_until_their_offsets_are_gone() {
        let deleted = Deleted::default();
        let id = |number: usize| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
            TopicId(bytes)
        };
        deleted.note("a", id(1));
        // Made again, and deleted again.
        deleted.note("a", id(2));
        deleted.note("b", id(3));
        deleted.forget(id(1));
        deleted.forget(id(9));
        let left: Vec<(Box<str>, TopicId)> = vec![("a".into(), id(2)), ("b".into(), id(3))];
        assert_eq!(deleted.all(), left);
        (0..2 * DELETED_MAX).for_each(|number| deleted.note("c", id(10 + number)));
        assert_eq!(deleted.all().len(), DELETED_MAX);
    }
}
