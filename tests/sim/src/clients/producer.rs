//! An idempotent producer, as the Java client is by default: several requests under way, each with batches for several
//! partitions, and every batch sent again until it is acknowledged.

use super::Client;
use crate::book::Place;
use crate::control::Phase;
use crate::plan::Load;
use crate::record::{Batch, RecordId, batch};
use crate::tamper::Bug;
use crate::wire::{Answer, Trouble};
use base::Random;
use kafka_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kafka_wire::{ApiKey, ErrorCode, Records, Uuid};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Versions that carry idempotent batches; from 13 on topics go by id.
const VERSIONS: [i16; 6] = [3, 7, 8, 9, 12, 13];
const BY_ID_FROM: i16 = 13;
/// The broker remembers so many batches of a producer and partition.
const UNACKNOWLEDGED_MAX: usize = 5;

/// A partition that this producer writes to.
struct Lane {
    number: u32,
    next: u64,
    unacknowledged: VecDeque<Batch>,
}

struct Producer {
    client: Client,
    load: Load,
    version: i16,
    producer_id: Option<i64>,
    lanes: BTreeMap<Place, Lane>,
}

/// A request: for each partition the place of its batch among the unacknowledged.
type Request = Vec<(Place, usize)>;

/// Runs until the run ends.
pub(crate) async fn run(client: Client, load: Load) {
    let mut client = client;
    let version = VERSIONS[client.random.below(VERSIONS.len() as u64) as usize];
    let mut producer = Producer { client, load, version, producer_id: None, lanes: BTreeMap::new() };
    loop {
        let unfinished = producer.lanes.values().any(|lane| !lane.unacknowledged.is_empty());
        let phase = producer.client.control.gate(producer.client.number, unfinished).await;
        producer.turn(phase).await;
        let think = producer.load.think_max.as_micros() as u64;
        producer.client.pause(think).await;
    }
}

/// Sizes of the records of one batch.
pub(crate) fn sizes(random: &mut Random, load: &Load) -> Vec<usize> {
    if random.one_in(load.large_one_in) {
        return vec![load.large_bytes as usize];
    }
    (0..random.between(1, load.records_max)).map(|_| random.below(load.value_max) as usize).collect()
}

/// The request for some batches, in the order of their partitions.
pub(crate) fn request<'a>(
    batches: &[(Place, &'a str, Uuid, &'a [u8])],
    version: i16,
    acks: i16,
) -> ProduceRequest<'a> {
    let mut request =
        ProduceRequest { transactional_id: None, acks, timeout_ms: 1_000, ..Default::default() };
    let mut last = None;
    for (place, name, id, bytes) in batches {
        if last != Some(place.0) {
            last = Some(place.0);
            let mut topic = TopicProduceData::default();
            match version >= BY_ID_FROM {
                true => topic.topic_id = *id,
                false => topic.name = (*name).into(),
            }
            request.topic_data.push(topic);
        }
        if let Some(topic) = request.topic_data.last_mut() {
            topic
                .partition_data
                .push(PartitionProduceData { index: place.1, records: Records::Bytes(bytes) });
        }
    }
    request
}

/// The answers to the partitions of a request, which must be those that were asked for.
pub(crate) fn answers<'a>(
    response: ProduceResponse<'a>,
    asked: impl ExactSizeIterator<Item = i32>,
) -> Result<Vec<PartitionProduceResponse<'a>>, Trouble> {
    let all: Vec<_> = response.responses.into_iter().flat_map(|topic| topic.partition_responses).collect();
    let count = asked.len();
    let same = all.len() == count && all.iter().zip(asked).all(|(one, index)| one.index == index);
    match same {
        true => Ok(all),
        false => Err(Trouble::Wrong("a Produce was answered for other partitions".to_owned())),
    }
}

impl Producer {
    async fn turn(&mut self, phase: Phase) {
        if self.producer_id.is_none() && !self.introduce().await {
            return;
        }
        let requests = self.plan(phase);
        if requests.is_empty() {
            return;
        }
        let mut sent = 0;
        for request in &requests {
            if self.send(request).await.is_err() || !self.client.is_connected() {
                break;
            }
            sent += 1;
        }
        let mut done = Vec::new();
        for request in requests.iter().take(sent) {
            match self.receive(request).await {
                Ok(acknowledged) => done.extend(acknowledged),
                Err(trouble) => {
                    self.client.trouble(trouble);
                    break;
                }
            }
        }
        self.forget(done);
    }

    /// Gets a producer id.
    async fn introduce(&mut self) -> bool {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let Some(answer) = self.client.call(ApiKey::InitProducerId, 3, &request, Duration::ZERO).await else {
            return false;
        };
        match answer.decode::<InitProducerIdResponse>() {
            Ok(response) if response.error_code == 0 => {
                self.client.control.book.borrow_mut().producer_id(response.producer_id);
                self.producer_id = Some(response.producer_id);
                true
            }
            Ok(response) => {
                self.client.refused("InitProducerId", response.error_code);
                self.client.pause(5_000).await;
                false
            }
            Err(trouble) => {
                self.client.trouble(trouble);
                false
            }
        }
    }

    /// What to send: first all that is not acknowledged, then new batches while there is work.
    fn plan(&mut self, phase: Phase) -> Vec<Request> {
        let burst = self.client.random.between(1, self.load.burst_max) as usize;
        let places = self.client.control.book.borrow().lasting();
        let mut requests = Vec::new();
        for nth in 0..UNACKNOWLEDGED_MAX {
            let mut request = Request::new();
            for place in &places {
                let has = self.lanes.get(place).map_or(0, |lane| lane.unacknowledged.len());
                let wants = phase == Phase::Work && nth < burst && self.client.random.one_in(2);
                if has > nth || has == nth && wants && self.make(*place) {
                    request.push((*place, nth));
                }
            }
            if !request.is_empty() {
                requests.push(request);
            }
        }
        requests
    }

    /// Makes the next batch for a partition.
    fn make(&mut self, place: Place) -> bool {
        let Some(producer_id) = self.producer_id else { return false };
        let mut book = self.client.control.book.borrow_mut();
        let lane = self.lanes.entry(place).or_insert_with(|| Lane {
            number: book.lane(place, true),
            next: 0,
            unacknowledged: VecDeque::new(),
        });
        let first = RecordId { lane: lane.number, counter: lane.next };
        let sizes = sizes(&mut self.client.random, &self.load);
        let made = batch(first, &sizes, Some((producer_id, 0, first.counter as i32)));
        book.will_send(first, made.count);
        lane.next += made.count;
        lane.unacknowledged.push_back(made);
        true
    }

    async fn send(&mut self, request: &Request) -> Result<(), ()> {
        let topics: Vec<(String, Uuid)> = {
            let book = self.client.control.book.borrow();
            let topic = |place: &Place| {
                let topic = &book.topics[place.0];
                (topic.name.clone(), Uuid(topic.id.unwrap_or_default()))
            };
            request.iter().map(|(place, _)| topic(place)).collect()
        };
        let mut batches = Vec::new();
        for ((place, nth), (name, id)) in request.iter().zip(&topics) {
            let bytes = &self.lanes[place].unacknowledged[*nth].bytes;
            batches.push((*place, name.as_str(), *id, bytes.as_slice()));
        }
        let message = self::request(&batches, self.version, -1);
        let Some(wire) = self.client.wire().await else { return Err(()) };
        let sent = wire.send(ApiKey::Produce, self.version, &message).await;
        sent.map_err(|trouble| self.client.trouble(trouble))
    }

    /// What a request's answer acknowledges.
    async fn receive(&mut self, request: &Request) -> Result<Request, Trouble> {
        let Some(wire) = self.client.open_wire() else { return Err(Trouble::Lost) };
        let answer: Answer = wire.receive(Duration::ZERO).await?;
        let asked = request.iter().map(|(place, _)| place.1);
        let mut acknowledged = Vec::new();
        for (one, (place, nth)) in answers(answer.decode()?, asked)?.iter().zip(request) {
            let batch = &self.lanes[place].unacknowledged[*nth];
            let (first, count) = (batch.first, batch.count);
            let offset = match one.error_code {
                0 => Some(one.base_offset),
                code if code == ErrorCode::DuplicateSequenceNumber as i16 => None,
                // An earlier one failed, so this one came too early.
                code if code == ErrorCode::OutOfOrderSequenceNumber as i16 && *nth > 0 => {
                    self.client.control.book.borrow_mut().counts.refused += 1;
                    continue;
                }
                // Not a clause of this client, but of the one that shows that it would be found out.
                _ if self.client.has(Bug::ClientBelievesRefusals) => None,
                code => {
                    let name = self.client.control.book.borrow().name(*place);
                    self.client.refused(&format!("Produce of {first:?} to {name}"), code);
                    continue;
                }
            };
            self.client.control.book.borrow_mut().acknowledged(first, count, offset);
            self.client.control.success(self.client.number);
            acknowledged.push((*place, *nth));
        }
        Ok(acknowledged)
    }

    fn forget(&mut self, done: Request) {
        let mut done = done;
        done.sort_unstable_by_key(|(_, nth)| std::cmp::Reverse(*nth));
        for (place, nth) in done {
            if let Some(lane) = self.lanes.get_mut(&place) {
                lane.unacknowledged.remove(nth);
            }
        }
    }
}
