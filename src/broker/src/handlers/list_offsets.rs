//! ListOffsets: offsets by time, and the special ones.

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::ByCore;
use kafka_wire::ErrorCode;
use kafka_wire::messages::list_offsets_request::ListOffsetsRequest;
use kafka_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use model::LeaderEpoch;
use network::Answer;
use shard::Outcome;
use shard::operation::{OffsetQuery, Rare};
use std::collections::HashMap;
use std::rc::Rc;
use storage::ReadBound;

/// What a timestamp on the wire asks for; `None`: what only tiered storage has.
fn query(timestamp: i64, version: i16) -> Result<Option<OffsetQuery>, ErrorCode> {
    match timestamp {
        -1 => Ok(Some(OffsetQuery::Latest)),
        // The earliest local offset (KIP-405) is the earliest one where all is local.
        -2 => Ok(Some(OffsetQuery::Earliest)),
        -4 if version >= 8 => Ok(Some(OffsetQuery::Earliest)),
        -3 if version >= 7 => Ok(Some(OffsetQuery::MaxTimestamp)),
        // The latest tiered offset, and the first that is still to be tiered: there is none.
        -5 if version >= 9 => Ok(None),
        -6 if version >= 11 => Ok(None),
        time if time >= 0 => Ok(Some(OffsetQuery::At(time))),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// Answers each partition; one that is named twice is an error both times, as in Kafka.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ListOffsetsRequest<'_> = decoded(request, request.decode())?;
    let bound = if asked.isolation_level == 1 { ReadBound::LastStable } else { ReadBound::HighWatermark };
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut answers: Vec<ListOffsetsPartitionResponse> = Vec::new();
    let times = times(&asked);
    for topic in &asked.topics {
        for partition in &topic.partitions {
            let place = answers.len();
            answers.push(refused(partition.partition_index, ErrorCode::NotLeaderOrFollower));
            let twice = times.get(&(&*topic.name, partition.partition_index)) != Some(&1);
            let routed = match (twice, query(partition.timestamp, request.version)) {
                (true, _) => Err(ErrorCode::InvalidRequest),
                (_, Err(code)) => Err(code),
                (_, Ok(query)) => {
                    let routed = broker.route_name(&image, &topic.name, partition.partition_index);
                    routed.map(|routed| (routed, query))
                }
            };
            match routed {
                Err(code) => answers[place] = refused(partition.partition_index, code),
                Ok((_, None)) => answers[place] = refused(partition.partition_index, ErrorCode::None),
                Ok((routed, Some(query))) => {
                    let epoch = LeaderEpoch(partition.current_leader_epoch);
                    by_core.push(routed.shard, place, (routed.partition, query, epoch));
                }
            }
        }
    }
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| (places, broker.ask(shard, Rare::Offsets { items, bound }.into())))
        .collect();
    for (places, call) in calls {
        let Some(Outcome::Offsets(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            let index = answers[place].partition_index;
            answers[place] = match result {
                Ok(found) => ListOffsetsPartitionResponse {
                    partition_index: index,
                    timestamp: found.timestamp,
                    offset: found.offset.0,
                    leader_epoch: if request.version >= 4 { found.leader_epoch.0 } else { -1 },
                    ..Default::default()
                },
                Err(error) => refused(index, errors::of_partition(&error)),
            };
        }
    }
    let mut answers = answers.into_iter();
    let topics = asked
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: answers.by_ref().take(topic.partitions.len()).collect(),
        })
        .collect();
    Ok(answer(request, &ListOffsetsResponse { topics, ..Default::default() }))
}

/// How often each partition is named.
fn times<'a>(asked: &'a ListOffsetsRequest<'_>) -> HashMap<(&'a str, i32), u32> {
    let mut times: HashMap<(&str, i32), u32> = HashMap::new();
    for topic in &asked.topics {
        for partition in &topic.partitions {
            *times.entry((&*topic.name, partition.partition_index)).or_default() += 1;
        }
    }
    times
}

fn refused(partition_index: i32, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index,
        error_code: code as i16,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

    #[test]
    fn special_timestamps_are_known_from_their_versions_on() {
        let kind = |timestamp, version| query(timestamp, version).map(|query| query.is_some());
        let since = [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)];
        for (timestamp, since) in since {
            // The last two are about tiered storage, which there is none of.
            assert_eq!(kind(timestamp, since), Ok(timestamp >= -4), "{timestamp}");
            if since > 1 {
                assert_eq!(kind(timestamp, since - 1), Err(ErrorCode::UnsupportedVersion), "{timestamp}");
            }
        }
        assert_eq!(kind(-7, 11), Err(ErrorCode::UnsupportedVersion));
        assert_eq!(kind(0, 1), Ok(true));
    }

    #[test]
    fn what_is_named_twice_is_seen_over_topics_too() {
        let partition = |partition_index| ListOffsetsPartition { partition_index, ..Default::default() };
        let topic = |name: &'static str, numbers: &[i32]| ListOffsetsTopic {
            name: name.into(),
            partitions: numbers.iter().map(|&number| partition(number)).collect(),
        };
        let topics = vec![topic("a", &[0, 1]), topic("b", &[0]), topic("a", &[1])];
        let asked = ListOffsetsRequest { topics, ..Default::default() };
        let times = times(&asked);
        assert_eq!((times[&("a", 0)], times[&("a", 1)], times[&("b", 0)]), (1, 2, 1));
    }
}
