//! Members, generations, committed offsets.

use super::*;

fn own(member: u32, generation: Option<i32>, partitions: &[Partition]) -> Action {
    let partitions = partitions.to_vec();
    Action::Own(Own { group: 0, member, instance: None, generation, held: Vec::new(), partitions })
}

/// The same of a member that is an incarnation of instance 7.
fn own_static(member: u32, generation: Option<i32>, partitions: &[Partition]) -> Action {
    match own(member, generation, partitions) {
        Action::Own(own) => Action::Own(Own { instance: Some(7), ..own }),
        other => other,
    }
}

impl Story {
    fn commit(&self, member: u32, generation: i32, offset: Offset) -> Commit {
        let (asked, accepted) = (self.now + 10, self.now + 15);
        let offsets = vec![(P, offset)];
        Commit { group: 0, member: Some(member), generation: Some(generation), offsets, asked, accepted }
    }

    fn commits(&mut self, member: u32, generation: i32, offset: Offset) -> &mut Story {
        let commit = self.commit(member, generation, offset);
        self.does(member, Action::Commit(commit))
    }

    fn fetches(&mut self, offset: Option<Offset>) -> &mut Story {
        self.does(9, Action::Committed(Committed { group: 0, partition: P, offset, stable: true }))
    }
}

#[test]
fn partitions_that_go_from_one_to_the_next_are_clean() {
    let mut story = Story::default();
    story.does(1, own(1, Some(1), &[P, Q])).does(1, own(1, Some(1), &[P, Q])).commits(1, 1, 3);
    story.does(1, own(1, Some(2), &[Q])).does(2, own(2, Some(2), &[P])).fetches(Some(3));
    story.does(2, own(2, Some(2), &[P])).commits(2, 2, 5).commits(2, 2, 5).fetches(Some(5));
    story.does(2, own(2, None, &[])).does(1, own(1, Some(3), &[P, Q])).fetches(Some(5));
    assert_eq!(story.judged(false), Verdict::default());
}

#[test]
fn a_generation_has_one_owner() {
    let mut story = Story::default();
    story.does(1, own(1, Some(4), &[P])).does(2, own(2, Some(4), &[Q, P]));
    assert_eq!(story.errors(), [Kind::TwoOwners]);
}

#[test]
fn nobody_is_given_what_another_one_surely_has() {
    let mut story = Story::default();
    story.does(1, own(1, None, &[P])).does(2, own(2, None, &[P])).does(1, own(1, None, &[P]));
    assert_eq!(story.errors(), [Kind::TwoOwners]);
    let mut story = Story::default();
    // The first may have been given up for dead.
    story.does(1, own(1, None, &[P])).does(2, own(2, None, &[P])).does(1, own(1, None, &[]));
    story.does(1, own(1, None, &[P]));
    assert!(story.errors().is_empty());
}

#[test]
fn nobody_is_given_what_another_one_has_not_given_back() {
    let mut story = Story::default();
    story.does(1, own(1, None, &[P])).does(2, own(2, None, &[P]));
    assert!(story.errors().is_empty());
    let (held, partitions) = (vec![P], Vec::new());
    let back = Own { group: 0, member: 1, instance: None, generation: None, held, partitions };
    story.does(1, Action::Own(back));
    assert_eq!(story.errors(), [Kind::TwoOwners]);
}

#[test]
fn who_comes_back_under_an_instance_has_its_place_alone() {
    let mut story = Story::default();
    story.does(1, own_static(1, Some(4), &[P])).does(1, own_static(1, None, &[]));
    story.does(1, own_static(2, Some(4), &[P])).commits(2, 4, 3);
    assert!(story.errors().is_empty(), "it is the same member in its generation");
    story.does(3, own(3, Some(4), &[P]));
    assert_eq!(story.errors(), [Kind::TwoOwners], "another one is not");
    let mut story = Story::default();
    story.does(1, own_static(1, Some(4), &[P])).does(2, own_static(2, Some(4), &[P]));
    assert!(story.errors().is_empty());
    story.commits(1, 4, 3).does(2, own_static(2, Some(4), &[P]));
    assert_eq!(story.errors(), [Kind::StaleCommit], "the first is fenced");
    story.does(1, own_static(1, Some(4), &[P]));
    assert_eq!(story.errors(), [Kind::TwoOwners, Kind::StaleCommit]);
}

#[test]
fn an_old_generation_commits_nothing() {
    let mut story = Story::default();
    story.does(1, own(1, Some(1), &[P])).does(2, own(2, Some(2), &[Q])).commits(1, 1, 3);
    assert_eq!(story.errors(), [Kind::StaleCommit]);
}

#[test]
fn nobody_commits_for_anothers_partition() {
    let mut story = Story::default();
    story.does(2, own(2, None, &[P]));
    let commit = Commit { generation: None, ..story.commit(1, 0, 3) };
    story.does(1, Action::Commit(commit));
    assert!(story.errors().is_empty(), "the second may be dead by now");
    story.does(2, own(2, None, &[P]));
    assert_eq!(story.errors(), [Kind::StaleCommit]);
}

#[test]
fn a_committed_offset_stays_until_the_next() {
    let mut story = Story::default();
    story.commits(1, 1, 3).fetches(None);
    assert_eq!(story.errors(), [Kind::CommittedOffsetLost]);
    let mut story = Story::default();
    story.commits(1, 1, 3).commits(1, 1, 7).fetches(Some(3));
    assert_eq!(story.errors(), [Kind::CommittedOffsetLost]);
    let mut story = Story::default();
    story.commits(1, 1, 3).fetches(Some(4));
    assert_eq!(story.errors(), [Kind::CommittedOffsetLost], "nobody committed it");
    let mut story = Story::default();
    let commit = Commit { accepted: crate::NEVER, ..story.commit(1, 1, 7) };
    story.commits(1, 1, 3);
    story.history.invoke(1, 20, Action::Commit(commit));
    assert!(story.fetches(Some(3)).fetches(Some(7)).errors().is_empty(), "it may count or not");
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    let mut story = Story::default();
    let commit = Step::Commit(story.commit(1, 1, 3));
    story.transacts(1, Outcome::Ok, vec![commit]).fetches(Some(3));
    assert!(story.errors().is_empty());
    story.fetches(None);
    assert_eq!(story.errors(), [Kind::CommittedOffsetLost]);
    let mut story = Story::default();
    let commit = Step::Commit(story.commit(1, 1, 3));
    story.transacts(1, Outcome::Fail, vec![commit]).fetches(None);
    assert!(story.errors().is_empty());
    story.fetches(Some(3));
    assert_eq!(story.errors(), [Kind::AbortedOffset]);
    let mut story = Story::default();
    let steps = vec![Step::Commit(story.commit(1, 1, 3))];
    let transaction = Transaction { steps, ending: Some(500) };
    let ticket = story.history.invoke(1, 1, Action::Transaction(transaction));
    story.history.complete(ticket, 501, Outcome::Ok);
    assert_eq!(story.fetches(Some(3)).errors(), [Kind::PrecommittedOffset]);
}

#[test]
fn a_record_is_consumed_once() {
    let mut story = Story::default();
    story.sends(5, P, 1, 0);
    for process in [1, 2] {
        let poll = story.poll(true, read(P, 0, 1, &[(0, 1)]));
        let steps = vec![Step::Poll(poll), Step::Commit(story.commit(process, 1, 1))];
        story.transacts(process, Outcome::Ok, steps);
    }
    assert_eq!(story.errors(), [Kind::ConsumedTwice]);
}
