//! EndTxn: the tables of V1 and V2, and who may be told what when.

use super::inits::set;
use super::{Do, Driver, ID, impatient};
use crate::State::*;
use crate::{Config, Marked, NO_PRODUCER, State};

/// What an EndTxn in a state is told, for an abort and a commit, with the epoch before the current one, the current
/// one, and the one after.
type Told = (State, [[&'static str; 3]; 2]);

const FENCED: &str = "PRODUCER_FENCED";
const STATE: &str = "INVALID_TXN_STATE";
const BUSY: &str = "CONCURRENT_TRANSACTIONS";

fn check(cases: &[Told], is_v2: bool) {
    for &(state, told) in cases {
        for (commit, told) in [false, true].into_iter().zip(told) {
            for (epoch, told) in [9, 10, 11].into_iter().zip(told) {
                let mut driver = Driver::new(impatient());
                driver.step(Do::Init);
                set(&mut driver, |transaction| {
                    (transaction.state, transaction.epoch) = (state, 10);
                    transaction.partitions = match state.is_prepared() || state == Ongoing {
                        true => [("a", 0)].into_iter().collect(),
                        false => crate::PartitionSet::default(),
                    };
                });
                let got = match is_v2 {
                    true => driver.step(Do::End2(1000, epoch, commit)),
                    false => driver.step(Do::End(1000, epoch, commit)),
                };
                let what = format!("{state:?}, commit {commit}, epoch {epoch}, V2 {is_v2}");
                assert_eq!(got.split("; ").next(), Some(told), "{what}");
                let other = driver.step(if is_v2 { Do::End2(7, 10, commit) } else { Do::End(7, 10, commit) });
                assert_eq!(other, "INVALID_PRODUCER_ID_MAPPING", "{what}");
            }
        }
    }
}

#[test]
fn v1_knows_a_retry_by_the_state() {
    let cases = [
        (Empty, [[FENCED, STATE, FENCED], [FENCED, STATE, FENCED]]),
        (Ongoing, [[FENCED, "ended", FENCED], [FENCED, "ended", FENCED]]),
        (PrepareCommit, [[FENCED, STATE, FENCED], [FENCED, BUSY, FENCED]]),
        (PrepareAbort, [[FENCED, BUSY, FENCED], [FENCED, STATE, FENCED]]),
        (CompleteCommit, [[FENCED, STATE, FENCED], [FENCED, "ended", FENCED]]),
        (CompleteAbort, [[FENCED, "ended", FENCED], [FENCED, STATE, FENCED]]),
    ];
    check(&cases, false);
}

#[test]
fn v2_knows_a_retry_by_the_epoch() {
    let raised = "ended, 1000/11";
    let same = "ended, 1000/10";
    let cases = [
        (Empty, [[FENCED, raised, FENCED], [FENCED, STATE, FENCED]]),
        (Ongoing, [[FENCED, raised, FENCED], [FENCED, raised, FENCED]]),
        (PrepareCommit, [[STATE, BUSY, FENCED], [BUSY, BUSY, FENCED]]),
        (PrepareAbort, [[BUSY, BUSY, FENCED], [STATE, BUSY, FENCED]]),
        (CompleteCommit, [[STATE, raised, FENCED], [same, STATE, FENCED]]),
        (CompleteAbort, [[same, raised, FENCED], [STATE, STATE, FENCED]]),
    ];
    check(&cases, true);
}

#[test]
fn transactions_of_v1_follow_each_other_in_one_epoch() {
    Driver::new(impatient()).run(&[
        (Do::End(1000, 0, true), "INVALID_PRODUCER_ID_MAPPING", None),
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::Add(1000, 0, "b", 1), "added", Some(Ongoing)),
        (Do::End(1000, 0, true), "ended; commit 1000/0 v0 by 3 in a-0 b-1", Some(PrepareCommit)),
        (Do::Add(1000, 0, "a", 0), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Verify(1000, 0, "a", 0), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::MarkTopic("a", Marked::Written), "", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::Verify(1000, 0, "a", 0), "missing a-0", Some(CompleteCommit)),
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End(1000, 0, false), "ended; abort 1000/0 v0 by 3 in a-0", Some(PrepareAbort)),
        (Do::Mark(Marked::Gone), "", Some(CompleteAbort)),
        (Do::End(1000, 0, false), "ended", Some(CompleteAbort)),
    ]);
}

#[test]
fn transactions_of_v2_have_an_epoch_each() {
    Driver::new(impatient()).run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add2(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1000, 0, true), "ended, 1000/1; commit 1000/1 v2 by 3 in a-0", Some(PrepareCommit)),
        // The next one begins before the markers are written, and a late batch comes of the one before.
        (Do::Add2(1000, 1, "a", 0), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Add2(1000, 0, "a", 1), "PRODUCER_FENCED", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::End2(1000, 0, true), "ended, 1000/1", Some(CompleteCommit)),
        (Do::Add2(1000, 1, "a", 0), "added", Some(Ongoing)),
        // Ended twice, the second by a request that was long on its way.
        (Do::End2(1000, 0, true), "PRODUCER_FENCED", Some(Ongoing)),
        (Do::End2(1000, 1, false), "ended, 1000/2; abort 1000/2 v2 by 3 in a-0", Some(PrepareAbort)),
        (Do::Mark(Marked::Written), "", Some(CompleteAbort)),
        // Nothing was added, and the client does not know it.
        (Do::End2(1000, 2, false), "ended, 1000/3", Some(CompleteAbort)),
        (Do::End2(1000, 2, false), "ended, 1000/3", Some(CompleteAbort)),
        (Do::Restart, "", Some(CompleteAbort)),
        (Do::End2(1000, 2, false), "ended, 1000/3", Some(CompleteAbort)),
    ]);
}

/// A client that aborts at once, before any of its batches is in the transaction, is ahead of the markers.
#[test]
fn an_abort_of_v2_waits_for_the_transaction_before() {
    let mut driver = Driver::new(Config::default());
    driver.run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add2(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1000, 0, true), "ended, 1000/1; commit 1000/1 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::End2(1000, 1, false), "", Some(PrepareCommit)),
        (Do::Wait(99), "", Some(PrepareCommit)),
        (Do::Wait(1), BUSY, Some(PrepareCommit)),
        // It asks again.
        (Do::End2(1000, 1, false), "", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "ended, 1000/2", Some(CompleteAbort)),
        // A batch that was kept with it, and is let in, is aborted with it.
        (Do::Add2(1000, 2, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1000, 2, true), "ended, 1000/3; commit 1000/3 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::Add2(1000, 3, "b", 0), "", Some(PrepareCommit)),
        (Do::End2(1000, 3, false), "", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "added; ended, 1000/4; abort 1000/4 v2 by 3 in b-0", Some(PrepareAbort)),
        (Do::Mark(Marked::Written), "", Some(CompleteAbort)),
        // After a fence nobody has the epoch of the abort, least of all who is fenced.
        (Do::Add2(1000, 4, "a", 0), "added", Some(Ongoing)),
        (Do::Init, "abort 1000/6 v2 by 3 in a-0", Some(PrepareAbort)),
        (Do::End2(1000, 4, false), FENCED, Some(PrepareAbort)),
    ]);
}

#[test]
fn the_last_epoch_of_v2_ends_in_a_new_producer_id() {
    let last = i16::MAX - 1;
    let mut driver = Driver::new(impatient());
    driver.step(Do::Init);
    set(&mut driver, |transaction| transaction.epoch = last);
    driver.run(&[(Do::Add2(1000, last, "a", 0), "added", Some(Ongoing))]);
    driver.ids_are_there = false;
    driver.run(&[(Do::End2(1000, last, true), "needs an id", Some(Ongoing))]);
    driver.ids_are_there = true;
    driver.run(&[
        (Do::End2(1000, last, true), "ended, 1001/0; commit 1000/32767 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::Add2(1001, 0, "a", 0), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::End2(1001, 0, false), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        (Do::Add2(1000, last, "a", 0), "PRODUCER_FENCED", Some(PrepareCommit)),
        (Do::End2(1000, last, true), "CONCURRENT_TRANSACTIONS", Some(PrepareCommit)),
        // The next producer id is in the record of the decision.
        (Do::Restart, "commit 1000/32767 v2 by 4 in a-0", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::End2(1000, last, true), "ended, 1001/0", Some(CompleteCommit)),
        (Do::Restart, "", Some(CompleteCommit)),
        (Do::End2(1000, last, true), "ended, 1001/0", Some(CompleteCommit)),
        (Do::Add2(1000, last, "a", 0), "INVALID_PRODUCER_ID_MAPPING", Some(CompleteCommit)),
        (Do::Add2(1001, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1000, last, true), "INVALID_PRODUCER_ID_MAPPING", Some(Ongoing)),
    ]);
    assert_eq!(driver.coordinator.transaction(ID).map(|one| one.next_producer_id), Some(NO_PRODUCER));
}

#[test]
fn a_client_may_change_its_version() {
    Driver::new(impatient()).run(&[
        (Do::Init, "1000/0", Some(Empty)),
        (Do::Add(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End(1000, 0, true), "ended; commit 1000/0 v0 by 3 in a-0", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::Add2(1000, 0, "a", 0), "added", Some(Ongoing)),
        (Do::End2(1000, 0, true), "ended, 1000/1; commit 1000/1 v2 by 3 in a-0", Some(PrepareCommit)),
        (Do::Mark(Marked::Written), "", Some(CompleteCommit)),
        (Do::End(1000, 0, true), "PRODUCER_FENCED", Some(CompleteCommit)),
        (Do::Add(1000, 1, "a", 0), "added", Some(Ongoing)),
        (Do::End(1000, 1, false), "ended; abort 1000/1 v0 by 3 in a-0", Some(PrepareAbort)),
    ]);
}
