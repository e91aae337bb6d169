//! LeaveGroup: members of a classic group go, from version 3 on any number at once.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::leave_group_request::LeaveGroupRequest;
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use network::Answer;
use std::rc::Rc;

/// Answers for each member.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: LeaveGroupRequest<'_> = decoded(request, request.decode())?;
    let told = ask(broker, request, &asked.group_id).await;
    let Ok(Response::LeaveGroup(response)) = &told else {
        let refused = LeaveGroupResponse { error_code: code_of(&told).code(), ..Default::default() };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
