//! The classic protocol: rounds of joins, a leader that assigns, heartbeats.

use super::coordinated::{EXTRA, Said, time};
use super::member::Member;
use super::statics;
use crate::book::Place;
use crate::coordination::Protocol;
use crate::wire::Trouble;
use kafka_wire::messages::consumer_protocol_assignment::{self as assignment, ConsumerProtocolAssignment};
use kafka_wire::messages::consumer_protocol_subscription::{
    self as subscription, ConsumerProtocolSubscription,
};
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use kafka_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::{ApiKey, Decode, Encode, ErrorCode, Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The version of what members and their leader tell each other through the coordinator.
const EMBEDDED: i16 = 2;
/// Joins and syncs wait for others, at most about so long.
const OTHERS: Duration = Duration::from_secs(2);
const KIND: &str = "consumer";

/// What a leader is told of each member: its id, and what it says that it has.
type Members = BTreeMap<String, BTreeSet<Place>>;
/// What a leader decides.
type Shares = BTreeMap<String, BTreeSet<Place>>;

fn protocol(member: &Member) -> &'static str {
    match member.protocol {
        Protocol::Eager => "range",
        _ => "cooperative-sticky",
    }
}

/// A heartbeat; and a round of joins where it tells of one, or the member is none yet.
pub(crate) async fn keep_up(member: &mut Member) -> Result<bool, Trouble> {
    if !member.settled {
        return round(member).await;
    }
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let request = HeartbeatRequest {
        group_id: group.as_str().into(),
        generation_id: member.epoch,
        member_id: id.as_str().into(),
        group_instance_id: instance.as_deref().map(Into::into),
    };
    let Some(answer) = member.client.call(ApiKey::Heartbeat, 4, &request, EXTRA).await else {
        return Ok(false);
    };
    let response: HeartbeatResponse = answer.decode()?;
    match member.client.said("Heartbeat", response.error_code) {
        // It says nothing of what the member has: while a coordinator loads, it takes everybody for alive, as Kafka's
        // does. What proves that the member has its partitions are its commits.
        Said::Done => Ok(true),
        Said::Over if response.error_code == ErrorCode::RebalanceInProgress.code() => round(member).await,
        Said::Over => {
            member.begin_anew();
            statics::give_way(member, response.error_code).await;
            Ok(false)
        }
        Said::Again | Said::Unsure => Ok(false),
    }
}

/// One round: true if it ends with a generation that this member has an assignment in.
async fn round(member: &mut Member) -> Result<bool, Trouble> {
    if member.protocol == Protocol::Eager && !member.owned.is_empty() {
        member.drop_all();
    }
    let Some(leads) = join(member).await? else { return Ok(false) };
    sync(member, leads).await
}

fn embedded(message: &impl Encode) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.i16(EMBEDDED);
    message.encode(&mut writer, EMBEDDED).expect("messages here can be encoded");
    writer.into_parts().0
}

/// What was embedded, if it can be read.
fn extracted<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Option<T> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16().ok()?;
    T::decode(&mut reader, version).ok()
}

fn subscribed(member: &Member, topic: &str) -> Vec<u8> {
    let owned = subscription::TopicPartition {
        topic: topic.to_owned().into(),
        partitions: member.owned.iter().map(|place| place.1).collect(),
    };
    embedded(&ConsumerProtocolSubscription {
        topics: vec![topic.to_owned().into()],
        owned_partitions: vec![owned],
        generation_id: member.epoch,
        ..Default::default()
    })
}

/// The topic that the group reads, by its place and name.
fn topic(member: &Member) -> (usize, String) {
    let places = member.client.control.book.borrow().judged(member.group.source);
    (places[0].0, member.client.topic_name(places[0]))
}

/// Joins: what the leader is told, if this member is it. `None` if there is no generation to be in.
async fn join(member: &mut Member) -> Result<Option<Members>, Trouble> {
    let (number, name) = topic(member);
    let (group, instance) = (member.group.name(), member.instance_id());
    for _ in 0..2 {
        let id = member.id.clone();
        let metadata = subscribed(member, &name);
        let request = JoinGroupRequest {
            group_id: group.as_str().into(),
            session_timeout_ms: member.group.session_ms,
            rebalance_timeout_ms: member.group.rebalance_ms,
            member_id: id.as_str().into(),
            group_instance_id: instance.as_deref().map(Into::into),
            protocol_type: KIND.into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: protocol(member).into(),
                metadata: metadata.as_slice().into(),
            }],
            ..Default::default()
        };
        let Some(answer) = member.client.call(ApiKey::JoinGroup, 7, &request, OTHERS).await else {
            return Ok(None);
        };
        let response: JoinGroupResponse<'_> = answer.decode()?;
        match member.client.said("JoinGroup", response.error_code) {
            Said::Done => {
                member.id = response.member_id.to_string();
                member.epoch = response.generation_id;
                (member.joined, member.settled) = (true, false);
                let members = match response.leader == response.member_id {
                    true => response.members.iter().map(|one| claims(number, &one.member_id, &one.metadata)),
                    false => return Ok(Some(Members::new())),
                };
                return Ok(Some(members.collect()));
            }
            Said::Over if response.error_code == ErrorCode::MemberIdRequired.code() => {
                member.id = response.member_id.to_string();
            }
            Said::Over => {
                member.refused(response.error_code);
                statics::give_way(member, response.error_code).await;
                return Ok(None);
            }
            Said::Again | Said::Unsure => return Ok(None),
        }
    }
    Ok(None)
}

fn claims(topic: usize, id: &str, metadata: &[u8]) -> (String, BTreeSet<Place>) {
    let said: Option<ConsumerProtocolSubscription<'_>> = extracted(metadata);
    let owned = said.into_iter().flat_map(|said| said.owned_partitions);
    let places = owned.flat_map(|one| one.partitions).map(|partition| (topic, partition));
    (id.to_owned(), places.collect())
}

/// Who is to have what. With the cooperative protocol nobody is given what another one has yet.
fn shares(places: &[Place], members: &Members, is_cooperative: bool) -> Shares {
    let mut shares: Shares = members.keys().map(|id| (id.clone(), BTreeSet::new())).collect();
    for (place, id) in places.iter().zip(members.keys().cycle()) {
        let mut others = members.iter().filter(|(other, _)| *other != id);
        if is_cooperative && others.any(|(_, claimed)| claimed.contains(place)) {
            continue;
        }
        if let Some(share) = shares.get_mut(id) {
            share.insert(*place);
        }
    }
    shares
}

/// Waits for the assignment; the leader makes it. True if there is one.
async fn sync(member: &mut Member, members: Members) -> Result<bool, Trouble> {
    let (number, name) = topic(member);
    let is_cooperative = member.protocol == Protocol::Cooperative;
    let places = member.client.control.book.borrow().judged(member.group.source);
    let shares: Vec<(String, Vec<u8>)> = shares(&places, &members, is_cooperative)
        .into_iter()
        .map(|(id, own)| (id, told(&name, &own)))
        .collect();
    let assignments = shares.iter().map(|(id, bytes)| SyncGroupRequestAssignment {
        member_id: id.as_str().into(),
        assignment: bytes.as_slice().into(),
    });
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let request = SyncGroupRequest {
        group_id: group.as_str().into(),
        generation_id: member.epoch,
        member_id: id.as_str().into(),
        group_instance_id: instance.as_deref().map(Into::into),
        protocol_type: Some(KIND.into()),
        protocol_name: Some(protocol(member).into()),
        assignments: assignments.collect(),
    };
    let since = time();
    let Some(answer) = member.client.call(ApiKey::SyncGroup, 5, &request, OTHERS).await else {
        return Ok(false);
    };
    let response: SyncGroupResponse<'_> = answer.decode()?;
    match member.client.said("SyncGroup", response.error_code) {
        Said::Done => {}
        Said::Over => {
            member.refused(response.error_code);
            return Ok(false);
        }
        Said::Again | Said::Unsure => return Ok(false),
    }
    let given: Option<ConsumerProtocolAssignment<'_>> = extracted(&response.assignment);
    let given = given.into_iter().flat_map(|given| given.assigned_partitions);
    let given = given.flat_map(|one| one.partitions).map(|partition| (number, partition));
    let given: BTreeSet<Place> = given.collect();
    let gives_back = member.owned.difference(&given).next().is_some();
    if member.group.migrates.is_some() {
        // A consumer group lets in whoever joins under an id that it does not know, as Kafka's does: it may have taken
        // the member for dead in between, and have given away what it had.
        member.proves_nothing();
    }
    member.take(given, since);
    // What was given back is assigned in one more round, with the next heartbeat.
    member.settled = !(gives_back && is_cooperative);
    Ok(true)
}

fn told(topic: &str, own: &BTreeSet<Place>) -> Vec<u8> {
    let partitions = own.iter().map(|place| place.1).collect();
    let topic = assignment::TopicPartition { topic: topic.to_owned().into(), partitions };
    embedded(&ConsumerProtocolAssignment { assigned_partitions: vec![topic], ..Default::default() })
}

/// Leaves the group.
pub(crate) async fn leave(member: &mut Member) -> Result<(), Trouble> {
    // Nobody may do anything with what it has from here on.
    member.drop_all();
    let (group, id, instance) = (member.group.name(), member.id.clone(), member.instance_id());
    let gone = MemberIdentity {
        member_id: id.as_str().into(),
        group_instance_id: instance.as_deref().map(Into::into),
        ..Default::default()
    };
    let request =
        LeaveGroupRequest { group_id: group.as_str().into(), members: vec![gone], ..Default::default() };
    let Some(answer) = member.client.call(ApiKey::LeaveGroup, 4, &request, EXTRA).await else {
        return Ok(());
    };
    let response: LeaveGroupResponse<'_> = answer.decode()?;
    member.client.said("LeaveGroup", response.error_code);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(claimed: [&[i32]; 2]) -> Members {
        let claims = claimed.map(|all| all.iter().map(|partition| (0, *partition)).collect());
        ["a".to_owned(), "b".to_owned()].into_iter().zip(claims).collect()
    }

    #[test]
    fn what_another_member_has_is_given_in_the_next_round() {
        let places = [(0, 0), (0, 1), (0, 2)];
        let of = |shares: &Shares, id: &str| shares[id].iter().map(|place| place.1).collect::<Vec<i32>>();
        let eager = shares(&places, &members([&[0, 1, 2], &[]]), false);
        assert_eq!((of(&eager, "a"), of(&eager, "b")), (vec![0, 2], vec![1]));
        let first = shares(&places, &members([&[0, 1, 2], &[]]), true);
        assert_eq!((of(&first, "a"), of(&first, "b")), (vec![0, 2], vec![]));
        let second = shares(&places, &members([&[0, 2], &[]]), true);
        assert_eq!((of(&second, "a"), of(&second, "b")), (vec![0, 2], vec![1]));
        assert!(shares(&places, &Members::new(), true).is_empty());
    }

    #[test]
    fn what_is_embedded_is_read_back() {
        let own = BTreeSet::from([(3, 1), (3, 4)]);
        let bytes = told("t", &own);
        let read: ConsumerProtocolAssignment<'_> = extracted(&bytes).expect("it can be read");
        assert_eq!(read.assigned_partitions[0].partitions, [1, 4]);
        assert!(extracted::<ConsumerProtocolAssignment<'_>>(&[]).is_none());
    }
}
