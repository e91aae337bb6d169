//! The first phase of a start: what the journals hold goes into the segments, and a new epoch begins.
//!
//! Nothing here depends on how many shards there are now. The order: replay and sync the segments; write the
//! node's checkpoint with the next epoch, which in the same step makes the journals of this one history.
//! Cut anywhere before that step it is done again from the beginning, with the same outcome.
//!
//! - [`segments`]: writing and syncing many of them.
//! - [`untold`]: where logs begin when a checkpoint that told so cannot be read.

mod segments;
mod untold;

use crate::batch::BatchHeader;
use crate::checkpoint::{self, Checkpoint, CheckpointEntry, LogPlace};
use crate::cleaner::CleanerState;
use crate::epochs::{self, Epochs};
use crate::error::{Damage, StorageError};
use crate::journal::format::{CommitHeader, Entries, Entry};
use crate::journal::scan::{JournalScan, Said};
use crate::segment::topic_directory;
use crate::told::Told;
use executor::{io, join_some};
use memory::Pool;
use model::{TopicId, TopicPartition};
use segments::{AT_ONCE, Run, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written to segments: the more, the fewer writes. As much as a quarter of the
/// pool, which nobody else uses yet, between these.
const GATHER_BYTES_MIN: usize = 1 << 20;
const GATHER_BYTES_MAX: usize = 64 << 20;

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

/// By which numbers a journal's file knows partitions and their segments.
type Numbers = HashMap<u32, (TopicPartition, i64)>;

struct Replay<'a> {
    data: &'a Path,
    pool: &'a Pool,
    known: &'a dyn Fn(TopicId) -> Option<String>,
    names: HashMap<TopicId, Option<String>>,
    /// Segments before these may have been compacted, and need nothing of the journal.
    boundaries: BTreeMap<TopicPartition, i64>,
    entries: HashMap<TopicPartition, CheckpointEntry>,
    /// Leader epochs that began since the checkpoint, in what was replayed.
    epochs: BTreeMap<TopicPartition, Epochs>,
    /// The newest of these that may have begun earlier, in what lies between and is neither replayed nor told of by the
    /// checkpoint.
    early: BTreeMap<TopicPartition, i32>,
    /// Segments whose names are on the device, for a checkpoint says that something in them is.
    named: BTreeSet<(TopicPartition, i64)>,
    /// What is to be written to each segment.
    runs: BTreeMap<(TopicPartition, i64), Vec<Run>>,
    gathered: usize,
    /// Files that were written to; whether their names are on the device.
    touched: BTreeMap<PathBuf, bool>,
    /// Where the last batch of a partition ends that was replayed.
    replayed: HashMap<TopicPartition, LogPlace>,
    /// Nobody waited for the device in the run whose journal is replayed.
    relaxed: bool,
    /// Partitions of which more than what was replayed lies before that, and may not be whole.
    unsure: BTreeSet<TopicPartition>,
    /// Directories of partitions whose log start the journals move: files may have been deleted there, and made anew by
    /// a replay that was cut short, so that what checkpoints say of their names is not of them.
    moved: BTreeSet<PathBuf>,
    told: Told,
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
    let node = Checkpoint::read(&checkpoint::node_path(data), pool).await.map_err(of_node)?;
    let node_epoch = node.as_ref().map_or(0, |node| node.epoch);
    let (mut shards, mut crashed, mut all_told) = (Vec::new(), Vec::new(), true);
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
                all_told = false;
                log::warn!("{}: {what}; going on without it", path.display())
            }
            Err(other) => return Err(other),
        }
    }
    let told_of = untold::told_of(node_epoch, &shards);
    let (mut epoch, entries) = checkpoint::merge(node, shards);
    let mut replay = Replay {
        data,
        pool,
        known,
        names: HashMap::new(),
        boundaries: BTreeMap::new(),
        named: named(&entries),
        entries,
        epochs: BTreeMap::new(),
        early: BTreeMap::new(),
        runs: BTreeMap::new(),
        gathered: 0,
        touched: BTreeMap::new(),
        replayed: HashMap::new(),
        relaxed: false,
        unsure: BTreeSet::new(),
        moved: BTreeSet::new(),
        told: Told::new(),
        outcome: Recovered::default(),
    };
    if !all_told {
        let ids = replay.entries.keys().copied().filter(|id| !told_of.contains(id)).collect();
        replay.find_starts(ids).await?;
    }
    for directory in crashed {
        let scan = JournalScan::read(&directory.join("journal"), pool, node_epoch).await?;
        epoch = epoch.max(scan.epoch);
        let result = replay.shard(&scan, all_told, pool).await;
        scan.close().await;
        result?;
    }
    replay.flush().await?;
    replay.finish(epoch + 1).await
}

/// The same, with words for a checkpoint that cannot be done without.
fn of_node(error: StorageError) -> StorageError {
    match error {
        StorageError::Format { path, what } => StorageError::NodeCheckpoint { path, what },
        other => other,
    }
}

/// The same, with words for a start that finds no room.
pub(crate) fn at_start(error: StorageError) -> StorageError {
    match error {
        StorageError::NoSpace => StorageError::NoSpaceToStart,
        other => other,
    }
}

/// The segments of which checkpoints say that something in them was synced: so were their names, and those of the
/// directories above.
fn named(entries: &HashMap<TopicPartition, CheckpointEntry>) -> BTreeSet<(TopicPartition, i64)> {
    let begun = entries.values().filter(|entry| entry.verified.position > 0);
    begun.map(|entry| (entry.id, entry.verified.segment)).collect()
}

/// Where a batch in a damaged commit ends, if its numbers make sense.
fn plausible_end(segment: i64, position: u32, batch: &[u8]) -> Option<LogPlace> {
    let header = BatchHeader::parse(batch).ok()?;
    let (base, last) = (header.base_offset, header.last_offset());
    let within = base >= segment && last >= base && last.checked_sub(segment)? < i64::from(i32::MAX);
    let end = position.checked_add(u32::try_from(batch.len()).ok()?)?;
    (header.bytes == batch.len() && within).then_some(LogPlace { segment, position: end, offset: last + 1 })
}

/// Declarations in commits of the file that are not replayed any more; after damage those in all, because the first one
/// of a number may be lost, and each has several.
fn declarations(scan: &JournalScan, file: usize) -> Numbers {
    let replayed = if scan.gaps.is_empty() { &[][..] } else { &scan.commits };
    let commits = scan.drained.iter().chain(replayed).filter(|at| at.file == file);
    let declared = commits.flat_map(|at| scan.said(at)).filter_map(|said| match *said {
        Said::Declare { number, id, segment } => Some((number, (id, segment))),
        Said::Direct { .. } => None,
    });
    declared.collect()
}

/// The leader epoch of a log of which nothing is known before a batch; -1: there may have been others.
fn only_epoch(header: &BatchHeader) -> i32 {
    // Nothing comes before the first offset, and no epoch before 0.
    if header.base_offset == 0 || header.leader_epoch == 0 { header.leader_epoch } else { -1 }
}

/// Adds the epochs that were replayed of a partition to its file; the newest one. `early` is the newest of which only
/// the segments tell where it began, if the file does not. `None`: so it is, or the partition has no directory.
async fn add_epochs(
    entry: CheckpointEntry,
    directory: PathBuf,
    seen: Epochs,
    early: i32,
    pool: &Pool,
) -> Result<Option<i32>, StorageError> {
    let mut all = epochs::read(&directory, pool).await?.unwrap_or_default();
    if all.len() == 0 {
        all.begin(entry.leader_epoch, entry.log_start);
    }
    if early > all.newest() {
        return Ok(None);
    }
    all.take_in(&seen, entry.log_start, entry.claimed.offset);
    match epochs::write(&directory, &all).await {
        Ok(()) => Ok(Some(all.newest())),
        // Nothing of it went into a segment: all of it was deleted.
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Replay<'_> {
    fn name(&mut self, topic: TopicId) -> Option<String> {
        self.names.entry(topic).or_insert_with(|| (self.known)(topic)).clone()
    }

    fn is_known(&mut self, topic: TopicId) -> bool {
        self.names.entry(topic).or_insert_with(|| (self.known)(topic)).is_some()
    }

    /// A partition's directory; `None` if its topic is gone.
    fn directory(&mut self, id: TopicPartition) -> Option<PathBuf> {
        let name = self.name(id.topic)?;
        Some(topic_directory(self.data, &name, id.topic).join(id.partition.to_string()))
    }

    /// Takes what a shard's journal holds. `all_told`: all checkpoints can be read.
    async fn shard(&mut self, scan: &JournalScan, all_told: bool, pool: &Pool) -> Result<(), StorageError> {
        if !all_told {
            let ids = scan.declared().filter(|id| !self.entries.contains_key(id)).collect();
            self.find_starts(ids).await?;
        }
        self.journal(scan, pool).await?;
        if all_told {
            self.begun(scan);
        }
        Ok(())
    }

    async fn journal(&mut self, scan: &JournalScan, pool: &Pool) -> Result<(), StorageError> {
        self.outcome.torn_commits += scan.torn as u64;
        self.relaxed = scan.relaxed;
        for damage in &scan.damage {
            log::error!("damaged: {damage}");
        }
        self.outcome.damage.extend_from_slice(&scan.damage);
        self.remains(scan, pool).await?;
        self.notes(scan);
        let gather_bytes = (pool.budget_bytes() / 4).clamp(GATHER_BYTES_MIN, GATHER_BYTES_MAX);
        let Some(mut file) = scan.commits.first().map(|first| first.file) else { return Ok(()) };
        let (mut reader, mut numbers) = (scan.reader(file, pool), declarations(scan, file));
        for (number, at) in scan.commits.iter().enumerate() {
            self.told.replayed(&scan.files[at.file].path, number, scan.commits.len());
            if at.file != file {
                file = at.file;
                (reader, numbers) = (scan.reader(file, pool), declarations(scan, file));
            }
            let mut unknown = false;
            let bytes = reader.at(at.offset, at.header.length as usize).await?;
            // Nobody looks at it again before a reader does, and this is the last that is seen of the journal.
            if CommitHeader::verify(&bytes) != Ok(at.header) {
                let path = scan.files[at.file].path.clone();
                return Err(StorageError::Format { path, what: "a commit that was whole a moment ago" });
            }
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
            if self.gathered > gather_bytes {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Where nobody waited for the device, commits and the first segments of a log may be lost while later ones are
    /// there. A log that began in this epoch, and of which neither a checkpoint nor a replayed commit tells, has its
    /// first segment at 0: what is behind a missing one is no part of it.
    fn begun(&mut self, scan: &JournalScan) {
        for id in scan.declared().filter(|_| scan.relaxed) {
            if !self.entries.contains_key(&id) {
                self.claim(id, LogPlace::default(), -1);
            }
        }
    }

    /// What commits that need no replay say of direct writes still holds.
    fn notes(&mut self, scan: &JournalScan) {
        let (mut numbers, mut file) = (Numbers::new(), usize::MAX);
        for at in &scan.drained {
            if at.file != file {
                file = at.file;
                numbers.clear();
            }
            for said in scan.said(at) {
                let entry = match *said {
                    Said::Declare { number, id, segment } => Entry::Declare { number, id, segment },
                    Said::Direct { number, position, next_offset } => {
                        Entry::Direct { number, position, next_offset }
                    }
                };
                self.entry(&entry, &mut numbers);
            }
        }
    }

    /// What damaged commits held is lost, and must be known to be: of each entry that can still be told apart, its
    /// partition was durable up to there. Its log then has a hole, and gives no offset twice.
    async fn remains(&mut self, scan: &JournalScan, pool: &Pool) -> Result<(), StorageError> {
        for gap in &scan.gaps {
            let mut numbers = declarations(scan, gap.file);
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

    /// Takes what an entry says; false if nothing tells whose it is.
    fn entry(&mut self, entry: &Entry<'_>, numbers: &mut Numbers) -> bool {
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
                if self.claim_batch(id, header.base_offset, end, only_epoch(&header)) {
                    self.note_epoch(id, header.leader_epoch, header.base_offset);
                    let before = self.replayed.insert(id, end);
                    if before.is_some_and(|last| last.segment == segment && last.position != position) {
                        // Something else lies between.
                        self.unsure.insert(id);
                    }
                    self.gather(id, segment, position, batch);
                }
            }
            Entry::LogStart { number, offset } => {
                let Some(&(id, segment)) = numbers.get(&number) else { return false };
                // Its segment is the one that was appended to then. That says nothing of what is durable: what lies
                // before that segment may have been on its way still.
                let known = self.entries.contains_key(&id);
                // Where nobody waited for the device it may be lost.
                let segment = if self.relaxed { 0 } else { segment };
                if (known || self.claim(id, LogPlace { segment, position: 0, offset: segment }, -1))
                    && let Some(entry) = self.entries.get_mut(&id)
                {
                    entry.exact = false;
                    entry.log_start = entry.log_start.max(offset);
                }
                let directory = self.directory(id);
                self.moved.extend(directory);
            }
            Entry::Direct { number, position, next_offset } => {
                let Some(&(id, segment)) = numbers.get(&number) else { return false };
                self.claim(id, LogPlace { segment, position, offset: next_offset }, -1);
                self.unsure.insert(id);
            }
        }
        true
    }

    /// Notes that a log was durable up to the end of a batch; false if the topic is gone.
    ///
    /// Where nobody waited for the device, a power loss may have taken a direct write before the batch and left the
    /// commit. So it counts only if it follows on what is there for sure; if not, all behind that is looked at, and the
    /// log ends with what is whole.
    fn claim_batch(&mut self, id: TopicPartition, base: i64, end: LogPlace, leader_epoch: i32) -> bool {
        if !self.relaxed {
            return self.claim(id, end, leader_epoch);
        }
        // A log of which no checkpoint tells begins with its first segment.
        if !self.claim(id, LogPlace::default(), leader_epoch) {
            return false;
        }
        let follows = self.entries.get(&id).is_some_and(|entry| base <= entry.claimed.offset);
        match follows {
            true => self.claim(id, end, leader_epoch),
            false => {
                self.unsure.insert(id);
                true
            }
        }
    }

    /// Notes that a log was durable up to a place; false if the topic is gone.
    fn claim(&mut self, id: TopicPartition, place: LogPlace, leader_epoch: i32) -> bool {
        if !self.is_known(id.topic) {
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
        entry.claimed = entry.claimed.max(place);
        true
    }

    /// A batch of an epoch was appended here. A direct write before it may have begun the epoch: then the batch follows
    /// neither on what the checkpoint tells of nor on the last one that was replayed.
    fn note_epoch(&mut self, id: TopicPartition, epoch: i32, offset: i64) {
        // What is not claimed is read by who opens the log.
        let is_news = |entry: &&CheckpointEntry| epoch > entry.leader_epoch && offset < entry.claimed.offset;
        let Some(entry) = self.entries.get(&id).filter(is_news) else { return };
        let told = (entry.leader_epoch >= 0).then_some(entry.verified.offset);
        let replayed = self.replayed.get(&id).map(|end| end.offset);
        let begins = self.epochs.entry(id).or_default().begin(epoch, offset);
        if begins && told.max(replayed) != Some(offset) {
            self.early.insert(id, epoch);
        }
    }

    /// Writes down the leader epochs that only the journal knew: nobody reads it again. Where it does not know all of
    /// them, the segments are looked at.
    async fn save_epochs(&mut self) -> Result<(), StorageError> {
        let mut due = Vec::new();
        for (id, seen) in std::mem::take(&mut self.epochs) {
            let entry = self.entries.get(&id).copied();
            let early = self.early.get(&id).copied().unwrap_or(-1);
            due.extend(entry.and_then(|entry| Some((entry, self.directory(id)?, seen, early))));
        }
        let pool = self.pool;
        let ids: Vec<TopicPartition> = due.iter().map(|(entry, ..)| entry.id).collect();
        let saves = due
            .into_iter()
            .map(|(entry, directory, seen, early)| add_epochs(entry, directory, seen, early, pool));
        let saved = join_some(saves, AT_ONCE).await;
        for (id, newest) in ids.into_iter().zip(saved) {
            let Some(newest) = newest? else {
                self.unsure.insert(id);
                continue;
            };
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.epoch_history = true;
                entry.leader_epoch = newest;
            }
        }
        Ok(())
    }

    fn gather(&mut self, id: TopicPartition, segment: i64, position: u32, batch: &[u8]) {
        let runs = self.runs.entry((id, segment)).or_default();
        self.gathered += batch.len();
        self.outcome.bytes += batch.len() as u64;
        match runs.last_mut() {
            Some(run) if position as usize == run.position as usize + run.bytes.len() => {
                run.bytes.extend_from_slice(batch);
            }
            // The first; or a direct write lies between.
            _ => runs.push(Run { position, bytes: batch.to_vec() }),
        }
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        self.gathered = 0;
        let mut targets = Vec::new();
        for ((id, segment), runs) in std::mem::take(&mut self.runs) {
            let Some(directory) = self.directory(id) else { continue };
            let named = self.named.contains(&(id, segment));
            targets.push(Target { id, named, segment, directory, runs });
        }
        self.look_up_boundaries(&targets).await?;
        let (targets, compacted): (Vec<Target>, Vec<Target>) =
            targets.into_iter().partition(|target| target.segment >= self.boundaries[&target.id]);
        self.unsure.extend(compacted.iter().map(|target| target.id));
        for (path, named) in segments::write_all(targets).await? {
            // What was made in an earlier round has no name yet.
            let known = self.touched.entry(path).or_insert(named);
            *known = *known && named;
        }
        Ok(())
    }

    /// Where the segments of partitions begin that no compaction has touched.
    async fn look_up_boundaries(&mut self, targets: &[Target]) -> Result<(), StorageError> {
        let new: BTreeMap<TopicPartition, &Path> = targets
            .iter()
            .filter(|target| !self.boundaries.contains_key(&target.id))
            .map(|target| (target.id, target.directory.as_path()))
            .collect();
        let pool = self.pool;
        let read = new.values().map(|directory| CleanerState::read(directory, pool));
        let states = join_some(read, AT_ONCE).await;
        for (id, state) in new.into_keys().zip(states) {
            self.boundaries.insert(id, state?.map_or(0, |state| state.boundary));
        }
        Ok(())
    }

    /// Puts what was written on the device, and the names of what may have none there: one that was found may have
    /// none, because the broker ended before the sync that follows on its making, or because that sync failed.
    async fn sync(&self) -> Result<(), StorageError> {
        let has_moved = |path: &Path| path.parent().is_some_and(|above| self.moved.contains(above));
        let unnamed = self.touched.iter().filter(|(path, named)| !**named || has_moved(path));
        let unnamed = unnamed.map(|(path, _)| path);
        let above = |path: &PathBuf| -> Vec<PathBuf> {
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(self.data));
            above.map(Path::to_path_buf).collect()
        };
        let directories: BTreeSet<PathBuf> = unnamed.flat_map(above).collect();
        segments::sync_all(self.touched.keys(), &directories).await
    }

    /// What was replayed is whole, and so is what lies before it: an append went into the journal when all before it
    /// was durable, there or in the segment, and what is not replayed any more was synced. So nobody need look at it
    /// again, except where direct writes lie between, or may if nobody waited for the device, where a segment ended, or
    /// where the journal is damaged.
    fn verify_replayed(&mut self) {
        if !self.outcome.damage.is_empty() {
            return;
        }
        for (id, entry) in &mut self.entries {
            let end = self.replayed.get(id).filter(|_| !self.unsure.contains(id));
            if let Some(end) = end.filter(|end| end.segment == entry.verified.segment) {
                entry.verified = entry.verified.max(*end);
            }
        }
    }

    async fn finish(mut self, epoch: u64) -> Result<Recovered, StorageError> {
        self.sync().await?;
        let ids: Vec<TopicPartition> = self.entries.keys().copied().collect();
        let gone: Vec<_> = ids.into_iter().filter(|id| self.name(id.topic).is_none()).collect();
        for id in gone {
            self.entries.remove(&id);
        }
        self.save_epochs().await?;
        self.verify_replayed();
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
