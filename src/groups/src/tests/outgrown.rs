//! Groups that have more than the log takes in a record, as `max.message.bytes` can be lowered and topics grow: whoever
//! asks for more is told so, and all else stays as it was. That of streams groups is in their own module.

use super::large::limited;
use super::*;
use crate::group::Group;
use crate::wire;
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;

/// Bytes of a record, enough for all that these tests do.
const AMPLE: usize = 1 << 20;
/// Not enough for what is written of a member that has all partitions of topic `wide`; enough for half of them.
const SCARCE: usize = 1_000;
/// Partitions of topic `wide`.
const WIDE: i32 = 200;

fn with_wide_topic(record_bytes_max: usize) -> Driver {
    let mut driver = Driver::new(limited(record_bytes_max));
    driver.cluster.add("wide", WIDE);
    driver
}

/// The first heartbeat of a member that reads topic `wide`.
fn reads(member: &str) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(vec!["wide".into()]), ..first_beat(member) }
}

/// What there is to compare: how much the coordinator holds, and how many records it has given.
fn held(driver: &Driver) -> (Usage, usize) {
    (driver.coordinator.usage(), driver.log.len())
}

/// Members `a` and `b` have a half of the partitions each, at epoch 2.
fn two_halves() -> Driver {
    let mut driver = with_wide_topic(AMPLE);
    let topic = driver.cluster.by_name("wide").expect("added").id;
    driver.beat(&reads("a"));
    driver.beat(&reads("b"));
    let all: Vec<i32> = (0..WIDE).collect();
    let half = assigned(&driver.beat(&owning_beat("a", 1, topic, &all))).expect("something to give back");
    assert_eq!(driver.beat(&owning_beat("a", 1, topic, &half)).member_epoch, 2);
    let other = assigned(&driver.beat(&quiet_beat("b", 2))).expect("the other half");
    assert_eq!((half.len(), other.len()), (100, 100));
    driver
}

#[test]
fn what_a_group_has_outgrown_is_refused_and_the_rest_goes_on() {
    let mut driver = two_halves();
    driver.coordinator.configure(limited(SCARCE));
    assert_eq!(driver.beat(&quiet_beat("b", 2)).error_code, 0, "what there is may be too large");
    assert_eq!(driver.beat(&quiet_beat("b", -1)).error_code, 0);
    let before = held(&driver);
    for _ in 0..2 {
        let told = driver.beat(&quiet_beat("a", 2));
        assert_eq!(code(told.error_code), ErrorCode::UnknownServerError);
        assert!(told.error_message.is_some() && told.assignment.is_none());
        assert_eq!(held(&driver), before, "nothing has changed");
    }
    // It has its epoch and its half still, and others have nothing to do with it.
    assert_eq!(driver.commit(9, "a", 2, 0, 7), ErrorCode::None);
    let mut elsewhere = first_beat("c");
    elsewhere.group_id = "h".into();
    assert_eq!(driver.beat(&elsewhere).error_code, 0);
    let mut reloaded = driver.reloaded();
    assert_eq!(code(reloaded.beat(&quiet_beat("a", 2)).error_code), ErrorCode::UnknownServerError);
    // With room again it goes on where it was; so it does with a second member to share with.
    assert_eq!(reloaded.beat(&reads("d")).error_code, 0);
    assert_eq!(reloaded.beat(&quiet_beat("a", 2)).error_code, 0);
    driver.coordinator.configure(limited(AMPLE));
    let told = driver.beat(&quiet_beat("a", 2));
    assert_eq!((told.member_epoch, assigned(&told).map(|all| all.len())), (3, Some(200)));
}

#[test]
fn sessions_of_a_group_whose_decision_was_taken_back_end_in_time() {
    let mut driver = two_halves();
    driver.coordinator.configure(limited(SCARCE));
    driver.beat(&quiet_beat("b", -1));
    for _ in 0..3 {
        driver.pass(30_000);
        let told = driver.beat(&quiet_beat("a", 2));
        assert_eq!(code(told.error_code), ErrorCode::UnknownServerError, "it is heard of");
    }
    driver.pass(45_000);
    assert_eq!(driver.coordinator.usage().members, 0);
}

#[test]
fn who_is_silent_goes_while_somebody_asks_for_too_much() {
    let mut driver = two_halves();
    driver.cluster.add("wider", 10 * WIDE);
    driver.coordinator.configure(limited(SCARCE));
    let wants = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["wider".into()]),
        ..first_beat("c")
    };
    for _ in 0..2 {
        driver.pass(15_000);
        assert_eq!(code(driver.beat(&wants).error_code), ErrorCode::UnknownServerError);
        assert_eq!(driver.coordinator.usage().members, 2);
    }
    driver.pass(15_000);
    assert_eq!(driver.coordinator.usage().members, 0, "neither was heard of for a session");
}

#[test]
fn a_pattern_that_has_come_to_stand_for_too_much_is_no_more_than_before() {
    let mut driver = Driver::new(limited(SCARCE));
    driver.cluster.add("wind", 1);
    let by_pattern = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("wi.*".into()),
        ..first_beat("a")
    };
    assert_eq!(driver.beat(&by_pattern).member_epoch, 1);
    driver.cluster.add("wide", WIDE);
    driver.pass(10_000);
    let before = held(&driver);
    for _ in 0..2 {
        assert_eq!(code(driver.beat(&quiet_beat("a", 1)).error_code), ErrorCode::UnknownServerError);
        assert_eq!(held(&driver), before);
    }
    driver.coordinator.configure(limited(AMPLE));
    let told = driver.beat(&quiet_beat("a", 1));
    assert_eq!((told.member_epoch, assigned(&told).map(|all| all.len())), (2, Some(201)));
}

#[test]
fn a_group_of_offsets_alone_stays_one_if_nobody_is_let_in() {
    let mut driver = with_wide_topic(SCARCE);
    assert_eq!(driver.commit(9, "", -1, 0, 7), ErrorCode::None);
    let before = held(&driver);
    assert_eq!(code(driver.beat(&reads("a")).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    // Offsets of a group that is not there would be shown to nobody, and never go.
    let mut reloaded = driver.reloaded();
    for driver in [&mut driver, &mut reloaded] {
        assert!(matches!(driver.coordinator.groups.get(GROUP), Some(Group::Classic(_))));
        assert_eq!(driver.beat(&first_beat("a")).member_epoch, 1);
        assert_eq!(driver.coordinator.committed(GROUP, "t", 0), Some(7));
    }
}

#[test]
fn a_classic_group_stays_one_if_the_log_does_not_take_what_its_members_have() {
    let mut driver = with_wide_topic(AMPLE);
    let (id, join) = driver.join_new();
    driver.pass(5_000);
    assert_eq!(driver.joined(join).generation_id, 1);
    let all = wire::embed_assignment(vec![("wide".to_owned(), (0..WIDE).collect())], 0);
    let sync = driver.sync(&id, 1, &[(&id, &all)]);
    assert_eq!(driver.synced(sync).error_code, 0);
    driver.coordinator.configure(limited(SCARCE));
    let before = held(&driver);
    assert_eq!(code(driver.beat(&first_beat("b")).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    assert_eq!(driver.heartbeat(&id, 1, None), ErrorCode::None, "nothing has happened to it");
    driver.coordinator.configure(limited(AMPLE));
    assert_eq!(driver.beat(&first_beat("b")).error_code, 0);
}

#[test]
fn nobody_is_let_in_whose_part_the_log_does_not_take() {
    let mut driver = with_wide_topic(SCARCE);
    let by_pattern = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("wi.*".into()),
        ..first_beat("a")
    };
    for request in [reads("a"), by_pattern] {
        assert_eq!(code(driver.beat(&request).error_code), ErrorCode::UnknownServerError);
        assert_eq!(held(&driver), (Usage::default(), 0), "no group is made");
    }
    // A member that reads little is let in, and not allowed more than that.
    assert_eq!(driver.beat(&first_beat("a")).member_epoch, 1);
    let before = held(&driver);
    let more = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["t".into(), "wide".into()]),
        ..quiet_beat("a", 1)
    };
    assert_eq!(code(driver.beat(&more).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).member_epoch, 1);
    // One that leaves for a while says again what it has.
    let mut driver = two_halves();
    let mut of_instance = reads("s");
    of_instance.instance_id = Some("i".into());
    of_instance.group_id = "h".into();
    assert_eq!(driver.beat(&of_instance).error_code, 0);
    driver.coordinator.configure(limited(SCARCE));
    let before = held(&driver);
    let leaves = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        group_id: "h".into(),
        ..quiet_beat("s", -2)
    };
    assert_eq!(code(driver.beat(&leaves).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
}

#[test]
fn nobody_takes_the_place_of_one_whose_record_the_log_does_not_take_any_more() {
    let mut driver = Driver::new(limited(AMPLE));
    let names: Vec<String> = (0..60).map(|number| format!("a-topic-that-is-not-there-{number}")).collect();
    let mut much = first_beat("a");
    much.instance_id = Some("i".into());
    much.subscribed_topic_names = Some(names.iter().map(|name| Cow::Borrowed(name.as_str())).collect());
    assert_eq!(driver.beat(&much).error_code, 0);
    let mut leaves = quiet_beat("a", -2);
    leaves.instance_id = Some("i".into());
    assert_eq!(driver.beat(&leaves).error_code, 0);
    driver.coordinator.configure(limited(SCARCE));
    let before = held(&driver);
    let mut little = first_beat("b");
    little.instance_id = Some("i".into());
    assert_eq!(code(driver.beat(&little).error_code), ErrorCode::UnknownServerError);
    let join = driver.join(9, "", Some("i"));
    assert_eq!(code(driver.joined(join).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    // Once its session is over, it is nobody's place.
    driver.pass(45_000);
    assert_eq!(driver.beat(&little).error_code, 0);
    assert_eq!(driver.coordinator.usage().members, 1);
}

#[test]
fn a_classic_member_is_let_in_only_if_the_log_takes_its_part() {
    let mut driver = two_halves();
    driver.beat(&quiet_beat("b", -1));
    assert_eq!(driver.beat(&quiet_beat("a", 2)).error_code, 0, "all partitions");
    driver.coordinator.configure(limited(300));
    let before = held(&driver);
    let mut request = join_request("c", None, &["range"]);
    request.protocols[0].metadata = Cow::Owned(embedded(&["wide"]));
    let waiter = driver.send(9, &Request::JoinGroup(request));
    assert_eq!(code(driver.joined(waiter).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
}

#[test]
fn a_share_group_keeps_what_the_log_takes() {
    let mut driver = with_wide_topic(AMPLE);
    let says = |epoch: i32, topics: &[&'static str]| ShareGroupHeartbeatRequest {
        group_id: GROUP.into(),
        member_id: "a".into(),
        member_epoch: epoch,
        rack_id: None,
        subscribed_topic_names: Some(topics.iter().map(|topic| Cow::Borrowed(*topic)).collect()),
    };
    let told = |driver: &mut Driver, request: &ShareGroupHeartbeatRequest<'_>| match driver
        .ask(1, &Request::ShareGroupHeartbeat(request.clone()))
    {
        Response::ShareGroupHeartbeat(response) => (code(response.error_code), response.member_epoch),
        other => panic!("{other:?}"),
    };
    driver.coordinator.configure(limited(SCARCE / 2));
    assert_eq!(told(&mut driver, &says(0, &["wide"])).0, ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), (Usage::default(), 0), "no group is made");
    assert_eq!(told(&mut driver, &says(0, &["t"])), (ErrorCode::None, 1));
    let before = held(&driver);
    assert_eq!(told(&mut driver, &says(1, &["t", "wide"])).0, ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    driver.coordinator.configure(limited(AMPLE));
    assert_eq!(told(&mut driver, &says(1, &["t", "wide"])), (ErrorCode::None, 2));
}

#[test]
fn who_is_silent_in_a_share_group_goes_while_somebody_asks_for_too_much() {
    let mut driver = with_wide_topic(SCARCE / 2);
    let joins = |driver: &mut Driver, member: &str, topic: &'static str| {
        let request = ShareGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member.into(),
            member_epoch: 0,
            rack_id: None,
            subscribed_topic_names: Some(vec![topic.into()]),
        };
        match driver.ask(1, &Request::ShareGroupHeartbeat(request)) {
            Response::ShareGroupHeartbeat(response) => code(response.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(joins(&mut driver, "a", "t"), ErrorCode::None);
    for _ in 0..2 {
        driver.pass(15_000);
        assert_eq!(joins(&mut driver, "b", "wide"), ErrorCode::UnknownServerError);
    }
    driver.pass(15_000);
    assert_eq!(driver.coordinator.usage().members, 0);
}

#[test]
fn a_static_member_is_not_replaced_where_the_groups_record_has_no_room() {
    let mut driver = Driver::new(limited(SCARCE));
    let join = driver.join(9, "", Some("i"));
    driver.pass(10_000);
    let first = driver.joined(join);
    let (id, generation) = (first.member_id.into_owned(), first.generation_id);
    let sync = driver.sync(&id, generation, &[(&id, b"a part")]);
    assert_eq!(driver.synced(sync).error_code, 0);
    driver.coordinator.configure(limited(50));
    let before = held(&driver);
    let again = driver.join(9, "", Some("i"));
    assert_eq!(code(driver.joined(again).error_code), ErrorCode::UnknownServerError);
    assert_eq!(held(&driver), before);
    assert_eq!(driver.heartbeat(&id, generation, Some("i")), ErrorCode::None, "its place is its own still");
}
