//! Topics and configurations: what an administrator asks for.
//!
//! Every function here is a method of [`Client`]; each is about one topic or a few, and fails with the first
//! error that the broker reports.

use crate::cluster::Node;
use crate::{Client, ClientError};
use kafka_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_wire::messages::create_partitions_response::CreatePartitionsResponse;
use kafka_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_wire::messages::create_topics_response::CreateTopicsResponse;
use kafka_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_wire::messages::delete_topics_response::DeleteTopicsResponse;
use kafka_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_wire::messages::describe_configs_response::DescribeConfigsResponse;
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_wire::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use kafka_wire::{ApiKey, Uuid};

/// How long brokers may take over a change of topics.
const CHANGE_TIMEOUT_MS: i32 = 25_000;
/// The first version of CreateTopics that understands -1 as "the broker's default".
const CREATE_TOPICS_DEFAULTS_FROM: i16 = 4;
/// Kafka's number of the resource type "topic".
const RESOURCE_TOPIC: i8 = 2;
/// Kafka's number of the configuration source "set on the topic".
const SOURCE_TOPIC: i8 = 1;
/// Kafka's number of the configuration source "default".
const SOURCE_DEFAULT: i8 = 5;

/// A topic to be.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// `None` is the cluster's default, `num.partitions`.
    pub partitions: Option<i32>,
    /// `None` is the cluster's default, `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Keys and values.
    pub configs: Vec<(String, String)>,
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Zero if the broker is too old to say.
    pub id: Uuid,
    /// `None` if the broker is too old to say, or does not let us know.
    pub partitions: Option<i32>,
    /// As above.
    pub replication_factor: Option<i16>,
}

/// A configuration value as a broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key.
    pub name: String,
    /// `None` if it is null or must not be shown.
    pub value: Option<String>,
    /// Kafka's number of where it comes from: 1 the topic, 2 and 3 dynamic broker settings, 4 the
    /// broker's file, 5 the default.
    pub source: i8,
    /// True if it must not be shown.
    pub sensitive: bool,
}

impl ConfigEntry {
    /// True if somebody set it, on the topic or for the whole broker.
    pub fn differs_from_default(&self) -> bool {
        self.source != SOURCE_DEFAULT
    }

    /// Where it comes from, in words.
    pub fn source_name(&self) -> &'static str {
        match self.source {
            SOURCE_TOPIC => "topic",
            2 => "broker, dynamic",
            3 => "cluster, dynamic",
            4 => "broker",
            SOURCE_DEFAULT => "default",
            6 => "broker logger",
            7 => "client metrics",
            8 => "group",
            _ => "unknown",
        }
    }
}

/// A change of one configuration key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Key and value.
    Set(String, String),
    /// The key goes back to its default.
    Delete(String),
}

impl Client {
    /// Creates a topic; with `validate_only` only says whether it could be.
    pub fn create_topic(
        &mut self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, ClientError> {
        let result = self.retry(|client| client.create_topic_once(topic, validate_only));
        self.forget_topics();
        result
    }

    fn create_topic_once(
        &mut self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, ClientError> {
        let response: CreateTopicsResponse<'_> =
            self.call(Node::Controller, ApiKey::CreateTopics, |version| {
                let default = if version >= CREATE_TOPICS_DEFAULTS_FROM { -1 } else { 1 };
                let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
                    name: name.clone().into(),
                    value: Some(value.clone().into()),
                });
                let topic = CreatableTopic {
                    name: topic.name.clone().into(),
                    num_partitions: topic.partitions.unwrap_or(default.into()),
                    replication_factor: topic.replication_factor.unwrap_or(default),
                    configs: configs.collect(),
                    ..CreatableTopic::default()
                };
                let topics = vec![topic];
                CreateTopicsRequest { topics, timeout_ms: CHANGE_TIMEOUT_MS, validate_only }
            })?;
        let Some(result) = response.topics.first() else {
            return Err(unanswered(ApiKey::CreateTopics, &topic.name));
        };
        check(ApiKey::CreateTopics, &topic.name, result.error_code, result.error_message.as_deref())?;
        Ok(CreatedTopic {
            id: result.topic_id,
            partitions: Some(result.num_partitions).filter(|&count| count > 0),
            replication_factor: Some(result.replication_factor).filter(|&count| count > 0),
        })
    }

    /// Deletes a topic and all of its records.
    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let result = self.until_known(|client| {
            let response: DeleteTopicsResponse<'_> =
                client.call(Node::Controller, ApiKey::DeleteTopics, |version| {
                    let mut request =
                        DeleteTopicsRequest { timeout_ms: CHANGE_TIMEOUT_MS, ..Default::default() };
                    let owned = name.to_owned().into();
                    match version {
                        6.. => {
                            request.topics =
                                vec![DeleteTopicState { name: Some(owned), ..Default::default() }]
                        }
                        _ => request.topic_names = vec![owned],
                    }
                    request
                })?;
            let Some(result) = response.responses.first() else {
                return Err(unanswered(ApiKey::DeleteTopics, name));
            };
            check(ApiKey::DeleteTopics, name, result.error_code, result.error_message.as_deref())
        });
        self.forget_topics();
        result
    }

    /// Gives a topic more partitions, `count` in all.
    pub fn create_partitions(&mut self, name: &str, count: i32) -> Result<(), ClientError> {
        let result = self.until_known(|client| {
            let response: CreatePartitionsResponse<'_> =
                client.call(Node::Controller, ApiKey::CreatePartitions, |_| CreatePartitionsRequest {
                    topics: vec![CreatePartitionsTopic {
                        name: name.to_owned().into(),
                        count,
                        assignments: None,
                    }],
                    timeout_ms: CHANGE_TIMEOUT_MS,
                    validate_only: false,
                })?;
            let Some(result) = response.results.first() else {
                return Err(unanswered(ApiKey::CreatePartitions, name));
            };
            check(ApiKey::CreatePartitions, name, result.error_code, result.error_message.as_deref())
        });
        self.forget_topics();
        result
    }

    /// All configuration values of a topic, by key.
    pub fn topic_configs(&mut self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        self.until_known(|client| {
            let response: DescribeConfigsResponse<'_> =
                client.call(Node::Any, ApiKey::DescribeConfigs, |_| DescribeConfigsRequest {
                    resources: vec![DescribeConfigsResource {
                        resource_type: RESOURCE_TOPIC,
                        resource_name: name.to_owned().into(),
                        configuration_keys: None,
                    }],
                    ..DescribeConfigsRequest::default()
                })?;
            let Some(result) = response.results.first() else {
                return Err(unanswered(ApiKey::DescribeConfigs, name));
            };
            check(ApiKey::DescribeConfigs, name, result.error_code, result.error_message.as_deref())?;
            let entries = result.configs.iter().map(|config| ConfigEntry {
                name: config.name.clone().into_owned(),
                value: config.value.as_deref().map(str::to_owned),
                source: config.config_source,
                sensitive: config.is_sensitive,
            });
            let mut entries: Vec<_> = entries.collect();
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
    }

    /// Changes configuration values of a topic, all or none.
    pub fn alter_topic_configs(&mut self, name: &str, changes: &[ConfigChange]) -> Result<(), ClientError> {
        self.until_known(|client| {
            let response: IncrementalAlterConfigsResponse<'_> =
                client.call(Node::Controller, ApiKey::IncrementalAlterConfigs, |_| {
                    let resource = AlterConfigsResource {
                        resource_type: RESOURCE_TOPIC,
                        resource_name: name.to_owned().into(),
                        configs: changes.iter().map(alterable).collect(),
                    };
                    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
                })?;
            let Some(result) = response.responses.first() else {
                return Err(unanswered(ApiKey::IncrementalAlterConfigs, name));
            };
            let message = result.error_message.as_deref();
            check(ApiKey::IncrementalAlterConfigs, name, result.error_code, message)
        })
    }
}

fn alterable(change: &ConfigChange) -> AlterableConfig<'static> {
    // Kafka's numbers of the operations: 0 sets, 1 deletes.
    match change {
        ConfigChange::Set(name, value) => AlterableConfig {
            name: name.clone().into(),
            config_operation: 0,
            value: Some(value.clone().into()),
        },
        ConfigChange::Delete(name) => {
            AlterableConfig { name: name.clone().into(), config_operation: 1, value: None }
        }
    }
}

fn check(api: ApiKey, topic: &str, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    match code {
        0 => Ok(()),
        _ => Err(ClientError::broker(api, format!("topic {topic}"), code, message)),
    }
}

fn unanswered(api: ApiKey, topic: &str) -> ClientError {
    let code = kafka_wire::ErrorCode::UnknownServerError.code();
    ClientError::broker(api, format!("topic {topic}"), code, Some("the broker's answer leaves it out"))
}
