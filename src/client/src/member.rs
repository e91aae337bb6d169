//! Taking part in a consumer group, by the classic protocol: one topic, the assignor `range`.
//!
//! There is no thread in the background: whoever reads comes back to [`Member::take_part`] between its polls, which
//! tells the coordinator that the member lives. One that stays away for longer than the session loses its partitions,
//! and joins again when it comes back. Partitions that are added to the topic are dealt out when the group is
//! next rebalanced for another reason.

mod range;

use crate::cluster::Node;
use crate::groups::{COMMIT_BY_NAME_UP_TO, commit, subject};
use crate::{Client, ClientError};
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use kafka_wire::messages::offset_commit_request::OffsetCommitRequest;
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::{ApiKey, ErrorCode};
use range::Subscriber;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What groups that read topics call themselves.
const PROTOCOL_TYPE: &str = "consumer";
/// The assignor.
const PROTOCOL: &str = "range";
/// From this version on members leave in a list.
const LEAVE_BY_LIST_FROM: i16 = 3;
/// From this version on SyncGroup says again what the group has agreed on.
const SYNC_SAYS_PROTOCOL_FROM: i16 = 5;

/// How a member behaves. The defaults are those of Kafka's own consumers, but for the time to come back in.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// A member that says nothing for so long is out of the group.
    pub session_timeout: Duration,
    /// When the group is rebalanced, its members have so long to join again.
    pub rebalance_timeout: Duration,
    /// How often the member says that it lives.
    pub heartbeat_interval: Duration,
}

impl Default for MemberOptions {
    fn default() -> MemberOptions {
        MemberOptions {
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

/// What a member has to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The same as before.
    Kept,
    /// These partitions from now on, instead of those that it had; none, if there are members enough without it.
    Assigned(Vec<i32>),
    /// Nothing: the group is being rebalanced. Come again at once.
    Outside,
}

/// A member of a consumer group that reads one topic.
#[derive(Debug)]
pub struct Member {
    group: String,
    topic: String,
    options: MemberOptions,
    /// As the coordinator has named it; empty before.
    id: String,
    generation: i32,
    /// It has partitions, or was told that there are none for it.
    joined: bool,
    /// When it last told that it lives, or joined. Commits do not count, for their answers do not tell of a rebalance.
    heard: Instant,
    coordinator: Option<Node>,
}

/// What a member is told that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Fine,
    /// The group is being rebalanced, or was already.
    JoinAgain,
    /// It is out of the group.
    Forgotten,
}

/// The answer to a request to join.
enum Joining {
    Joined {
        id: String,
        generation: i32,
        subscribers: Option<Vec<Subscriber>>,
    },
    /// To be asked again under this id, which may be empty.
    Again {
        id: String,
    },
}

impl Member {
    /// Somebody who is not in the group yet.
    pub fn new(group: impl Into<String>, topic: impl Into<String>, options: MemberOptions) -> Member {
        Member {
            group: group.into(),
            topic: topic.into(),
            options,
            id: String::new(),
            generation: -1,
            joined: false,
            heard: Instant::now(),
            coordinator: None,
        }
    }

    /// Tells the coordinator that the member lives, if it is time, and joins the group if it is not in it or
    /// was told to join again. What was read before should be committed before: after [`Part::Assigned`] others
    /// may read on in the partitions that the member had.
    ///
    /// # Errors
    /// Those of the coordinator, after the deadline if they are retriable; `INCONSISTENT_GROUP_PROTOCOL` if the other
    /// members do not know `range`.
    pub fn take_part(&mut self, client: &mut Client) -> Result<Part, ClientError> {
        if self.joined && self.heard.elapsed() >= self.options.heartbeat_interval {
            let told = self.ask(client, Member::heartbeat)?;
            self.heard = Instant::now();
            self.heed(told);
        }
        match self.joined {
            true => Ok(Part::Kept),
            false => self.join(client),
        }
    }

    /// Commits offsets of the topic; false if the group has moved on meanwhile. Then whoever has the partitions
    /// now reads again from what was committed before.
    ///
    /// # Errors
    /// As [`take_part`](Member::take_part).
    pub fn commit(&mut self, client: &mut Client, offsets: &[(i32, i64)]) -> Result<bool, ClientError> {
        if !self.joined || offsets.is_empty() {
            return Ok(self.joined);
        }
        let told = self.ask(client, |member, client, node| member.commit_once(client, node, offsets))?;
        self.heed(told);
        Ok(told == Told::Fine)
    }

    /// Leaves the group, so that others get its partitions at once. One who is not in it does nothing.
    ///
    /// # Errors
    /// Those of the coordinator, at once: the end of the session will do.
    pub fn leave(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.id.is_empty() {
            return Ok(());
        }
        let id = std::mem::take(&mut self.id);
        self.joined = false;
        let node = match self.coordinator {
            Some(node) => node,
            None => client.coordinator(&self.group)?,
        };
        let api = ApiKey::LeaveGroup;
        let response: LeaveGroupResponse<'_> = client.call(node, api, |version| {
            let (mut member_id, mut members) = (id.as_str(), Vec::new());
            if version >= LEAVE_BY_LIST_FROM {
                members.push(MemberIdentity { member_id: id.as_str().into(), ..Default::default() });
                member_id = "";
            }
            LeaveGroupRequest { group_id: self.group.as_str().into(), member_id: member_id.into(), members }
        })?;
        let codes = response.members.iter().map(|member| member.error_code);
        let code = std::iter::once(response.error_code).chain(codes).find(|&code| code != 0).unwrap_or(0);
        told(api, &self.group, code).map(drop)
    }

    fn heed(&mut self, told: Told) {
        self.joined &= told == Told::Fine;
        if told == Told::Forgotten {
            self.id.clear();
        }
    }

    /// Asks the coordinator, which is looked for anew after a failure.
    fn ask<T>(
        &mut self,
        client: &mut Client,
        mut attempt: impl FnMut(&Member, &mut Client, Node) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        client.retry(|client| {
            let node = match self.coordinator {
                Some(node) => node,
                None => client.coordinator(&self.group)?,
            };
            let result = attempt(self, client, node);
            self.coordinator = result.is_ok().then_some(node);
            result
        })
    }

    fn heartbeat(&self, client: &mut Client, node: Node) -> Result<Told, ClientError> {
        let api = ApiKey::Heartbeat;
        let response: HeartbeatResponse = client.call(node, api, |_| HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: None,
        })?;
        told(api, &self.group, response.error_code)
    }

    fn commit_once(
        &self,
        client: &mut Client,
        node: Node,
        offsets: &[(i32, i64)],
    ) -> Result<Told, ClientError> {
        let api = ApiKey::OffsetCommit;
        let response: OffsetCommitResponse<'_> =
            client.call_up_to(node, api, COMMIT_BY_NAME_UP_TO, |_| OffsetCommitRequest {
                generation_id_or_member_epoch: self.generation,
                member_id: self.id.clone().into(),
                ..commit(&self.group, &self.topic, offsets)
            })?;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let code = partitions.map(|partition| partition.error_code).find(|&code| code != 0).unwrap_or(0);
        told(api, &self.group, code)
    }

    /// One round of joining.
    fn join(&mut self, client: &mut Client) -> Result<Part, ClientError> {
        let subscribers = match self.ask(client, Member::join_once)? {
            Joining::Again { id } => {
                self.id = id;
                return Ok(Part::Outside);
            }
            Joining::Joined { id, generation, subscribers } => {
                self.id = id;
                self.generation = generation;
                subscribers
            }
        };
        let assignments = match subscribers {
            Some(subscribers) => assignments(client, &subscribers)?,
            None => Vec::new(),
        };
        let synced = self.ask(client, |member, client, node| member.sync_once(client, node, &assignments));
        let (told, partitions) = synced?;
        (self.joined, self.heard) = (true, Instant::now());
        self.heed(told);
        Ok(if self.joined { Part::Assigned(partitions) } else { Part::Outside })
    }

    /// Waits until the members of the group's next generation are known. With `subscribers` they are this one's to
    /// deal the partitions out to.
    fn join_once(&self, client: &mut Client, node: Node) -> Result<Joining, ClientError> {
        let api = ApiKey::JoinGroup;
        let metadata =
            range::subscription(&self.topic).map_err(|source| ClientError::Encode { api, source })?;
        let connection = client.connection(node)?;
        let version = connection.version(api, i16::MAX)?;
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: millis(self.options.session_timeout),
            rebalance_timeout_ms: millis(self.options.rebalance_timeout),
            member_id: self.id.as_str().into(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![JoinGroupRequestProtocol { name: PROTOCOL.into(), metadata: metadata.into() }],
            ..Default::default()
        };
        let pending = connection.send(api, version, &request)?;
        let response: JoinGroupResponse<'_> = connection.receive(&pending, self.options.rebalance_timeout)?;
        if response.error_code == ErrorCode::MemberIdRequired.code() {
            return Ok(Joining::Again { id: response.member_id.to_string() });
        }
        match told(api, &self.group, response.error_code)? {
            Told::Fine => {}
            Told::JoinAgain => return Ok(Joining::Again { id: self.id.clone() }),
            Told::Forgotten => return Ok(Joining::Again { id: String::new() }),
        }
        let leads = response.leader == response.member_id && !response.skip_assignment;
        let subscribers = response.members.iter().map(|member| Subscriber {
            id: member.member_id.to_string(),
            instance: member.group_instance_id.as_ref().map(|instance| instance.to_string()),
            topics: range::topics(&member.metadata),
        });
        Ok(Joining::Joined {
            id: response.member_id.to_string(),
            generation: response.generation_id,
            subscribers: leads.then(|| subscribers.collect()),
        })
    }

    /// Hands over what every member gets, or waits for who does; the partitions of this one.
    fn sync_once(
        &self,
        client: &mut Client,
        node: Node,
        assignments: &[(String, Vec<u8>)],
    ) -> Result<(Told, Vec<i32>), ClientError> {
        let api = ApiKey::SyncGroup;
        let connection = client.connection(node)?;
        let version = connection.version(api, i16::MAX)?;
        let says = version >= SYNC_SAYS_PROTOCOL_FROM;
        let assignments = assignments.iter().map(|(id, bytes)| SyncGroupRequestAssignment {
            member_id: id.as_str().into(),
            assignment: bytes.as_slice().into(),
        });
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: None,
            protocol_type: says.then(|| PROTOCOL_TYPE.into()),
            protocol_name: says.then(|| PROTOCOL.into()),
            assignments: assignments.collect(),
        };
        let pending = connection.send(api, version, &request)?;
        let response: SyncGroupResponse<'_> = connection.receive(&pending, self.options.rebalance_timeout)?;
        let told = told(api, &self.group, response.error_code)?;
        let partitions = range::partitions(&response.assignment, &self.topic).map_err(|error| {
            let what = format!("the assignment is unreadable: {error}");
            ClientError::broker(api, subject(&self.group), ErrorCode::UnknownServerError.code(), Some(&what))
        })?;
        Ok((told, partitions))
    }
}

/// What each member gets, for the member that has to say.
fn assignments(
    client: &mut Client,
    subscribers: &[Subscriber],
) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
    // Partitions may have been added since.
    client.forget_topics();
    let topics: BTreeSet<&String> = subscribers.iter().flat_map(|member| &member.topics).collect();
    let mut sizes = BTreeMap::new();
    for topic in topics {
        match client.topic(topic) {
            Ok(found) => {
                let ids = found.partitions.iter().map(|partition| partition.partition);
                sizes.insert(topic.clone(), ids.collect());
            }
            // Others may want topics that are not there yet, or no more.
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
            Err(error) => return Err(error),
        }
    }
    let shares = range::assign(subscribers, &sizes).into_iter();
    let encoded = shares.map(|(id, share)| range::assignment(&share).map(|bytes| (id, bytes)));
    let encoded: Result<Vec<_>, _> = encoded.collect();
    encoded.map_err(|source| ClientError::Encode { api: ApiKey::SyncGroup, source })
}

fn told(api: ApiKey, group: &str, code: i16) -> Result<Told, ClientError> {
    match ErrorCode::try_from(code) {
        Ok(ErrorCode::None) => Ok(Told::Fine),
        Ok(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => Ok(Told::JoinAgain),
        Ok(ErrorCode::UnknownMemberId) => Ok(Told::Forgotten),
        _ => Err(ClientError::broker(api, subject(group), code, None)),
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
