//! DescribeShareGroupOffsets: how far share groups have come (KIP-932).

use crate::broker::Broker;
use crate::features::serves_share_groups;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::sharing::positions::{self, NOWHERE, Position};
use groups::SharePlan;
use kafka_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use kafka_wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponse, DescribeShareGroupOffsetsResponseGroup as GroupTold,
    DescribeShareGroupOffsetsResponsePartition as PartitionTold,
    DescribeShareGroupOffsetsResponseTopic as TopicTold,
};
use kafka_wire::{ErrorCode, Str, Uuid};
use model::TopicPartition;
use network::Answer;
use share::sessions::partition;
use std::rc::Rc;
use std::sync::Arc;

/// The version from which the lag is told.
const TELLS_LAG: i16 = 1;

/// Answers for each group.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeShareGroupOffsetsRequest<'_> = decoded(request, request.decode())?;
    let is_on = serves_share_groups(broker);
    let mut groups = Vec::with_capacity(asked.groups.len());
    for one in &asked.groups {
        groups.push(match is_on {
            true => describe(broker, request, one).await,
            false => {
                refused(&one.group_id, ErrorCode::UnsupportedVersion, ErrorCode::UnsupportedVersion.message())
            }
        });
    }
    Ok(answer(request, &DescribeShareGroupOffsetsResponse { groups, ..Default::default() }))
}

fn refused<'a>(group: &str, code: ErrorCode, message: &str) -> GroupTold<'a> {
    GroupTold {
        group_id: Str::Owned(group.to_owned()),
        error_code: code.code(),
        error_message: Some(Str::Owned(message.to_owned())),
        ..Default::default()
    }
}

async fn describe<'a>(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &DescribeShareGroupOffsetsRequestGroup<'_>,
) -> GroupTold<'a> {
    if asked.group_id.is_empty() {
        return refused("", ErrorCode::InvalidGroupId, ErrorCode::InvalidGroupId.message());
    }
    match positions::plan(broker, request, asked.clone()).await {
        Ok(plan) => GroupTold {
            group_id: Str::Owned(plan.group.clone()),
            topics: topics(broker, request.version, asked, &plan).await,
            ..Default::default()
        },
        Err((code, message)) => refused(&asked.group_id, code, &message),
    }
}

/// A topic to be described: its name, its id if it is there, and partitions.
type Wanted = (String, Option<Uuid>, Vec<i32>);

/// The topics that are asked for, or all in which the group has positions.
fn wanted(
    broker: &Broker,
    asked: &DescribeShareGroupOffsetsRequestGroup<'_>,
    plan: &SharePlan,
) -> Vec<Wanted> {
    let image = broker.image();
    let Some(topics) = &asked.topics else {
        let planned = plan.topics.iter().filter(|(id, ..)| image.topic_by_id(*id).is_some());
        return planned
            .map(|(id, name, numbers)| (name.clone(), Some(Uuid(id.0)), numbers.clone()))
            .collect();
    };
    let named = topics.iter().map(|topic| {
        let id = image.topic(&topic.topic_name).map(|found| Uuid(found.id.0));
        (topic.topic_name.to_string(), id, topic.partitions.clone())
    });
    named.collect()
}

async fn topics<'a>(
    broker: &Rc<Broker>,
    version: i16,
    asked: &DescribeShareGroupOffsetsRequestGroup<'_>,
    plan: &SharePlan,
) -> Vec<TopicTold<'a>> {
    let group: Arc<str> = Arc::from(plan.group.as_str());
    let mut all = Vec::new();
    for (name, id, numbers) in wanted(broker, asked, plan) {
        let Some(topic_id) = id else {
            // As with OffsetFetch, what is not there has no position, which is no error.
            let partitions = numbers.into_iter().map(|number| told(number, version, Ok(NOWHERE))).collect();
            all.push(TopicTold { topic_name: name.into(), topic_id: Uuid::ZERO, partitions });
            continue;
        };
        let of: Vec<TopicPartition> = numbers.iter().map(|number| partition(topic_id.0, *number)).collect();
        let found = positions::look(broker, &group, &of).await;
        let partitions = numbers.into_iter().zip(found).map(|(number, found)| told(number, version, found));
        all.push(TopicTold { topic_name: name.into(), topic_id, partitions: partitions.collect() });
    }
    all
}

fn told<'a>(partition_index: i32, version: i16, found: Result<Position, ErrorCode>) -> PartitionTold<'a> {
    match found {
        Ok(position) => PartitionTold {
            partition_index,
            start_offset: position.start_offset,
            leader_epoch: position.leader_epoch,
            lag: if version >= TELLS_LAG { position.lag } else { PartitionTold::default().lag },
            ..Default::default()
        },
        Err(code) => PartitionTold {
            partition_index,
            start_offset: -1,
            error_code: code.code(),
            error_message: Some(code.message().into()),
            ..Default::default()
        },
    }
}
