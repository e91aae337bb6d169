//! The transactional ids of one partition, and how a request finds its way to one of them.

use crate::effects::{Effects, MarkerWork, Outcome};
use crate::record::{self, ReplayError};
use crate::{PartitionSet, Request, Transaction};
use kafka_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Requests that are kept for one id until its transaction is complete.
const KEPT_MAX: usize = 4;

/// Where new producer ids come from: the next of this core's block, `None` if it is used up.
pub type ProducerIds<'a> = dyn FnMut() -> Option<i64> + 'a;

/// The settings of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `transaction.max.timeout.ms`: the longest timeout that a producer may ask for.
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`: how long an id is kept that does nothing.
    pub expiration_ms: i64,
    /// The level of the feature `transaction.version`: 0, 1 or 2.
    pub transaction_version: i16,
    /// How long a request waits for the transaction before it to be complete, until it is told
    /// CONCURRENT_TRANSACTIONS; 0: it is told at once, as by Kafka.
    pub wait_ms: i64,
    /// After how long markers that failed are tried again.
    pub marker_retry_ms: i64,
    /// Partitions in one transaction, at most.
    pub partitions_max: usize,
    /// Bytes of the partitions in one record, at most: below what the log takes.
    pub record_bytes_max: usize,
    /// Ids that one coordinator takes.
    pub ids_max: usize,
}

impl Default for Config {
    /// Kafka's defaults, and the bounds that Kafka does not have.
    fn default() -> Config {
        Config {
            timeout_max_ms: 900_000,
            expiration_ms: 604_800_000,
            transaction_version: 2,
            wait_ms: 100,
            marker_retry_ms: 100,
            partitions_max: 10_000,
            record_bytes_max: 1_000_000,
            ids_max: 100_000,
        }
    }
}

/// Why a request is not answered with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be right, whatever the state is.
    Invalid(ErrorCode),
    /// The state does not allow it.
    State(ErrorCode),
    /// Markers of the transaction before are being written: it may wait.
    Concurrent,
    /// There is no new producer id at hand.
    NeedsProducerId,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::State(code)
    }
}

/// A request that waits for a transaction to be complete.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub waiter: u64,
    pub request: Request,
    pub until_ms: i64,
}

/// A transactional id: its transaction, and what the log does not have of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub transaction: Transaction,
    /// Partitions whose marker failed and is to be tried again.
    pub retry: PartitionSet,
    pub retry_at_ms: Option<i64>,
    /// A partition has refused its marker for good.
    pub stopped: bool,
    pub kept: Vec<Kept>,
    /// Its place in [`Coordinator::deadlines`].
    pub deadline_ms: Option<i64>,
}

impl Entry {
    pub fn new(transaction: Transaction) -> Entry {
        Entry {
            transaction,
            retry: PartitionSet::default(),
            retry_at_ms: None,
            stopped: false,
            kept: Vec::new(),
            deadline_ms: None,
        }
    }

    /// When something is to be done about it next.
    fn next_ms(&self, config: &Config) -> Option<i64> {
        let idle = self.transaction.state.is_idle();
        let expires = idle.then(|| self.transaction.update_ms.saturating_add(config.expiration_ms));
        let kept = self.kept.iter().map(|kept| kept.until_ms).min();
        [expires, self.transaction.timeout_at_ms(), self.retry_at_ms, kept].into_iter().flatten().min()
    }
}

/// The state of one partition of `__transaction_state`, whose leader this node is.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) epoch: i32,
    pub(crate) is_loaded: bool,
    pub(crate) entries: BTreeMap<Rc<str>, Entry>,
    /// When something is to be done about an id, the earliest first.
    pub(crate) deadlines: BTreeSet<(i64, Rc<str>)>,
    /// Who waits, and in which transaction.
    pub(crate) waiting: BTreeMap<u64, Rc<str>>,
}

impl Coordinator {
    /// A coordinator that has nothing yet. `epoch` is the leader epoch of its partition, and goes into every marker.
    pub fn new(config: Config, epoch: i32) -> Coordinator {
        Coordinator {
            config,
            epoch,
            is_loaded: false,
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Takes a record of the log; they must come in the log's order.
    ///
    /// # Errors
    /// What is no record of a transaction changes nothing; it is to be reported, and passed over.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), ReplayError> {
        match record::read(key, value)? {
            (id, Some(transaction)) => self.entries.insert(id.into(), Entry::new(transaction)),
            (id, None) => self.entries.remove(id.as_str()),
        };
        Ok(())
    }

    /// The log has been replayed to its end. All markers of transactions that are decided are written again: which
    /// of them were written nobody knows.
    pub fn loaded(&mut self, now_ms: i64) -> Effects {
        self.is_loaded = true;
        let mut effects = Effects::default();
        let ids: Vec<Rc<str>> = self.entries.keys().cloned().collect();
        for id in &ids {
            self.go_on(id, now_ms, &mut effects);
            self.schedule(id);
        }
        effects
    }

    /// Takes the settings from now on.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
        let ids: Vec<Rc<str>> = self.entries.keys().cloned().collect();
        if self.is_loaded {
            ids.iter().for_each(|id| self.schedule(id));
        }
    }

    /// Handles a request. `waiter` comes back in its answer, which may be that of a later call; no two requests that
    /// wait have the same.
    pub fn handle(
        &mut self,
        now_ms: i64,
        waiter: u64,
        request: Request,
        ids: &mut ProducerIds<'_>,
    ) -> Effects {
        let mut effects = Effects::default();
        let until_ms = now_ms.saturating_add(self.config.wait_ms);
        let refusal = self.serve(now_ms, Kept { waiter, request, until_ms }, ids, &mut effects);
        effects.needs_producer_id = refusal == Some(Refusal::NeedsProducerId);
        effects
    }

    /// Whoever waited does so no more; what it asked for may still be done.
    pub fn forget(&mut self, waiter: u64) {
        let Some(id) = self.waiting.remove(&waiter) else { return };
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.kept.retain(|kept| kept.waiter != waiter);
        }
        self.schedule(&id);
    }

    /// How many transactional ids there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The transaction of an id.
    pub fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.entries.get(id).map(|entry| &entry.transaction)
    }

    /// Serves a request, or keeps it; tells why not if it is only kept or needs a producer id.
    pub(crate) fn serve(
        &mut self,
        now_ms: i64,
        asked: Kept,
        ids: &mut ProducerIds<'_>,
        effects: &mut Effects,
    ) -> Option<Refusal> {
        let waiter = asked.waiter;
        match self.decide(now_ms, &asked.request, ids, effects) {
            Ok(outcome) => effects.answer(waiter, outcome, true),
            Err(Refusal::Invalid(code)) => effects.answer(waiter, Outcome::Refused(code), false),
            Err(Refusal::State(code)) => effects.answer(waiter, Outcome::Refused(code), true),
            Err(Refusal::Concurrent) => {
                if let Some(asked) = self.keep(now_ms, asked) {
                    refuse_concurrent(&asked, effects);
                }
            }
            Err(Refusal::NeedsProducerId) => return Some(Refusal::NeedsProducerId),
        }
        None
    }

    fn decide(
        &mut self,
        now_ms: i64,
        request: &Request,
        ids: &mut ProducerIds<'_>,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        if !self.is_loaded {
            return Err(Refusal::Invalid(ErrorCode::CoordinatorLoadInProgress));
        }
        match request {
            Request::Init(asked) => self.init(now_ms, asked, ids, effects),
            Request::Add(asked) => self.add(now_ms, asked, effects),
            Request::End(asked) => self.end(now_ms, asked, ids, effects),
        }
    }

    /// Keeps a request until its transaction is complete; gives it back if it may not wait.
    fn keep(&mut self, now_ms: i64, asked: Kept) -> Option<Kept> {
        let Some((id, entry)) = self.entries.get_key_value(asked.request.transactional_id()) else {
            return Some(asked);
        };
        let waits = entry.transaction.state.is_prepared() && asked.until_ms > now_ms;
        if !waits || entry.kept.len() >= KEPT_MAX {
            return Some(asked);
        }
        let id = id.clone();
        self.waiting.insert(asked.waiter, id.clone());
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.kept.push(asked);
        }
        self.schedule(&id);
        None
    }

    /// Adds the record of a transaction that has changed.
    pub(crate) fn log(&mut self, id: &str, effects: &mut Effects) {
        if let Some(entry) = self.entries.get(id) {
            effects.records.push(record::put(id, &entry.transaction, self.config.transaction_version));
        }
        self.schedule(id);
    }

    /// Brings an id to its place among the deadlines.
    pub(crate) fn schedule(&mut self, id: &str) {
        let Some((id, entry)) = self.entries.get_key_value(id) else { return };
        let next_ms = entry.next_ms(&self.config);
        if next_ms == entry.deadline_ms {
            return;
        }
        let id = id.clone();
        if let Some(entry) = self.entries.get_mut(&id)
            && let Some(before) = std::mem::replace(&mut entry.deadline_ms, next_ms)
        {
            self.deadlines.remove(&(before, id.clone()));
        }
        if let Some(next_ms) = next_ms {
            self.deadlines.insert((next_ms, id));
        }
    }

    /// The markers of a prepared transaction, for these of its partitions.
    pub(crate) fn marker_work(&self, id: &Rc<str>, entry: &Entry, partitions: PartitionSet) -> MarkerWork {
        MarkerWork {
            transactional_id: id.clone(),
            producer_id: entry.transaction.producer_id,
            epoch: entry.transaction.epoch,
            commit: entry.transaction.state == crate::State::PrepareCommit,
            coordinator_epoch: self.epoch,
            transaction_version: entry.transaction.client_version,
            partitions,
        }
    }
}

pub(crate) fn refuse_concurrent(asked: &Kept, effects: &mut Effects) {
    effects.answer(asked.waiter, Outcome::Refused(ErrorCode::ConcurrentTransactions), true);
}
