//! InitProducerId and adding partitions.

use super::{Do, Driver, ID, impatient};
use crate::State::*;
use crate::{
    AddPartitions, Answer, Config, Coordinator, InitProducerId, Outcome, PartitionSet, Request, Transaction,
};
use kafka_wire::ErrorCode;

#[test]
fn epochs_go_up_and_old_ones_are_fenced() {
    Driver::new(impatient()).run(&[
        (Do::Add(1000, 0, "a", 0), "INVALID_PRODUCER_ID_MAPPING", None),
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Init, "1000/1", Some(Empty)),
        (Do::Add(1000, 0, "a", 0), "PRODUCER_FENCED", Some(Empty)),
        (Do::Add(1000, 2, "a", 0), "PRODUCER_FENCED", Some(Empty)),
        (Do::Add(1001, 1, "a", 0), "INVALID_PRODUCER_ID_MAPPING", Some(Empty)),
        (Do::Verify(1000, 1, "a", 0), "missing a-0", Some(Empty)),
        (Do::Add(1000, 1, "a", 0), "added", Some(Ongoing)),
        (Do::Add(1000, 1, "a", 0), "added", Some(Ongoing)),
        (Do::Verify(1000, 1, "a", 0), "verified", Some(Ongoing)),
        (Do::Verify(1000, 1, "a", 1), "missing a-1", Some(Ongoing)),
        (Do::Verify(1000, 0, "a", 0), "PRODUCER_FENCED", Some(Ongoing)),
        (Do::Verify(7, 1, "a", 0), "INVALID_PRODUCER_ID_MAPPING", Some(Ongoing)),
    ]);
}

#[test]
fn a_producer_that_says_who_it_is_goes_on() {
    Driver::new(impatient()).run(&[
        // New to the coordinator, and so is its producer id.
        (Do::InitAs(77, 5), "1000/0", Some(Empty)),
        (Do::InitAs(1000, 0), "1000/1", Some(Empty)),
        // The answer was lost.
        (Do::InitAs(1000, 0), "1000/1", Some(Empty)),
        (Do::InitAs(1000, 1), "1000/2", Some(Empty)),
        (Do::InitAs(1000, 0), "PRODUCER_FENCED", Some(Empty)),
        (Do::InitAs(1000, 3), "PRODUCER_FENCED", Some(Empty)),
        (Do::InitAs(77, 5), "PRODUCER_FENCED", Some(Empty)),
        // One that does not say it fences the others.
        (Do::Init, "1000/3", Some(Empty)),
        (Do::InitAs(1000, 2), "PRODUCER_FENCED", Some(Empty)),
        // The last epoch is not in the log.
        (Do::InitAs(1000, 3), "1000/4", Some(Empty)),
        (Do::Restart, "", Some(Empty)),
        (Do::InitAs(1000, 3), "PRODUCER_FENCED", Some(Empty)),
        (Do::InitAs(1000, 4), "1000/5", Some(Empty)),
    ]);
}

#[test]
fn an_open_transaction_is_aborted_first() {
    for (level, marked, next) in [(2, "abort 1000/2 v2", "1000/3"), (1, "abort 1000/1 v0", "1000/2")] {
        let mut driver = Driver::new(Config { transaction_version: level, ..impatient() });
        driver.run(&[(Do::Init, "1000/0", Some(Empty)), (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing))]);
        let fenced = driver.step(Do::Init);
        assert_eq!(fenced, format!("CONCURRENT_TRANSACTIONS; {marked} by 3 in a-0"));
        driver.run(&[
            (Do::Init, "CONCURRENT_TRANSACTIONS", Some(PrepareAbort)),
            (Do::InitAs(55, 0), "PRODUCER_FENCED", Some(PrepareAbort)),
            (Do::Add(1000, 0, "a", 0), "PRODUCER_FENCED", Some(PrepareAbort)),
            (Do::End(1000, 0, true), "PRODUCER_FENCED", Some(PrepareAbort)),
            (Do::Mark(crate::Marked::Written), "", Some(CompleteAbort)),
            (Do::Add(1000, 0, "a", 0), "PRODUCER_FENCED", Some(CompleteAbort)),
        ]);
        assert_eq!(driver.step(Do::Init), next);
    }
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let mut driver = Driver::new(impatient());
    driver.run(&[(Do::Init, "1000/0", Some(Empty))]);
    set(&mut driver, |transaction| transaction.epoch = i16::MAX - 1);
    driver.ids_are_there = false;
    driver.run(&[(Do::Init, "needs an id", Some(Empty))]);
    driver.ids_are_there = true;
    driver.run(&[
        (Do::InitAs(1000, 3), "PRODUCER_FENCED", Some(Empty)),
        (Do::InitAs(1000, i16::MAX - 1), "1001/0", Some(Empty)),
        // The answer was lost: the last epoch of the producer id before.
        (Do::InitAs(1000, i16::MAX - 1), "1001/0", Some(Empty)),
        (Do::InitAs(1000, 3), "PRODUCER_FENCED", Some(Empty)),
        (Do::InitAs(1001, 0), "1001/1", Some(Empty)),
    ]);
    set(&mut driver, |transaction| transaction.epoch = i16::MAX - 1);
    driver.run(&[
        // Fenced in its last epoch of all: the epoch of the fence still fits.
        (Do::Add2(1001, i16::MAX - 1, "a", 0), "added", Some(Ongoing)),
        (Do::Init, "CONCURRENT_TRANSACTIONS; abort 1001/32767 v2 by 3 in a-0", Some(PrepareAbort)),
        (Do::Mark(crate::Marked::Written), "", Some(CompleteAbort)),
        (Do::Init, "1002/0", Some(Empty)),
    ]);
}

#[test]
fn requests_that_cannot_be_right_change_nothing() {
    let init = |id: &str, timeout_ms| {
        Request::Init(InitProducerId { transactional_id: id.to_owned(), timeout_ms, expected: None })
    };
    let add = |id: &str, topic: &str| {
        Request::Add(AddPartitions {
            transactional_id: id.to_owned(),
            producer_id: 1,
            epoch: 0,
            partitions: [(topic, 0)].into_iter().collect(),
            verify_only: false,
            client_version: 0,
        })
    };
    let long = "x".repeat(40_000);
    let cases = [
        (init("", 1), ErrorCode::InvalidRequest),
        (init(&long, 1), ErrorCode::InvalidRequest),
        (init("t", 0), ErrorCode::InvalidTransactionTimeout),
        (init("t", -1), ErrorCode::InvalidTransactionTimeout),
        (init("t", 900_001), ErrorCode::InvalidTransactionTimeout),
        (add("", "a"), ErrorCode::InvalidRequest),
        (add("t", &long), ErrorCode::InvalidTopicException),
    ];
    for (request, code) in cases {
        let mut driver = Driver::new(impatient());
        let effects = driver.coordinator.handle(5, 9, request, &mut || Some(1));
        let answer = Answer { waiter: 9, outcome: Outcome::Refused(code), after_records: false };
        assert_eq!((effects.answers, effects.records), (vec![answer], vec![]));
        assert!(driver.coordinator.is_empty());
    }
    let mut loading = Coordinator::new(impatient(), 0);
    let effects = loading.handle(5, 9, init("t", 1), &mut || Some(1));
    assert_eq!(effects.answers[0].outcome, Outcome::Refused(ErrorCode::CoordinatorLoadInProgress));
}

#[test]
fn everything_has_its_bound() {
    let config = Config { partitions_max: 3, record_bytes_max: 100, ids_max: 1, ..impatient() };
    let mut driver = Driver::new(config);
    driver.run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::Add(1000, 0, "a", 1), "added", Some(Ongoing)),
        (Do::Add(1000, 0, "a", 2), "added", Some(Ongoing)),
        (Do::Add(1000, 0, "a", 3), "UNKNOWN_SERVER_ERROR", Some(Ongoing)),
        (Do::Add(1000, 0, "a", 2), "added", Some(Ongoing)),
        (Do::End(1000, 0, true), "ended; commit 1000/0 v0 by 3 in a-0 a-1 a-2", Some(PrepareCommit)),
        (Do::Mark(crate::Marked::Written), "", Some(CompleteCommit)),
        (
            Do::Add(1000, 0, concat!("long-long-long-long-long-long-long-long-long-long-", "name"), 0),
            "added",
            Some(Ongoing),
        ),
        (
            Do::Add(1000, 0, concat!("long-long-long-long-long-long-long-long-long-long-", "more"), 0),
            "UNKNOWN_SERVER_ERROR",
            Some(Ongoing),
        ),
    ]);
    let another = InitProducerId { transactional_id: "u".into(), timeout_ms: 1, expected: None };
    let effects = driver.coordinator.handle(5, 9, Request::Init(another), &mut || Some(1));
    assert_eq!(effects.answers[0].outcome, Outcome::Refused(ErrorCode::PolicyViolation));
    assert_eq!(driver.coordinator.len(), 1);
}

#[test]
fn a_thousand_partitions_are_one_transaction() {
    let mut driver = Driver::new(impatient());
    driver.step(Do::Init);
    let partitions: PartitionSet = (0..1000).map(|number| ("orders", number)).collect();
    let request = Request::Add(AddPartitions {
        transactional_id: ID.to_owned(),
        producer_id: 1000,
        epoch: 0,
        partitions: partitions.clone(),
        verify_only: false,
        client_version: 2,
    });
    let effects = driver.coordinator.handle(5, 9, request, &mut || None);
    assert_eq!((effects.records.len(), effects.answers[0].outcome.clone()), (1, Outcome::Added));
    driver.log.extend(effects.records);
    driver.step(Do::End2(1000, 0, true));
    driver.step(Do::Restart);
    assert_eq!(driver.work.len(), 1);
    assert_eq!(driver.work[0].partitions, partitions);
    assert_eq!(driver.step(Do::Mark(crate::Marked::Written)), "");
    assert_eq!(driver.coordinator.transaction(ID).map(|transaction| transaction.state), Some(CompleteCommit));
}

/// Changes a transaction in a way that would take too many steps.
pub(super) fn set(driver: &mut Driver, change: impl FnOnce(&mut Transaction)) {
    let entry = driver.coordinator.entries.get_mut(ID).expect("the id is there");
    change(&mut entry.transaction);
}
