//! DeleteGroups: takes groups away that nobody is in, with their offsets.

use crate::broker::Broker;
use crate::coordinators::ask::{ask_each, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use network::Answer;
use std::rc::Rc;

/// Answers for each group when it is gone.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteGroupsRequest<'_> = decoded(request, request.decode())?;
    let names = &asked.groups_names;
    let part = |indexes: &[usize]| DeleteGroupsRequest {
        groups_names: indexes.iter().map(|index| names[*index].clone()).collect(),
    };
    let mut results = Vec::with_capacity(names.len());
    for (indexes, told) in ask_each(broker, request, names, part).await {
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
