//! Random requests, marker results, waits and crashes, against what must hold in any of them.

use crate::{
    AddPartitions, Answer, Config, Coordinator, Effects, EndTransaction, InitProducerId, Marked,
    MarkerResult, MarkerWork, Outcome, PartitionSet, Record, Request, State, Transaction, record,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is done, which id it is about, and a number for all that is left open.
type Op = (u8, u8, u16);

const IDS: u8 = 3;

/// The markers of an id's last decision.
#[derive(Default)]
struct Decision {
    commit: bool,
    wanted: PartitionSet,
    written: PartitionSet,
}

/// What is written and not durable yet, of one call.
struct Pending {
    records: Vec<Record>,
    answers: Vec<Answer>,
    markers: Vec<MarkerWork>,
}

struct World {
    config: Config,
    coordinator: Coordinator,
    coordinator_epoch: i32,
    now_ms: i64,
    next_id: i64,
    waiter: u64,
    log: Vec<Record>,
    /// The last record of each id.
    durable: BTreeMap<String, Transaction>,
    pending: VecDeque<Pending>,
    work: Vec<MarkerWork>,
    decisions: BTreeMap<String, Decision>,
    /// The identity that a client of each id was given.
    clients: BTreeMap<u8, (i64, i16)>,
    /// Identities that were given to producers that began anew.
    given: BTreeSet<(String, i64, i16)>,
    /// Who waits: its id, and whether it began anew.
    asked: BTreeMap<u64, (u8, bool)>,
}

fn name(id: u8) -> String {
    format!("id-{id}")
}

/// Two of the ids are close to the end of their epochs.
fn old_records() -> Vec<Record> {
    let old = |id: u8, epoch| {
        let mut transaction = Transaction::new(i64::from(id), 1000, 0);
        transaction.epoch = epoch;
        record::put(&name(id), &transaction, 2)
    };
    vec![old(0, i16::MAX - 4), old(1, i16::MAX - 1)]
}

impl World {
    fn new(transaction_version: i16, wait_ms: i64) -> World {
        let config = Config { transaction_version, wait_ms, expiration_ms: 20_000, ..Config::default() };
        let mut world = World {
            coordinator: Coordinator::new(config.clone(), 0),
            config,
            coordinator_epoch: 0,
            now_ms: 0,
            next_id: 100,
            waiter: 0,
            log: Vec::new(),
            durable: BTreeMap::new(),
            pending: VecDeque::new(),
            work: Vec::new(),
            decisions: BTreeMap::new(),
            clients: BTreeMap::new(),
            given: BTreeSet::new(),
            asked: BTreeMap::new(),
        };
        for record in old_records() {
            world.persist(record);
        }
        world.crash();
        world
    }

    fn apply(&mut self, op: Op) {
        let (kind, id, number) = op;
        match kind {
            0..=1 => self.init(id, number),
            2..=4 => self.add(id, number),
            5..=7 => self.end(id, number),
            8..=9 => self.flush(usize::from(number % 4) + 1),
            10..=11 => self.mark(number),
            12 => {
                self.now_ms += i64::from(number % 700);
                let effects = self.coordinator.tick(self.now_ms);
                self.take(effects);
            }
            13 => self.forget(number),
            _ if number % 3 == 0 => self.crash(),
            _ => self.now_ms += i64::from(number % 50),
        }
        self.check_indexes();
    }

    /// The identity that the client believes in, or sometimes a wrong one.
    fn identity(&self, id: u8, number: u16) -> (i64, i16) {
        let (producer_id, epoch) = self.clients.get(&id).copied().unwrap_or((5, 0));
        match number % 16 {
            0 => (producer_id, epoch.wrapping_sub(1).max(0)),
            1 => (producer_id, epoch.wrapping_add(1).max(0)),
            2 => (producer_id + 1, epoch),
            _ => (producer_id, epoch),
        }
    }

    fn init(&mut self, id: u8, number: u16) {
        let expected = (number & 256 != 0).then(|| self.identity(id, number));
        let request = InitProducerId { transactional_id: name(id), timeout_ms: 1500, expected };
        self.ask(id, expected.is_none(), number, Request::Init(request));
    }

    fn add(&mut self, id: u8, number: u16) {
        let (producer_id, epoch) = self.identity(id, number);
        let topic = if number & 32 != 0 { "a" } else { "b" };
        let request = AddPartitions {
            transactional_id: name(id),
            producer_id,
            epoch,
            partitions: [(topic, i32::from(number >> 14))].into_iter().collect(),
            verify_only: number & 448 == 0,
            client_version: if number & 64 != 0 { 2 } else { 0 },
        };
        self.ask(id, false, number, Request::Add(request));
    }

    fn end(&mut self, id: u8, number: u16) {
        let (producer_id, epoch) = self.identity(id, number);
        let client_version = if number & 64 != 0 { 2 } else { 0 };
        let commit = number & 128 != 0;
        let request =
            EndTransaction { transactional_id: name(id), producer_id, epoch, commit, client_version };
        self.ask(id, false, number, Request::End(request));
    }

    fn ask(&mut self, id: u8, began_anew: bool, number: u16, request: Request) {
        self.waiter += 1;
        let waiter = self.waiter;
        let next_id = &mut self.next_id;
        // Sometimes there is no producer id at hand, and the request comes again with one.
        let mut there = number & 512 != 0;
        let mut ids = || {
            *next_id += i64::from(there);
            there.then_some(*next_id)
        };
        let before = self.coordinator.transaction(&name(id)).cloned();
        let mut effects = self.coordinator.handle(self.now_ms, waiter, request.clone(), &mut ids);
        if effects.needs_producer_id {
            let nothing = Effects { needs_producer_id: true, ..Effects::default() };
            assert_eq!(effects, nothing);
            assert_eq!(self.coordinator.transaction(&name(id)), before.as_ref());
            there = true;
            let mut ids = || {
                *next_id += i64::from(there);
                there.then_some(*next_id)
            };
            effects = self.coordinator.handle(self.now_ms, waiter, request.clone(), &mut ids);
            assert!(!effects.needs_producer_id);
        }
        self.asked.insert(waiter, (id, began_anew));
        self.check_decision(waiter, &request, &effects);
        self.take(effects);
    }

    /// Who is told that its end is decided has the decision that it asked for.
    fn check_decision(&self, waiter: u64, request: &Request, effects: &Effects) {
        let Request::End(asked) = request else { return };
        for answer in effects.answers.iter().filter(|answer| answer.waiter == waiter) {
            if let Outcome::Ended { .. } = answer.outcome {
                let state = self.coordinator.transaction(&asked.transactional_id).map(|one| one.state);
                let as_asked = match asked.commit {
                    true => [State::PrepareCommit, State::CompleteCommit],
                    false => [State::PrepareAbort, State::CompleteAbort],
                };
                assert!(state.is_some_and(|state| as_asked.contains(&state)), "{asked:?}: {state:?}");
            }
        }
    }

    fn take(&mut self, effects: Effects) {
        assert!(!effects.needs_producer_id);
        assert!(effects.stopped.is_empty());
        for answer in effects.answers.iter().filter(|answer| !answer.after_records) {
            assert!(matches!(answer.outcome, Outcome::Refused(_)), "{answer:?}");
        }
        let Effects { records, answers, markers, .. } = effects;
        self.pending.push_back(Pending { records, answers, markers });
    }

    /// Makes the oldest calls' records durable; then their answers are sent and their markers begin.
    fn flush(&mut self, count: usize) {
        for _ in 0..count {
            let Some(pending) = self.pending.pop_front() else { break };
            for record in pending.records {
                self.persist(record);
            }
            for answer in pending.answers {
                self.deliver(&answer);
            }
            for work in pending.markers {
                let decision = &self.decisions[&*work.transactional_id];
                assert_eq!(decision.commit, work.commit, "markers of the decision that is durable");
                assert!(decision.wanted.contains_all(&work.partitions));
                self.work.push(work);
            }
        }
        if self.pending.is_empty() {
            self.check_replay();
        }
    }

    /// A record is durable: its state may follow the one before.
    fn persist(&mut self, record: Record) {
        let (id, transaction) = record::read(&record.key, record.value.as_deref()).expect("its own record");
        let before = self.durable.get(&id).map(|transaction| transaction.state);
        match transaction {
            None => {
                assert!(before.is_some_and(State::is_idle), "{id} expires in {before:?}");
                self.durable.remove(&id);
                self.decisions.remove(&id);
            }
            Some(transaction) => {
                let state = transaction.state;
                assert!(
                    before.is_none_or(|before| state.may_follow(before)),
                    "{id}: {before:?} to {state:?}"
                );
                if state.is_prepared() {
                    let (commit, wanted) = (state == State::PrepareCommit, transaction.partitions.clone());
                    let decision = Decision { commit, wanted, written: PartitionSet::default() };
                    self.decisions.insert(id.clone(), decision);
                }
                if matches!(state, State::CompleteCommit | State::CompleteAbort) {
                    let decision = &self.decisions[&id];
                    assert_eq!(decision.written, decision.wanted, "{id} is complete with all its markers");
                    assert_eq!(decision.commit, state == State::CompleteCommit);
                }
                self.durable.insert(id, transaction);
            }
        }
        self.log.push(record);
    }

    fn deliver(&mut self, answer: &Answer) {
        let Some((id, began_anew)) = self.asked.remove(&answer.waiter) else {
            panic!("answered twice, or after it was forgotten: {answer:?}");
        };
        match answer.outcome {
            Outcome::Initialized { producer_id, epoch } => {
                assert!((0..i16::MAX).contains(&epoch));
                let is_new = self.given.insert((name(id), producer_id, epoch));
                assert!(is_new || !began_anew, "{producer_id}/{epoch} was given before");
                self.clients.insert(id, (producer_id, epoch));
            }
            Outcome::Ended { producer_id, epoch } if producer_id >= 0 => {
                // The last epoch is told where a timeout has raised to it: the next transaction gets another id.
                assert!(epoch >= 0);
                self.given.insert((name(id), producer_id, epoch));
                self.clients.insert(id, (producer_id, epoch));
            }
            _ => {}
        }
    }

    /// Some markers come to be durable, others fail.
    fn mark(&mut self, number: u16) {
        if self.work.is_empty() {
            return;
        }
        let work = self.work.remove(usize::from(number) % self.work.len());
        let mut results = Vec::new();
        for (index, (topic, partition)) in work.partitions.iter().enumerate() {
            let fails = number >> (4 + index % 12) & 1 != 0;
            let marked = if fails { Marked::Retry } else { Marked::Written };
            results.push(MarkerResult { topic: topic.to_owned(), partition, marked });
            let decision = self.decisions.get_mut(&*work.transactional_id);
            if let Some(decision) = decision.filter(|_| !fails) {
                assert_eq!(decision.commit, work.commit);
                assert!(decision.wanted.contains(topic, partition));
                decision.written.insert(topic, partition);
            }
        }
        let next_id = &mut self.next_id;
        let mut ids = || {
            *next_id += 1;
            number.is_multiple_of(2).then_some(*next_id)
        };
        let effects = self.coordinator.markers_written(self.now_ms, &work, &results, &mut ids);
        self.take(effects);
    }

    fn forget(&mut self, number: u16) {
        let waiting: Vec<u64> = self.coordinator.waiting.keys().copied().collect();
        if !waiting.is_empty() {
            let waiter = waiting[usize::from(number) % waiting.len()];
            self.coordinator.forget(waiter);
            self.asked.remove(&waiter);
        }
    }

    /// All that is not durable is gone, and a new coordinator goes on with the log.
    fn crash(&mut self) {
        self.pending.clear();
        self.asked.clear();
        self.work.clear();
        self.coordinator_epoch += 1;
        self.coordinator = self.replayed();
        let effects = self.coordinator.loaded(self.now_ms);
        self.take(effects);
    }

    fn replayed(&self) -> Coordinator {
        let mut coordinator = Coordinator::new(self.config.clone(), self.coordinator_epoch);
        for record in &self.log {
            coordinator.replay(&record.key, record.value.as_deref()).expect("its own record");
        }
        coordinator
    }

    /// What is in memory is what a start would find, but for the last epoch and the markers that are written.
    fn check_replay(&self) {
        let replayed = self.replayed();
        assert_eq!(replayed.len(), self.coordinator.len());
        for (id, entry) in &replayed.entries {
            let mut now = self.coordinator.transaction(id).expect("it is in the log").clone();
            now.last_epoch = entry.transaction.last_epoch;
            if now.state.is_prepared() {
                assert!(entry.transaction.partitions.contains_all(&now.partitions));
                now.partitions = entry.transaction.partitions.clone();
            }
            assert_eq!(now, entry.transaction, "{id}");
        }
    }

    fn check_indexes(&self) {
        let entries = &self.coordinator.entries;
        let deadlines = entries.iter().filter_map(|(id, entry)| Some((entry.deadline_ms?, id.clone())));
        assert_eq!(deadlines.collect::<BTreeSet<_>>(), self.coordinator.deadlines);
        let kept =
            entries.iter().flat_map(|(id, entry)| entry.kept.iter().map(|kept| (kept.waiter, id.clone())));
        assert_eq!(kept.collect::<BTreeMap<_, _>>(), self.coordinator.waiting);
        for (id, entry) in entries {
            let state = entry.transaction.state;
            assert!(!matches!(state, State::Dead | State::PrepareEpochFence), "{id}");
            assert!(entry.kept.is_empty() || state.is_prepared(), "{id}: requests wait in {state:?}");
        }
    }

    /// With markers that do not fail everything comes to an end, and everybody has an answer.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.flush(usize::MAX);
            while !self.work.is_empty() {
                self.mark(0);
            }
            self.flush(usize::MAX);
            self.now_ms += 100;
            let effects = self.coordinator.tick(self.now_ms);
            self.take(effects);
            self.check_indexes();
        }
        self.flush(usize::MAX);
        assert_eq!(self.asked, BTreeMap::new(), "each has an answer");
        let open: Vec<_> =
            self.coordinator.entries.values().filter(|entry| !entry.transaction.state.is_idle()).collect();
        assert!(open.is_empty(), "{open:?}");
    }
}

fn run(transaction_version: i16, wait_ms: i64, ops: &[Op]) {
    let mut world = World::new(transaction_version, wait_ms);
    for &op in ops {
        world.apply(op);
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn either_all_or_nothing(
        // At level 0 the log keeps less than what V2 needs, and V2 is not offered to clients.
        level in 1..3i16,
        waits in any::<bool>(),
        ops in proptest::collection::vec((0..16u8, 0..IDS, any::<u16>()), 1..200),
    ) {
        run(level, if waits { 100 } else { 0 }, &ops);
    }

    #[test]
    fn bytes_that_are_no_records_are_errors(
        key in proptest::collection::vec(any::<u8>(), 0..16),
        value in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut coordinator = Coordinator::new(Config::default(), 0);
        let good = old_records().remove(0);
        let _ = coordinator.replay(&key, Some(&value));
        let mut versioned = vec![0, 1];
        versioned.extend(&value);
        let _ = coordinator.replay(&good.key, Some(&versioned));
        // Whatever was taken for a record can be gone on with.
        coordinator.loaded(0);
        coordinator.tick(1);
        let init = |id: &str| Request::Init(InitProducerId {
            transactional_id: id.to_owned(),
            timeout_ms: 1,
            expected: None,
        });
        coordinator.handle(2, 1, init("id-0"), &mut || Some(1));
    }
}
