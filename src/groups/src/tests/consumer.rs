//! Groups of the consumer protocol.

use super::*;

#[test]
fn the_first_member_gets_everything() {
    let mut driver = Driver::eager();
    let answer = driver.beat(&first_beat("a"));
    assert_eq!((answer.error_code, answer.member_epoch, answer.heartbeat_interval_ms), (0, 1, 5_000));
    assert_eq!((answer.member_id.as_deref(), assigned(&answer)), (Some("a"), Some(vec![0, 1, 2, 3])));
    let written = driver.log.len();
    let answer = driver.beat(&quiet_beat("a", 1));
    assert_eq!((answer.error_code, answer.member_epoch, assigned(&answer)), (0, 1, None));
    assert_eq!(driver.log.len(), written, "a quiet heartbeat writes nothing");
}

#[test]
fn partitions_go_over_when_they_have_been_given_back() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    let b = driver.beat(&first_beat("b"));
    assert_eq!((b.member_epoch, assigned(&b)), (2, Some(vec![])));
    let a = driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    let kept = assigned(&a).expect("something to give back");
    assert_eq!((a.member_epoch, kept.len()), (1, 2));
    // Nothing is given to the other before that is done.
    let b = driver.beat(&quiet_beat("b", 2));
    assert_eq!((b.error_code, assigned(&b)), (0, None));
    let a = driver.beat(&owning_beat("a", 1, topic, &kept));
    assert_eq!((a.member_epoch, assigned(&a)), (2, None));
    let b = driver.beat(&quiet_beat("b", 2));
    let given = assigned(&b).expect("what was given back");
    assert_eq!(given.len(), 2);
    assert!(given.iter().all(|partition| !kept.contains(partition)));
}

#[test]
fn who_does_not_give_back_in_time_is_fenced() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    for _ in 0..6 {
        driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
        driver.beat(&quiet_beat("b", 2));
        driver.pass(5_000);
    }
    let a = driver.beat(&quiet_beat("a", 1));
    assert_eq!(code(a.error_code), ErrorCode::UnknownMemberId);
    let b = driver.beat(&quiet_beat("b", 2));
    assert_eq!((b.member_epoch, assigned(&b)), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn a_silent_member_is_fenced_and_one_that_leaves_is_gone() {
    let mut driver = Driver::eager();
    driver.beat(&first_beat("a"));
    driver.pass(44_000);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).error_code, 0);
    driver.pass(44_000);
    assert_eq!(driver.coordinator.usage().members, 1);
    driver.pass(1_000);
    assert_eq!(driver.coordinator.usage().members, 0);
    driver.beat(&first_beat("b"));
    let left = driver.beat(&quiet_beat("b", -1));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    assert_eq!(driver.coordinator.usage().members, 0);
    assert_eq!(driver.reloaded().coordinator.usage(), driver.coordinator.usage());
}

#[test]
fn epochs_are_checked() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1]));
    let cases = [
        (owning_beat("a", 1, topic, &[0, 1]), ErrorCode::None),
        (owning_beat("a", 1, topic, &[0, 1, 2]), ErrorCode::FencedMemberEpoch),
        (quiet_beat("a", 1), ErrorCode::FencedMemberEpoch),
        (quiet_beat("a", 3), ErrorCode::FencedMemberEpoch),
        (quiet_beat("a", 2), ErrorCode::None),
        (quiet_beat("who", 2), ErrorCode::UnknownMemberId),
        (quiet_beat("who", -1), ErrorCode::UnknownMemberId),
    ];
    for (request, expected) in cases {
        let answer = driver.beat(&request);
        assert_eq!(code(answer.error_code), expected, "{request:?}");
        assert_eq!(answer.error_message.is_some(), expected != ErrorCode::None);
    }
}

#[test]
fn malformed_heartbeats_are_refused() {
    type Change = fn(&mut ConsumerGroupHeartbeatRequest<'_>);
    let cases: [(Change, ErrorCode); 11] = [
        (|beat| beat.group_id = "".into(), ErrorCode::InvalidRequest),
        (|beat| beat.member_id = "".into(), ErrorCode::InvalidRequest),
        (|beat| beat.instance_id = Some("".into()), ErrorCode::InvalidRequest),
        (|beat| beat.rebalance_timeout_ms = -1, ErrorCode::InvalidRequest),
        (|beat| beat.topic_partitions = None, ErrorCode::InvalidRequest),
        (|beat| beat.subscribed_topic_names = None, ErrorCode::InvalidRequest),
        (|beat| beat.member_epoch = -3, ErrorCode::InvalidRequest),
        (|beat| beat.member_epoch = -2, ErrorCode::InvalidRequest),
        (|beat| beat.member_epoch = 1, ErrorCode::GroupIdNotFound),
        (|beat| beat.server_assignor = Some("mine".into()), ErrorCode::UnsupportedAssignor),
        (|beat| beat.subscribed_topic_regex = Some("a(".into()), ErrorCode::InvalidRegularExpression),
    ];
    let mut driver = Driver::eager();
    for (change, expected) in cases {
        let mut request = first_beat("a");
        change(&mut request);
        assert_eq!(code(driver.beat(&request).error_code), expected, "{request:?}");
    }
    assert_eq!((driver.log.len(), driver.coordinator.usage()), (0, Usage::default()));
}

#[test]
fn a_member_may_subscribe_to_nothing_yet() {
    for pattern in [None, Some("")] {
        let mut driver = Driver::eager();
        let names = if pattern.is_none() { Some(Vec::new()) } else { None };
        let joins = ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: names,
            subscribed_topic_regex: pattern.map(Cow::Borrowed),
            ..first_beat("a")
        };
        let joined = driver.beat(&joins);
        assert_eq!((joined.error_code, joined.member_epoch, assigned(&joined)), (0, 1, Some(vec![])));
        let reads = ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: Some(vec!["t".into()]),
            ..quiet_beat("a", 1)
        };
        let answer = driver.beat(&reads);
        assert_eq!((answer.member_epoch, assigned(&answer)), (2, Some(vec![0, 1, 2, 3])), "{pattern:?}");
        assert_eq!(driver.reloaded().beat(&quiet_beat("a", 2)).error_code, 0);
    }
}

#[test]
fn a_full_group_turns_away() {
    let mut driver = Driver::new(Settings { consumer_max_size: 1, ..Settings::default() });
    driver.beat(&first_beat("a"));
    assert_eq!(code(driver.beat(&first_beat("b")).error_code), ErrorCode::GroupMaxSizeReached);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).error_code, 0);
}

#[test]
fn a_static_member_keeps_its_partitions_under_another_id() {
    let mut driver = Driver::eager();
    let with_instance = |request: ConsumerGroupHeartbeatRequest<'static>| ConsumerGroupHeartbeatRequest {
        instance_id: Some("i".into()),
        ..request
    };
    driver.beat(&with_instance(first_beat("a")));
    let held = driver.beat(&with_instance(first_beat("b")));
    assert_eq!(code(held.error_code), ErrorCode::UnreleasedInstanceId);
    let left = driver.beat(&with_instance(quiet_beat("a", -2)));
    assert_eq!((left.error_code, left.member_epoch), (0, -2));
    assert_eq!(driver.coordinator.usage().members, 1);
    let b = driver.beat(&with_instance(first_beat("b")));
    // The same epoch: for the others nothing has happened.
    assert_eq!((b.error_code, b.member_epoch, assigned(&b)), (0, 1, Some(vec![0, 1, 2, 3])));
    let fenced = driver.beat(&with_instance(quiet_beat("a", 1)));
    assert_eq!(code(fenced.error_code), ErrorCode::FencedInstanceId);
    assert_eq!(driver.commit(9, "a", 1, 0, 5), ErrorCode::UnknownMemberId);
    // The partitions are its from the beginning: an epoch from before it came is late, not stale.
    assert_eq!(driver.commit(9, "b", 0, 0, 5), ErrorCode::None);
    assert_eq!(driver.reloaded().beat(&with_instance(quiet_beat("b", 1))).error_code, 0);
    // One that does not come back is out after its session.
    driver.beat(&with_instance(quiet_beat("b", -2)));
    driver.pass(45_000);
    assert_eq!(driver.coordinator.usage().members, 0);
}

#[test]
fn a_pattern_follows_the_topics() {
    let mut driver = Driver::eager();
    driver.cluster.add("logs-a", 2);
    let request = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("logs-.*".into()),
        ..first_beat("a")
    };
    let answer = driver.beat(&request);
    assert_eq!((answer.member_epoch, assigned(&answer)), (1, Some(vec![0, 1])));
    driver.cluster.add("logs-b", 1);
    driver.cluster.add("my-logs-", 1);
    driver.pass(10_000);
    let answer = driver.beat(&quiet_beat("a", 1));
    assert_eq!((answer.member_epoch, assigned(&answer).map(|all| all.len())), (2, Some(3)));
    // The pattern's topics are in the log.
    let mut reloaded = driver.reloaded();
    let answer = reloaded.beat(&quiet_beat("a", 2));
    assert_eq!((answer.error_code, answer.member_epoch), (0, 2));
}

#[test]
fn more_partitions_are_noticed() {
    let mut driver = Driver::eager();
    driver.beat(&first_beat("a"));
    driver.cluster.topics[0].partitions = 5;
    driver.cluster.version += 1;
    let answer = driver.beat(&quiet_beat("a", 1));
    assert_eq!((answer.member_epoch, assigned(&answer)), (2, Some(vec![0, 1, 2, 3, 4])));
}

#[test]
fn assignments_keep_their_interval() {
    let mut driver = Driver::new(Settings::default());
    driver.beat(&first_beat("a"));
    let b = driver.beat(&first_beat("b"));
    assert_eq!((b.member_epoch, assigned(&b)), (1, Some(vec![])));
    driver.pass(999);
    assert_eq!(driver.beat(&quiet_beat("b", 1)).member_epoch, 1);
    driver.pass(1);
    assert_eq!(driver.beat(&quiet_beat("b", 1)).member_epoch, 2);
}

#[test]
fn late_commits_count_for_what_the_member_had() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    let kept = 0;
    driver.beat(&owning_beat("a", 1, topic, &[0, 1]));
    let cases = [
        (9, "a", 2, kept, ErrorCode::None),
        (9, "a", 1, kept, ErrorCode::None),
        (9, "a", 1, 3, ErrorCode::StaleMemberEpoch),
        (9, "a", 3, kept, ErrorCode::StaleMemberEpoch),
        (9, "b", 1, 3, ErrorCode::StaleMemberEpoch),
        (8, "a", 2, kept, ErrorCode::UnsupportedVersion),
        (9, "who", 2, kept, ErrorCode::UnknownMemberId),
        (9, "", -1, kept, ErrorCode::UnknownMemberId),
    ];
    for (version, member, epoch, partition, expected) in cases {
        let code = driver.commit(version, member, epoch, partition, 5);
        assert_eq!(code, expected, "{member} {epoch} {partition}");
    }
}

#[test]
fn a_new_coordinator_goes_on_where_the_old_one_was() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    // In the middle of giving back.
    let mut reloaded = driver.reloaded();
    let a = reloaded.beat(&owning_beat("a", 1, topic, &[0, 1]));
    assert_eq!((a.error_code, a.member_epoch), (0, 2));
    let b = reloaded.beat(&quiet_beat("b", 2));
    assert_eq!(assigned(&b), Some(vec![2, 3]));
    // Deadlines have begun anew.
    reloaded.pass(44_000);
    assert_eq!(reloaded.coordinator.usage().members, 2);
    reloaded.pass(2_000);
    assert_eq!(reloaded.coordinator.usage().members, 0);
}

#[test]
fn a_thousand_members_get_what_there_is() {
    let mut driver = Driver::new(Settings::default());
    driver.cluster.add("big", 2_000);
    let names: Vec<String> = (0..1_000).map(|number| format!("m{number:04}")).collect();
    for name in &names {
        let mut request = first_beat(name);
        request.subscribed_topic_names = Some(vec!["big".into()]);
        assert_eq!(driver.beat(&request).error_code, 0);
    }
    let big = driver.cluster.by_name("big").expect("added").id;
    let mut owned: BTreeMap<&str, (i32, Vec<i32>)> =
        names.iter().map(|name| (name.as_str(), (1, vec![]))).collect();
    for round in 0..6 {
        driver.pass(5_000);
        for (name, (epoch, partitions)) in &mut owned {
            // The first has all at the start; each gives back as it is told.
            let answer = driver.beat(&owning_beat(name, *epoch, big, partitions));
            assert_eq!(answer.error_code, 0, "{name} in round {round}: {:?}", answer.error_message);
            *epoch = answer.member_epoch;
            if let Some(now) = assigned(&answer) {
                *partitions = now;
            }
        }
    }
    assert!(owned.values().all(|(_, partitions)| partitions.len() == 2));
}

#[test]
fn what_is_set_for_a_group_counts_from_the_next_heartbeat() {
    let mut driver = Driver::eager();
    let set = |driver: &mut Driver, key: &str, number| driver.cluster.numbers.insert(key.to_owned(), number);
    assert_eq!(driver.beat(&first_beat("a")).heartbeat_interval_ms, 5_000);
    set(&mut driver, "consumer.heartbeat.interval.ms", 7_000);
    set(&mut driver, "consumer.session.timeout.ms", 60_000);
    driver.pass(44_000);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).heartbeat_interval_ms, 7_000);
    driver.pass(59_000);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).error_code, 0, "longer than the broker's session");
    let mut reloaded = driver.reloaded();
    reloaded.pass(59_000);
    assert_eq!(reloaded.beat(&quiet_beat("a", 1)).error_code, 0, "the same after loading");
    set(&mut driver, "consumer.session.timeout.ms", 10_000);
    driver.pass(11_000);
    assert_eq!(driver.beat(&quiet_beat("a", 1)).error_code, 0, "not before a heartbeat");
    driver.pass(11_000);
    assert_eq!(code(driver.beat(&quiet_beat("a", 1)).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn a_group_has_its_own_assignment_interval() {
    for (own, epoch) in [(None, 1), (Some(0), 2)] {
        let mut driver = Driver::new(Settings::default());
        let number = own.map(|number| ("consumer.assignment.interval.ms".to_owned(), number));
        driver.cluster.numbers.extend(number);
        driver.beat(&first_beat("a"));
        assert_eq!(driver.beat(&first_beat("b")).member_epoch, epoch, "{own:?}");
    }
}

#[test]
fn a_member_may_begin_anew_at_any_time() {
    let mut driver = Driver::eager();
    let topic = driver.topic();
    driver.beat(&first_beat("a"));
    driver.beat(&first_beat("b"));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1, 2, 3]));
    driver.beat(&owning_beat("a", 1, topic, &[0, 1]));
    assert_eq!(assigned(&driver.beat(&quiet_beat("b", 2))), Some(vec![2, 3]));
    // Neither its epoch nor the one before, and it has its place still.
    let written = driver.log.len();
    let anew = driver.beat(&first_beat("a"));
    assert_eq!((anew.error_code, anew.member_epoch, assigned(&anew)), (0, 2, Some(vec![0, 1])));
    assert_eq!(driver.log.len(), written, "nothing has changed");
    // One that was to give back has nothing any more when it begins anew.
    driver.beat(&first_beat("c"));
    let revokes = driver.beat(&owning_beat("b", 2, topic, &[2, 3]));
    assert_eq!((revokes.member_epoch, assigned(&revokes).map(|kept| kept.len())), (2, Some(1)));
    assert_eq!(driver.beat(&first_beat("b")).member_epoch, 3);
    let given = assigned(&driver.beat(&quiet_beat("c", 3))).expect("what the other does not have any more");
    assert!(given.iter().all(|partition| [2, 3].contains(partition)), "{given:?}");
    assert_eq!(driver.coordinator.usage().members, 3);
}

#[test]
fn a_member_that_begins_anew_under_another_instance_id_leaves_the_first_to_others() {
    let mut driver = Driver::eager();
    let of = |instance: &'static str, request: ConsumerGroupHeartbeatRequest<'static>| {
        ConsumerGroupHeartbeatRequest { instance_id: Some(instance.into()), ..request }
    };
    driver.beat(&of("i", first_beat("a")));
    assert_eq!(driver.beat(&of("j", first_beat("a"))).error_code, 0);
    let fenced = driver.beat(&of("i", quiet_beat("a", 1)));
    assert_eq!(code(fenced.error_code), ErrorCode::UnknownMemberId);
    assert_eq!(driver.beat(&quiet_beat("a", -1)).error_code, 0);
    let mut reloaded = driver.reloaded();
    for driver in [&mut driver, &mut reloaded] {
        let told = driver.beat(&of("i", first_beat("b")));
        assert_eq!((told.error_code, assigned(&told)), (0, Some(vec![0, 1, 2, 3])));
        assert_eq!(driver.coordinator.usage().members, 1);
    }
}
