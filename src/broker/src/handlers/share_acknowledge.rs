//! ShareAcknowledge: a member's word on records that it has (KIP-932).

use crate::broker::Broker;
use crate::features::serves_share_groups;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::sharing::acking::{self, Renewal, Said};
use crate::sharing::ask;
use kafka_wire::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use kafka_wire::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, PartitionData, ShareAcknowledgeResponse, ShareAcknowledgeTopicResponse,
};
use kafka_wire::{ErrorCode, Uuid};
use model::TopicPartition;
use network::Answer;
use share::sessions::{FINAL_EPOCH, Visit, partition};
use std::rc::Rc;
use std::sync::Arc;

/// Answers for each partition when what was said is durable.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ShareAcknowledgeRequest<'_> = decoded(request, request.decode())?;
    let response = match serve(broker, &asked).await {
        Ok(results) => {
            let settings = broker.share_settings(asked.group_id.as_deref().unwrap_or_default());
            let lock_ms = i32::try_from(settings.limits.lock_ms).unwrap_or(i32::MAX);
            ShareAcknowledgeResponse {
                // From version 2 on, for those who begin locks anew.
                acquisition_lock_timeout_ms: if request.version >= 2 { lock_ms } else { 0 },
                responses: topics(results),
                ..Default::default()
            }
        }
        Err(code) => ShareAcknowledgeResponse {
            error_code: code.code(),
            error_message: Some(code.message().into()),
            ..Default::default()
        },
    };
    Ok(answer(request, &response))
}

async fn serve(
    broker: &Rc<Broker>,
    asked: &ShareAcknowledgeRequest<'_>,
) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
    if !serves_share_groups(broker) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let (group, member) = ask::who(asked.group_id.as_deref(), asked.member_id.as_deref())?;
    let epoch = asked.share_session_epoch;
    let visit = Visit { group: group.to_owned(), member: member.to_owned(), epoch, ..Visit::default() };
    let seen = ask::visit(broker, visit).await?;
    let renewal = Renewal { is_said: asked.is_renew_ack, is_let: broker.share_settings(group).may_renew };
    let (group, member): (Arc<str>, Arc<str>) = (Arc::from(group), Arc::from(member));
    let mut results = acking::acknowledge(broker, &group, &member, said(asked, renewal)).await;
    if epoch == FINAL_EPOCH {
        ask::release(broker, &group, &member, &seen.partitions).await;
    }
    results.sort_by_key(|(partition, _)| *partition);
    results.dedup_by_key(|(partition, _)| *partition);
    Ok(results)
}

fn said(asked: &ShareAcknowledgeRequest<'_>, renewal: Renewal) -> Vec<Said> {
    let mut all = Vec::new();
    for topic in &asked.topics {
        for one in &topic.partitions {
            let batches = one.acknowledgement_batches.iter();
            let batches = batches
                .map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types.as_slice()));
            let checked = acking::checked(batches, renewal);
            all.push((partition(topic.topic_id.0, one.partition_index), checked));
        }
    }
    all
}

/// The answer's topics; partitions of one topic follow each other.
fn topics<'a>(results: Vec<(TopicPartition, ErrorCode)>) -> Vec<ShareAcknowledgeTopicResponse<'a>> {
    let mut topics: Vec<ShareAcknowledgeTopicResponse<'a>> = Vec::new();
    for (partition, code) in results {
        let topic_id = Uuid(partition.topic.0);
        if topics.last().is_none_or(|last| last.topic_id != topic_id) {
            topics.push(ShareAcknowledgeTopicResponse { topic_id, ..Default::default() });
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(PartitionData {
                partition_index: partition.partition.0,
                error_code: code.code(),
                error_message: (code != ErrorCode::None).then(|| code.message().into()),
                current_leader: LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 },
            });
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_told_by_topic() {
        let results = vec![
            (partition([1; 16], 0), ErrorCode::None),
            (partition([1; 16], 2), ErrorCode::InvalidRecordState),
            (partition([2; 16], 0), ErrorCode::None),
        ];
        let topics = topics(results);
        let told: Vec<Vec<(i32, i16)>> = topics
            .iter()
            .map(|topic| topic.partitions.iter().map(|one| (one.partition_index, one.error_code)).collect())
            .collect();
        assert_eq!(told, [vec![(0, 0), (2, ErrorCode::InvalidRecordState.code())], vec![(0, 0)]]);
    }
}
