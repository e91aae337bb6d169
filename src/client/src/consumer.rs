//! Reading records from offsets on.

use crate::cluster::{Node, Retry};
use crate::compression::decompress;
use crate::connection::Pending;
use crate::{Client, ClientError};
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kafka_wire::record_batch::{Compression, Headers, RecordIter, TimestampType};
use kafka_wire::{ApiKey, ErrorCode, RecordBatch, Uuid, WireError};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// From this version on Fetch names topics by id.
const FETCH_TOPIC_IDS_FROM: i16 = 13;

/// How a consumer asks.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How long a broker holds a request that finds nothing.
    pub max_wait: Duration,
    /// The most bytes of an answer; a first batch that is larger comes all the same.
    pub max_bytes: i32,
    /// The most bytes of one partition in an answer, with the same exception.
    pub partition_max_bytes: i32,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        let max_wait = Duration::from_millis(500);
        FetchOptions { max_wait, max_bytes: 16 << 20, partition_max_bytes: 4 << 20 }
    }
}

/// Where a consumer stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// The offset of the next record that it wants.
    pub offset: i64,
    /// The end of the partition as of the last answer, -1 before.
    pub high_watermark: i64,
}

/// A record as it came.
#[derive(Clone, Copy, Debug)]
pub struct ConsumedRecord<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970; -1 if it has none.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// Reads partitions of one topic. It belongs to no group and commits nothing.
///
/// Transactions are not looked at: records of open and aborted ones come like all others (Kafka's
/// `read_uncommitted`). Control records are left out.
#[derive(Debug)]
pub struct Consumer {
    topic: String,
    options: FetchOptions,
    positions: Vec<PartitionPosition>,
    scratch: Vec<u8>,
}

impl Consumer {
    /// A consumer of `topic` from these partitions and offsets on.
    pub fn new(
        topic: impl Into<String>,
        offsets: impl IntoIterator<Item = (i32, i64)>,
        options: FetchOptions,
    ) -> Consumer {
        let positions = offsets.into_iter().map(|(partition, offset)| PartitionPosition {
            partition,
            offset,
            high_watermark: -1,
        });
        Consumer { topic: topic.into(), options, positions: positions.collect(), scratch: Vec::new() }
    }

    /// Where it stands, in no particular order.
    pub fn positions(&self) -> &[PartitionPosition] {
        &self.positions
    }

    /// Wants no more of a partition.
    pub fn drop_partition(&mut self, partition: i32) {
        self.positions.retain(|position| position.partition != partition);
    }

    /// Asks every leader once, and gives each record to `accept` in the order of its partition, until that
    /// breaks. Returns the number of records; 0 if there were none within [`FetchOptions::max_wait`].
    ///
    /// # Errors
    /// Those of the brokers, after the deadline if they are retriable. `OFFSET_OUT_OF_RANGE` if an offset is
    /// no longer or not yet there. [`ClientError::Batch`] for a batch with a wrong checksum. What was accepted
    /// before an error stays accepted, and the positions say so.
    pub fn poll(
        &mut self,
        client: &mut Client,
        mut accept: impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<u64, ClientError> {
        let mut retry = Retry::new(client.options().deadline);
        let mut count = 0;
        loop {
            match self.poll_once(client, &mut count, &mut accept) {
                Ok(()) => {
                    // Brokers fill an answer in the order of the request: let each partition be first in turn.
                    let turn = 1.min(self.positions.len());
                    self.positions.rotate_left(turn);
                    return Ok(count);
                }
                // What has arrived is worth more than another try at once.
                Err(error) if error.is_retriable() && count > 0 => {
                    client.forget_topics();
                    return Ok(count);
                }
                Err(error) => retry.pause(client, error)?,
            }
        }
    }

    fn poll_once(
        &mut self,
        client: &mut Client,
        count: &mut u64,
        accept: &mut impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let id = client.topic(&self.topic)?.id;
        let mut by_leader = BTreeMap::<i32, Vec<PartitionPosition>>::new();
        for position in &self.positions {
            let leader = client.leader(&self.topic, position.partition)?;
            by_leader.entry(leader).or_default().push(*position);
        }
        // All are asked before the first is waited for.
        let mut pending = Vec::new();
        for (&leader, positions) in &by_leader {
            match self.send(client, leader, id, positions) {
                Ok(sent) => pending.push((leader, sent)),
                Err(error) => {
                    abandon(client, &pending);
                    return Err(error);
                }
            }
        }
        for (at, (leader, sent)) in pending.iter().enumerate() {
            match self.receive(client, *leader, sent, count, accept) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => {
                    abandon(client, &pending[at + 1..]);
                    return Ok(());
                }
                Err(error) => {
                    abandon(client, &pending[at + 1..]);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn send(
        &self,
        client: &mut Client,
        leader: i32,
        id: Uuid,
        positions: &[PartitionPosition],
    ) -> Result<Pending, ClientError> {
        let connection = client.connection(Node::Broker(leader))?;
        let limit = if id.is_zero() { FETCH_TOPIC_IDS_FROM - 1 } else { i16::MAX };
        let version = connection.version(ApiKey::Fetch, limit)?;
        let partitions = positions.iter().map(|position| FetchPartition {
            partition: position.partition,
            current_leader_epoch: -1,
            fetch_offset: position.offset,
            partition_max_bytes: self.options.partition_max_bytes,
            ..FetchPartition::default()
        });
        let mut topic = FetchTopic { partitions: partitions.collect(), ..FetchTopic::default() };
        match version >= FETCH_TOPIC_IDS_FROM {
            true => topic.topic_id = id,
            false => topic.topic = self.topic.as_str().into(),
        }
        let request = FetchRequest {
            max_wait_ms: i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: self.options.max_bytes,
            // No session: every request says all.
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        connection.send(ApiKey::Fetch, version, &request)
    }

    fn receive(
        &mut self,
        client: &mut Client,
        leader: i32,
        sent: &Pending,
        count: &mut u64,
        accept: &mut impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ClientError> {
        let connection = client.connection(Node::Broker(leader))?;
        let response: FetchResponse<'_> = connection.receive(sent, self.options.max_wait)?;
        if response.error_code != 0 {
            return Err(ClientError::broker(ApiKey::Fetch, "", response.error_code, None));
        }
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let Some(at) = self.positions.iter().position(|p| p.partition == data.partition_index) else {
                continue;
            };
            if data.error_code != 0 {
                let subject = match ErrorCode::try_from(data.error_code) {
                    Ok(ErrorCode::OffsetOutOfRange) => {
                        format!(
                            "offset {} of {}-{}",
                            self.positions[at].offset, self.topic, data.partition_index
                        )
                    }
                    _ => format!("{}-{}", self.topic, data.partition_index),
                };
                return Err(ClientError::broker(ApiKey::Fetch, subject, data.error_code, None));
            }
            self.positions[at].high_watermark = data.high_watermark;
            if self.take_batches(at, data, count, accept)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Goes through the batches of a partition. The last may be cut off, which is no error.
    fn take_batches(
        &mut self,
        at: usize,
        data: &PartitionData<'_>,
        count: &mut u64,
        accept: &mut impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ClientError> {
        let mut rest = data.records.bytes();
        while !rest.is_empty() {
            let (batch, behind) = match RecordBatch::split_first(rest) {
                Ok(split) => split,
                Err(WireError::UnexpectedEnd { .. }) => break,
                Err(error) => {
                    let offset = self.positions[at].offset;
                    return Err(self.unreadable(at, offset, error.to_string()));
                }
            };
            rest = behind;
            let flow = self.take_batch(at, &batch, count, accept)?;
            if flow.is_break() {
                return Ok(flow);
            }
            // A compacted batch may end with offsets that have no record.
            let next = batch.last_offset().saturating_add(1);
            let position = &mut self.positions[at];
            position.offset = position.offset.max(next);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take_batch(
        &mut self,
        at: usize,
        batch: &RecordBatch<'_>,
        count: &mut u64,
        accept: &mut impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ClientError> {
        let base = batch.base_offset();
        if batch.crc() != batch.compute_crc() {
            return Err(self.unreadable(at, base, "its checksum does not match".to_owned()));
        }
        if batch.is_control() {
            return Ok(ControlFlow::Continue(()));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.take_records(at, batch, &mut scratch, count, accept);
        self.scratch = scratch;
        result.map_err(|what| self.unreadable(at, base, what))
    }

    fn take_records(
        &mut self,
        at: usize,
        batch: &RecordBatch<'_>,
        scratch: &mut Vec<u8>,
        count: &mut u64,
        accept: &mut impl FnMut(&ConsumedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, String> {
        let payload = match batch.compression().map_err(|error| error.to_string())? {
            Compression::None => batch.payload(),
            codec => {
                decompress(codec, batch.payload(), scratch).map_err(|error| error.to_string())?;
                scratch
            }
        };
        let records = RecordIter::new(payload, batch.record_count()).map_err(|error| error.to_string())?;
        let appended = batch.timestamp_type() == TimestampType::LogAppendTime;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.base_offset().saturating_add(record.offset_delta.into());
            // A batch that holds the wanted offset begins before it, as often as not.
            if offset < self.positions[at].offset {
                continue;
            }
            let timestamp = match appended {
                true => batch.max_timestamp(),
                false => batch.base_timestamp().saturating_add(record.timestamp_delta),
            };
            let consumed = ConsumedRecord {
                partition: self.positions[at].partition,
                offset,
                timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers,
            };
            let flow = accept(&consumed);
            *count += 1;
            self.positions[at].offset = offset.saturating_add(1);
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn unreadable(&self, at: usize, offset: i64, what: String) -> ClientError {
        let partition = self.positions[at].partition;
        ClientError::Batch { topic: self.topic.clone(), partition, offset, what }
    }
}

/// Closes connections whose answers nobody will wait for.
fn abandon(client: &mut Client, pending: &[(i32, Pending)]) {
    for (leader, _) in pending {
        client.disconnect(*leader);
    }
}
