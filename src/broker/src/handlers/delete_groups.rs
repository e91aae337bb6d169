//! DeleteGroups: takes groups away that nobody is in, with their offsets and positions.

use crate::broker::Broker;
use crate::coordinators::ask::{ask_each, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::sharing::{keep, positions};
use groups::Response;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use kafka_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;
use std::sync::Arc;

/// Answers for each group when it is gone.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteGroupsRequest<'_> = decoded(request, request.decode())?;
    let mut results = Vec::with_capacity(asked.groups_names.len());
    let mut names = Vec::with_capacity(asked.groups_names.len());
    for name in asked.groups_names {
        match cleared(broker, request, &name).await {
            Ok(()) => names.push(name),
            Err(code) => results.push(DeletableGroupResult { group_id: name, error_code: code.code() }),
        }
    }
    let part = |indexes: &[usize]| DeleteGroupsRequest {
        groups_names: indexes.iter().map(|index| names[*index].clone()).collect(),
    };
    for (indexes, told) in ask_each(broker, request, &names, part).await {
        match told {
            Ok(Response::DeleteGroups(response)) => results.extend(response.results),
            other => {
                let error_code = code_of(&other).code();
                let refused = indexes.into_iter().map(|index| names[index].clone());
                results.extend(refused.map(|group_id| DeletableGroupResult { group_id, error_code }));
            }
        }
    }
    Ok(answer(request, &DeleteGroupsResponse { results, ..Default::default() }))
}

/// Takes the positions of a share group away that nobody is in. They go before the group does: one that is made anew
/// under its name must not find them.
async fn cleared(broker: &Rc<Broker>, request: &Request, group: &str) -> Result<(), ErrorCode> {
    if !keep::is_there(broker) {
        return Ok(());
    }
    let all = DescribeShareGroupOffsetsRequestGroup { group_id: Str::Borrowed(group), topics: None };
    match positions::plan(broker, request, all).await {
        Ok(plan) if plan.is_empty => {
            let group: Arc<str> = Arc::from(plan.group.as_str());
            positions::clear(broker, &group, &positions::planned(&plan)).await
        }
        // It is none, or has members: its coordinator will say so.
        _ => Ok(()),
    }
}
