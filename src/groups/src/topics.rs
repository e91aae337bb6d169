//! The cluster's topics, and what is configured for single groups, as a coordinator sees them.

use model::TopicId;
use std::sync::Arc;

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// All topics, and settings of single groups, at one moment: over the metadata image in the broker, a list in tests.
pub trait Topics {
    /// Grows whenever any topic changes; equal versions show equal topics.
    fn version(&self) -> i64;
    /// The topic of a name.
    fn by_name(&self, name: &str) -> Option<Topic>;
    /// The topic of an id.
    fn by_id(&self, id: TopicId) -> Option<Topic>;
    /// Shows the name of every topic, internal ones too, in the order of names.
    fn each_name(&self, show: &mut dyn FnMut(&str));
    /// A number that is set for a group alone, such as `consumer.session.timeout.ms`, within the broker's bounds;
    /// `None` if the group goes by the broker's. What changes counts from a group's next request on.
    fn group_number(&self, _group: &str, _key: &str) -> Option<i32> {
        None
    }
}
