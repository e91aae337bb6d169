//! Writing records.
//!
//! Records gather in one open batch a partition. A full batch is sent at once, without waiting for the answers
//! to those before it, of which a few may be under way to each broker. When something fails, everything that
//! is under way is waited for, and what failed is sent again, one batch after another, in its order. With an
//! idempotent producer the broker then drops what it has already; without one a record may be there twice.

mod request;

use crate::cluster::{Node, Retry};
use crate::compression::compress;
use crate::connection::Pending;
use crate::partitioner::partition_of;
use crate::{Client, ClientError};
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::record_batch::{Compression, layout};
use kafka_wire::{ApiKey, BatchBuilder, ErrorCode};
use std::collections::{BTreeMap, VecDeque};

/// A record's own fields besides key, value and headers: at most this many bytes, for the limit of a batch.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// What a broker takes in one batch if the topic does not say (`max.message.bytes`).
const MESSAGE_BYTES_MAX: usize = 1_048_588;

/// When a broker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Never: records may be lost without anyone knowing.
    None = 0,
    /// When the leader has them.
    Leader = 1,
    /// When all replicas in sync have them.
    All = -1,
}

/// How a producer works.
#[derive(Clone, Debug)]
pub struct ProduceOptions {
    /// When a record counts as written.
    pub acks: Acks,
    /// Nothing is written twice though it may be sent twice, if the broker can; only with [`Acks::All`].
    pub idempotent: bool,
    /// How batches are compressed.
    pub compression: Compression,
    /// A batch is sent when it has this many bytes, or fewer if the topic takes no more.
    pub batch_bytes: usize,
    /// The most requests under way to one broker; more than 5 break idempotence.
    pub in_flight_max: usize,
}

impl Default for ProduceOptions {
    fn default() -> ProduceOptions {
        ProduceOptions {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::None,
            batch_bytes: 512 << 10,
            in_flight_max: 4,
        }
    }
}

/// What has been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerTotals {
    /// Records that a broker acknowledged, or with [`Acks::None`] were sent.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Batches that they were in.
    pub batches: u64,
    /// Batches that had to be sent again.
    pub retried: u64,
}

/// A batch that is being filled.
#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    bytes: u64,
}

/// A batch that is complete.
#[derive(Debug)]
struct Batch {
    partition: i32,
    /// Counts all batches of the producer, which is the order to send them again in.
    number: u64,
    records: u64,
    bytes: u64,
    encoded: Vec<u8>,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct InFlight {
    pending: Pending,
    batches: Vec<Batch>,
}

/// What a partition needs to know.
#[derive(Debug)]
struct PartitionState {
    partition: i32,
    open: Option<OpenBatch>,
    next_sequence: i32,
}

/// Writes records to one topic.
#[derive(Debug)]
pub struct Producer {
    topic: String,
    options: ProduceOptions,
    /// What the topic takes in one batch.
    message_bytes_max: usize,
    /// Producer id and epoch, if idempotent.
    identity: Option<(i64, i16)>,
    partitions: Vec<PartitionState>,
    /// Where records without key go until the batch there is full.
    sticky: usize,
    in_flight: BTreeMap<i32, VecDeque<InFlight>>,
    failed: Vec<(Batch, ClientError)>,
    next_number: u64,
    totals: ProducerTotals,
}

impl Producer {
    /// A producer to a topic that exists.
    ///
    /// # Errors
    /// If the topic is not known, or the cluster refuses a producer id.
    pub fn open(
        client: &mut Client,
        topic: &str,
        mut options: ProduceOptions,
    ) -> Result<Producer, ClientError> {
        let partitions = client.topic(topic)?.partitions.iter().map(|partition| PartitionState {
            partition: partition.partition,
            open: None,
            next_sequence: 0,
        });
        let partitions: Vec<_> = partitions.collect();
        if partitions.is_empty() {
            let code = ErrorCode::LeaderNotAvailable.code();
            return Err(ClientError::broker(ApiKey::Metadata, format!("topic {topic}"), code, None));
        }
        // A broker that does not tell is given what Kafka takes by default, and may refuse.
        let configs = client.topic_configs(topic).unwrap_or_default();
        let limit = configs.iter().find(|config| config.name == "max.message.bytes");
        let limit = limit.and_then(|config| config.value.as_deref()?.parse().ok());
        let message_bytes_max = limit.unwrap_or(MESSAGE_BYTES_MAX);
        options.batch_bytes = options.batch_bytes.min(message_bytes_max);
        options.in_flight_max = options.in_flight_max.max(1);
        let identity = match options.idempotent && options.acks == Acks::All {
            true => init_producer_id(client)?,
            false => None,
        };
        Ok(Producer {
            topic: topic.to_owned(),
            options,
            message_bytes_max,
            identity,
            partitions,
            sticky: 0,
            in_flight: BTreeMap::new(),
            failed: Vec::new(),
            next_number: 0,
            totals: ProducerTotals::default(),
        })
    }

    /// What has been written so far.
    pub fn totals(&self) -> ProducerTotals {
        self.totals
    }

    /// True if the broker drops what it gets twice.
    pub fn is_idempotent(&self) -> bool {
        self.identity.is_some()
    }

    /// Adds a record: to `partition`, or to that of its key, or wherever a batch is open. It is sent when
    /// the batch is full, or by [`Producer::flush`]. `timestamp` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`ClientError::NoSuchPartition`], [`ClientError::RecordTooLarge`]; and, about earlier records, those of
    /// [`Producer::flush`].
    pub fn send(
        &mut self,
        client: &mut Client,
        partition: Option<i32>,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<(), ClientError> {
        let at = self.choose(partition, key)?;
        let payload = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let extra: usize =
            headers.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len) + 10).sum();
        let record_bytes = payload + extra + RECORD_OVERHEAD_BYTES;
        let alone = layout::HEADER_LENGTH + record_bytes;
        if alone > self.message_bytes_max && self.options.compression == Compression::None {
            let limit = self.message_bytes_max;
            return Err(ClientError::RecordTooLarge { bytes: payload, limit });
        }
        let open = self.partitions[at].open.as_ref();
        if open.is_some_and(|open| open.builder.length() + record_bytes > self.options.batch_bytes) {
            self.close_and_send(client, at)?;
        }
        let identity = self.identity;
        let state = &mut self.partitions[at];
        let open = state.open.get_or_insert_with(|| {
            let builder = BatchBuilder::new();
            let builder = match identity {
                Some((id, epoch)) => builder.producer(id, epoch, state.next_sequence),
                None => builder,
            };
            OpenBatch { builder, bytes: 0 }
        });
        open.builder
            .append(timestamp, key, value, headers)
            .map_err(|source| ClientError::Encode { api: ApiKey::Produce, source })?;
        open.bytes += payload as u64;
        Ok(())
    }

    /// Sends what is open and waits until everything is acknowledged.
    ///
    /// # Errors
    /// That of the first batch that a broker refused for good, or after the deadline. The producer is then
    /// of no more use: later batches may be written or not.
    pub fn flush(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let mut by_leader = BTreeMap::<i32, Vec<Batch>>::new();
        for at in 0..self.partitions.len() {
            let Some(batch) = self.close(at)? else { continue };
            match client.leader(&self.topic, batch.partition) {
                Ok(leader) => by_leader.entry(leader).or_default().push(batch),
                Err(error) => self.failed.push((batch, error)),
            }
        }
        for (leader, batches) in by_leader {
            self.transmit(client, leader, batches);
        }
        self.receive_all(client);
        self.recover(client)
    }

    /// The index of the partition for a record.
    fn choose(&mut self, partition: Option<i32>, key: Option<&[u8]>) -> Result<usize, ClientError> {
        match (partition, key) {
            (Some(partition), _) => {
                let found = self.partitions.binary_search_by_key(&partition, |state| state.partition);
                found.map_err(|_| ClientError::NoSuchPartition {
                    topic: self.topic.clone(),
                    partition,
                    partitions: self.partitions.len(),
                })
            }
            (None, Some(key)) => Ok(partition_of(key, self.partitions.len())),
            (None, None) => Ok(self.sticky),
        }
    }

    /// Ends the open batch of a partition, if there is one.
    fn close(&mut self, at: usize) -> Result<Option<Batch>, ClientError> {
        let count = self.partitions.len();
        let state = &mut self.partitions[at];
        let Some(open) = state.open.take() else { return Ok(None) };
        if at == self.sticky {
            self.sticky = (at + 1) % count;
        }
        let failed = |source| ClientError::Encode { api: ApiKey::Produce, source };
        let encoded = match self.options.compression {
            Compression::None => open.builder.build().map_err(failed)?,
            codec => {
                let payload = compress(codec, open.builder.payload()).map_err(|error| {
                    let (topic, what) = (self.topic.clone(), error.to_string());
                    ClientError::Batch { topic, partition: state.partition, offset: -1, what }
                })?;
                open.builder.build_compressed(codec, &payload).map_err(failed)?
            }
        };
        let records = open.builder.record_count();
        // Sequence numbers begin again at 0 after the last one there is.
        state.next_sequence = state.next_sequence.wrapping_add(records) & i32::MAX;
        self.next_number += 1;
        let (partition, number) = (state.partition, self.next_number);
        Ok(Some(Batch { partition, number, records: records as u64, bytes: open.bytes, encoded }))
    }

    fn close_and_send(&mut self, client: &mut Client, at: usize) -> Result<(), ClientError> {
        let Some(batch) = self.close(at)? else { return Ok(()) };
        match client.leader(&self.topic, batch.partition) {
            Ok(leader) => self.transmit(client, leader, vec![batch]),
            Err(error) => self.failed.push((batch, error)),
        }
        self.recover(client)
    }

    /// Sends batches to their leader, after the answers that must come first. What fails is in `failed`.
    fn transmit(&mut self, client: &mut Client, leader: i32, batches: Vec<Batch>) {
        while self.in_flight.get(&leader).map_or(0, VecDeque::len) >= self.options.in_flight_max {
            self.receive_oldest(client, leader);
        }
        // What failed just now goes again first: behind it in the partition, this would be out of order.
        if let Some((_, error)) = self.failed.last() {
            let behind = lost_with(error);
            return self.fail(batches, behind);
        }
        match self.send_request(client, leader, &batches) {
            Ok(_) if self.options.acks == Acks::None => {
                batches.iter().for_each(|batch| self.totals.add(batch));
            }
            Ok(pending) => {
                self.in_flight.entry(leader).or_default().push_back(InFlight { pending, batches });
            }
            Err(error) => self.fail(batches, error),
        }
    }

    /// Takes the next answer of a broker. If the connection is lost, all that waits for it has failed.
    fn receive_oldest(&mut self, client: &mut Client, leader: i32) {
        let Some(queue) = self.in_flight.get_mut(&leader) else { return };
        let Some(oldest) = queue.pop_front() else { return };
        match self.receive_answer(client, leader, &oldest.pending) {
            Ok(answers) => self.settle(oldest.batches, &answers),
            Err(error) => {
                client.disconnect(leader);
                let later = self.in_flight.remove(&leader).unwrap_or_default();
                for request in later {
                    self.fail(request.batches, lost_with(&error));
                }
                self.fail(oldest.batches, error);
            }
        }
    }

    fn receive_all(&mut self, client: &mut Client) {
        let leaders: Vec<i32> = self.in_flight.keys().copied().collect();
        for leader in leaders {
            while self.in_flight.get(&leader).is_some_and(|queue| !queue.is_empty()) {
                self.receive_oldest(client, leader);
            }
        }
    }

    fn fail(&mut self, batches: Vec<Batch>, error: ClientError) {
        let mut batches = batches.into_iter();
        let Some(first) = batches.next() else { return };
        self.failed.extend(batches.map(|batch| (batch, lost_with(&error))));
        self.failed.push((first, error));
    }

    /// Sends again what failed, if that may help, until nothing is left or the deadline has passed.
    fn recover(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.failed.is_empty() {
            return Ok(());
        }
        self.receive_all(client);
        let mut retry = Retry::new(client.options().deadline);
        while !self.failed.is_empty() {
            let mut failed = std::mem::take(&mut self.failed);
            failed.sort_unstable_by_key(|(batch, _)| batch.number);
            retry.pause(client, first_cause(&mut failed))?;
            self.totals.retried += failed.len() as u64;
            let mut left = failed.into_iter().map(|(batch, _)| batch);
            while let Some(batch) = left.next() {
                self.send_again(client, batch);
                if let Some((_, error)) = self.failed.last() {
                    // Those behind it wait for the next round, in which it goes first.
                    let again = lost_with(error);
                    self.fail(left.by_ref().collect(), again);
                }
            }
        }
        Ok(())
    }

    fn send_again(&mut self, client: &mut Client, batch: Batch) {
        match client.leader(&self.topic, batch.partition) {
            Ok(leader) => {
                self.transmit(client, leader, vec![batch]);
                self.receive_all(client);
            }
            Err(error) => self.failed.push((batch, error)),
        }
    }
}

impl ProducerTotals {
    fn add(&mut self, batch: &Batch) {
        self.records += batch.records;
        self.bytes += batch.bytes;
        self.batches += 1;
    }
}

/// Which failure decides: a final one, if there is any, else the first. A sequence that is out of order behind
/// an earlier failure of the same partition is only its consequence.
fn first_cause(failed: &mut [(Batch, ClientError)]) -> ClientError {
    let mut partitions = std::collections::BTreeSet::new();
    let mut decisive = 0;
    for (at, (batch, error)) in failed.iter().enumerate() {
        let first = partitions.insert(batch.partition);
        let consequence = !first && error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        if !error.is_retriable() && !consequence {
            decisive = at;
            break;
        }
    }
    let placeholder = ClientError::broker(ApiKey::Produce, "", ErrorCode::NetworkException.code(), None);
    std::mem::replace(&mut failed[decisive].1, placeholder)
}

/// The error of a batch whose request was under way when another failed so: retriable exactly if that is.
fn lost_with(error: &ClientError) -> ClientError {
    let code = match error.is_retriable() {
        true => ErrorCode::NetworkException.code(),
        false => error.code().unwrap_or(ErrorCode::UnknownServerError).code(),
    };
    ClientError::broker(ApiKey::Produce, "", code, Some(&error.to_string()))
}

fn init_producer_id(client: &mut Client) -> Result<Option<(i64, i16)>, ClientError> {
    if !client.connection(Node::Any)?.offers(ApiKey::InitProducerId) {
        return Ok(None);
    }
    client.retry(|client| {
        let response: InitProducerIdResponse =
            client.call(Node::Any, ApiKey::InitProducerId, |_| InitProducerIdRequest {
                transactional_id: None,
                // Asked for of everyone, used only with transactions.
                transaction_timeout_ms: 60_000,
                ..InitProducerIdRequest::default()
            })?;
        match response.error_code {
            0 => Ok(Some((response.producer_id, response.producer_epoch))),
            code => Err(ClientError::broker(ApiKey::InitProducerId, "producer id", code, None)),
        }
    })
}
