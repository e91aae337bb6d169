//! From the decision to its completion, and the requests that wait for it.

use super::inits::set;
use super::{Do, Driver, ID, impatient};
use crate::State::*;
use crate::{Config, Effects, Marked, MarkerResult};
use kafka_wire::ErrorCode;

const PREPARED: &[super::Row] = &[
    (Do::Init, "1000/0", Some(Empty)),
    (Do::Add2(1000, 0, "a", 0), "added", Some(Ongoing)),
    (Do::Add2(1000, 0, "b", 0), "added", Some(Ongoing)),
    (Do::End2(1000, 0, true), "ended, 1000/1; commit 1000/1 v2 by 3 in a-0 b-0", Some(PrepareCommit)),
];

fn prepared(config: Config) -> Driver {
    let mut driver = Driver::new(config);
    driver.run(PREPARED);
    driver
}

#[test]
fn markers_that_fail_are_tried_again_alone() {
    prepared(impatient()).run(&[
        (Do::MarkTopic("a", Marked::Retry), "", Some(PrepareCommit)),
        (Do::MarkTopic("b", Marked::Written), "", Some(PrepareCommit)),
        (Do::Wait(99), "", Some(PrepareCommit)),
        (Do::Wait(1), "commit 1000/1 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::Mark(Marked::Retry), "", Some(PrepareCommit)),
        (Do::Wait(1000), "commit 1000/1 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::Wait(1000), "", Some(CompleteCommit)),
    ]);
}

#[test]
fn markers_that_are_refused_wait_for_another_coordinator() {
    for code in [ErrorCode::InvalidProducerEpoch, ErrorCode::TransactionCoordinatorFenced] {
        let mut driver = prepared(impatient());
        driver.run(&[(Do::MarkTopic("a", Marked::Retry), "", Some(PrepareCommit))]);
        let stopped = driver.step(Do::Mark(Marked::from_code(code)));
        assert_eq!(stopped, format!("stopped by {}", code.name()));
        driver.run(&[
            (Do::Wait(100_000), "", Some(PrepareCommit)),
            (Do::Init, "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
            (Do::Restart, "commit 1000/1 v2 by 4 in a-0 b-0", Some(PrepareCommit)),
            (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        ]);
    }
}

#[test]
fn codes_say_what_became_of_a_marker() {
    let cases = [
        (ErrorCode::None, Marked::Written),
        (ErrorCode::UnsupportedForMessageFormat, Marked::Gone),
        (ErrorCode::NotLeaderOrFollower, Marked::Retry),
        (ErrorCode::UnknownTopicOrPartition, Marked::Retry),
        (ErrorCode::KafkaStorageError, Marked::Retry),
        (ErrorCode::InvalidProducerEpoch, Marked::Refused(ErrorCode::InvalidProducerEpoch)),
    ];
    for (code, marked) in cases {
        assert_eq!(Marked::from_code(code), marked);
    }
}

#[test]
fn results_that_come_late_change_nothing() {
    let mut driver = prepared(impatient());
    let work = driver.work[0].clone();
    let all: Vec<MarkerResult> = work
        .partitions
        .iter()
        .map(|(topic, partition)| MarkerResult {
            topic: topic.to_owned(),
            partition,
            marked: Marked::Written,
        })
        .collect();
    let mut none = || -> Option<i64> { None };
    let mut other = work.clone();
    other.coordinator_epoch -= 1;
    assert_eq!(driver.coordinator.markers_written(1, &other, &all, &mut none), Effects::default());
    other = work.clone();
    other.epoch -= 1;
    assert_eq!(driver.coordinator.markers_written(1, &other, &all, &mut none), Effects::default());
    other = work.clone();
    other.transactional_id = "unknown".into();
    assert_eq!(driver.coordinator.markers_written(1, &other, &all, &mut none), Effects::default());
    assert_eq!(driver.coordinator.markers_written(1, &work, &all, &mut none).records.len(), 1);
    assert_eq!(driver.coordinator.markers_written(1, &work, &all, &mut none), Effects::default());
}

#[test]
fn all_markers_are_written_again_after_a_restart() {
    prepared(impatient()).run(&[
        (Do::MarkTopic("a", Marked::Written), "", Some(PrepareCommit)),
        (Do::Restart, "commit 1000/1 v2 by 4 in a-0 b-0", Some(PrepareCommit)),
        (Do::End2(1000, 0, true), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::End2(1000, 0, true), "ended, 1000/1", Some(CompleteCommit)),
    ]);
}

#[test]
fn requests_wait_for_the_markers() {
    prepared(Config::default()).run(&[
        (Do::End2(1000, 0, true), "", Some(PrepareCommit)),
        (Do::Add2(1000, 1, "c", 0), "", Some(PrepareCommit)),
        (Do::Verify(1000, 1, "c", 0), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "ended, 1000/1; added", Some(Ongoing)),
        // A producer that begins anew has to wait for the abort alone.
        (Do::Init, "abort 1000/3 v2 by 3 in c-0", Some(PrepareAbort)),
        (Do::Mark(Marked::Written), "1000/4", Some(Empty)),
    ]);
}

#[test]
fn the_wait_has_an_end() {
    let mut driver = prepared(Config::default());
    driver.run(&[
        (Do::Init, "", Some(PrepareCommit)),
        (Do::Wait(60), "", Some(PrepareCommit)),
        (Do::Init, "", Some(PrepareCommit)),
        (Do::Wait(40), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Wait(60), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
    ]);
    assert_eq!(driver.coordinator.next_deadline_ms(), None);
    for _ in 0..4 {
        assert_eq!(driver.step(Do::Init), "");
    }
    assert_eq!(driver.step(Do::Init), "CONCURRENT_TRANSACTIONS", "four wait already");
    // The first two begin one after the other; of those that are gone nothing is heard.
    let (third, fourth) = (driver.step - 2, driver.step - 1);
    driver.run(&[
        (Do::Forget(third), "", Some(PrepareCommit)),
        (Do::Forget(fourth), "", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "1000/2; 1000/3", Some(Empty)),
    ]);
    assert!(driver.coordinator.waiting.is_empty());
}

#[test]
fn who_waits_for_a_producer_id_that_is_not_there_asks_again() {
    let mut driver = prepared(Config::default());
    driver.run(&[(Do::Init, "", Some(PrepareCommit))]);
    set(&mut driver, |transaction| transaction.epoch = i16::MAX - 1);
    driver.work[0].epoch = i16::MAX - 1;
    driver.ids_are_there = false;
    driver.run(&[(Do::Mark(Marked::Written), "CONCURRENT_TRANSACTIONS", Some(CompleteCommit))]);
    driver.ids_are_there = true;
    driver.run(&[(Do::Init, "1001/0", Some(Empty))]);
}

#[test]
fn what_tells_of_the_state_waits_for_the_records() {
    let mut driver = prepared(impatient());
    for (asked, records) in [(Do::Init, 0), (Do::Verify(1, 0, "a", 0), 0), (Do::End2(1000, 7, true), 0)] {
        let effects = driver.coordinator.handle(10_000, 1, super::request(asked), &mut || None);
        assert_eq!((effects.records.len(), effects.answers.len()), (records, 1), "{asked:?}");
        assert!(effects.answers[0].after_records, "{asked:?}");
    }
    let decided = &driver.log[driver.log.len() - 1];
    let mut again = crate::Coordinator::new(impatient(), 4);
    again.replay(&decided.key, decided.value.as_deref()).expect("its own record");
    assert_eq!(again.transaction(ID).map(|one| (one.state, one.partitions.len())), Some((PrepareCommit, 2)));
}
