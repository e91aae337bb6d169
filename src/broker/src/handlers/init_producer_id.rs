//! InitProducerId: a number for an idempotent producer.

use crate::broker::Broker;
use crate::refusal::{Refusal, change};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{AllocateProducerIds, ProducerIdBlock};
use controller::{Change, Outcome};
use kafka_wire::ErrorCode;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use network::Answer;
use std::rc::Rc;

/// Answers with a producer id that nobody else has, in epoch 0. One who has an id already and asks again gets a new
/// one: without a transactional id nothing ties the two together.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: InitProducerIdRequest<'_> = decoded(request, request.decode())?;
    let result = match check(&asked) {
        Ok(()) => next_id(broker).await.map_err(|refusal| refusal.code),
        Err(code) => Err(code),
    };
    let response = match result {
        Ok(producer_id) => InitProducerIdResponse { producer_id, ..Default::default() },
        Err(code) => {
            InitProducerIdResponse { error_code: code as i16, producer_epoch: -1, ..Default::default() }
        }
    };
    Ok(answer(request, &response))
}

/// An id and its epoch come together or not at all.
///
/// There are no transactions yet, and a transactional id is refused with UNSUPPORTED_VERSION: it says what is the
/// matter, and no client takes it for something that passes or for a lack of rights. The Java client and those
/// that follow it give up at once; librdkafka tries again until the timeout that its user gave
/// `init_transactions`.
fn check(asked: &InitProducerIdRequest<'_>) -> Result<(), ErrorCode> {
    match asked.transactional_id.as_deref() {
        _ if (asked.producer_id == -1) != (asked.producer_epoch == -1) => Err(ErrorCode::InvalidRequest),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::UnsupportedVersion),
        None => Ok(()),
    }
}

/// The next id of this core's block; when it is used up, the first of a new one.
async fn next_id(broker: &Broker) -> Result<i64, Refusal> {
    if let Some(id) = take(broker) {
        return Ok(id);
    }
    let node = broker.identity.node;
    let node_epoch = broker.image().node(node).map_or(-1, |node| node.epoch);
    let wanted = Change::AllocateProducerIds(AllocateProducerIds { node, node_epoch });
    let block: ProducerIdBlock = change(broker, wanted, |outcome| match outcome {
        Outcome::AllocateProducerIds(block) => Some(block),
        _ => None,
    })
    .await?;
    // Requests that waited together have a block each, and all but one of its ids are lost then: there are enough.
    broker.producer_ids.set((block.first + 1, block.first + i64::from(block.length)));
    Ok(block.first)
}

fn take(broker: &Broker) -> Option<i64> {
    let (next, end) = broker.producer_ids.get();
    (next < end).then(|| {
        broker.producer_ids.set((next + 1, end));
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(id: Option<&'static str>, producer_id: i64, epoch: i16) -> InitProducerIdRequest<'static> {
        InitProducerIdRequest {
            transactional_id: id.map(Into::into),
            producer_id,
            producer_epoch: epoch,
            ..Default::default()
        }
    }

    #[test]
    fn idempotent_producers_are_served() {
        assert_eq!(check(&asked(None, -1, -1)), Ok(()));
        assert_eq!(check(&asked(None, 7, 3)), Ok(()));
        assert_eq!(check(&asked(None, 7, -1)), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&asked(None, -1, 3)), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn transactional_ones_are_told_that_it_is_not_there_and_not_to_try_again() {
        assert_eq!(check(&asked(Some(""), -1, -1)), Err(ErrorCode::InvalidRequest));
        let refused = check(&asked(Some("t"), -1, -1)).expect_err("no transactions yet");
        assert_eq!(refused, ErrorCode::UnsupportedVersion);
        assert!(!refused.is_retriable());
    }
}
