//! ConsumerGroupHeartbeat: all that a member of the consumer protocol says and is told (KIP-848).

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::features::serves_consumer_groups;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use network::Answer;
use std::rc::Rc;

/// Answers when what it shows is durable. Below `group.version` 1, and where
/// `group.coordinator.rebalance.protocols` leaves it out, the protocol is off.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ConsumerGroupHeartbeatRequest<'_> = decoded(request, request.decode())?;
    let is_on = serves_consumer_groups(broker);
    let told = match is_on {
        true => ask(broker, request, &asked.group_id).await,
        false => Err(ErrorCode::UnsupportedVersion),
    };
    let Ok(Response::ConsumerGroupHeartbeat(response)) = &told else {
        let code = code_of(&told);
        let refused = ConsumerGroupHeartbeatResponse {
            error_code: code.code(),
            error_message: Some(code.message().into()),
            ..Default::default()
        };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
