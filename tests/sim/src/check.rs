//! The rules that need a whole log, or all of the metadata: asked after every start and at the end.

use crate::book::{Exists, Lane, Place};
use crate::clients::Client;
use crate::clients::consumer::{EARLIEST, LATEST, list_offset};
use crate::record::{self, Found, RecordId};
use crate::wire::Trouble;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::FetchResponse;
use kafka_wire::messages::metadata_request::MetadataRequest;
use kafka_wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use kafka_wire::{ApiKey, ErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Asks for everything and compares it with the book. `restarted`: no request of before can take effect any more.
pub(crate) async fn everything(client: &mut Client, restarted: bool) -> Result<(), Trouble> {
    metadata(client, restarted).await?;
    let places: Vec<Place> = {
        let book = client.control.book.borrow();
        let there = book.topics.iter().enumerate();
        // Logs with transactions are the checker's to judge.
        let there = there.filter(|(_, topic)| topic.exists == Exists::Yes && topic.judged.is_none());
        there.flat_map(|(number, topic)| (0..topic.partitions).map(move |p| (number, p))).collect()
    };
    for place in places {
        log(client, place).await?;
    }
    Ok(())
}

/// A request that must be answered did not get what it asked for; the book knows why, if it was an error.
pub(crate) fn unanswered(what: &str) -> Trouble {
    Trouble::Wrong(format!("{what} was not answered in the calm after a start"))
}

/// Compares all topics with the book.
pub(crate) async fn metadata(client: &mut Client, restarted: bool) -> Result<(), Trouble> {
    let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    let Some(answer) = client.call(ApiKey::Metadata, 12, &request, Duration::ZERO).await else {
        return if restarted { Err(unanswered("Metadata")) } else { Ok(()) };
    };
    let response: MetadataResponse<'_> = answer.decode()?;
    let mut book = client.control.book.borrow_mut();
    let mut wrong = Vec::new();
    let mut found: BTreeMap<&str, &MetadataResponseTopic<'_>> = BTreeMap::new();
    // The broker makes topics of its own when it has coordinators.
    for topic in response.topics.iter().filter(|topic| !topic.is_internal) {
        found.insert(topic.name.as_deref().unwrap_or_default(), topic);
    }
    for topic in &mut book.topics {
        let there = found.get(&*topic.name).filter(|there| match topic.id {
            Some(id) => there.topic_id.0 == id,
            None => topic.exists == Exists::Perhaps,
        });
        let Some(there) = there else {
            match topic.exists {
                Exists::Yes => wrong.push(format!("topic {} is not there any more", topic.name)),
                Exists::Perhaps | Exists::PerhapsGone if restarted => topic.exists = Exists::Gone,
                _ => {}
            }
            continue;
        };
        let partitions = there.partitions.len() as i32;
        if topic.exists == Exists::Gone {
            wrong.push(format!("topic {} is there after its deletion", topic.name));
        }
        if !(topic.partitions..=topic.partitions_asked).contains(&partitions) {
            let asked = topic.partitions_asked;
            wrong.push(format!("topic {} has {partitions} partitions, asked were {asked}", topic.name));
        }
        if topic.exists == Exists::Perhaps || restarted {
            topic.exists = Exists::Yes;
        }
        topic.id = Some(there.topic_id.0);
        topic.partitions = partitions;
        if restarted {
            topic.partitions_asked = partitions;
        }
        found.remove(&*topic.name);
    }
    wrong.extend(found.keys().map(|name| format!("nobody made topic {name}")));
    wrong.into_iter().for_each(|what| book.violated(what));
    drop(book);
    client.control.success(client.number);
    Ok(())
}

/// Reads a whole log and compares it with the book.
async fn log(client: &mut Client, place: Place) -> Result<(), Trouble> {
    let name = client.control.book.borrow().name(place);
    let (mut start, mut end) = borders(client, place, &name).await?;
    let found = loop {
        if let Some(found) = read(client, place, &name, start, end).await? {
            break found;
        }
        // A DeleteRecords whose answer got lost was still at work: nothing else moves the log's start.
        let before = start;
        (start, end) = borders(client, place, &name).await?;
        if start <= before {
            return Err(Trouble::Wrong(format!("{name}: begins at {start}, which is out of range")));
        }
    };
    let records: Vec<(RecordId, i64)> = found.iter().flat_map(|batch| batch.records.clone()).collect();
    {
        let mut book = client.control.book.borrow_mut();
        book.shown(place, start, &found);
        book.counts.verified += records.len() as u64;
        if let Err(what) = order(&records, start, &book.lanes) {
            book.violated(format!("{name}: {what}"));
        }
        let there: BTreeSet<RecordId> = records.iter().map(|(id, _)| *id).collect();
        let missing = book.log(place).somewhere.difference(&there).next().copied();
        if let Some(id) = missing.filter(|_| start == 0) {
            book.violated(format!("{name}: {id:?} was called a duplicate and is not there"));
        }
    }
    times(client, place, &name, start, &found).await
}

/// Where a log begins and ends.
async fn borders(client: &mut Client, place: Place, name: &str) -> Result<(i64, i64), Trouble> {
    let start = list_offset(client, place, EARLIEST).await?;
    let end = list_offset(client, place, LATEST).await?;
    let (Some((start, _)), Some((end, _))) = (start, end) else { return Err(unanswered("ListOffsets")) };
    let mut book = client.control.book.borrow_mut();
    let floor = book.end(place);
    book.end_shown(place, end, floor);
    let log = book.log(place);
    if start < log.start_least || start > log.start_most {
        let (least, most) = (log.start_least, log.start_most);
        book.violated(format!("{name}: begins at {start}, not within {least}..={most}"));
    }
    Ok((start, end))
}

/// All batches from `start` to `end`; `None` if the log does not begin at `start` any more, where it may be so.
async fn read(
    client: &mut Client,
    place: Place,
    name: &str,
    start: i64,
    end: i64,
) -> Result<Option<Vec<Found>>, Trouble> {
    let (mut at, mut all) = (start, Vec::new());
    while at < end {
        let partition = FetchPartition {
            partition: place.1,
            fetch_offset: at,
            partition_max_bytes: client.random.between(1_000, 600_000) as i32,
            ..Default::default()
        };
        let topic = client.control.book.borrow().topics[place.0].name.clone();
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: topic.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = client.call(ApiKey::Fetch, 12, &request, Duration::ZERO).await;
        let answer = answer.ok_or_else(|| unanswered("Fetch"))?;
        let response: FetchResponse<'_> = answer.decode()?;
        let data = response.responses.first().and_then(|topic| topic.partitions.first());
        let data = data.ok_or_else(|| unanswered("Fetch"))?;
        let most = client.control.book.borrow_mut().log(place).start_most;
        if data.error_code == ErrorCode::OffsetOutOfRange as i16 && at < most {
            return Ok(None);
        }
        if data.error_code != 0 {
            let text = format!("{name}: reading at {at} of {start}..{end} gives error {}", data.error_code);
            return Err(Trouble::Wrong(text));
        }
        let found = record::read(data.records.bytes());
        let found = found.map_err(|why| Trouble::Wrong(format!("{name}: {why}")))?;
        let Some(last) = found.last() else {
            return Err(Trouble::Wrong(format!("{name}: nothing at {at}, but the log ends at {end}")));
        };
        at = last.end();
        all.extend(found);
    }
    Ok(Some(all))
}

/// Every lane's records are there once, in order, and those of idempotent producers without gaps.
fn order(records: &[(RecordId, i64)], start: i64, lanes: &[Lane]) -> Result<(), String> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for (id, _) in records {
        let idempotent = lanes.get(id.lane as usize).is_some_and(|lane| lane.idempotent);
        match last.insert(id.lane, id.counter) {
            Some(before) if before >= id.counter => {
                let kind = if idempotent { "idempotent" } else { "plain" };
                return Err(format!("{id:?} comes after record {before} of its {kind} lane"));
            }
            Some(before) if idempotent && before + 1 != id.counter => {
                return Err(format!("{id:?} comes right after record {before} of its lane"));
            }
            None if idempotent && start == 0 && id.counter != 0 => {
                return Err(format!("{id:?} is the first of its lane"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Looks an offset up by time. The answer must lie in the batch that has the first record from that time on, and no
/// later than that record. What lies before the log start is no answer, though its batch may still be read.
async fn times(
    client: &mut Client,
    place: Place,
    name: &str,
    start: i64,
    found: &[Found],
) -> Result<(), Trouble> {
    let there = |batch: &Found| -> Vec<(i64, i64)> {
        let offsets = batch.base_offset..;
        offsets
            .zip(batch.records.iter().map(|(_, time)| *time))
            .filter(|(offset, _)| *offset >= start)
            .collect()
    };
    let batches: Vec<Vec<(i64, i64)>> = found.iter().map(there).filter(|batch| !batch.is_empty()).collect();
    if batches.is_empty() {
        return Ok(());
    }
    let batch = &batches[client.random.below(batches.len() as u64) as usize];
    let (_, time) = batch[client.random.below(batch.len() as u64) as usize];
    let due = batches.iter().find_map(|batch| {
        let (first, _) = batch.iter().find(|(_, other)| *other >= time)?;
        Some(batch[0].0..=*first)
    });
    let Some((told, _)) = list_offset(client, place, time).await? else {
        return Err(unanswered("ListOffsets"));
    };
    match due.as_ref().is_some_and(|due| due.contains(&told)) {
        true => Ok(()),
        false => Err(Trouble::Wrong(format!("{name}: from {time} on is {told}, due is {due:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_checked_by_lane() {
        let lane = |idempotent| Lane { place: (0, 0), idempotent, sent: 10 };
        let lanes = [lane(true), lane(false)];
        let check = |ids: &[(u32, u64)], start| {
            let records: Vec<_> =
                ids.iter().map(|(lane, counter)| (RecordId { lane: *lane, counter: *counter }, 0)).collect();
            order(&records, start, &lanes).is_ok()
        };
        assert!(check(&[(0, 0), (1, 3), (0, 1), (1, 7)], 0));
        assert!(check(&[(0, 4), (0, 5)], 9), "what was before is deleted");
        assert!(!check(&[(0, 4), (0, 5)], 0), "does not begin at 0");
        assert!(!check(&[(0, 0), (0, 2)], 0), "a gap");
        assert!(!check(&[(0, 0), (0, 0)], 0), "twice");
        assert!(!check(&[(1, 3), (1, 3)], 0), "twice");
        assert!(!check(&[(1, 3), (1, 2)], 0), "out of order");
    }
}
