//! Produce requests and their answers.

use super::{Batch, Producer};
use crate::cluster::Node;
use crate::connection::Pending;
use crate::{Client, ClientError};
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::{ApiKey, ErrorCode, Records};
use std::time::Duration;

/// From this version on Produce names topics by id.
const PRODUCE_TOPIC_IDS_FROM: i16 = 13;
/// How long brokers may wait for replicas.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What the broker said of one partition.
pub(super) struct Answer {
    partition: i32,
    error_code: i16,
    message: Option<String>,
}

impl Producer {
    /// Sends one batch for each of several partitions.
    pub(super) fn send_request(
        &self,
        client: &mut Client,
        leader: i32,
        batches: &[Batch],
    ) -> Result<Pending, ClientError> {
        let id = client.topic(&self.topic)?.id;
        let connection = client.connection(Node::Broker(leader))?;
        let limit = if id.is_zero() { PRODUCE_TOPIC_IDS_FROM - 1 } else { i16::MAX };
        let version = connection.version(ApiKey::Produce, limit)?;
        let partitions = batches.iter().map(|batch| PartitionProduceData {
            index: batch.partition,
            records: Records::Bytes(&batch.encoded),
        });
        let mut topic =
            TopicProduceData { partition_data: partitions.collect(), ..TopicProduceData::default() };
        match version >= PRODUCE_TOPIC_IDS_FROM {
            true => topic.topic_id = id,
            false => topic.name = self.topic.as_str().into(),
        }
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.options.acks as i16,
            timeout_ms: REPLICATION_TIMEOUT.as_millis() as i32,
            topic_data: vec![topic],
        };
        connection.send(ApiKey::Produce, version, &request)
    }

    /// Waits for the answer to the oldest request to a broker.
    pub(super) fn receive_answer(
        &self,
        client: &mut Client,
        leader: i32,
        pending: &Pending,
    ) -> Result<Vec<Answer>, ClientError> {
        let connection = client.connection(Node::Broker(leader))?;
        let response: ProduceResponse<'_> = connection.receive(pending, REPLICATION_TIMEOUT)?;
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let answers = partitions.map(|partition| {
            let of_record = partition.record_errors.first();
            let of_record = of_record.and_then(|error| error.batch_index_error_message.as_deref());
            Answer {
                partition: partition.index,
                error_code: partition.error_code,
                message: partition.error_message.as_deref().or(of_record).map(str::to_owned),
            }
        });
        Ok(answers.collect())
    }

    /// Counts the batches that were written, and sets the others aside.
    pub(super) fn settle(&mut self, batches: Vec<Batch>, answers: &[Answer]) {
        for batch in batches {
            let answer = answers.iter().find(|answer| answer.partition == batch.partition);
            let (code, message) = match answer {
                Some(answer) => (answer.error_code, answer.message.as_deref()),
                None => (ErrorCode::UnknownServerError.code(), Some("the answer leaves the partition out")),
            };
            // A duplicate is there already: an earlier answer was lost.
            if code == 0 || code == ErrorCode::DuplicateSequenceNumber.code() {
                self.totals.add(&batch);
            } else {
                let subject = format!("{}-{}", self.topic, batch.partition);
                let error = ClientError::broker(ApiKey::Produce, subject, code, message);
                self.failed.push((batch, error));
            }
        }
    }
}
