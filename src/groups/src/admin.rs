//! The requests of tools: list, describe, delete.

use crate::coordinator::{Call, Coordinator};
use crate::effects::{Effects, Response};
use crate::group::Group;
use crate::wire::text;
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::consumer_group_describe_response::{
    ConsumerGroupDescribeResponse, DescribedGroup as DescribedConsumerGroup,
};
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_wire::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use kafka_wire::messages::share_group_describe_request::ShareGroupDescribeRequest;
use kafka_wire::messages::share_group_describe_response::{
    DescribedGroup as DescribedShareGroup, ShareGroupDescribeResponse,
};
use kafka_wire::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use kafka_wire::messages::streams_group_describe_response::{
    DescribedGroup as DescribedStreamsGroup, StreamsGroupDescribeResponse,
};
use kafka_wire::{ErrorCode, Str};
use std::sync::Arc;

/// From this version on DescribeGroups says that a group is not there (KIP-1043); before, it says Dead.
const SAYS_NOT_FOUND: i16 = 6;

/// Whether a filter lets a value through; without any value it lets all through.
fn passes(filter: &[Str<'_>], value: &str) -> bool {
    filter.is_empty() || filter.iter().any(|one| one.trim().eq_ignore_ascii_case(value))
}

impl Coordinator {
    pub(crate) fn list(&mut self, call: &Call<'_>, request: &ListGroupsRequest<'_>, out: &mut Effects) {
        let listed = self.groups.iter().filter_map(|(id, group)| {
            if !passes(&request.types_filter, group.type_name()) {
                return None;
            }
            let state = group.state_name();
            passes(&request.states_filter, state).then(|| ListedGroup {
                group_id: text(id),
                protocol_type: text(group.protocol_type()),
                group_state: Str::Borrowed(state),
                group_type: Str::Borrowed(group.type_name()),
            })
        });
        let answer = ListGroupsResponse { groups: listed.collect(), ..Default::default() };
        out.answer(call.waiter, Response::ListGroups(answer), true);
    }

    pub(crate) fn describe(
        &mut self,
        call: &Call<'_>,
        request: &DescribeGroupsRequest<'_>,
        out: &mut Effects,
    ) {
        let says_so = call.context.version >= SAYS_NOT_FOUND;
        let describe = |name: &Str<'_>| match self.groups.get(&**name) {
            Some(Group::Classic(group)) => group.describe(),
            other => {
                let why = if other.is_some() { "is not a classic group" } else { "not found" };
                let code = if says_so { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
                DescribedGroup {
                    group_id: text(name),
                    group_state: Str::Borrowed("Dead"),
                    error_code: code.code(),
                    error_message: says_so.then(|| Str::Owned(format!("Group {name} {why}."))),
                    ..Default::default()
                }
            }
        };
        let answer = DescribeGroupsResponse {
            groups: request.groups.iter().map(describe).collect(),
            ..Default::default()
        };
        out.answer(call.waiter, Response::DescribeGroups(answer), true);
    }

    pub(crate) fn consumer_describe(
        &mut self,
        call: &Call<'_>,
        request: &ConsumerGroupDescribeRequest<'_>,
        out: &mut Effects,
    ) {
        let describe = |name: &Str<'_>| match self.groups.get(&**name) {
            Some(Group::Consumer(group)) => group.describe(&self.settings, call.context.topics),
            other => {
                let why = if other.is_some() { "is not a consumer group" } else { "not found" };
                DescribedConsumerGroup {
                    group_id: text(name),
                    error_code: ErrorCode::GroupIdNotFound.code(),
                    error_message: Some(Str::Owned(format!("Group {name} {why}."))),
                    ..Default::default()
                }
            }
        };
        let groups = request.group_ids.iter().map(describe).collect();
        let answer = ConsumerGroupDescribeResponse { groups, ..Default::default() };
        out.answer(call.waiter, Response::ConsumerGroupDescribe(answer), true);
    }

    pub(crate) fn share_describe(
        &mut self,
        call: &Call<'_>,
        request: &ShareGroupDescribeRequest<'_>,
        out: &mut Effects,
    ) {
        let describe = |name: &Str<'_>| match self.groups.get(&**name) {
            Some(Group::Share(group)) => group.describe(call.context.topics),
            other => {
                let why = if other.is_some() { "is not a share group" } else { "not found" };
                DescribedShareGroup {
                    group_id: text(name),
                    error_code: ErrorCode::GroupIdNotFound.code(),
                    error_message: Some(Str::Owned(format!("Group {name} {why}."))),
                    ..Default::default()
                }
            }
        };
        let groups = request.group_ids.iter().map(describe).collect();
        let answer = ShareGroupDescribeResponse { groups, ..Default::default() };
        out.answer(call.waiter, Response::ShareGroupDescribe(answer), true);
    }

    pub(crate) fn streams_describe(
        &mut self,
        call: &Call<'_>,
        request: &StreamsGroupDescribeRequest<'_>,
        out: &mut Effects,
    ) {
        let describe = |name: &Str<'_>| match self.groups.get(&**name) {
            Some(Group::Streams(group)) => group.describe(call.context.topics),
            other => {
                let why = if other.is_some() { "is not a streams group" } else { "not found" };
                DescribedStreamsGroup {
                    group_id: text(name),
                    error_code: ErrorCode::GroupIdNotFound.code(),
                    error_message: Some(Str::Owned(format!("Group {name} {why}."))),
                    ..Default::default()
                }
            }
        };
        let groups = request.group_ids.iter().map(describe).collect();
        let answer = StreamsGroupDescribeResponse { groups, ..Default::default() };
        out.answer(call.waiter, Response::StreamsGroupDescribe(answer), true);
    }

    pub(crate) fn delete_groups(
        &mut self,
        call: &Call<'_>,
        request: &DeleteGroupsRequest<'_>,
        out: &mut Effects,
    ) {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for name in &request.groups_names {
            let code = self.delete_group(name, out).err().unwrap_or(ErrorCode::None);
            results.push(DeletableGroupResult { group_id: text(name), error_code: code.code() });
        }
        let answer = DeleteGroupsResponse { results, ..Default::default() };
        out.answer(call.waiter, Response::DeleteGroups(answer), true);
    }

    fn delete_group(&mut self, name: &str, out: &mut Effects) -> Result<(), ErrorCode> {
        let group = self.groups.get(name).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.members() > 0 || group.state_name() != "Empty" {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let id: Arc<str> = Arc::from(name);
        self.offsets.delete_group(name, &mut out.records);
        self.remove_group(&id, out);
        Ok(())
    }
}
