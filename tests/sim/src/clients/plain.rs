//! A producer without idempotence and without retries: every record is sent once, so it may be there at most once. For
//! each connection it takes new lanes, because requests of a lost connection may still be carried out.

use super::Client;
use super::producer::{answers, request, sizes};
use crate::book::Place;
use crate::plan::Load;
use crate::record::{RecordId, batch};
use crate::tamper::Bug;
use crate::wire::Trouble;
use kafka_wire::{ApiKey, Uuid};
use std::collections::BTreeMap;
use std::time::Duration;

const VERSIONS: [i16; 4] = [3, 9, 11, 13];

/// Runs until the run ends. `only_unacknowledged`: acks is 0 always.
pub(crate) async fn run(client: Client, load: Load, only_unacknowledged: bool) {
    let mut client = client;
    let version = VERSIONS[client.random.below(VERSIONS.len() as u64) as usize];
    let mut lanes: BTreeMap<Place, u32> = BTreeMap::new();
    loop {
        client.control.gate(client.number, false).await;
        if !client.is_connected() {
            lanes.clear();
        }
        let acks = if only_unacknowledged { 0 } else { client.random.below(3) as i16 - 1 };
        let places = client.control.book.borrow().lasting();
        let place = places[client.random.below(places.len() as u64) as usize];
        if client.wire().await.is_some()
            && let Err(trouble) = send_one(&mut client, &load, version, acks, place, &mut lanes).await
        {
            client.trouble(trouble);
        }
        client.pause(load.think_max.as_micros() as u64).await;
    }
}

async fn send_one(
    client: &mut Client,
    load: &Load,
    version: i16,
    acks: i16,
    place: Place,
    lanes: &mut BTreeMap<Place, u32>,
) -> Result<(), Trouble> {
    let sizes = sizes(&mut client.random, load);
    let (made, name, id) = {
        let mut book = client.control.book.borrow_mut();
        let lane = *lanes.entry(place).or_insert_with(|| book.lane(place, false));
        let first = RecordId { lane, counter: book.lanes[lane as usize].sent };
        let made = batch(first, &sizes, None);
        book.will_send(first, made.count);
        (made, book.topics[place.0].name.clone(), Uuid(book.topics[place.0].id.unwrap_or_default()))
    };
    let message = request(&[(place, name.as_str(), id, made.bytes.as_slice())], version, acks);
    let repeats = client.has(Bug::ClientRepeatsItself) && client.random.one_in(10);
    let Some(wire) = client.wire().await else { return Ok(()) };
    if acks == 0 {
        wire.send_unanswered(ApiKey::Produce, version, &message).await?;
        if repeats {
            wire.send_unanswered(ApiKey::Produce, version, &message).await?;
        }
        client.control.success(client.number);
        return Ok(());
    }
    let answer = wire.call(ApiKey::Produce, version, &message, Duration::ZERO).await?;
    for one in answers(answer.decode()?, [place.1].into_iter())? {
        if one.error_code != 0 {
            client.refused(&format!("Produce to {name}"), one.error_code);
            continue;
        }
        client.control.book.borrow_mut().acknowledged(made.first, made.count, Some(one.base_offset));
        client.control.success(client.number);
    }
    Ok(())
}
