//! DescribeTransactions: where transactional ids stand (KIP-664).

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use executor::join_all;
use kafka_wire::messages::describe_transactions_request::DescribeTransactionsRequest;
use kafka_wire::messages::describe_transactions_response::DescribeTransactionsResponse;
use network::Answer;
use std::rc::Rc;
use transactions::wire;

/// Answers for each id from what is durable.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeTransactionsRequest<'_> = decoded(request, request.decode())?;
    let ids = &asked.transactional_ids;
    let asks = ids.iter().map(|id| ask_transactions::describe(broker, id));
    let found = join_all(asks.collect()).await;
    let states = ids.iter().zip(&found);
    let states = states.map(|(id, found)| wire::described(id, found.as_ref().map_err(|code| *code)));
    let response =
        DescribeTransactionsResponse { transaction_states: states.collect(), ..Default::default() };
    Ok(answer(request, &response))
}
