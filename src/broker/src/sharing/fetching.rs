//! A share fetch over all cores: as much as is wished for at once, or a wait until there is something.

use super::ask::ask;
use super::question::{FetchWish, Fetched, ShareQuestion, ShareReply};
use crate::broker::Broker;
use crate::route::{self, ByCore};
use base::Instant;
use executor::{Either, now, race, sleep, sleep_until};
use kafka_wire::produce_view::TopicRef;
use kafka_wire::{ErrorCode, Uuid};
use model::{ShardId, TopicPartition};
use share::Wish;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Pause before a member that was called in vain waits again: of many that wait for a record, one is given it.
const PAUSE: Duration = Duration::from_millis(10);

/// What a member was given of a partition, or why nothing.
pub(crate) type Part = Result<Fetched, ErrorCode>;

/// A member's fetch.
pub(crate) struct Fetch {
    pub(crate) group: Arc<str>,
    pub(crate) member: Arc<str>,
    /// From where; those before others are asked first.
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) wish: Wish,
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
    pub(crate) deadline: Instant,
}

/// Partitions of a core, each with its place.
type OfCore = (ShardId, Vec<usize>, Vec<TopicPartition>);

/// Hands records out: at once if there are any, or an error, or no time to wait; else when one of these comes about.
pub(crate) async fn run(broker: &Rc<Broker>, fetch: &Fetch) -> Vec<Part> {
    let mut bytes_min = if fetch.bytes_min > 1 { fetch.bytes_min } else { 0 };
    let mut in_vain = 0;
    loop {
        let (cores, mut parts) = resolve(broker, &fetch.partitions);
        hand_out(broker, fetch, &cores, bytes_min, &mut parts).await;
        let is_over = now() >= fetch.deadline;
        let given = parts.iter().flatten().any(|part| !part.acquired.is_empty());
        let nothing_to_wait_for = cores.is_empty() || fetch.wish.records_max <= 0;
        if given || nothing_to_wait_for || parts.iter().any(Result::is_err) {
            return parts;
        }
        let available: usize = parts.iter().flatten().map(|part| part.available).sum();
        if bytes_min > 0 && available > 0 && (is_over || available >= bytes_min) {
            // Together there is enough, or there is no more time: so what there is is handed out.
            bytes_min = 0;
            continue;
        }
        if is_over {
            return parts;
        }
        in_vain += 1;
        let wait = async {
            if in_vain > 1 {
                sleep(PAUSE).await;
            }
            watch(broker, fetch, &cores).await;
        };
        if let Either::Right(()) = race(wait, sleep_until(fetch.deadline)).await
            && bytes_min == 0
        {
            return parts;
        }
    }
}

/// Where each partition is; those that are nowhere have their errors.
fn resolve(broker: &Broker, partitions: &[TopicPartition]) -> (Vec<OfCore>, Vec<Part>) {
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut parts = Vec::with_capacity(partitions.len());
    for (place, partition) in partitions.iter().enumerate() {
        let topic = route::topic(&image, &TopicRef::Id(Uuid(partition.topic.0)));
        match topic.and_then(|topic| broker.route(topic, partition.partition.0)) {
            Ok(routed) => {
                by_core.push(routed.shard, place, *partition);
                parts.push(Ok(Fetched::default()));
            }
            Err(code) => parts.push(Err(code)),
        }
    }
    (by_core.into_cores().collect(), parts)
}

/// One core after another, so that no more is acquired than was wished for.
async fn hand_out(
    broker: &Rc<Broker>,
    fetch: &Fetch,
    cores: &[OfCore],
    bytes_min: usize,
    parts: &mut [Part],
) {
    let (mut records, mut bytes) = (fetch.wish.records_max, fetch.bytes_max);
    for (shard, places, partitions) in cores {
        if records <= 0 || bytes == 0 {
            return;
        }
        let question = ShareQuestion::Fetch(FetchWish {
            group: fetch.group.clone(),
            member: fetch.member.clone(),
            partitions: partitions.clone(),
            wish: Wish { records_max: records, ..fetch.wish },
            bytes_max: bytes,
            bytes_min,
        });
        let results = match ask(broker, *shard, question).await {
            Some(ShareReply::Fetched(results)) => results,
            _ => places.iter().map(|_| Err(ErrorCode::NotLeaderOrFollower)).collect(),
        };
        for (place, result) in places.iter().zip(results) {
            if let Ok(fetched) = &result {
                records -= fetched.acquired.iter().map(|one| one.last - one.first + 1).sum::<i64>();
                bytes = bytes.saturating_sub(fetched.bytes);
            }
            parts[*place] = result;
        }
    }
}

/// Waits until a core has news of what is wanted.
async fn watch(broker: &Rc<Broker>, fetch: &Fetch, cores: &[OfCore]) {
    let calls = cores.iter().map(|(shard, _, partitions)| {
        let (group, partitions) = (fetch.group.clone(), partitions.clone());
        Box::pin(ask(broker, *shard, ShareQuestion::Watch { group, partitions }))
    });
    let mut calls: Vec<_> = calls.collect();
    poll_fn(|context| {
        let news = calls.iter_mut().any(|call| call.as_mut().poll(context).is_ready());
        if news { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
