//! Very many and very much, as far as it is allowed.

use super::*;

/// Topics, members, groups.
const MANY: usize = 10_000;

#[test]
fn a_subscription_of_ten_thousand_topics_is_taken() {
    let names: Vec<String> = (0..MANY).map(|number| format!("topic-{number:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut driver = Driver::eager();
    driver.cluster.add(names[7], 3);
    let mut request = first_beat("a");
    request.subscribed_topic_names = Some(names.iter().map(|name| Cow::Borrowed(*name)).collect());
    let told = driver.beat(&request);
    assert_eq!((told.error_code, told.member_epoch, assigned(&told)), (0, 1, Some(vec![0, 1, 2])));
    let written = driver.log.len();
    assert_eq!(driver.beat(&quiet_beat("a", 1)).error_code, 0);
    assert_eq!(driver.log.len(), written, "a quiet heartbeat writes nothing");
    assert_eq!(driver.reloaded().beat(&quiet_beat("a", 1)).member_epoch, 1);
    driver.cluster.add(names[MANY - 1], 1);
    let told = driver.beat(&quiet_beat("a", 1));
    assert_eq!((told.member_epoch, assigned(&told).map(|all| all.len())), (2, Some(4)));
    // A member of the classic protocol says them among its metadata.
    let mut request = join_request("", None, &["range"]);
    request.group_id = "c".into();
    request.protocols[0].metadata = Cow::Owned(embedded(&names));
    let waiter = driver.send(3, &Request::JoinGroup(request));
    driver.pass(10_000);
    assert_eq!(driver.joined(waiter).error_code, 0);
}

#[test]
fn metadata_of_a_mebibyte_fails_its_round_and_no_more() {
    let mut driver = Driver::eager();
    let mut request = join_request("", None, &["range"]);
    request.protocols[0].metadata = Cow::Owned(vec![0; 1 << 20]);
    let waiter = driver.send(3, &Request::JoinGroup(request));
    driver.pass(10_000);
    let first = driver.joined(waiter);
    assert_eq!(first.error_code, 0);
    let (id, generation) = (first.member_id.into_owned(), first.generation_id);
    let written = driver.log.len();
    let sync = driver.sync(&id, generation, &[(&id, b"a part")]);
    assert_eq!(code(driver.synced(sync).error_code), ErrorCode::UnknownServerError);
    assert_eq!(driver.log.len(), written);
    // With less to say it is as good as any.
    let rejoin = driver.join(9, &id, None);
    let next = driver.joined(rejoin);
    assert_eq!((next.error_code, next.generation_id), (0, generation + 1));
    let sync = driver.sync(&id, generation + 1, &[(&id, b"a part")]);
    assert_eq!(driver.synced(sync).error_code, 0);
    assert_eq!(driver.reloaded().heartbeat(&id, generation + 1, None), ErrorCode::None);
}

#[test]
fn ten_thousand_members_and_as_many_groups_are_held_and_counted() {
    let mut driver = Driver::new(Settings::default());
    for number in 0..MANY {
        let member = format!("m{number}");
        assert_eq!(driver.beat(&first_beat(&member)).error_code, 0);
        let group = format!("g{number}");
        let request = commit_request("", -1, 0, 1, "");
        let request = OffsetCommitRequest { group_id: group.as_str().into(), ..request };
        driver.ask(9, &Request::OffsetCommit(request));
    }
    let expected =
        Usage { classic_groups: MANY, consumer_groups: 1, members: MANY, offsets: MANY, ..Usage::default() };
    assert_eq!(driver.coordinator.usage(), expected);
    // All of them have a new target by one heartbeat.
    driver.pass(1_000);
    let told = driver.beat(&quiet_beat("m9999", 1));
    assert_eq!((told.error_code, told.member_epoch), (0, MANY as i32));
    driver.pass(50_000);
    assert_eq!(driver.coordinator.usage(), Usage { members: 0, ..expected });
}
