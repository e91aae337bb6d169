//! A member of the share group (KIP-932): it fetches, and accepts, gives back or rejects what it is given, each at its
//! time; now and then it goes away with records in hand, or is not heard of until others may have them.

use super::Client;
use super::coordinated::{EXTRA, OF_GROUPS, Said, time};
use crate::book::Place;
use crate::control::Phase;
use crate::record;
use crate::shares::{Delivery, GROUP, LOCK_MS, Record, SOURCE, Word};
use crate::wire::Trouble;
use checker::Time;
use kafka_wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch, ShareAcknowledgeRequest,
};
use kafka_wire::messages::share_acknowledge_response::ShareAcknowledgeResponse;
use kafka_wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ShareFetchRequest};
use kafka_wire::messages::share_fetch_response::{PartitionData, ShareFetchResponse};
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use kafka_wire::{ApiKey, ErrorCode, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Of each request here the first that there is.
const VERSION: i16 = 1;
/// Leaves the group.
const LEAVES: i32 = -1;
/// After so long without any record there are none: locks are up in between, even if the clock was set back.
const QUIET: Duration = Duration::from_millis(4 * LOCK_MS);
/// How long a fetch waits when all else has come to its end.
const LAST_WAIT_MS: i32 = 50;
/// What begins a session anew.
const SESSION_OVER: [ErrorCode; 3] = [
    ErrorCode::InvalidShareSessionEpoch,
    ErrorCode::ShareSessionLimitReached,
    ErrorCode::ShareSessionNotFound,
];

/// A session, and what was given in it that nothing was said about yet.
struct Session {
    /// Its number among all.
    number: u64,
    /// The epoch that the next request names.
    epoch: i32,
    has: BTreeMap<Record, usize>,
}

struct Sharer {
    client: Client,
    id: String,
    /// Its epoch in the group.
    epoch: i32,
    places: BTreeSet<Place>,
    session: Option<Session>,
    found: bool,
    /// When it was last given anything.
    last_given: Time,
    /// Since when nothing is added to the logs.
    complete_since: Option<Time>,
}

/// Runs until the run ends.
pub(crate) async fn run(client: Client) {
    let id = format!("sharer-{}", client.number);
    let mut sharer = Sharer {
        client,
        id,
        epoch: 0,
        places: BTreeSet::new(),
        session: None,
        found: false,
        last_given: 0,
        complete_since: None,
    };
    loop {
        let unfinished = !sharer.is_quiet();
        let phase = sharer.client.control.gate(sharer.client.number, unfinished).await;
        if let Err(trouble) = sharer.turn(phase).await {
            sharer.client.trouble(trouble);
        }
        if !sharer.client.is_connected() {
            // The session ended with the connection.
            sharer.session = None;
        }
        sharer.client.pause(10_000).await;
    }
}

impl Sharer {
    /// Whether there is nothing more to be given, to whomever.
    fn is_quiet(&mut self) -> bool {
        if !self.client.control.producers_finished() {
            self.complete_since = None;
            return false;
        }
        let since = *self.complete_since.get_or_insert_with(time);
        let rested = time().saturating_sub(since.max(self.last_given));
        u128::from(rested) > QUIET.as_nanos()
    }

    async fn turn(&mut self, phase: Phase) -> Result<(), Trouble> {
        if !self.found {
            self.found = self.client.find(GROUP, OF_GROUPS).await?;
        }
        if !self.found || !self.heartbeat(self.epoch).await? || self.places.is_empty() {
            return Ok(());
        }
        if phase == Phase::Work && self.client.random.one_in(40) {
            self.vanish().await?;
            return Ok(());
        }
        if phase == Phase::Work && self.client.random.one_in(60) {
            let millis = LOCK_MS + self.client.random.below(200);
            executor::sleep(Duration::from_millis(millis)).await;
        }
        if !self.fetch(phase).await? {
            return Ok(());
        }
        self.acknowledge().await
    }

    /// Goes away with what it has: leaves the group, or not, and closes the connection.
    async fn vanish(&mut self) -> Result<(), Trouble> {
        if self.client.random.one_in(2) {
            self.heartbeat(LEAVES).await?;
            self.epoch = 0;
        }
        self.client.hang_up();
        Ok(())
    }

    /// Joins, stays or leaves; true if it is a member afterwards.
    async fn heartbeat(&mut self, epoch: i32) -> Result<bool, Trouble> {
        let source = self.client.control.book.borrow().judged(SOURCE);
        let name = self.client.topic_name(source[0]);
        let id = self.id.clone();
        let request = ShareGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: id.as_str().into(),
            member_epoch: epoch,
            subscribed_topic_names: Some(vec![name.as_str().into()]),
            ..Default::default()
        };
        let answer = self.client.call(ApiKey::ShareGroupHeartbeat, VERSION, &request, EXTRA).await;
        let Some(answer) = answer else { return Ok(false) };
        let response: ShareGroupHeartbeatResponse<'_> = answer.decode()?;
        match self.client.said("ShareGroupHeartbeat", response.error_code) {
            Said::Done => {}
            Said::Over => {
                self.epoch = 0;
                return Ok(false);
            }
            Said::Again | Said::Unsure => return Ok(false),
        }
        self.epoch = response.member_epoch.max(0);
        if let Some(given) = &response.assignment {
            let partitions = given.topic_partitions.iter().flat_map(|one| &one.partitions);
            self.places = partitions.map(|partition| (source[0].0, *partition)).collect();
        }
        Ok(true)
    }

    fn topic_id(&self, topic: usize) -> Uuid {
        Uuid(self.client.control.book.borrow().topics[topic].id.unwrap_or_default())
    }

    /// What an error of the whole request means: false if nothing was done.
    fn is_served(&mut self, what: &str, code: i16) -> bool {
        if code == 0 {
            return true;
        }
        if SESSION_OVER.iter().any(|one| one.code() == code) {
            self.client.control.book.borrow_mut().counts.refused += 1;
        } else {
            self.client.refused(what, code);
        }
        self.session = None;
        false
    }

    /// Asks for records; false if there was no answer to go on with.
    async fn fetch(&mut self, phase: Phase) -> Result<bool, Trouble> {
        let Some(topic) = self.places.first().map(|place| place.0) else { return Ok(false) };
        let partitions = self
            .places
            .iter()
            .map(|place| FetchPartition { partition_index: place.1, acknowledgement_batches: Vec::new() });
        let topics = vec![FetchTopic { topic_id: self.topic_id(topic), partitions: partitions.collect() }];
        let epoch = self.session.as_ref().map_or(0, |session| session.epoch);
        let most = self.client.random.between(1, 40) as i32;
        let wait_ms = match phase {
            Phase::Finish => LAST_WAIT_MS,
            _ => self.client.random.below(12) as i32,
        };
        let id = self.id.clone();
        let request = ShareFetchRequest {
            group_id: Some(GROUP.into()),
            member_id: Some(id.as_str().into()),
            share_session_epoch: epoch,
            max_wait_ms: wait_ms,
            min_bytes: 1,
            max_bytes: 200_000,
            max_records: most,
            batch_size: most,
            topics,
            ..Default::default()
        };
        let asked = time();
        let answer = self.client.call(ApiKey::ShareFetch, VERSION, &request, EXTRA).await;
        let Some(answer) = answer else {
            // What is given just before a crash is not counted.
            if self.client.control.phase() != Phase::Pause {
                self.client.control.ledger.borrow_mut().lost();
            }
            return Ok(false);
        };
        let response: ShareFetchResponse<'_> = answer.decode()?;
        if !self.is_served("ShareFetch", response.error_code) {
            return Ok(false);
        }
        match self.session.as_mut().filter(|_| epoch > 0) {
            Some(session) => session.epoch += 1,
            None => {
                let number = self.client.control.ledger.borrow_mut().new_session();
                self.session = Some(Session { number, epoch: 1, has: BTreeMap::new() });
            }
        }
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            self.given((topic, data.partition_index), data, asked)?;
        }
        self.client.control.success(self.client.number);
        Ok(true)
    }

    /// Takes what it was given of a partition.
    fn given(&mut self, place: Place, data: &PartitionData<'_>, asked: Time) -> Result<(), Trouble> {
        let name = self.client.control.book.borrow().name(place);
        if data.error_code != 0 {
            self.client.refused(&format!("ShareFetch of {name}"), data.error_code);
            return Ok(());
        }
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let pieces = record::read_pieces(data.records.bytes());
        let pieces = pieces.map_err(|why| Trouble::Wrong(format!("{name}, shared: {why}")))?;
        for acquired in &data.acquired_records {
            for offset in acquired.first_offset..=acquired.last_offset {
                let holds = |piece: &record::Piece| (piece.base_offset..=piece.last_offset).contains(&offset);
                if !pieces.iter().any(holds) {
                    return Err(Trouble::Wrong(format!("{name}: {offset} was given and not sent")));
                }
                let delivery = Delivery::new(session.number, (asked, time()), acquired.delivery_count);
                let nth = self.client.control.ledger.borrow_mut().given((place, offset), delivery);
                session.has.insert((place, offset), nth);
                self.last_given = time();
            }
        }
        Ok(())
    }

    /// Says something about most of what it has.
    async fn acknowledge(&mut self) -> Result<(), Trouble> {
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        let mut words: BTreeMap<Record, (Word, usize)> = BTreeMap::new();
        for (record, nth) in &session.has {
            let word = match self.client.random.below(10) {
                0..=4 => Word::Accept,
                5..=6 => Word::Release,
                7 => Word::Reject,
                _ => continue,
            };
            words.insert(*record, (word, *nth));
        }
        let Some(((topic, _), _)) = words.keys().next().copied() else { return Ok(()) };
        session.has.retain(|record, _| !words.contains_key(record));
        let epoch = session.epoch;
        let mut partitions: Vec<AcknowledgePartition> = Vec::new();
        for ((place, offset), (word, _)) in &words {
            let batch = AcknowledgementBatch {
                first_offset: *offset,
                last_offset: *offset,
                acknowledge_types: vec![word.code()],
            };
            match partitions.last_mut().filter(|last| last.partition_index == place.1) {
                Some(last) => last.acknowledgement_batches.push(batch),
                None => partitions.push(AcknowledgePartition {
                    partition_index: place.1,
                    acknowledgement_batches: vec![batch],
                }),
            }
        }
        let id = self.id.clone();
        let request = ShareAcknowledgeRequest {
            group_id: Some(GROUP.into()),
            member_id: Some(id.as_str().into()),
            share_session_epoch: epoch,
            topics: vec![AcknowledgeTopic { topic_id: self.topic_id(topic), partitions }],
            ..Default::default()
        };
        let asked = time();
        let answer = self.client.call(ApiKey::ShareAcknowledge, VERSION, &request, EXTRA).await;
        let Some(answer) = answer else { return Ok(()) };
        let response: ShareAcknowledgeResponse<'_> = answer.decode()?;
        if !self.is_served("ShareAcknowledge", response.error_code) {
            return Ok(());
        }
        if let Some(session) = self.session.as_mut() {
            session.epoch += 1;
        }
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            self.told((topic, data.partition_index), data.error_code, &words, asked);
        }
        self.client.control.success(self.client.number);
        Ok(())
    }

    /// What became of what it said about a partition's records: all of it counts, or nothing.
    fn told(&mut self, place: Place, code: i16, words: &BTreeMap<Record, (Word, usize)>, asked: Time) {
        if code == ErrorCode::InvalidRecordState.code() || code == ErrorCode::FencedStateEpoch.code() {
            // They were taken back in the meantime.
            self.client.control.book.borrow_mut().counts.refused += 1;
            return;
        }
        if code != 0 {
            self.client.refused("ShareAcknowledge of a partition", code);
            return;
        }
        let mut ledger = self.client.control.ledger.borrow_mut();
        for (record, (word, nth)) in words.range((place, i64::MIN)..=(place, i64::MAX)) {
            ledger.believed(*record, *nth, *word, (asked, time()));
        }
    }
}
