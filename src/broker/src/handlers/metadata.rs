//! Metadata: brokers, topics, and where their partitions are led. Creates topics that are asked for and not there.

use crate::authorized;
use crate::broker::Broker;
use crate::internal_topics;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::{check_name, is_internal};
use controller::changes::{Budget, CreateTopics};
use controller::{Change, Image, Topic};
use kafka_wire::messages::metadata_request::MetadataRequest;
use kafka_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire::{ErrorCode, Str, Uuid};
use model::{NodeId, TopicId};
use network::Answer;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Authorized operations that nobody asked for, or that are not known: the smallest integer.
pub(crate) const NO_OPERATIONS: i32 = i32::MIN;

/// Answers with all topics, or with those that are asked for. What is not there and may be created is begun, and
/// answered with UNKNOWN_TOPIC_OR_PARTITION as Kafka does: the client asks again.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: MetadataRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    // In version 0 an empty list asks for all, later null does.
    let all = match &asked.topics {
        None => true,
        Some(topics) => request.version == 0 && topics.is_empty(),
    };
    let mut topics = Vec::new();
    // A request may name a topic twice; to be created it is named once.
    let mut missing = BTreeSet::new();
    if all {
        topics.extend(image.topics().map(|topic| describe(topic)));
    } else {
        for wanted in asked.topics.iter().flatten() {
            let id = TopicId(wanted.topic_id.0);
            topics.push(match &wanted.name {
                _ if id != TopicId::ZERO => by_id(&image, id),
                Some(name) => by_name(&image, name, &mut missing),
                None => unknown(None, id, ErrorCode::InvalidRequest),
            });
        }
    }
    let may_create = request.version < 4 || asked.allow_auto_topic_creation;
    if may_create && broker.config().auto_create_topics && !missing.is_empty() {
        create(broker, missing, request.budget_aside());
    }
    if asked.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.topic_authorized_operations = authorized::TOPIC;
        }
    }
    let mut response = response(broker, &image, topics, request.version);
    if asked.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized::CLUSTER;
    }
    Ok(answer(request, &response))
}

fn response<'a>(
    broker: &'a Broker,
    image: &'a Image,
    topics: Vec<MetadataResponseTopic<'a>>,
    version: i16,
) -> MetadataResponse<'a> {
    let identity = &broker.identity;
    let mut response = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: identity.node.0,
            host: identity.host.as_str().into(),
            port: i32::from(broker.port()),
            rack: identity.rack.as_deref().map(Into::into),
        }],
        controller_id: identity.node.0,
        topics,
        ..Default::default()
    };
    if version >= 2 {
        response.cluster_id = Some(image.cluster_id().into());
    }
    response
}

fn by_name<'a>(image: &Image, name: &Str<'a>, missing: &mut BTreeSet<String>) -> MetadataResponseTopic<'a> {
    match image.topic(name) {
        Some(topic) => describe(topic),
        None if check_name(name).is_err() => {
            unknown(Some(name.clone()), TopicId::ZERO, ErrorCode::InvalidTopicException)
        }
        None => {
            missing.insert(name.to_string());
            unknown(Some(name.clone()), TopicId::ZERO, ErrorCode::UnknownTopicOrPartition)
        }
    }
}

fn by_id<'a>(image: &Image, id: TopicId) -> MetadataResponseTopic<'a> {
    match image.topic_by_id(id) {
        Some(topic) => describe(topic),
        None => unknown(None, id, ErrorCode::UnknownTopicId),
    }
}

fn unknown(name: Option<Str<'_>>, id: TopicId, code: ErrorCode) -> MetadataResponseTopic<'_> {
    MetadataResponseTopic {
        error_code: code as i16,
        is_internal: name.as_deref().is_some_and(is_internal),
        name,
        topic_id: Uuid(id.0),
        topic_authorized_operations: NO_OPERATIONS,
        ..Default::default()
    }
}

fn describe<'a>(topic: &Topic) -> MetadataResponseTopic<'a> {
    let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    let partitions = topic
        .partitions
        .iter()
        .enumerate()
        .map(|(index, partition)| MetadataResponsePartition {
            error_code: if partition.leader.0 < 0 { ErrorCode::LeaderNotAvailable as i16 } else { 0 },
            partition_index: index as i32,
            leader_id: partition.leader.0,
            leader_epoch: partition.leader_epoch,
            replica_nodes: numbers(&partition.replicas),
            isr_nodes: numbers(&partition.isr),
            offline_replicas: Vec::new(),
        })
        .collect();
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.to_string().into()),
        topic_id: Uuid(topic.id.0),
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: NO_OPERATIONS,
    }
}

/// Begins to create topics; the client does not wait for it.
fn create(broker: &Rc<Broker>, names: BTreeSet<String>, budget: Option<Arc<dyn Budget>>) {
    let broker = broker.clone();
    drop(executor::spawn("auto-creation", async move {
        let config = broker.config();
        let topics = names.iter().map(|name| internal_topics::new_topic(name, &config)).collect();
        let change = Change::CreateTopics(CreateTopics { topics, validate_only: false, budget });
        if let Err(error) = broker.change(change).await {
            log::warn!("topics could not be created by asking for them: {error}");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_named_twice_is_created_all_the_same() {
        let image = Image::default();
        let mut missing = BTreeSet::new();
        let code = |name: &'static str| by_name(&image, &name.into(), &mut missing).error_code;
        let codes = ["new", "not good", "new"].map(code);
        let (unknown, invalid) = (ErrorCode::UnknownTopicOrPartition, ErrorCode::InvalidTopicException);
        assert_eq!(codes, [unknown as i16, invalid as i16, unknown as i16]);
        assert_eq!(missing, BTreeSet::from(["new".to_owned()]), "the controller refuses what is named twice");
    }
}
