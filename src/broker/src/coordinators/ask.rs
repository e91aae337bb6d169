//! From a handler to the core that has a group's coordinator, and back.

use super::group_shell::Told;
use super::late::Late;
use super::question::{GroupQuestion, GroupReply};
use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use crate::request::Request;
use controller::changes::names::CONSUMER_OFFSETS;
use executor::join_all;
use kafka_wire::{Encode, ErrorCode, Str};
use model::{Offset, ShardId};
use shard::Outcome;
use shard::operation::Rare;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A coordinator: the partition of `__consumer_offsets`, and the core that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) shard: ShardId,
}

/// Where a group's coordinator is.
///
/// # Errors
/// NOT_COORDINATOR, also while there is no `__consumer_offsets`: the client asks FindCoordinator then, which
/// makes it.
pub(crate) fn place(broker: &Broker, group: &str) -> Result<Place, ErrorCode> {
    let image = broker.image();
    let topic = image.topic(CONSUMER_OFFSETS).ok_or(ErrorCode::NotCoordinator)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    // Kafka has one rule for groups and transactional ids.
    let partition = transactions::partition_of(group, partitions);
    let routed = broker.route(topic, partition).map_err(|_| ErrorCode::NotCoordinator)?;
    Ok(Place { partition, shard: routed.shard })
}

/// Every coordinator there is on this node.
pub(crate) fn places(broker: &Broker) -> Vec<Place> {
    let image = broker.image();
    let Some(topic) = image.topic(CONSUMER_OFFSETS) else { return Vec::new() };
    let numbers = (0..).take(topic.partitions.len());
    let own = numbers.filter_map(|partition| {
        let routed = broker.route(topic, partition).ok()?;
        Some(Place { partition, shard: routed.shard })
    });
    own.collect()
}

/// Where a coordinator's partition ends now.
///
/// # Errors
/// NOT_COORDINATOR if it is not there any more.
pub(crate) async fn log_end(broker: &Broker, place: Place) -> Result<Offset, ErrorCode> {
    let routed = broker.route_name(&broker.image(), CONSUMER_OFFSETS, place.partition);
    let partition = routed.map_err(|_| ErrorCode::NotCoordinator)?.partition;
    let status = Rare::Status { items: vec![partition] }.into();
    let Some(Outcome::Status(mut found)) = broker.ask(place.shard, status).await else {
        return Err(ErrorCode::NotCoordinator);
    };
    match found.pop() {
        Some(Ok(status)) => Ok(status.log_end),
        _ => Err(ErrorCode::NotCoordinator),
    }
}

/// Hands a request of one group to its coordinator.
pub(crate) async fn ask(broker: &Rc<Broker>, request: &Request, group: &str) -> Told {
    let place = place(broker, group)?;
    ask_at(broker, place, GroupQuestion::whole(place, request)).await
}

/// The same of a request that was decoded already: where the coordinator is this core's, that is not done again.
pub(crate) async fn ask_decoded(
    broker: &Rc<Broker>,
    request: &Request,
    group: &str,
    asked: &groups::Request<'_>,
) -> Told {
    let place = place(broker, group)?;
    let question = GroupQuestion::whole(place, request);
    if place.shard != broker.shard() {
        // Boxed: the way to another core would make the futures of all that stay here twice as large.
        return Box::pin(ask_at(broker, place, question)).await;
    }
    let pending = broker.coordinators.begin(broker, &question, Some(asked))?;
    pending.answer().await
}

/// Hands a request that names several groups to their coordinators, each its part of it. `part` makes the request
/// of some of the groups. Gives the answers with the groups that they are for.
pub(crate) async fn ask_each<M: Encode>(
    broker: &Rc<Broker>,
    request: &Request,
    groups: &[Str<'_>],
    part: impl Fn(&[usize]) -> M,
) -> Vec<(Vec<usize>, Told)> {
    let mut by_place: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    let mut answers = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        match place(broker, group) {
            Ok(place) => by_place.entry(place).or_default().push(index),
            Err(code) => answers.push((vec![index], Err(code))),
        }
    }
    let calls = by_place.into_iter().map(|(place, indexes)| {
        let question = GroupQuestion::part(place, request, &part(&indexes));
        async move {
            let told = match question {
                Ok(question) => ask_at(broker, place, question).await,
                Err(error) => {
                    log::error!("a part of a {} cannot be encoded: {error}", request.api.name());
                    Err(ErrorCode::UnknownServerError)
                }
            };
            (indexes, told)
        }
    });
    answers.extend(join_all(calls.collect()).await);
    answers
}

/// Describes groups of one protocol: `part` makes the request of some of them, `take` gets the descriptions out of an
/// answer, `refused` stands for a group that has none. `served` is false where the protocol is not in use.
pub(crate) async fn describe_each<'a, M: Encode, G>(
    broker: &Rc<Broker>,
    request: &Request,
    (groups, served): (Vec<Str<'a>>, bool),
    part: impl Fn(Vec<Str<'a>>) -> M,
    take: impl Fn(Told) -> Result<Vec<G>, ErrorCode>,
    refused: impl Fn(Str<'a>, ErrorCode) -> G,
) -> Vec<G> {
    if !served {
        return groups.into_iter().map(|name| refused(name, ErrorCode::UnsupportedVersion)).collect();
    }
    let (names, nameless): (Vec<Str<'a>>, Vec<Str<'a>>) =
        groups.into_iter().partition(|name| !name.is_empty());
    let mut all: Vec<G> = nameless.into_iter().map(|name| refused(name, ErrorCode::InvalidGroupId)).collect();
    let part = |indexes: &[usize]| part(indexes.iter().map(|index| names[*index].clone()).collect());
    for (indexes, told) in ask_each(broker, request, &names, part).await {
        match take(told) {
            Ok(described) => all.extend(described),
            Err(code) => all.extend(indexes.into_iter().map(|index| refused(names[index].clone(), code))),
        }
    }
    all
}

/// Hands a request to every coordinator of this node.
pub(crate) async fn ask_all(broker: &Rc<Broker>, request: &Request) -> Vec<Told> {
    let calls = places(broker).into_iter().map(|place| {
        let question = GroupQuestion::whole(place, request);
        ask_at(broker, place, question)
    });
    join_all(calls.collect()).await
}

/// Asks a coordinator.
pub(crate) async fn ask_at(broker: &Rc<Broker>, place: Place, mut question: GroupQuestion) -> Told {
    if place.shard == broker.shard() {
        // This core's own coordinators need no message.
        return broker.coordinators.begin(broker, &question, None)?.answer().await;
    }
    let late = question.waits_for_others().then(|| Late::new(broker, place.shard));
    question.ticket = late.as_ref().map(|late| late.ticket);
    match broker.cores.call(place.shard, CoreQuestion::Group(question)).await {
        Some(CoreAnswer::Group(GroupReply::Now(told))) => told,
        Some(CoreAnswer::Group(GroupReply::Later)) => match late {
            Some(late) => late.answer().await,
            None => Err(ErrorCode::UnknownServerError),
        },
        // It is stopping.
        _ => Err(ErrorCode::NotCoordinator),
    }
}

/// The error to tell instead of an answer; also where the answer is that to something else.
pub(crate) fn code_of(told: &Told) -> ErrorCode {
    match told {
        Err(code) => *code,
        Ok(_) => {
            log::error!("a coordinator answered with the response to another request");
            ErrorCode::UnknownServerError
        }
    }
}
