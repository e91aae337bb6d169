//! The groups of the fake broker, of both protocols: members really wait for each other.

use super::Fault;
use load::wire::{Get, Put};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

const REBALANCE_IN_PROGRESS: i16 = 27;
/// How long a member is let wait for others: longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Group {
    generation: i32,
    members: BTreeSet<String>,
    /// Those that have joined the next generation; there is one to come while this is not empty or somebody left.
    joined: BTreeSet<String>,
    rebalancing: bool,
    assignments: BTreeMap<String, Vec<u8>>,
    offsets: BTreeMap<i32, i64>,
    /// What each member of the consumer protocol has, or may still have.
    held: BTreeMap<String, BTreeSet<i32>>,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<String, Group>,
    given_ids: usize,
    commits: usize,
    heartbeats: usize,
}

pub struct Groups {
    fault: Fault,
    state: Mutex<State>,
    changed: Condvar,
}

fn group<'a>(state: &'a mut MutexGuard<'_, State>, name: &str) -> &'a mut Group {
    state.groups.entry(name.to_owned()).or_default()
}

impl Group {
    /// When all that are members have joined, the next generation begins.
    fn complete(&mut self) {
        if !self.members.is_empty() && self.joined == self.members {
            self.generation += 1;
            self.rebalancing = false;
            self.joined.clear();
            self.assignments.clear();
        }
    }

    /// A member is no longer one; the others are to join again. Whether it was one.
    fn remove(&mut self, id: &str) -> bool {
        let known = self.members.remove(id);
        self.joined.remove(id);
        self.rebalancing = !self.members.is_empty();
        self.complete();
        known
    }

    /// What a member of the consumer protocol shall have in the end: its range of the topic's partitions.
    fn target(&self, member: &str) -> BTreeSet<i32> {
        let (count, place) = (self.held.len(), self.held.keys().position(|id| id == member).unwrap());
        (0..PARTITIONS)
            .filter(|partition| *partition as usize * count / PARTITIONS as usize == place)
            .collect()
    }
}

/// Partitions that the broker of the consumer protocol believes its topic to have.
pub const PARTITIONS: i32 = 12;

impl Groups {
    pub fn new(fault: Fault) -> Groups {
        Groups { fault, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Answers a request; the correlation id is in `answer` already.
    pub fn serve(&self, api: i16, get: Get<'_>, answer: &mut Vec<u8>) {
        match api {
            8 => self.commit(get, answer),
            9 => self.fetch(get, answer),
            11 => self.join(get, answer),
            12 => self.heartbeat(get, answer),
            13 => self.leave(get, answer),
            14 => self.sync(get, answer),
            _ => self.consumer_heartbeat(get, answer),
        }
    }

    fn join(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let name = get.string().unwrap();
        get.take(8).unwrap();
        let mut id = get.string().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        let mut code = 0;
        if id.is_empty() {
            state.given_ids += 1;
            id = format!("m{:05}", state.given_ids);
            code = 79;
        } else {
            let own = group(&mut state, name);
            own.members.insert(id.clone());
            own.joined.insert(id.clone());
            own.rebalancing = true;
            let before = own.generation;
            own.complete();
            self.changed.notify_all();
            let waits = |state: &mut State| state.groups[name].generation == before;
            state = self.changed.wait_timeout_while(state, PATIENCE, waits).unwrap().0;
            if state.groups[name].generation == before {
                code = REBALANCE_IN_PROGRESS;
            }
        }
        let own = group(&mut state, name);
        let leader = own.members.first().cloned().unwrap_or_default();
        answer.put_i32(0);
        answer.put_i16(code);
        answer.put_i32(own.generation);
        answer.put_string("range");
        answer.put_string(&leader);
        answer.put_string(&id);
        let told: Vec<&String> = own.members.iter().filter(|_| code == 0 && leader == id).collect();
        answer.put_i32(told.len() as i32);
        for member in told {
            answer.put_string(member);
            answer.put_i16(-1);
            answer.put_i32(0);
        }
    }

    fn sync(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let (name, generation) = (get.string().unwrap(), get.i32().unwrap());
        let id = get.string().unwrap();
        get.i16().unwrap();
        let mut state = self.state.lock().unwrap();
        let own = group(&mut state, name);
        for _ in 0..get.i32().unwrap() {
            let member = get.string().unwrap().to_owned();
            let length = get.i32().unwrap();
            let bytes = get.take(length as usize).unwrap().to_vec();
            if own.generation == generation && !own.rebalancing {
                own.assignments.insert(member, bytes);
            }
        }
        self.changed.notify_all();
        let waits = |state: &mut State| {
            let own = &state.groups[name];
            own.generation == generation && !own.rebalancing && !own.assignments.contains_key(id)
        };
        state = self.changed.wait_timeout_while(state, PATIENCE, waits).unwrap().0;
        let own = group(&mut state, name);
        let given = own.assignments.get(id).filter(|_| own.generation == generation && !own.rebalancing);
        answer.put_i32(0);
        answer.put_i16(if given.is_some() { 0 } else { REBALANCE_IN_PROGRESS });
        let bytes = given.map_or(&[][..], Vec::as_slice);
        answer.put_i32(bytes.len() as i32);
        answer.extend_from_slice(bytes);
    }

    fn heartbeat(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let (name, generation) = (get.string().unwrap(), get.i32().unwrap());
        let id = get.string().unwrap();
        let mut state = self.state.lock().unwrap();
        let number = state.heartbeats;
        state.heartbeats += 1;
        let own = group(&mut state, name);
        if self.fault == Fault::ForgetMember(number) {
            own.remove(id);
            self.changed.notify_all();
        }
        let code = match own.members.contains(id) {
            false => 25,
            true if own.rebalancing => REBALANCE_IN_PROGRESS,
            true if own.generation != generation => 22,
            true => 0,
        };
        answer.put_i32(0);
        answer.put_i16(code);
    }

    fn leave(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let (name, id) = (get.string().unwrap(), get.string().unwrap());
        let mut state = self.state.lock().unwrap();
        let own = group(&mut state, name);
        let known = own.remove(id);
        self.changed.notify_all();
        answer.put_i32(0);
        answer.put_i16(if known { 0 } else { 25 });
    }

    fn commit(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let (name, generation) = (get.string().unwrap(), get.i32().unwrap());
        let id = get.string().unwrap();
        get.i16().unwrap();
        assert_eq!(get.i32().unwrap(), 1);
        let topic = get.string().unwrap();
        let mut state = self.state.lock().unwrap();
        let number = state.commits;
        state.commits += 1;
        let forgets = matches!(self.fault, Fault::ForgetCommits(from) if number >= from);
        let own = group(&mut state, name);
        let code = if own.members.contains(id) && own.generation == generation { 0 } else { 25 };
        let count = get.i32().unwrap();
        answer.put_i32(0);
        answer.put_i32(1);
        answer.put_string(topic);
        answer.put_i32(count);
        for _ in 0..count {
            let (partition, offset) = (get.i32().unwrap(), get.i64().unwrap());
            get.i32().unwrap();
            get.string().unwrap();
            if code == 0 && !forgets {
                own.offsets.insert(partition, offset);
            }
            answer.put_i32(partition);
            answer.put_i16(code);
        }
        assert!(get.rest().is_empty());
    }

    fn fetch(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        let name = get.string().unwrap();
        assert_eq!(get.i32().unwrap(), 1);
        let topic = get.string().unwrap();
        let mut state = self.state.lock().unwrap();
        let own = group(&mut state, name);
        let count = get.i32().unwrap();
        answer.put_i32(0);
        answer.put_i32(1);
        answer.put_string(topic);
        answer.put_i32(count);
        for _ in 0..count {
            let partition = get.i32().unwrap();
            answer.put_i32(partition);
            answer.put_i64(own.offsets.get(&partition).copied().unwrap_or(-1));
            answer.put_i32(-1);
            answer.put_string("");
            answer.put_i16(0);
        }
        answer.put_i16(0);
    }

    fn consumer_heartbeat(&self, mut get: Get<'_>, answer: &mut Vec<u8>) {
        get.skip_tags().unwrap();
        let (name, id) = (get.compact_string().unwrap(), get.compact_string().unwrap());
        let mut epoch = get.i32().unwrap();
        get.take(2).unwrap(); // neither instance nor rack
        get.i32().unwrap();
        for _ in 0..get.compact_count().unwrap() {
            get.compact_string().unwrap();
        }
        get.take(2).unwrap(); // neither regular expression nor assignor
        let tells = get.uvarint().unwrap();
        let mut owned = BTreeSet::new();
        for _ in 1..tells {
            get.take(16).unwrap();
            owned.extend((0..get.compact_count().unwrap()).map(|_| get.i32().unwrap()));
            get.skip_tags().unwrap();
        }
        let mut state = self.state.lock().unwrap();
        let own = group(&mut state, name);
        match epoch {
            -1 => drop(own.held.remove(id)),
            0 => drop(own.held.insert(id.to_owned(), BTreeSet::new())),
            _ if tells > 0 => drop(own.held.insert(id.to_owned(), owned)),
            _ => {}
        }
        own.generation += i32::from(epoch <= 0);
        let mut assigned = BTreeSet::new();
        if epoch >= 0 {
            let (target, has) = (own.target(id), own.held[id].clone());
            assigned = has.intersection(&target).copied().collect();
            if assigned == has {
                // Nothing is left to give back: what nobody else holds is its own now.
                let others = own.held.iter().filter(|(other, _)| *other != id).flat_map(|(_, held)| held);
                let taken: BTreeSet<i32> = others.copied().collect();
                assigned = target.difference(&taken).copied().collect();
                own.held.insert(id.to_owned(), assigned.clone());
                epoch = own.generation;
            }
        }
        answer.put_uvarint(0);
        answer.put_i32(0);
        answer.put_i16(0);
        answer.put_uvarint(0);
        answer.put_compact_string(id);
        answer.put_i32(epoch);
        answer.put_i32(5000);
        answer.put_i8(1);
        answer.put_uvarint(2);
        answer.extend_from_slice(&[9; 16]);
        answer.put_uvarint(assigned.len() as u64 + 1);
        assigned.iter().for_each(|partition| answer.put_i32(*partition));
        answer.extend_from_slice(&[0, 0, 0]);
    }
}
