//! Share groups: members, who reads what, positions.

use super::*;
use crate::group::Group;
use kafka_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::delete_share_group_offsets_request::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequestTopic,
};
use kafka_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic,
};
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use kafka_wire::messages::share_group_describe_request::ShareGroupDescribeRequest;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;

fn eager() -> Driver {
    Driver::new(Settings { share_assignment_interval_ms: 0, ..Settings::default() })
}

fn says(
    member: &'static str,
    epoch: i32,
    topics: Option<&[&'static str]>,
) -> ShareGroupHeartbeatRequest<'static> {
    ShareGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch: epoch,
        rack_id: None,
        subscribed_topic_names: topics
            .map(|topics| topics.iter().map(|topic| Cow::Borrowed(*topic)).collect()),
    }
}

fn beat(
    driver: &mut Driver,
    request: &ShareGroupHeartbeatRequest<'_>,
) -> ShareGroupHeartbeatResponse<'static> {
    match driver.ask(1, &Request::ShareGroupHeartbeat(request.clone())) {
        Response::ShareGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    }
}

/// Epoch and partitions of topic `t` that an answer gives; no partitions at all if it says nothing of them.
fn given(response: &ShareGroupHeartbeatResponse<'_>) -> (i32, Option<Vec<i32>>) {
    assert_eq!(code(response.error_code), ErrorCode::None, "{:?}", response.error_message);
    let partitions = response.assignment.as_ref().map(|assignment| {
        let topics = assignment.topic_partitions.iter();
        topics.flat_map(|topic| topic.partitions.clone()).collect()
    });
    (response.member_epoch, partitions)
}

fn plan(response: Response) -> SharePlan {
    match response {
        Response::SharePlans(mut plans) => plans.pop().expect("a plan"),
        other => panic!("{other:?}"),
    }
}

fn positions(driver: &mut Driver) -> SharePlan {
    positions_in(driver, None)
}

/// In these topics, or all there are.
fn positions_in(
    driver: &mut Driver,
    topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic<'static>>>,
) -> SharePlan {
    let group = DescribeShareGroupOffsetsRequestGroup { group_id: GROUP.into(), topics };
    let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
    plan(driver.ask(0, &Request::DescribeShareGroupOffsets(request)))
}

fn alter(driver: &mut Driver, topic: &'static str, partition: i32) -> SharePlan {
    let one = AlterShareGroupOffsetsRequestPartition { partition_index: partition, start_offset: 5 };
    let topic = AlterShareGroupOffsetsRequestTopic { topic_name: topic.into(), partitions: vec![one] };
    let request = AlterShareGroupOffsetsRequest { group_id: GROUP.into(), topics: vec![topic] };
    plan(driver.ask(0, &Request::AlterShareGroupOffsets(request)))
}

fn delete(driver: &mut Driver, topic: &'static str) -> SharePlan {
    let topic = DeleteShareGroupOffsetsRequestTopic { topic_name: topic.into() };
    let request = DeleteShareGroupOffsetsRequest { group_id: GROUP.into(), topics: vec![topic] };
    plan(driver.ask(0, &Request::DeleteShareGroupOffsets(request)))
}

#[test]
fn members_join_share_and_leave() {
    let mut driver = eager();
    assert_eq!(given(&beat(&mut driver, &says("a", 0, Some(&["t"])))), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(given(&beat(&mut driver, &says("a", 1, None))), (1, None), "nothing new");
    assert_eq!(given(&beat(&mut driver, &says("b", 0, Some(&["t"])))), (2, Some(vec![2, 3])));
    assert_eq!(given(&beat(&mut driver, &says("a", 1, None))), (2, Some(vec![0, 1])));
    let again = given(&beat(&mut driver, &says("a", 1, None)));
    assert_eq!(again, (2, Some(vec![0, 1])), "the answer may have been lost");
    assert_eq!(given(&beat(&mut driver, &says("a", 2, None))), (2, None));
    let fenced = beat(&mut driver, &says("a", 7, None));
    assert_eq!(code(fenced.error_code), ErrorCode::FencedMemberEpoch);
    let stranger = beat(&mut driver, &says("c", 1, None));
    assert_eq!(code(stranger.error_code), ErrorCode::UnknownMemberId);
    assert_eq!(beat(&mut driver, &says("b", -1, None)).member_epoch, -1);
    assert_eq!(given(&beat(&mut driver, &says("a", 2, None))), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn heartbeats_are_checked() {
    let mut driver = eager();
    let too_long = "0123456789012345678901234567890123456";
    let wrong = [
        says("", 0, Some(&["t"])),
        says(too_long, 0, Some(&["t"])),
        says("a", -2, None),
        says("a", 0, None),
        says("a", 0, Some(&[])),
    ];
    for request in wrong {
        assert_eq!(code(beat(&mut driver, &request).error_code), ErrorCode::InvalidRequest, "{request:?}");
    }
    let missing = beat(&mut driver, &says("a", 1, None));
    assert_eq!(code(missing.error_code), ErrorCode::GroupIdNotFound);
    assert!(driver.log.is_empty() && driver.coordinator.groups.is_empty());
    driver.coordinator.configure(Settings { share_max_size: 1, ..driver.coordinator.settings.clone() });
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    let full = beat(&mut driver, &says("b", 0, Some(&["t"])));
    assert_eq!(code(full.error_code), ErrorCode::GroupMaxSizeReached);
}

#[test]
fn silence_ends_a_membership_and_new_partitions_are_given_out() {
    let mut driver = eager();
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    beat(&mut driver, &says("b", 0, Some(&["t"])));
    driver.pass(30_000);
    beat(&mut driver, &says("a", 1, None));
    driver.pass(20_000);
    let (epoch, partitions) = given(&beat(&mut driver, &says("a", 2, None)));
    assert_eq!((epoch, partitions), (3, Some(vec![0, 1, 2, 3])), "the other was not heard of");
    driver.cluster.topics[0].partitions = 6;
    driver.cluster.version += 1;
    assert_eq!(given(&beat(&mut driver, &says("a", 3, None))), (4, Some(vec![0, 1, 2, 3, 4, 5])));
    assert_eq!(positions(&mut driver).topics[0].2, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn groups_of_one_kind_are_no_other() {
    let mut driver = eager();
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    let mut consumer = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: "m".into(),
        rebalance_timeout_ms: 1_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    assert_eq!(code(driver.beat(&consumer).error_code), ErrorCode::GroupIdNotFound);
    let waiter = driver.join(9, "", None);
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(driver.commit(9, "", -1, 0, 3), ErrorCode::GroupIdNotFound);
    // Its offsets may be asked for, but there are none.
    let fetch = OffsetFetchRequestGroup { group_id: GROUP.into(), member_epoch: -1, ..Default::default() };
    let fetch = OffsetFetchRequest { groups: vec![fetch], ..Default::default() };
    let Response::OffsetFetch(fetched) = driver.ask(9, &Request::OffsetFetch(fetch)) else {
        panic!("no offsets")
    };
    assert_eq!((fetched.groups[0].error_code, fetched.groups[0].topics.len()), (0, 0));
    consumer.group_id = "other".into();
    driver.beat(&consumer);
    let mut request = says("a", 0, Some(&["t"]));
    request.group_id = "other".into();
    assert_eq!(code(beat(&mut driver, &request).error_code), ErrorCode::GroupIdNotFound);
    let request = ListGroupsRequest { types_filter: vec!["Share".into()], ..Default::default() };
    let Response::ListGroups(listed) = driver.ask(5, &Request::ListGroups(request)) else {
        panic!("no list")
    };
    let listed: Vec<_> =
        listed.groups.iter().map(|one| (&*one.group_id, &*one.group_state, &*one.protocol_type)).collect();
    assert_eq!(listed, [(GROUP, "Stable", "share")]);
}

#[test]
fn positions_are_changed_only_while_nobody_reads() {
    let mut driver = eager();
    let missing = positions(&mut driver);
    assert_eq!(missing.refused.map(|(code, _)| code), Some(ErrorCode::GroupIdNotFound));
    let named = DescribeShareGroupOffsetsRequestTopic { topic_name: "t".into(), partitions: vec![0] };
    let named = positions_in(&mut driver, Some(vec![named]));
    assert_eq!((named.refused, named.topics), (None, Vec::new()), "named ones are just not there");
    let id = driver.topic();
    let altered = alter(&mut driver, "t", 2);
    assert_eq!((altered.refused, altered.epoch), (None, 1));
    assert_eq!(altered.topics, [(id, "t".to_owned(), vec![2])]);
    assert_eq!(alter(&mut driver, "t", 9).topics[0].2, [2], "a partition that is not there");
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    assert_eq!(positions(&mut driver).topics[0].2, [0, 1, 2, 3]);
    let busy = Some(ErrorCode::NonEmptyGroup);
    assert_eq!(alter(&mut driver, "t", 2).refused.map(|(code, _)| code), busy);
    assert_eq!(delete(&mut driver, "t").refused.map(|(code, _)| code), busy);
    beat(&mut driver, &says("a", -1, None));
    assert_eq!(delete(&mut driver, "t").topics[0].2, [0, 1, 2, 3], "what there was");
    assert!(positions(&mut driver).topics.is_empty());
    assert!(positions(&mut driver.reloaded()).topics.is_empty());
    let request = DeleteGroupsRequest { groups_names: vec![GROUP.into()] };
    let Response::DeleteGroups(answer) = driver.ask(2, &Request::DeleteGroups(request)) else {
        panic!("no answer")
    };
    assert_eq!(answer.results[0].error_code, 0);
    assert!(driver.reloaded().coordinator.groups.is_empty());
}

#[test]
fn a_coordinator_from_the_log_says_the_same() {
    let mut driver = eager();
    driver.cluster.add("u", 1);
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    beat(&mut driver, &says("b", 0, Some(&["t", "u"])));
    beat(&mut driver, &says("a", 1, None));
    beat(&mut driver, &says("c", 0, Some(&["u"])));
    beat(&mut driver, &says("c", -1, None));
    let describe = |driver: &mut Driver| {
        let request = ShareGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
        driver.ask(1, &Request::ShareGroupDescribe(request))
    };
    let mut again = driver.reloaded();
    let told = describe(&mut driver);
    assert_eq!(describe(&mut again), told);
    let Response::ShareGroupDescribe(told) = told else { panic!("no description") };
    let group = &told.groups[0];
    assert_eq!((&*group.group_state, &*group.assignor_name, group.members.len()), ("Stable", "simple", 2));
    assert_eq!(positions(&mut again), positions(&mut driver));
    assert!(matches!(again.coordinator.groups.get(GROUP), Some(Group::Share(_))));
    again.pass(60_000);
    let Some(Group::Share(group)) = again.coordinator.groups.get(GROUP) else { panic!("it stays") };
    assert!(group.members.is_empty(), "sessions begin anew, and end");
}

#[test]
fn a_member_may_begin_anew_at_any_time() {
    let mut driver = eager();
    beat(&mut driver, &says("a", 0, Some(&["t"])));
    beat(&mut driver, &says("b", 0, Some(&["t"])));
    beat(&mut driver, &says("a", 1, None));
    beat(&mut driver, &says("c", 0, Some(&["t"])));
    let (epoch, has) = given(&beat(&mut driver, &says("a", 2, Some(&["t"]))));
    assert_eq!(epoch, 3);
    let fenced = beat(&mut driver, &says("a", 1, None));
    assert_eq!(code(fenced.error_code), ErrorCode::FencedMemberEpoch);
    let why = fenced.error_message.expect("a reason");
    assert!(why.contains("it does not match the previous member epoch (2)"), "{why}");
    // Neither its epoch nor the one before, and it has its place still.
    let written = driver.log.len();
    assert_eq!(given(&beat(&mut driver, &says("a", 0, Some(&["t"])))), (3, has));
    assert_eq!(driver.log.len(), written, "nothing has changed");
}
