//! Producer ids that nobody else has, from blocks that the controller gives to each core.

use crate::broker::Broker;
use crate::refusal::{Refusal, change};
use controller::changes::{AllocateProducerIds, ProducerIdBlock};
use controller::{Change, Outcome};

/// The next id of this core's block; when it is used up, the first of a new one.
pub(crate) async fn next(broker: &Broker) -> Result<i64, Refusal> {
    if let Some(id) = take(broker) {
        return Ok(id);
    }
    let block = allocate(broker).await?;
    // Requests that waited together have a block each, and all but one of its ids are lost then: there are enough.
    broker.producer_ids.set((block.first + 1, block.first + i64::from(block.length)));
    Ok(block.first)
}

/// The next id of this core's block, if it is not used up.
pub(crate) fn take(broker: &Broker) -> Option<i64> {
    let (next, end) = broker.producer_ids.get();
    (next < end).then(|| {
        broker.producer_ids.set((next + 1, end));
        next
    })
}

/// Gets a new block for this core.
pub(crate) async fn refill(broker: &Broker) -> Result<(), Refusal> {
    let block = allocate(broker).await?;
    broker.producer_ids.set((block.first, block.first + i64::from(block.length)));
    Ok(())
}

async fn allocate(broker: &Broker) -> Result<ProducerIdBlock, Refusal> {
    let node = broker.identity.node;
    let node_epoch = broker.image().node(node).map_or(-1, |node| node.epoch);
    let wanted = Change::AllocateProducerIds(AllocateProducerIds { node, node_epoch });
    change(broker, wanted, |outcome| match outcome {
        Outcome::AllocateProducerIds(block) => Some(block),
        _ => None,
    })
    .await
}
