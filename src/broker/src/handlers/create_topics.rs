//! CreateTopics: topics with their partitions and configuration.

use crate::broker::Broker;
use crate::refusal::{Refusal, change, each};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{CreateTopics, CreatedTopic, NewTopic};
use controller::{Change, Outcome};
use kafka_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_wire::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_wire::{ErrorCode, Str, Uuid};
use model::config::{Layers, Settings, describe};
use network::Answer;
use std::collections::HashMap;
use std::rc::Rc;

/// Topics whose configuration is told in the answer; a request of a few bytes a topic must not make one of any
/// size.
const DESCRIBED_MAX: usize = 10_000;
/// Topics that are described between two looks at other work.
const PORTION: usize = 16;

/// Creates the topics, or says what would become of them. Answers when every core has its partitions.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: CreateTopicsRequest<'_> = decoded(request, request.decode())?;
    let topics = asked.topics.iter().map(wanted).collect();
    let (validate_only, budget) = (asked.validate_only, request.budget());
    let wanted = Change::CreateTopics(CreateTopics { topics, validate_only, budget });
    let created = change(broker, wanted, |outcome| match outcome {
        Outcome::CreateTopics(results) => Some(results),
        _ => None,
    });
    let results = each(asked.topics.iter().map(|topic| topic.name.as_ref()), created.await);
    let image = broker.image();
    let layers = broker.layers(&image);
    let by_name: HashMap<&str, &CreatableTopic<'_>> =
        asked.topics.iter().map(|topic| (topic.name.as_ref(), topic)).collect();
    let mut topics = Vec::with_capacity(results.len());
    for (place, (name, result)) in results.into_iter().enumerate() {
        let described = match by_name.get(name.as_str()) {
            // Older versions do not carry it.
            Some(topic) if request.version >= 5 && place < DESCRIBED_MAX => Some(configs(topic, &layers)),
            _ => None,
        };
        topics.push(match result {
            Ok(created) => success(created, described, name.into()),
            Err(refusal) => refused(name.into(), refusal),
        });
        if place % PORTION == PORTION - 1 {
            executor::yield_now().await;
        }
    }
    Ok(answer(request, &CreateTopicsResponse { topics, ..Default::default() }))
}

fn wanted(topic: &CreatableTopic<'_>) -> NewTopic {
    let assignments =
        topic.assignments.iter().map(|one| (one.partition_index, one.broker_ids.clone())).collect();
    let configs = topic.configs.iter();
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments,
        configs: configs.map(|one| (one.name.to_string(), one.value.as_deref().map(str::to_owned))).collect(),
    }
}

fn success<'a>(
    created: CreatedTopic,
    configs: Option<Vec<CreatableTopicConfigs<'a>>>,
    name: Str<'a>,
) -> CreatableTopicResult<'a> {
    let left_out = if configs.is_some() { ErrorCode::None } else { ErrorCode::PolicyViolation };
    CreatableTopicResult {
        name,
        topic_id: Uuid(created.id.0),
        error_message: None,
        topic_config_error_code: left_out as i16,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs,
        ..Default::default()
    }
}

fn refused(name: Str<'_>, refusal: Refusal) -> CreatableTopicResult<'_> {
    let (error_code, error_message) = refusal.told();
    CreatableTopicResult { name, error_code, error_message, ..Default::default() }
}

/// The configuration that the topic has, or would have.
fn configs(topic: &CreatableTopic<'_>, layers: &Layers<'_>) -> Vec<CreatableTopicConfigs<'static>> {
    let set: Settings = topic
        .configs
        .iter()
        .filter_map(|one| Some((one.name.to_string(), one.value.as_deref()?.to_owned())))
        .collect();
    let listed = describe::topic(&set, layers).into_iter();
    listed
        .map(|one| CreatableTopicConfigs {
            name: one.name,
            value: one.value.map(Into::into),
            read_only: one.read_only,
            config_source: one.source.code(),
            is_sensitive: one.sensitive,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::create_topics_request::CreatableTopicConfig;

    #[test]
    fn a_topic_is_told_its_whole_configuration() {
        let topic = CreatableTopic {
            name: "t".into(),
            configs: vec![CreatableTopicConfig { name: "retention.ms".into(), value: Some("5".into()) }],
            ..Default::default()
        };
        let configs = configs(&topic, &Layers::empty());
        let find = |name: &str| configs.iter().find(|one| one.name == name).expect("it is listed");
        assert_eq!(
            (find("retention.ms").value.as_deref(), find("retention.ms").config_source),
            (Some("5"), 1)
        );
        assert_eq!(find("cleanup.policy").config_source, 5, "nobody set it");
    }

    #[test]
    fn a_config_without_a_value_reaches_the_controller_which_refuses_it() {
        let configs = vec![CreatableTopicConfig { name: "retention.ms".into(), value: None }];
        let topic = CreatableTopic { name: "t".into(), num_partitions: 3, configs, ..Default::default() };
        let wanted = wanted(&topic);
        assert_eq!(wanted.partitions, 3);
        assert_eq!(wanted.configs, [("retention.ms".to_owned(), None)]);
    }
}
