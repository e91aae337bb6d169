//! Transactions, and cycles of them.

use super::*;

fn sent(partition: Partition, value: Value, offset: Offset) -> Step {
    Step::Send(send(partition, value, offset))
}

/// A poll of a transaction. Its time is long after all of a short story.
fn polled(partition: Partition, from: Offset, next: Offset, values: &[(Offset, Value)]) -> Step {
    Step::Poll(Poll { committed: true, at: 1_000, reads: vec![read(partition, from, next, values)] })
}

#[test]
fn what_is_committed_is_shown_and_what_is_aborted_is_not() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 0), sent(Q, 2, 0)]);
    story.transacts(2, Outcome::Fail, vec![sent(P, 3, 2)]);
    story.transacts(3, Outcome::Info, vec![sent(P, 4, 4)]);
    story.polls(4, read(P, 0, 6, &[(0, 1), (4, 4)])).polls(4, read(Q, 0, 2, &[(0, 2)]));
    story.peeks(5, read(P, 0, 6, &[(0, 1), (2, 3), (4, 4)]));
    assert_eq!(story.judged(true), Verdict::default());
}

#[test]
fn an_aborted_read_is_found() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Fail, vec![sent(P, 1, 0)]).polls(2, read(P, 0, 1, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::AbortedRead]);
    let mut story = Story::default();
    // Its client is gone, and has never asked for its commit.
    let steps = vec![sent(P, 1, 0)];
    story.history.invoke(1, 1, Action::Transaction(Transaction { steps, ending: None }));
    story.polls(2, read(P, 0, 1, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::AbortedRead]);
}

#[test]
fn half_of_a_committed_transaction_is_lost() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Info, vec![sent(P, 1, 0), sent(Q, 2, 0)]);
    story.polls(2, read(P, 0, 2, &[(0, 1)])).polls(2, read(Q, 0, 2, &[]));
    assert_eq!(story.errors(), [Kind::LostWrite]);
}

#[test]
fn a_precommitted_read_is_found() {
    let mut story = Story::default();
    let poll = Poll { committed: true, at: 2, reads: vec![read(P, 0, 1, &[(0, 1)])] };
    let steps = vec![sent(P, 1, 0)];
    let ticket = story.history.invoke(1, 1, Action::Transaction(Transaction { steps, ending: Some(3) }));
    story.history.done(2, (1, 2), Action::Poll(poll));
    story.history.complete(ticket, 4, Outcome::Ok);
    assert_eq!(story.errors(), [Kind::PrecommittedRead]);
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 0), polled(P, 0, 1, &[(0, 1)])]);
    assert_eq!(story.errors(), [Kind::PrecommittedRead], "its own");
}

#[test]
fn offsets_within_a_transaction_grow() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 7), sent(P, 2, 6)]);
    assert_eq!(story.errors(), [Kind::IntNonmonotonicSend]);
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 6), sent(P, 2, 9)]);
    assert!(story.errors().is_empty(), "others may come between");
}

#[test]
fn writes_in_either_order_are_permitted() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 0), sent(Q, 2, 1)]);
    story.transacts(2, Outcome::Ok, vec![sent(P, 3, 1), sent(Q, 4, 0)]);
    assert!(story.errors().is_empty());
    assert_eq!(story.permitted(), [Kind::G0]);
}

#[test]
fn transactions_that_saw_each_others_writes_are_a_cycle() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 0), polled(Q, 0, 1, &[(0, 2)])]);
    story.transacts(2, Outcome::Ok, vec![sent(Q, 2, 0), polled(P, 0, 1, &[(0, 1)])]);
    assert_eq!(story.errors(), [Kind::G1c]);
    assert!(story.permitted().is_empty(), "one report is enough");
}

#[test]
fn a_read_of_what_lies_behind_ones_own_write_is_permitted() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![sent(P, 1, 0), polled(Q, 0, 1, &[(0, 3)])]);
    story.transacts(2, Outcome::Ok, vec![sent(P, 2, 1), sent(Q, 3, 0)]);
    assert!(story.errors().is_empty());
    assert_eq!(story.permitted(), [Kind::G1cWithWrites]);
}

#[test]
fn write_skew_is_permitted() {
    let mut story = Story::default();
    story.transacts(1, Outcome::Ok, vec![polled(Q, 0, 0, &[]), sent(P, 1, 0)]);
    story.transacts(2, Outcome::Ok, vec![polled(P, 0, 0, &[]), sent(Q, 2, 0)]);
    assert!(story.errors().is_empty());
    assert_eq!(story.permitted(), [Kind::G2]);
}
