//! The coordinator as a whole, by tables of cases: what is done, what comes of it, and the state after it.

mod ends;
mod inits;
mod markers;
mod random;
mod timers;

use crate::{
    AddPartitions, Config, Coordinator, Effects, EndTransaction, InitProducerId, Marked, MarkerResult,
    MarkerWork, Outcome, PartitionSet, Record, Request, State,
};

/// The id that the tables are about.
pub(super) const ID: &str = "t";
/// The first producer id that is given.
pub(super) const FIRST: i64 = 1000;

/// A step of a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Do {
    /// InitProducerId.
    Init,
    /// The same of a producer that says who it is.
    InitAs(i64, i16),
    /// Adds a partition, as a client of V1.
    Add(i64, i16, &'static str, i32),
    /// The same as the broker does for a client of V2.
    Add2(i64, i16, &'static str, i32),
    /// Asks whether a partition is in the transaction.
    Verify(i64, i16, &'static str, i32),
    /// EndTxn of V1: commit or not.
    End(i64, i16, bool),
    /// EndTxn of V2.
    End2(i64, i16, bool),
    /// All markers that were asked for have this result.
    Mark(Marked),
    /// The markers of one topic only.
    MarkTopic(&'static str, Marked),
    /// Time goes by, and what is due is done.
    Wait(i64),
    /// Whoever asked with the step of this number is gone.
    Forget(u64),
    /// The coordinator begins anew with what is in the log.
    Restart,
}

/// A row: the step, what comes of it, and the state after it; `None`: the id is not there.
pub(super) type Row = (Do, &'static str, Option<State>);

/// A coordinator with its log, and all around it that tests need. Everything is durable at once.
pub(super) struct Driver {
    pub config: Config,
    pub coordinator: Coordinator,
    pub now_ms: i64,
    pub next_id: i64,
    pub ids_are_there: bool,
    pub log: Vec<Record>,
    /// Markers that were asked for and are not answered.
    pub work: Vec<MarkerWork>,
    pub step: u64,
}

impl Driver {
    /// A coordinator with an empty log, that keeps no request waiting.
    pub fn new(config: Config) -> Driver {
        let mut coordinator = Coordinator::new(config.clone(), 3);
        assert_eq!(coordinator.loaded(0), Effects::default());
        Driver {
            config,
            coordinator,
            now_ms: 10_000,
            next_id: FIRST,
            ids_are_there: true,
            log: Vec::new(),
            work: Vec::new(),
            step: 0,
        }
    }

    /// Does a step, and tells in one line what came of it.
    pub fn step(&mut self, step: Do) -> String {
        self.step += 1;
        let effects = match step {
            Do::Mark(marked) => self.mark(None, marked),
            Do::MarkTopic(topic, marked) => self.mark(Some(topic), marked),
            Do::Wait(ms) => {
                self.now_ms += ms;
                self.coordinator.tick(self.now_ms)
            }
            Do::Forget(waiter) => {
                self.coordinator.forget(waiter);
                Effects::default()
            }
            Do::Restart => self.restart(),
            _ => self.handle(request(step)),
        };
        self.take(effects)
    }

    fn handle(&mut self, request: Request) -> Effects {
        let (there, next_id) = (self.ids_are_there, &mut self.next_id);
        let mut ids = || {
            there.then(|| {
                *next_id += 1;
                *next_id - 1
            })
        };
        self.coordinator.handle(self.now_ms, self.step, request, &mut ids)
    }

    fn mark(&mut self, topic: Option<&str>, marked: Marked) -> Effects {
        let mut all = Effects::default();
        let mut left = Vec::new();
        for work in std::mem::take(&mut self.work) {
            let mut results = Vec::new();
            let mut rest = PartitionSet::default();
            for (name, partition) in work.partitions.iter() {
                if topic.is_none_or(|topic| topic == name) {
                    results.push(MarkerResult { topic: name.to_owned(), partition, marked });
                } else {
                    rest.insert(name, partition);
                }
            }
            let (there, next_id) = (self.ids_are_there, &mut self.next_id);
            let mut ids = || {
                there.then(|| {
                    *next_id += 1;
                    *next_id - 1
                })
            };
            let effects = self.coordinator.markers_written(self.now_ms, &work, &results, &mut ids);
            all.records.extend(effects.records);
            all.answers.extend(effects.answers);
            all.markers.extend(effects.markers);
            all.stopped.extend(effects.stopped);
            if !rest.is_empty() {
                left.push(MarkerWork { partitions: rest, ..work });
            }
        }
        self.work = left;
        all
    }

    fn restart(&mut self) -> Effects {
        self.coordinator = Coordinator::new(self.config.clone(), 4);
        for record in &self.log {
            self.coordinator.replay(&record.key, record.value.as_deref()).expect("its own record");
        }
        self.work.clear();
        self.coordinator.loaded(self.now_ms)
    }

    fn take(&mut self, effects: Effects) -> String {
        let mut said: Vec<String> = effects.answers.iter().map(|answer| outcome(&answer.outcome)).collect();
        said.extend(effects.markers.iter().map(markers));
        said.extend(effects.stopped.iter().map(|stopped| format!("stopped by {}", stopped.code.name())));
        if effects.needs_producer_id {
            said.push("needs an id".to_owned());
        }
        self.log.extend(effects.records);
        self.work.extend(effects.markers);
        said.join("; ")
    }

    /// Runs a table.
    pub fn run(&mut self, rows: &[Row]) {
        for (number, (step, said, state)) in rows.iter().enumerate() {
            let got = self.step(*step);
            assert_eq!(got, *said, "row {number}, {step:?}");
            let now = self.coordinator.transaction(ID).map(|transaction| transaction.state);
            assert_eq!(now, *state, "the state after row {number}, {step:?}");
        }
    }
}

/// Settings by which each request is answered at once, as Kafka does.
pub(super) fn impatient() -> Config {
    Config { wait_ms: 0, ..Config::default() }
}

fn request(step: Do) -> Request {
    let transactional_id = ID.to_owned();
    let add = |producer_id, epoch, topic, partition, verify_only, client_version| {
        let partitions = [(topic, partition)].into_iter().collect();
        let transactional_id = ID.to_owned();
        Request::Add(AddPartitions {
            transactional_id,
            producer_id,
            epoch,
            partitions,
            verify_only,
            client_version,
        })
    };
    match step {
        Do::Init => Request::Init(InitProducerId { transactional_id, timeout_ms: 1000, expected: None }),
        Do::InitAs(producer_id, epoch) => {
            let expected = Some((producer_id, epoch));
            Request::Init(InitProducerId { transactional_id, timeout_ms: 1000, expected })
        }
        Do::Add(producer_id, epoch, topic, partition) => add(producer_id, epoch, topic, partition, false, 0),
        Do::Add2(producer_id, epoch, topic, partition) => add(producer_id, epoch, topic, partition, false, 2),
        Do::Verify(producer_id, epoch, topic, partition) => {
            add(producer_id, epoch, topic, partition, true, 2)
        }
        Do::End(producer_id, epoch, commit) => {
            Request::End(EndTransaction { transactional_id, producer_id, epoch, commit, client_version: 0 })
        }
        Do::End2(producer_id, epoch, commit) => {
            Request::End(EndTransaction { transactional_id, producer_id, epoch, commit, client_version: 2 })
        }
        other => unreachable!("{other:?} is no request"),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Initialized { producer_id, epoch } => format!("{producer_id}/{epoch}"),
        Outcome::Added => "added".to_owned(),
        Outcome::Verified { missing } if missing.is_empty() => "verified".to_owned(),
        Outcome::Verified { missing } => format!("missing {}", list(missing)),
        Outcome::Ended { producer_id: -1, epoch: -1 } => "ended".to_owned(),
        Outcome::Ended { producer_id, epoch } => format!("ended, {producer_id}/{epoch}"),
        Outcome::Refused(code) => code.name().to_owned(),
    }
}

fn markers(work: &MarkerWork) -> String {
    let end = if work.commit { "commit" } else { "abort" };
    let MarkerWork { producer_id, epoch, transaction_version, coordinator_epoch, .. } = work;
    let partitions = list(&work.partitions);
    format!("{end} {producer_id}/{epoch} v{transaction_version} by {coordinator_epoch} in {partitions}")
}

fn list(partitions: &PartitionSet) -> String {
    let all: Vec<String> =
        partitions.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect();
    all.join(" ")
}
