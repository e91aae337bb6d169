//! The consumer protocol (KIP-848): the member says in each heartbeat what it has, and is told what it is to have.

use super::coordinated::{EXTRA, Said, time};
use super::member::Member;
use super::statics;
use crate::book::Place;
use crate::patterns;
use crate::wire::Trouble;
use kafka_wire::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use kafka_wire::messages::consumer_group_heartbeat_response::{Assignment, ConsumerGroupHeartbeatResponse};
use kafka_wire::{ApiKey, Uuid};
use std::collections::BTreeSet;

const VERSION: i16 = 1;
/// Leaves the group.
const LEAVES: i32 = -1;
/// Leaves it for a while, as a static member.
const DEPARTS: i32 = -2;

/// Joins, or says what the member has; true if it is a member afterwards.
pub(crate) async fn heartbeat(member: &mut Member) -> Result<bool, Trouble> {
    if member.id.is_empty() {
        // No member has had it before: it is made of a number that is the member's alone.
        member.id = format!("member-{}", member.number);
    }
    let name = topic(member);
    let pattern = member.group.by_pattern.then(|| patterns::pattern(member.group.source));
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let request = ConsumerGroupHeartbeatRequest {
        group_id: group.as_str().into(),
        member_id: id.as_str().into(),
        member_epoch: member.epoch,
        instance_id: instance.as_deref().map(Into::into),
        rebalance_timeout_ms: member.group.rebalance_ms,
        subscribed_topic_names: pattern.is_none().then(|| vec![name.as_str().into()]),
        subscribed_topic_regex: pattern.as_deref().map(Into::into),
        topic_partitions: Some(owned(member)),
        ..Default::default()
    };
    let since = time();
    let Some(answer) = member.client.call(ApiKey::ConsumerGroupHeartbeat, VERSION, &request, EXTRA).await
    else {
        return Ok(false);
    };
    let response: ConsumerGroupHeartbeatResponse<'_> = answer.decode()?;
    match member.client.said("ConsumerGroupHeartbeat", response.error_code) {
        Said::Done => {}
        Said::Over => {
            member.begin_anew();
            statics::give_way(member, response.error_code).await;
            return Ok(false);
        }
        Said::Again | Said::Unsure => return Ok(false),
    }
    (member.joined, member.settled) = (true, true);
    member.epoch = response.member_epoch;
    let given = match &response.assignment {
        Some(given) => places(member, given),
        None => member.owned.clone(),
    };
    member.take(given, since);
    Ok(true)
}

/// The name of the judged topic that the group reads.
fn topic(member: &Member) -> String {
    let place = member.client.control.book.borrow().judged(member.group.source)[0];
    member.client.topic_name(place)
}

/// What the member has, as it says it.
fn owned(member: &Member) -> Vec<TopicPartitions> {
    let book = member.client.control.book.borrow();
    let places: Vec<Place> = member.owned.iter().copied().collect();
    let topics = places.chunk_by(|one, next| one.0 == next.0).map(|of_topic| TopicPartitions {
        topic_id: Uuid(book.topics[of_topic[0].0].id.unwrap_or_default()),
        partitions: of_topic.iter().map(|place| place.1).collect(),
    });
    topics.collect()
}

/// What the member is given. With a topic whose making was not acknowledged yet it does nothing.
fn places(member: &Member, given: &Assignment) -> BTreeSet<Place> {
    let (mut places, mut wrong) = (BTreeSet::new(), None);
    {
        let book = member.client.control.book.borrow();
        for one in &given.topic_partitions {
            let number = book.topics.iter().position(|topic| topic.id == Some(one.topic_id.0));
            let Some(number) = number else { continue };
            let topic = &book.topics[number];
            if !member.group.reads(topic) {
                wrong =
                    Some(format!("{} was given {}, which it does not read", member.group.name(), topic.name));
            }
            places.extend(one.partitions.iter().map(|partition| (number, *partition)));
        }
    }
    if let Some(what) = wrong {
        member.client.control.violated(what);
    }
    places
}

/// Leaves the group.
pub(crate) async fn leave(member: &mut Member) -> Result<(), Trouble> {
    go(member, LEAVES).await
}

/// Leaves the group, and says that it will come back: its place stays until its session lapses.
pub(crate) async fn depart(member: &mut Member) -> Result<(), Trouble> {
    go(member, DEPARTS).await
}

async fn go(member: &mut Member, member_epoch: i32) -> Result<(), Trouble> {
    // Nobody may do anything with what it has from here on.
    member.drop_all();
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let request = ConsumerGroupHeartbeatRequest {
        group_id: group.as_str().into(),
        member_id: id.as_str().into(),
        member_epoch,
        instance_id: instance.as_deref().map(Into::into),
        ..Default::default()
    };
    let answer = member.client.call(ApiKey::ConsumerGroupHeartbeat, VERSION, &request, EXTRA).await;
    let Some(answer) = answer else { return Ok(()) };
    let response: ConsumerGroupHeartbeatResponse<'_> = answer.decode()?;
    member.client.said("leaving ConsumerGroupHeartbeat", response.error_code);
    Ok(())
}
