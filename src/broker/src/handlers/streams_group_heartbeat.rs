//! StreamsGroupHeartbeat: all that a member of the streams protocol says and is told (KIP-1071).

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::features::serves_streams_groups;
use crate::refusal::{change, each};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::{check_name, is_internal};
use controller::changes::{Budget, CreateTopics, NewTopic};
use controller::{Change, Outcome};
use groups::{InternalTopic, Response, StreamsHeartbeat};
use kafka_wire::messages::streams_group_heartbeat_request::{StreamsGroupHeartbeatRequest, Topology};
use kafka_wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;
use std::sync::Arc;

/// The status of a group whose internal topics are not all there.
const MISSING_INTERNAL_TOPICS: i8 = 3;

/// Answers when what it shows is durable. Topics that the group waits for are created first, so that its next
/// heartbeat finds them. Below `streams.version` 1, and where `group.coordinator.rebalance.protocols` leaves it out, the
/// protocol is off.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: StreamsGroupHeartbeatRequest<'_> = decoded(request, request.decode())?;
    if !serves_streams_groups(broker) {
        let code = ErrorCode::UnsupportedVersion;
        return Ok(answer(request, &refused(code, code.message().into())));
    }
    if let Some(why) = asked.topology.as_ref().and_then(unfit) {
        return Ok(answer(request, &refused(ErrorCode::StreamsInvalidTopology, why.into())));
    }
    let told = match ask(broker, request, &asked.group_id).await {
        Ok(Response::StreamsGroupHeartbeat(told)) => told,
        other => {
            let code = code_of(&other);
            return Ok(answer(request, &refused(code, code.message().into())));
        }
    };
    let StreamsHeartbeat { mut response, create: wanted } = told;
    if !wanted.is_empty() {
        let failed = create(broker, wanted, request.budget_aside()).await;
        note(&mut response, &failed);
    }
    Ok(answer(request, &response))
}

fn refused(code: ErrorCode, message: Str<'static>) -> StreamsGroupHeartbeatResponse<'static> {
    StreamsGroupHeartbeatResponse {
        error_code: code.code(),
        error_message: Some(message),
        ..Default::default()
    }
}

/// What is wrong with the names of a topology's topics.
fn unfit(topology: &Topology<'_>) -> Option<String> {
    let names = topology.subtopologies.iter().flat_map(|one| {
        let internal = one.repartition_source_topics.iter().chain(&one.state_changelog_topics);
        let named = one.source_topics.iter().chain(&one.repartition_sink_topics);
        named.chain(internal.map(|topic| &topic.name))
    });
    for name in names {
        if is_internal(name) {
            return Some(format!("Topic {name} is the broker's own and cannot be part of a topology."));
        }
        if let Err(error) = check_name(name) {
            return Some(error.message);
        }
    }
    None
}

/// Creates topics; tells those that could not be, and why.
async fn create(
    broker: &Rc<Broker>,
    wanted: Vec<InternalTopic>,
    budget: Option<Arc<dyn Budget>>,
) -> Vec<String> {
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let topics = wanted.into_iter().map(new_topic).collect();
    let wanted = Change::CreateTopics(CreateTopics { topics, validate_only: false, budget });
    let created = change(broker, wanted, |outcome| match outcome {
        Outcome::CreateTopics(results) => Some(results),
        _ => None,
    });
    let results = each(names.iter().map(String::as_str), created.await);
    let failed = results.into_iter().filter_map(|(name, result)| {
        // Another member of the group was faster.
        let refusal = result.err().filter(|refusal| refusal.code != ErrorCode::TopicAlreadyExists)?;
        let (_, why) = refusal.told();
        Some(format!("{name} ({})", why.unwrap_or_default()))
    });
    failed.collect()
}

fn new_topic(topic: InternalTopic) -> NewTopic {
    NewTopic {
        name: topic.name,
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        assignments: Vec::new(),
        configs: topic.configs.into_iter().map(|(key, value)| (key, Some(value))).collect(),
    }
}

/// Says in the answer what could not be created.
fn note(response: &mut StreamsGroupHeartbeatResponse<'_>, failed: &[String]) {
    if failed.is_empty() {
        return;
    }
    let failed = failed.join(", ");
    log::warn!("internal topics of a streams group could not be created: {failed}");
    let statuses = response.status.iter_mut().flatten();
    for status in statuses.filter(|status| status.status_code == MISSING_INTERNAL_TOPICS) {
        status.status_detail.to_mut().push_str(&format!(" Some could not be created: {failed}."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::streams_group_heartbeat_request::{Subtopology, TopicInfo};
    use kafka_wire::messages::streams_group_heartbeat_response::Status;

    #[test]
    fn names_that_no_topic_may_have_are_refused() {
        let of = |source: &'static str, changelog: &'static str| {
            let changelog = TopicInfo { name: changelog.into(), ..Default::default() };
            let subtopology = Subtopology {
                source_topics: vec![source.into()],
                state_changelog_topics: vec![changelog],
                ..Default::default()
            };
            unfit(&Topology { epoch: 0, subtopologies: vec![subtopology] })
        };
        assert_eq!(of("in", "app-store-changelog"), None);
        assert!(of("__consumer_offsets", "c").is_some_and(|why| why.contains("__consumer_offsets")));
        assert!(of("in", "a/b").is_some());
    }

    #[test]
    fn an_internal_topic_is_created_as_the_topology_says() {
        let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        let topic = InternalTopic { name: "c".into(), partitions: 3, replication_factor: -1, configs };
        let wanted = new_topic(topic);
        assert_eq!((wanted.name.as_str(), wanted.partitions, wanted.replication_factor), ("c", 3, -1));
        assert_eq!(wanted.configs, [("cleanup.policy".to_owned(), Some("compact".to_owned()))]);
    }

    #[test]
    fn what_could_not_be_created_is_said_with_the_status() {
        let status = |status_code| Status { status_code, status_detail: "It waits.".into() };
        let mut response =
            StreamsGroupHeartbeatResponse { status: Some(vec![status(5), status(3)]), ..Default::default() };
        note(&mut response, &[]);
        note(&mut response, &["c (why)".to_owned()]);
        let told = response.status.expect("statuses");
        assert_eq!(told[0].status_detail, "It waits.");
        assert_eq!(told[1].status_detail, "It waits. Some could not be created: c (why).");
    }
}
