//! ListConfigResources: what has, or can have, a configuration of its own (KIP-1142).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::{Image, ResourceKind};
use kafka_wire::ErrorCode;
use kafka_wire::messages::list_config_resources_request::ListConfigResourcesRequest;
use kafka_wire::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};
use network::Answer;
use std::rc::Rc;

const TOPIC: i8 = ResourceKind::Topic as i8;
const BROKER: i8 = ResourceKind::Broker as i8;
/// Loggers can be asked for; no node has any that are configured one by one.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = ResourceKind::ClientMetrics as i8;
const GROUP: i8 = ResourceKind::Group as i8;

/// Lists groups and client metrics that have something set, and all brokers and topics. Version 0 knows client
/// metrics only.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ListConfigResourcesRequest = decoded(request, request.decode())?;
    let image = broker.image();
    let response = match kinds(&asked.resource_types, request.version) {
        Some(kinds) => {
            ListConfigResourcesResponse { config_resources: list(&image, kinds), ..Default::default() }
        }
        None => ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion as i16,
            ..Default::default()
        },
    };
    Ok(answer(request, &response))
}

/// The kinds to list: those that are asked for, or all. `None`: one of them cannot be listed in this version.
fn kinds(asked: &[i8], version: i16) -> Option<&[i8]> {
    let supported: &'static [i8] = match version {
        0 => &[CLIENT_METRICS],
        _ => &[TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP],
    };
    match asked {
        [] => Some(supported),
        _ => asked.iter().all(|kind| supported.contains(kind)).then_some(asked),
    }
}

fn list<'a>(image: &'a Image, kinds: &[i8]) -> Vec<ConfigResource<'a>> {
    let has = |kind: i8| kinds.contains(&kind);
    let mut listed = Vec::new();
    let mut add = |resource_type, resource_name| listed.push(ConfigResource { resource_name, resource_type });
    for (resource, _) in image.configured_resources() {
        let kind = resource.kind as i8;
        if (kind == GROUP || kind == CLIENT_METRICS) && has(kind) {
            add(kind, resource.name.as_str().into());
        }
    }
    if has(BROKER) {
        image.nodes().for_each(|node| add(BROKER, node.id.to_string().into()));
    }
    if has(TOPIC) {
        image.topics().for_each(|topic| add(TOPIC, (&*topic.name).into()));
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{Record, Resource};
    use model::{NodeId, TopicId};

    fn image() -> Image {
        let set = |kind, name: &str, key: &str| Record::Config {
            resource: Resource::new(kind, name),
            key: key.to_owned(),
            value: Some("1000".to_owned()),
        };
        let records = [
            Record::Node { node: NodeId(1), epoch: 0, rack: None, endpoints: Vec::new() },
            Record::Topic { id: TopicId([1; 16]), name: "t".to_owned() },
            set(ResourceKind::Group, "g", "consumer.session.timeout.ms"),
            set(ResourceKind::ClientMetrics, "m", "interval.ms"),
            set(ResourceKind::Broker, "", "log.retention.ms"),
        ];
        Image::default().with(&records, 1).expect("the records fit")
    }

    fn listed(asked: &[i8], version: i16) -> Option<Vec<(i8, String)>> {
        let image = image();
        let listed = list(&image, kinds(asked, version)?);
        let mut listed: Vec<_> =
            listed.iter().map(|one| (one.resource_type, one.resource_name.to_string())).collect();
        listed.sort();
        Some(listed)
    }

    #[test]
    fn every_kind_is_listed_or_those_asked_for() {
        let all = [(TOPIC, "t"), (BROKER, "1"), (CLIENT_METRICS, "m"), (GROUP, "g")];
        assert_eq!(listed(&[], 1), Some(all.map(|(kind, name)| (kind, name.to_owned())).to_vec()));
        assert_eq!(listed(&[GROUP], 1), Some(vec![(GROUP, "g".to_owned())]));
        assert_eq!(listed(&[BROKER_LOGGER], 1), Some(Vec::new()));
        assert_eq!(listed(&[], 0), Some(vec![(CLIENT_METRICS, "m".to_owned())]));
    }

    #[test]
    fn a_kind_that_is_not_known_is_refused() {
        assert_eq!(kinds(&[TOPIC, 3], 1), None);
        assert_eq!(kinds(&[TOPIC], 0), None);
    }
}
