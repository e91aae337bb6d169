//! What comes out of a coordinator: records, and answers that may have to wait for them.

use crate::share::plan::SharePlan;
use crate::streams::configure::InternalTopic;
use kafka_wire::messages::consumer_group_describe_response::ConsumerGroupDescribeResponse;
use kafka_wire::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use kafka_wire::messages::delete_groups_response::DeleteGroupsResponse;
use kafka_wire::messages::describe_groups_response::DescribeGroupsResponse;
use kafka_wire::messages::heartbeat_response::HeartbeatResponse;
use kafka_wire::messages::join_group_response::JoinGroupResponse;
use kafka_wire::messages::leave_group_response::LeaveGroupResponse;
use kafka_wire::messages::list_groups_response::ListGroupsResponse;
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::offset_delete_response::OffsetDeleteResponse;
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::messages::share_group_describe_response::ShareGroupDescribeResponse;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use kafka_wire::messages::streams_group_describe_response::StreamsGroupDescribeResponse;
use kafka_wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use kafka_wire::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use model::{ProducerEpoch, ProducerId};

/// Whoever waits for an answer; the shell makes the numbers up and never uses one twice at a time.
pub type Waiter = u64;

/// A record for the coordinator's partition. Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Two bytes with the type of record, then the key.
    pub key: Vec<u8>,
    /// Two bytes with the version, then the value.
    pub value: Option<Vec<u8>>,
}

/// A producer whose transaction records belong to, and which of its writes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The number of the write: no other of the coordinator has it.
    pub write: u64,
}

/// An answer, in the version that was asked for as far as that decides what is in it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Response {
    JoinGroup(JoinGroupResponse<'static>),
    SyncGroup(SyncGroupResponse<'static>),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse<'static>),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse<'static>),
    ConsumerGroupDescribe(ConsumerGroupDescribeResponse<'static>),
    StreamsGroupHeartbeat(StreamsHeartbeat),
    StreamsGroupDescribe(StreamsGroupDescribeResponse<'static>),
    OffsetCommit(OffsetCommitResponse<'static>),
    TxnOffsetCommit(TxnOffsetCommitResponse<'static>),
    OffsetFetch(OffsetFetchResponse<'static>),
    OffsetDelete(OffsetDeleteResponse<'static>),
    DeleteGroups(DeleteGroupsResponse<'static>),
    DescribeGroups(DescribeGroupsResponse<'static>),
    ListGroups(ListGroupsResponse<'static>),
    ShareGroupHeartbeat(ShareGroupHeartbeatResponse<'static>),
    ShareGroupDescribe(ShareGroupDescribeResponse<'static>),
    /// To the three about positions of share groups: whoever asked makes the answer of it.
    SharePlans(Vec<SharePlan>),
}

/// The answer to a StreamsGroupHeartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamsHeartbeat {
    /// What the member is told.
    pub response: StreamsGroupHeartbeatResponse<'static>,
    /// Topics that the group waits for; whoever answers has them created.
    pub create: Vec<InternalTopic>,
}

/// An answer to one waiter.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Who gets it.
    pub waiter: Waiter,
    /// What it gets.
    pub response: Response,
    /// True if it must not be sent before every record that this coordinator has given so far, in this call or
    /// an earlier one, is durable: it shows state that a crash could take back.
    pub after_records: bool,
}

/// What a call has led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// To be written in this order, all or none; several that only delete may be written one after the other.
    pub records: Vec<Record>,
    /// In the order they were given; each waiter gets one answer to one request, now or in a later call.
    pub answers: Vec<Answer>,
    /// Set if the records belong to this producer's transaction, and the batch has to say so. What becomes of them is to
    /// be told to [`Coordinator::written`](crate::Coordinator::written).
    pub producer: Option<Producer>,
}

impl Effects {
    pub(crate) fn answer(&mut self, waiter: Waiter, response: Response, after_records: bool) {
        if self.answers.is_empty() {
            // Nearly all calls give one, and room for several is a KiB.
            self.answers.reserve_exact(1);
        }
        self.answers.push(Answer { waiter, response, after_records });
    }
}
