//! Produce: batches on their way to the cores that own their partitions.

use crate::broker::Broker;
use crate::coordinators::ask_transactions;
use crate::errors;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::{self, ByCore};
use controller::changes::names::is_internal;
use kafka_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_wire::produce_view::{ProducePartition, ProduceView, TopicRef};
use kafka_wire::record_batch::Compression;
use kafka_wire::{ErrorCode, RecordBatch, Records, Uuid, WireError};
use model::Offset;
use network::Answer;
use shard::operation::{AppendDone, AppendItem, Operation};
use shard::{Outcome, PartitionError};
use std::collections::BTreeMap;
use std::rc::Rc;
use storage::{AppendError, Origin};
use transactions::Outcome as Coordinated;
use transactions::{AddPartitions, EPOCH_BUMP, PartitionSet};

/// From this version on the broker adds partitions to transactions (KIP-890).
const ADDS: i16 = 12;
/// From this version on clients know TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 11;

/// From this version on producers may send zstd (KIP-110).
const KNOWS_ZSTD: i16 = 7;

/// What became of one partition's batches.
type Part = Result<AppendDone, (ErrorCode, Option<String>)>;

/// What a producer's coordinator is to be asked about: partitions, and the batches that wait for them.
type Unasked = (PartitionSet, Vec<(usize, Verified)>);

/// Appends every partition's batches and answers when they are as durable as `acks` wants: 0 waits for nothing
/// and gets no answer, 1 and all wait for the device.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let view = decoded(request, ProduceView::decode(&mut request.reader(), request.version))?;
    if let Some(charge) = &request.charge {
        charge.produce();
    }
    let mut parts: Vec<Option<Part>> = (0..view.partition_count).map(|_| None).collect();
    if matches!(view.acks, -1..=1) {
        append(broker, request, &view, &mut parts).await;
    } else {
        let refused = (ErrorCode::InvalidRequiredAcks, None);
        parts.fill_with(|| Some(Err(refused.clone())));
    }
    if view.acks == 0 {
        // No answer will tell of them.
        let failed = parts.iter().flatten().filter_map(|part| part.as_ref().err());
        failed.for_each(|(code, _)| request.count_errors(&[(code.code(), 1)]));
        return Ok(without_acknowledgement(&view, &parts));
    }
    Ok(answer(request, &response(&view, parts)))
}

async fn append(broker: &Rc<Broker>, request: &Request, view: &ProduceView<'_>, parts: &mut [Option<Part>]) {
    // Everything up to the calls happens without waiting: so the batches of one connection reach their
    // partitions in the order in which they were sent.
    let mut by_core = ByCore::new();
    {
        let image = broker.image();
        let mut topic: Option<(usize, Result<&std::sync::Arc<controller::Topic>, ErrorCode>)> = None;
        for (place, item) in view.partitions().enumerate() {
            let found = match &topic {
                Some((index, found)) if *index == item.topic_index => *found,
                _ => route::topic(&image, &item.topic),
            };
            topic = Some((item.topic_index, found));
            let routed = found.and_then(|topic| match is_internal(&topic.name) && !is_admin(request) {
                true => Err(ErrorCode::InvalidTopicException),
                false => broker.route(topic, item.partition),
            });
            match (routed, item.records) {
                (Err(code), _) => parts[place] = Some(Err((code, None))),
                (Ok(routed), records) => match one_batch(records, request.version) {
                    Ok(bytes) => {
                        let batches = request.share(bytes);
                        let item = AppendItem { partition: routed.partition, batches, since: None };
                        by_core.push(routed.shard, place, item);
                    }
                    Err((code, text)) => parts[place] = Some(Err((code, Some(text.to_owned())))),
                },
            }
        }
    }
    let durable = view.acks != 0;
    let unverified = append_all(broker, by_core, (Origin::Client, durable), parts).await;
    if !unverified.is_empty() {
        // Boxed: it is rare, and would make the future of every Produce larger.
        Box::pin(append_verified(broker, request, view, &unverified, parts)).await;
    }
}

/// The bytes of a partition, if they are one batch as producers send it; else what Kafka says, before it looks at what
/// its log asks of a batch. A message set of an older format may be shorter than the header of a batch.
fn one_batch(records: Records<'_>, version: i16) -> Result<&[u8], (ErrorCode, &'static str)> {
    const NONE: (ErrorCode, &str) =
        (ErrorCode::InvalidRecord, "a Produce request must hold one record batch a partition");
    let Records::Bytes(bytes) = records else { return Err(NONE) };
    let (batch, rest) = match RecordBatch::split_first(bytes) {
        Ok(split) => split,
        Err(WireError::UnexpectedEnd { .. }) => return Err(NONE),
        Err(WireError::UnsupportedMagic(0 | 1)) => {
            return Err((ErrorCode::InvalidRecord, "message sets of before magic 2 are not taken"));
        }
        Err(_) => return Err((ErrorCode::CorruptMessage, "no record batch has such a length or magic")),
    };
    if version < KNOWS_ZSTD && batch.compression() == Ok(Compression::Zstd) {
        return Err((ErrorCode::UnsupportedCompressionType, "zstd is taken from version 7 of Produce on"));
    }
    if RecordBatch::split_first(rest).is_ok() {
        return Err(NONE);
    }
    if batch.base_offset() != 0 {
        return Err((ErrorCode::InvalidRecord, "the base offset of a producer's batch must be 0"));
    }
    Ok(bytes)
}

/// Appends on all cores at once. Gives back the places of batches that would open a transaction, in order, and where
/// their logs ended.
async fn append_all(
    broker: &Rc<Broker>,
    by_core: ByCore<AppendItem>,
    (origin, durable): (Origin, bool),
    parts: &mut [Option<Part>],
) -> Vec<(usize, Offset)> {
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| {
            (places, broker.ask(shard, Operation::Append { items, origin, durable }))
        })
        .collect();
    let mut unverified = Vec::new();
    for (places, call) in calls {
        let Some(Outcome::Appended(results)) = call.await else {
            // It is stopping. What was said of these batches before is out of date.
            for place in places {
                parts[place] = Some(Err((ErrorCode::NotLeaderOrFollower, None)));
            }
            continue;
        };
        for (place, result) in places.into_iter().zip(results) {
            if let Err(PartitionError::Append(AppendError::Unverified { log_end })) = &result {
                unverified.push((place, *log_end));
            }
            parts[place] = Some(result.map_err(|error| (errors::of_partition(&error), message(&error))));
        }
    }
    unverified.sort_unstable();
    unverified
}

/// Has batches that open a transaction verified by its coordinator, or their partitions added, and appends them then.
/// Once a transaction is open in a partition its batches need this no more.
async fn append_verified(
    broker: &Rc<Broker>,
    request: &Request,
    view: &ProduceView<'_>,
    unverified: &[(usize, Offset)],
    parts: &mut [Option<Part>],
) {
    let Some(id) = view.transactional_id else {
        for &(place, _) in unverified {
            parts[place] = Some(Err((ErrorCode::TransactionalIdAuthorizationFailed, None)));
        }
        return;
    };
    let image = broker.image();
    let adds = request.version >= ADDS;
    // A request is of one producer; should it not be, each of them is asked about.
    let mut asked: BTreeMap<(i64, i16), Unasked> = BTreeMap::new();
    for (place, item) in view.partitions().enumerate() {
        let Ok(found) = unverified.binary_search_by_key(&place, |(place, _)| *place) else { continue };
        let Records::Bytes(bytes) = item.records else { continue };
        let (Ok((batch, _)), Ok(topic)) =
            (RecordBatch::split_first(bytes), route::topic(&image, &item.topic))
        else {
            continue;
        };
        let Ok(routed) = broker.route(topic, item.partition) else { continue };
        let producer = (batch.producer_id(), batch.producer_epoch());
        let (set, places) = asked.entry(producer).or_default();
        set.insert(&topic.name, item.partition);
        let since = (!adds).then_some(unverified[found].1);
        let verified = Verified { topic: topic.name.clone(), routed, batches: request.share(bytes), since };
        places.push((place, verified));
    }
    let mut by_core = ByCore::new();
    for ((producer_id, epoch), (partitions, places)) in asked {
        let add = AddPartitions {
            transactional_id: id.to_owned(),
            producer_id,
            epoch,
            partitions,
            verify_only: !adds,
            client_version: if adds { EPOCH_BUMP } else { 0 },
        };
        let outcome = ask_transactions::serve(broker, transactions::Request::Add(add)).await;
        for (place, one) in places {
            match verdict(&outcome, &one.topic, one.routed.partition.partition.0, request.version) {
                Ok(()) => {
                    let (partition, since) = (one.routed.partition, one.since);
                    let item = AppendItem { partition, batches: one.batches, since };
                    by_core.push(one.routed.shard, place, item);
                }
                Err(code) => parts[place] = Some(Err((code, None))),
            }
        }
    }
    let origin = Origin::Verified { bumps_epoch: adds };
    append_all(broker, by_core, (origin, view.acks != 0), parts).await;
}

/// Batches whose coordinator is asked.
struct Verified {
    topic: std::sync::Arc<str>,
    routed: route::Routed,
    batches: memory::Slice,
    /// Where the log ended before. In V1 the batches of a transaction that has ended since look like those of the next;
    /// in V2 their epoch tells, and the end of the one before may have come since.
    since: Option<Offset>,
}

/// Whether a partition is in the transaction, as the coordinator says; else what a client of the version is told.
fn verdict(outcome: &Coordinated, topic: &str, partition: i32, version: i16) -> Result<(), ErrorCode> {
    let code = match outcome {
        Coordinated::Added => return Ok(()),
        Coordinated::Verified { missing } if !missing.contains(topic, partition) => return Ok(()),
        Coordinated::Verified { .. } => ErrorCode::TransactionAbortable,
        Coordinated::Refused(code) => *code,
        _ => ErrorCode::UnknownServerError,
    };
    Err(match code {
        ErrorCode::TransactionAbortable if version < KNOWS_ABORTABLE => ErrorCode::InvalidTxnState,
        ErrorCode::ConcurrentTransactions if version >= ADDS => ErrorCode::ConcurrentTransactions,
        // What passes: clients of every version try again after this.
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        code => code,
    })
}

/// Topics of the coordinators are written by Kafka's own tools only, which call themselves so.
fn is_admin(request: &Request) -> bool {
    request.client_id().is_some_and(|id| id == "__admin_client")
}

/// The words that go with an error; storage's own troubles are for the log, not for clients.
fn message(error: &PartitionError) -> Option<String> {
    match error {
        PartitionError::Append(error) => Some(error.to_string()),
        _ => None,
    }
}

/// With acks 0 there is no answer; an error is told by closing the connection, as Kafka does, so that the client
/// asks for metadata again.
fn without_acknowledgement(view: &ProduceView<'_>, parts: &[Option<Part>]) -> Answer {
    let failed = view.partitions().zip(parts).find_map(|(item, part)| match part {
        Some(Err((code, _))) => Some((item.partition, *code)),
        _ => None,
    });
    match failed {
        Some((partition, code)) => {
            Answer::Close(format!("a Produce with acks 0 failed on partition {partition}: {}", code.name()))
        }
        None => Answer::Nothing,
    }
}

fn response<'a>(view: &ProduceView<'a>, parts: Vec<Option<Part>>) -> ProduceResponse<'a> {
    let mut response = ProduceResponse::default();
    let mut last = None;
    for (item, part) in view.partitions().zip(parts) {
        if last != Some(item.topic_index) {
            last = Some(item.topic_index);
            response.responses.push(topic_response(&item));
        }
        if let Some(topic) = response.responses.last_mut() {
            topic.partition_responses.push(partition_response(item.partition, part));
        }
    }
    response
}

fn topic_response<'a>(item: &ProducePartition<'a>) -> TopicProduceResponse<'a> {
    match item.topic {
        TopicRef::Name(name) => TopicProduceResponse { name: name.into(), ..Default::default() },
        TopicRef::Id(id) => TopicProduceResponse { topic_id: Uuid(id.0), ..Default::default() },
    }
}

fn partition_response<'a>(index: i32, part: Option<Part>) -> PartitionProduceResponse<'a> {
    // Every part has an answer by now.
    let part = part.unwrap_or(Err((ErrorCode::NotLeaderOrFollower, None)));
    match part {
        Ok(done) => PartitionProduceResponse {
            index,
            base_offset: done.base_offset.0,
            log_append_time_ms: done.log_append_time_ms,
            log_start_offset: done.log_start.0,
            ..Default::default()
        },
        Err((code, message)) => PartitionProduceResponse {
            index,
            error_code: code as i16,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            error_message: message.map(Into::into),
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::record_batch::BatchBuilder;

    fn batch(mut builder: BatchBuilder) -> Vec<u8> {
        builder.append(5, None, Some(b"value"), &[]).expect("a record");
        builder.build().expect("a batch")
    }

    fn code(bytes: &[u8], version: i16) -> ErrorCode {
        match one_batch(Records::Bytes(bytes), version) {
            Ok(taken) => {
                assert_eq!(taken, bytes);
                ErrorCode::None
            }
            Err((code, _)) => code,
        }
    }

    #[test]
    fn a_partition_is_given_one_batch_that_counts_from_0() {
        let good = batch(BatchBuilder::new());
        assert_eq!(code(&good, 13), ErrorCode::None);
        assert_eq!(code(&[&good[..], &good[..]].concat(), 13), ErrorCode::InvalidRecord, "two");
        assert_eq!(code(&batch(BatchBuilder::new().base_offset(1)), 13), ErrorCode::InvalidRecord);
        for cut in [0, 11, 16, 17, 60, good.len() - 1] {
            assert_eq!(code(&good[..cut], 13), ErrorCode::InvalidRecord, "{cut} bytes");
        }
        assert!(one_batch(Records::Null, 13).is_err());
        let mut short = good;
        short[8..12].copy_from_slice(&40_i32.to_be_bytes());
        assert_eq!(code(&short, 13), ErrorCode::CorruptMessage);
    }

    #[test]
    fn older_formats_are_refused_for_good_though_they_are_short() {
        // Offset, size, CRC, magic, attributes; from 1 on a time; neither key nor value.
        for (magic, bytes) in [(0, 26), (1, 34)] {
            let mut message = vec![0; bytes];
            message[8..12].copy_from_slice(&(bytes as i32 - 12).to_be_bytes());
            message[16] = magic;
            assert_eq!(code(&message, 3), ErrorCode::InvalidRecord, "magic {magic}");
            message[16] = 3;
            assert_eq!(code(&message, 3), ErrorCode::CorruptMessage, "nobody knows it");
        }
    }

    #[test]
    fn zstd_is_for_those_who_know_it() {
        let mut builder = BatchBuilder::new();
        builder.append(5, None, Some(b"value"), &[]).expect("a record");
        let packed = builder.build_compressed(Compression::Zstd, b"packed").expect("a batch");
        assert_eq!(code(&packed, KNOWS_ZSTD - 1), ErrorCode::UnsupportedCompressionType);
        assert_eq!(code(&packed, KNOWS_ZSTD), ErrorCode::None);
    }

    #[test]
    fn clients_are_told_of_a_transaction_what_they_know() {
        let missing = Coordinated::Verified { missing: [("t", 1)].into_iter().collect() };
        assert_eq!(verdict(&missing, "t", 0, 9), Ok(()));
        assert_eq!(verdict(&missing, "t", 1, 9), Err(ErrorCode::InvalidTxnState));
        assert_eq!(verdict(&missing, "t", 1, 11), Err(ErrorCode::TransactionAbortable));
        assert_eq!(verdict(&Coordinated::Added, "t", 1, 12), Ok(()));
        let concurrent = Coordinated::Refused(ErrorCode::ConcurrentTransactions);
        assert_eq!(verdict(&concurrent, "t", 1, 9), Err(ErrorCode::NotEnoughReplicas));
        assert_eq!(verdict(&concurrent, "t", 1, 12), Err(ErrorCode::ConcurrentTransactions));
        let fenced = Coordinated::Refused(ErrorCode::ProducerFenced);
        assert_eq!(verdict(&fenced, "t", 1, 12), Err(ErrorCode::InvalidProducerEpoch));
    }
}
