//! DescribeProducers: who writes to partitions, and which transactions are open there (KIP-664).

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::ByCore;
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_producers_request::DescribeProducersRequest;
use kafka_wire::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use network::Answer;
use shard::Outcome;
use shard::operation::Rare;
use std::rc::Rc;
use storage::ProducerDescription;

/// Answers for each partition from the state of its log.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeProducersRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut answers: Vec<PartitionResponse<'_>> = Vec::new();
    for topic in &asked.topics {
        for &number in &topic.partition_indexes {
            let place = answers.len();
            match broker.route_name(&image, &topic.name, number) {
                Ok(routed) => {
                    by_core.push(routed.shard, place, routed.partition);
                    answers.push(refused(number, ErrorCode::NotLeaderOrFollower));
                }
                Err(code) => answers.push(refused(number, code)),
            }
        }
    }
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| (places, broker.ask(shard, Rare::Producers { items }.into())))
        .collect();
    for (places, call) in calls {
        let Some(Outcome::Producers(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            let partition_index = answers[place].partition_index;
            answers[place] = match result {
                Ok(producers) => PartitionResponse {
                    partition_index,
                    active_producers: producers.iter().map(state).collect(),
                    ..Default::default()
                },
                Err(error) => refused(partition_index, errors::of_partition(&error)),
            };
        }
    }
    let mut answers = answers.into_iter();
    let topics = asked.topics.iter().map(|topic| TopicResponse {
        name: topic.name.clone(),
        partitions: answers.by_ref().take(topic.partition_indexes.len()).collect(),
    });
    Ok(answer(request, &DescribeProducersResponse { topics: topics.collect(), ..Default::default() }))
}

fn state(producer: &ProducerDescription) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: i32::from(producer.producer_epoch.0),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_transaction_start.map_or(-1, |offset| offset.0),
    }
}

fn refused(partition_index: i32, code: ErrorCode) -> PartitionResponse<'static> {
    PartitionResponse {
        partition_index,
        error_code: code.code(),
        error_message: Some(code.message().into()),
        ..Default::default()
    }
}
