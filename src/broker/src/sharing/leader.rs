//! A partition as one share group reads it, on the core that owns the partition.

use super::found::{cut, lying, visible};
use super::keep;
use super::question::{AckItem, FetchWish, Fetched, StateAsk, StateGiven};
use super::settings::{GroupSettings, Reset};
use crate::broker::Broker;
use crate::errors;
use base::mistakes;
use executor::{Event, Semaphore, oneshot, wall_clock_ms};
use kafka_wire::ErrorCode;
use model::{LeaderEpoch, Offset, TopicPartition};
use shard::operation::{OffsetQuery, Operation, Rare, ReadDone, ReadItem, Seen};
use shard::{Outcome, PartitionError};
use share::{Loaded, SharePartition, StateKey, StateWrite, Wish, Write};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use storage::{ReadBound, ReadError};

/// Reads of one fetch that find nothing to hand out, such as control batches alone, before it gives up for now.
const LOOKS: usize = 8;
/// After how long what members have had for too long is taken back again when that could not be written.
const WRITE_PAUSE_MS: i64 = 1_000;

/// A share partition.
pub(super) struct Leader {
    group: Arc<str>,
    partition: TopicPartition,
    leader_epoch: i32,
    /// `None` until it is loaded.
    core: RefCell<Option<SharePartition>>,
    /// One loads or hands out at a time.
    turn: Semaphore,
    /// There may be something to hand out that there was not.
    changed: Event,
    /// When it was last asked for.
    used_ms: Cell<i64>,
    /// After a write that failed: until when nothing is taken back, in milliseconds since 1970.
    rests_until: Cell<i64>,
    /// Its state was set by others, or its partition is gone.
    ended: Cell<bool>,
}

impl Leader {
    pub(super) fn new(group: Arc<str>, partition: TopicPartition, leader_epoch: i32) -> Leader {
        Leader {
            group,
            partition,
            leader_epoch,
            core: RefCell::new(None),
            turn: Semaphore::new(1),
            changed: Event::new(),
            used_ms: Cell::new(wall_clock_ms()),
            rests_until: Cell::new(i64::MIN),
            ended: Cell::new(false),
        }
    }

    pub(super) fn key(&self) -> (Arc<str>, TopicPartition) {
        (self.group.clone(), self.partition)
    }

    pub(super) fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// Nothing that it knows counts any more.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.changed.notify();
    }

    /// Records that members have, and offsets of the window.
    pub(super) fn usage(&self) -> (u64, u64) {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        self.core.borrow().as_ref().map_or((0, 0), |core| (count(core.acquired()), count(core.window())))
    }

    /// Nobody has anything of it, and nobody asked for it since a time.
    pub(super) fn is_idle(&self, since_ms: i64) -> bool {
        let rests = self.core.borrow().as_ref().is_none_or(SharePartition::is_idle);
        rests && self.used_ms.get() < since_ms && self.turn.free() > 0
    }

    /// When the next lock is up.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        let next = self.core.borrow().as_ref().and_then(SharePartition::next_deadline);
        next.map(|at| at.max(self.rests_until.get()))
    }

    fn state_key(&self) -> StateKey {
        let number = self.partition.partition.0;
        StateKey { group: self.group.clone(), topic: self.partition.topic, partition: number }
    }

    /// Loads it if it is not loaded.
    async fn load(&self, broker: &Rc<Broker>, settings: &GroupSettings) -> Result<(), ErrorCode> {
        self.used_ms.set(wall_clock_ms());
        if self.is_loaded(settings)? {
            return Ok(());
        }
        let _turn = self.turn.take(1).await;
        if self.is_loaded(settings)? {
            return Ok(());
        }
        keep::ensure(broker).await?;
        let read = match keep::state(broker, self.state_key(), StateAsk::Read).await? {
            StateGiven::Read(read) => read,
            _ => return Err(ErrorCode::UnknownServerError),
        };
        let loaded = match read {
            Some(loaded) if loaded.start_offset >= 0 => loaded,
            unset => self.begin(broker, unset, settings).await?,
        };
        if self.ended.get() {
            return Err(ErrorCode::FencedStateEpoch);
        }
        self.core.replace(Some(SharePartition::restore(settings.limits, &loaded)));
        self.changed.notify();
        Ok(())
    }

    fn is_loaded(&self, settings: &GroupSettings) -> Result<bool, ErrorCode> {
        if self.ended.get() {
            return Err(ErrorCode::FencedStateEpoch);
        }
        let mut core = self.core.borrow_mut();
        if let Some(core) = &mut *core {
            core.configure(settings.limits);
        }
        Ok(core.is_some())
    }

    /// Gives a group its first position. It is durable before anything is handed out: after a crash the group goes on
    /// from there, and not from wherever the log ends then.
    async fn begin(
        &self,
        broker: &Rc<Broker>,
        unset: Option<Loaded>,
        settings: &GroupSettings,
    ) -> Result<Loaded, ErrorCode> {
        let reset = match settings.reset {
            Reset::Earliest if mistakes::is_made("share groups begin at the end") => Reset::Latest,
            reset => reset,
        };
        let start_offset = match reset {
            Reset::Earliest => self.offset(broker, OffsetQuery::Earliest, settings).await?,
            Reset::Latest => self.offset(broker, OffsetQuery::Latest, settings).await?,
            Reset::Back(ms) => {
                let time = wall_clock_ms().saturating_sub(ms);
                match self.offset(broker, OffsetQuery::At(time), settings).await? {
                    -1 => self.offset(broker, OffsetQuery::Latest, settings).await?,
                    found => found,
                }
            }
        };
        let write = StateWrite {
            state_epoch: unset.as_ref().map_or(0, |loaded| loaded.state_epoch),
            leader_epoch: self.leader_epoch,
            start_offset,
            complete_count: 0,
            batches: Vec::new(),
            makes: unset.is_none(),
        };
        let state_epoch = write.state_epoch;
        keep::state(broker, self.state_key(), StateAsk::Write(write)).await?;
        Ok(Loaded { state_epoch, start_offset, batches: Vec::new() })
    }

    async fn offset(
        &self,
        broker: &Rc<Broker>,
        query: OffsetQuery,
        settings: &GroupSettings,
    ) -> Result<i64, ErrorCode> {
        let items = vec![(self.partition, query, LeaderEpoch::UNKNOWN)];
        match broker.service.begin(Rare::Offsets { items, bound: settings.bound }.into()).await {
            Outcome::Offsets(mut results) => match results.pop() {
                Some(Ok(found)) => Ok(found.offset.0),
                Some(Err(error)) => Err(errors::of_partition(&error)),
                None => Err(ErrorCode::UnknownServerError),
            },
            _ => Err(ErrorCode::UnknownServerError),
        }
    }

    /// Takes back what a member has.
    pub(super) async fn release(self: Rc<Self>, broker: Rc<Broker>, member: Arc<str>) {
        let write = self.core.borrow_mut().as_mut().and_then(|core| core.release(&member));
        let _ = self.persist(&broker, write).await;
    }

    /// Takes back what members have had for too long.
    pub(super) fn expire(self: &Rc<Self>, broker: &Rc<Broker>, now_ms: i64) {
        let write = self.core.borrow_mut().as_mut().and_then(|core| core.expire(now_ms));
        if let Some(write) = &write {
            let records: i64 = write.batches.iter().map(|batch| batch.last - batch.first + 1).sum();
            broker.metrics.share_expired.add(u64::try_from(records).unwrap_or(0));
        }
        drop(self.persist(broker, write));
    }

    /// Makes a change durable; it counts from then on. It is begun at once and goes on whether or not anybody waits:
    /// records must not stay on their way for ever.
    fn persist(
        self: &Rc<Self>,
        broker: &Rc<Broker>,
        write: Option<Write>,
    ) -> impl Future<Output = Result<(), ErrorCode>> + 'static + use<> {
        let begun = write.map(|mut write| {
            if mistakes::is_made("deliveries not counted") {
                write.batches.iter_mut().for_each(|batch| batch.deliveries = 0);
            }
            let state_epoch = self.core.borrow().as_ref().map_or(-1, SharePartition::state_epoch);
            let change = StateWrite {
                state_epoch,
                leader_epoch: self.leader_epoch,
                start_offset: write.start_offset,
                complete_count: write.complete_count,
                batches: write.batches,
                makes: false,
            };
            let (ticket, call) =
                (write.ticket, keep::state(broker, self.state_key(), StateAsk::Write(change)));
            let (sender, receiver) = oneshot();
            let (this, broker) = (self.clone(), broker.clone());
            drop(executor::spawn("share state", async move {
                let written = call.await.map(drop);
                this.written(&broker, ticket, written);
                sender.send(written);
            }));
            receiver
        });
        async move {
            match begun {
                Some(receiver) => receiver.receive().await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)),
                None => Ok(()),
            }
        }
    }

    /// A change has come to its end.
    fn written(self: &Rc<Self>, broker: &Rc<Broker>, ticket: u64, written: Result<(), ErrorCode>) {
        let moved = self.core.borrow_mut().as_mut().is_some_and(|core| core.written(ticket, written.is_ok()));
        if moved {
            self.changed.notify();
        }
        match written {
            Ok(()) => {}
            Err(ErrorCode::FencedStateEpoch | ErrorCode::FencedLeaderEpoch) => broker.share.forget(self),
            Err(_) if self.ended.get() => {}
            Err(code) => {
                self.rests_until.set(wall_clock_ms().saturating_add(WRITE_PAUSE_MS));
                let (group, partition) = (&self.group, self.partition);
                log::warn!("share group {group}: state of {partition} cannot be written: {}", code.name());
            }
        }
    }

    /// Hands out what there is.
    async fn fetch(
        self: &Rc<Self>,
        broker: &Rc<Broker>,
        member: &Arc<str>,
        limits: &FetchLimits,
    ) -> Result<Fetched, ErrorCode> {
        self.load(broker, &limits.settings).await?;
        let _turn = self.turn.take(1).await;
        for _ in 0..LOOKS {
            if self.ended.get() {
                return Err(ErrorCode::FencedStateEpoch);
            }
            let from = self.core.borrow().as_ref().and_then(SharePartition::fetch_from);
            let Some(from) = from else { return Ok(Fetched::default()) };
            let Some(read) = self.read(broker, from, limits).await? else { continue };
            if read.bytes == 0 || read.bytes < limits.bytes_min {
                return Ok(Fetched { available: read.bytes, ..Fetched::default() });
            }
            let lying = lying(&read.slices, read.bytes);
            let found = visible(&lying, &read.aborted);
            let mut core = self.core.borrow_mut();
            let Some(core) = core.as_mut() else { return Err(ErrorCode::FencedStateEpoch) };
            let acquired = core.acquire(member, wall_clock_ms(), from, &found, limits.wish);
            let stuck = core.fetch_from() == Some(from);
            if acquired.is_empty() && !stuck {
                continue;
            }
            let (slices, bytes) = cut(&read.slices, &lying, &acquired);
            return Ok(Fetched { slices, bytes, acquired, available: read.bytes });
        }
        Ok(Fetched::default())
    }

    /// Reads from an offset; `None` if the log begins later by now, and so does the group.
    async fn read(
        &self,
        broker: &Rc<Broker>,
        from: i64,
        limits: &FetchLimits,
    ) -> Result<Option<ReadDone>, ErrorCode> {
        let item = ReadItem {
            partition: self.partition,
            from: Offset(from),
            bytes_max: limits.bytes_max,
            leader_epoch: LeaderEpoch::UNKNOWN,
        };
        let operation = Operation::Read {
            items: vec![item],
            bytes_max: limits.bytes_max,
            minimum_one: true,
            bound: limits.settings.bound,
        };
        let result = match broker.service.begin(operation).await {
            Outcome::Read(mut results) => results.pop(),
            _ => None,
        };
        match result {
            Some(Ok(done)) => {
                self.trim(done.log_start);
                Ok((done.log_start.0 <= from).then_some(done))
            }
            Some(Err(PartitionError::Read(ReadError::OffsetOutOfRange { log_start, end }))) => {
                // Behind the end there is nothing yet; before the beginning nothing any more.
                self.trim(log_start);
                if from >= end.0 { Ok(Some(ReadDone::default())) } else { Ok(None) }
            }
            Some(Err(error)) => Err(errors::of_partition(&error)),
            None => Err(ErrorCode::UnknownServerError),
        }
    }

    fn trim(&self, log_start: Offset) {
        if let Some(core) = &mut *self.core.borrow_mut() {
            core.trim(log_start.0);
        }
    }

    /// What a watcher waits for; `None` if the log going on would not help.
    fn seen(&self, broker: &Broker, bound: ReadBound) -> Option<Seen> {
        let from = self.core.borrow().as_ref().and_then(SharePartition::fetch_from)?;
        let offsets = broker.service.store().partition(self.partition)?.offsets();
        let end = match bound {
            ReadBound::LastStable => offsets.last_stable,
            _ => offsets.high_watermark,
        };
        Some(Seen { partition: self.partition, from: Offset(from), end, log_start: offsets.log_start })
    }
}

/// What bounds a fetch from one partition.
struct FetchLimits {
    settings: GroupSettings,
    wish: Wish,
    bytes_max: usize,
    bytes_min: usize,
}

/// Hands out records of this core's partitions, in the order that they are named, until there are enough.
pub(super) async fn fetch_all(broker: &Rc<Broker>, wish: FetchWish) -> Vec<Result<Fetched, ErrorCode>> {
    let settings = broker.share_settings(&wish.group);
    let (mut records, mut bytes) = (wish.wish.records_max, wish.bytes_max);
    let mut results = Vec::with_capacity(wish.partitions.len());
    for partition in &wish.partitions {
        if records <= 0 || bytes == 0 {
            results.push(Ok(Fetched::default()));
            continue;
        }
        let limits = FetchLimits {
            settings,
            wish: Wish { records_max: records, ..wish.wish },
            bytes_max: bytes,
            bytes_min: wish.bytes_min,
        };
        let fetched = match broker.share_leader(&wish.group, *partition) {
            Some(leader) => patient(leader.fetch(broker, &wish.member, &limits).await),
            None => Err(ErrorCode::NotLeaderOrFollower),
        };
        if let Ok(fetched) = &fetched {
            let given: i64 = fetched.acquired.iter().map(|one| one.last - one.first + 1).sum();
            broker.metrics.share_delivered.add(u64::try_from(given).unwrap_or(0));
            records -= given;
            bytes = bytes.saturating_sub(fetched.bytes);
        }
        results.push(fetched);
    }
    results
}

/// Clients know of no errors of coordinators here: to them there is nothing yet, and they ask again.
fn patient(fetched: Result<Fetched, ErrorCode>) -> Result<Fetched, ErrorCode> {
    match fetched {
        Err(
            ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::FencedStateEpoch
            | ErrorCode::FencedLeaderEpoch,
        ) => Ok(Fetched::default()),
        other => other,
    }
}

/// What a member is told whose acknowledgement could not be written.
fn refused(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress => {
            ErrorCode::CoordinatorNotAvailable
        }
        other => other,
    }
}

/// Takes in what a member says about records of one partition.
pub(super) async fn acknowledge(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    member: &Arc<str>,
    item: AckItem,
) -> ErrorCode {
    let Some(leader) = broker.share_leader(group, item.partition) else {
        return ErrorCode::NotLeaderOrFollower;
    };
    let settings = broker.share_settings(group);
    if let Err(code) = leader.load(broker, &settings).await {
        return refused(code);
    }
    let write = match &mut *leader.core.borrow_mut() {
        Some(core) => core.acknowledge(member, wall_clock_ms(), &item.batches),
        None => Err(ErrorCode::FencedStateEpoch),
    };
    match write {
        Ok(Some(write)) if mistakes::is_made("share words not written") => {
            leader.written(broker, write.ticket, Ok(()));
            ErrorCode::None
        }
        Ok(write) => leader.persist(broker, write).await.err().map_or(ErrorCode::None, refused),
        Err(code) => code,
    }
}

/// Waits until there may be something to hand out from one of this core's partitions.
pub(super) async fn watch(broker: &Rc<Broker>, group: &Arc<str>, partitions: &[TopicPartition]) {
    let settings = broker.share_settings(group);
    let (mut changes, mut seen) = (Vec::new(), Vec::new());
    for partition in partitions {
        // What is not there any more is news.
        let Some(leader) = broker.share_leader(group, *partition) else { return };
        if leader.load(broker, &settings).await.is_err() {
            return;
        }
        changes.push(leader.changed.after(leader.changed.count()));
        seen.extend(leader.seen(broker, settings.bound));
    }
    let mut log = match seen.is_empty() {
        true => None,
        false => Some(broker.service.begin(Operation::Watch { seen, bytes_min: 1, bound: settings.bound })),
    };
    poll_fn(|context| {
        let is_news = changes.iter_mut().any(|change| Pin::new(change).poll(context).is_ready())
            || log.as_mut().is_some_and(|log| Pin::new(log).poll(context).is_ready());
        if is_news { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
