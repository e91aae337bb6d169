//! Timeouts, expiry, and what can be seen from outside.

use super::inits::set;
use super::{Do, Driver, ID, impatient};
use crate::State::*;
use crate::{Config, InitProducerId, ListFilter, Marked, Outcome, Request, wire};
use kafka_wire::ErrorCode;

#[test]
fn a_transaction_over_its_time_is_aborted_and_its_producer_fenced() {
    for (level, markers) in [(2, "abort 1000/2 v2 by 3 in a-0"), (0, "abort 1000/1 v0 by 3 in a-0")] {
        let mut driver = Driver::new(Config { transaction_version: level, ..impatient() });
        driver.run(&[
            (Do::Init, "1000/0", Some(Empty)),
            (Do::Wait(5000), "", Some(Empty)),
            (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
            // More partitions give no more time.
            (Do::Wait(600), "", Some(Ongoing)),
            (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
            (Do::Wait(400), "", Some(Ongoing)),
        ]);
        assert_eq!(driver.coordinator.next_deadline_ms(), Some(driver.now_ms + 1));
        assert_eq!(driver.step(Do::Wait(1)), markers);
        driver.run(&[
            (Do::End(1000, 0, true), "PRODUCER_FENCED", Some(PrepareAbort)),
            (Do::Wait(5000), "", Some(PrepareAbort)),
            (Do::Mark(Marked::Written), "", Some(CompleteAbort)),
            (Do::Add(1000, 0, "a", 0), "PRODUCER_FENCED", Some(CompleteAbort)),
        ]);
    }
}

#[test]
fn a_start_does_not_give_more_time() {
    Driver::new(impatient()).run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::Restart, "", Some(Ongoing)),
        (Do::Wait(1000), "", Some(Ongoing)),
        (Do::Wait(1), "abort 1000/2 v2 by 4 in a-0", Some(PrepareAbort)),
    ]);
}

#[test]
fn a_transaction_in_two_phases_has_all_the_time() {
    let mut driver = Driver::new(impatient());
    driver.step(Do::Init);
    set(&mut driver, |transaction| transaction.timeout_ms = i32::MAX);
    driver.run(&[
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::Wait(i64::from(i32::MAX) + 2), "", Some(Ongoing)),
    ]);
    assert_eq!(driver.coordinator.next_deadline_ms(), None);
}

#[test]
fn ids_that_do_nothing_expire() {
    let mut driver = Driver::new(Config { expiration_ms: 5000, ..impatient() });
    driver.run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Wait(4999), "", Some(Empty)),
        (Do::Wait(1), "", None),
    ]);
    assert_eq!(driver.log.last().map(|record| record.value.is_none()), Some(true));
    assert_eq!(driver.coordinator.next_deadline_ms(), None);
    driver.run(&[
        (Do::Restart, "", None),
        (Do::Init, "1001/0", Some(Empty)),
        (Do::Add2(1001, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1001, 0, true), "ended, 1001/1; commit 1001/1 v2 by 4 in a-0", Some(PrepareCommit)),
        (Do::Wait(100_000), "", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::Wait(4999), "", Some(CompleteCommit)),
        (Do::Wait(1), "", None),
    ]);
}

#[test]
fn settings_change_under_way() {
    let mut driver = Driver::new(impatient());
    driver.run(&[(Do::Init, "1000/0", Some(Empty)), (Do::Wait(100), "", Some(Empty))]);
    driver.coordinator.configure(Config { expiration_ms: 50, ..impatient() });
    driver.run(&[(Do::Wait(0), "", None)]);
}

fn begin(driver: &mut Driver, id: &str, producer_id: i64) {
    let init = InitProducerId { transactional_id: id.to_owned(), timeout_ms: 1000, expected: None };
    let effects = driver.coordinator.handle(driver.now_ms, 1, Request::Init(init), &mut || Some(producer_id));
    assert_eq!(effects.answers[0].outcome, Outcome::Initialized { producer_id, epoch: 0 });
}

#[test]
fn one_call_does_not_do_too_much() {
    let mut driver = Driver::new(Config { expiration_ms: 10, ..impatient() });
    for number in 0..1500 {
        begin(&mut driver, &format!("id-{number}"), number);
    }
    assert_eq!(driver.coordinator.tick(20_000).records.len(), 1000);
    assert_eq!(driver.coordinator.next_deadline_ms(), Some(10_010));
    assert_eq!(driver.coordinator.tick(20_000).records.len(), 500);
    assert_eq!((driver.coordinator.next_deadline_ms(), driver.coordinator.len()), (None, 0));
}

#[test]
fn transactions_are_described_and_listed() {
    let mut driver = Driver::new(impatient());
    begin(&mut driver, "a", 1);
    begin(&mut driver, "b", 2);
    driver.run(&[(Do::Init, "1000/0", Some(Empty)), (Do::Add(1000, 0, "x", 2), "added", Some(Ongoing))]);
    driver.now_ms += 500;
    let list = |filter: ListFilter| -> Vec<String> {
        let found = driver.coordinator.list(driver.now_ms, &filter).expect("it is loaded");
        found
            .iter()
            .map(|one| format!("{} {} {}", one.transactional_id, one.producer_id, one.state.name()))
            .collect()
    };
    let all = ListFilter::default();
    assert_eq!(list(all.clone()), ["a 1 Empty", "b 2 Empty", "t 1000 Ongoing"]);
    assert_eq!(list(ListFilter { states: Some(vec![Ongoing]), ..all.clone() }), ["t 1000 Ongoing"]);
    assert_eq!(list(ListFilter { states: Some(vec![]), ..all.clone() }), [""; 0]);
    assert_eq!(list(ListFilter { producer_ids: vec![2, 9], ..all.clone() }), ["b 2 Empty"]);
    let longer = |ms| ListFilter { longer_than_ms: Some(ms), states: Some(vec![Ongoing]), ..all.clone() };
    assert_eq!(list(longer(499)), ["t 1000 Ongoing"]);
    assert_eq!(list(longer(500)), [""; 0]);

    let found = wire::described(ID, driver.coordinator.describe(ID));
    assert_eq!((found.error_code, &*found.transaction_state, found.producer_id), (0, "Ongoing", 1000));
    assert_eq!((found.transaction_timeout_ms, found.transaction_start_time_ms), (1000, 10_000));
    assert_eq!((&*found.topics[0].topic, found.topics[0].partitions.as_slice()), ("x", &[2][..]));
    let code = |id| driver.coordinator.describe(id).err();
    assert_eq!(code(""), Some(ErrorCode::InvalidRequest));
    assert_eq!(code("nobody"), Some(ErrorCode::TransactionalIdNotFound));
    let loading = crate::Coordinator::new(impatient(), 0);
    assert_eq!(loading.describe("a").err(), Some(ErrorCode::CoordinatorLoadInProgress));
    assert!(loading.list(0, &ListFilter::default()).is_err());
}
