//! DescribeConfigs: what is set, what holds, and where it comes from.

use crate::altering::{check_broker, short};
use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::check_name;
use controller::{Image, Resource, ResourceKind};
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use model::config::{Described, Settings, describe};
use network::Answer;
use std::collections::HashSet;
use std::rc::Rc;

/// Kafka's number for the levels of loggers. Flumen's are not configured one by one.
const BROKER_LOGGER: i8 = 8;

/// Keys in one answer, after which resources are refused: a request of a few bytes a resource must not make an
/// answer of any size. It is enough for all keys of 10,000 topics.
const ENTRIES_MAX: usize = 400_000;
/// Keys that are listed between two looks at other work: some hundred microseconds.
const PORTION: usize = 500;

/// Lists the configuration of each resource: all keys, or those that are asked for.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeConfigsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let strange = asked.resources.iter().find(|one| !is_known(one.resource_type));
    let mut results = Vec::with_capacity(asked.resources.len());
    let (mut entries, mut portion) = (0, 0);
    for resource in &asked.resources {
        // One resource of a type that there is not makes Kafka refuse them all.
        let listed = match strange {
            Some(strange) => Err(unknown_type(strange.resource_type)),
            None if entries > ENTRIES_MAX => Err(too_many()),
            None => list(broker, &image, resource),
        };
        portion += listed.as_ref().map_or(1, Vec::len);
        let result = result(resource, listed, &asked);
        entries += result.configs.len();
        results.push(result);
        if portion > PORTION {
            portion = 0;
            executor::yield_now().await;
        }
    }
    Ok(answer(request, &DescribeConfigsResponse { results, ..Default::default() }))
}

fn kind_of(number: i8) -> Option<ResourceKind> {
    ResourceKind::from_number(u8::try_from(number).ok()?)
}

fn is_known(number: i8) -> bool {
    number == BROKER_LOGGER || kind_of(number).is_some()
}

fn unknown_type(number: i8) -> Refusal {
    Refusal::invalid(format!("There is no resource type {number} to describe."))
}

fn too_many() -> Refusal {
    let message =
        format!("The answer would have more than {ENTRIES_MAX} entries; ask for fewer resources or keys.");
    Refusal::new(ErrorCode::PolicyViolation, message)
}

fn list(
    broker: &Broker,
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<Described>, Refusal> {
    let name = resource.resource_name.as_ref();
    let layers = broker.layers(image);
    let kind = kind_of(resource.resource_type).ok_or_else(|| unknown_type(resource.resource_type))?;
    let set = |kind| image.configs(&Resource::new(kind, name)).cloned().unwrap_or_else(Settings::new);
    match kind {
        ResourceKind::Topic => {
            check_name(name)?;
            let topic = image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
            Ok(describe::topic(&topic.configs, &layers))
        }
        ResourceKind::Broker if name.is_empty() => Ok(describe::broker_defaults(&layers)),
        ResourceKind::Broker => {
            check_broker(name, broker.identity.node)?;
            Ok(describe::broker(&layers))
        }
        ResourceKind::Group | ResourceKind::ClientMetrics if name.is_empty() => Err(Refusal::invalid(
            "A group or a client metrics subscription goes by its name, which is empty.",
        )),
        ResourceKind::Group => Ok(describe::group(&set(kind), &layers)),
        ResourceKind::ClientMetrics => Ok(describe::client_metrics(&set(kind))),
    }
}

fn result<'a>(
    resource: &DescribeConfigsResource<'a>,
    listed: Result<Vec<Described>, Refusal>,
    asked: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResult<'a> {
    let mut result = DescribeConfigsResult {
        error_message: None,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    };
    match listed {
        Ok(listed) => {
            let keys: HashSet<&str> =
                resource.configuration_keys.iter().flatten().map(AsRef::as_ref).collect();
            let wanted = |one: &Described| keys.is_empty() || keys.contains(one.name.as_ref());
            result.configs = listed.into_iter().filter(wanted).map(|one| config(one, asked)).collect();
        }
        Err(refusal) => {
            log::debug!(
                "the configuration of '{}' is not described: {refusal:?}",
                short(&resource.resource_name)
            );
            (result.error_code, result.error_message) = refusal.told();
        }
    }
    result
}

fn config(one: Described, asked: &DescribeConfigsRequest<'_>) -> DescribeConfigsResourceResult<'static> {
    let synonyms = if asked.include_synonyms { one.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: one.name,
        value: one.value.map(Into::into),
        read_only: one.read_only,
        config_source: one.source.code(),
        is_sensitive: one.sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|synonym| DescribeConfigsSynonym {
                name: synonym.name,
                value: synonym.value.map(Into::into),
                source: synonym.source.code(),
            })
            .collect(),
        config_type: one.kind.code(),
        documentation: asked.include_documentation.then(|| one.doc.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::config::Layers;

    fn described(
        asked: &DescribeConfigsRequest<'_>,
        keys: &[&'static str],
    ) -> DescribeConfigsResult<'static> {
        let set = Settings::from([("retention.ms".to_owned(), "7".to_owned())]);
        let keys = keys.iter().map(|key| (*key).into()).collect();
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: Some(keys),
        };
        result(&resource, Ok(describe::topic(&set, &Layers::empty())), asked)
    }

    #[test]
    fn keys_are_filtered_and_no_keys_are_all() {
        let asked = DescribeConfigsRequest::default();
        let one = described(&asked, &["retention.ms", "no.such.key"]);
        assert_eq!(one.configs.len(), 1);
        assert_eq!(one.configs[0].value.as_deref(), Some("7"));
        assert!(one.configs[0].synonyms.is_empty() && one.configs[0].documentation.is_none());
        assert!(described(&asked, &[]).configs.len() > 20);
    }

    #[test]
    fn synonyms_and_documentation_come_when_asked_for() {
        let asked = DescribeConfigsRequest {
            include_synonyms: true,
            include_documentation: true,
            ..Default::default()
        };
        let one = described(&asked, &["retention.ms"]).configs.remove(0);
        assert_eq!((one.synonyms[0].source, one.synonyms[0].name.as_ref()), (1, "retention.ms"));
        assert!(one.documentation.is_some_and(|text| !text.is_empty()));
    }

    #[test]
    fn a_refusal_lists_nothing() {
        let resource = DescribeConfigsResource { resource_type: 8, ..Default::default() };
        let refused = result(&resource, Err(unknown_type(8)), &DescribeConfigsRequest::default());
        assert_eq!((refused.error_code, refused.configs.len()), (ErrorCode::InvalidRequest as i16, 0));
    }
}
