//! From the protocol's requests to [`Request`](crate::Request), and from an [`Outcome`] to its responses.
//!
//! The version of a request says which rules the client knows (KIP-890), and which errors: PRODUCER_FENCED is
//! younger than the requests, and older clients are told INVALID_PRODUCER_EPOCH.

use crate::{AddPartitions, EPOCH_BUMP, EndTransaction, InitProducerId, ListFilter, Listed, NO_EPOCH};
use crate::{NO_PRODUCER, Outcome, PartitionSet, State, Transaction};
use kafka_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_wire::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use kafka_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use kafka_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};
use kafka_wire::messages::end_txn_request::EndTxnRequest;
use kafka_wire::messages::end_txn_response::EndTxnResponse;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::messages::list_transactions_request::ListTransactionsRequest;
use kafka_wire::messages::{describe_transactions_response, list_transactions_response};
use kafka_wire::{ErrorCode, Str};

/// The versions from which clients know PRODUCER_FENCED.
const INIT_KNOWS_FENCED: i16 = 4;
const OTHERS_KNOW_FENCED: i16 = 2;
/// The versions from which a request follows the rules of V2.
const ADD_V2: i16 = 4;
const END_V2: i16 = 5;

/// The code that a client of a version is told.
fn told(code: ErrorCode, version: i16, knows_fenced: i16) -> i16 {
    match code {
        ErrorCode::ProducerFenced if version < knows_fenced => ErrorCode::InvalidProducerEpoch.code(),
        code => code.code(),
    }
}

/// The error of an outcome, of a request for which `is_success` tells what is none.
fn error(outcome: &Outcome, is_success: bool) -> ErrorCode {
    match outcome {
        Outcome::Refused(code) => *code,
        _ if is_success => ErrorCode::None,
        // An outcome of another request.
        _ => ErrorCode::UnknownServerError,
    }
}

/// InitProducerId; `None` if it has no transactional id, and any new producer id is the answer.
///
/// # Errors
/// INVALID_REQUEST for half of a producer id and epoch. Two-phase commit (KIP-939) is not there:
/// TRANSACTIONAL_ID_AUTHORIZATION_FAILED, and UNSUPPORTED_VERSION for keeping a prepared transaction.
pub fn init_producer_id(asked: &InitProducerIdRequest<'_>) -> Result<Option<InitProducerId>, ErrorCode> {
    let expected = match (asked.producer_id, asked.producer_epoch) {
        (NO_PRODUCER, NO_EPOCH) => None,
        (NO_PRODUCER, _) | (_, NO_EPOCH) => return Err(ErrorCode::InvalidRequest),
        given => Some(given),
    };
    let Some(id) = asked.transactional_id.as_deref() else { return Ok(None) };
    if asked.enable2_pc {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if asked.keep_prepared_txn {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let (transactional_id, timeout_ms) = (id.to_owned(), asked.transaction_timeout_ms);
    Ok(Some(InitProducerId { transactional_id, timeout_ms, expected }))
}

/// The response to [`init_producer_id`].
pub fn init_producer_id_response(outcome: &Outcome, version: i16) -> InitProducerIdResponse {
    let (producer_id, producer_epoch) = match *outcome {
        Outcome::Initialized { producer_id, epoch } => (producer_id, epoch),
        _ => (NO_PRODUCER, NO_EPOCH),
    };
    let code = error(outcome, matches!(outcome, Outcome::Initialized { .. }));
    InitProducerIdResponse {
        error_code: told(code, version, INIT_KNOWS_FENCED),
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

/// AddPartitionsToTxn: one request a transaction, of which versions before 4 have one.
pub fn add_partitions(asked: &AddPartitionsToTxnRequest<'_>, version: i16) -> Vec<AddPartitions> {
    if version < ADD_V2 {
        return vec![AddPartitions {
            transactional_id: asked.v3_and_below_transactional_id.to_string(),
            producer_id: asked.v3_and_below_producer_id,
            epoch: asked.v3_and_below_producer_epoch,
            partitions: partition_set(&asked.v3_and_below_topics),
            verify_only: false,
            client_version: 0,
        }];
    }
    let transactions = asked.transactions.iter().map(|transaction| AddPartitions {
        transactional_id: transaction.transactional_id.to_string(),
        producer_id: transaction.producer_id,
        epoch: transaction.producer_epoch,
        partitions: partition_set(&transaction.topics),
        verify_only: transaction.verify_only,
        client_version: EPOCH_BUMP,
    });
    transactions.collect()
}

fn partition_set(topics: &[AddPartitionsToTxnTopic<'_>]) -> PartitionSet {
    let mut set = PartitionSet::default();
    for topic in topics {
        for &partition in &topic.partitions {
            set.insert(&topic.name, partition);
        }
    }
    set
}

/// The response to [`add_partitions`]; `outcomes` are in the order of its requests, and one that is missing is
/// UNKNOWN_SERVER_ERROR.
pub fn add_partitions_response<'a>(
    asked: &'a AddPartitionsToTxnRequest<'_>,
    version: i16,
    outcomes: &[Outcome],
) -> AddPartitionsToTxnResponse<'a> {
    let missing = Outcome::Refused(ErrorCode::UnknownServerError);
    let outcome = |index: usize| outcomes.get(index).unwrap_or(&missing);
    if version < ADD_V2 {
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: topic_results(&asked.v3_and_below_topics, version, outcome(0)),
            ..Default::default()
        };
    }
    let results =
        asked.transactions.iter().enumerate().map(|(index, transaction)| AddPartitionsToTxnResult {
            transactional_id: Str::Borrowed(&transaction.transactional_id),
            topic_results: topic_results(&transaction.topics, version, outcome(index)),
        });
    AddPartitionsToTxnResponse { results_by_transaction: results.collect(), ..Default::default() }
}

fn topic_results<'a>(
    topics: &'a [AddPartitionsToTxnTopic<'_>],
    version: i16,
    outcome: &Outcome,
) -> Vec<AddPartitionsToTxnTopicResult<'a>> {
    let code = |topic: &str, partition: i32| match outcome {
        Outcome::Verified { missing } if missing.contains(topic, partition) => {
            ErrorCode::TransactionAbortable.code()
        }
        other => {
            let is_success = matches!(other, Outcome::Added | Outcome::Verified { .. });
            told(error(other, is_success), version, OTHERS_KNOW_FENCED)
        }
    };
    let results = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: Str::Borrowed(&topic.name),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: code(&topic.name, partition_index),
            })
            .collect(),
    });
    results.collect()
}

/// AddOffsetsToTxn: the partition of `topic`, `__consumer_offsets`, that has the group's offsets.
pub fn add_offsets(asked: &AddOffsetsToTxnRequest<'_>, topic: &str, partition: i32) -> AddPartitions {
    AddPartitions {
        transactional_id: asked.transactional_id.to_string(),
        producer_id: asked.producer_id,
        epoch: asked.producer_epoch,
        partitions: [(topic, partition)].into_iter().collect(),
        verify_only: false,
        client_version: 0,
    }
}

/// The response to [`add_offsets`].
pub fn add_offsets_response(outcome: &Outcome, version: i16) -> AddOffsetsToTxnResponse {
    let code = error(outcome, matches!(outcome, Outcome::Added));
    AddOffsetsToTxnResponse { error_code: told(code, version, OTHERS_KNOW_FENCED), ..Default::default() }
}

/// EndTxn.
pub fn end_txn(asked: &EndTxnRequest<'_>, version: i16) -> EndTransaction {
    EndTransaction {
        transactional_id: asked.transactional_id.to_string(),
        producer_id: asked.producer_id,
        epoch: asked.producer_epoch,
        commit: asked.committed,
        client_version: if version >= END_V2 { EPOCH_BUMP } else { 0 },
    }
}

/// The response to [`end_txn`].
pub fn end_txn_response(outcome: &Outcome, version: i16) -> EndTxnResponse {
    let (producer_id, producer_epoch) = match *outcome {
        Outcome::Ended { producer_id, epoch } if version >= END_V2 => (producer_id, epoch),
        _ => (NO_PRODUCER, NO_EPOCH),
    };
    let code = error(outcome, matches!(outcome, Outcome::Ended { .. }));
    EndTxnResponse {
        error_code: told(code, version, OTHERS_KNOW_FENCED),
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

/// An element of DescribeTransactions' response.
pub fn described<'a>(
    id: &'a str,
    found: Result<&'a Transaction, ErrorCode>,
) -> describe_transactions_response::TransactionState<'a> {
    use describe_transactions_response::{TopicData, TransactionState};
    let transaction = match found {
        Ok(transaction) => transaction,
        Err(code) => {
            let (error_code, transactional_id) = (code.code(), Str::Borrowed(id));
            return TransactionState { error_code, transactional_id, ..Default::default() };
        }
    };
    let topics = transaction.partitions.topics().map(|(topic, partitions)| TopicData {
        topic: Str::Borrowed(topic),
        partitions: partitions.iter().copied().collect(),
    });
    TransactionState {
        error_code: ErrorCode::None.code(),
        transactional_id: Str::Borrowed(id),
        transaction_state: Str::Borrowed(transaction.state.name()),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.start_ms,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.epoch,
        topics: topics.collect(),
    }
}

/// The filter of ListTransactions, but for its pattern, and the names of states that are none.
pub fn list_filter<'a>(asked: &'a ListTransactionsRequest<'_>) -> (ListFilter, Vec<Str<'a>>) {
    let mut states = Vec::new();
    let mut unknown = Vec::new();
    for name in &asked.state_filters {
        match State::from_name(name) {
            Some(state) => states.push(state),
            None => unknown.push(Str::Borrowed(name.as_ref())),
        }
    }
    let filter = ListFilter {
        // Names that are all unknown allow nothing.
        states: (!asked.state_filters.is_empty()).then_some(states),
        producer_ids: asked.producer_id_filters.clone(),
        longer_than_ms: (asked.duration_filter >= 0).then_some(asked.duration_filter),
    };
    (filter, unknown)
}

/// An element of ListTransactions' response.
pub fn listed(found: &Listed) -> list_transactions_response::TransactionState<'_> {
    list_transactions_response::TransactionState {
        transactional_id: Str::Borrowed(&found.transactional_id),
        producer_id: found.producer_id,
        transaction_state: Str::Borrowed(found.state.name()),
    }
}

/// What a client is told when the coordinator's records could not be written because of `code`.
pub fn failed_write(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;

    const FENCED: Outcome = Outcome::Refused(ErrorCode::ProducerFenced);

    #[test]
    fn old_clients_are_told_what_they_know() {
        let (fenced, old) = (ErrorCode::ProducerFenced.code(), ErrorCode::InvalidProducerEpoch.code());
        for version in 0..6 {
            let init = init_producer_id_response(&FENCED, version);
            assert_eq!(init.error_code, if version < 4 { old } else { fenced });
            assert_eq!((init.producer_id, init.producer_epoch), (-1, -1));
            let others = if version < 2 { old } else { fenced };
            assert_eq!(add_offsets_response(&FENCED, version).error_code, others);
            assert_eq!(end_txn_response(&FENCED, version).error_code, others);
        }
    }

    #[test]
    fn the_version_chooses_the_rules() {
        for version in 0..6 {
            let end = end_txn(&EndTxnRequest { committed: true, ..Default::default() }, version);
            assert_eq!((end.client_version, end.commit), (if version < 5 { 0 } else { 2 }, true));
            let ended = Outcome::Ended { producer_id: 7, epoch: 3 };
            let response = end_txn_response(&ended, version);
            let told = (response.error_code, response.producer_id, response.producer_epoch);
            assert_eq!(told, if version < 5 { (0, -1, -1) } else { (0, 7, 3) });
        }
        let asked = AddOffsetsToTxnRequest { transactional_id: "t".into(), ..Default::default() };
        let offsets = add_offsets(&asked, "__consumer_offsets", 9);
        assert_eq!((offsets.client_version, offsets.partitions.contains("__consumer_offsets", 9)), (0, true));
    }

    #[test]
    fn a_producer_id_and_its_epoch_come_together() {
        let asked = |id: Option<&'static str>, producer_id, producer_epoch| {
            let transactional_id = id.map(Str::Borrowed);
            let asked = InitProducerIdRequest {
                transactional_id,
                transaction_timeout_ms: 5,
                producer_id,
                producer_epoch,
                ..Default::default()
            };
            init_producer_id(&asked)
        };
        let init =
            |expected| Ok(Some(InitProducerId { transactional_id: "t".into(), timeout_ms: 5, expected }));
        assert_eq!(asked(Some("t"), -1, -1), init(None));
        assert_eq!(asked(Some("t"), 7, 3), init(Some((7, 3))));
        assert_eq!(asked(None, 7, 3), Ok(None));
        for id in [None, Some("t")] {
            assert_eq!(asked(id, 7, -1), Err(ErrorCode::InvalidRequest));
            assert_eq!(asked(id, -1, 3), Err(ErrorCode::InvalidRequest));
        }
        let two_phase = InitProducerIdRequest { enable2_pc: true, ..Default::default() };
        assert_eq!(init_producer_id(&two_phase), Err(ErrorCode::TransactionalIdAuthorizationFailed));
        let keep = InitProducerIdRequest { keep_prepared_txn: true, ..Default::default() };
        assert_eq!(init_producer_id(&keep), Err(ErrorCode::UnsupportedVersion));
    }

    #[test]
    fn each_partition_has_its_result() {
        let topics = vec![
            AddPartitionsToTxnTopic { name: "b".into(), partitions: vec![1, 0] },
            AddPartitionsToTxnTopic { name: "a".into(), partitions: vec![2] },
        ];
        let old = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: "t".into(),
            v3_and_below_topics: topics.clone(),
            ..Default::default()
        };
        let requests = add_partitions(&old, 3);
        assert_eq!((requests.len(), requests[0].partitions.len(), requests[0].client_version), (1, 3, 0));
        let response = add_partitions_response(&old, 1, &[FENCED]);
        let codes = |topics: &[AddPartitionsToTxnTopicResult<'_>]| -> Vec<(String, i32, i16)> {
            let all = topics.iter().flat_map(|topic| {
                let name = topic.name.to_string();
                let results = topic.results_by_partition.iter();
                results.map(move |one| (name.clone(), one.partition_index, one.partition_error_code))
            });
            all.collect()
        };
        let expected = |codes: [i16; 3]| {
            vec![("b".to_owned(), 1, codes[0]), ("b".to_owned(), 0, codes[1]), ("a".to_owned(), 2, codes[2])]
        };
        assert_eq!(codes(&response.results_by_topic_v3_and_below), expected([47, 47, 47]));

        let transaction = |verify_only| AddPartitionsToTxnTransaction {
            transactional_id: "t".into(),
            verify_only,
            topics: topics.clone(),
            ..Default::default()
        };
        let new = AddPartitionsToTxnRequest {
            transactions: vec![transaction(true), transaction(false), transaction(false)],
            ..Default::default()
        };
        let requests = add_partitions(&new, 5);
        let seen: Vec<_> = requests.iter().map(|one| (one.verify_only, one.client_version)).collect();
        assert_eq!(seen, [(true, 2), (false, 2), (false, 2)]);
        let missing = [("b", 0)].into_iter().collect();
        let response = add_partitions_response(&new, 5, &[Outcome::Verified { missing }, Outcome::Added]);
        let results: Vec<_> =
            response.results_by_transaction.iter().map(|one| codes(&one.topic_results)).collect();
        assert_eq!(results, [expected([0, 120, 0]), expected([0, 0, 0]), expected([-1, -1, -1])]);
    }

    #[test]
    fn filters_are_read() {
        let asked = ListTransactionsRequest {
            state_filters: vec!["Ongoing".into(), "Nonsense".into()],
            producer_id_filters: vec![3],
            duration_filter: 10,
            ..Default::default()
        };
        let (filter, unknown) = list_filter(&asked);
        assert_eq!(filter.states, Some(vec![State::Ongoing]));
        assert_eq!(
            (filter.producer_ids, filter.longer_than_ms, unknown),
            (vec![3], Some(10), vec!["Nonsense".into()])
        );
        let any = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
        let (filter, unknown) = list_filter(&any);
        assert_eq!((filter, unknown.len()), (ListFilter::default(), 0));
    }
}
