//! AddOffsetsToTxn: a producer will commit offsets of a group within its transaction.

use crate::broker::Broker;
use crate::coordinators::{ask, ask_transactions};
use crate::internal_topics;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::CONSUMER_OFFSETS;
use kafka_wire::ErrorCode;
use kafka_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use network::Answer;
use std::rc::Rc;
use transactions::{Outcome, wire};

/// Adds the partition that has the group's offsets. The producer may come before the group does, so the topic is made
/// if there is none.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AddOffsetsToTxnRequest<'_> = decoded(request, request.decode())?;
    let place = match internal_topics::ensure(broker, CONSUMER_OFFSETS).await {
        Ok(()) => ask::place(broker, &asked.group_id),
        Err(error) => {
            log::warn!("topic {CONSUMER_OFFSETS} could not be created: {error}");
            Err(ErrorCode::CoordinatorNotAvailable)
        }
    };
    let outcome = match place {
        Ok(place) => {
            let add = wire::add_offsets(&asked, CONSUMER_OFFSETS, place.partition);
            ask_transactions::serve(broker, transactions::Request::Add(add)).await
        }
        Err(code) => Outcome::Refused(code),
    };
    Ok(answer(request, &wire::add_offsets_response(&outcome, request.version)))
}
