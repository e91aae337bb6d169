//! One shard's store: what its parts share, and how it starts and stops.

use crate::cache::TailCache;
use crate::checkpoint::{self, Checkpoint, CheckpointEntry, LogPlace};
use crate::cleaner;
use crate::config::{CleanerOptions, Durability, StoreOptions};
use crate::drain;
use crate::error::StorageError;
use crate::journal::{Journal, JournalFiles, committer};
use crate::open_files::OpenFiles;
use crate::partition::{
    Log, Partition, PartitionSpec, Ticket, delete, finish, load, notes, producers, snapshots,
};
use crate::read_cache::ReadCache;
use crate::recover;
use crate::segment::topic_directory;
use crate::stats::StoreStats;
use crate::upkeep;
use crate::window::READ_BYTES;
use base::Random;
use driver::Errno;
use executor::{Class, Event, JoinHandle, io, join_all, join_some, race, sleep, spawn, spawn_class};
use memory::{Block, Pool};
use model::{IdHashing, TopicPartition};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Memory that a sender waits for may come home without a sign; then it is looked for this often.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

/// Logs that are drained at once where there is memory for it: the device's way there and back is longer than a write.
/// Of many logs each has little, so that it is their number that keeps the device busy.
const DRAINS_MAX: usize = 8;
/// The smallest block that one is drained from.
const DRAIN_BYTES_MIN: usize = 64 << 10;

/// Partitions that are finished side by side at a clean stop.
const FINISH_AT_ONCE: usize = 16;

/// Partitions that are opened side by side at a start, where there is memory for it.
const OPEN_AT_ONCE: usize = 32;

/// What the parts of a store share.
pub(crate) struct Shared {
    pub options: StoreOptions,
    pub epoch: u64,
    pub journal: RefCell<Journal>,
    /// Held by who syncs the journal's files where nobody waits for the device.
    pub journal_sync: executor::Semaphore,
    pub cache: RefCell<TailCache>,
    pub reads: Rc<ReadCache>,
    pub files: OpenFiles,
    pub stats: Arc<StoreStats>,
    pub partitions: RefCell<HashMap<TopicPartition, Partition, IdHashing>>,
    /// Logs with batches that are not in segments.
    pub dirty: RefCell<Vec<Rc<Log>>>,
    /// What was written to segments and is not synced.
    pub touched: RefCell<drain::Touched>,
    /// Everything that the commits up to this one hold is written to segments.
    pub written_through: Cell<u64>,
    /// Bytes of these commits, padding included.
    pub written_bytes: Cell<u64>,
    /// Size of the memory blocks that commits are built in.
    pub block_bytes: usize,
    /// Logs that are drained at once, and as many blocks to write from.
    pub drains: usize,
    drain_blocks: RefCell<Vec<Block>>,
    drain_block_back: Event,
    /// Memory of commits that may wait for the drain without hurry.
    drain_bytes: u64,
    /// Entries of the node's checkpoint for partitions that were not opened yet.
    left: RefCell<HashMap<TopicPartition, CheckpointEntry>>,
    generation: Cell<u64>,
    /// Logs that were opened and end before space that was only reserved, and its bytes; until it was told.
    reserved: Cell<(u64, u64)>,
    /// Bytes in segments that no checkpoint covers.
    pub unverified: Cell<u64>,
    /// Something is in the journal that only a checkpoint can take over.
    pub checkpoint_due: Cell<bool>,
    chance: RefCell<Random>,
    /// Logs of which the journal should say what direct writes made durable.
    pub notes: RefCell<Vec<Rc<Log>>>,
    /// Bytes that were written directly since the last such note.
    pub note_bytes: Cell<u64>,
    /// The journal has notes that no checkpoint has taken over.
    pub noted_in_journal: Cell<bool>,
    /// There is something to be noted.
    pub noted: Event,
    /// It should be noted at once.
    pub note_now: Event,
    /// How logs are compacted.
    pub cleaner: RefCell<CleanerOptions>,
    /// That has changed.
    pub cleaner_configured: Event,
    /// Files to be removed when readers had time to end.
    pub trash: RefCell<upkeep::Trash>,
    /// There is one more.
    pub trashed: Event,
    /// Logs whose producers are to be saved.
    pub snapshots_due: snapshots::Due,
    /// Somebody was refused for want of room.
    pub busy: Cell<bool>,
    pub offline: RefCell<Option<Errno>>,
    pub stopping: Cell<bool>,
    pub stop: Event,
    /// There is something to commit.
    pub work: Event,
    /// There may be room for appends.
    pub room: Event,
    /// The list of dirty logs is not empty any more.
    pub dirtied: Event,
    /// The drain should begin to write now.
    pub drain_now: Event,
    /// Something was written, or a sync is due.
    pub sync_now: Event,
    /// A journal file may be made ready.
    pub activate: Event,
}

impl Shared {
    /// Whether an acknowledgement waits for the device.
    pub fn waits_for_device(&self) -> bool {
        self.options.durability == Durability::Device
    }

    pub fn offline_error(&self) -> StorageError {
        StorageError::Offline(self.offline.borrow().unwrap_or(Errno::IO))
    }

    /// Whether appends are taken at all.
    pub fn check_online(&self) -> Result<(), StorageError> {
        if self.offline.borrow().is_some() {
            return Err(self.offline_error());
        }
        match self.stopping.get() {
            true => Err(StorageError::Stopped),
            false => Ok(()),
        }
    }

    /// A write or flush has failed: what it left on the device is not known, so nothing is written any more.
    pub fn go_offline(&self, errno: Errno, action: &str, path: &Path) {
        if self.offline.borrow().is_some() {
            return;
        }
        log::error!(
            "shard {} is offline for appends: could not {action} {}: {errno}; check the device and restart the broker",
            self.options.shard,
            path.display()
        );
        *self.offline.borrow_mut() = Some(errno);
        self.stats.offline.store(true, Ordering::Relaxed);
        let waiting = self.journal.borrow_mut().abandon();
        for done in waiting {
            done.end(Err(self.offline_error()));
        }
        self.room.notify();
        self.work.notify();
    }

    /// Memory that commits take which are not in segments. Not the size of their records: a lone small record has a
    /// block of the device for itself.
    fn undrained_memory(&self) -> u64 {
        self.journal.borrow().sealed_bytes - self.written_bytes.get()
    }

    /// So much is in memory only that the drain should begin.
    pub fn is_drain_due(&self) -> bool {
        self.undrained_memory() > self.drain_bytes || self.waits_for_drain()
    }

    /// So much is in memory only that the drain should go faster.
    pub fn drain_is_behind(&self) -> bool {
        self.undrained_memory() > 2 * self.drain_bytes
    }

    /// Appends wait for the drain, or soon will.
    pub fn waits_for_drain(&self) -> bool {
        let pressing = self.undrained_memory() > 3 * self.drain_bytes;
        pressing || self.busy.get() || !self.journal.borrow().files.has_next()
    }

    /// A checkpoint is written after so many bytes: a start looks at what came behind it, which is so bounded by the
    /// journal's size.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.options.journal_file_bytes * u64::from(self.options.journal_files.max(2))
    }

    /// So many bytes less are in memory only.
    pub fn undrained_less(&self, bytes: u64) {
        let undrained = &self.stats.undrained_bytes;
        undrained.store(undrained.load(Ordering::Relaxed).saturating_sub(bytes), Ordering::Relaxed);
    }

    /// Waits until there may be room for appends.
    pub async fn wait_for_room(&self) {
        let seen = self.room.count();
        race(self.room.after(seen), sleep(ROOM_PAUSE)).await;
        self.busy.set(false);
    }

    /// A random part of `max_ms`.
    pub fn jitter(&self, max_ms: i64) -> i64 {
        match u64::try_from(max_ms) {
            Ok(max) if max > 0 => self.chance.borrow_mut().below(max) as i64,
            _ => 0,
        }
    }

    /// A log that was opened ends at a place of a segment's file, and up to the size of that is only reserved.
    pub fn note_reserved(&self, end: &LogPlace, size: u64) {
        let bytes = size.saturating_sub(u64::from(end.position));
        // The zeros that fill a block are no space.
        if end.position > 0 && bytes >= drain::ALIGN as u64 {
            let (logs, before) = self.reserved.get();
            self.reserved.set((logs + 1, before + bytes));
        }
    }

    pub async fn take_drain_block(&self) -> Block {
        loop {
            let seen = self.drain_block_back.count();
            if let Some(block) = self.drain_blocks.borrow_mut().pop() {
                return block;
            }
            self.drain_block_back.after(seen).await;
        }
    }

    pub fn give_drain_block(&self, block: Block) {
        self.drain_blocks.borrow_mut().push(block);
        self.drain_block_back.notify();
    }

    /// Writes the shard's checkpoint.
    pub async fn write_checkpoint(&self, clean: bool) -> Result<(), StorageError> {
        let generation = self.generation.get() + 1;
        self.generation.set(generation);
        let mut entries: Vec<CheckpointEntry> = self
            .partitions
            .borrow()
            .values()
            .filter_map(|partition| partition.log.checkpoint(clean))
            .collect();
        entries.sort_by_key(|entry| entry.id);
        let wall_clock_ms = executor::wall_clock_ms();
        let file = Checkpoint { epoch: self.epoch, generation, clean, wall_clock_ms, entries };
        file.write(&checkpoint::shard_path(&self.options.data, self.options.shard)).await
    }
}

/// The memory that the drain writes from: several blocks where the pool is large, one at least.
fn drain_blocks(pool: &Pool, bytes: usize) -> Result<Vec<Block>, StorageError> {
    let count = (pool.budget_bytes() / bytes / 64).clamp(1, DRAINS_MAX);
    let blocks: Vec<Block> = (0..count).map_while(|_| pool.take(bytes)).collect();
    if blocks.is_empty() { Err(StorageError::OutOfMemory { bytes }) } else { Ok(blocks) }
}

/// Keeps a journal file ready for when the current one is full.
async fn keep_journal_files(shared: Rc<Shared>) {
    while !shared.stopping.get() {
        let seen = shared.activate.count();
        let activation = {
            let mut journal = shared.journal.borrow_mut();
            let sequence = journal.next_sequence();
            let drained = journal.drained_through;
            journal.files.prepare(sequence, drained)
        };
        let Some(activation) = activation else {
            shared.activate.after(seen).await;
            continue;
        };
        let block = shared.journal.borrow_mut().files.header_block(&activation.header);
        let Some(block) = block else { return };
        let (result, block) = io::write(activation.handle, 0, block, true).await;
        if let Err(errno) = result {
            shared.go_offline(errno, "write", &activation.path);
            return;
        }
        shared.journal.borrow_mut().files.activated(&activation, block);
        shared.room.notify();
    }
}

/// What a store does by itself.
fn tasks(shared: &Rc<Shared>) -> Vec<JoinHandle<()>> {
    vec![
        spawn("journal committer", committer::run(shared.clone())),
        spawn("direct notes", notes::run(shared.clone())),
        spawn("journal files", keep_journal_files(shared.clone())),
        spawn_class("drain", Class::Background, drain::run(shared.clone())),
        spawn_class("upkeep", Class::Background, upkeep::run(shared.clone())),
        spawn_class("trash", Class::Background, upkeep::run_trash(shared.clone())),
        spawn_class("cleaner", Class::Background, cleaner::run(shared.clone())),
        spawn_class("drain sync", Class::Background, drain::run_sync(shared.clone())),
        spawn_class("snapshots", Class::Background, snapshots::run(shared.clone())),
        spawn_class("producers", Class::Background, snapshots::run_loads(shared.clone())),
    ]
}

/// One shard's storage. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    shared: Rc<Shared>,
    tasks: Rc<RefCell<Vec<JoinHandle<()>>>>,
}

impl Store {
    /// Opens a shard's store after [`recover`](crate::recover()) has run on the data directory.
    pub async fn open(options: StoreOptions) -> Result<Store, StorageError> {
        let path = checkpoint::node_path(&options.data);
        let node = Checkpoint::read(&path, &options.pool).await?;
        let node =
            node.ok_or(StorageError::Format { path, what: "not there: the data was not recovered" })?;
        let mut files = JournalFiles::open(&options, node.epoch).await.map_err(recover::at_start)?;
        if let Some(first) = files.prepare(1, 0) {
            let block = files.header_block(&first.header).expect("nobody else has it yet");
            let (result, block) = io::write(first.handle, 0, block, true).await;
            result.map_err(StorageError::io("write", &first.path))?;
            files.activated(&first, block);
        }
        let budget = options.pool.budget_bytes();
        let block_bytes = (budget / 16).clamp(64 << 10, 1 << 20).next_power_of_two() / 2;
        let block_bytes = block_bytes.max(64 << 10);
        let drain_blocks = drain_blocks(&options.pool, (block_bytes / 2).max(DRAIN_BYTES_MIN))?;
        let journal_bytes = options.journal_file_bytes * u64::from(options.journal_files.max(2) - 1);
        let stats: Arc<StoreStats> = Arc::default();
        let reads = Rc::new(ReadCache::new(options.pool.clone(), options.cache_bytes, stats.clone()));
        let shared = Shared {
            epoch: node.epoch,
            journal: RefCell::new(Journal::new(files, node.epoch, options.journal_file_bytes)),
            journal_sync: executor::Semaphore::new(1),
            cache: RefCell::new(TailCache::new(options.pool.clone(), budget / 2, reads.clone())),
            files: OpenFiles::new(options.open_files_max, options.direct, reads.clone()),
            reads,
            stats,
            partitions: RefCell::default(),
            dirty: RefCell::default(),
            touched: RefCell::default(),
            written_through: Cell::new(0),
            written_bytes: Cell::new(0),
            block_bytes,
            drains: drain_blocks.len(),
            drain_blocks: RefCell::new(drain_blocks),
            drain_block_back: Event::new(),
            drain_bytes: journal_bytes.min(budget as u64 / 2) / 4,
            left: RefCell::new(node.entries.iter().map(|entry| (entry.id, *entry)).collect()),
            generation: Cell::new(0),
            reserved: Cell::default(),
            unverified: Cell::new(0),
            checkpoint_due: Cell::new(false),
            chance: RefCell::new(Random::new(executor::random())),
            notes: RefCell::default(),
            note_bytes: Cell::new(0),
            noted_in_journal: Cell::new(false),
            noted: Event::new(),
            note_now: Event::new(),
            cleaner: RefCell::new(options.cleaner.clone()),
            cleaner_configured: Event::new(),
            trash: RefCell::default(),
            trashed: Event::new(),
            snapshots_due: snapshots::Due::default(),
            busy: Cell::new(false),
            offline: RefCell::default(),
            stopping: Cell::new(false),
            stop: Event::new(),
            work: Event::new(),
            room: Event::new(),
            dirtied: Event::new(),
            drain_now: Event::new(),
            sync_now: Event::new(),
            activate: Event::new(),
            options,
        };
        let shared = Rc::new(shared);
        let tasks = tasks(&shared);
        Ok(Store { shared, tasks: Rc::new(RefCell::new(tasks)) })
    }

    /// A new partition, or one that is there already. Touches no file: its directory is made when its first
    /// records go into a segment, and until then the journal has them.
    pub async fn create_partition(&self, spec: PartitionSpec) -> Result<Partition, StorageError> {
        if let Some(partition) = self.partition(spec.id) {
            return Ok(partition);
        }
        if self.shared.left.borrow().contains_key(&spec.id) {
            return self.open_partition(spec).await;
        }
        let directory = topic_directory(&self.shared.options.data, &spec.topic_name, spec.id.topic)
            .join(spec.id.partition.to_string());
        Ok(self.add(Log::new(&spec, directory, Rc::downgrade(&self.shared))))
    }

    /// A partition that may hold records since before the start. After a clean stop this reads nothing.
    pub async fn open_partition(&self, spec: PartitionSpec) -> Result<Partition, StorageError> {
        if let Some(partition) = self.partition(spec.id) {
            return Ok(partition);
        }
        let entry = self.shared.left.borrow().get(&spec.id).copied();
        let log = load::open(&self.shared, &spec, entry).await?;
        self.shared.left.borrow_mut().remove(&spec.id);
        Ok(self.add(log))
    }

    /// The same for many, several side by side; the results are in the order of `specs`.
    pub async fn open_partitions(&self, specs: Vec<PartitionSpec>) -> Vec<Result<Partition, StorageError>> {
        let budget = self.shared.options.pool.budget_bytes();
        let at_once = (budget / READ_BYTES / 8).clamp(1, OPEN_AT_ONCE);
        let opening = specs.iter().cloned().map(|spec| self.open_partition(spec));
        let mut results = join_some(opening, at_once).await;
        for (spec, result) in specs.into_iter().zip(&mut results) {
            // Others had the memory then.
            if let Err(StorageError::OutOfMemory { .. }) = result {
                *result = self.open_partition(spec).await;
            }
        }
        let (logs, bytes) = self.shared.reserved.take();
        if logs > 0 {
            log::info!("{logs} logs end before reserved space, which they keep: {bytes} bytes in all");
        }
        results
    }

    fn add(&self, log: Log) -> Partition {
        let partition = Partition { log: Rc::new(log) };
        // Two tasks may have opened it: the first one's counts.
        let mut partitions = self.shared.partitions.borrow_mut();
        partitions.entry(partition.id()).or_insert(partition).clone()
    }

    /// A partition that was created or opened.
    pub fn partition(&self, id: TopicPartition) -> Option<Partition> {
        self.shared.partitions.borrow().get(&id).cloned()
    }

    /// All of them, in the order of their ids.
    pub fn partitions(&self) -> Vec<Partition> {
        let mut all: Vec<Partition> = self.shared.partitions.borrow().values().cloned().collect();
        all.sort_by_key(Partition::id);
        all
    }

    /// Removes a partition and its files. Those who wait for it are told.
    pub async fn delete_partition(&self, id: TopicPartition) -> Result<(), StorageError> {
        let partition = self.shared.partitions.borrow_mut().remove(&id);
        let Some(Partition { log }) = partition else { return Err(StorageError::UnknownPartition(id)) };
        {
            let mut state = log.state.borrow_mut();
            state.deleted = true;
            let undrained: usize = state.tail.range(state.drained..).map(|batch| batch.bytes.len()).sum();
            self.shared.undrained_less(undrained as u64);
            state.tail.clear();
            state.drained = 0;
        }
        log.changed.notify();
        let _writing = log.writer.take(1).await;
        remove_directory(&self.shared, &log.directory).await
    }

    /// Compacts logs by these options from now on; if they are others than before, the cleaner looks at once.
    pub fn configure_cleaner(&self, options: CleanerOptions) {
        if self.shared.cleaner.replace(options.clone()) != options {
            self.shared.cleaner_configured.notify();
        }
    }

    /// The counters.
    pub fn stats(&self) -> Arc<StoreStats> {
        self.shared.stats.clone()
    }

    /// Lets some memory go for others of the core who lack it: first what was read, then recent data that is in
    /// segments. `false`: there is none that may go.
    pub fn give_back(&self) -> bool {
        let written = self.shared.written_through.get();
        self.shared.cache.borrow_mut().give_back(written, &self.shared.stats)
    }

    /// Waits until appends may be taken again after [`AppendError::Busy`](crate::AppendError::Busy).
    pub async fn room(&self) {
        self.shared.wait_for_room().await;
    }

    /// Waits until an append is on the device; with [`Durability::Memory`] not at all.
    pub async fn committed(&self, ticket: &Ticket) -> Result<(), StorageError> {
        if let Some(done) = &ticket.done {
            return done.wait().await;
        }
        let Some((log, next)) = &ticket.until else { return Ok(()) };
        loop {
            let seen = log.changed.count();
            {
                let state = log.state.borrow();
                if state.high_watermark >= *next {
                    return Ok(());
                }
                if state.deleted {
                    return Err(StorageError::UnknownPartition(log.id));
                }
            }
            // A shard that goes offline tells its waiters by `room`.
            let moved = self.shared.room.count();
            self.shared.check_online()?;
            race(log.changed.after(seen), self.shared.room.after(moved)).await;
        }
    }

    /// A clean stop: everything goes into segments, and a checkpoint says that this is all. Appends are
    /// refused from here on, and large ones that wait for room on the device are given up.
    pub async fn stop(&self) -> Result<(), StorageError> {
        let shared = &self.shared;
        if shared.stopping.replace(true) {
            return Ok(());
        }
        while self.partitions().iter().any(|partition| partition.log.is_direct()) {
            let seen = shared.room.count();
            race(shared.room.after(seen), sleep(ROOM_PAUSE)).await;
        }
        for event in [&shared.stop, &shared.work, &shared.drain_now, &shared.sync_now, &shared.activate] {
            event.notify();
        }
        let tasks = self.tasks.take();
        for task in tasks {
            task.await;
        }
        let offline = shared.offline.borrow().is_some();
        let result = match offline {
            true => Err(shared.offline_error()),
            false => self.settle().await,
        };
        let mut files = std::mem::replace(&mut shared.journal.borrow_mut().files, JournalFiles::closed());
        files.close().await;
        shared.reads.close().await;
        shared.files.clear();
        let partitions = shared.partitions.take();
        shared.cache.borrow_mut().clear(&shared.stats);
        drop(partitions);
        shared.room.notify();
        result
    }

    async fn finish(&self, log: &Rc<Log>) -> Result<(), StorageError> {
        let finished = self.finish_files(log).await;
        // One that was deleted meanwhile has taken its files along.
        if log.state.borrow().deleted { Ok(()) } else { finished }
    }

    async fn finish_files(&self, log: &Rc<Log>) -> Result<(), StorageError> {
        if !log.is_whole() {
            // What is known of its producers and epochs is of more than there is: the next start looks.
            return Ok(());
        }
        finish::last_segment(&self.shared, log).await?;
        // What the start has found by reading, and what there was no room for behind a direct write.
        finish::save_epochs(log).await?;
        producers::save(log, true).await
    }

    async fn settle(&self) -> Result<(), StorageError> {
        // Whoever held a log meanwhile may have left something.
        drain::all(&self.shared).await?;
        // A start after this looks into no directory: nothing is left there for it.
        upkeep::empty_trash(&self.shared, true).await;
        for some in self.partitions().chunks(FINISH_AT_ONCE) {
            let finished = join_all(some.iter().map(|partition| self.finish(&partition.log)).collect()).await;
            finished.into_iter().collect::<Result<(), StorageError>>()?;
        }
        self.shared.write_checkpoint(true).await?;
        // Where acknowledgements wait for the device, who sent what was given up knows.
        let is_lost = |partition: &Partition| !partition.log.is_whole();
        match !self.shared.waits_for_device() && self.partitions().iter().any(is_lost) {
            true => Err(StorageError::NoSpace),
            false => Ok(()),
        }
    }
}

async fn remove_directory(shared: &Shared, directory: &Path) -> Result<(), StorageError> {
    let entries = match io::list_directory(directory).await {
        Ok(entries) => entries,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(StorageError::io("list", directory)(errno)),
    };
    for entry in entries {
        let path = directory.join(&entry.name);
        // One that was to be removed may be gone by now.
        let removed = delete::remove(&path).await;
        // Not before: a reader could open it once more, and nobody would close it.
        shared.files.forget(&path);
        removed?;
    }
    io::remove_directory(directory).await.map_err(StorageError::io("remove", directory))?;
    let Some(topic) = directory.parent() else { return Ok(()) };
    // The last partition takes the topic's directory along.
    match io::remove_directory(topic).await {
        Ok(()) | Err(Errno::NOENT) | Err(Errno::NOTEMPTY) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(StorageError::io("remove", topic)(errno)),
    }
}
