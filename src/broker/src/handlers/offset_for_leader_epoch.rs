//! OffsetForLeaderEpoch: where leaderships ended, so that a consumer sees whether what it read is still there
//! (KIP-320).

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::ByCore;
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use kafka_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use model::LeaderEpoch;
use network::Answer;
use shard::Outcome;
use shard::operation::Rare;
use std::rc::Rc;

/// Answers each partition with the largest epoch not above the one asked for, and its end; -1 for both where none
/// is known.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: OffsetForLeaderEpochRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut answers: Vec<EpochEndOffset> = Vec::new();
    for topic in &asked.topics {
        for wanted in &topic.partitions {
            let place = answers.len();
            answers.push(refused(wanted.partition, ErrorCode::NotLeaderOrFollower));
            match broker.route_name(&image, &topic.topic, wanted.partition) {
                Ok(routed) => {
                    let believed = LeaderEpoch(wanted.current_leader_epoch);
                    let item = (routed.partition, believed, LeaderEpoch(wanted.leader_epoch));
                    by_core.push(routed.shard, place, item);
                }
                Err(code) => answers[place] = refused(wanted.partition, code),
            }
        }
    }
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| (places, broker.ask(shard, Rare::EpochEnds { items }.into())))
        .collect();
    for (places, call) in calls {
        let Some(Outcome::EpochEnds(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            let partition = answers[place].partition;
            answers[place] = match result {
                Ok((epoch, end)) => EpochEndOffset {
                    partition,
                    leader_epoch: epoch.0,
                    end_offset: end.0,
                    ..Default::default()
                },
                Err(error) => refused(partition, errors::of_partition(&error)),
            };
        }
    }
    let mut answers = answers.into_iter();
    let topics = asked
        .topics
        .iter()
        .map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: answers.by_ref().take(topic.partitions.len()).collect(),
        })
        .collect();
    Ok(answer(request, &OffsetForLeaderEpochResponse { topics, ..Default::default() }))
}

fn refused(partition: i32, code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset { partition, error_code: code as i16, ..Default::default() }
}
