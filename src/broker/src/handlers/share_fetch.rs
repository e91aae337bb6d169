//! ShareFetch: records for a member of a share group, and its word on those that it has (KIP-932).
//!
//! The request goes on with the member's session, acknowledges, and is given what may be handed out. Bytes are never
//! copied here: the answer refers to them.

use crate::broker::Broker;
use crate::features::serves_share_groups;
use crate::request::{Request, answered, decoded};
use crate::response::{answer, answer_with};
use crate::sharing::Fetched;
use crate::sharing::acking::{self, Renewal, Said};
use crate::sharing::ask;
use crate::sharing::fetching::{self, Fetch, Part};
use crate::sharing::seat::Seated;
use executor::{now, sleep};
use kafka_wire::messages::share_fetch_request::ShareFetchRequest;
use kafka_wire::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, PartitionData, ShareFetchResponse, ShareFetchableTopicResponse,
};
use kafka_wire::{ErrorCode, Records, Uuid};
use memory::Slice;
use model::TopicPartition;
use network::Answer;
use share::Wish;
use share::sessions::{FINAL_EPOCH, INITIAL_EPOCH, Visit, partition};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The acquire mode that takes not one record more than was asked for (KIP-1206).
const STRICT: i8 = 1;

/// What is told of one partition.
#[derive(Default)]
struct Told {
    /// Set if the request acknowledged something there.
    acked: Option<ErrorCode>,
    fetched: Option<Part>,
}

/// Answers when what was acknowledged is durable, and there are records, an error, or no time left.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ShareFetchRequest<'_> = decoded(request, request.decode())?;
    let mut payloads = Vec::new();
    match serve(broker, request, &asked).await {
        Ok(told) => {
            let lock_ms = broker.share_settings(asked.group_id.as_deref().unwrap_or_default()).limits.lock_ms;
            let response = ShareFetchResponse {
                acquisition_lock_timeout_ms: i32::try_from(lock_ms).unwrap_or(i32::MAX),
                responses: topics(told, &mut payloads),
                ..Default::default()
            };
            Ok(answer_with(request, &response, payloads))
        }
        Err(code) => {
            let response = ShareFetchResponse {
                error_code: code.code(),
                error_message: Some(code.message().into()),
                ..Default::default()
            };
            Ok(answer(request, &response))
        }
    }
}

async fn serve(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &ShareFetchRequest<'_>,
) -> Result<BTreeMap<TopicPartition, Told>, ErrorCode> {
    if !serves_share_groups(broker) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let (group, member) = ask::who(asked.group_id.as_deref(), asked.member_id.as_deref())?;
    check(asked)?;
    let seen = match ask::visit(broker, visit(asked, group, member)).await {
        Err(ErrorCode::ShareSessionLimitReached) => {
            // It will ask again at once, so it is told when it would have been told that there is nothing.
            sleep(wait_of(asked)).await;
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        seen => seen?,
    };
    let renewal = Renewal { is_said: asked.is_renew_ack, is_let: broker.share_settings(group).may_renew };
    if asked.share_session_epoch == INITIAL_EPOCH {
        let (group, member) = (group.to_owned(), member.to_owned());
        request.seat.take(Seated { group, member, serial: seen.serial });
    }
    let (group, member): (Arc<str>, Arc<str>) = (Arc::from(group), Arc::from(member));
    let mut told: BTreeMap<TopicPartition, Told> = BTreeMap::new();
    for (partition, code) in acking::acknowledge(broker, &group, &member, said(asked, renewal)).await {
        told.entry(partition).or_default().acked = Some(code);
    }
    if asked.share_session_epoch == FINAL_EPOCH {
        ask::release(broker, &group, &member, &seen.partitions).await;
        return Ok(told);
    }
    if asked.is_renew_ack {
        return Ok(told);
    }
    let fetch = wanted(broker, asked, (group, member), seen.partitions);
    let parts = fetching::run(broker, &fetch).await;
    for (partition, part) in fetch.partitions.into_iter().zip(parts) {
        // In a session that goes on, only what has news is told.
        let is_news = part.as_ref().map_or(true, |part| !part.acquired.is_empty());
        if is_news || asked.share_session_epoch == INITIAL_EPOCH || told.contains_key(&partition) {
            told.entry(partition).or_default().fetched = Some(part);
        }
    }
    Ok(told)
}

/// Checks what can be checked without the session.
fn check(asked: &ShareFetchRequest<'_>) -> Result<(), ErrorCode> {
    let acknowledges = || {
        let partitions = asked.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.into_iter().any(|one| !one.acknowledgement_batches.is_empty())
    };
    if asked.share_session_epoch == INITIAL_EPOCH && acknowledges() {
        // Nobody has anything before its first request.
        return Err(ErrorCode::InvalidRequest);
    }
    if !(0..=STRICT).contains(&asked.share_acquire_mode) {
        return Err(ErrorCode::InvalidRequest);
    }
    let wants = asked.max_wait_ms | asked.min_bytes | asked.max_bytes | asked.max_records;
    if asked.is_renew_ack && wants != 0 {
        // One that begins locks anew is not to be held up by a wait for records.
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

fn visit(asked: &ShareFetchRequest<'_>, group: &str, member: &str) -> Visit {
    let added = asked.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |one| partition(topic.topic_id.0, one.partition_index))
    });
    let forgotten = asked.forgotten_topics_data.iter();
    let forgotten =
        forgotten.flat_map(|topic| topic.partitions.iter().map(move |one| partition(topic.topic_id.0, *one)));
    Visit {
        group: group.to_owned(),
        member: member.to_owned(),
        epoch: asked.share_session_epoch,
        added: added.collect(),
        forgotten: forgotten.collect(),
        may_begin: true,
    }
}

/// How long the request waits at most.
fn wait_of(asked: &ShareFetchRequest<'_>) -> Duration {
    Duration::from_millis(u64::try_from(asked.max_wait_ms).unwrap_or(0))
}

/// What the request acknowledges.
fn said(asked: &ShareFetchRequest<'_>, renewal: Renewal) -> Vec<Said> {
    let mut all = Vec::new();
    for topic in &asked.topics {
        for one in topic.partitions.iter().filter(|one| !one.acknowledgement_batches.is_empty()) {
            let batches = one.acknowledgement_batches.iter();
            let batches = batches
                .map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types.as_slice()));
            let checked = acking::checked(batches, renewal);
            all.push((partition(topic.topic_id.0, one.partition_index), checked));
        }
    }
    all
}

/// What the request wants, from everywhere in turn: each request begins with another partition.
fn wanted(
    broker: &Broker,
    asked: &ShareFetchRequest<'_>,
    (group, member): (Arc<str>, Arc<str>),
    mut partitions: Vec<TopicPartition>,
) -> Fetch {
    let turn = usize::try_from(asked.share_session_epoch).unwrap_or(0);
    if !partitions.is_empty() {
        let turn = turn % partitions.len();
        partitions.rotate_left(turn);
    }
    let bytes_max = asked.max_bytes.min(broker.config().fetch_max_bytes).max(0);
    Fetch {
        group,
        member,
        partitions,
        wish: Wish {
            records_max: i64::from(asked.max_records.max(0)),
            is_strict: asked.share_acquire_mode == STRICT,
            batch_size: i64::from(asked.batch_size.max(1)),
        },
        // Nobody can be given more than the most.
        bytes_min: asked.min_bytes.clamp(0, bytes_max) as usize,
        bytes_max: bytes_max as usize,
        deadline: now() + wait_of(asked),
    }
}

/// The answer's topics; in the order of their ids, as everything in `told` is.
fn topics<'a>(
    told: BTreeMap<TopicPartition, Told>,
    payloads: &mut Vec<Vec<Slice>>,
) -> Vec<ShareFetchableTopicResponse<'a>> {
    let mut topics: Vec<ShareFetchableTopicResponse<'a>> = Vec::new();
    for (partition, told) in told {
        let topic_id = Uuid(partition.topic.0);
        if topics.last().is_none_or(|last| last.topic_id != topic_id) {
            topics.push(ShareFetchableTopicResponse { topic_id, ..Default::default() });
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(partition_data(partition.partition.0, told, payloads));
        }
    }
    topics
}

fn partition_data<'a>(partition_index: i32, told: Told, payloads: &mut Vec<Vec<Slice>>) -> PartitionData<'a> {
    let acked = told.acked.unwrap_or(ErrorCode::None);
    let mut data = PartitionData {
        partition_index,
        acknowledge_error_code: acked.code(),
        acknowledge_error_message: message(acked),
        // Of no use on one node: it is this one.
        current_leader: LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 },
        records: Records::Bytes(&[]),
        ..Default::default()
    };
    match told.fetched.unwrap_or_else(|| Ok(Fetched::default())) {
        Ok(fetched) => {
            if fetched.bytes > 0 {
                data.records = Records::External { index: payloads.len() as u32, len: fetched.bytes as u32 };
                payloads.push(fetched.slices);
            }
            let acquired = fetched.acquired.iter().map(|one| AcquiredRecords {
                first_offset: one.first,
                last_offset: one.last,
                delivery_count: one.deliveries,
            });
            data.acquired_records = acquired.collect();
        }
        Err(code) => {
            data.error_code = code.code();
            data.error_message = message(code);
        }
    }
    data
}

fn message<'a>(code: ErrorCode) -> Option<kafka_wire::Str<'a>> {
    (code != ErrorCode::None).then(|| code.message().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic};

    fn asking(epoch: i32, types: &[i8]) -> ShareFetchRequest<'static> {
        let batches = types.iter().enumerate().map(|(at, kind)| AcknowledgementBatch {
            first_offset: at as i64,
            last_offset: at as i64,
            acknowledge_types: vec![*kind],
        });
        let one = FetchPartition { partition_index: 3, acknowledgement_batches: batches.collect() };
        ShareFetchRequest {
            share_session_epoch: epoch,
            max_bytes: 0,
            topics: vec![FetchTopic { topic_id: Uuid([1; 16]), partitions: vec![one] }],
            ..Default::default()
        }
    }

    #[test]
    fn a_first_request_acknowledges_nothing_and_one_that_renews_wants_nothing() {
        assert_eq!(check(&asking(0, &[])), Ok(()));
        assert_eq!(check(&asking(0, &[1])), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&asking(1, &[1])), Ok(()));
        let renewing = ShareFetchRequest { is_renew_ack: true, ..asking(1, &[4]) };
        assert_eq!(check(&renewing), Ok(()));
        let waiting = ShareFetchRequest { max_wait_ms: 5, ..renewing };
        assert_eq!(check(&waiting), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn what_is_acknowledged_is_checked_for_each_partition() {
        let unsaid = Renewal { is_said: false, is_let: true };
        assert!(said(&asking(1, &[]), unsaid).is_empty());
        let all = said(&asking(1, &[1, 2]), unsaid);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, partition([1; 16], 3));
        assert_eq!(all[0].1.as_ref().map(Vec::len), Ok(2));
        assert_eq!(said(&asking(1, &[4]), unsaid)[0].1, Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn partitions_are_told_by_topic() {
        let told = |code| Told { acked: Some(code), fetched: Some(Ok(Fetched::default())) };
        let all = [
            (partition([1; 16], 0), told(ErrorCode::None)),
            (partition([1; 16], 1), told(ErrorCode::InvalidRecordState)),
            (partition([2; 16], 0), Told { acked: None, fetched: Some(Err(ErrorCode::UnknownTopicId)) }),
        ];
        let topics = topics(all.into_iter().collect(), &mut Vec::new());
        let codes: Vec<Vec<(i16, i16)>> = topics
            .iter()
            .map(|topic| {
                topic.partitions.iter().map(|one| (one.error_code, one.acknowledge_error_code)).collect()
            })
            .collect();
        let state = ErrorCode::InvalidRecordState.code();
        assert_eq!(codes, [vec![(0, 0), (0, state)], vec![(ErrorCode::UnknownTopicId.code(), 0)]]);
    }
}
