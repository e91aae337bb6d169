//! What tools ask: list, describe, delete.

use super::*;
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_wire::messages::list_groups_request::ListGroupsRequest;

/// A group of each kind: `g` of the consumer protocol, `c` of the classic one, `s` of offsets alone.
fn three() -> Driver {
    let mut driver = Driver::eager();
    driver.beat(&first_beat("a"));
    let mut join = join_request("", None, &["range"]);
    join.group_id = "c".into();
    driver.send(3, &Request::JoinGroup(join));
    let mut commit = commit_request("", -1, 0, 1, "");
    commit.group_id = "s".into();
    driver.ask(9, &Request::OffsetCommit(commit));
    driver
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut driver = three();
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&[], &[], &["c", "g", "s"]),
        (&["stable"], &[], &["g"]),
        (&["Empty", "PreparingRebalance"], &[], &["c", "s"]),
        (&[], &["Consumer"], &["g"]),
        (&["Empty"], &["classic"], &["s"]),
        (&[], &["what"], &[]),
    ];
    for (states, types, expected) in cases {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|one| Cow::Borrowed(*one)).collect(),
            types_filter: types.iter().map(|one| Cow::Borrowed(*one)).collect(),
        };
        match driver.ask(5, &Request::ListGroups(request)) {
            Response::ListGroups(answer) => {
                let ids: Vec<&str> = answer.groups.iter().map(|group| &*group.group_id).collect();
                assert_eq!(ids, expected, "{states:?} {types:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn groups_are_described() {
    let mut driver = three();
    for (version, not_there) in [(5, ErrorCode::None), (6, ErrorCode::GroupIdNotFound)] {
        let groups = ["c", "g", "no"].map(Cow::Borrowed).to_vec();
        let request = DescribeGroupsRequest { groups, ..Default::default() };
        let Response::DescribeGroups(answer) = driver.ask(version, &Request::DescribeGroups(request)) else {
            panic!("no description");
        };
        let told: Vec<(&str, ErrorCode, usize)> = answer
            .groups
            .iter()
            .map(|group| (&*group.group_state, code(group.error_code), group.members.len()))
            .collect();
        let expected =
            [("PreparingRebalance", ErrorCode::None, 1), ("Dead", not_there, 0), ("Dead", not_there, 0)];
        assert_eq!(told, expected);
    }
    let request = ConsumerGroupDescribeRequest {
        group_ids: ["g", "c"].map(Cow::Borrowed).to_vec(),
        ..Default::default()
    };
    let Response::ConsumerGroupDescribe(answer) = driver.ask(1, &Request::ConsumerGroupDescribe(request))
    else {
        panic!("no description");
    };
    let group = &answer.groups[0];
    assert_eq!((&*group.group_state, group.group_epoch, group.assignment_epoch), ("Stable", 1, 1));
    assert_eq!((&*group.assignor_name, group.members[0].member_type), ("uniform", 1));
    let member = &group.members[0];
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(code(answer.groups[1].error_code), ErrorCode::GroupIdNotFound);
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut driver = three();
    let mut delete = |name: &'static str| {
        let request = DeleteGroupsRequest { groups_names: vec![name.into()] };
        match driver.ask(2, &Request::DeleteGroups(request)) {
            Response::DeleteGroups(answer) => code(answer.results[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete("g"), ErrorCode::NonEmptyGroup);
    assert_eq!(delete("c"), ErrorCode::NonEmptyGroup);
    assert_eq!(delete("s"), ErrorCode::None);
    assert_eq!(delete("s"), ErrorCode::GroupIdNotFound);
    assert_eq!(driver.coordinator.committed("s", "t", 0), None);
    assert!(!driver.reloaded().coordinator.groups.contains_key("s"));
}

#[test]
fn a_group_that_is_deleted_in_part_can_be_deleted_again() {
    const OFFSETS: usize = 3_000;
    let mut driver = Driver::eager();
    driver.cluster.add("wide", OFFSETS as i32);
    let mut request = commit_request("", -1, 0, 7, "");
    request.topics[0].name = "wide".into();
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..OFFSETS as i32)
        .map(|partition_index| OffsetCommitRequestPartition { partition_index, ..one.clone() })
        .collect();
    driver.ask(9, &Request::OffsetCommit(request));
    assert_eq!(driver.coordinator.usage().offsets, OFFSETS);
    let delete = |driver: &mut Driver| {
        let request = DeleteGroupsRequest { groups_names: vec![GROUP.into()] };
        match driver.ask(2, &Request::DeleteGroups(request)) {
            Response::DeleteGroups(answer) => code(answer.results[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    let written = driver.log.len();
    assert_eq!(delete(&mut driver), ErrorCode::None);
    // Deletions alone may be written in parts, of which a crash may leave the first: the group is what goes last.
    let deletions: Vec<&Record> = driver.log[written..].iter().map(|(_, record)| record).collect();
    assert!(deletions.iter().all(|record| record.value.is_none()));
    assert_eq!(deletions.last(), Some(&&crate::records::classic_group_tombstone(GROUP)));
    for cut in [1, OFFSETS / 2, OFFSETS - 1] {
        let mut torn = Driver::eager();
        torn.cluster = driver.cluster.clone();
        torn.log = driver.log[..written + cut].to_vec();
        let mut torn = torn.reloaded();
        assert_eq!(torn.coordinator.usage().offsets, OFFSETS - cut);
        assert_eq!(delete(&mut torn), ErrorCode::None, "after {cut} of the deletions");
        let usage = torn.reloaded().coordinator.usage();
        assert_eq!((usage.classic_groups, usage.offsets), (0, 0), "after {cut} of the deletions");
    }
}
