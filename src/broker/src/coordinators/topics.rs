//! The image as a coordinator of groups sees it.

use controller::Image;
use groups::{Topic, Topics};
use model::TopicId;
use std::sync::Arc;

/// The topics of one image.
pub(crate) struct ImageTopics(pub(crate) Arc<Image>);

fn topic(topic: &controller::Topic) -> Topic {
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    Topic { name: topic.name.clone(), id: topic.id, partitions }
}

impl Topics for ImageTopics {
    /// Other changes of metadata count as well: a coordinator looks once too often then.
    fn version(&self) -> i64 {
        self.0.offset()
    }

    fn by_name(&self, name: &str) -> Option<Topic> {
        self.0.topic(name).map(|found| topic(found))
    }

    fn by_id(&self, id: TopicId) -> Option<Topic> {
        self.0.topic_by_id(id).map(|found| topic(found))
    }

    fn each_name(&self, show: &mut dyn FnMut(&str)) {
        self.0.topics().for_each(|topic| show(&topic.name));
    }
}
