//! A request to a group's coordinator on its way between cores.

use super::ask::Place;
use super::group_shell::Told;
use crate::request::Request;
use groups::Request as GroupRequest;
use kafka_wire::{ApiKey, Decode, Encode, Reader, RequestHeader, WireError, Writer};
use memory::Slice;
use model::Offset;
use std::net::IpAddr;

/// A request to the coordinator of a partition, as it came in its frame, or a part of one that names groups of
/// several partitions. It is decoded where the coordinator is: so it travels as it is, and nothing is copied.
#[derive(Debug)]
pub struct GroupQuestion {
    /// Of `__consumer_offsets`.
    pub(crate) partition: i32,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    frame: Slice,
    /// Where the body begins; 0 if there is no header before it.
    body: usize,
    pub(crate) peer: IpAddr,
    /// If the asker can take the answer later: its number for it.
    pub(crate) ticket: Option<u64>,
    /// If it is of a transaction: where the partition ended before the transaction's coordinator was asked about it.
    pub(crate) since: Option<Offset>,
}

/// What the coordinator's core says at once.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all are answers, and none is kept.
pub enum GroupReply {
    /// The answer.
    Now(Told),
    /// The answer comes by [`CoreQuestion::GroupAnswer`](crate::CoreQuestion::GroupAnswer): it waits for other
    /// members, who may be waiting for a place in the queue between the cores.
    Later,
}

impl GroupQuestion {
    /// A request as it came.
    pub(crate) fn whole(place: Place, request: &Request) -> GroupQuestion {
        GroupQuestion {
            partition: place.partition,
            api: request.api,
            version: request.version,
            frame: request.frame.clone(),
            body: request.body,
            peer: request.peer,
            ticket: None,
            since: None,
        }
    }

    /// A request of the same kind with other content.
    ///
    /// # Errors
    /// If its version cannot carry it.
    pub(crate) fn part(
        place: Place,
        request: &Request,
        message: &impl Encode,
    ) -> Result<GroupQuestion, WireError> {
        let mut writer = Writer::new();
        message.encode(&mut writer, request.version)?;
        let frame = Slice::from(writer.into_parts().0);
        Ok(GroupQuestion { frame, body: 0, ..GroupQuestion::whole(place, request) })
    }

    /// A question of another kind than the request, which the broker asks for its sake.
    ///
    /// # Errors
    /// If its version cannot carry it.
    pub(crate) fn instead(
        place: Place,
        request: &Request,
        (api, version): (ApiKey, i16),
        message: &impl Encode,
    ) -> Result<GroupQuestion, WireError> {
        let mut writer = Writer::new();
        message.encode(&mut writer, version)?;
        let frame = Slice::from(writer.into_parts().0);
        Ok(GroupQuestion { api, version, frame, body: 0, ..GroupQuestion::whole(place, request) })
    }

    /// The answer waits for other members.
    pub(crate) fn waits_for_others(&self) -> bool {
        matches!(self.api, ApiKey::JoinGroup | ApiKey::SyncGroup)
    }

    /// The answer may be that its sender is a member from now on, with an id that the coordinator makes up.
    pub(crate) fn may_make_member(&self) -> bool {
        makes_members(self.api)
    }

    /// What a coordinator is told of the client: its name for itself, and its address as Kafka writes it. Only
    /// requests that make members have them.
    pub(crate) fn client(&self) -> (String, String) {
        if self.body == 0 || !self.may_make_member() {
            return (String::new(), String::new());
        }
        let header = RequestHeader::read(&mut Reader::new(&self.frame));
        let id = header.ok().and_then(|header| header.client_id).unwrap_or_default();
        (id.into_owned(), format!("/{}", self.peer))
    }

    /// The request.
    ///
    /// # Errors
    /// If it is malformed, or none of a group.
    pub(crate) fn request(&self) -> Result<GroupRequest<'_>, WireError> {
        let reader = &mut Reader::new(&self.frame[self.body..]);
        let version = self.version;
        Ok(match self.api {
            ApiKey::JoinGroup => GroupRequest::JoinGroup(Decode::decode(reader, version)?),
            ApiKey::SyncGroup => GroupRequest::SyncGroup(Decode::decode(reader, version)?),
            ApiKey::Heartbeat => GroupRequest::Heartbeat(Decode::decode(reader, version)?),
            ApiKey::LeaveGroup => GroupRequest::LeaveGroup(Decode::decode(reader, version)?),
            ApiKey::ConsumerGroupHeartbeat => {
                GroupRequest::ConsumerGroupHeartbeat(Decode::decode(reader, version)?)
            }
            ApiKey::ConsumerGroupDescribe => {
                GroupRequest::ConsumerGroupDescribe(Decode::decode(reader, version)?)
            }
            ApiKey::StreamsGroupHeartbeat => {
                GroupRequest::StreamsGroupHeartbeat(Decode::decode(reader, version)?)
            }
            ApiKey::StreamsGroupDescribe => {
                GroupRequest::StreamsGroupDescribe(Decode::decode(reader, version)?)
            }
            ApiKey::OffsetCommit => GroupRequest::OffsetCommit(Decode::decode(reader, version)?),
            ApiKey::TxnOffsetCommit => GroupRequest::TxnOffsetCommit(Decode::decode(reader, version)?),
            ApiKey::OffsetFetch => GroupRequest::OffsetFetch(Decode::decode(reader, version)?),
            ApiKey::OffsetDelete => GroupRequest::OffsetDelete(Decode::decode(reader, version)?),
            ApiKey::DeleteGroups => GroupRequest::DeleteGroups(Decode::decode(reader, version)?),
            ApiKey::DescribeGroups => GroupRequest::DescribeGroups(Decode::decode(reader, version)?),
            ApiKey::ListGroups => GroupRequest::ListGroups(Decode::decode(reader, version)?),
            ApiKey::ShareGroupHeartbeat => {
                GroupRequest::ShareGroupHeartbeat(Decode::decode(reader, version)?)
            }
            ApiKey::ShareGroupDescribe => GroupRequest::ShareGroupDescribe(Decode::decode(reader, version)?),
            ApiKey::DescribeShareGroupOffsets => {
                GroupRequest::DescribeShareGroupOffsets(Decode::decode(reader, version)?)
            }
            ApiKey::AlterShareGroupOffsets => {
                GroupRequest::AlterShareGroupOffsets(Decode::decode(reader, version)?)
            }
            ApiKey::DeleteShareGroupOffsets => {
                GroupRequest::DeleteShareGroupOffsets(Decode::decode(reader, version)?)
            }
            other => return Err(WireError::UnknownApi(other as i16)),
        })
    }
}

/// Requests that make members, who are told apart by their clients.
fn makes_members(api: ApiKey) -> bool {
    let makes = [
        ApiKey::JoinGroup,
        ApiKey::ConsumerGroupHeartbeat,
        ApiKey::ShareGroupHeartbeat,
        ApiKey::StreamsGroupHeartbeat,
    ];
    makes.contains(&api)
}
