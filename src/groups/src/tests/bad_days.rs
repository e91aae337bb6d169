//! Clients that say more than can be kept, under the settings that a broker has by default: each is refused as Kafka
//! does it, nothing of it is written, and the next one finds a coordinator that works.

use super::*;

/// A member that asks for nothing odd joins and commits, also when the log has been read anew; tells its epoch.
fn works(driver: &mut Driver) -> i32 {
    let told = driver.beat(&first_beat("good"));
    assert_eq!((told.error_code, assigned(&told)), (0, Some(vec![0, 1, 2, 3])));
    assert_eq!(driver.commit(9, "good", told.member_epoch, 0, 5), ErrorCode::None);
    let mut reloaded = driver.reloaded();
    assert_eq!(reloaded.beat(&quiet_beat("good", told.member_epoch)).error_code, 0);
    assert_eq!(reloaded.commit(9, "good", told.member_epoch, 0, 6), ErrorCode::None);
    told.member_epoch
}

#[test]
fn ten_thousand_of_the_longest_names_are_refused_whole() {
    // Valid names of topics, of as many characters as one may have.
    let names: Vec<String> = (0..10_000).map(|number| format!("{number:0>249}")).collect();
    let mut driver = Driver::new(Settings::default());
    let mut request = first_beat("greedy");
    request.subscribed_topic_names = Some(names.iter().map(|name| Cow::Borrowed(name.as_str())).collect());
    let told = driver.beat(&request);
    assert_eq!(code(told.error_code), ErrorCode::UnknownServerError, "no record has room for them");
    assert_eq!((driver.log.len(), driver.coordinator.usage().members), (0, 0));
    let epoch = works(&mut driver);
    // Neither does one that has joined come by them.
    let written = driver.log.len();
    let mut request = quiet_beat("good", epoch);
    request.subscribed_topic_names = Some(names.iter().map(|name| Cow::Borrowed(name.as_str())).collect());
    assert_eq!(code(driver.beat(&request).error_code), ErrorCode::UnknownServerError);
    assert_eq!(driver.log.len(), written);
    assert_eq!(driver.beat(&quiet_beat("good", epoch)).error_code, 0, "it is still what it was");
}

#[test]
fn a_note_of_a_mebibyte_is_too_large() {
    let note = "n".repeat(1 << 20);
    let mut driver = Driver::new(Settings::default());
    let request = commit_request("", -1, 0, 7, &note);
    match driver.ask(9, &Request::OffsetCommit(request)) {
        Response::OffsetCommit(response) => {
            let told = code(response.topics[0].partitions[0].error_code);
            assert_eq!(told, ErrorCode::OffsetMetadataTooLarge);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((driver.log.len(), driver.coordinator.usage().offsets), (0, 0));
    works(&mut driver);
}
