//! The ends of transactions on their way to the cores that own the partitions.

use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use crate::errors;
use crate::route::ByCore;
use base::mistakes;
use controller::changes::names::CONSUMER_OFFSETS;
use executor::join_all;
use kafka_wire::ErrorCode;
use model::{ProducerEpoch, ProducerId, ShardId};
use shard::Outcome;
use shard::operation::{MarkerItem, Rare};
use std::rc::Rc;
use storage::transactions::EndMarker;
use transactions::{Marked, MarkerResult, MarkerWork};

/// Writes the markers of a transaction, as far as that can be done now; tells what became of each.
pub(crate) async fn write(broker: &Rc<Broker>, work: &MarkerWork) -> Vec<MarkerResult> {
    let image = broker.image();
    let marker = EndMarker {
        producer_id: work.producer_id,
        producer_epoch: work.epoch,
        commit: work.commit,
        coordinator_epoch: work.coordinator_epoch,
    };
    let mut results = Vec::with_capacity(work.partitions.len());
    let mut by_core = ByCore::new();
    for (topic, partition) in work.partitions.iter() {
        let several = work.partitions.len() > 1;
        let left_out = results.is_empty() && several && mistakes::is_made("marker left out");
        let marked = match image.topic(topic).filter(|_| !left_out) {
            // What was in it is gone with it.
            None => Marked::Gone,
            Some(found) => match broker.route(found, partition) {
                Ok(routed) => {
                    let transaction_version = work.transaction_version;
                    let item = MarkerItem { partition: routed.partition, marker, transaction_version };
                    by_core.push(routed.shard, results.len(), item);
                    Marked::Retry
                }
                Err(ErrorCode::UnknownTopicOrPartition) => Marked::Gone,
                Err(code) => Marked::from_code(code),
            },
        };
        results.push(MarkerResult { topic: topic.to_owned(), partition, marked });
    }
    for (places, codes) in mark_all(broker, by_core).await {
        for (place, code) in places.into_iter().zip(codes) {
            results[place].marked = Marked::from_code(code);
        }
    }
    results
}

/// Writes markers on all cores at once; gives their codes with the places they belong to.
pub(crate) async fn mark_all(
    broker: &Rc<Broker>,
    by_core: ByCore<MarkerItem>,
) -> Vec<(Vec<usize>, Vec<ErrorCode>)> {
    let calls = by_core.into_cores().map(|(shard, places, items)| async move {
        let count = items.len();
        let codes = ask(broker, shard, items).await;
        // A core that does not answer is stopping.
        (places, codes.unwrap_or_else(|| vec![ErrorCode::NotLeaderOrFollower; count]))
    });
    join_all(calls.collect()).await
}

async fn ask(broker: &Rc<Broker>, shard: ShardId, items: Vec<MarkerItem>) -> Option<Vec<ErrorCode>> {
    if shard == broker.shard() {
        return Some(mark(broker.clone(), items).await);
    }
    match broker.cores.call(shard, CoreQuestion::Mark(items)).await {
        Some(CoreAnswer::Marked(codes)) => Some(codes),
        _ => None,
    }
}

/// Writes markers on this core. Coordinators of groups hear of those in their partitions when they are durable.
pub(crate) async fn mark(broker: Rc<Broker>, items: Vec<MarkerItem>) -> Vec<ErrorCode> {
    let written = broker.service.begin(Rare::WriteMarkers { items: items.clone() }.into()).await;
    let Outcome::Marked(results) = written else {
        return vec![ErrorCode::UnknownServerError; items.len()];
    };
    let offsets = broker.image().topic(CONSUMER_OFFSETS).map(|topic| topic.id);
    let mut codes = Vec::with_capacity(items.len());
    for (item, result) in items.iter().zip(results) {
        if result.is_ok() && Some(item.partition.topic) == offsets {
            let marker = &item.marker;
            let (producer, epoch) = (ProducerId(marker.producer_id), ProducerEpoch(marker.producer_epoch));
            let partition = item.partition.partition.0;
            broker.coordinators.end_transaction(partition, producer, epoch, marker.commit);
        }
        codes.push(result.map_or_else(|error| errors::of_partition(&error), |()| ErrorCode::None));
    }
    codes
}
