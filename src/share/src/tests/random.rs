//! What holds whatever members, time and crashes do.

use super::*;
use base::Random;
use std::collections::BTreeMap;

/// What is known of a record from outside.
#[derive(Clone, Debug, Default)]
struct Known {
    accepted: bool,
    given_up: bool,
    /// Who was given it last, unless it was taken back.
    with: Option<String>,
    /// Deliveries since the last crash.
    deliveries: i16,
}

struct World {
    driver: Driver,
    random: Random,
    records: BTreeMap<i64, Known>,
    /// The log's end: batches of a few records each.
    batches: Vec<(i64, i64)>,
}

const MEMBERS: [&str; 3] = ["a", "b", "c"];
const BATCH_MAX: i64 = 4;

impl World {
    fn new(seed: u64) -> World {
        World {
            driver: Driver::new(0),
            random: Random::new(seed),
            records: BTreeMap::new(),
            batches: Vec::new(),
        }
    }

    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(_, last)| last + 1)
    }

    fn produce(&mut self) {
        let first = self.end();
        let last = first + self.random.below(BATCH_MAX as u64) as i64;
        self.batches.push((first, last));
    }

    fn fetch(&mut self) {
        let Some(from) = self.driver.partition.fetch_from() else { return };
        let read: Vec<(i64, i64)> =
            self.batches.iter().copied().filter(|(_, last)| *last >= from).take(3).collect();
        let wish = Wish {
            records_max: 1 + self.random.below(6) as i64,
            is_strict: self.random.one_in(2),
            batch_size: 1 + self.random.below(6) as i64,
        };
        let name = MEMBERS[self.random.below(3) as usize];
        let acquired = self.driver.acquire(name, &read, wish);
        let given: i64 = acquired.iter().map(|(first, last, _)| last - first + 1).sum();
        assert!(given < wish.records_max + if wish.is_strict { 1 } else { BATCH_MAX });
        for (first, last, deliveries) in acquired {
            assert!(deliveries <= LIMITS.deliveries_max, "handed out too often");
            for offset in first..=last {
                let record = self.records.entry(offset).or_default();
                assert!(!record.accepted, "{offset} was accepted");
                assert!(!record.given_up, "{offset} was given up");
                assert_eq!(record.with, None, "{offset} is with somebody");
                record.deliveries += 1;
                assert!(record.deliveries <= deliveries, "{offset} came oftener than is counted");
                record.with = Some(name.to_owned());
            }
        }
    }

    fn say(&mut self) {
        let held: Vec<i64> =
            self.records.iter().filter(|(_, one)| one.with.is_some()).map(|(offset, _)| *offset).collect();
        if held.is_empty() {
            return;
        }
        let offset = held[self.random.below(held.len() as u64) as usize];
        let owner = self.records[&offset].with.clone().expect("somebody has it");
        let kinds = [AckType::Accept, AckType::Release, AckType::Reject, AckType::Gap, AckType::Renew];
        let kind = kinds[self.random.below(kinds.len() as u64) as usize];
        let right = self.random.one_in(4);
        let name = if right { MEMBERS[self.random.below(3) as usize] } else { owner.as_str() };
        let told = self.driver.say(name, &[ack(offset, offset, kind)]);
        if name != owner {
            assert_eq!(told, Err(ErrorCode::InvalidRecordState));
            return;
        }
        assert_eq!(told, Ok(()), "{offset} {kind:?}");
        let record = self.records.get_mut(&offset).expect("known");
        match kind {
            AckType::Accept => record.accepted = true,
            AckType::Reject | AckType::Gap => record.given_up = true,
            AckType::Release | AckType::Renew => {}
        }
        if kind != AckType::Renew {
            record.with = None;
        }
    }

    fn take_back(&mut self, only: Option<&str>) {
        let write = match only {
            Some(name) => self.driver.partition.release(name),
            None => {
                self.driver.now += 2_000;
                self.driver.partition.expire(self.driver.now)
            }
        };
        self.driver.write(write);
        for record in self.records.values_mut().filter(|one| only.is_none() || one.with.as_deref() == only) {
            record.with = None;
            // What a member had when it went was not delivered.
            record.deliveries -= i16::from(only.is_some());
        }
    }

    fn crash(&mut self) {
        self.driver.crash();
        for record in self.records.values_mut() {
            record.with = None;
            // What was handed out and never heard of again may not have been counted.
            record.deliveries = 0;
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=3 => self.produce(),
            4..=9 => self.fetch(),
            10..=15 => self.say(),
            16 => self.take_back(None),
            17 | 18 => {
                let name = MEMBERS[self.random.below(3) as usize];
                self.take_back(Some(name));
            }
            _ => self.crash(),
        }
        let partition = &self.driver.partition;
        assert!(partition.window() < LIMITS.locks_max + BATCH_MAX, "the window is bounded");
        assert!(partition.runs() as i64 <= partition.window(), "and so is what it is made of");
        let start = partition.start_offset();
        for (offset, record) in self.records.range(..start) {
            let is_done = record.accepted || record.given_up || record.with.is_none();
            assert!(is_done, "{offset} is before the position {start} and with somebody");
        }
    }
}

#[test]
fn nothing_accepted_comes_again_and_everything_is_bounded() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
        // In the end everything is accepted or given up, and the position is behind it.
        world.take_back(None);
        for _ in 0..2_000 {
            world.fetch();
            let held: Vec<(i64, String)> =
                world.records.iter().filter_map(|(offset, one)| Some((*offset, one.with.clone()?))).collect();
            for (offset, name) in held {
                world.driver.say(&name, &[ack(offset, offset, AckType::Accept)]).expect("its own");
                let record = world.records.get_mut(&offset).expect("known");
                (record.accepted, record.with) = (true, None);
            }
            if world.driver.partition.start_offset() == world.end() {
                break;
            }
        }
        assert_eq!(world.driver.partition.start_offset(), world.end(), "seed {seed}");
        assert_eq!(world.driver.partition.runs(), 0);
    }
}
