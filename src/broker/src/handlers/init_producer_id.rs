//! InitProducerId: a number for an idempotent producer, or the beginning of a transactional one.

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::producer_ids;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use network::Answer;
use std::rc::Rc;
use transactions::{Outcome, wire};

/// Answers with a producer id that nobody else has, in epoch 0. One who has an id already and asks again gets a new
/// one: without a transactional id nothing ties the two together. With one, its coordinator answers, and whoever had
/// the id before is fenced.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: InitProducerIdRequest<'_> = decoded(request, request.decode())?;
    let outcome = match wire::init_producer_id(&asked) {
        Err(code) => Outcome::Refused(code),
        Ok(Some(asked)) => ask_transactions::serve(broker, transactions::Request::Init(asked)).await,
        Ok(None) => match producer_ids::next(broker).await {
            Ok(producer_id) => Outcome::Initialized { producer_id, epoch: 0 },
            Err(refusal) => Outcome::Refused(refusal.code),
        },
    };
    let response: InitProducerIdResponse = wire::init_producer_id_response(&outcome, request.version);
    Ok(answer(request, &response))
}
