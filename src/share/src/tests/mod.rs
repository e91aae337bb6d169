//! Whole share partitions and their durable state, driven together.
//!
//! - this module: the driver, and what happens step by step.
//! - [`random`]: what holds whatever happens.

mod random;

use crate::*;
use kafka_wire::ErrorCode;
use model::TopicId;
use std::sync::Arc;

const LIMITS: Limits = Limits { locks_max: 20, deliveries_max: 3, lock_ms: 1_000 };
const WISH: Wish = Wish { records_max: 500, is_strict: false, batch_size: 500 };

fn key() -> StateKey {
    StateKey { group: Arc::from("g"), topic: TopicId([1; 16]), partition: 0 }
}

fn member(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn found(batches: &[(i64, i64)]) -> Vec<Found> {
    batches.iter().map(|(first, last)| Found { first: *first, last: *last, is_visible: true }).collect()
}

fn ack(first: i64, last: i64, kind: AckType) -> AckBatch {
    AckBatch { first, last, types: vec![kind] }
}

/// A share partition and the coordinator that keeps it, with a log between crashes.
struct Driver {
    partition: SharePartition,
    state: StateCoordinator,
    log: Vec<Record>,
    limits: Limits,
    now: i64,
}

impl Driver {
    fn new(start: i64) -> Driver {
        let mut state = StateCoordinator::new(4);
        let log = vec![state.initialize(0, &key(), 1, start)];
        let loaded = state.read(&key()).expect("initialized");
        let partition = SharePartition::restore(LIMITS, &loaded);
        Driver { partition, state, log, limits: LIMITS, now: 0 }
    }

    /// Writes a change, which counts then.
    fn write(&mut self, write: Option<Write>) {
        let Some(write) = write else { return };
        let change = StateWrite {
            state_epoch: self.partition.state_epoch(),
            leader_epoch: 0,
            start_offset: write.start_offset,
            complete_count: write.complete_count,
            batches: write.batches,
            makes: false,
        };
        let (record, _) = self.state.write(self.now, &key(), &change).expect("not fenced");
        self.log.push(record);
        self.partition.written(write.ticket, true);
    }

    fn acquire(&mut self, name: &str, batches: &[(i64, i64)], wish: Wish) -> Vec<(i64, i64, i16)> {
        let Some(from) = self.partition.fetch_from() else { return Vec::new() };
        let acquired = self.partition.acquire(&member(name), self.now, from, &found(batches), wish);
        acquired.iter().map(|one| (one.first, one.last, one.deliveries)).collect()
    }

    fn say(&mut self, name: &str, batches: &[AckBatch]) -> Result<(), ErrorCode> {
        let write = self.partition.acknowledge(name, self.now, batches)?;
        self.write(write);
        Ok(())
    }

    /// Everything but the log is lost.
    fn crash(&mut self) {
        self.state = StateCoordinator::new(4);
        for (at, record) in self.log.iter().enumerate() {
            self.state.replay(at as i64, &record.key, record.value.as_deref()).expect("a record of ours");
        }
        let loaded = self.state.read(&key()).expect("initialized");
        self.partition = SharePartition::restore(self.limits, &loaded);
    }
}

#[test]
fn records_are_handed_out_once_and_the_position_follows_what_is_accepted() {
    let mut driver = Driver::new(0);
    assert_eq!(driver.acquire("a", &[(0, 4), (5, 9)], WISH), [(0, 9, 1)]);
    assert_eq!(driver.acquire("b", &[(10, 14)], WISH), [(10, 14, 1)]);
    assert!(driver.acquire("b", &[(10, 14)], WISH).is_empty(), "they are with somebody");
    assert_eq!(driver.say("a", &[ack(5, 9, AckType::Accept)]), Ok(()));
    assert_eq!(driver.partition.start_offset(), 0, "what is before is still with somebody");
    assert_eq!(driver.say("a", &[ack(0, 4, AckType::Accept)]), Ok(()));
    assert_eq!(driver.partition.start_offset(), 10);
    let summary = driver.state.summary(&key()).expect("there");
    assert_eq!((summary.start_offset, summary.complete_count), (10, 0));
    assert_eq!((driver.partition.acquired(), driver.partition.runs()), (5, 1));
}

#[test]
fn only_who_has_a_record_may_speak_of_it() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 9)], WISH);
    let state = Err(ErrorCode::InvalidRecordState);
    assert_eq!(driver.say("b", &[ack(0, 9, AckType::Accept)]), state);
    for (first, last) in [(10, 10), (5, 10)] {
        let told = driver.say("a", &[ack(first, last, AckType::Accept)]);
        assert_eq!(told, Err(ErrorCode::InvalidRequest), "never handed out");
    }
    let told = Driver::new(0).say("a", &[ack(10, 10, AckType::Accept)]);
    assert_eq!(told, state, "nothing is in flight");
    assert_eq!(driver.say("a", &[ack(3, 4, AckType::Accept)]), Ok(()));
    assert_eq!(driver.say("a", &[ack(4, 4, AckType::Accept)]), state, "twice");
    let both = [ack(0, 0, AckType::Accept), ack(3, 3, AckType::Accept)];
    assert_eq!(driver.say("a", &both), state, "all of it or nothing");
    assert_eq!(driver.partition.start_offset(), 0);
    assert_eq!(driver.say("a", &[ack(0, 2, AckType::Accept)]), Ok(()));
    assert_eq!(driver.say("a", &[ack(0, 4, AckType::Accept)]), Ok(()), "before the position nobody looks");
}

#[test]
fn what_is_released_comes_again_and_what_came_too_often_does_not() {
    let mut driver = Driver::new(0);
    for delivery in 1..=2 {
        assert_eq!(driver.acquire("a", &[(0, 1)], WISH), [(0, 1, delivery)]);
        assert_eq!(driver.say("a", &[ack(0, 1, AckType::Release)]), Ok(()));
    }
    for offset in 0..=1 {
        assert_eq!(driver.acquire("a", &[(0, 1)], WISH), [(offset, offset, 3)], "the last time alone");
        assert_eq!(driver.say("a", &[ack(offset, offset, AckType::Release)]), Ok(()));
    }
    assert!(driver.acquire("a", &[(0, 1)], WISH).is_empty(), "three times are the limit");
    assert_eq!(driver.partition.start_offset(), 2);
}

#[test]
fn what_fails_often_is_handed_out_in_ever_smaller_parts() {
    let mut driver = Driver::new(0);
    driver.partition.configure(Limits { deliveries_max: 5, ..LIMITS });
    let batches = [(0, 0), (1, 7), (8, 15)];
    for delivery in 1..=3 {
        assert_eq!(driver.acquire("a", &batches[..2], WISH), [(0, 7, delivery)]);
        assert_eq!(driver.say("a", &[ack(0, 7, AckType::Release)]), Ok(()));
    }
    // Half of what failed three times, over the ends of batches and without what is new; then half of the rest.
    assert_eq!(driver.acquire("a", &batches, WISH), [(0, 3, 4)]);
    assert_eq!(driver.acquire("a", &batches, WISH), [(4, 5, 4)]);
    assert_eq!(driver.say("a", &[ack(0, 3, AckType::Release)]), Ok(()));
    for offset in 0..=3 {
        assert_eq!(driver.acquire("a", &batches, WISH), [(offset, offset, 5)]);
        assert_eq!(driver.say("a", &[ack(offset, offset, AckType::Accept)]), Ok(()));
    }
    // What did not fail often is not handed out with what did.
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 7)], WISH);
    assert_eq!(driver.say("a", &[ack(0, 7, AckType::Release)]), Ok(()));
    driver.acquire("a", &[(0, 7)], Wish { records_max: 4, is_strict: true, ..WISH });
    assert_eq!(driver.say("a", &[ack(0, 3, AckType::Release)]), Ok(()));
    for offset in 0..=3 {
        assert_eq!(driver.acquire("b", &[(0, 7)], WISH), [(offset, offset, 3)]);
    }
    assert_eq!(driver.acquire("b", &[(0, 7)], WISH), [(4, 7, 2)]);
}

#[test]
fn what_a_member_had_when_it_went_counts_as_not_delivered() {
    let mut driver = Driver::new(0);
    for _ in 0..5 {
        assert_eq!(driver.acquire("a", &[(0, 4)], WISH), [(0, 4, 1)]);
        let write = driver.partition.release("a");
        driver.write(write);
    }
    driver.crash();
    assert_eq!(driver.acquire("b", &[(0, 4)], WISH), [(0, 4, 1)]);
}

#[test]
fn each_offset_may_have_its_own_word() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 4)], WISH);
    let types = vec![AckType::Accept, AckType::Release, AckType::Reject, AckType::Gap, AckType::Release];
    assert_eq!(driver.say("a", &[AckBatch { first: 0, last: 4, types }]), Ok(()));
    assert_eq!(driver.partition.start_offset(), 1);
    assert_eq!(driver.acquire("b", &[(0, 4)], WISH), [(1, 1, 2), (4, 4, 2)]);
}

#[test]
fn a_change_counts_when_it_is_durable_and_not_if_it_never_is() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 4)], WISH);
    let write = driver.partition.acknowledge("a", 0, &[ack(0, 4, AckType::Release)]).expect("its own");
    assert!(driver.acquire("b", &[(0, 4)], WISH).is_empty(), "it is not free yet");
    let again = driver.partition.acknowledge("a", 0, &[ack(0, 4, AckType::Accept)]);
    assert_eq!(again, Err(ErrorCode::InvalidRecordState), "one word at a time");
    assert_eq!(driver.partition.release("a"), None);
    assert!(!driver.partition.written(write.expect("a write").ticket, false));
    assert_eq!(driver.partition.acquired(), 5, "as it was");
    assert_eq!(driver.say("a", &[ack(0, 4, AckType::Accept)]), Ok(()));
    assert_eq!(driver.partition.start_offset(), 5);
}

#[test]
fn changes_that_end_in_another_order_lose_nothing() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 9)], WISH);
    let first = driver.partition.acknowledge("a", 0, &[ack(0, 4, AckType::Accept)]).expect("its own");
    let second = driver.partition.acknowledge("a", 0, &[ack(5, 9, AckType::Accept)]).expect("its own");
    let (first, second) = (first.expect("a write"), second.expect("a write"));
    assert_eq!((first.start_offset, second.start_offset), (5, 0), "each knows of itself alone");
    driver.write(Some(second));
    assert_eq!(driver.partition.start_offset(), 0);
    driver.write(Some(first));
    assert_eq!(driver.partition.start_offset(), 10);
    driver.crash();
    assert_eq!(driver.partition.start_offset(), 10);
}

#[test]
fn locks_end_and_can_begin_anew() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 4)], WISH);
    assert_eq!(driver.partition.next_deadline(), Some(1_000));
    driver.now = 900;
    assert_eq!(driver.say("a", &[ack(0, 1, AckType::Renew)]), Ok(()));
    driver.now = 1_000;
    let write = driver.partition.expire(driver.now);
    driver.write(write);
    assert_eq!(driver.acquire("b", &[(0, 4)], WISH), [(2, 4, 2)]);
    assert_eq!(driver.say("a", &[ack(2, 4, AckType::Accept)]), Err(ErrorCode::InvalidRecordState));
    assert_eq!(driver.partition.next_deadline(), Some(1_900));
}

#[test]
fn a_crash_frees_what_was_handed_out_and_keeps_what_was_said() {
    let mut driver = Driver::new(0);
    driver.acquire("a", &[(0, 9)], WISH);
    let words = [ack(0, 1, AckType::Accept), ack(3, 4, AckType::Accept), ack(5, 5, AckType::Release)];
    assert_eq!(driver.say("a", &words), Ok(()));
    driver.crash();
    assert_eq!(driver.partition.start_offset(), 2);
    let all = [(2, 2, 1), (5, 5, 2), (6, 9, 1)];
    assert_eq!(driver.acquire("b", &[(0, 9)], WISH), all, "accepted ones are not among them");
}

#[test]
fn updates_become_snapshots_and_both_say_the_same() {
    let mut driver = Driver::new(0);
    for round in 0..12 {
        let (first, last) = (round * 2, round * 2 + 1);
        driver.acquire("a", &[(first, last)], WISH);
        assert_eq!(driver.say("a", &[ack(first, last, AckType::Accept)]), Ok(()));
        let before = driver.state.read(&key());
        driver.crash();
        assert_eq!(driver.state.read(&key()), before, "round {round}");
    }
    let snapshots = driver.log.iter().filter(|record| record.key[..2] == [0, 0]).count();
    assert_eq!(snapshots, 3, "the first, and one for every four updates");
    assert_eq!(driver.state.needed_from(), Some(10));
}

#[test]
fn the_window_is_bounded_and_batches_are_whole_unless_asked_otherwise() {
    let mut driver = Driver::new(0);
    let wish = Wish { records_max: 3, ..WISH };
    assert_eq!(driver.acquire("a", &[(0, 4), (5, 9)], wish), [(0, 4, 1)]);
    let strict = Wish { is_strict: true, ..wish };
    assert_eq!(driver.acquire("a", &[(5, 9)], strict), [(5, 7, 1)]);
    assert_eq!(driver.acquire("a", &[(5, 9), (10, 29)], WISH), [(8, 29, 1)], "the last batch is given whole");
    assert_eq!(driver.partition.fetch_from(), None);
    assert_eq!(driver.partition.window(), 30);
    let one = Wish { batch_size: 6, ..WISH };
    driver.partition = SharePartition::restore(LIMITS, &Loaded { start_offset: 0, ..Loaded::default() });
    assert_eq!(driver.acquire("a", &[(0, 3), (4, 5), (6, 9)], one), [(0, 5, 1), (6, 9, 1)]);
}

#[test]
fn what_members_do_not_see_or_is_not_there_is_passed_over() {
    let mut driver = Driver::new(0);
    let hidden = Found { first: 3, last: 3, is_visible: false };
    let all = [found(&[(0, 2)]), vec![hidden], found(&[(6, 8)])].concat();
    let acquired = driver.partition.acquire(&member("a"), 0, 0, &all, WISH);
    let acquired: Vec<(i64, i64)> = acquired.iter().map(|one| (one.first, one.last)).collect();
    assert_eq!(acquired, [(0, 2), (6, 8)]);
    assert_eq!(driver.say("a", &[ack(0, 2, AckType::Accept)]), Ok(()));
    assert_eq!(driver.partition.start_offset(), 6);
    assert_eq!(driver.say("a", &[ack(6, 8, AckType::Release)]), Ok(()));
    // Compaction has taken 6 and 7 away meanwhile.
    assert_eq!(driver.acquire("b", &[(8, 8)], WISH), [(8, 8, 2)]);
    assert_eq!(driver.partition.start_offset(), 8);
    driver.partition.trim(20);
    assert_eq!((driver.partition.start_offset(), driver.partition.fetch_from()), (20, Some(20)));
    assert_eq!(driver.say("b", &[ack(8, 8, AckType::Accept)]), Ok(()), "it is gone, and nobody minds");
}

#[test]
fn a_state_that_was_set_fences_who_wrote_before() {
    let mut state = StateCoordinator::new(500);
    let write = StateWrite {
        state_epoch: 0,
        leader_epoch: 3,
        start_offset: 7,
        complete_count: 0,
        batches: Vec::new(),
        makes: false,
    };
    assert_eq!(state.write(0, &key(), &write).err(), Some(ErrorCode::FencedStateEpoch), "there is none");
    let made = StateWrite { makes: true, ..write.clone() };
    assert!(state.write(0, &key(), &made).expect("made").1, "a snapshot");
    assert!(state.write(0, &key(), &write).is_ok());
    let older = StateWrite { leader_epoch: 2, ..write.clone() };
    assert_eq!(state.write(0, &key(), &older).err(), Some(ErrorCode::FencedLeaderEpoch));
    state.initialize(0, &key(), 0, 2);
    assert_eq!(state.write(0, &key(), &write).err(), Some(ErrorCode::FencedStateEpoch));
    assert_eq!(state.read(&key()).map(|loaded| (loaded.state_epoch, loaded.start_offset)), Some((1, 2)));
    assert!(state.delete(&key()).is_some() && state.delete(&key()).is_none());
    assert!(state.is_empty() && state.summary(&key()).is_none());
}

#[test]
fn old_snapshots_are_written_anew_and_deleted_topics_go() {
    let mut state = StateCoordinator::new(500);
    let other = StateKey { topic: TopicId([2; 16]), ..key() };
    let records = [state.initialize(0, &key(), 1, 0), state.initialize(0, &other, 1, 0)];
    assert_eq!(state.needed_from(), None, "they are on their way");
    state.snapshot_written(&key(), 0);
    state.snapshot_written(&other, 1);
    assert_eq!(state.needed_from(), Some(0));
    let refreshed = state.refresh_before(5, 1, 10);
    assert_eq!(refreshed.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&key()]);
    state.snapshot_written(&key(), 2);
    assert_eq!(state.needed_from(), Some(1));
    let gone = state.retain_topics(|topic| topic == key().topic);
    assert_eq!(gone.len(), 1);
    let mut again = StateCoordinator::new(500);
    for (at, record) in
        records.iter().chain(refreshed.iter().map(|(_, record)| record)).chain(&gone).enumerate()
    {
        again.replay(at as i64, &record.key, record.value.as_deref()).expect("a record of ours");
    }
    assert_eq!((again.len(), again.read(&key())), (1, state.read(&key())));
}

#[test]
fn what_cannot_be_read_is_an_error_and_what_is_unknown_is_not() {
    let mut state = StateCoordinator::new(500);
    assert!(matches!(state.replay(0, &[0], None), Err(ReplayError::Key(_))));
    assert!(state.replay(0, &[0, 99], None).is_ok());
    let record = state.initialize(0, &key(), 1, 0);
    assert!(matches!(state.replay(0, &record.key, Some(&[0, 9])), Err(ReplayError::Value(_))));
    assert!(matches!(state.replay(0, &record.key, Some(&[])), Err(ReplayError::Value(_))));
    let mut empty = StateCoordinator::new(500);
    empty.replay(3, &record.key, record.value.as_deref()).expect("a record of ours");
    assert_eq!((empty.read(&key()), empty.needed_from()), (state.read(&key()), Some(3)));
}
