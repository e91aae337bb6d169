//! One partition of `__share_group_state`: what share partitions are durable as, with a log and askers.

use super::question::{StateAsk, StateGiven};
use crate::broker::Broker;
use crate::coordinators::append::{append_at, batch_bytes_max};
use crate::coordinators::replay::{Entry, replay};
use crate::coordinators::writes::Writes;
use controller::Image;
use executor::{OneshotReceiver, OneshotSender, oneshot, sleep, wall_clock_ms};
use kafka_wire::ErrorCode;
use model::{Offset, TopicPartition};
use shard::Outcome;
use shard::operation::Rare;
use share::{Record, StateCoordinator, StateKey};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Questions that may wait for the device together.
const WAITING_MAX: usize = 50_000;
/// After how long a coordinator that failed is loaded again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
/// The same when the log itself cannot be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Records behind the last that keep their place: snapshots that are older are written anew, so that the log before
/// them can go.
const KEPT_RECORDS: i64 = 10_000;
/// A cut that takes longer is not waited for, and goes on.
const CUT_WAIT: Duration = Duration::from_secs(60);
/// Snapshots that are written anew at a time.
const REFRESHED_MAX: usize = 1_000;

type Given = Result<StateGiven, ErrorCode>;
/// A record, and whether it is a snapshot; and the answer.
type Decided = (Option<(Record, bool)>, StateGiven);

/// What is to happen when records are durable.
enum Then {
    /// Somebody is told.
    Tell(OneshotSender<Given>, StateGiven),
    /// The next record of the batch is this share partition's, and a snapshot if so.
    Wrote(StateKey, bool),
}

/// A coordinator and what is around it.
pub(super) struct StateShell {
    id: TopicPartition,
    /// `None` while it is being loaded.
    core: RefCell<Option<StateCoordinator>>,
    updates_max: Cell<i32>,
    writes: Writes<Then>,
    waiting: Cell<usize>,
    /// There is a task that writes.
    writing: Cell<bool>,
    /// The partition is gone.
    ended: Cell<bool>,
}

impl StateShell {
    /// A coordinator for a partition of this core, which begins to load.
    pub(super) fn start(broker: &Rc<Broker>, id: TopicPartition) -> Rc<StateShell> {
        let updates_max = broker.config().share_updates_per_snapshot;
        let shell = Rc::new(StateShell {
            id,
            core: RefCell::new(None),
            updates_max: Cell::new(updates_max),
            writes: Writes::default(),
            waiting: Cell::new(0),
            writing: Cell::new(false),
            ended: Cell::new(false),
        });
        let partition = broker.service.store().partition(id);
        if partition.is_some_and(|partition| partition.offsets().log_end == Offset::ZERO) {
            // A log that was never written needs no loading.
            shell.core.replace(Some(StateCoordinator::new(updates_max)));
        } else {
            shell.begin_load(broker, Duration::ZERO);
        }
        drop(executor::spawn("share state pruning", shell.clone().prune(broker.clone())));
        shell
    }

    /// The partition.
    pub(super) fn id(&self) -> TopicPartition {
        self.id
    }

    /// Goes by another number of updates between snapshots from now on.
    pub(super) fn configure(&self, updates_max: i32) {
        self.updates_max.set(updates_max);
        if let Some(core) = &mut *self.core.borrow_mut() {
            core.configure(updates_max);
        }
    }

    /// The partition is gone, or the broker stops: nobody is served here any more.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.core.replace(None);
        self.clear();
    }

    /// How many share partitions it keeps.
    pub(super) fn len(&self) -> usize {
        self.core.borrow().as_ref().map_or(0, StateCoordinator::len)
    }

    /// Begins with a question. The answer comes when what it shows is durable, or never.
    ///
    /// # Errors
    /// NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE if too many wait, and what the
    /// coordinator refuses.
    pub(super) fn begin(
        self: &Rc<Self>,
        broker: &Rc<Broker>,
        key: StateKey,
        ask: StateAsk,
    ) -> Result<OneshotReceiver<Given>, ErrorCode> {
        if self.waiting.get() >= WAITING_MAX {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let (record, given) = match &mut *self.core.borrow_mut() {
            Some(core) => decide(core, &key, ask)?,
            None if self.ended.get() => return Err(ErrorCode::NotCoordinator),
            None => return Err(ErrorCode::CoordinatorLoadInProgress),
        };
        let (sender, receiver) = oneshot();
        self.waiting.set(self.waiting.get() + 1);
        let (records, mut then) = match record {
            Some((record, is_snapshot)) => (vec![record], vec![Then::Wrote(key, is_snapshot)]),
            None => (Vec::new(), Vec::new()),
        };
        then.push(Then::Tell(sender, given));
        self.put(broker, records, then);
        Ok(receiver)
    }

    /// Puts records in line, and what follows when they are durable: one [`Then::Wrote`] for each record.
    fn put(self: &Rc<Self>, broker: &Rc<Broker>, records: Vec<Record>, then: Vec<Then>) {
        let records = records.into_iter().map(|record| (record.key, record.value)).collect();
        for then in self.writes.put(records, None, then) {
            self.follow(then);
        }
        if !self.writes.is_empty() && !self.writing.replace(true) {
            drop(executor::spawn("share state records", self.clone().write(broker.clone())));
        }
    }

    fn follow(&self, then: Then) {
        if let Then::Tell(sender, given) = then {
            self.waiting.set(self.waiting.get().saturating_sub(1));
            sender.send(Ok(given));
        }
    }

    /// Nothing of what waits will be written: whoever waits is told by that nobody answers.
    fn clear(&self) {
        self.writes.clear();
        self.waiting.set(0);
    }

    /// Takes away what belongs to topics that are not there any more.
    pub(super) fn topics_deleted(self: &Rc<Self>, broker: &Rc<Broker>, image: &Image) {
        let records = match &mut *self.core.borrow_mut() {
            Some(core) => core.retain_topics(|topic| image.topic_by_id(topic).is_some()),
            None => return,
        };
        let nobody = |_: &Record| Then::Wrote(nothing(), false);
        let then = records.iter().map(nobody).collect();
        if !records.is_empty() {
            self.put(broker, records, then);
        }
    }

    /// Writes until there is nothing more to write.
    async fn write(self: Rc<Self>, broker: Rc<Broker>) {
        while let Some(batch) = self.writes.begin(wall_clock_ms(), batch_bytes_max(&broker, self.id)) {
            let appended = match batch {
                Ok(batch) => append_at(&broker, self.id, batch).await,
                Err(error) => Err((ErrorCode::UnknownServerError, error.to_string())),
            };
            if self.ended.get() {
                break;
            }
            match appended {
                Ok(base) => self.wrote(base),
                Err((_, why)) => {
                    log::error!("share state of {} cannot be written, so it is loaded again: {why}", self.id);
                    self.core.replace(None);
                    self.clear();
                    self.begin_load(&broker, RELOAD_PAUSE);
                    break;
                }
            }
        }
        self.writing.set(false);
    }

    /// A batch is durable from an offset on.
    fn wrote(&self, base: Offset) {
        let mut at = base.0;
        for then in self.writes.end() {
            if let Then::Wrote(key, is_snapshot) = &then {
                if let Some(core) = self.core.borrow_mut().as_mut().filter(|_| *is_snapshot) {
                    core.snapshot_written(key, at);
                }
                at += 1;
            }
            self.follow(then);
        }
    }

    fn begin_load(self: &Rc<Self>, broker: &Rc<Broker>, pause: Duration) {
        drop(executor::spawn("share state loading", self.clone().load(broker.clone(), pause)));
    }

    /// Loads the coordinator; tries for as long as there is the partition.
    async fn load(self: Rc<Self>, broker: Rc<Broker>, mut pause: Duration) {
        while !self.ended.get() {
            if pause > Duration::ZERO {
                sleep(pause).await;
            }
            let partition = broker.service.store().partition(self.id);
            // Where each snapshot is does not matter: the first pruning writes those anew that are old.
            let at = partition.map_or(0, |partition| partition.offsets().log_start.0);
            let mut core = StateCoordinator::new(self.updates_max.get());
            let read = replay(&broker.service, self.id, |entry| show(&mut core, self.id, at, entry)).await;
            if self.ended.get() {
                return;
            }
            match read {
                Ok(()) => {
                    core.configure(self.updates_max.get());
                    self.core.replace(Some(core));
                    let image = broker.image();
                    return self.topics_deleted(&broker, &image);
                }
                Err(why) => log::error!("share state of {} cannot be loaded: {why}", self.id),
            }
            pause = RETRY_PAUSE;
        }
    }

    /// Cuts the log where nothing is needed any more, now and then.
    async fn prune(self: Rc<Self>, broker: Rc<Broker>) {
        while !self.ended.get() {
            let pause = u64::try_from(broker.config().share_prune_interval_ms).unwrap_or(1).max(1);
            sleep(Duration::from_millis(pause)).await;
            let Some(partition) = broker.service.store().partition(self.id) else { continue };
            let offsets = partition.offsets();
            let needed = self.core.borrow().as_ref().and_then(StateCoordinator::needed_from);
            if let Some(before) = needed.filter(|at| *at > offsets.log_start.0) {
                self.cut(&broker, Offset(before)).await;
            }
            self.refresh(&broker, offsets.high_watermark.0 - KEPT_RECORDS);
        }
    }

    async fn cut(&self, broker: &Broker, before: Offset) {
        let operation = Rare::DeleteRecords { items: vec![(self.id, before)], within: CUT_WAIT }.into();
        if let Outcome::Deleted(results) = broker.service.begin(operation).await
            && let Some(Err(error)) = results.first()
        {
            log::warn!("share state of {} cannot be pruned: {error:?}", self.id);
        }
    }

    fn refresh(self: &Rc<Self>, broker: &Rc<Broker>, before: i64) {
        let refreshed = match &mut *self.core.borrow_mut() {
            Some(core) => core.refresh_before(wall_clock_ms(), before, REFRESHED_MAX),
            None => return,
        };
        if !refreshed.is_empty() {
            let (keys, records): (Vec<StateKey>, Vec<Record>) = refreshed.into_iter().unzip();
            let then = keys.into_iter().map(|key| Then::Wrote(key, true)).collect();
            self.put(broker, records, then);
        }
    }
}

/// The key of no share partition.
fn nothing() -> StateKey {
    StateKey { group: "".into(), topic: model::TopicId([0; 16]), partition: -1 }
}

/// What a question leads to.
fn decide(core: &mut StateCoordinator, key: &StateKey, ask: StateAsk) -> Result<Decided, ErrorCode> {
    let now_ms = wall_clock_ms();
    Ok(match ask {
        StateAsk::Read => (None, StateGiven::Read(core.read(key))),
        StateAsk::Summarize => (None, StateGiven::Summary(core.summary(key))),
        StateAsk::Write(write) => (Some(core.write(now_ms, key, &write)?), StateGiven::Done),
        StateAsk::Initialize { state_epoch, start_offset } => {
            (Some((core.initialize(now_ms, key, state_epoch, start_offset), true)), StateGiven::Done)
        }
        StateAsk::Delete => (core.delete(key).map(|record| (record, false)), StateGiven::Done),
    })
}

/// Takes in what was found in the log. What cannot be read is left out, as Kafka does.
fn show(core: &mut StateCoordinator, id: TopicPartition, at: i64, entry: Entry<'_>) {
    if let Entry::Record { key, value, .. } = entry
        && let Err(error) = core.replay(at, key, value)
    {
        log::error!("share state of {id}: {error}");
    }
}
