//! DeleteRecords: moves the beginning of partitions' logs.

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::{ByCore, Routed};
use controller::Image;
use controller::changes::names::is_internal;
use kafka_wire::ErrorCode;
use kafka_wire::messages::delete_records_request::DeleteRecordsRequest;
use kafka_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use model::Offset;
use model::config::CleanupPolicy;
use network::Answer;
use shard::Outcome;
use shard::operation::Rare;
use std::rc::Rc;
use std::time::Duration;

/// Who gives less time than this is given it all the same: Kafka deletes before it looks at the time, which is for its
/// followers.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// Deletes each partition's records before an offset, and answers with where its log begins now. REQUEST_TIMED_OUT where
/// that takes longer than the client waits: it goes on, and asked again it answers when it is done.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteRecordsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut answers: Vec<DeleteRecordsPartitionResult> = Vec::new();
    for topic in &asked.topics {
        let allowed = check_topic(broker, &image, &topic.name);
        for partition in &topic.partitions {
            let place = answers.len();
            let number = partition.partition_index;
            answers.push(refused(number, ErrorCode::NotLeaderOrFollower));
            match route(broker, &image, &topic.name, number, allowed) {
                Ok(routed) => {
                    by_core.push(routed.shard, place, (routed.partition, Offset(partition.offset)));
                }
                Err(code) => answers[place] = refused(number, code),
            }
        }
    }
    let within = patience(asked.timeout_ms);
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| {
            (places, broker.ask(shard, Rare::DeleteRecords { items, within }.into()))
        })
        .collect();
    for (places, call) in calls {
        let Some(Outcome::Deleted(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            let partition_index = answers[place].partition_index;
            answers[place] = match result {
                Ok(log_start) => DeleteRecordsPartitionResult {
                    partition_index,
                    low_watermark: log_start.0,
                    error_code: 0,
                },
                Err(error) => refused(partition_index, errors::of_partition(&error)),
            };
        }
    }
    let mut answers = answers.into_iter();
    let topics = asked
        .topics
        .iter()
        .map(|topic| DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: answers.by_ref().take(topic.partitions.len()).collect(),
        })
        .collect();
    Ok(answer(request, &DeleteRecordsResponse { topics, ..Default::default() }))
}

/// How long a client waits.
fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).max(PATIENCE_MIN)
}

/// Whether clients may delete records of a topic. Of one that is not there the routing tells.
fn check_topic(broker: &Broker, image: &Image, name: &str) -> Result<(), ErrorCode> {
    match image.topic(name) {
        Some(topic) => check_policy(name, broker.topic_config(image, topic).cleanup_policy),
        None => Ok(()),
    }
}

/// What the broker itself writes is not to be deleted, nor what compaction alone may make smaller.
fn check_policy(name: &str, policy: CleanupPolicy) -> Result<(), ErrorCode> {
    if is_internal(name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if policy.compact && !policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    Ok(())
}

fn route(
    broker: &Broker,
    image: &Image,
    name: &str,
    partition: i32,
    allowed: Result<(), ErrorCode>,
) -> Result<Routed, ErrorCode> {
    let routed = broker.route_name(image, name, partition)?;
    allowed.map(|()| routed)
}

fn refused(partition_index: i32, code: ErrorCode) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult { partition_index, low_watermark: -1, error_code: code as i16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_internal_and_of_compacted_topics_stay() {
        let policy = |delete, compact| CleanupPolicy { delete, compact };
        assert_eq!(check_policy("t", policy(true, false)), Ok(()));
        assert_eq!(check_policy("t", policy(true, true)), Ok(()));
        assert_eq!(check_policy("t", policy(false, false)), Ok(()));
        assert_eq!(check_policy("t", policy(false, true)), Err(ErrorCode::PolicyViolation));
        let internal = check_policy("__consumer_offsets", policy(false, true));
        assert_eq!(internal, Err(ErrorCode::InvalidTopicException));
    }

    #[test]
    fn a_client_waits_as_long_as_it_says_but_not_for_nothing() {
        let waits = [i32::MIN, -1, 0, 999, 1000, 30_000].map(|timeout_ms| patience(timeout_ms).as_millis());
        assert_eq!(waits, [1000, 1000, 1000, 1000, 1000, 30_000]);
        assert_eq!(errors::of_partition(&shard::PartitionError::TimedOut), ErrorCode::RequestTimedOut);
    }
}
