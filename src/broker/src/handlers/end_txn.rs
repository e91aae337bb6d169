//! EndTxn: a producer commits its transaction, or aborts it.

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::end_txn_request::EndTxnRequest;
use network::Answer;
use std::rc::Rc;
use transactions::wire;

/// Answers when the decision is durable; the markers follow by themselves.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: EndTxnRequest<'_> = decoded(request, request.decode())?;
    let end = transactions::Request::End(wire::end_txn(&asked, request.version));
    let outcome = ask_transactions::serve(broker, end).await;
    Ok(answer(request, &wire::end_txn_response(&outcome, request.version)))
}
