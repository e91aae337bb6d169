//! Positions of share groups, for tools: the group's coordinator says which there are and whether they may be changed,
//! then the state of each is asked for or changed, and whoever reads the partition forgets what it knew.

use super::keep::{self, state};
use super::question::{StateAsk, StateGiven};
use super::{ask, settings::GroupSettings};
use crate::broker::Broker;
use crate::coordinators::ask::{ask_at, code_of, place};
use crate::coordinators::{self, GroupQuestion};
use crate::features::serves_share_groups;
use crate::request::Request;
use executor::join_all;
use groups::{Response, SharePlan};
use kafka_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use kafka_wire::{ApiKey, ErrorCode};
use model::{LeaderEpoch, TopicPartition};
use shard::Outcome;
use shard::operation::{OffsetQuery, Rare};
use share::sessions::partition;
use share::{StateKey, Summary};
use std::rc::Rc;
use std::sync::Arc;

/// A group's position in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The offset; -1 if there is none yet.
    pub(crate) start_offset: i64,
    /// The leadership that wrote it.
    pub(crate) leader_epoch: i32,
    /// How many records are still to be dealt with; -1 if that is not known.
    pub(crate) lag: i64,
}

/// Where a group has no position.
pub(crate) const NOWHERE: Position = Position { start_offset: -1, leader_epoch: 0, lag: -1 };

fn key(group: &Arc<str>, of: TopicPartition) -> StateKey {
    StateKey { group: group.clone(), topic: of.topic, partition: of.partition.0 }
}

/// What a request that changes the positions of one group may do, as the group's coordinator says.
pub(crate) async fn plan_for(
    broker: &Rc<Broker>,
    request: &Request,
    group: &str,
) -> Result<SharePlan, (ErrorCode, String)> {
    plan_of(if !serves_share_groups(broker) {
        Err(ErrorCode::UnsupportedVersion)
    } else if group.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else {
        coordinators::ask::ask(broker, request, group).await
    })
}

/// The plan of a coordinator's answer to one of the requests about positions.
fn plan_of(told: Result<Response, ErrorCode>) -> Result<SharePlan, (ErrorCode, String)> {
    let plan = match told {
        Ok(Response::SharePlans(plans)) => plans.into_iter().next(),
        other => {
            let code = code_of(&other);
            return Err((code, code.message().to_owned()));
        }
    };
    match plan {
        Some(SharePlan { refused: Some(refused), .. }) => Err(refused),
        Some(plan) => Ok(plan),
        None => Err((ErrorCode::UnknownServerError, "a coordinator without a plan".to_owned())),
    }
}

/// Asks a group's coordinator for the positions that are asked for, for the sake of a request about several groups or
/// about something else.
pub(crate) async fn plan(
    broker: &Rc<Broker>,
    request: &Request,
    asked: DescribeShareGroupOffsetsRequestGroup<'_>,
) -> Result<SharePlan, (ErrorCode, String)> {
    let code = |code: ErrorCode| (code, code.message().to_owned());
    let place = place(broker, &asked.group_id).map_err(code)?;
    let message = DescribeShareGroupOffsetsRequest { groups: vec![asked] };
    let api = (ApiKey::DescribeShareGroupOffsets, 0);
    let question = GroupQuestion::instead(place, request, api, &message);
    let question = question.map_err(|_| code(ErrorCode::UnknownServerError))?;
    plan_of(ask_at(broker, place, question).await)
}

/// The positions of a group in partitions, in their order.
pub(crate) async fn look(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    partitions: &[TopicPartition],
) -> Vec<Result<Position, ErrorCode>> {
    let settings = broker.share_settings(group);
    let each = partitions.iter().map(|one| look_at(broker, group, *one, settings));
    join_all(each.collect()).await
}

async fn look_at(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    of: TopicPartition,
    settings: GroupSettings,
) -> Result<Position, ErrorCode> {
    if !keep::is_there(broker) {
        return Ok(NOWHERE);
    }
    let summary = match state(broker, key(group, of), StateAsk::Summarize).await? {
        StateGiven::Summary(Some(summary)) if summary.start_offset >= 0 => summary,
        _ => return Ok(NOWHERE),
    };
    let items = vec![(of, OffsetQuery::Latest, LeaderEpoch::UNKNOWN)];
    let operation = Rare::Offsets { items, bound: settings.bound }.into();
    let end = match broker.ask(broker.shard_of(of), operation).await {
        Some(Outcome::Offsets(results)) => results.into_iter().next().and_then(Result::ok),
        _ => None,
    };
    Ok(Position {
        start_offset: summary.start_offset,
        leader_epoch: summary.leader_epoch.max(0),
        lag: end.map_or(-1, |end| lag(&summary, end.offset.0)),
    })
}

fn lag(summary: &Summary, end: i64) -> i64 {
    let complete = i64::from(summary.complete_count.max(0));
    end.saturating_sub(summary.start_offset).saturating_sub(complete).max(0)
}

/// Sets a group's positions; tells what became of each.
pub(crate) async fn set(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    state_epoch: i32,
    positions: &[(TopicPartition, i64)],
) -> Vec<Result<(), ErrorCode>> {
    if let Err(code) = keep::ensure(broker).await {
        return positions.iter().map(|_| Err(code)).collect();
    }
    let calls = positions.iter().map(|(of, start_offset)| {
        let start_offset = *start_offset;
        state(broker, key(group, *of), StateAsk::Initialize { state_epoch, start_offset })
    });
    let results = join_all(calls.collect()).await;
    let partitions: Vec<TopicPartition> = positions.iter().map(|(of, _)| *of).collect();
    ask::forget(broker, group, &partitions).await;
    results.into_iter().map(|result| result.map(drop)).collect()
}

/// Takes a group's positions in partitions away; tells the first failure.
pub(crate) async fn clear(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    partitions: &[TopicPartition],
) -> Result<(), ErrorCode> {
    if !keep::is_there(broker) {
        return Ok(());
    }
    let calls = partitions.iter().map(|of| state(broker, key(group, *of), StateAsk::Delete));
    let results = join_all(calls.collect()).await;
    ask::forget(broker, group, partitions).await;
    results.into_iter().try_for_each(|result| result.map(drop))
}

/// All partitions that a plan names.
pub(crate) fn planned(plan: &SharePlan) -> Vec<TopicPartition> {
    let topics = plan.topics.iter();
    topics
        .flat_map(|(id, _, partitions)| partitions.iter().map(move |number| partition(id.0, *number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dealt_with_lags_no_more() {
        let summary = |start_offset, complete_count| Summary {
            state_epoch: 1,
            leader_epoch: 0,
            start_offset,
            complete_count,
        };
        assert_eq!(lag(&summary(10, 3), 20), 7);
        assert_eq!(lag(&summary(10, -1), 20), 10);
        assert_eq!(lag(&summary(30, 0), 20), 0, "the log was cut");
    }
}
