//! Heartbeat: a member of a classic group is alive.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use network::Answer;
use std::rc::Rc;

/// Answers whether the member may go on.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: HeartbeatRequest<'_> = decoded(request, request.decode())?;
    let told = ask(broker, request, &asked.group_id).await;
    let Ok(Response::Heartbeat(response)) = &told else {
        let code = while_loading(code_of(&told));
        let refused = HeartbeatResponse { error_code: code.code(), ..Default::default() };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}

/// While the coordinator loads, members are taken to be alive: Kafka answers so for clients that do not know that
/// error of a heartbeat.
fn while_loading(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::CoordinatorLoadInProgress => ErrorCode::None,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_live_while_their_group_is_being_loaded() {
        assert_eq!(while_loading(ErrorCode::CoordinatorLoadInProgress), ErrorCode::None);
        assert_eq!(while_loading(ErrorCode::NotCoordinator), ErrorCode::NotCoordinator);
    }
}
