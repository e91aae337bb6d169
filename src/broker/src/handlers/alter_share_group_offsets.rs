//! AlterShareGroupOffsets: sets the positions of a share group that nobody is in (KIP-932).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::sharing::positions;
use kafka_wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use kafka_wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponse, AlterShareGroupOffsetsResponsePartition as PartitionTold,
    AlterShareGroupOffsetsResponseTopic as TopicTold,
};
use kafka_wire::{ErrorCode, Str, Uuid};
use model::{PartitionId, TopicPartition};
use network::Answer;
use std::rc::Rc;
use std::sync::Arc;

/// Answers for each partition when its position is durable. A group that is not there is made.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AlterShareGroupOffsetsRequest<'_> = decoded(request, request.decode())?;
    let response = match alter(broker, request, &asked).await {
        Ok(responses) => AlterShareGroupOffsetsResponse { responses, ..Default::default() },
        Err((code, message)) => AlterShareGroupOffsetsResponse {
            error_code: code.code(),
            error_message: Some(Str::Owned(message)),
            ..Default::default()
        },
    };
    Ok(answer(request, &response))
}

async fn alter<'a>(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &AlterShareGroupOffsetsRequest<'_>,
) -> Result<Vec<TopicTold<'a>>, (ErrorCode, String)> {
    let plan = positions::plan_for(broker, request, &asked.group_id).await?;
    let image = broker.image();
    let (mut topics, mut wanted, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &asked.topics {
        let found = image.topic(&topic.topic_name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for one in &topic.partitions {
            let number = PartitionId(one.partition_index);
            let mut code = ErrorCode::UnknownTopicOrPartition;
            if let Some(found) = found.filter(|found| found.partition(number).is_some()) {
                wanted.push((TopicPartition { topic: found.id, partition: number }, one.start_offset));
                places.push((topics.len(), partitions.len()));
                code = ErrorCode::None;
            }
            partitions.push(partition_told(one.partition_index, code));
        }
        topics.push(TopicTold {
            topic_name: Str::Owned(topic.topic_name.to_string()),
            topic_id: found.map_or(Uuid::ZERO, |found| Uuid(found.id.0)),
            partitions,
        });
    }
    let group: Arc<str> = Arc::from(plan.group.as_str());
    let results = positions::set(broker, &group, plan.epoch, &wanted).await;
    for ((topic, place), result) in places.into_iter().zip(results) {
        let partition: &mut PartitionTold<'_> = &mut topics[topic].partitions[place];
        *partition = partition_told(partition.partition_index, result.err().unwrap_or(ErrorCode::None));
    }
    Ok(topics)
}

fn partition_told<'a>(partition_index: i32, code: ErrorCode) -> PartitionTold<'a> {
    PartitionTold {
        partition_index,
        error_code: code.code(),
        error_message: (code != ErrorCode::None).then(|| code.message().into()),
    }
}
