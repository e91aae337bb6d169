//! ShareGroupHeartbeat: all that a member of a share group says of itself and is told (KIP-932).

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::features::serves_share_groups;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use network::Answer;
use std::rc::Rc;

/// Answers when what it shows is durable. Below `share.version` 1 there are no share groups.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ShareGroupHeartbeatRequest<'_> = decoded(request, request.decode())?;
    let is_on = serves_share_groups(broker);
    let told = match is_on {
        true => ask(broker, request, &asked.group_id).await,
        false => Err(ErrorCode::UnsupportedVersion),
    };
    let Ok(Response::ShareGroupHeartbeat(response)) = &told else {
        let code = code_of(&told);
        let refused = ShareGroupHeartbeatResponse {
            error_code: code.code(),
            error_message: Some(code.message().into()),
            ..Default::default()
        };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
