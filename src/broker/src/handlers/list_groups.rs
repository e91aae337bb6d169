//! ListGroups: every group of this node, of either protocol.

use crate::broker::Broker;
use crate::coordinators::ask::{ask_all, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use network::Answer;
use std::rc::Rc;

/// Answers with the groups that the filters let through. If a coordinator is still being loaded, that is the answer:
/// a list that lacks groups would be taken for the whole.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    decoded(request, request.decode::<ListGroupsRequest<'_>>())?;
    let mut groups: Vec<ListedGroup<'_>> = Vec::new();
    for told in ask_all(broker, request).await {
        match told {
            Ok(Response::ListGroups(response)) => groups.extend(response.groups),
            // Its groups are another's now.
            Err(ErrorCode::NotCoordinator) => {}
            other => {
                let error_code = code_of(&other).code();
                return Ok(answer(request, &ListGroupsResponse { error_code, ..Default::default() }));
            }
        }
    }
    groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    Ok(answer(request, &ListGroupsResponse { groups, ..Default::default() }))
}
