//! Consume, transform, produce: what a member read, what it makes of it and how far it has come are one transaction.

use super::coordinated::{EXTRA, Said, time};
use super::member::Member;
use super::transaction::Producer;
use crate::book::Place;
use crate::control::Phase;
use crate::wire::Trouble;
use checker::{Action, Step};
use kafka_wire::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_wire::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use kafka_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_wire::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;

const TRIES: usize = 12;
const PAUSE_MICROS: u64 = 10_000;
/// The topic that the transformed records go to.
const SINK: usize = 1;

/// One transaction, if there is anything to read.
pub(crate) async fn turn(member: &mut Member) -> Result<(), Trouble> {
    let Some(mut producer) = member.producer.take() else { return Ok(()) };
    let done = work(member, &mut producer).await;
    if done.is_err() {
        producer.vanish(&member.client);
        rewind(member);
    }
    member.producer = Some(producer);
    done
}

/// Goes back to what is committed.
fn rewind(member: &mut Member) {
    member.positions.clear();
    member.client.did(time(), Action::Assign);
}

async fn work(member: &mut Member, producer: &mut Producer) -> Result<(), Trouble> {
    if !producer.introduce(&mut member.client).await? {
        return Ok(());
    }
    let before = member.positions.clone();
    let since = time();
    let Some(poll) = member.poll().await? else { return Ok(()) };
    if poll.reads.iter().all(|read| read.values.is_empty()) {
        member.client.did(since, Action::Poll(poll));
        member.client.control.success(member.client.number);
        return Ok(());
    }
    producer.begin(&member.client);
    producer.step(&member.client, Step::Poll(poll));
    let sinks = member.client.control.book.borrow().judged(SINK);
    for _ in 0..member.client.random.between(1, 2) {
        let place = sinks[member.client.random.below(sinks.len() as u64) as usize];
        let load = member.load;
        producer.send(&mut member.client, place, &load).await?;
    }
    let moved = member.positions.iter().filter(|(place, at)| before.get(*place) != Some(*at));
    let moved: BTreeMap<Place, i64> = moved.map(|(place, at)| (*place, *at)).collect();
    let code = match producer.broken {
        true => None,
        false => commit_offsets(member, producer, &moved).await?,
    };
    if member.client.random.one_in(12) {
        let micros = member.client.random.between(10_000, 200_000);
        executor::sleep(std::time::Duration::from_micros(micros)).await;
    }
    if member.client.random.one_in(30) {
        producer.vanish(&member.client);
        rewind(member);
        return Ok(());
    }
    let commit = code == Some(0) && !member.client.random.one_in(6);
    if producer.end(&mut member.client, commit).await? {
        let mut book = member.client.control.book.borrow_mut();
        book.counts.offsets += 1;
        drop(book);
        member.client.control.success(member.client.number);
    } else {
        rewind(member);
    }
    if let Some(code) = code.filter(|code| *code != 0) {
        // Others than the member's standing are the producer's affair.
        let standing =
            [ErrorCode::FencedInstanceId, ErrorCode::IllegalGeneration, ErrorCode::UnknownMemberId];
        if standing.iter().any(|one| one.code() == code) && !member.is_modern() {
            member.refused(code);
        }
    }
    Ok(())
}

/// Commits offsets in the transaction: 0, or the code of the refusal; `None` if nobody knows.
async fn commit_offsets(
    member: &mut Member,
    producer: &mut Producer,
    offsets: &BTreeMap<Place, i64>,
) -> Result<Option<i16>, Trouble> {
    producer.touch();
    if !producer.is_v2() && !add(member, producer).await? {
        return Ok(None);
    }
    let step = Step::Commit(member.commit_of(offsets));
    let step = producer.step(&member.client, step);
    for _ in 0..TRIES {
        let asked = time();
        match ask(member, producer, offsets).await? {
            Some((Said::Done, code)) => {
                producer.accepted(&member.client, step);
                member.confirmed(asked);
                return Ok(Some(code));
            }
            Some((Said::Over, code)) => return Ok(Some(code)),
            _ => {}
        }
        if member.client.control.phase() == Phase::Pause {
            break;
        }
        member.client.pause(PAUSE_MICROS).await;
    }
    Ok(None)
}

async fn ask(
    member: &mut Member,
    producer: &Producer,
    offsets: &BTreeMap<Place, i64>,
) -> Result<Option<(Said, i16)>, Trouble> {
    let Some((producer_id, producer_epoch)) = producer.current else { return Ok(None) };
    let name = offsets.keys().next().map(|place| member.client.topic_name(*place)).unwrap_or_default();
    let partitions = offsets.iter().map(|(place, offset)| TxnOffsetCommitRequestPartition {
        partition_index: place.1,
        committed_offset: *offset,
        ..Default::default()
    });
    let topic = TxnOffsetCommitRequestTopic { name: name.as_str().into(), partitions: partitions.collect() };
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let request = TxnOffsetCommitRequest {
        transactional_id: producer.id().into(),
        group_id: group.as_str().into(),
        producer_id,
        producer_epoch,
        generation_id: member.epoch,
        member_id: id.as_str().into(),
        group_instance_id: instance.as_deref().map(Into::into),
        topics: vec![topic],
    };
    let version = if producer.is_v2() { 5 } else { 3 };
    let Some(answer) = member.client.call(ApiKey::TxnOffsetCommit, version, &request, EXTRA).await else {
        return Ok(None);
    };
    let response: TxnOffsetCommitResponse<'_> = answer.decode()?;
    let codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
    let code = codes.max_by_key(|code| *code != 0).unwrap_or(ErrorCode::UnknownServerError.code());
    if code == ErrorCode::UnknownServerError.code() {
        // The producer was fenced after it was verified, and before its offsets were written.
        return Ok(Some((Said::Over, code)));
    }
    Ok(Some((member.client.said("TxnOffsetCommit", code), code)))
}

/// V1: the client adds the group's offsets.
async fn add(member: &mut Member, producer: &Producer) -> Result<bool, Trouble> {
    let Some((producer_id, producer_epoch)) = producer.current else { return Ok(false) };
    let group = member.group.name();
    let request = AddOffsetsToTxnRequest {
        transactional_id: producer.id().into(),
        producer_id,
        producer_epoch,
        group_id: group.as_str().into(),
    };
    for _ in 0..TRIES {
        if let Some(answer) = member.client.call(ApiKey::AddOffsetsToTxn, 3, &request, EXTRA).await {
            let response: AddOffsetsToTxnResponse = answer.decode()?;
            match member.client.said("AddOffsetsToTxn", response.error_code) {
                Said::Done => return Ok(true),
                Said::Over => return Ok(false),
                Said::Again | Said::Unsure => {}
            }
        }
        if member.client.control.phase() == Phase::Pause {
            break;
        }
        member.client.pause(PAUSE_MICROS).await;
    }
    Ok(false)
}
