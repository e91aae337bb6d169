//! Asking for the durable state of a share partition, on whatever core it is.

use super::ask::ask;
use super::question::{ShareQuestion, ShareReply, StateAsk, StateGiven};
use crate::broker::Broker;
use crate::internal_topics;
use controller::changes::names::SHARE_GROUP_STATE;
use kafka_wire::{ErrorCode, Uuid};
use model::ShardId;
use share::StateKey;
use std::future::Future;
use std::rc::Rc;

/// The partition of `__share_group_state` that keeps a share partition, and its core: Kafka's rule.
fn place(broker: &Broker, key: &StateKey) -> Result<(i32, ShardId), ErrorCode> {
    let image = broker.image();
    let topic = image.topic(SHARE_GROUP_STATE).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let name = format!("{}:{}:{}", key.group, Uuid(key.topic.0), key.partition);
    let partition = transactions::partition_of(&name, partitions);
    let routed = broker.route(topic, partition).map_err(|_| ErrorCode::NotCoordinator)?;
    Ok((partition, routed.shard))
}

/// Whether there is any share state at all.
pub(crate) fn is_there(broker: &Broker) -> bool {
    broker.image().topic(SHARE_GROUP_STATE).is_some()
}

/// Makes sure that there is a place for share state.
///
/// # Errors
/// COORDINATOR_NOT_AVAILABLE.
pub(crate) async fn ensure(broker: &Broker) -> Result<(), ErrorCode> {
    internal_topics::ensure(broker, SHARE_GROUP_STATE).await.map_err(|error| {
        log::warn!("topic {SHARE_GROUP_STATE} could not be created: {error}");
        ErrorCode::CoordinatorNotAvailable
    })
}

/// Asks; begun in the order of calls. The answer comes when what it shows is durable.
pub(crate) fn state(
    broker: &Rc<Broker>,
    key: StateKey,
    wanted: StateAsk,
) -> impl Future<Output = Result<StateGiven, ErrorCode>> + 'static + use<> {
    let asked = place(broker, &key)
        .map(|(partition, shard)| ask(broker, shard, ShareQuestion::State { partition, key, ask: wanted }));
    async move {
        match asked?.await {
            Some(ShareReply::State(given)) => given,
            _ => Err(ErrorCode::NotCoordinator),
        }
    }
}

/// Begins with a question to this core.
pub(super) fn begin(
    broker: &Rc<Broker>,
    partition: i32,
    key: StateKey,
    ask: StateAsk,
) -> impl Future<Output = Result<StateGiven, ErrorCode>> + 'static + use<> {
    let shell = broker.share.states.borrow().get(&partition).cloned();
    let begun = shell.ok_or(ErrorCode::NotCoordinator).and_then(|shell| shell.begin(broker, key, ask));
    async move { begun?.receive().await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable)) }
}
