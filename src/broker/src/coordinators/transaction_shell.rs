//! One partition of `__transaction_state`: its coordinator, with a log, a clock, producer ids, and markers.

use super::alarm::Alarm;
use super::append::append_writes;
use super::markers;
use super::replay::{Entry, replay};
use super::waiters::Waiters;
use super::writes::{Pair, Writes};
use crate::broker::Broker;
use crate::producer_ids;
use base::mistakes;
use executor::{OneshotReceiver, OneshotSender, oneshot, sleep, wall_clock_ms};
use kafka_wire::ErrorCode;
use model::{Offset, TopicPartition};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use transactions::{Config, Coordinator, Effects, ListFilter, Listed, MarkerResult, MarkerWork};
use transactions::{Outcome, Request, Transaction};

/// After how long a coordinator that failed is loaded again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
/// The same when the log itself cannot be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What is to happen when records are durable.
enum Then {
    /// A request is answered.
    Answer(u64, Outcome),
    /// Somebody who looked at the state may tell of it.
    Show(OneshotSender<bool>),
    /// Markers are written.
    Mark(MarkerWork),
}

/// A coordinator and what is around it.
pub(crate) struct TransactionShell {
    id: TopicPartition,
    /// The leader epoch of the partition, which goes into every marker.
    epoch: i32,
    /// `None` while it is being loaded.
    core: RefCell<Option<Coordinator>>,
    config: RefCell<Config>,
    waiters: Waiters<Outcome>,
    writes: Writes<Then>,
    /// There is a task that writes.
    writing: Cell<bool>,
    /// For the task that keeps the time.
    alarm: Alarm,
    /// The partition is gone.
    ended: Cell<bool>,
}

/// A request that a coordinator has. Dropping it tells the coordinator that nobody waits any more.
struct Pending {
    shell: Rc<TransactionShell>,
    waiter: u64,
    answer: OneshotReceiver<Outcome>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shell.forget(self.waiter);
    }
}

impl TransactionShell {
    /// A coordinator for a partition of this core, which begins to load.
    pub(crate) fn start(
        broker: &Rc<Broker>,
        id: TopicPartition,
        epoch: i32,
        config: Config,
    ) -> Rc<TransactionShell> {
        let shell = Rc::new(TransactionShell {
            id,
            epoch,
            core: RefCell::new(None),
            config: RefCell::new(config),
            waiters: Waiters::default(),
            // Each record is all that is known of an id.
            writes: Writes::of_stand_alone(),
            writing: Cell::new(false),
            alarm: Alarm::default(),
            ended: Cell::new(false),
        });
        let partition = broker.service.store().partition(id);
        if partition.is_some_and(|partition| partition.offsets().log_end == Offset::ZERO) {
            // A log that was never written needs no loading.
            let core = Coordinator::new(shell.config.borrow().clone(), epoch);
            shell.loaded(broker, core);
        } else {
            shell.begin_load(broker, Duration::ZERO);
        }
        drop(executor::spawn("transaction timers", shell.clone().keep_time(broker.clone())));
        shell
    }

    /// The partition.
    pub(crate) fn id(&self) -> TopicPartition {
        self.id
    }

    /// Goes by other settings from now on.
    pub(crate) fn configure(&self, config: &Config) {
        if *self.config.borrow() == *config {
            return;
        }
        self.config.replace(config.clone());
        if let Some(core) = &mut *self.core.borrow_mut() {
            core.configure(config.clone());
        }
        self.alarm.ring();
    }

    /// The partition is gone, or the broker stops: nobody is served here any more.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.core.replace(None);
        self.writes.clear();
        self.tell_all(ErrorCode::NotCoordinator);
        self.alarm.ring();
    }

    /// Serves a request. It is begun at once, unless the coordinator needs a producer id and there is none.
    pub(crate) async fn serve(self: Rc<Self>, broker: Rc<Broker>, request: Request) -> Outcome {
        let mut refilled = false;
        loop {
            let pending = match self.begin(&broker, request.clone()) {
                Ok(Some(pending)) => pending,
                Ok(None) if refilled => return Outcome::Refused(ErrorCode::CoordinatorNotAvailable),
                Ok(None) => {
                    refilled = true;
                    match producer_ids::refill(&broker).await {
                        Ok(()) => continue,
                        Err(refusal) => return Outcome::Refused(refusal.code),
                    }
                }
                Err(code) => return Outcome::Refused(code),
            };
            let told = poll_fn(|context| pending.answer.poll_receive(context)).await;
            return told.unwrap_or(Outcome::Refused(ErrorCode::NotCoordinator));
        }
    }

    /// Begins with a request; `None` if it needs a producer id, and nothing has happened.
    fn begin(self: &Rc<Self>, broker: &Rc<Broker>, request: Request) -> Result<Option<Pending>, ErrorCode> {
        if self.waiters.is_full() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let waiter = self.waiters.next();
        let effects = {
            let mut core = self.core.borrow_mut();
            let core = core.as_mut().ok_or_else(|| self.not_there())?;
            core.handle(wall_clock_ms(), waiter, request, &mut || producer_ids::take(broker))
        };
        if effects.needs_producer_id {
            return Ok(None);
        }
        let pending = Pending { shell: self.clone(), waiter, answer: self.waiters.add() };
        self.take_in(broker, effects);
        Ok(Some(pending))
    }

    fn not_there(&self) -> ErrorCode {
        match self.ended.get() {
            true => ErrorCode::NotCoordinator,
            false => ErrorCode::CoordinatorLoadInProgress,
        }
    }

    /// The transaction of an id, as it is durable.
    pub(crate) async fn describe(&self, id: &str) -> Result<Transaction, ErrorCode> {
        let found = match &*self.core.borrow() {
            Some(core) => core.describe(id).cloned(),
            None => Err(self.not_there()),
        }?;
        self.shown().await?;
        Ok(found)
    }

    /// The transactions that a filter allows, as they are durable.
    pub(crate) async fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, ErrorCode> {
        let found = match &*self.core.borrow() {
            Some(core) => core.list(wall_clock_ms(), filter),
            None => Err(self.not_there()),
        }?;
        self.shown().await?;
        Ok(found)
    }

    /// Waits until what the coordinator shows now is durable.
    async fn shown(&self) -> Result<(), ErrorCode> {
        let (sender, receiver) = oneshot();
        for then in self.writes.put(Vec::new(), None, vec![Then::Show(sender)]) {
            if let Then::Show(sender) = then {
                sender.send(true);
            }
        }
        // It is dropped when the write has failed.
        match receiver.receive().await {
            Some(true) => Ok(()),
            _ => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Takes what became of markers.
    pub(crate) fn marked(self: &Rc<Self>, broker: &Rc<Broker>, work: &MarkerWork, results: &[MarkerResult]) {
        let effects = self.core.borrow_mut().as_mut().map(|core| {
            core.markers_written(wall_clock_ms(), work, results, &mut || producer_ids::take(broker))
        });
        if let Some(effects) = effects {
            self.take_in(broker, effects);
        }
    }

    /// Writes what is to be written, and does what follows when it may.
    fn take_in(self: &Rc<Self>, broker: &Rc<Broker>, effects: Effects) {
        for stopped in &effects.stopped {
            log::error!(
                "transaction {}: {}-{} refuses its marker ({}): it stays undecided there until the coordinator is loaded again",
                stopped.transactional_id,
                stopped.topic,
                stopped.partition,
                stopped.code.name()
            );
        }
        let mut later = Vec::new();
        for answer in effects.answers {
            match answer.after_records && !mistakes::is_made("decisions not durable") {
                true => later.push(Then::Answer(answer.waiter, answer.outcome)),
                false => self.tell(answer.waiter, answer.outcome),
            }
        }
        later.extend(effects.markers.into_iter().map(Then::Mark));
        let records: Vec<Pair> =
            effects.records.into_iter().map(|record| (record.key, record.value)).collect();
        for then in self.writes.put(records, None, later) {
            self.follow(broker, then);
        }
        if !self.writes.is_empty() && !self.writing.replace(true) {
            drop(executor::spawn("transaction records", self.clone().write(broker.clone())));
        }
        self.alarm.due(self.deadline());
    }

    fn follow(self: &Rc<Self>, broker: &Rc<Broker>, then: Then) {
        match then {
            Then::Answer(waiter, outcome) => self.tell(waiter, outcome),
            Then::Show(sender) => sender.send(true),
            Then::Mark(work) => {
                let (shell, broker) = (self.clone(), broker.clone());
                drop(executor::spawn("transaction markers", async move {
                    let results = markers::write(&broker, &work).await;
                    shell.marked(&broker, &work, &results);
                }));
            }
        }
    }

    fn tell(&self, waiter: u64, outcome: Outcome) {
        self.waiters.tell(waiter, outcome);
    }

    fn tell_all(&self, code: ErrorCode) {
        self.waiters.tell_all(|| Outcome::Refused(code));
    }

    fn forget(&self, waiter: u64) {
        if self.waiters.forget(waiter)
            && let Some(core) = &mut *self.core.borrow_mut()
        {
            core.forget(waiter);
        }
    }

    /// Writes until there is nothing more to write.
    async fn write(self: Rc<Self>, broker: Rc<Broker>) {
        let follow = |then, _| self.follow(&broker, then);
        let written =
            append_writes(&broker, self.id, &self.writes, &self.ended, "decisions not durable", follow).await;
        if let Err((code, why)) = written {
            log::error!(
                "transactions of {}: records cannot be written, so they are loaded again: {why}",
                self.id
            );
            self.core.replace(None);
            self.writes.clear();
            self.tell_all(code);
            self.begin_load(&broker, RELOAD_PAUSE);
        }
        self.writing.set(false);
    }

    fn begin_load(self: &Rc<Self>, broker: &Rc<Broker>, pause: Duration) {
        drop(executor::spawn("transaction loading", self.clone().load(broker.clone(), pause)));
    }

    /// Loads the coordinator; tries for as long as there is the partition.
    async fn load(self: Rc<Self>, broker: Rc<Broker>, mut pause: Duration) {
        while !self.ended.get() {
            if pause > Duration::ZERO {
                sleep(pause).await;
            }
            let mut core = Coordinator::new(self.config.borrow().clone(), self.epoch);
            let read = match mistakes::is_made("transactions not loaded") {
                true => Ok(()),
                false => replay(&broker.service, self.id, |entry| show(&mut core, self.id, entry)).await,
            };
            if self.ended.get() {
                return;
            }
            match read {
                Ok(()) => return self.loaded(&broker, core),
                Err(why) => log::error!("transactions of {} cannot be loaded: {why}", self.id),
            }
            pause = RETRY_PAUSE;
        }
    }

    fn loaded(self: &Rc<Self>, broker: &Rc<Broker>, mut core: Coordinator) {
        // It may have been configured while it was read.
        core.configure(self.config.borrow().clone());
        let effects = core.loaded(wall_clock_ms());
        self.core.replace(Some(core));
        self.take_in(broker, effects);
    }

    fn deadline(&self) -> Option<i64> {
        self.core.borrow().as_ref().and_then(Coordinator::next_deadline_ms)
    }

    /// Does what time brings, for as long as there is the partition.
    async fn keep_time(self: Rc<Self>, broker: Rc<Broker>) {
        while !self.ended.get() {
            let seen = self.alarm.count();
            let now_ms = wall_clock_ms();
            match self.deadline() {
                Some(at) if at <= now_ms => {
                    let effects = self.core.borrow_mut().as_mut().map(|core| core.tick(now_ms));
                    if let Some(effects) = effects {
                        self.take_in(&broker, effects);
                    }
                    executor::yield_now().await;
                }
                next => self.alarm.sleep(seen, now_ms, next).await,
            }
        }
    }
}

/// Takes in what was found in the log. What cannot be read is left out, as Kafka does.
fn show(core: &mut Coordinator, id: TopicPartition, entry: Entry<'_>) {
    if let Entry::Record { key, value, .. } = entry
        && let Err(error) = core.replay(key, value)
    {
        log::error!("transactions of {id}: {error}");
    }
}
