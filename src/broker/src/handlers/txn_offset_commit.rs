//! TxnOffsetCommit: how far a group has come, if the producer's transaction is committed.

use crate::broker::Broker;
use crate::coordinators::ask::{self, code_of};
use crate::coordinators::{GroupQuestion, ask_transactions};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::CONSUMER_OFFSETS;
use groups::Response;
use kafka_wire::ErrorCode;
use kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use kafka_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use network::Answer;
use std::rc::Rc;
use transactions::{AddPartitions, EPOCH_BUMP, Outcome};

/// From this version on the broker adds the partition of the offsets to the transaction (KIP-890).
const ADDS: i16 = 5;
/// From this version on clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 4;

/// Answers when the offsets are durable, as part of the transaction.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: TxnOffsetCommitRequest<'_> = decoded(request, request.decode())?;
    let told = commit(broker, request, &asked).await;
    let Ok(Response::TxnOffsetCommit(response)) = &told else {
        return Ok(answer(request, &refused(&asked, code_of(&told))));
    };
    Ok(answer(request, response))
}

async fn commit(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &TxnOffsetCommitRequest<'_>,
) -> Result<Response, ErrorCode> {
    if asked.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let place = ask::place(broker, &asked.group_id)?;
    // The transaction may end between the two questions. In V2 its end raises the epoch, by which the log knows what
    // comes late; in V1 the log must know since when.
    let since = match request.version < ADDS {
        true => Some(ask::log_end(broker, place).await?),
        false => None,
    };
    verify(broker, asked, place.partition, request.version).await?;
    let mut question = GroupQuestion::whole(place, request);
    question.since = since;
    ask::ask_at(broker, place, question).await
}

/// Whether the transaction has the partition of the offsets: a commit that comes late must not open one that nobody
/// ends.
async fn verify(
    broker: &Rc<Broker>,
    asked: &TxnOffsetCommitRequest<'_>,
    partition: i32,
    version: i16,
) -> Result<(), ErrorCode> {
    let add = AddPartitions {
        transactional_id: asked.transactional_id.to_string(),
        producer_id: asked.producer_id,
        epoch: asked.producer_epoch,
        partitions: [(CONSUMER_OFFSETS, partition)].into_iter().collect(),
        verify_only: version < ADDS,
        client_version: if version >= ADDS { EPOCH_BUMP } else { 0 },
    };
    told(&ask_transactions::serve(broker, transactions::Request::Add(add)).await, version)
}

fn told(outcome: &Outcome, version: i16) -> Result<(), ErrorCode> {
    let code = match outcome {
        Outcome::Added => return Ok(()),
        Outcome::Verified { missing } if missing.is_empty() => return Ok(()),
        Outcome::Verified { .. } => ErrorCode::TransactionAbortable,
        Outcome::Refused(code) => *code,
        _ => ErrorCode::UnknownServerError,
    };
    Err(match code {
        ErrorCode::TransactionAbortable if version < KNOWS_ABORTABLE => ErrorCode::InvalidTxnState,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        // The coordinator of the group is not at fault, and need not be looked for: the client asks it again.
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable => ErrorCode::CoordinatorLoadInProgress,
        code => code,
    })
}

/// The error is told for each partition: there is no other place for it.
fn refused<'a>(asked: &TxnOffsetCommitRequest<'a>, code: ErrorCode) -> TxnOffsetCommitResponse<'a> {
    let topics = asked.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|one| TxnOffsetCommitResponsePartition {
                partition_index: one.partition_index,
                error_code: code.code(),
            })
            .collect(),
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_what_they_know() {
        let missing = Outcome::Verified { missing: [(CONSUMER_OFFSETS, 1)].into_iter().collect() };
        assert_eq!(told(&missing, 3), Err(ErrorCode::InvalidTxnState));
        assert_eq!(told(&missing, 4), Err(ErrorCode::TransactionAbortable));
        assert_eq!(told(&Outcome::Verified { missing: Default::default() }, 3), Ok(()));
        assert_eq!(told(&Outcome::Added, 5), Ok(()));
        let concurrent = Outcome::Refused(ErrorCode::ConcurrentTransactions);
        assert_eq!(told(&concurrent, 5), Err(ErrorCode::CoordinatorLoadInProgress));
        let fenced = Outcome::Refused(ErrorCode::ProducerFenced);
        assert_eq!(told(&fenced, 5), Err(ErrorCode::InvalidProducerEpoch));
    }
}
