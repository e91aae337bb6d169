//! DeleteShareGroupOffsets: takes the positions of a share group in topics away (KIP-932).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::sharing::positions;
use kafka_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use kafka_wire::messages::delete_share_group_offsets_response::{
    DeleteShareGroupOffsetsResponse, DeleteShareGroupOffsetsResponseTopic as TopicTold,
};
use kafka_wire::{ErrorCode, Str, Uuid};
use model::TopicPartition;
use network::Answer;
use share::sessions::partition;
use std::rc::Rc;
use std::sync::Arc;

/// Answers for each topic when its positions are gone. All partitions of a topic that is there lose theirs, also where
/// the group's coordinator knows of none: it may have forgotten them in an earlier attempt that did not get so far.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteShareGroupOffsetsRequest<'_> = decoded(request, request.decode())?;
    let response = match delete(broker, request, &asked).await {
        Ok(responses) => DeleteShareGroupOffsetsResponse { responses, ..Default::default() },
        Err((code, message)) => DeleteShareGroupOffsetsResponse {
            error_code: code.code(),
            error_message: Some(Str::Owned(message)),
            ..Default::default()
        },
    };
    Ok(answer(request, &response))
}

async fn delete<'a>(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &DeleteShareGroupOffsetsRequest<'_>,
) -> Result<Vec<TopicTold<'a>>, (ErrorCode, String)> {
    let plan = positions::plan_for(broker, request, &asked.group_id).await?;
    let group: Arc<str> = Arc::from(plan.group.as_str());
    let image = broker.image();
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in &asked.topics {
        let unknown = ErrorCode::UnknownTopicOrPartition;
        let (topic_id, code, why) = match image.topic(&topic.topic_name) {
            None => (Uuid::ZERO, unknown, unknown.message()),
            Some(found) => {
                let numbers = (0..).take(found.partitions.len());
                let all: Vec<TopicPartition> = numbers.map(|number| partition(found.id.0, number)).collect();
                let (code, why) = match positions::clear(broker, &group, &all).await {
                    Err(code) => (code, code.message()),
                    Ok(()) if plan.topics.iter().any(|(id, ..)| *id == found.id) => (ErrorCode::None, ""),
                    Ok(()) => (unknown, "There is no offset information to delete."),
                };
                (Uuid(found.id.0), code, why)
            }
        };
        topics.push(TopicTold {
            topic_name: Str::Owned(topic.topic_name.to_string()),
            topic_id,
            error_code: code.code(),
            error_message: (code != ErrorCode::None).then(|| why.into()),
        });
    }
    Ok(topics)
}
