//! What goes into a coordinator.

use crate::topics::Topics;
use kafka_wire::ErrorCode;
use kafka_wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest;
use kafka_wire::messages::heartbeat_request::HeartbeatRequest;
use kafka_wire::messages::join_group_request::JoinGroupRequest;
use kafka_wire::messages::leave_group_request::LeaveGroupRequest;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::offset_commit_request::OffsetCommitRequest;
use kafka_wire::messages::offset_delete_request::OffsetDeleteRequest;
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequest;
use kafka_wire::messages::share_group_describe_request::ShareGroupDescribeRequest;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequest;

/// A request, as decoded from its frame. Those that name several groups hold only groups of this partition: the
/// shell splits them and joins the answers.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Request<'a> {
    JoinGroup(JoinGroupRequest<'a>),
    SyncGroup(SyncGroupRequest<'a>),
    Heartbeat(HeartbeatRequest<'a>),
    LeaveGroup(LeaveGroupRequest<'a>),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest<'a>),
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest<'a>),
    StreamsGroupHeartbeat(StreamsGroupHeartbeatRequest<'a>),
    StreamsGroupDescribe(StreamsGroupDescribeRequest<'a>),
    OffsetCommit(OffsetCommitRequest<'a>),
    TxnOffsetCommit(TxnOffsetCommitRequest<'a>),
    OffsetFetch(OffsetFetchRequest<'a>),
    OffsetDelete(OffsetDeleteRequest<'a>),
    DeleteGroups(DeleteGroupsRequest<'a>),
    DescribeGroups(DescribeGroupsRequest<'a>),
    ListGroups(ListGroupsRequest<'a>),
    ShareGroupHeartbeat(ShareGroupHeartbeatRequest<'a>),
    ShareGroupDescribe(ShareGroupDescribeRequest<'a>),
    DescribeShareGroupOffsets(DescribeShareGroupOffsetsRequest<'a>),
    AlterShareGroupOffsets(AlterShareGroupOffsetsRequest<'a>),
    DeleteShareGroupOffsets(DeleteShareGroupOffsetsRequest<'a>),
}

/// What is around a request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The version of the request.
    pub version: i16,
    /// The client's name for itself, from the request header.
    pub client_id: &'a str,
    /// Its address, as Kafka writes it: `/127.0.0.1`.
    pub client_host: &'a str,
    /// Random bits, new with every request that joins or is a heartbeat of a protocol with epochs: a member that needs
    /// an id is named by them. Nothing looks at them in others.
    pub fresh_id: [u8; 16],
    /// The cluster's topics.
    pub topics: &'a dyn Topics,
}

impl Context<'_> {
    /// Whether the request comes from the client that a member was.
    pub(crate) fn is_from(&self, client_id: &str, client_host: &str) -> bool {
        self.client_id == client_id && self.client_host == client_host
    }

    /// The id in the form of a UUID, as Kafka appends it to client ids.
    pub(crate) fn fresh_uuid(&self) -> String {
        let bits = u128::from_be_bytes(self.fresh_id);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }

    /// The id as Kafka writes its own ids.
    pub(crate) fn fresh_text(&self) -> String {
        kafka_wire::Uuid(self.fresh_id).to_string()
    }
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub code: ErrorCode,
    /// For the APIs that can carry one.
    pub message: String,
}

impl Refused {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into() }
    }

    pub fn invalid(message: &str) -> Refused {
        Refused::new(ErrorCode::InvalidRequest, message)
    }

    pub fn unknown_member(group: &str, member: &str) -> Refused {
        let message = format!("Member {member} is not a member of group {group}.");
        Refused::new(ErrorCode::UnknownMemberId, message)
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused::new(code, code.message())
    }
}
