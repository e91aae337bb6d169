//! Fetch: batches from the memory and the files of the cores that own the partitions.
//!
//! A request becomes a list of wanted partitions, its own or its session's. They are read on all cores at once.
//! If that is less than `min.bytes`, the cores watch until it is more or the time is up, and are read again. Bytes are
//! never copied here: the answer refers to them.

use crate::broker::Broker;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::{answer, answer_with};
use crate::route::{self, ByCore, Routed};
use crate::sessions::{SessionError, TopicKey, Wanted};
use base::Instant;
use executor::{Either, now, race, sleep_until};
use kafka_wire::fetch_view::{FetchView, TopicRef};
use kafka_wire::messages::fetch_response::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, PartitionData,
};
use kafka_wire::{ErrorCode, Records, Uuid};
use memory::Slice;
use model::config::Compression;
use model::{LeaderEpoch, Offset};
use network::Answer;
use shard::Outcome;
use shard::operation::{Operation, ReadDone, ReadItem, Seen};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use storage::ReadBound;

/// A session's id on the wire that says: none.
const NO_SESSION: i32 = 0;
/// The epoch of a request that makes a session, or renews one.
const FIRST_EPOCH: i32 = 0;
/// The epoch of a request that wants none, or ends one.
const FINAL_EPOCH: i32 = -1;

/// From this version on consumers know zstd (KIP-110).
const KNOWS_ZSTD: i16 = 10;
/// From this version on topics go by id (KIP-516).
const TOPIC_IDS: i16 = 13;

/// What was read of one partition.
type Part = Result<ReadDone, ErrorCode>;

/// Where the session of a request stands.
enum Mode {
    /// Without one: all partitions are answered.
    Full,
    /// A new one if there is room: all partitions are answered.
    Create,
    /// An old one: only what has news is answered.
    Resume(i32),
}

/// The bounds of one request.
struct Bounds {
    deadline: Instant,
    bytes_min: u64,
    bytes_max: usize,
    bound: ReadBound,
    /// The consumer can read zstd.
    knows_zstd: bool,
}

/// Answers at once if there is enough, an error, or no time to wait; else when one of these comes about.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    let _turn = request.connection.fetching.take(1).await;
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let view = decoded(request, FetchView::decode(&mut request.reader(), request.version))?;
    let (mode, wanted) = match open(broker, &view, request.version >= TOPIC_IDS) {
        Ok(opened) => opened,
        Err(error) => {
            let code = match error {
                SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
                SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
                SessionError::OtherNames => ErrorCode::FetchSessionTopicIdError,
            };
            let response = FetchResponse { error_code: code as i16, ..Default::default() };
            return Ok(answer(request, &response));
        }
    };
    let charge = request.charge.as_ref();
    // More would have to wait even if nothing was fetched before: then it would never come.
    let of_quota = charge.map_or(usize::MAX, |charge| charge.fetch_bytes_max());
    let of_quota = i32::try_from(of_quota).unwrap_or(i32::MAX);
    let bytes_max = view.max_bytes.min(broker.config().fetch_max_bytes).min(of_quota).max(0);
    let bounds = Bounds {
        deadline: now() + Duration::from_millis(view.max_wait_ms.max(0) as u64),
        // Nobody can be given more than the most.
        bytes_min: view.min_bytes.clamp(0, bytes_max) as u64,
        bytes_max: bytes_max as usize,
        bound: if view.isolation_level == 1 { ReadBound::LastStable } else { ReadBound::HighWatermark },
        knows_zstd: request.version >= KNOWS_ZSTD,
    };
    let parts = read_until_enough(broker, &wanted, &bounds).await;
    let bytes: usize = parts.iter().flatten().map(|done| done.bytes).sum();
    if charge.is_some_and(|charge| !charge.fetch(bytes)) {
        return Ok(give_nothing(broker, request, &mode, wanted));
    }
    let committed = bounds.bound == ReadBound::LastStable;
    Ok(respond(broker, request, mode, (wanted, parts), committed))
}

fn key_of(topic: &TopicRef<'_>) -> TopicKey {
    match topic {
        TopicRef::Name(name) => TopicKey::Name((*name).into()),
        TopicRef::Id(id) => TopicKey::Id(*id),
    }
}

/// What is wanted, from the request, which names topics by id or not, and its session.
fn open(broker: &Broker, view: &FetchView<'_>, by_id: bool) -> Result<(Mode, Vec<Wanted>), SessionError> {
    let wanted: Vec<Wanted> = view
        .partitions()
        .map(|item| Wanted {
            topic: key_of(&item.topic),
            partition: item.partition,
            leader_epoch: item.current_leader_epoch,
            offset: item.fetch_offset,
            max_bytes: item.partition_max_bytes,
            told: None,
        })
        .collect();
    let mut sessions = broker.sessions.borrow_mut();
    match (view.session_id, view.session_epoch) {
        (id, FINAL_EPOCH) => {
            sessions.remove(id);
            Ok((Mode::Full, wanted))
        }
        (id, FIRST_EPOCH) => {
            if id != NO_SESSION {
                sessions.remove(id);
            }
            Ok((Mode::Create, wanted))
        }
        (id, epoch) => {
            let forgotten: Vec<_> =
                view.forgotten().map(|item| (key_of(&item.topic), item.partition)).collect();
            let wanted = sessions.resume(id, (epoch, by_id), wanted, &forgotten, now())?;
            Ok((Mode::Resume(id), wanted))
        }
    }
}

async fn read_until_enough(broker: &Rc<Broker>, wanted: &[Wanted], bounds: &Bounds) -> Vec<Part> {
    let mut watched = false;
    loop {
        let (routes, mut parts) = resolve(broker, wanted, bounds.knows_zstd);
        read(broker, wanted, &routes, &mut parts, bounds).await;
        let bytes: usize = parts.iter().flatten().map(|done| done.bytes).sum();
        let failed = parts.iter().any(Result::is_err);
        let enough = bytes as u64 >= bounds.bytes_min;
        // What a watch counts is not always what a read gives: the partitions' own limits and the ends of segments
        // make it less. Waiting for more of it would never end.
        let all_there_is = watched && bytes > 0;
        // Kafka answers at once too when there is nothing to wait for.
        if failed || enough || all_there_is || wanted.is_empty() || now() >= bounds.deadline {
            return parts;
        }
        let news = watch(broker, wanted, &routes, &parts, bounds);
        if let Either::Right(()) = race(news, sleep_until(bounds.deadline)).await {
            return parts;
        }
        watched = true;
    }
}

/// Where each partition is; those that are nowhere, or not for this consumer, have their errors.
fn resolve(broker: &Broker, wanted: &[Wanted], knows_zstd: bool) -> (Vec<Option<Routed>>, Vec<Part>) {
    let image = broker.image();
    // Of a topic that keeps what producers send it may read what it can, as in Kafka.
    let is_readable = |topic: &controller::Topic| {
        knows_zstd || broker.topic_config(&image, topic).compression_type != Compression::Zstd
    };
    wanted
        .iter()
        .map(|one| {
            let name = match &one.topic {
                TopicKey::Name(name) => TopicRef::Name(name),
                TopicKey::Id(id) => TopicRef::Id(*id),
            };
            let routed = route::topic(&image, &name).and_then(|topic| match is_readable(topic) {
                true => broker.route(topic, one.partition),
                false => Err(ErrorCode::UnsupportedCompressionType),
            });
            match routed {
                Ok(routed) => (Some(routed), Err(ErrorCode::NotLeaderOrFollower)),
                Err(code) => (None, Err(code)),
            }
        })
        .unzip()
}

/// Reads on all cores at once. Each may give the whole of the bytes; what is too much together is dropped from the
/// end, which costs nothing: these are references.
async fn read(
    broker: &Rc<Broker>,
    wanted: &[Wanted],
    routes: &[Option<Routed>],
    parts: &mut [Part],
    bounds: &Bounds,
) {
    let mut by_core = ByCore::new();
    for (place, (one, routed)) in wanted.iter().zip(routes).enumerate() {
        if let Some(routed) = routed {
            let item = ReadItem {
                partition: routed.partition,
                from: Offset(one.offset),
                bytes_max: one.max_bytes.max(0) as usize,
                leader_epoch: LeaderEpoch(one.leader_epoch),
            };
            by_core.push(routed.shard, place, item);
        }
    }
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| {
            let operation = Operation::Read {
                items,
                bytes_max: bounds.bytes_max,
                minimum_one: true,
                bound: bounds.bound,
            };
            (places, broker.ask(shard, operation))
        })
        .collect();
    let several = calls.len() > 1;
    for (places, call) in calls {
        let Some(Outcome::Read(results)) = call.await else { continue };
        for (place, result) in places.into_iter().zip(results) {
            parts[place] = result.map_err(|error| errors::of_partition(&error));
        }
    }
    if several {
        keep_within(parts, bounds.bytes_max);
    }
}

/// Drops data from the end until the rest is within the limit; the first that has any keeps it whatever its size.
fn keep_within(parts: &mut [Part], bytes_max: usize) {
    let mut bytes = 0;
    for done in parts.iter_mut().flatten().filter(|done| done.bytes > 0) {
        if bytes > 0 && bytes + done.bytes > bytes_max {
            done.slices.clear();
            done.aborted.clear();
            done.bytes = 0;
        }
        bytes += done.bytes;
    }
}

/// Waits until a core has news of what is wanted.
async fn watch(
    broker: &Rc<Broker>,
    wanted: &[Wanted],
    routes: &[Option<Routed>],
    parts: &[Part],
    bounds: &Bounds,
) {
    let mut by_core = ByCore::new();
    for ((place, (one, routed)), part) in wanted.iter().zip(routes).enumerate().zip(parts) {
        if let (Some(routed), Ok(done)) = (routed, part) {
            let end = match bounds.bound {
                ReadBound::LastStable => done.last_stable,
                _ => done.high_watermark,
            };
            let seen = Seen {
                partition: routed.partition,
                from: Offset(one.offset),
                end,
                log_start: done.log_start,
            };
            by_core.push(routed.shard, place, seen);
        }
    }
    let total: u64 = parts.iter().flatten().map(|done| done.bytes as u64).sum();
    let mut calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, seen)| {
            // What the other cores have already counts for this one.
            let here: u64 =
                places.iter().filter_map(|&p| parts[p].as_ref().ok()).map(|d| d.bytes as u64).sum();
            let bytes_min = bounds.bytes_min.saturating_sub(total - here).max(here + 1);
            Box::pin(broker.ask(shard, Operation::Watch { seen, bytes_min, bound: bounds.bound }))
        })
        .collect();
    poll_fn(|context| {
        let news = calls.iter_mut().any(|call| Pin::new(call).poll(context).is_ready());
        if news { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn respond(
    broker: &Broker,
    request: &Request,
    mode: Mode,
    (wanted, parts): (Vec<Wanted>, Vec<Part>),
    committed: bool,
) -> Answer {
    let incremental = matches!(mode, Mode::Resume(_));
    let mut response = FetchResponse::default();
    let mut payloads = Vec::new();
    let mut kept = Vec::with_capacity(wanted.len());
    for (mut one, part) in wanted.into_iter().zip(parts) {
        let told = part.as_ref().ok().map(|done| (done.high_watermark.0, done.log_start.0));
        let gave_data = part.as_ref().is_ok_and(|done| done.bytes > 0);
        let news = gave_data || told.is_none() || told != one.told;
        if news || !incremental {
            let data = partition_data(&one, part, (request.version, committed), &mut payloads);
            add(&mut response, &one.topic, data);
        }
        one.told = told;
        kept.push((one, gave_data));
    }
    let mut sessions = broker.sessions.borrow_mut();
    response.session_id = match mode {
        Mode::Full => NO_SESSION,
        Mode::Create if request.version >= 7 => {
            let partitions = kept.into_iter().map(|(one, _)| one).collect();
            sessions.create(partitions, now(), executor::random).unwrap_or(NO_SESSION)
        }
        Mode::Create => NO_SESSION,
        Mode::Resume(id) => {
            sessions.finish(id, kept);
            id
        }
    };
    answer_with(request, &response, payloads)
}

/// The answer to a client that has used more than it may: nothing of what was read, and all that it wanted is wanted
/// still.
fn give_nothing(broker: &Broker, request: &Request, mode: &Mode, wanted: Vec<Wanted>) -> Answer {
    let session_id = match *mode {
        Mode::Full | Mode::Create => NO_SESSION,
        Mode::Resume(id) => {
            let kept = wanted.into_iter().map(|one| (one, false)).collect();
            broker.sessions.borrow_mut().finish(id, kept);
            id
        }
    };
    answer(request, &FetchResponse { session_id, ..Default::default() })
}

/// Appends to the last topic of the response, or begins it.
fn add<'a>(response: &mut FetchResponse<'a>, topic: &TopicKey, data: PartitionData<'a>) {
    let same = response.responses.last().is_some_and(|last| match topic {
        TopicKey::Name(name) => last.topic == **name,
        TopicKey::Id(id) => last.topic_id == *id,
    });
    if !same {
        response.responses.push(match topic {
            TopicKey::Name(name) => {
                FetchableTopicResponse { topic: name.to_string().into(), ..Default::default() }
            }
            TopicKey::Id(id) => FetchableTopicResponse { topic_id: Uuid(id.0), ..Default::default() },
        });
    }
    if let Some(last) = response.responses.last_mut() {
        last.partitions.push(data);
    }
}

fn aborted((producer_id, first_offset): &(i64, Offset)) -> AbortedTransaction {
    AbortedTransaction { producer_id: *producer_id, first_offset: first_offset.0 }
}

fn partition_data<'a>(
    one: &Wanted,
    part: Part,
    (version, committed): (i16, bool),
    payloads: &mut Vec<Vec<Slice>>,
) -> PartitionData<'a> {
    let mut data = PartitionData {
        partition_index: one.partition,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        records: Records::Bytes(&[]),
        ..Default::default()
    };
    match part {
        Ok(done) => {
            data.high_watermark = done.high_watermark.0;
            data.last_stable_offset = done.last_stable.0;
            // No list at all for those who read everything, as Kafka has it.
            data.aborted_transactions = committed.then(|| done.aborted.iter().map(aborted).collect());
            data.log_start_offset = if version >= 5 { done.log_start.0 } else { -1 };
            if done.bytes > 0 {
                data.records = Records::External { index: payloads.len() as u32, len: done.bytes as u32 };
                payloads.push(done.slices);
            }
        }
        Err(code) => data.error_code = code as i16,
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: usize) -> Part {
        Ok(ReadDone { bytes, slices: vec![Slice::from(vec![0; bytes])], ..ReadDone::default() })
    }

    #[test]
    fn the_first_batch_is_kept_whatever_its_size() {
        let sizes = |parts: &[Part]| parts.iter().flatten().map(|d| d.bytes).collect::<Vec<_>>();
        let mut parts = vec![Err(ErrorCode::None), part(100), part(1)];
        keep_within(&mut parts, 10);
        assert_eq!(sizes(&parts), [100, 0]);
        let mut parts = vec![part(0), part(6), part(5), part(4)];
        keep_within(&mut parts, 10);
        assert_eq!(sizes(&parts), [0, 6, 0, 4]);
    }
}
