//! Groups of the classic protocol.

use super::*;
use crate::classic::CONSUMER_PROTOCOL;
use std::collections::BTreeSet;

/// A stable group of as many members; their ids, the leader first, and the generation.
fn stable(driver: &mut Driver, count: usize) -> (Vec<String>, i32) {
    let joins: Vec<(String, Waiter)> = (0..count).map(|_| driver.join_new()).collect();
    driver.pass(10_000);
    let answers: Vec<_> = joins.iter().map(|(_, waiter)| driver.joined(*waiter)).collect();
    let (leader, generation) = (answers[0].leader.to_string(), answers[0].generation_id);
    let mut ids: Vec<String> = joins.into_iter().map(|(id, _)| id).collect();
    ids.sort_by_key(|id| *id != leader);
    settle(driver, &ids, generation);
    (ids, generation)
}

/// All sync; the first of them leads.
fn settle(driver: &mut Driver, ids: &[String], generation: i32) {
    let waiting: Vec<Waiter> = ids[1..].iter().map(|id| driver.sync(id, generation, &[])).collect();
    assert!(waiting.iter().all(|waiter| driver.answer(*waiter).is_none()));
    let plan: Vec<(&str, &[u8])> = ids.iter().map(|id| (id.as_str(), id.as_bytes())).collect();
    let leader = driver.sync(&ids[0], generation, &plan);
    for (waiter, id) in std::iter::once(leader).chain(waiting).zip(ids) {
        let answer = driver.synced(waiter);
        assert_eq!((answer.error_code, &*answer.assignment), (0, id.as_bytes()));
    }
}

#[test]
fn a_group_comes_together() {
    let mut driver = Driver::eager();
    let (a, first) = driver.join_new();
    driver.pass(2_000);
    let (b, second) = driver.join_new();
    // The second has prolonged the wait.
    driver.pass(2_000);
    assert_eq!(driver.answer(first), None);
    driver.pass(2_000);
    let (first, second) = (driver.joined(first), driver.joined(second));
    for answer in [&first, &second] {
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        assert_eq!(answer.protocol_type.as_deref(), Some(CONSUMER_PROTOCOL));
        assert_eq!(answer.protocol_name.as_deref(), Some("range"));
        assert_eq!(answer.leader, a);
    }
    let told: BTreeSet<&str> = first.members.iter().map(|member| &*member.member_id).collect();
    assert_eq!(told, BTreeSet::from([&*a, &*b]));
    assert!(second.members.is_empty());
    settle(&mut driver, &[a.clone(), b.clone()], 1);
    assert_eq!(driver.heartbeat(&b, 1, None), ErrorCode::None);
    // What was agreed is in the log; a new coordinator goes on with it.
    let mut reloaded = driver.reloaded();
    let waiter = reloaded.sync(&b, 1, &[]);
    assert_eq!(&*reloaded.synced(waiter).assignment, b.as_bytes());
    assert_eq!(reloaded.heartbeat(&a, 1, None), ErrorCode::None);
}

#[test]
fn syncs_wait_for_the_record() {
    let mut driver = Driver::eager();
    let (id, join) = driver.join_new();
    driver.pass(10_000);
    assert!(!driver.answers[&join].after_records);
    let before = driver.log.len();
    let sync = driver.sync(&id, 1, &[(&id, b"x")]);
    assert!(driver.answers[&sync].after_records);
    assert_eq!(driver.log.len(), before + 1);
}

#[test]
fn strangers_get_kafkas_errors() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 2);
    let id = ids[0].as_str();
    let beats = [
        ("", generation, None, ErrorCode::UnknownMemberId),
        ("who", generation, None, ErrorCode::UnknownMemberId),
        (id, generation - 1, None, ErrorCode::IllegalGeneration),
        (id, generation + 1, None, ErrorCode::IllegalGeneration),
        (id, generation, Some("i"), ErrorCode::UnknownMemberId),
        (id, generation, None, ErrorCode::None),
    ];
    for (member, generation, instance, expected) in beats {
        assert_eq!(driver.heartbeat(member, generation, instance), expected, "{member} {generation}");
    }
    type Change = fn(&mut JoinGroupRequest<'_>);
    let joins: [(Change, ErrorCode); 6] = [
        (|join| join.group_id = "".into(), ErrorCode::InvalidGroupId),
        (|join| join.session_timeout_ms = 5_999, ErrorCode::InvalidSessionTimeout),
        (|join| join.session_timeout_ms = 1_800_001, ErrorCode::InvalidSessionTimeout),
        (|join| join.protocol_type = "connect".into(), ErrorCode::InconsistentGroupProtocol),
        (|join| join.protocols.clear(), ErrorCode::InconsistentGroupProtocol),
        (|join| join.member_id = "who".into(), ErrorCode::UnknownMemberId),
    ];
    for (change, expected) in joins {
        let mut request = join_request("", None, &["range"]);
        change(&mut request);
        let waiter = driver.send(9, &Request::JoinGroup(request));
        assert_eq!(code(driver.joined(waiter).error_code), expected);
    }
    let syncs: [(&str, i32, &str, ErrorCode); 3] = [
        ("who", generation, "range", ErrorCode::UnknownMemberId),
        (id, generation + 1, "range", ErrorCode::IllegalGeneration),
        (id, generation, "sticky", ErrorCode::InconsistentGroupProtocol),
    ];
    for (member, generation, protocol, expected) in syncs {
        let mut request = sync_request(member, generation, &[]);
        request.protocol_name = Some(protocol.into());
        let waiter = driver.send(5, &Request::SyncGroup(request));
        assert_eq!(code(driver.synced(waiter).error_code), expected);
    }
    assert_eq!(driver.leave("who", None), ErrorCode::UnknownMemberId);
}

#[test]
fn a_group_of_nobody_is_not_made_for_a_stranger() {
    let mut driver = Driver::eager();
    let waiter = driver.join(9, "who", None);
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::UnknownMemberId);
    assert_eq!(driver.coordinator.usage(), Usage::default());
    assert!(driver.log.is_empty());
    assert_eq!(driver.heartbeat("who", 1, None), ErrorCode::UnknownMemberId);
}

#[test]
fn a_third_member_starts_a_round() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 2);
    let (third, join) = driver.join_new();
    for id in &ids {
        assert_eq!(driver.heartbeat(id, generation, None), ErrorCode::RebalanceInProgress);
    }
    let rejoins: Vec<Waiter> = ids.iter().map(|id| driver.join(9, id, None)).collect();
    assert_eq!(driver.joined(join).generation_id, generation + 1);
    let leader = driver.joined(rejoins[0]);
    assert_eq!((&*leader.leader, leader.members.len()), (ids[0].as_str(), 3));
    assert_eq!(driver.joined(rejoins[1]).generation_id, generation + 1);
    settle(&mut driver, &[ids[0].clone(), ids[1].clone(), third], generation + 1);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 2);
    let (_, join) = driver.join_new();
    let rejoin = driver.join(9, &ids[0], None);
    // The other heartbeats but does not join.
    for _ in 0..12 {
        driver.pass(5_000);
        driver.heartbeat(&ids[1], generation, None);
    }
    driver.pass(1_000);
    assert_eq!(driver.joined(rejoin).members.len(), 2);
    assert_eq!(driver.joined(join).generation_id, generation + 1);
    assert_eq!(driver.heartbeat(&ids[1], generation, None), ErrorCode::UnknownMemberId);
}

#[test]
fn who_is_silent_is_out_and_who_leaves_is_too() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 2);
    driver.pass(9_000);
    assert_eq!(driver.heartbeat(&ids[0], generation, None), ErrorCode::None);
    driver.pass(1_500);
    assert_eq!(driver.heartbeat(&ids[0], generation, None), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&ids[1], generation, None), ErrorCode::UnknownMemberId);
    assert_eq!(driver.leave(&ids[0], None), ErrorCode::None);
    assert_eq!(driver.coordinator.usage().members, 0);
    // An empty generation is written.
    let reloaded = driver.reloaded();
    assert_eq!(reloaded.coordinator.usage(), driver.coordinator.usage());
}

#[test]
fn who_joins_and_does_not_sync_is_out() {
    let mut driver = Driver::eager();
    let joins: Vec<(String, Waiter)> = (0..2).map(|_| driver.join_new()).collect();
    driver.pass(10_000);
    let leader = driver.joined(joins[0].1).leader.into_owned();
    let (other, _) = joins.iter().find(|(id, _)| *id != leader).expect("one follows").clone();
    let sync = driver.sync(&leader, 1, &[]);
    assert_eq!(driver.synced(sync).error_code, 0);
    for _ in 0..12 {
        driver.pass(5_000);
        driver.heartbeat(&leader, 1, None);
        driver.heartbeat(&other, 1, None);
    }
    driver.pass(1_000);
    assert_eq!(driver.heartbeat(&other, 1, None), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat(&leader, 1, None), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_pending_id_holds_a_round_up_only_for_its_session() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 1);
    let waiter = driver.join(9, "", None);
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::MemberIdRequired);
    let rejoin = driver.join(9, &ids[0], None);
    assert_eq!(driver.answer(rejoin), None);
    driver.pass(10_000);
    assert_eq!(driver.joined(rejoin).generation_id, generation + 1);
}

#[test]
fn old_versions_join_without_an_id() {
    let mut driver = Driver::eager();
    let waiter = driver.join(0, "", None);
    driver.pass(10_000);
    let answer = driver.joined(waiter);
    assert_eq!((answer.error_code, answer.generation_id), (0, 1));
    assert!(answer.member_id.starts_with("client-"));
    // A refusal has no null where old versions have none.
    let waiter = driver.join(1, "who", None);
    assert_eq!(driver.joined(waiter).protocol_name.as_deref(), Some(""));
}

#[test]
fn a_full_group_turns_away() {
    let mut driver = Driver::new(Settings { max_size: 2, ..Settings::default() });
    let (ids, _) = stable(&mut driver, 2);
    let waiter = driver.join(9, "", None);
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::GroupMaxSizeReached);
    let rejoin = driver.join(9, &ids[1], None);
    assert_eq!(driver.joined(rejoin).error_code, 0);
}

#[test]
fn a_static_member_comes_again_without_a_round() {
    for (version, skips) in [(9, true), (8, false)] {
        let mut driver = Driver::eager();
        let waiter = driver.join(9, "", Some("i"));
        driver.pass(10_000);
        let old = driver.joined(waiter).member_id.into_owned();
        assert!(old.starts_with("i-"));
        let sync = driver.sync(&old, 1, &[(&old, b"x")]);
        assert_eq!(driver.synced(sync).error_code, 0);
        let waiter = driver.join(version, "", Some("i"));
        assert!(driver.answers[&waiter].after_records);
        let answer = driver.joined(waiter);
        let new = answer.member_id.to_string();
        assert_eq!((answer.error_code, answer.generation_id, answer.skip_assignment), (0, 1, skips));
        assert_eq!(&*answer.leader, if skips { new.as_str() } else { old.as_str() });
        assert_eq!(answer.members.len(), usize::from(skips));
        assert_eq!(driver.heartbeat(&old, 1, Some("i")), ErrorCode::FencedInstanceId);
        assert_eq!(driver.heartbeat(&old, 1, None), ErrorCode::UnknownMemberId);
        assert_eq!(driver.heartbeat(&new, 1, Some("i")), ErrorCode::None);
        // The assignment is kept, in the log too.
        let mut reloaded = driver.reloaded();
        let sync = reloaded.sync(&new, 1, &[]);
        assert_eq!(&*reloaded.synced(sync).assignment, b"x");
        // An administrator removes it by its instance.
        assert_eq!(driver.leave("", Some("j")), ErrorCode::UnknownMemberId);
        assert_eq!(driver.leave(&old, Some("i")), ErrorCode::FencedInstanceId);
        assert_eq!(driver.leave("", Some("i")), ErrorCode::None);
        assert_eq!(driver.coordinator.usage().members, 0);
    }
}

#[test]
fn two_with_one_instance_fence_each_other() {
    let mut driver = Driver::eager();
    let first = driver.join(9, "", Some("i"));
    let second = driver.join(9, "", Some("i"));
    assert_eq!(code(driver.joined(first).error_code), ErrorCode::FencedInstanceId);
    driver.pass(10_000);
    assert_eq!(driver.joined(second).error_code, 0);
}

#[test]
fn the_protocol_is_one_that_all_offer() {
    let mut driver = Driver::eager();
    let mut ask = |protocols: &[&str]| {
        let waiter = driver.send(3, &Request::JoinGroup(join_request("", None, protocols)));
        (driver.answer(waiter), waiter)
    };
    let (none, first) = ask(&["sticky", "range"]);
    assert_eq!(none, None);
    let (none, second) = ask(&["range", "round"]);
    assert_eq!(none, None);
    match ask(&["sticky", "round"]).0 {
        Some(Response::JoinGroup(answer)) => {
            assert_eq!(code(answer.error_code), ErrorCode::InconsistentGroupProtocol);
        }
        other => panic!("{other:?}"),
    }
    driver.pass(10_000);
    assert_eq!(driver.joined(first).protocol_name.as_deref(), Some("range"));
    assert_eq!(driver.joined(second).error_code, 0);
}

#[test]
fn a_waiter_that_goes_is_not_answered() {
    let mut driver = Driver::eager();
    let (id, join) = driver.join_new();
    assert_eq!(driver.coordinator.waiters().collect::<Vec<_>>(), [join]);
    driver.coordinator.forget(join);
    driver.pass(5_000);
    assert_eq!((driver.answer(join), driver.coordinator.usage().waiters), (None, 0));
    // It was counted as having joined, and has its session to come back.
    let rejoin = driver.join(9, &id, None);
    assert_eq!(driver.joined(rejoin).generation_id, 1);
}

#[test]
fn a_thousand_members_settle() {
    let mut driver = Driver::eager();
    let (ids, generation) = stable(&mut driver, 1_000);
    assert_eq!((ids.len(), generation), (1_000, 1));
    assert_eq!(driver.coordinator.usage().members, 1_000);
}
