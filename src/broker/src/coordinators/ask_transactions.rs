//! From a handler to the core that has a transactional id's coordinator, and back.

use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use controller::changes::names::TRANSACTION_STATE;
use executor::join_all;
use kafka_wire::ErrorCode;
use model::ShardId;
use std::rc::Rc;
use transactions::{ListFilter, Listed, Outcome, Request, Transaction};

/// What a coordinator of transactions is asked.
#[derive(Debug)]
pub enum TransactionQuestion {
    /// A request of a producer, or of the broker for it.
    Serve(Request),
    /// What is known of an id.
    Describe(String),
    /// Which transactions there are.
    List(ListFilter),
}

/// What it answers.
#[derive(Debug)]
pub enum TransactionReply {
    /// To [`TransactionQuestion::Serve`].
    Served(Outcome),
    /// To [`TransactionQuestion::Describe`].
    Described(Result<Transaction, ErrorCode>),
    /// To [`TransactionQuestion::List`].
    Listed(Result<Vec<Listed>, ErrorCode>),
}

/// Where an id's coordinator is: the partition of `__transaction_state`, and its core.
fn place(broker: &Broker, id: &str) -> Result<(i32, ShardId), ErrorCode> {
    let image = broker.image();
    let topic = image.topic(TRANSACTION_STATE).ok_or(ErrorCode::NotCoordinator)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let partition = transactions::partition_of(id, partitions);
    let routed = broker.route(topic, partition).map_err(|_| ErrorCode::NotCoordinator)?;
    Ok((partition, routed.shard))
}

/// Hands a request to the coordinator of its id.
pub(crate) async fn serve(broker: &Rc<Broker>, request: Request) -> Outcome {
    let (partition, shard) = match place(broker, request.transactional_id()) {
        Ok(place) => place,
        Err(code) => return Outcome::Refused(code),
    };
    match ask(broker, partition, shard, TransactionQuestion::Serve(request)).await {
        Some(TransactionReply::Served(outcome)) => outcome,
        _ => Outcome::Refused(ErrorCode::NotCoordinator),
    }
}

/// What is known of an id.
pub(crate) async fn describe(broker: &Rc<Broker>, id: &str) -> Result<Transaction, ErrorCode> {
    let (partition, shard) = place(broker, id)?;
    match ask(broker, partition, shard, TransactionQuestion::Describe(id.to_owned())).await {
        Some(TransactionReply::Described(found)) => found,
        _ => Err(ErrorCode::NotCoordinator),
    }
}

/// The transactions of all coordinators of this node that a filter allows.
pub(crate) async fn list(broker: &Rc<Broker>, filter: &ListFilter) -> Result<Vec<Listed>, ErrorCode> {
    let image = broker.image();
    let Some(topic) = image.topic(TRANSACTION_STATE) else { return Ok(Vec::new()) };
    let numbers = (0..).take(topic.partitions.len());
    let calls = numbers.filter_map(|partition: i32| {
        let shard = broker.route(topic, partition).ok()?.shard;
        Some(ask(broker, partition, shard, TransactionQuestion::List(filter.clone())))
    });
    let mut all = Vec::new();
    for reply in join_all(calls.collect()).await {
        match reply {
            Some(TransactionReply::Listed(Ok(listed))) => all.extend(listed),
            // Its ids are another's now.
            Some(TransactionReply::Listed(Err(ErrorCode::NotCoordinator))) | None => {}
            Some(TransactionReply::Listed(Err(code))) => return Err(code),
            Some(_) => return Err(ErrorCode::UnknownServerError),
        }
    }
    all.sort_by(|one: &Listed, other| one.transactional_id.cmp(&other.transactional_id));
    Ok(all)
}

async fn ask(
    broker: &Rc<Broker>,
    partition: i32,
    shard: ShardId,
    question: TransactionQuestion,
) -> Option<TransactionReply> {
    if shard == broker.shard() {
        return Some(answer(broker.clone(), partition, question).await);
    }
    match broker.cores.call(shard, CoreQuestion::Transaction(partition, question)).await {
        Some(CoreAnswer::Transaction(reply)) => Some(reply),
        _ => None,
    }
}

/// Answers from this core's coordinators.
pub(crate) async fn answer(
    broker: Rc<Broker>,
    partition: i32,
    question: TransactionQuestion,
) -> TransactionReply {
    let shell = broker.coordinators.transaction_shell(partition).ok_or(ErrorCode::NotCoordinator);
    match (question, shell) {
        (TransactionQuestion::Serve(request), Ok(shell)) => {
            TransactionReply::Served(shell.serve(broker, request).await)
        }
        (TransactionQuestion::Serve(_), Err(code)) => TransactionReply::Served(Outcome::Refused(code)),
        (TransactionQuestion::Describe(id), Ok(shell)) => {
            TransactionReply::Described(shell.describe(&id).await)
        }
        (TransactionQuestion::Describe(_), Err(code)) => TransactionReply::Described(Err(code)),
        (TransactionQuestion::List(filter), Ok(shell)) => TransactionReply::Listed(shell.list(&filter).await),
        (TransactionQuestion::List(_), Err(code)) => TransactionReply::Listed(Err(code)),
    }
}
