//! Sends and polls.

use super::*;

#[test]
fn what_is_as_it_was_sent_is_clean() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).polls(2, read(P, 0, 1, &[(0, 1)]));
    story.peeks(3, read(P, 0, 2, &[(0, 1), (1, 2)])).polls(2, read(P, 1, 2, &[(1, 2)]));
    story.does(3, Action::End(P, 2));
    assert_eq!(story.judged(true), Verdict::default());
}

#[test]
fn a_write_that_no_poll_shows_is_lost() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).sends(1, P, 3, 2);
    story.polls(2, read(P, 0, 3, &[(0, 1), (2, 3)]));
    assert_eq!(story.errors(), [Kind::LostWrite]);
}

#[test]
fn a_log_that_ends_before_what_was_acknowledged_or_shown_has_lost_it() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).does(2, Action::End(P, 0));
    assert_eq!(story.errors(), [Kind::LostWrite]);
    let mut story = Story::default();
    let ticket = story.history.invoke(1, 1, Action::Send(send(P, 1, 4)));
    story.history.complete(ticket, 2, Outcome::Info);
    story.peeks(2, read(P, 0, 5, &[(4, 1)])).does(2, Action::End(P, 4));
    assert_eq!(story.errors(), [Kind::LostWrite]);
}

#[test]
fn what_is_never_shown_is_lost_only_if_all_was_read() {
    let mut story = Story::default();
    story.does(1, Action::Send(Send { partition: P, value: 1, offset: None }));
    assert!(story.judged(false).errors.is_empty());
    assert!(story.judged(true).has(Kind::LostWrite));
}

#[test]
fn a_write_that_was_refused_must_not_be_shown() {
    let mut story = Story::default();
    let ticket = story.history.invoke(1, 1, Action::Send(Send { partition: P, value: 1, offset: None }));
    story.history.complete(ticket, 2, Outcome::Fail);
    story.peeks(2, read(P, 0, 1, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::AbortedRead]);
}

#[test]
fn what_nobody_sent_must_not_be_shown() {
    let mut story = Story::default();
    story.peeks(2, read(P, 0, 1, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::UnwrittenRead]);
    let mut story = Story::default();
    story.sends(1, Q, 1, 0).does(1, Action::Assign);
    story.peeks(2, read(P, 0, 1, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::UnwrittenRead, Kind::Duplicate]);
    let mut story = Story::default();
    story.peeks(2, read(P, 0, 1, &[(0, 1)])).sends(1, P, 1, 0);
    assert_eq!(story.errors(), [Kind::UnwrittenRead], "before it was sent");
}

#[test]
fn a_value_at_two_offsets_is_a_duplicate() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).peeks(2, read(P, 0, 2, &[(0, 1), (1, 1)]));
    assert_eq!(story.errors(), [Kind::Duplicate]);
}

#[test]
fn two_values_at_an_offset_are_inconsistent() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(2, P, 2, 0);
    assert_eq!(story.errors(), [Kind::InconsistentOffsets]);
}

#[test]
fn polls_go_on_where_they_ended() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).sends(1, P, 3, 2);
    story.polls(2, read(P, 0, 2, &[(0, 1), (1, 2)])).polls(2, read(P, 1, 2, &[(1, 2)]));
    assert_eq!(story.errors(), [Kind::NonmonotonicPoll]);
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).sends(1, P, 3, 2);
    story.polls(2, read(P, 0, 1, &[(0, 1)])).polls(2, read(P, 2, 3, &[(2, 3)]));
    assert_eq!(story.errors(), [Kind::PollSkip]);
}

#[test]
fn a_new_assignment_sets_positions_free() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).sends(1, P, 3, 2);
    story.polls(2, read(P, 0, 2, &[(0, 1), (1, 2)])).does(2, Action::Assign);
    story.polls(2, read(P, 0, 1, &[(0, 1)])).does(3, Action::Assign);
    assert!(story.errors().is_empty());
    let own = |partitions: &[Partition]| {
        let partitions = partitions.to_vec();
        Action::Own(Own {
            group: 0,
            member: 2,
            instance: None,
            generation: None,
            held: Vec::new(),
            partitions,
        })
    };
    story.does(2, own(&[P, Q])).does(2, own(&[P])).polls(2, read(P, 2, 3, &[(2, 3)]));
    assert_eq!(story.errors(), [Kind::PollSkip], "it kept the partition");
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).polls(2, read(P, 0, 1, &[(0, 1)]));
    story.does(2, own(&[])).polls(2, read(P, 0, 2, &[(0, 1), (1, 2)]));
    assert!(story.errors().is_empty());
}

#[test]
fn offsets_within_a_poll_grow() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1).peeks(2, read(P, 0, 2, &[(1, 2), (0, 1)]));
    assert_eq!(story.errors(), [Kind::IntNonmonotonicPoll]);
    let mut story = Story::default();
    story.sends(1, P, 1, 0).peeks(2, read(P, 1, 2, &[(0, 1)]));
    assert_eq!(story.errors(), [Kind::IntNonmonotonicPoll]);
}

#[test]
fn a_value_that_comes_later_was_skipped() {
    let mut story = Story::default();
    story.sends(1, P, 1, 0).sends(1, P, 2, 1);
    story.polls(2, read(P, 0, 2, &[(1, 2)])).polls(3, read(P, 0, 2, &[(0, 1), (1, 2)]));
    assert_eq!(story.errors(), [Kind::IntPollSkip]);
}

#[test]
fn sends_of_one_process_grow() {
    let mut story = Story::default();
    story.sends(1, P, 1, 5).sends(1, Q, 2, 0).sends(1, P, 3, 4);
    assert_eq!(story.errors(), [Kind::NonmonotonicSend]);
    let mut story = Story::default();
    story.sends(1, P, 1, 5).sends(2, P, 3, 4);
    assert!(story.errors().is_empty(), "of two processes");
}
