//! One partition of `__consumer_offsets`: its coordinator, with a log, a clock and clients.

use super::alarm::Alarm;
use super::append::append_writes;
use super::deleted::Deleted;
use super::question::GroupQuestion;
use super::replay::{Entry, replay};
use super::topics::ImageTopics;
use super::waiters::Waiters;
use super::writes::{Pair, Within, Writes};
use crate::broker::Broker;
use base::mistakes;
use executor::{OneshotReceiver, sleep, wall_clock_ms};
use groups::{Context, Coordinator, Effects, Producer, Record, Request, Response, Settings, Usage, Waiter};
use kafka_wire::ErrorCode;
use model::{Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

/// After how long a coordinator that failed is loaded again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
/// The same when the log itself cannot be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What whoever waits is told.
pub(crate) type Told = Result<Response, ErrorCode>;

/// What is to follow a write.
#[allow(clippy::large_enum_variant)] // Nearly all are answers.
enum Then {
    /// A request is answered.
    Answer(Waiter, Response),
    /// The offsets of a transaction wait for its end.
    Await(Producer),
    /// The offsets of a topic are gone.
    Bury(TopicId),
}

/// A transaction's end: whose, in which epoch, and whether it is committed.
type End = (ProducerId, ProducerEpoch, bool);

/// A coordinator and what is around it.
pub(crate) struct GroupShell {
    id: TopicPartition,
    /// `None` while it is being loaded.
    core: RefCell<Option<Coordinator>>,
    settings: RefCell<Settings>,
    waiters: Waiters<Told>,
    writes: Writes<Then>,
    /// Topics whose offsets are still to go, or on their way.
    deleted: Deleted,
    /// The end of the transaction whose records are under way: they are before it in the log, or will not be in it.
    decided: Cell<Option<End>>,
    /// There is a task that writes.
    writing: Cell<bool>,
    /// For the task that keeps the time.
    alarm: Alarm,
    /// The partition is gone.
    ended: Cell<bool>,
}

/// A request that a coordinator has. Dropping it tells the coordinator that nobody waits any more.
pub(crate) struct Pending {
    shell: Rc<GroupShell>,
    waiter: Waiter,
    answer: OneshotReceiver<Told>,
    parked: bool,
}

impl Pending {
    /// The answer waits for other members, and not only for the device.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked
    }

    /// The answer.
    pub(crate) async fn answer(self) -> Told {
        let told = poll_fn(|context| self.answer.poll_receive(context)).await;
        told.unwrap_or(Err(ErrorCode::NotCoordinator))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shell.forget(self.waiter);
    }
}

impl GroupShell {
    /// A coordinator for a partition of this core, which begins to load.
    pub(crate) fn start(broker: &Rc<Broker>, id: TopicPartition, settings: Settings) -> Rc<GroupShell> {
        let shell = Rc::new(GroupShell {
            id,
            core: RefCell::new(None),
            settings: RefCell::new(settings),
            waiters: Waiters::default(),
            writes: Writes::default(),
            deleted: Deleted::default(),
            decided: Cell::new(None),
            writing: Cell::new(false),
            alarm: Alarm::default(),
            ended: Cell::new(false),
        });
        if shell.is_bare(broker) {
            shell.loaded(broker, Coordinator::new(shell.settings.borrow().clone()));
        } else {
            shell.begin_load(broker, Duration::ZERO);
        }
        drop(executor::spawn("group timers", shell.clone().keep_time(broker.clone())));
        shell
    }

    /// The partition.
    pub(crate) fn id(&self) -> TopicPartition {
        self.id
    }

    /// Goes by other settings from now on.
    pub(crate) fn configure(&self, settings: &Settings) {
        if *self.settings.borrow() == *settings {
            return;
        }
        self.settings.replace(settings.clone());
        if let Some(core) = &mut *self.core.borrow_mut() {
            core.configure(settings.clone());
        }
    }

    /// The partition is gone, or the broker stops: nobody is served here any more.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.core.replace(None);
        self.give_up(ErrorCode::NotCoordinator);
        self.alarm.ring();
    }

    /// How much it holds.
    pub(crate) fn usage(&self) -> Usage {
        self.core.borrow().as_ref().map(Coordinator::usage).unwrap_or_default()
    }

    /// Begins with a request; what its answer waits for goes on by itself. `asked`: the request, if it was decoded
    /// before.
    ///
    /// # Errors
    /// NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE if too many wait.
    pub(crate) fn begin(
        self: &Rc<Self>,
        broker: &Rc<Broker>,
        question: &GroupQuestion,
        asked: Option<&Request<'_>>,
    ) -> Result<Pending, ErrorCode> {
        if self.waiters.is_full() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let waiter = self.waiters.next();
        let effects = self.handle(broker, question, asked, waiter)?;
        let parked = !effects.answers.iter().any(|answer| answer.waiter == waiter);
        let pending = Pending { shell: self.clone(), waiter, answer: self.waiters.add(), parked };
        self.take_in(broker, effects, question.since);
        Ok(pending)
    }

    fn handle(
        &self,
        broker: &Broker,
        question: &GroupQuestion,
        asked: Option<&Request<'_>>,
        waiter: Waiter,
    ) -> Result<Effects, ErrorCode> {
        let mut core = self.core.borrow_mut();
        let Some(core) = core.as_mut() else {
            let gone = self.ended.get();
            return Err(if gone { ErrorCode::NotCoordinator } else { ErrorCode::CoordinatorLoadInProgress });
        };
        let decoded;
        let request = match asked {
            Some(request) => request,
            None => {
                decoded = question.request().map_err(|error| {
                    // It was read before it was sent here.
                    log::error!("a {} cannot be read where its group is: {error}", question.api.name());
                    ErrorCode::UnknownServerError
                })?;
                &decoded
            }
        };
        let (client_id, client_host) = question.client();
        let topics = ImageTopics::of(broker);
        let context = Context {
            version: question.version,
            client_id: &client_id,
            client_host: &client_host,
            // Random bits are a call of the kernel, twice: commits have no use for them.
            fresh_id: if question.may_make_member() { fresh_id() } else { [0; 16] },
            topics: &topics,
        };
        Ok(core.handle(wall_clock_ms(), request, waiter, &context))
    }

    /// A marker that ends a producer's transaction is durable in the partition. While the log is being loaded, the
    /// marker is found there.
    pub(crate) fn end_transaction(&self, producer: ProducerId, epoch: ProducerEpoch, commit: bool) {
        let end = (producer, epoch, commit);
        match self.writes.within().is_some_and(|within| within.transaction.0 == producer.0) {
            // The first of them counts: behind it is nothing of the transaction.
            true => self.decided.set(self.decided.get().or(Some(end))),
            false => self.end_now(end),
        }
    }

    fn end_now(&self, (producer, epoch, commit): End) {
        if let Some(core) = &mut *self.core.borrow_mut() {
            core.end_transaction(producer, epoch, commit);
        }
    }

    /// A topic has been deleted.
    pub(crate) fn topic_deleted(self: &Rc<Self>, broker: &Rc<Broker>, name: &str, id: TopicId) {
        self.deleted.note(name, id);
        self.bury(broker, name, id);
    }

    /// Deletes a topic's offsets, unless they are being loaded: it is done then when they are there.
    fn bury(self: &Rc<Self>, broker: &Rc<Broker>, name: &str, id: TopicId) {
        let effects = self.core.borrow_mut().as_mut().map(|core| core.topic_deleted(name, id));
        if let Some(effects) = effects {
            self.put_each(broker, effects.records);
            self.put(broker, Vec::new(), None, vec![Then::Bury(id)]);
        }
    }

    /// Has tombstones of offsets written. None rests on another, and all of them may be too many for a batch: those go
    /// together that have room in it.
    fn put_each(self: &Rc<Self>, broker: &Rc<Broker>, records: Vec<Record>) {
        for record in records {
            self.put(broker, vec![record], None, Vec::new());
        }
    }

    /// Writes what is to be written, and answers when it may be answered. `since`: where the partition ended before a
    /// transaction's coordinator was asked about it, if it was.
    fn take_in(self: &Rc<Self>, broker: &Rc<Broker>, effects: Effects, since: Option<Offset>) {
        let mut later = Vec::with_capacity(effects.answers.len() + usize::from(effects.producer.is_some()));
        later.extend(effects.producer.map(Then::Await));
        for answer in effects.answers {
            match answer.after_records && !mistakes::is_made("commits not durable") {
                true => later.push(Then::Answer(answer.waiter, answer.response)),
                false => self.tell(answer.waiter, Ok(answer.response)),
            }
        }
        let within = effects.producer.map(|producer| {
            let transaction = (producer.id.0, producer.epoch.0);
            Within { transaction, since }
        });
        self.put(broker, effects.records, within, later);
    }

    /// Has records written, and does what is to follow when they and all before them are durable.
    fn put(
        self: &Rc<Self>,
        broker: &Rc<Broker>,
        records: Vec<Record>,
        within: Option<Within>,
        later: Vec<Then>,
    ) {
        let records = records.into_iter().map(|record| (record.key, record.value));
        let records: Vec<Pair> = records.collect();
        for then in self.writes.put(records, within, later) {
            self.follow(then, Ok(()));
        }
        if !self.writes.is_empty() && !self.writing.replace(true) {
            drop(executor::spawn("group records", self.clone().write(broker.clone())));
        }
        self.alarm.due(self.deadline());
    }

    /// Does what was to follow a write, or a wait for writes; `written`: or with what code the log has refused it.
    fn follow(&self, then: Then, written: Result<(), ErrorCode>) {
        match then {
            Then::Answer(waiter, response) => self.tell(waiter, written.map(|()| response)),
            Then::Await(producer) => {
                if let Some(core) = &mut *self.core.borrow_mut() {
                    core.written(producer, written.is_ok());
                }
                if let Some(end) = self.decided.take() {
                    self.end_now(end);
                }
            }
            Then::Bury(topic) => self.deleted.forget(topic),
        }
    }

    /// Nothing that waits will be written: whoever waits is told so.
    fn give_up(&self, code: ErrorCode) {
        self.writes.clear();
        self.decided.set(None);
        self.tell_all(code);
    }

    fn tell(&self, waiter: Waiter, told: Told) {
        self.waiters.tell(waiter, told);
    }

    fn tell_all(&self, code: ErrorCode) {
        self.waiters.tell_all(|| Err(code));
    }

    fn forget(&self, waiter: Waiter) {
        if self.waiters.forget(waiter)
            && let Some(core) = &mut *self.core.borrow_mut()
        {
            core.forget(waiter);
        }
    }

    /// Writes until there is nothing more to write.
    async fn write(self: Rc<Self>, broker: Rc<Broker>) {
        let follow = |then, written| self.follow(then, written);
        let written =
            append_writes(&broker, self.id, &self.writes, &self.ended, "commits not durable", follow).await;
        if let Err((code, why)) = written {
            log::error!("groups of {}: records cannot be written, so they are loaded again: {why}", self.id);
            self.core.replace(None);
            self.give_up(code);
            self.begin_load(&broker, RELOAD_PAUSE);
        }
        self.writing.set(false);
    }

    /// A log that was never written needs no loading.
    fn is_bare(&self, broker: &Broker) -> bool {
        let partition = broker.service.store().partition(self.id);
        partition.is_some_and(|partition| partition.offsets().log_end == Offset::ZERO)
    }

    fn begin_load(self: &Rc<Self>, broker: &Rc<Broker>, pause: Duration) {
        drop(executor::spawn("group loading", self.clone().load(broker.clone(), pause)));
    }

    /// Loads the coordinator; tries for as long as there is the partition.
    async fn load(self: Rc<Self>, broker: Rc<Broker>, mut pause: Duration) {
        while !self.ended.get() {
            if pause > Duration::ZERO {
                sleep(pause).await;
            }
            let mut core = Coordinator::new(self.settings.borrow().clone());
            let read = match mistakes::is_made("groups not loaded") {
                true => Ok(()),
                false => replay(&broker.service, self.id, |entry| show(&mut core, self.id, entry)).await,
            };
            if self.ended.get() {
                return;
            }
            match read {
                Ok(()) => return self.loaded(&broker, core),
                Err(why) => log::error!("groups of {} cannot be loaded: {why}", self.id),
            }
            pause = RETRY_PAUSE;
        }
    }

    fn loaded(self: &Rc<Self>, broker: &Rc<Broker>, mut core: Coordinator) {
        // It may have been configured while it was read.
        core.configure(self.settings.borrow().clone());
        let topics = ImageTopics::of(broker);
        let effects = core.loaded(wall_clock_ms(), &topics);
        let orphans = core.delete_orphans(&topics);
        self.core.replace(Some(core));
        self.take_in(broker, effects, None);
        self.put_each(broker, orphans.records);
        for (name, id) in self.deleted.all() {
            self.bury(broker, &name, id);
        }
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
                    self.tick(&broker, now_ms);
                    executor::yield_now().await;
                }
                next => self.alarm.sleep(seen, now_ms, next).await,
            }
        }
    }

    fn tick(self: &Rc<Self>, broker: &Rc<Broker>, now_ms: i64) {
        let topics = ImageTopics::of(broker);
        let effects = self.core.borrow_mut().as_mut().map(|core| core.tick(now_ms, &topics));
        if let Some(effects) = effects {
            self.take_in(broker, effects, None);
        }
    }
}

/// Random bits for the id of a member.
fn fresh_id() -> [u8; 16] {
    let bits = u128::from(executor::random()) << 64 | u128::from(executor::random());
    bits.to_be_bytes()
}

/// Takes in what was found in the log. What cannot be read is left out, as Kafka does.
fn show(core: &mut Coordinator, id: TopicPartition, entry: Entry<'_>) {
    match entry {
        Entry::Record { transaction, key, value } => {
            let producer = transaction.map(|(producer, _)| ProducerId(producer));
            if let Err(error) = core.replay(producer, key, value) {
                log::error!("groups of {id}: {error}");
            }
        }
        Entry::Marker { transaction: (producer, epoch), commit } => {
            core.end_transaction(ProducerId(producer), ProducerEpoch(epoch), commit);
        }
    }
}
