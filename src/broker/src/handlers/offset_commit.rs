//! OffsetCommit: how far a group has come.

use crate::broker::Broker;
use crate::coordinators::ask::{ask_decoded, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::{Request as GroupRequest, Response};
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_commit_request::OffsetCommitRequest;
use kafka_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use network::Answer;
use std::rc::Rc;

/// Answers when the offsets are durable.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: OffsetCommitRequest<'_> = decoded(request, request.decode())?;
    let group = asked.group_id.clone();
    let told = ask_decoded(broker, request, &group, &GroupRequest::OffsetCommit(asked)).await;
    let Ok(Response::OffsetCommit(response)) = &told else {
        // Rare: it is decoded once more rather than kept.
        let asked: OffsetCommitRequest<'_> = decoded(request, request.decode())?;
        return Ok(answer(request, &refused(&asked, code_of(&told))));
    };
    Ok(answer(request, response))
}

/// The error is told for each partition: there is no other place for it.
fn refused<'a>(asked: &OffsetCommitRequest<'a>, code: ErrorCode) -> OffsetCommitResponse<'a> {
    let topics = asked.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|one| OffsetCommitResponsePartition {
                partition_index: one.partition_index,
                error_code: code.code(),
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };

    #[test]
    fn a_refusal_is_told_for_every_partition() {
        let partition = |partition_index| OffsetCommitRequestPartition {
            partition_index,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition(1), partition(4)],
            ..Default::default()
        };
        let asked = OffsetCommitRequest { topics: vec![topic], ..Default::default() };
        let response = refused(&asked, ErrorCode::NotCoordinator);
        let partitions = response.topics[0].partitions.iter();
        let told: Vec<_> = partitions.map(|one| (one.partition_index, one.error_code)).collect();
        assert_eq!((&*response.topics[0].name, told), ("t", vec![(1, 16), (4, 16)]));
    }
}
