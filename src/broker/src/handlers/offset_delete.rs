//! OffsetDelete: takes committed offsets of a group away.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_delete_request::OffsetDeleteRequest;
use kafka_wire::messages::offset_delete_response::OffsetDeleteResponse;
use network::Answer;
use std::rc::Rc;

/// Answers for each partition when its offset is gone.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: OffsetDeleteRequest<'_> = decoded(request, request.decode())?;
    let told = match asked.group_id.is_empty() {
        true => Err(ErrorCode::InvalidGroupId),
        false => ask(broker, request, &asked.group_id).await,
    };
    let Ok(Response::OffsetDelete(response)) = &told else {
        let refused = OffsetDeleteResponse { error_code: code_of(&told).code(), ..Default::default() };
        return Ok(answer(request, &refused));
    };
    Ok(answer(request, response))
}
