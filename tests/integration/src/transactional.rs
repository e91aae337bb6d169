//! A transactional producer by the rules before KIP-890, request by request, and what a reader of its topics sees.

use crate::eventually;
use crate::offsets::{code, find_coordinator, passes};
use crate::raw::{ask, read};
use crate::records::now_ms;
use kafka_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_wire::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use kafka_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use kafka_wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use kafka_wire::messages::end_txn_request::EndTxnRequest;
use kafka_wire::messages::end_txn_response::EndTxnResponse;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_wire::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use kafka_wire::{ApiKey, BatchBuilder, ErrorCode, RecordBatch, Records};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const READ_COMMITTED: i8 = 1;

/// Asks until a coordinator is there and has taken it.
///
/// # Panics
/// With any other error, and if that takes more than 30 s.
pub fn accepted(what: &str, mut ask: impl FnMut() -> ErrorCode) {
    eventually(what, LONG, || {
        let told = ask();
        let waits = passes(told) || told == ErrorCode::CoordinatorNotAvailable;
        assert!(told == ErrorCode::None || waits, "{what}: {told:?}");
        (told == ErrorCode::None).then_some(())
    });
}

/// A transactional producer. Its requests have connections of their own, so that it goes on with a broker that was
/// started again.
#[derive(Clone, Debug)]
pub struct Transactional {
    /// Where its broker is.
    pub address: SocketAddr,
    id: String,
    producer: (i64, i16),
}

impl Transactional {
    /// A producer with a transactional id, and the epoch that fences those before it.
    ///
    /// # Panics
    /// If the broker refuses it.
    pub fn init(address: SocketAddr, id: &str) -> Transactional {
        find_coordinator(address, 1, id);
        let mut producer = (-1, -1);
        accepted("the producer has an id", || {
            let request = InitProducerIdRequest {
                transactional_id: Some(id.into()),
                transaction_timeout_ms: 120_000,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let answer = ask(address, ApiKey::InitProducerId, 4, &request);
            let response: InitProducerIdResponse = read(&answer, ApiKey::InitProducerId, 4);
            producer = (response.producer_id, response.producer_epoch);
            code(response.error_code)
        });
        Transactional { address, id: id.to_owned(), producer }
    }

    /// The producer's id, and its epoch.
    pub fn id_and_epoch(&self) -> (i64, i16) {
        self.producer
    }

    /// Adds partitions of a topic to the transaction.
    ///
    /// # Panics
    /// If the broker refuses one.
    pub fn add_partitions(&self, topic: &str, partitions: Range<i32>) {
        accepted("the partitions are in the transaction", || {
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.id.as_str().into(),
                v3_and_below_producer_id: self.producer.0,
                v3_and_below_producer_epoch: self.producer.1,
                v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                    name: topic.into(),
                    partitions: partitions.clone().collect(),
                }],
                ..Default::default()
            };
            let answer = ask(self.address, ApiKey::AddPartitionsToTxn, 3, &request);
            let response: AddPartitionsToTxnResponse<'_> = read(&answer, ApiKey::AddPartitionsToTxn, 3);
            let told = &response.results_by_topic_v3_and_below[0].results_by_partition;
            assert_eq!(told.len(), partitions.len());
            code(told.iter().map(|one| one.partition_error_code).find(|one| *one != 0).unwrap_or(0))
        });
    }

    /// Adds a group's offsets to the transaction.
    ///
    /// # Panics
    /// If the broker refuses it.
    pub fn add_offsets(&self, group: &str) {
        accepted("the offsets are in the transaction", || {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.id.as_str().into(),
                producer_id: self.producer.0,
                producer_epoch: self.producer.1,
                group_id: group.into(),
            };
            let answer = ask(self.address, ApiKey::AddOffsetsToTxn, 3, &request);
            let response: AddOffsetsToTxnResponse = read(&answer, ApiKey::AddOffsetsToTxn, 3);
            code(response.error_code)
        });
    }

    /// Writes its first record, of this epoch, to each of these partitions, all by one request.
    ///
    /// # Panics
    /// If the broker refuses one.
    pub fn produce(&self, topic: &str, partitions: Range<i32>) {
        let mut builder = BatchBuilder::new().producer(self.producer.0, self.producer.1, 0).transactional();
        builder.append(now_ms(), None, Some(b"in a transaction"), &[]).expect("a record");
        let batch = builder.build().expect("a batch");
        let data = |index| PartitionProduceData { index, records: Records::Bytes(&batch) };
        let request = ProduceRequest {
            transactional_id: Some(self.id.as_str().into()),
            acks: -1,
            timeout_ms: 20_000,
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: partitions.clone().map(data).collect(),
                ..Default::default()
            }],
        };
        // What was written is known by its sequence when it comes again.
        accepted("the records are written", || {
            let answer = ask(self.address, ApiKey::Produce, 9, &request);
            let response: ProduceResponse<'_> = read(&answer, ApiKey::Produce, 9);
            let told = &response.responses[0].partition_responses;
            assert_eq!(told.len(), partitions.len());
            code(told.iter().map(|one| one.error_code).find(|one| *one != 0).unwrap_or(0))
        });
    }

    /// Commits an offset of a topic's first partition in the transaction, and tells how the broker answers.
    pub fn commit_offset(&self, group: &str, topic: &str, offset: i64) -> ErrorCode {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_leader_epoch: -1,
            committed_metadata: None,
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id.as_str().into(),
            group_id: group.into(),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic { name: topic.into(), partitions: vec![partition] }],
            ..Default::default()
        };
        let answer = ask(self.address, ApiKey::TxnOffsetCommit, 3, &request);
        let response: TxnOffsetCommitResponse<'_> = read(&answer, ApiKey::TxnOffsetCommit, 3);
        code(response.topics[0].partitions[0].error_code)
    }

    /// Ends the transaction, and tells how the broker answers.
    pub fn end(&self, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            committed,
        };
        let answer = ask(self.address, ApiKey::EndTxn, 3, &request);
        let response: EndTxnResponse = read(&answer, ApiKey::EndTxn, 3);
        code(response.error_code)
    }
}

/// What a reader of committed records sees of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many records it is shown.
    pub records: i32,
    /// No transaction in it is open.
    pub decided: bool,
}

/// What a reader of committed records sees of each of the first `count` partitions of a topic.
///
/// # Panics
/// If one cannot be read.
pub fn seen_committed(address: SocketAddr, topic: &str, count: i32) -> Vec<Seen> {
    let partitions = (0..count).map(|partition| FetchPartition {
        partition,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    });
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 0,
        max_bytes: 16 << 20,
        isolation_level: READ_COMMITTED,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: partitions.collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = ask(address, ApiKey::Fetch, 12, &request);
    let response: FetchResponse<'_> = read(&answer, ApiKey::Fetch, 12);
    assert_eq!(response.error_code, 0);
    let mut seen = vec![None; count as usize];
    for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
        assert_eq!(data.error_code, 0, "{topic}-{}", data.partition_index);
        let decided = data.last_stable_offset == data.high_watermark;
        seen[data.partition_index as usize] = Some(Seen { records: shown(data), decided });
    }
    seen.into_iter().map(|one| one.expect("every partition is told of")).collect()
}

/// The records that are left when those of aborted transactions are passed over, as a consumer does it.
fn shown(data: &PartitionData<'_>) -> i32 {
    let told = data.aborted_transactions.iter().flatten();
    let mut aborted: Vec<(i64, i64)> = told.map(|one| (one.first_offset, one.producer_id)).collect();
    let (mut open, mut records) = (BTreeSet::new(), 0);
    let mut rest = data.records.bytes();
    while !rest.is_empty() {
        let (batch, behind) = RecordBatch::split_first(rest).expect("whole batches");
        rest = behind;
        aborted.retain(|(first_offset, producer)| {
            let begins = *first_offset <= batch.last_offset();
            if begins {
                open.insert(*producer);
            }
            !begins
        });
        if batch.is_control() {
            open.remove(&batch.producer_id());
        } else if !(batch.is_transactional() && open.contains(&batch.producer_id())) {
            records += batch.record_count();
        }
    }
    records
}
