//! The image as a coordinator of groups sees it.

use crate::broker::Broker;
use controller::Image;
use groups::{Topic, Topics};
use model::TopicId;
use std::sync::Arc;

/// The topics of one image, and what it has for single groups.
pub(crate) struct ImageTopics<'a> {
    broker: &'a Broker,
    image: Arc<Image>,
}

impl ImageTopics<'_> {
    /// Of the image that the core has now.
    pub(crate) fn of(broker: &Broker) -> ImageTopics<'_> {
        ImageTopics { broker, image: broker.image() }
    }
}

fn topic(topic: &controller::Topic) -> Topic {
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    Topic { name: topic.name.clone(), id: topic.id, partitions }
}

impl Topics for ImageTopics<'_> {
    /// Other changes of metadata count as well: a coordinator looks once too often then.
    fn version(&self) -> i64 {
        self.image.offset()
    }

    fn by_name(&self, name: &str) -> Option<Topic> {
        self.image.topic(name).map(|found| topic(found))
    }

    fn by_id(&self, id: TopicId) -> Option<Topic> {
        self.image.topic_by_id(id).map(|found| topic(found))
    }

    fn each_name(&self, show: &mut dyn FnMut(&str)) {
        self.image.topics().for_each(|topic| show(&topic.name));
    }

    fn group_number(&self, group: &str, key: &str) -> Option<i32> {
        self.broker.group_own_number(&self.image, group, key)
    }
}
