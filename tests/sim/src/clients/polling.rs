//! Fetches from logs with transactions, and what a reader of committed data makes of them.

use super::Client;
use super::coordinated::{partition, time, value};
use crate::book::Place;
use crate::record::{self, Piece};
use crate::wire::Trouble;
use checker::{Poll, Read};
use kafka_wire::ApiKey;
use kafka_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_wire::messages::fetch_response::{AbortedTransaction, FetchResponse, PartitionData};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const VERSION: i16 = 12;

/// What a fetch gave of one partition.
pub(crate) struct Given {
    pub place: Place,
    pub read: Read,
    pub high_watermark: i64,
    pub last_stable: i64,
}

/// What a fetch gave, as the history has it.
pub(crate) fn as_poll(given: Vec<Given>, committed: bool) -> Poll {
    Poll { committed, at: time(), reads: given.into_iter().map(|one| one.read).collect() }
}

fn request<'a>(
    client: &mut Client,
    names: &'a BTreeMap<usize, String>,
    positions: &BTreeMap<Place, i64>,
    (committed, wait_ms): (bool, i32),
) -> FetchRequest<'a> {
    let mut request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: client.random.between(2_000, 1_000_000) as i32,
        isolation_level: i8::from(committed),
        session_epoch: -1,
        ..Default::default()
    };
    for (topic, name) in names {
        let here = positions.range((*topic, i32::MIN)..=(*topic, i32::MAX));
        let partitions = here.map(|(place, position)| FetchPartition {
            partition: place.1,
            fetch_offset: *position,
            partition_max_bytes: 100_000,
            ..Default::default()
        });
        let partitions = partitions.collect();
        request.topics.push(FetchTopic { topic: name.as_str().into(), partitions, ..Default::default() });
    }
    request
}

/// Fetches once from some positions; `None` if there was no answer. Partitions that were refused are left out.
pub(crate) async fn fetch(
    client: &mut Client,
    positions: &BTreeMap<Place, i64>,
    committed: bool,
    wait_ms: i32,
) -> Result<Option<Vec<Given>>, Trouble> {
    let names: BTreeMap<usize, String> =
        positions.keys().map(|place| (place.0, client.topic_name(*place))).collect();
    let floors: BTreeMap<Place, i64> = {
        let book = client.control.book.borrow();
        positions.keys().map(|place| (*place, book.end(*place))).collect()
    };
    let request = request(client, &names, positions, (committed, wait_ms));
    let extra = Duration::from_millis(wait_ms as u64);
    let Some(answer) = client.call(ApiKey::Fetch, VERSION, &request, extra).await else { return Ok(None) };
    let response: FetchResponse<'_> = answer.decode()?;
    if response.error_code != 0 {
        client.refused("Fetch", response.error_code);
        return Ok(Some(Vec::new()));
    }
    let mut given = Vec::new();
    for topic in &response.responses {
        let number = names.iter().find(|(_, name)| **name == topic.topic).map(|(number, _)| *number);
        for data in &topic.partitions {
            let place = number.map(|number| (number, data.partition_index));
            let Some((place, position)) = place.and_then(|place| Some((place, *positions.get(&place)?)))
            else {
                return Err(Trouble::Wrong(format!("Fetch was answered for '{}'", topic.topic)));
            };
            let name = client.control.book.borrow().name(place);
            if data.error_code != 0 {
                client.refused(&format!("Fetch of {name}"), data.error_code);
                continue;
            }
            let one = take(place, position, data, committed);
            let one = one.map_err(|why| Trouble::Wrong(format!("{name}: {why}")))?;
            client.control.book.borrow_mut().end_shown(place, one.high_watermark, floors[&place]);
            given.push(one);
        }
    }
    Ok(Some(given))
}

fn take(place: Place, from: i64, data: &PartitionData<'_>, committed: bool) -> Result<Given, String> {
    let pieces = record::read_pieces(data.records.bytes())?;
    let mut next = from;
    for (number, piece) in pieces.iter().enumerate() {
        let fits = if number == 0 { piece.base_offset <= from } else { piece.base_offset == next };
        if !fits || piece.last_offset < next {
            return Err(format!(
                "a batch at {}..={} where {next} is due",
                piece.base_offset, piece.last_offset
            ));
        }
        next = piece.last_offset + 1;
    }
    let (high_watermark, last_stable) = (data.high_watermark, data.last_stable_offset);
    let bound = if committed { last_stable } else { high_watermark };
    if next > bound.max(from) {
        return Err(format!("records up to {next}, where readers end at {bound}"));
    }
    let aborted = data.aborted_transactions.as_deref().filter(|_| committed).unwrap_or_default();
    let hidden = hidden(&pieces, aborted);
    let mut values = Vec::new();
    for (piece, _) in pieces.iter().zip(hidden).filter(|(_, hidden)| !hidden) {
        let offsets = piece.base_offset..;
        let named = offsets.zip(&piece.ids).filter(|(offset, _)| *offset >= from);
        values.extend(named.map(|(offset, id)| (offset, value(*id))));
    }
    let read = Read { partition: partition(place), from, next, values };
    Ok(Given { place, read, high_watermark, last_stable })
}

/// Which pieces the list of aborted transactions hides, as Kafka's clients go by it.
fn hidden(pieces: &[Piece], aborted: &[AbortedTransaction]) -> Vec<bool> {
    let mut waiting: Vec<(i64, i64)> =
        aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
    waiting.sort_unstable();
    let mut waiting = waiting.into_iter().peekable();
    let mut open = BTreeSet::new();
    let mut all = Vec::new();
    for piece in pieces {
        while let Some((_, producer)) = waiting.next_if(|(first, _)| *first <= piece.last_offset) {
            open.insert(producer);
        }
        if piece.marker == Some(false) {
            open.remove(&piece.producer_id);
        }
        all.push(piece.is_transactional && open.contains(&piece.producer_id));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: i64, producer_id: i64, marker: Option<bool>) -> Piece {
        let (base_offset, last_offset) = (offset, offset);
        Piece { base_offset, last_offset, producer_id, is_transactional: true, marker, ids: Vec::new() }
    }

    #[test]
    fn what_was_aborted_is_hidden_up_to_its_marker() {
        let pieces = [
            piece(0, 7, None),
            piece(1, 8, None),
            piece(2, 7, Some(false)),
            piece(3, 7, None),
            piece(4, 8, Some(true)),
            piece(5, 7, Some(true)),
        ];
        let aborted = [AbortedTransaction { producer_id: 7, first_offset: 0 }];
        assert_eq!(hidden(&pieces, &aborted), [true, false, false, false, false, false]);
        assert_eq!(hidden(&pieces, &[]), [false; 6]);
    }
}
