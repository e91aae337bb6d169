//! Deleting topics.

use super::budget::{Budget, spend};
use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::record::Record;
use model::TopicId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic by name or by id. The wire can give both or neither, which is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicReference {
    /// Its name, if it goes by name.
    pub name: Option<String>,
    /// Its id; zero if it goes by name.
    pub id: TopicId,
}

/// Topics to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicReference>,
    /// How many partitions may be deleted with them.
    pub budget: Option<Arc<dyn Budget>>,
}

/// What became of a topic to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name, as far as it is known.
    pub name: Option<String>,
    /// Its id, zero if it is not known.
    pub id: TopicId,
    /// Deleted, or why not.
    pub result: Result<(), ControlError>,
}

impl DeleteTopics {
    pub(super) async fn plan(&self, plan: &mut Plan<'_>) -> Result<Vec<DeletedTopic>, ControlError> {
        let mut results = Vec::new();
        // How often each topic that is there was named, by its id.
        let mut found: BTreeMap<TopicId, (String, u32)> = BTreeMap::new();
        // How often each that is not there was named.
        let mut absent: BTreeMap<(Option<&str>, TopicId), u32> = BTreeMap::new();
        for reference in &self.topics {
            let name = reference.name.as_deref();
            let topic = match (name, reference.id) {
                (None, TopicId::ZERO) => {
                    results.push(refused(
                        None,
                        TopicId::ZERO,
                        "A topic needs a name or an id; it has neither.",
                    ));
                    continue;
                }
                (Some(name), TopicId::ZERO) => plan.image().topic(name),
                (None, id) => plan.image().topic_by_id(id),
                (Some(_), id) => {
                    results.push(refused(name, id, "A topic goes by its name or by its id, not by both."));
                    continue;
                }
            };
            match topic {
                Some(topic) => found.entry(topic.id).or_insert_with(|| (topic.name.to_string(), 0)).1 += 1,
                None => *absent.entry((name, reference.id)).or_default() += 1,
            }
            plan.pace(1).await;
        }
        for ((name, id), times) in absent {
            results.push(not_there(name, id, times));
        }
        for (id, (name, times)) in found {
            results.push(if times > 1 {
                refused(Some(&name), id, "The request names this topic more than once.")
            } else {
                DeletedTopic { name: Some(name), id, result: self.remove(id, plan).await }
            });
        }
        Ok(results)
    }

    async fn remove(&self, id: TopicId, plan: &mut Plan<'_>) -> Result<(), ControlError> {
        let partitions = plan.image().topic_by_id(id).map_or(0, |topic| topic.partitions.len());
        spend(self.budget.as_ref(), partitions)?;
        plan.add(vec![Record::RemoveTopic { id }]).await
    }
}

fn refused(name: Option<&str>, id: TopicId, message: &str) -> DeletedTopic {
    let error = ControlError::new(ErrorKind::InvalidRequest, message);
    DeletedTopic { name: name.map(str::to_owned), id, result: Err(error) }
}

fn not_there(name: Option<&str>, id: TopicId, times: u32) -> DeletedTopic {
    if times > 1 {
        return refused(name, id, "The request names this topic more than once.");
    }
    let error = match name {
        Some(_) => ControlError::new(ErrorKind::UnknownTopicOrPartition, "There is no topic of this name."),
        None => ControlError::new(ErrorKind::UnknownTopicId, "There is no topic with this id."),
    };
    DeletedTopic { name: name.map(str::to_owned), id, result: Err(error) }
}
