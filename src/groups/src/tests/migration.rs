//! Groups that change their protocol while they have members.

use super::*;
use crate::classic::ClassicState;
use crate::group::Group;
use crate::wire;

/// A classic member that has all four partitions of `t`, in a stable group at generation 1.
fn classic_member(driver: &mut Driver) -> String {
    let (id, join) = driver.join_new();
    driver.pass(5_000);
    assert_eq!(driver.joined(join).generation_id, 1);
    let all = wire::embed_assignment(vec![("t".to_owned(), vec![0, 1, 2, 3])], 0);
    let sync = driver.sync(&id, 1, &[(&id, &all)]);
    assert_eq!(driver.synced(sync).error_code, 0);
    id
}

/// What the classic member owns as it joins again, as consumers of version 1 say it.
fn rejoin(driver: &mut Driver, id: &str, owned: &[i32]) -> JoinGroupResponse<'static> {
    let mut metadata = embedded(&["t"]);
    metadata[1] = 1;
    metadata.extend(1i32.to_be_bytes());
    metadata.extend([0, 1, b't']);
    metadata.extend((owned.len() as i32).to_be_bytes());
    owned.iter().for_each(|partition| metadata.extend(partition.to_be_bytes()));
    let mut request = join_request(id, None, &["range"]);
    request.protocols[0].metadata = Cow::Owned(metadata);
    let waiter = driver.send(9, &Request::JoinGroup(request));
    driver.joined(waiter)
}

/// What a classic member learns from its sync.
fn learned(driver: &mut Driver, id: &str, generation: i32) -> Vec<i32> {
    let waiter = driver.sync(id, generation, &[]);
    let answer = driver.synced(waiter);
    assert_eq!(answer.error_code, 0);
    let topics = wire::assignment(&answer.assignment).expect("an embedded assignment");
    topics.into_iter().flat_map(|(_, partitions)| partitions).collect()
}

fn is_classic(driver: &Driver) -> bool {
    matches!(driver.coordinator.groups.get(GROUP), Some(Group::Classic(_)))
}

/// A group of one classic and one consumer member, settled with two partitions each.
fn mixed(driver: &mut Driver) -> String {
    let id = classic_member(driver);
    let b = driver.beat(&first_beat("b"));
    assert_eq!((b.error_code, b.member_epoch, assigned(&b)), (0, 2, Some(vec![])));
    assert_eq!(driver.heartbeat(&id, 1, None), ErrorCode::RebalanceInProgress);
    // It is told to give back, does so, and joins again without.
    let joined = rejoin(driver, &id, &[0, 1, 2, 3]);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let kept = learned(driver, &id, 1);
    assert_eq!(kept.len(), 2);
    assert_eq!(driver.heartbeat(&id, 1, None), ErrorCode::RebalanceInProgress);
    let joined = rejoin(driver, &id, &kept);
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    assert_eq!(learned(driver, &id, 2), kept);
    assert_eq!(driver.heartbeat(&id, 2, None), ErrorCode::None);
    let b = driver.beat(&quiet_beat("b", 2));
    assert_eq!(assigned(&b).map(|all| all.len()), Some(2));
    id
}

#[test]
fn a_classic_group_is_upgraded_with_its_members_alive() {
    let mut driver = Driver::eager();
    let id = mixed(&mut driver);
    assert!(!is_classic(&driver));
    let mut reloaded = driver.reloaded();
    assert_eq!(reloaded.coordinator.usage(), driver.coordinator.usage());
    assert_eq!(reloaded.heartbeat(&id, 2, None), ErrorCode::None);
    assert_eq!(reloaded.heartbeat(&id, 1, None), ErrorCode::IllegalGeneration);
    // A consumer member does not speak the classic protocol.
    assert_eq!(reloaded.heartbeat("b", 2, None), ErrorCode::UnknownMemberId);
    assert_eq!(reloaded.leave(&id, None), ErrorCode::None);
    let b = reloaded.beat(&quiet_beat("b", 2));
    assert_eq!((b.member_epoch, assigned(&b)), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn the_last_consumer_member_leaves_a_classic_group_behind() {
    let mut driver = Driver::eager();
    let id = mixed(&mut driver);
    assert_eq!(driver.beat(&quiet_beat("b", -1)).error_code, 0);
    assert!(is_classic(&driver));
    let Some(Group::Classic(group)) = driver.coordinator.groups.get(GROUP) else { panic!("a classic group") };
    assert_eq!(
        (group.state, group.members.len(), group.generation),
        (ClassicState::PreparingRebalance, 1, 2)
    );
    let mut reloaded = driver.reloaded();
    assert!(is_classic(&reloaded));
    assert_eq!(reloaded.coordinator.usage().members, 1);
    for driver in [&mut driver, &mut reloaded] {
        let waiter = driver.join(9, &id, None);
        assert_eq!(driver.joined(waiter).generation_id, 3);
    }
}

#[test]
fn the_policy_says_which_way() {
    for (policy, up, down) in [
        (Migration::Bidirectional, true, true),
        (Migration::Upgrade, true, false),
        (Migration::Downgrade, false, false),
        (Migration::Disabled, false, false),
    ] {
        let settings =
            Settings { migration: policy, consumer_assignment_interval_ms: 0, ..Settings::default() };
        let mut driver = Driver::new(settings);
        classic_member(&mut driver);
        let b = driver.beat(&first_beat("b"));
        assert_eq!(code(b.error_code) == ErrorCode::None, up, "{policy:?}");
        assert_eq!(is_classic(&driver), !up);
        if up {
            driver.beat(&quiet_beat("b", -1));
            assert_eq!(is_classic(&driver), down);
        }
    }
}

#[test]
fn empty_groups_change_at_any_time_and_keep_their_offsets() {
    let settings = Settings { migration: Migration::Disabled, ..Settings::default() };
    let mut driver = Driver::new(settings);
    let id = classic_member(&mut driver);
    assert_eq!(driver.commit(9, &id, 1, 0, 7), ErrorCode::None);
    assert_eq!(driver.leave(&id, None), ErrorCode::None);
    assert_eq!(driver.beat(&first_beat("b")).error_code, 0);
    assert_eq!(driver.beat(&quiet_beat("b", -1)).error_code, 0);
    classic_member(&mut driver);
    assert!(is_classic(&driver) && is_classic(&driver.reloaded()));
    assert_eq!(driver.reloaded().coordinator.committed(GROUP, "t", 0), Some(7));
}

#[test]
fn waiting_joins_are_told_to_come_again() {
    let mut driver = Driver::eager();
    let (_, join) = driver.join_new();
    assert_eq!(driver.beat(&first_beat("b")).error_code, 0);
    assert_eq!(code(driver.joined(join).error_code), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.coordinator.usage().waiters, 0);
}

#[test]
fn a_classic_member_that_begins_anew_with_the_other_protocol_has_nothing_to_sync() {
    let mut driver = Driver::eager();
    let id = mixed(&mut driver);
    // It joins again, and never syncs.
    assert_eq!(rejoin(&mut driver, &id, &[]).generation_id, 2);
    let anew = driver.beat(&first_beat(&id));
    assert_eq!((anew.error_code, anew.member_epoch, assigned(&anew).map(|all| all.len())), (0, 2, Some(2)));
    for _ in 0..4 {
        driver.pass(20_000);
        assert_eq!(driver.beat(&quiet_beat(&id, 2)).error_code, 0);
        assert_eq!(driver.beat(&quiet_beat("b", 2)).error_code, 0);
    }
}
