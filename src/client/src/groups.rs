//! Consumer groups as an administrator sees them: which there are, who is in them, how far they have read.
//!
//! Every function here is a method of [`Client`]. A group is asked for at its coordinator, which is looked for anew
//! with each attempt.

use crate::cluster::Node;
use crate::{Client, ClientError};
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::consumer_group_describe_response::ConsumerGroupDescribeResponse;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_groups_response::DeleteGroupsResponse;
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_wire::messages::describe_groups_response::DescribeGroupsResponse;
use kafka_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use kafka_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponse;
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::list_groups_response::ListGroupsResponse;
use kafka_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_wire::messages::offset_commit_response::OffsetCommitResponse;
use kafka_wire::messages::offset_fetch_request::OffsetFetchRequest;
use kafka_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kafka_wire::messages::share_group_describe_request::ShareGroupDescribeRequest;
use kafka_wire::messages::share_group_describe_response::ShareGroupDescribeResponse;
use kafka_wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use kafka_wire::messages::streams_group_describe_response::StreamsGroupDescribeResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;

/// The last version of FindCoordinator that asks for one group.
const FIND_ONE_UP_TO: i16 = 3;
/// The last version of OffsetFetch that asks for one group.
const OFFSETS_OF_ONE_UP_TO: i16 = 7;
/// The last version of OffsetCommit that names topics by their names.
pub(crate) const COMMIT_BY_NAME_UP_TO: i16 = 9;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group: String,
    /// `Empty`, `Stable` and so on; empty if the broker is too old to say.
    pub state: String,
    /// `classic`, `consumer`, `share` or `streams`; empty if the broker is too old to say.
    pub kind: String,
    /// What its members agree on: `consumer` for groups that read topics.
    pub protocol: String,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that it has in the group.
    pub member: String,
    /// How its client names itself.
    pub client: String,
    /// Where its client is.
    pub host: String,
}

/// Committed offsets by topic and partition.
pub type GroupOffsets = BTreeMap<(String, i32), i64>;

/// The members of a described group. The generated types of the protocols differ in all else.
macro_rules! members {
    ($group:expr) => {{
        let members = $group.members.iter().map(|member| GroupMember {
            member: member.member_id.to_string(),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
        });
        members.collect()
    }};
}

impl Client {
    /// The groups of all brokers, by id.
    pub fn groups(&mut self) -> Result<Vec<ListedGroup>, ClientError> {
        self.retry(|client| {
            let brokers: Vec<i32> = client.metadata(Some(&[]))?.brokers.into_keys().collect();
            let mut groups = BTreeMap::new();
            for broker in brokers {
                let request = |_| ListGroupsRequest::default();
                let response: ListGroupsResponse<'_> =
                    client.call(Node::Broker(broker), ApiKey::ListGroups, request)?;
                check(ApiKey::ListGroups, format!("broker {broker}"), response.error_code)?;
                for group in &response.groups {
                    let listed = ListedGroup {
                        group: group.group_id.to_string(),
                        state: group.group_state.to_string(),
                        kind: group.group_type.to_string(),
                        protocol: group.protocol_type.to_string(),
                    };
                    groups.insert(listed.group.clone(), listed);
                }
            }
            Ok(groups.into_values().collect())
        })
    }

    /// The members of a group of the classic protocol, the consumer protocol (KIP-848), the streams protocol
    /// (KIP-1071), or of a share group (KIP-932).
    pub fn group_members(&mut self, group: &ListedGroup) -> Result<Vec<GroupMember>, ClientError> {
        let id = group.group.as_str();
        match group.kind.to_ascii_lowercase().as_str() {
            "consumer" => self.retry(|client| client.consumer_members(id)),
            "share" => self.retry(|client| client.share_members(id)),
            "streams" => self.retry(|client| client.streams_members(id)),
            _ => self.retry(|client| client.classic_members(id)),
        }
    }

    fn classic_members(&mut self, group: &str) -> Result<Vec<GroupMember>, ClientError> {
        let node = self.coordinator(group)?;
        let response: DescribeGroupsResponse<'_> = self.call(node, ApiKey::DescribeGroups, |_| {
            DescribeGroupsRequest { groups: vec![group.to_owned().into()], ..Default::default() }
        })?;
        let found = response.groups.first().ok_or_else(|| unanswered(ApiKey::DescribeGroups, group))?;
        check(ApiKey::DescribeGroups, subject(group), found.error_code)?;
        Ok(members!(found))
    }

    fn consumer_members(&mut self, group: &str) -> Result<Vec<GroupMember>, ClientError> {
        let node = self.coordinator(group)?;
        let api = ApiKey::ConsumerGroupDescribe;
        let response: ConsumerGroupDescribeResponse<'_> = self.call(node, api, |_| {
            ConsumerGroupDescribeRequest { group_ids: vec![group.to_owned().into()], ..Default::default() }
        })?;
        let found = response.groups.first().ok_or_else(|| unanswered(api, group))?;
        check(api, subject(group), found.error_code)?;
        Ok(members!(found))
    }

    fn share_members(&mut self, group: &str) -> Result<Vec<GroupMember>, ClientError> {
        let node = self.coordinator(group)?;
        let api = ApiKey::ShareGroupDescribe;
        let response: ShareGroupDescribeResponse<'_> = self.call(node, api, |_| {
            ShareGroupDescribeRequest { group_ids: vec![group.to_owned().into()], ..Default::default() }
        })?;
        let found = response.groups.first().ok_or_else(|| unanswered(api, group))?;
        check(api, subject(group), found.error_code)?;
        Ok(members!(found))
    }

    /// The positions of a share group: all before them is done with (KIP-932).
    pub fn share_positions(&mut self, group: &str) -> Result<GroupOffsets, ClientError> {
        self.retry(|client| {
            let node = client.coordinator(group)?;
            let api = ApiKey::DescribeShareGroupOffsets;
            let response: DescribeShareGroupOffsetsResponse<'_> = client.call(node, api, |_| {
                let group_id = group.to_owned().into();
                let one = DescribeShareGroupOffsetsRequestGroup { group_id, topics: None };
                DescribeShareGroupOffsetsRequest { groups: vec![one] }
            })?;
            let found = response.groups.first().ok_or_else(|| unanswered(api, group))?;
            check(api, subject(group), found.error_code)?;
            let mut offsets = GroupOffsets::new();
            for topic in &found.topics {
                for partition in &topic.partitions {
                    let place = (topic.topic_name.to_string(), partition.partition_index);
                    check(api, format!("{}-{}", place.0, place.1), partition.error_code)?;
                    if partition.start_offset >= 0 {
                        offsets.insert(place, partition.start_offset);
                    }
                }
            }
            Ok(offsets)
        })
    }

    fn streams_members(&mut self, group: &str) -> Result<Vec<GroupMember>, ClientError> {
        let node = self.coordinator(group)?;
        let api = ApiKey::StreamsGroupDescribe;
        let response: StreamsGroupDescribeResponse<'_> = self.call(node, api, |_| {
            StreamsGroupDescribeRequest { group_ids: vec![group.to_owned().into()], ..Default::default() }
        })?;
        let found = response.groups.first().ok_or_else(|| unanswered(api, group))?;
        check(api, subject(group), found.error_code)?;
        Ok(members!(found))
    }

    /// Everything that a group has committed; of a group that is not there, nothing.
    pub fn group_offsets(&mut self, group: &str) -> Result<GroupOffsets, ClientError> {
        self.retry(|client| {
            let node = client.coordinator(group)?;
            let (api, versions) = (ApiKey::OffsetFetch, OFFSETS_OF_ONE_UP_TO);
            let response: OffsetFetchResponse<'_> = client.call_up_to(node, api, versions, |_| {
                OffsetFetchRequest { group_id: group.to_owned().into(), topics: None, ..Default::default() }
            })?;
            check(api, subject(group), response.error_code)?;
            let mut offsets = GroupOffsets::new();
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let place = (topic.name.to_string(), partition.partition_index);
                    check(api, format!("{}-{}", place.0, place.1), partition.error_code)?;
                    if partition.committed_offset >= 0 {
                        offsets.insert(place, partition.committed_offset);
                    }
                }
            }
            Ok(offsets)
        })
    }

    /// Commits offsets of a topic for a group without members.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID` if the group has members: then only they may commit.
    pub fn commit_group_offsets(
        &mut self,
        group: &str,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<(), ClientError> {
        self.retry(|client| {
            let node = client.coordinator(group)?;
            let (api, versions) = (ApiKey::OffsetCommit, COMMIT_BY_NAME_UP_TO);
            let response: OffsetCommitResponse<'_> =
                client.call_up_to(node, api, versions, |_| commit(group, topic, offsets))?;
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            for partition in partitions {
                let subject = format!("group {group}, {topic}-{}", partition.partition_index);
                check(api, subject, partition.error_code)?;
            }
            Ok(())
        })
    }

    /// Deletes a group without members, and what it has committed.
    pub fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        self.retry(|client| {
            let node = client.coordinator(group)?;
            let response: DeleteGroupsResponse<'_> = client.call(node, ApiKey::DeleteGroups, |_| {
                DeleteGroupsRequest { groups_names: vec![group.to_owned().into()] }
            })?;
            let result = response.results.first().ok_or_else(|| unanswered(ApiKey::DeleteGroups, group))?;
            check(ApiKey::DeleteGroups, subject(group), result.error_code)
        })
    }

    /// The node that coordinates a group. Its absence passes: the topic of offsets may just be being made.
    pub(crate) fn coordinator(&mut self, group: &str) -> Result<Node, ClientError> {
        let (api, versions) = (ApiKey::FindCoordinator, FIND_ONE_UP_TO);
        let response: FindCoordinatorResponse<'_> = self.call_up_to(Node::Any, api, versions, |_| {
            FindCoordinatorRequest { key: group.to_owned().into(), ..Default::default() }
        })?;
        check(api, subject(group), response.error_code)?;
        Ok(Node::Broker(response.node_id))
    }
}

pub(crate) fn commit(group: &str, topic: &str, offsets: &[(i32, i64)]) -> OffsetCommitRequest<'static> {
    let partitions =
        offsets.iter().map(|&(partition_index, committed_offset)| OffsetCommitRequestPartition {
            partition_index,
            committed_offset,
            committed_leader_epoch: -1,
            ..Default::default()
        });
    let topics = vec![OffsetCommitRequestTopic {
        name: topic.to_owned().into(),
        partitions: partitions.collect(),
        ..Default::default()
    }];
    let group_id = group.to_owned().into();
    OffsetCommitRequest { group_id, generation_id_or_member_epoch: -1, topics, ..Default::default() }
}

pub(crate) fn subject(group: &str) -> String {
    format!("group {group}")
}

fn check(api: ApiKey, subject: String, code: i16) -> Result<(), ClientError> {
    match code {
        0 => Ok(()),
        code => Err(ClientError::broker(api, subject, code, None)),
    }
}

fn unanswered(api: ApiKey, group: &str) -> ClientError {
    let message = Some("the broker's answer leaves this group out");
    ClientError::broker(api, subject(group), ErrorCode::UnknownServerError.code(), message)
}
