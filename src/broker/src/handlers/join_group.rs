//! JoinGroup: a member of a classic group comes, or comes again.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use network::Answer;
use std::rc::Rc;

/// From this version on there may be no protocol.
const NO_PROTOCOL: i16 = 7;

/// Answers when the members have come together; the connection's other requests wait, as with Kafka.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: JoinGroupRequest<'_> = decoded(request, request.decode())?;
    let told = ask(broker, request, &asked.group_id).await;
    let Ok(Response::JoinGroup(response)) = &told else {
        let refused = JoinGroupResponse {
            error_code: code_of(&told).code(),
            protocol_name: (request.version < NO_PROTOCOL).then(|| "".into()),
            member_id: asked.member_id.clone(),
            ..Default::default()
        };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
