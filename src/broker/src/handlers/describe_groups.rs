//! DescribeGroups: classic groups and their members.

use crate::authorized;
use crate::broker::Broker;
use crate::coordinators::ask::{ask_each, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_wire::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use network::Answer;
use std::rc::Rc;

/// Answers for each group.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeGroupsRequest<'_> = decoded(request, request.decode())?;
    let names = &asked.groups;
    let part = |indexes: &[usize]| DescribeGroupsRequest {
        groups: indexes.iter().map(|index| names[*index].clone()).collect(),
        include_authorized_operations: asked.include_authorized_operations,
    };
    let mut groups = Vec::with_capacity(names.len());
    for (indexes, told) in ask_each(broker, request, names, part).await {
        match told {
            Ok(Response::DescribeGroups(response)) => groups.extend(response.groups),
            other => {
                let error_code = code_of(&other).code();
                let refused = indexes.into_iter().map(|index| names[index].clone());
                groups.extend(refused.map(|group_id| DescribedGroup {
                    error_code,
                    group_id,
                    ..Default::default()
                }));
            }
        }
    }
    if asked.include_authorized_operations {
        let told = groups.iter_mut().filter(|group| group.error_code == 0);
        told.for_each(|group| group.authorized_operations = authorized::GROUP);
    }
    Ok(answer(request, &DescribeGroupsResponse { groups, ..Default::default() }))
}
