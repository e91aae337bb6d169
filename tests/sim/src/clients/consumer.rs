//! A consumer of all lasting partitions: long polls, with a fetch session or without, mostly at the end of the logs and
//! now and then from far behind.

use super::Client;
use crate::book::Place;
use crate::control::Phase;
use crate::record;
use crate::wire::Trouble;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kafka_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_wire::messages::list_offsets_response::ListOffsetsResponse;
use kafka_wire::{ApiKey, ErrorCode, Uuid};
use std::collections::BTreeMap;
use std::time::Duration;

const VERSIONS: [i16; 7] = [4, 7, 11, 12, 13, 16, 17];
const SESSIONS_FROM: i16 = 7;
const BY_ID_FROM: i16 = 13;
/// ListOffsets: the first and the last offset.
pub(crate) const EARLIEST: i64 = -2;
pub(crate) const LATEST: i64 = -1;

struct Consumer {
    client: Client,
    version: i16,
    isolation: i8,
    /// Uses sessions; the current one and its next epoch, and the positions that it knows.
    sessions: bool,
    session: Option<(i32, i32)>,
    told: BTreeMap<Place, i64>,
    positions: BTreeMap<Place, i64>,
}

/// Runs until the run ends.
pub(crate) async fn run(client: Client) {
    let mut client = client;
    let version = VERSIONS[client.random.below(VERSIONS.len() as u64) as usize];
    let (isolation, sessions) = (client.random.below(2) as i8, client.random.one_in(2));
    let mut consumer = Consumer {
        client,
        version,
        isolation,
        sessions: sessions && version >= SESSIONS_FROM,
        session: None,
        told: BTreeMap::new(),
        positions: BTreeMap::new(),
    };
    loop {
        let unfinished = consumer.is_behind() || !consumer.client.control.producers_finished();
        let phase = consumer.client.control.gate(consumer.client.number, unfinished).await;
        if let Err(trouble) = consumer.turn(phase).await {
            consumer.client.trouble(trouble);
        }
        if !consumer.client.is_connected() {
            consumer.session = None;
        }
        consumer.client.pause(3_000).await;
    }
}

/// The first or last offset of a partition, or the first one from a time on.
pub(crate) async fn list_offset(
    client: &mut Client,
    place: Place,
    timestamp: i64,
) -> Result<Option<(i64, i64)>, Trouble> {
    let name = client.control.book.borrow().topics[place.0].name.clone();
    let partition = ListOffsetsPartition { partition_index: place.1, timestamp, current_leader_epoch: -1 };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic { name: name.as_str().into(), partitions: vec![partition] }],
        ..Default::default()
    };
    let Some(answer) = client.call(ApiKey::ListOffsets, 5, &request, Duration::ZERO).await else {
        return Ok(None);
    };
    let response: ListOffsetsResponse<'_> = answer.decode()?;
    let found = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(found) = found.filter(|found| found.partition_index == place.1) else {
        return Err(Trouble::Wrong("ListOffsets was answered for other partitions".to_owned()));
    };
    if found.error_code != 0 {
        client.refused(&format!("ListOffsets of {name}-{}", place.1), found.error_code);
        return Ok(None);
    }
    Ok(Some((found.offset, found.timestamp)))
}

impl Consumer {
    fn is_behind(&self) -> bool {
        let book = self.client.control.book.borrow();
        let mut lasting = book.lasting().into_iter();
        lasting.any(|place| self.positions.get(&place).copied().unwrap_or(0) < book.end(place))
    }

    async fn turn(&mut self, phase: Phase) -> Result<(), Trouble> {
        for place in self.client.control.book.borrow().lasting() {
            self.positions.entry(place).or_insert(0);
        }
        if phase == Phase::Work && self.client.random.one_in(20) {
            self.look_around().await?;
        }
        self.fetch().await
    }

    /// Goes back to somewhere, or asks where the log ends.
    async fn look_around(&mut self) -> Result<(), Trouble> {
        let places: Vec<Place> = self.positions.keys().copied().collect();
        let place = places[self.client.random.below(places.len() as u64) as usize];
        let end = self.client.control.book.borrow().end(place);
        if self.client.random.one_in(2) {
            self.positions.insert(place, self.client.random.below(end as u64 + 1) as i64);
            return Ok(());
        }
        if let Some((latest, _)) = list_offset(&mut self.client, place, LATEST).await? {
            self.client.control.book.borrow_mut().end_shown(place, latest, end);
        }
        Ok(())
    }

    /// What goes into the request, and the floor below which each high watermark must not be.
    fn request(&mut self) -> (FetchRequest<'static>, BTreeMap<Place, i64>) {
        let random = &mut self.client.random;
        let book = self.client.control.book.borrow();
        let (session_id, session_epoch) = match self.session {
            Some(session) => session,
            None if self.sessions => (0, 0),
            None => (0, -1),
        };
        let mut request = FetchRequest {
            max_wait_ms: random.below(60) as i32,
            min_bytes: if random.one_in(3) { random.below(20_000) as i32 } else { 1 },
            max_bytes: random.between(1_000, 1_000_000) as i32,
            isolation_level: self.isolation,
            ..Default::default()
        };
        if self.version >= SESSIONS_FROM {
            (request.session_id, request.session_epoch) = (session_id, session_epoch);
        }
        let max_bytes = random.between(500, 500_000) as i32;
        let mut last = None;
        for (place, position) in &self.positions {
            if self.session.is_some() && self.told.get(place) == Some(position) {
                continue;
            }
            if last != Some(place.0) {
                last = Some(place.0);
                let topic = &book.topics[place.0];
                request.topics.push(match self.version >= BY_ID_FROM {
                    true => FetchTopic { topic_id: Uuid(topic.id.unwrap_or_default()), ..Default::default() },
                    false => FetchTopic { topic: topic.name.clone().into(), ..Default::default() },
                });
            }
            let partition = FetchPartition {
                partition: place.1,
                fetch_offset: *position,
                partition_max_bytes: max_bytes,
                ..Default::default()
            };
            if let Some(topic) = request.topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        let floors = self.positions.keys().map(|place| (*place, book.end(*place))).collect();
        (request, floors)
    }

    async fn fetch(&mut self) -> Result<(), Trouble> {
        let (request, floors) = self.request();
        let extra = Duration::from_millis(request.max_wait_ms as u64);
        let asked = self.positions.clone();
        let Some(answer) = self.client.call(ApiKey::Fetch, self.version, &request, extra).await else {
            return Ok(());
        };
        let response: FetchResponse<'_> = answer.decode()?;
        let lost = [ErrorCode::FetchSessionIdNotFound as i16, ErrorCode::InvalidFetchSessionEpoch as i16];
        if self.session.is_some() && lost.contains(&response.error_code) {
            self.session = None;
            return Ok(());
        }
        if response.error_code != 0 {
            self.client.refused("Fetch", response.error_code);
            return Ok(());
        }
        if self.sessions {
            let epoch = self.session.map_or(1, |(_, epoch)| epoch + 1);
            self.session = (response.session_id != 0).then_some((response.session_id, epoch));
            self.told = asked;
        }
        for topic in &response.responses {
            let number = self.topic(&topic.topic, topic.topic_id)?;
            for data in &topic.partitions {
                let place = (number, data.partition_index);
                let floor = floors.get(&place).copied().unwrap_or(0);
                self.take(place, data, floor).await?;
            }
        }
        self.client.control.success(self.client.number);
        Ok(())
    }

    /// The place in the book of a topic in an answer.
    fn topic(&self, name: &str, id: Uuid) -> Result<usize, Trouble> {
        let book = self.client.control.book.borrow();
        let by_id = self.version >= BY_ID_FROM;
        let found = book.topics.iter().position(|topic| match by_id {
            true => topic.id == Some(id.0),
            false => topic.lasting && topic.name == name,
        });
        found.ok_or_else(|| Trouble::Wrong(format!("Fetch was answered for topic '{name}' {id}")))
    }

    async fn take(&mut self, place: Place, data: &PartitionData<'_>, floor: i64) -> Result<(), Trouble> {
        let Some(position) = self.positions.get(&place).copied() else {
            return Err(Trouble::Wrong(format!("Fetch was answered for partition {}", place.1)));
        };
        if data.error_code == ErrorCode::OffsetOutOfRange as i16 {
            return self.begin_anew(place, position).await;
        }
        if data.error_code != 0 {
            let name = self.client.control.book.borrow().name(place);
            self.client.refused(&format!("Fetch of {name}"), data.error_code);
            return Ok(());
        }
        let found = record::read(data.records.bytes());
        let mut book = self.client.control.book.borrow_mut();
        let name = book.name(place);
        let found = found.map_err(|why| Trouble::Wrong(format!("{name}: {why}")))?;
        book.end_shown(place, data.high_watermark, floor);
        if found.last().is_some_and(|last| last.end() > data.high_watermark) {
            book.violated(format!("{name}: records behind the high watermark {}", data.high_watermark));
        }
        if !found.is_empty() {
            let next = book.shown(place, position, &found);
            self.positions.insert(place, next);
        }
        Ok(())
    }

    /// Only DeleteRecords puts an offset out of range.
    async fn begin_anew(&mut self, place: Place, position: i64) -> Result<(), Trouble> {
        let (name, most, end) = {
            let mut book = self.client.control.book.borrow_mut();
            (book.name(place), book.log(place).start_most, book.end(place))
        };
        if position >= most {
            let text =
                format!("{name}: {position} is out of range; the end is {end}, no record below was deleted");
            return Err(Trouble::Wrong(text));
        }
        if let Some((earliest, _)) = list_offset(&mut self.client, place, EARLIEST).await? {
            self.positions.insert(place, earliest);
        }
        Ok(())
    }
}
