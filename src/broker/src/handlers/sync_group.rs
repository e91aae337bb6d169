//! SyncGroup: the leader of a classic group gives the assignment, the others get theirs.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use network::Answer;
use std::rc::Rc;

/// Answers when the leader has given the assignment and it is durable.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: SyncGroupRequest<'_> = decoded(request, request.decode())?;
    let told = ask(broker, request, &asked.group_id).await;
    let Ok(Response::SyncGroup(response)) = &told else {
        let refused = SyncGroupResponse { error_code: code_of(&told).code(), ..Default::default() };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
