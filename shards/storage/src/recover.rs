//! The first phase of a start: what the journals hold goes into the segments, and a new epoch begins.
//!
//! Nothing here depends on how many shards there are now. The order: replay and sync the segments; write the
//! node's checkpoint with the next epoch, which in the same step makes the journals of this one history.
//! Cut anywhere before that step it is done again from the beginning, with the same outcome.

use crate::batch::BatchHeader;
use crate::checkpoint::{self, Checkpoint, CheckpointEntry, LogPlace};
use crate::cleaner::CleanerState;
use crate::error::{Damage, StorageError};
use crate::journal::format::{Entries, Entry};
use crate::journal::scan::JournalScan;
use crate::segment::{file_name, topic_directory};
use driver::OpenOptions;
use executor::io;
use memory::{Pool, Slice};
use model::{TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written to segments.
const GATHER_BYTES: usize = 8 << 20;

/// What a recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch that has begun: how often the broker was started on this directory.
    pub epoch: u64,
    /// Commits that were replayed.
    pub commits: u64,
    /// Bytes of batches that were written to segments.
    pub bytes: u64,
    /// Commits that were on their way when the broker stopped, of which nobody had been told.
    pub torn_commits: u64,
    /// Durable commits that cannot be read.
    pub damage: Vec<Damage>,
    /// Every partition was stopped cleanly.
    pub clean: bool,
}

/// A run of bytes for one segment.
#[derive(Default)]
struct Run {
    position: u32,
    bytes: Vec<u8>,
}

struct Replay<'a> {
    data: &'a Path,
    pool: &'a Pool,
    known: &'a dyn Fn(TopicId) -> Option<String>,
    names: HashMap<TopicId, Option<String>>,
    /// Segments before these may have been compacted, and need nothing of the journal.
    boundaries: BTreeMap<TopicPartition, i64>,
    entries: HashMap<TopicPartition, CheckpointEntry>,
    runs: BTreeMap<(TopicPartition, i64), Run>,
    /// Runs that are complete, because something else lies behind them.
    parted: Vec<(TopicPartition, i64, Run)>,
    gathered: usize,
    touched: BTreeMap<PathBuf, ()>,
    outcome: Recovered,
}

/// Replays the journals in `shard_directories` into the segments and begins the next epoch. Before any store
/// is opened; `known` tells the name of a topic that still exists.
///
/// A directory that does not exist yet is an empty one. Damage in a journal is logged and returned, and the
/// partitions that it hit refuse appends later; it is no error here.
pub async fn recover(
    data: &Path,
    shard_directories: &[PathBuf],
    pool: &Pool,
    known: &dyn Fn(TopicId) -> Option<String>,
) -> Result<Recovered, StorageError> {
    replay(data, shard_directories, pool, known).await.map_err(at_start)
}

async fn replay(
    data: &Path,
    shard_directories: &[PathBuf],
    pool: &Pool,
    known: &dyn Fn(TopicId) -> Option<String>,
) -> Result<Recovered, StorageError> {
    let node = Checkpoint::read(&checkpoint::node_path(data), pool).await?;
    let node_epoch = node.as_ref().map_or(0, |node| node.epoch);
    let (mut shards, mut crashed) = (Vec::new(), Vec::new());
    for directory in shard_directories {
        let path = directory.join("checkpoint");
        match Checkpoint::read(&path, pool).await {
            Ok(found) => {
                // A clean stop has drained the journal.
                let clean = found.as_ref().is_some_and(|found| found.clean && found.epoch == node_epoch);
                if !clean {
                    crashed.push(directory);
                }
                shards.extend(found);
            }
            // It only saves work: without it more is read.
            Err(StorageError::Format { path, what }) => {
                crashed.push(directory);
                log::warn!("{}: {what}; going on without it", path.display())
            }
            Err(other) => return Err(other),
        }
    }
    let (mut epoch, entries) = checkpoint::merge(node, shards);
    let mut replay = Replay {
        data,
        pool,
        known,
        names: HashMap::new(),
        boundaries: BTreeMap::new(),
        entries,
        runs: BTreeMap::new(),
        parted: Vec::new(),
        gathered: 0,
        touched: BTreeMap::new(),
        outcome: Recovered::default(),
    };
    for directory in crashed {
        let scan = JournalScan::read(&directory.join("journal"), pool, node_epoch).await?;
        epoch = epoch.max(scan.epoch);
        let result = replay.journal(&scan, pool).await;
        scan.close().await;
        result?;
    }
    replay.flush().await?;
    replay.finish(epoch + 1).await
}

/// The same, with words for a start that finds no room.
pub(crate) fn at_start(error: StorageError) -> StorageError {
    match error {
        StorageError::NoSpace => StorageError::NoSpaceToStart,
        other => other,
    }
}

/// Where a batch in a damaged commit ends, if its numbers make sense.
fn plausible_end(segment: i64, position: u32, batch: &[u8]) -> Option<LogPlace> {
    let header = BatchHeader::parse(batch).ok()?;
    let (base, last) = (header.base_offset, header.last_offset());
    let within = base >= segment && last >= base && last.checked_sub(segment)? < i64::from(i32::MAX);
    let end = position.checked_add(u32::try_from(batch.len()).ok()?)?;
    (header.bytes == batch.len() && within).then_some(LogPlace { segment, position: end, offset: last + 1 })
}

impl Replay<'_> {
    fn name(&mut self, topic: TopicId) -> Option<String> {
        self.names.entry(topic).or_insert_with(|| (self.known)(topic)).clone()
    }

    async fn journal(&mut self, scan: &JournalScan, pool: &Pool) -> Result<(), StorageError> {
        self.outcome.torn_commits += scan.torn as u64;
        for damage in &scan.damage {
            log::error!("damaged: {damage}");
        }
        self.outcome.damage.extend_from_slice(&scan.damage);
        let (mut window, mut numbers, mut file) = (None, HashMap::new(), usize::MAX);
        self.remains(scan, pool).await?;
        self.notes(scan, pool).await?;
        for at in &scan.commits {
            if at.file != file {
                file = at.file;
                numbers.clear();
                self.declarations(scan, at.file, pool, &mut numbers).await?;
            }
            let mut unknown = false;
            let bytes = scan.commit(at, &mut window, pool).await?;
            self.outcome.commits += 1;
            for entry in Entries::of(&bytes, &at.header) {
                match entry {
                    Ok(entry) => unknown |= !self.entry(&entry, &mut numbers),
                    Err(_) => {
                        let path = scan.files[at.file].path.clone();
                        return Err(StorageError::Format { path, what: "an entry of an unknown kind" });
                    }
                }
            }
            if unknown {
                self.undeclared(scan.files[at.file].path.clone(), at.offset);
            }
            if self.gathered > GATHER_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// What commits that need no replay say of direct writes still holds.
    async fn notes(&mut self, scan: &JournalScan, pool: &Pool) -> Result<(), StorageError> {
        let (mut window, mut numbers, mut file) = (None, HashMap::new(), usize::MAX);
        for at in &scan.drained {
            if at.file != file {
                file = at.file;
                numbers.clear();
            }
            let bytes = scan.commit(at, &mut window, pool).await?;
            for entry in Entries::of(&bytes, &at.header).map_while(Result::ok) {
                match entry {
                    Entry::Declare { .. } | Entry::Direct { .. } => {
                        self.entry(&entry, &mut numbers);
                    }
                    Entry::Append { .. } | Entry::LogStart { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// What damaged commits held is lost, and must be known to be: of each entry that can still be told apart, its
    /// partition was durable up to there. Its log then has a hole, and gives no offset twice.
    async fn remains(&mut self, scan: &JournalScan, pool: &Pool) -> Result<(), StorageError> {
        for gap in &scan.gaps {
            let mut numbers = HashMap::new();
            self.declarations(scan, gap.file, pool, &mut numbers).await?;
            for commit in scan.remains(gap, pool).await? {
                for entry in Entries::of_damaged(&commit).map_while(Result::ok) {
                    match entry {
                        Entry::Declare { number, id, segment } => {
                            // A whole commit knows better.
                            numbers.entry(number).or_insert((id, segment));
                        }
                        Entry::Append { number, position, batch } => {
                            let Some(&(id, segment)) = numbers.get(&number) else { continue };
                            if let Some(end) = plausible_end(segment, position, batch) {
                                self.claim(id, end, -1);
                            }
                        }
                        Entry::LogStart { .. } | Entry::Direct { .. } => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn undeclared(&mut self, file: PathBuf, position: u64) {
        let what =
            "a commit with records of a partition that only a damaged commit names: they are not replayed";
        let damage = Damage { partition: None, file, position, offsets: None, what };
        log::error!("damaged: {damage}");
        self.outcome.damage.push(damage);
    }

    /// Declarations in commits of the file that are not replayed any more; after damage those in all, because
    /// the first one of a number may be lost, and each has several.
    async fn declarations(
        &mut self,
        scan: &JournalScan,
        file: usize,
        pool: &Pool,
        numbers: &mut HashMap<u32, (TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        let mut window = None;
        let replayed = if scan.gaps.is_empty() { &[][..] } else { &scan.commits };
        for at in scan.drained.iter().chain(replayed).filter(|at| at.file == file) {
            let bytes = scan.commit(at, &mut window, pool).await?;
            for entry in Entries::of(&bytes, &at.header) {
                if let Ok(Entry::Declare { number, id, segment }) = entry {
                    numbers.insert(number, (id, segment));
                }
            }
        }
        Ok(())
    }

    /// Takes what an entry says; false if nothing tells whose it is.
    fn entry(&mut self, entry: &Entry<'_>, numbers: &mut HashMap<u32, (TopicPartition, i64)>) -> bool {
        match *entry {
            Entry::Declare { number, id, segment } => {
                numbers.insert(number, (id, segment));
            }
            Entry::Append { number, position, batch } => {
                let Some(&(id, segment)) = numbers.get(&number) else { return false };
                let Ok(header) = BatchHeader::parse(batch) else { return true };
                let end = LogPlace {
                    segment,
                    position: position.saturating_add(batch.len() as u32),
                    offset: header.last_offset().saturating_add(1),
                };
                if self.claim(id, end, header.leader_epoch) {
                    self.gather(id, segment, position, batch);
                }
            }
            Entry::LogStart { number, offset } => {
                let Some(&(id, segment)) = numbers.get(&number) else { return false };
                // Its segment is the one that was appended to then. That says nothing of what is durable: what lies
                // before that segment may have been on its way still.
                let known = self.entries.contains_key(&id);
                if (known || self.claim(id, LogPlace { segment, position: 0, offset: segment }, -1))
                    && let Some(entry) = self.entries.get_mut(&id)
                {
                    entry.exact = false;
                    entry.log_start = entry.log_start.max(offset);
                }
            }
            Entry::Direct { number, position, next_offset } => {
                let Some(&(id, segment)) = numbers.get(&number) else { return false };
                self.claim(id, LogPlace { segment, position, offset: next_offset }, -1);
            }
        }
        true
    }

    /// Notes that a log was durable up to a place; false if the topic is gone.
    fn claim(&mut self, id: TopicPartition, place: LogPlace, leader_epoch: i32) -> bool {
        if self.name(id.topic).is_none() {
            return false;
        }
        let entry = self.entries.entry(id).or_insert_with(|| CheckpointEntry {
            id,
            exact: false,
            leader_epoch,
            epoch_history: false,
            log_start: 0,
            // Nothing is known of what lies before: the whole segment is looked at.
            verified: LogPlace { segment: place.segment, position: 0, offset: place.segment },
            claimed: place,
            older_bytes: 0,
        });
        entry.exact = false;
        entry.leader_epoch = entry.leader_epoch.max(leader_epoch);
        entry.claimed = entry.claimed.max(place);
        true
    }

    fn gather(&mut self, id: TopicPartition, segment: i64, position: u32, batch: &[u8]) {
        let run = self.runs.entry((id, segment)).or_default();
        if run.bytes.is_empty() {
            run.position = position;
        } else if position as usize != run.position as usize + run.bytes.len() {
            // A direct write lies between.
            self.split(id, segment, position, batch);
            return;
        }
        run.bytes.extend_from_slice(batch);
        self.gathered += batch.len();
        self.outcome.bytes += batch.len() as u64;
    }

    fn split(&mut self, id: TopicPartition, segment: i64, position: u32, batch: &[u8]) {
        if let Some(run) = self.runs.remove(&(id, segment)) {
            self.parted.push((id, segment, run));
        }
        let run = Run { position, bytes: batch.to_vec() };
        self.gathered += batch.len();
        self.outcome.bytes += batch.len() as u64;
        self.runs.insert((id, segment), run);
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let runs = std::mem::take(&mut self.runs).into_iter().map(|((id, segment), run)| (id, segment, run));
        let all: Vec<_> = std::mem::take(&mut self.parted).into_iter().chain(runs).collect();
        self.gathered = 0;
        for (id, segment, run) in all {
            let Some(name) = self.name(id.topic) else { continue };
            let directory = topic_directory(self.data, &name, id.topic).join(id.partition.to_string());
            if segment < self.boundary(id, &directory).await? {
                continue;
            }
            io::make_directories(&directory).await.map_err(StorageError::io("make", &directory))?;
            let path = directory.join(file_name(segment, "log"));
            let handle =
                io::open(&path, OpenOptions::CREATE).await.map_err(StorageError::io("open", &path))?;
            let (result, _) = io::write(handle, u64::from(run.position), Slice::from(run.bytes), false).await;
            let _ = io::close(handle).await;
            result.map_err(StorageError::io("write", &path))?;
            self.touched.insert(path, ());
        }
        Ok(())
    }

    /// Where the segments of a partition begin that no compaction has touched.
    async fn boundary(&mut self, id: TopicPartition, directory: &Path) -> Result<i64, StorageError> {
        if let Some(boundary) = self.boundaries.get(&id) {
            return Ok(*boundary);
        }
        let state = CleanerState::read(directory, self.pool).await?;
        let boundary = state.map_or(0, |state| state.boundary);
        self.boundaries.insert(id, boundary);
        Ok(boundary)
    }

    async fn finish(mut self, epoch: u64) -> Result<Recovered, StorageError> {
        let mut directories = BTreeSet::new();
        for path in self.touched.keys() {
            let handle = io::open(path, OpenOptions::WRITE).await.map_err(StorageError::io("open", path))?;
            let result = io::sync(handle).await;
            let _ = io::close(handle).await;
            result.map_err(StorageError::io("sync", path))?;
            // Those above it as well: one that was found may have no name on the device, because the broker ended before
            // the sync that follows on its making, or because that sync failed.
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(self.data));
            directories.extend(above.map(Path::to_path_buf));
        }
        for directory in &directories {
            io::sync_directory(directory).await.map_err(StorageError::io("sync", directory))?;
        }
        let ids: Vec<TopicPartition> = self.entries.keys().copied().collect();
        let gone: Vec<_> = ids.into_iter().filter(|id| self.name(id.topic).is_none()).collect();
        for id in gone {
            self.entries.remove(&id);
        }
        let mut entries: Vec<CheckpointEntry> = self.entries.into_values().collect();
        entries.sort_by_key(|entry| entry.id);
        self.outcome.epoch = epoch;
        self.outcome.clean = self.outcome.commits == 0 && entries.iter().all(|entry| entry.exact);
        let wall_clock_ms = executor::wall_clock_ms();
        let node = Checkpoint { epoch, generation: 0, clean: false, wall_clock_ms, entries };
        let path = checkpoint::node_path(self.data);
        io::make_directories(self.data).await.map_err(StorageError::io("make", self.data))?;
        node.write(&path).await?;
        let Recovered { commits, bytes, torn_commits, .. } = self.outcome;
        log::info!(
            "recovered: epoch {epoch}, {commits} commits with {bytes} bytes replayed, {torn_commits} torn"
        );
        Ok(self.outcome)
    }
}
