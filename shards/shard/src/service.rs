//! Carrying operations out on this core's store.

use crate::apart::Apart;
use crate::deletions::{AT_ONCE_MAX, Deletions};
use crate::operation::{
    AppendDone, AppendItem, MarkerItem, OffsetFound, OffsetQuery, Operation, Outcome, PartitionError,
    PartitionSetup, PartitionStatus, Rare, ReadDone, ReadItem, Seen,
};
use crate::queue::{Queue, Turn};
use executor::{Either, Event, Semaphore, join_all, join_some, now, race, sleep_until, spawn, timeout};
use memory::Slice;
use model::{IdHashing, LeaderEpoch, Offset, TopicPartition};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use storage::{
    AppendContext, AppendError, Appended, Origin, Partition, PartitionSpec, ProducerDescription, ReadBound,
    ReadError, Store,
};

/// How long an append may wait for room before its producer is told to try again.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);

/// This core's partitions, for whoever asks. Cloning shares it.
#[derive(Clone)]
pub struct Service {
    inner: Rc<Inner>,
}

struct Inner {
    store: Store,
    epochs: RefCell<HashMap<TopicPartition, LeaderEpoch, IdHashing>>,
    queue: Rc<Queue>,
    /// Batches are compressed anew one at a time: two would need the memory of both, and go no faster.
    compressor: Semaphore,
    /// The deletions of records that are under way.
    deletions: Rc<Deletions>,
    /// Partitions came or went.
    setup: Event,
}

type Results<T> = Vec<Result<T, PartitionError>>;

/// An operation that was begun: a future of its outcome.
pub enum Work {
    /// It was done at once, and needs no memory to wait in.
    Done(Ready<Outcome>),
    /// It may wait.
    Waits(Pin<Box<dyn Future<Output = Outcome>>>),
}

impl Work {
    fn waits(work: impl Future<Output = Outcome> + 'static) -> Work {
        Work::Waits(Box::pin(work))
    }
}

impl Future for Work {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match self.get_mut() {
            Work::Done(outcome) => Pin::new(outcome).poll(context),
            Work::Waits(work) => work.as_mut().poll(context),
        }
    }
}

impl Service {
    /// Over a store.
    pub fn new(store: Store) -> Service {
        let (epochs, queue, compressor) = (RefCell::default(), Rc::default(), Semaphore::new(1));
        let (deletions, setup) = (Rc::default(), Event::new());
        Service { inner: Rc::new(Inner { store, epochs, queue, compressor, deletions, setup }) }
    }

    /// The store under it.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Begins an operation: what must keep the order of calls (appending) happens at once, the rest in the
    /// future. Each of the frequent operations has a future of its own size: one for all would have the size of
    /// the largest, tens of KiB, and would be moved for every append.
    pub fn begin(&self, operation: Operation) -> Work {
        let this = self.clone();
        match operation {
            Operation::Append { items, origin, durable } => {
                let begun = this.begin_appends(items, origin);
                match done_at_once(begun, durable) {
                    Ok(results) => Work::Done(ready(Outcome::Appended(results))),
                    Err(begun) => {
                        Work::waits(async move { Outcome::Appended(this.end_appends(begun, durable).await) })
                    }
                }
            }
            Operation::Read { items, bytes_max, minimum_one, bound } => {
                Work::waits(
                    async move { Outcome::Read(this.read(items, bytes_max, minimum_one, bound).await) },
                )
            }
            Operation::Watch { seen, bytes_min, bound } => Work::waits(async move {
                this.watch(&seen, bytes_min, bound).await;
                Outcome::Changed
            }),
            // The log's writer may have to wait for it.
            Operation::Rare(rare @ Rare::DeleteRecords { .. }) => {
                Work::waits(Apart::begin("deleting records", async move { this.carry_out(rare).await }))
            }
            Operation::Rare(rare) => Work::waits(async move { this.carry_out(rare).await }),
        }
    }

    /// The operations that are rare.
    async fn carry_out(&self, operation: Rare) -> Outcome {
        match operation {
            Rare::WriteMarkers { items } => {
                Outcome::Marked(join_all(items.into_iter().map(|item| self.mark(item)).collect()).await)
            }
            Rare::Producers { items } => {
                let known = items.into_iter().map(|id| self.producers(id));
                Outcome::Producers(join_all(known.collect()).await)
            }
            Rare::Offsets { items, bound } => {
                let found = items.into_iter().map(|(id, query, epoch)| self.offset(id, query, epoch, bound));
                Outcome::Offsets(join_all(found.collect()).await)
            }
            Rare::EpochEnds { items } => Outcome::EpochEnds(
                items.into_iter().map(|(id, current, wanted)| self.epoch_end(id, current, wanted)).collect(),
            ),
            Rare::DeleteRecords { items, within } => {
                let until = now() + within;
                let deleted = items.into_iter().map(move |(id, before)| async move {
                    match race(self.delete_apart(id, before), sleep_until(until)).await {
                        Either::Left(result) => result,
                        Either::Right(()) => Err(PartitionError::TimedOut),
                    }
                });
                Outcome::Deleted(join_some(deleted, AT_ONCE_MAX).await)
            }
            Rare::Setup { items, create } => Outcome::Done(self.set_up(items, create).await),
            Rare::Configure { items } => Outcome::Done(
                items
                    .into_iter()
                    .map(|(id, config)| {
                        self.partition(id)?.update_config(Rc::new(config));
                        Ok(())
                    })
                    .collect(),
            ),
            Rare::Remove { items } => Outcome::Done(self.remove(items).await),
            Rare::Status { items } => Outcome::Status(items.into_iter().map(|id| self.status(id)).collect()),
        }
    }

    fn partition(&self, id: TopicPartition) -> Result<Partition, PartitionError> {
        self.inner.store.partition(id).ok_or(PartitionError::Unknown)
    }

    fn epoch(&self, id: TopicPartition) -> LeaderEpoch {
        self.inner.epochs.borrow().get(&id).copied().unwrap_or(LeaderEpoch(0))
    }

    /// The partition, if the asker's idea of its leadership is ours (KIP-320).
    fn led(&self, id: TopicPartition, believed: LeaderEpoch) -> Result<Partition, PartitionError> {
        let partition = self.partition(id)?;
        let current = self.epoch(id);
        if believed == LeaderEpoch::UNKNOWN || believed == current {
            Ok(partition)
        } else if believed < current {
            Err(PartitionError::FencedLeaderEpoch)
        } else {
            Err(PartitionError::UnknownLeaderEpoch)
        }
    }

    fn context(&self, id: TopicPartition, origin: Origin) -> AppendContext {
        let now_ms = executor::wall_clock_ms();
        AppendContext { now_ms, leader_epoch: self.epoch(id), origin, since: None }
    }

    /// Appends without waiting. `again`: the same batches, to the byte, found no room before.
    fn append(&self, item: &AppendItem, origin: Origin, again: bool) -> Result<Appended, PartitionError> {
        let context = AppendContext { since: item.since, ..self.context(item.partition, origin) };
        let partition = self.partition(item.partition)?;
        let appended = match again {
            true => partition.append_again(&item.batches, &context),
            false => partition.append(&item.batches, &context),
        };
        appended.map_err(PartitionError::Append)
    }

    /// Appends what can be appended at once. What finds no room, or must be compressed anew, keeps its batches, to
    /// wait; and so does what comes behind it in its partition, for the order of calls is the order of appends.
    fn begin_appends(&self, items: Vec<AppendItem>, origin: Origin) -> Vec<BegunAppend> {
        items
            .into_iter()
            .map(|item| {
                let full = match self.inner.queue.is_waited_for(item.partition) {
                    true => false,
                    false => match self.append(&item, origin, false) {
                        Err(PartitionError::Append(AppendError::Busy)) => true,
                        Err(PartitionError::Append(AppendError::OtherCodec)) => false,
                        result => return BegunAppend::Done(result),
                    },
                };
                let turn = Queue::join(&self.inner.queue, item.partition);
                let this = self.clone();
                let waiting = async move { this.append_in_turn(turn, item, origin, full).await };
                BegunAppend::Waits(Apart::begin("waiting append", waiting))
            })
            .collect()
    }

    async fn end_appends(&self, begun: Vec<BegunAppend>, durable: bool) -> Results<AppendDone> {
        let mut results = Vec::with_capacity(begun.len());
        for append in begun {
            let appended = match append {
                BegunAppend::Done(result) => result,
                BegunAppend::Waits(waiting) => waiting.await,
            };
            results.push(appended);
        }
        let mut done = Vec::with_capacity(results.len());
        for appended in results {
            done.push(match appended {
                Ok(appended) => self.acknowledge(appended, durable).await,
                Err(error) => Err(error),
            });
        }
        done
    }

    /// Appends when those before it are through, there is room (`full`: there was none), and it has the topic's
    /// codec.
    async fn append_in_turn(
        &self,
        turn: Turn,
        item: AppendItem,
        origin: Origin,
        mut full: bool,
    ) -> Result<Appended, PartitionError> {
        let until = now() + ROOM_WAIT_MAX;
        // Dropped where it waits, when its asker is gone.
        let waiting = Waiting { service: self, item: &item, done: Cell::new(false) };
        if timeout(ROOM_WAIT_MAX, turn.comes()).await.is_err() {
            return Err(PartitionError::Append(AppendError::Busy));
        }
        let (mut other, mut again) = (None, full);
        loop {
            if full && timeout(until.since(now()), self.inner.store.room()).await.is_err() {
                return Err(PartitionError::Append(AppendError::Busy));
            }
            match self.append(other.as_ref().unwrap_or(&item), origin, again) {
                Err(PartitionError::Append(AppendError::Busy)) if now() < until => {
                    (full, again) = (true, true);
                }
                Err(PartitionError::Append(AppendError::OtherCodec)) if now() < until => {
                    (full, again) = (false, false);
                    match self.compress_anew(&item, origin, until.since(now())).await {
                        Ok(batches) => other = Some(AppendItem { batches, ..item }),
                        // Given up where it waits: it will come again.
                        Err(AppendError::Busy) => return Err(PartitionError::Append(AppendError::Busy)),
                        Err(error) => {
                            waiting.done.set(true);
                            return Err(PartitionError::Append(error));
                        }
                    }
                }
                result => {
                    // Given up as well, if there was no time left to compress it.
                    let late = matches!(result, Err(PartitionError::Append(AppendError::OtherCodec)));
                    waiting.done.set(!late);
                    return result;
                }
            }
        }
    }

    /// An item's batches with the codec of its topic, when it is their turn on this core.
    async fn compress_anew(
        &self,
        item: &AppendItem,
        origin: Origin,
        patience: Duration,
    ) -> Result<Slice, AppendError> {
        let turn = timeout(patience, self.inner.compressor.take(1)).await;
        let _turn = turn.map_err(|_| AppendError::Busy)?;
        // A partition that is gone is not compressed for.
        let partition = self.inner.store.partition(item.partition).ok_or(AppendError::Busy)?;
        let context = self.context(item.partition, origin);
        partition.recompress(&item.batches, &context).await.map(Slice::from)
    }

    async fn acknowledge(&self, appended: Appended, durable: bool) -> Result<AppendDone, PartitionError> {
        if durable {
            self.inner.store.committed(&appended.ticket).await.map_err(PartitionError::Storage)?;
        }
        Ok(done_of(&appended))
    }

    /// Writes a marker, when there is room for it. It needs no turn behind appends that wait: what its transaction has
    /// was acknowledged before it was ended, and what comes after it is refused.
    async fn mark(&self, item: MarkerItem) -> Result<(), PartitionError> {
        let until = now() + ROOM_WAIT_MAX;
        loop {
            let context = self.context(item.partition, Origin::Coordinator);
            let partition = self.partition(item.partition)?;
            match partition.append_marker(&item.marker, item.transaction_version, &context) {
                Ok(appended) => return self.acknowledge(appended, true).await.map(drop),
                Err(AppendError::Busy) if now() < until => {
                    // What is in its way may also be that the producers are being loaded.
                    let _ = timeout(until.since(now()), self.inner.store.room()).await;
                }
                Err(error) => return Err(PartitionError::Append(error)),
            }
        }
    }

    async fn producers(&self, id: TopicPartition) -> Result<Vec<ProducerDescription>, PartitionError> {
        let partition = self.partition(id)?;
        partition.load_producers().await.map_err(PartitionError::Read)?;
        Ok(partition.producers())
    }

    async fn read(
        &self,
        items: Vec<ReadItem>,
        bytes_max: usize,
        minimum_one: bool,
        bound: ReadBound,
    ) -> Results<ReadDone> {
        let (mut left, mut none_yet) = (bytes_max, minimum_one);
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let read = self.read_one(&item, left, none_yet, bound).await;
            if let Ok(done) = &read {
                left = left.saturating_sub(done.bytes);
                none_yet &= done.bytes == 0;
            }
            results.push(read);
        }
        results
    }

    async fn read_one(
        &self,
        item: &ReadItem,
        left: usize,
        minimum_one: bool,
        bound: ReadBound,
    ) -> Result<ReadDone, PartitionError> {
        let partition = self.led(item.partition, item.leader_epoch)?;
        let bytes_max = item.bytes_max.min(left);
        if bound == ReadBound::LastStable {
            partition.load_producers().await.map_err(PartitionError::Read)?;
        }
        let offsets = partition.offsets();
        let mut done = ReadDone {
            high_watermark: offsets.high_watermark,
            last_stable: offsets.last_stable,
            log_start: offsets.log_start,
            ..ReadDone::default()
        };
        let checks_only = bytes_max == 0 && !minimum_one;
        if checks_only && item.from >= offsets.log_start && item.from <= offsets.log_end {
            return Ok(done);
        }
        let read = partition.read(item.from, bytes_max, minimum_one, bound).await;
        let read = read.map_err(PartitionError::Read)?;
        // The log went on while it was read: what is told of it must cover what was read.
        let offsets = partition.offsets();
        done.high_watermark = offsets.high_watermark;
        done.last_stable = offsets.last_stable;
        done.log_start = offsets.log_start;
        if bound == ReadBound::LastStable && read.bytes > 0 {
            let aborted = partition.aborted(item.from, read.end).await;
            done.aborted = aborted.map_err(PartitionError::Read)?;
        }
        done.slices = read.slices;
        done.bytes = read.bytes;
        Ok(done)
    }

    /// Something that the watcher wants to know of now.
    fn is_news(&self, seen: &Seen, bound: ReadBound) -> bool {
        match self.inner.store.partition(seen.partition) {
            None => true,
            Some(partition) => {
                let offsets = partition.offsets();
                offsets.log_start != seen.log_start && seen.from < offsets.log_start
                    || limit_of(&partition, bound) < seen.from
            }
        }
    }

    async fn watch(&self, seen: &[Seen], bytes_min: u64, bound: ReadBound) {
        loop {
            let setup = self.inner.setup.next();
            let mut waits = Vec::with_capacity(seen.len());
            let mut bytes = 0;
            for one in seen {
                if self.is_news(one, bound) {
                    return;
                }
                let Ok(partition) = self.partition(one.partition) else { return };
                let changed = partition.changed();
                waits.push(changed.after(changed.count()));
                bytes += partition.available_bytes(one.from, bound);
            }
            if bytes >= bytes_min.max(1) {
                return;
            }
            any(waits, setup).await;
        }
    }

    async fn offset(
        &self,
        id: TopicPartition,
        query: OffsetQuery,
        believed: LeaderEpoch,
        bound: ReadBound,
    ) -> Result<OffsetFound, PartitionError> {
        let partition = self.led(id, believed)?;
        if bound == ReadBound::LastStable {
            partition.load_producers().await.map_err(PartitionError::Read)?;
        }
        let offsets = partition.offsets();
        let at = |offset| OffsetFound { offset, timestamp: -1, leader_epoch: self.epoch(id) };
        let found = match query {
            // Its record may be of a leadership before this one.
            OffsetQuery::Earliest if offsets.log_start < offsets.log_end => {
                let leader_epoch = partition.epoch_at(offsets.log_start);
                return Ok(OffsetFound { leader_epoch, ..at(offsets.log_start) });
            }
            OffsetQuery::Earliest => return Ok(at(offsets.log_start)),
            OffsetQuery::Latest => return Ok(at(end_of(&partition, bound))),
            OffsetQuery::MaxTimestamp => partition.max_timestamp().await,
            OffsetQuery::At(time) => partition.offset_for_timestamp(time).await,
        };
        let found = found.map_err(PartitionError::Read)?;
        Ok(match found {
            Some(found) if found.offset < end_of(&partition, bound) => OffsetFound {
                offset: found.offset,
                timestamp: found.timestamp,
                leader_epoch: found.leader_epoch,
            },
            _ => OffsetFound { offset: Offset(-1), timestamp: -1, leader_epoch: LeaderEpoch::UNKNOWN },
        })
    }

    fn epoch_end(
        &self,
        id: TopicPartition,
        believed: LeaderEpoch,
        wanted: LeaderEpoch,
    ) -> Result<(LeaderEpoch, Offset), PartitionError> {
        let partition = self.led(id, believed)?;
        // As in Kafka, an epoch begins with its leader and not with the first record that is appended in it.
        let (current, end) = (self.epoch(id), partition.offsets().log_end);
        if wanted == current {
            return Ok((wanted, end));
        }
        let found = partition.epoch_end(wanted);
        if found.0 != LeaderEpoch::UNKNOWN || wanted < LeaderEpoch(0) || wanted > current {
            return Ok(found);
        }
        // No record is of it or of a later one: what was before the current one ends where that begins.
        let newest = partition.epoch_at(Offset(end.0 - 1));
        Ok((if newest == LeaderEpoch::UNKNOWN { wanted } else { newest }, end))
    }

    /// Deletes records in a task that does not end with who waits for it.
    async fn delete_apart(&self, id: TopicPartition, before: Offset) -> Result<Offset, PartitionError> {
        let deletion = Deletions::begin(&self.inner.deletions, id).await;
        let this = self.clone();
        let work = async move {
            let _under_way = deletion;
            this.delete_records(id, before).await
        };
        spawn("deleting records", work).await
    }

    async fn delete_records(&self, id: TopicPartition, before: Offset) -> Result<Offset, PartitionError> {
        let partition = self.partition(id)?;
        let end = partition.offsets().high_watermark;
        let before = if before == Offset(-1) { end } else { before };
        if before > end || before < Offset::ZERO {
            let log_start = partition.offsets().log_start;
            return Err(PartitionError::Read(ReadError::OffsetOutOfRange { log_start, end }));
        }
        partition.delete_records(before).await.map_err(PartitionError::Read)
    }

    async fn set_up(&self, items: Vec<PartitionSetup>, create: bool) -> Results<()> {
        let spec = |item: PartitionSetup| {
            self.inner.epochs.borrow_mut().insert(item.partition, item.leader_epoch);
            PartitionSpec {
                id: item.partition,
                topic_name: item.topic,
                config: Rc::new(item.config),
                leader_epoch: item.leader_epoch,
            }
        };
        let specs: Vec<PartitionSpec> = items.into_iter().map(spec).collect();
        let store = &self.inner.store;
        let made = match create {
            true => {
                let mut made = Vec::with_capacity(specs.len());
                for spec in specs {
                    made.push(store.create_partition(spec).await);
                }
                made
            }
            false => store.open_partitions(specs).await,
        };
        self.inner.setup.notify();
        made.into_iter().map(|one| one.map(drop).map_err(PartitionError::Storage)).collect()
    }

    async fn remove(&self, items: Vec<TopicPartition>) -> Results<()> {
        let mut results = Vec::with_capacity(items.len());
        for id in items {
            self.inner.epochs.borrow_mut().remove(&id);
            let removed = self.inner.store.delete_partition(id).await;
            results.push(removed.map_err(PartitionError::Storage));
        }
        self.inner.setup.notify();
        results
    }

    fn status(&self, id: TopicPartition) -> Result<PartitionStatus, PartitionError> {
        let partition = self.partition(id)?;
        let offsets = partition.offsets();
        Ok(PartitionStatus {
            bytes: partition.size_bytes(),
            log_start: offsets.log_start,
            high_watermark: offsets.high_watermark,
            log_end: offsets.log_end,
        })
    }
}

/// An append that waits. Given up, it will come again, and nothing behind it may come before.
struct Waiting<'a> {
    service: &'a Service,
    item: &'a AppendItem,
    done: Cell<bool>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let (false, Ok(partition)) = (self.done.get(), self.service.partition(self.item.partition)) {
            partition.gave_up(&self.item.batches);
        }
    }
}

fn done_of(appended: &Appended) -> AppendDone {
    AppendDone {
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start: appended.log_start,
    }
}

/// The results of appends of which none has to wait for anything; else gives them back.
fn done_at_once(begun: Vec<BegunAppend>, durable: bool) -> Result<Results<AppendDone>, Vec<BegunAppend>> {
    let waits = |append: &BegunAppend| match append {
        BegunAppend::Done(Ok(appended)) => durable && !appended.ticket.is_settled(),
        BegunAppend::Done(Err(_)) => false,
        BegunAppend::Waits(_) => true,
    };
    if begun.iter().any(waits) {
        return Err(begun);
    }
    let results = begun.into_iter().filter_map(|append| match append {
        BegunAppend::Done(result) => Some(result.map(|appended| done_of(&appended))),
        BegunAppend::Waits(_) => None,
    });
    Ok(results.collect())
}

enum BegunAppend {
    Done(Result<Appended, PartitionError>),
    /// For those before it, for room, or to be compressed anew; and others wait behind it.
    Waits(Apart<Result<Appended, PartitionError>>),
}

fn end_of(partition: &Partition, bound: ReadBound) -> Offset {
    let offsets = partition.offsets();
    match bound {
        ReadBound::HighWatermark => offsets.high_watermark,
        ReadBound::LastStable => offsets.last_stable,
        ReadBound::LogEnd => offsets.log_end,
    }
}

/// Where what may be asked for ends: a reader of committed data may stand behind what is stable.
fn limit_of(partition: &Partition, bound: ReadBound) -> Offset {
    match bound {
        ReadBound::LastStable => partition.offsets().high_watermark,
        _ => end_of(partition, bound),
    }
}

/// Waits until one of the events has happened.
async fn any<F: Future<Output = ()> + Unpin>(mut waits: Vec<F>, setup: impl Future<Output = ()>) {
    let mut setup = std::pin::pin!(setup);
    std::future::poll_fn(|context| {
        let happened = waits.iter_mut().any(|wait| Pin::new(wait).poll(context).is_ready());
        if happened || setup.as_mut().poll(context).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use executor::{Executor, IdlePolicy, Options, sleep};
    use memory::Pool;
    use model::{PartitionId, ShardId, TopicId};
    use sim_driver::{World, WorldOptions};
    use std::path::{Path, PathBuf};
    use storage::transactions::EndMarker;
    use storage::{LogConfig, StoreOptions, recover};

    fn id(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicId([7; 16]), partition: PartitionId(partition) }
    }

    /// A service with two partitions, each with one record.
    async fn two_partitions(pool: Pool) -> Service {
        let mut options = StoreOptions::new("/data", ShardId(0), pool);
        options.journal_file_bytes = 256 << 10;
        options.journal_files = 4;
        let names = |_| Some("topic".to_string());
        let shards = [PathBuf::from("/data/shard-0")];
        recover(&options.data, &shards, &options.pool, &names).await.map(drop).expect("recovers");
        let service = Service::new(Store::open(options).await.expect("opens"));
        let setup = |number| PartitionSetup {
            partition: id(number),
            topic: "topic".to_string(),
            config: LogConfig::default(),
            leader_epoch: LeaderEpoch(0),
        };
        let made = service.set_up(vec![setup(0), setup(1)], true).await;
        assert_eq!(made, [Ok(()), Ok(())]);
        for number in 0..2 {
            let marker = EndMarker { producer_id: 8, producer_epoch: 0, commit: true, coordinator_epoch: 0 };
            let item = MarkerItem { partition: id(number), marker, transaction_version: 0 };
            assert_eq!(service.mark(item).await, Ok(()));
        }
        service
    }

    async fn delete(service: &Service, partitions: &[i32], within: Duration) -> Results<Offset> {
        let items = partitions.iter().map(|number| (id(*number), Offset(1))).collect();
        match service.begin(Rare::DeleteRecords { items, within }.into()).await {
            Outcome::Deleted(results) => results,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deletion_that_takes_long_keeps_nobody_and_goes_on() {
        let world = World::new(1, WorldOptions::default());
        let node = world.add_node();
        world.make_directory(node, Path::new("/data"));
        let pool = Pool::new(8 << 20).expect("maps");
        let driver = world.driver(node, pool.clone());
        let executor = Executor::new(driver, Options { idle: IdlePolicy::Park, seed: Some(1) });
        let body = async move {
            let service = two_partitions(pool).await;
            let within = Duration::from_secs(2);
            let under_way = Deletions::begin(&service.inner.deletions, id(0)).await;
            let began = now();
            let told = delete(&service, &[0, 1], within).await;
            assert_eq!(told, [Err(PartitionError::TimedOut), Ok(Offset(1))]);
            assert!(now().since(began) < 2 * within, "it waited for all of it");
            drop(under_way);
            assert_eq!(delete(&service, &[0], Duration::ZERO).await, [Err(PartitionError::TimedOut)]);
            sleep(within).await;
            let offsets = service.partition(id(0)).expect("it is there").offsets();
            assert_eq!(offsets.log_start, Offset(1), "nobody has asked again");
            assert_eq!(delete(&service, &[0], within).await, [Ok(Offset(1))]);
            service.store().stop().await.expect("stops");
        };
        if let Err(error) = world.run(std::slice::from_ref(&executor), body) {
            panic!("{error}");
        }
    }
}
