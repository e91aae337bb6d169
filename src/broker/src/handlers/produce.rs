//! Produce: batches on their way to the cores that own their partitions.

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::{self, ByCore};
use controller::changes::names::is_internal;
use kafka_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_wire::produce_view::{ProducePartition, ProduceView, TopicRef};
use kafka_wire::{ErrorCode, Records, Uuid};
use network::Answer;
use shard::operation::{AppendDone, AppendItem, Operation};
use shard::{Outcome, PartitionError};
use std::rc::Rc;
use storage::Origin;

/// What became of one partition's batches.
type Part = Result<AppendDone, (ErrorCode, Option<String>)>;

/// Appends every partition's batches and answers when they are as durable as `acks` wants: 0 waits for nothing
/// and gets no answer, 1 and all wait for the device.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let view = decoded(request, ProduceView::decode(&mut request.reader(), request.version))?;
    let mut parts: Vec<Option<Part>> = (0..view.partition_count).map(|_| None).collect();
    if matches!(view.acks, -1..=1) {
        append(broker, request, &view, &mut parts).await;
    } else {
        let refused = (ErrorCode::InvalidRequiredAcks, None);
        parts.fill_with(|| Some(Err(refused.clone())));
    }
    let failed = parts.iter().flatten().filter_map(|part| part.as_ref().err());
    failed.for_each(|(code, _)| broker.metrics.error(request.api, *code));
    if view.acks == 0 {
        return Ok(without_acknowledgement(&view, &parts));
    }
    Ok(answer(request, &response(&view, parts)))
}

async fn append(broker: &Rc<Broker>, request: &Request, view: &ProduceView<'_>, parts: &mut [Option<Part>]) {
    // Everything up to the calls happens without waiting: so the batches of one connection reach their
    // partitions in the order in which they were sent.
    let mut by_core = ByCore::new();
    {
        let image = broker.image();
        let mut topic: Option<(usize, Result<&std::sync::Arc<controller::Topic>, ErrorCode>)> = None;
        for (place, item) in view.partitions().enumerate() {
            let found = match &topic {
                Some((index, found)) if *index == item.topic_index => *found,
                _ => route::topic(&image, &item.topic),
            };
            topic = Some((item.topic_index, found));
            let routed = found.and_then(|topic| match is_internal(&topic.name) && !is_admin(request) {
                true => Err(ErrorCode::InvalidTopicException),
                false => broker.route(topic, item.partition),
            });
            match (routed, item.records) {
                (Err(code), _) => parts[place] = Some(Err((code, None))),
                (Ok(_), Records::Null | Records::External { .. } | Records::Bytes([])) => {
                    let text = "a Produce request must hold one record batch a partition".to_owned();
                    parts[place] = Some(Err((ErrorCode::InvalidRecord, Some(text))));
                }
                (Ok(routed), Records::Bytes(bytes)) => {
                    let batches = request.share(bytes);
                    by_core.push(routed.shard, place, AppendItem { partition: routed.partition, batches });
                }
            }
        }
    }
    let durable = view.acks != 0;
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| {
            let operation = Operation::Append { items, origin: Origin::Client, durable };
            (places, broker.ask(shard, operation))
        })
        .collect();
    for (places, call) in calls {
        let Some(Outcome::Appended(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            parts[place] = Some(result.map_err(|error| (errors::of_partition(&error), message(&error))));
        }
    }
}

/// Topics of the coordinators are written by Kafka's own tools only, which call themselves so.
fn is_admin(request: &Request) -> bool {
    request.client_id().is_some_and(|id| id == "__admin_client")
}

/// The words that go with an error; storage's own troubles are for the log, not for clients.
fn message(error: &PartitionError) -> Option<String> {
    match error {
        PartitionError::Append(error) => Some(error.to_string()),
        _ => None,
    }
}

/// With acks 0 there is no answer; an error is told by closing the connection, as Kafka does, so that the client
/// asks for metadata again.
fn without_acknowledgement(view: &ProduceView<'_>, parts: &[Option<Part>]) -> Answer {
    let failed = view.partitions().zip(parts).find_map(|(item, part)| match part {
        Some(Err((code, _))) => Some((item.partition, *code)),
        _ => None,
    });
    match failed {
        Some((partition, code)) => {
            Answer::Close(format!("a Produce with acks 0 failed on partition {partition}: {}", code.name()))
        }
        None => Answer::Nothing,
    }
}

fn response<'a>(view: &ProduceView<'a>, parts: Vec<Option<Part>>) -> ProduceResponse<'a> {
    let mut response = ProduceResponse::default();
    let mut last = None;
    for (item, part) in view.partitions().zip(parts) {
        if last != Some(item.topic_index) {
            last = Some(item.topic_index);
            response.responses.push(topic_response(&item));
        }
        if let Some(topic) = response.responses.last_mut() {
            topic.partition_responses.push(partition_response(item.partition, part));
        }
    }
    response
}

fn topic_response<'a>(item: &ProducePartition<'a>) -> TopicProduceResponse<'a> {
    match item.topic {
        TopicRef::Name(name) => TopicProduceResponse { name: name.into(), ..Default::default() },
        TopicRef::Id(id) => TopicProduceResponse { topic_id: Uuid(id.0), ..Default::default() },
    }
}

fn partition_response<'a>(index: i32, part: Option<Part>) -> PartitionProduceResponse<'a> {
    // A core that did not answer is stopping.
    let part = part.unwrap_or(Err((ErrorCode::NotLeaderOrFollower, None)));
    match part {
        Ok(done) => PartitionProduceResponse {
            index,
            base_offset: done.base_offset.0,
            log_append_time_ms: done.log_append_time_ms,
            log_start_offset: done.log_start.0,
            ..Default::default()
        },
        Err((code, message)) => PartitionProduceResponse {
            index,
            error_code: code as i16,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            error_message: message.map(Into::into),
            ..Default::default()
        },
    }
}
